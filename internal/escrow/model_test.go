package escrow_test

import (
	"os"
	"slices"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/model"
	"latchkey/internal/store"
)

// node is a place in the model; before is the way to it.
type node struct {
	state  model.State
	before *node
	by     model.Move
	depth  int8
}

func (n *node) way() (out []model.Move) {
	for ; n.before != nil; n = n.before {
		out = append(out, n.by)
	}
	slices.Reverse(out)
	return out
}

// TestEscrowIsTheModel takes the escrow and the model of internal/model along the
// same paths: every act on every state of the service that the model comes to in
// a few attempts (in the usual run, some of them). After each act both have the
// same keys in the same places, so what was explored there holds here.
func TestEscrowIsTheModel(t *testing.T) {
	for name, proof := range map[string]model.Proof{"tells": model.Tells, "signs": model.Signs, "nothing": model.Nothing} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := quick(t)
			bounds, every := model.Bounds{Attempts: 3, InRow: 2, Each: 1}, 40
			if os.Getenv("LATCHKEY_SOAK") != "" {
				bounds, every = model.Bounds{Attempts: 4, InRow: 4, Each: 2}, 1
			}
			ends, acts := leaves(proof, bounds)
			taken := 0
			for i := 0; i < len(ends); i += every {
				follow(t, v, proof, ends[i].way())
				if taken++; t.Failed() {
					return
				}
			}
			t.Logf("%d of %d paths, to %d acts on states of the service", taken, len(ends), acts)
		})
	}
}

// leaves are the shortest ways to every act on every state of the service, but
// for those that are part of another.
func leaves(proof model.Proof, b model.Bounds) (out []*node, acts int) {
	type act struct {
		on   model.Service
		what model.Act
	}
	acted, seen := map[act]bool{}, map[model.State]bool{}
	queue := []*node{{state: model.New(proof)}}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, m := range model.Moves(n.state, model.Rules{}, b) {
			next := &node{m.To, n, m, n.depth}
			if n.state.PC == model.Over && m.To.PC == model.Begin {
				if next.depth++; next.depth >= b.Attempts {
					continue
				}
			}
			fresh := false
			for _, a := range m.Acts {
				if k := (act{n.state.S, a}); !acted[k] {
					acted[k], fresh = true, true
				}
			}
			if fresh {
				out = append(out, next)
			}
			if !seen[m.To] {
				seen[m.To] = true
				queue = append(queue, next)
			}
		}
	}
	inner := map[*node]bool{}
	for _, n := range out {
		for n = n.before; n != nil && !inner[n]; n = n.before {
			inner[n] = true
		}
	}
	return slices.DeleteFunc(out, func(n *node) bool { return inner[n] }), len(acted)
}

// twin is the escrow's side of a walk.
type twin struct {
	*vault
	t     *testing.T
	proof model.Proof
	chip  *chip
	now   *session // of this attempt
	late  *session // of the report that is on its way
	keys  []string // by the model's numbers
}

func follow(t *testing.T, v *vault, proof model.Proof, way []model.Move) {
	c := v.issue(t, false)
	w := &twin{vault: v, t: t, proof: proof, chip: c, now: v.begin(t, c), keys: []string{c.puk}}
	before := model.New(proof)
	var names []string
	for _, m := range way {
		names = append(names, m.Name)
		for _, a := range m.Acts {
			w.do(a, before, m.To)
		}
		if m.To.Late.Sent && m.To.Late != before.Late {
			w.late = w.now
		}
		w.compare(m.To.S)
		before = m.To
		if t.Failed() {
			t.Fatalf("after %q", names)
		}
	}
}

func (w *twin) do(a model.Act, before, after model.State) {
	switch a.What {
	case model.Begun:
		w.now = w.begin(w.t, w.chip)
	case model.Asked:
		w.now.left = nil
		if w.proof == model.Tells {
			left := int(before.Tries)
			w.now.left = &left
		}
		step := int(before.S.N) + 1
		r, _, err := w.now.release(w.t, step)
		if released := after.S.N > before.S.N; released != (err == nil) {
			w.t.Errorf("released %v, and the model %v", err, released)
		}
		if err == nil {
			w.got(r, after.S.Steps[step-1])
		}
	case model.AskedAgain:
		r, _, err := w.now.release(w.t, int(after.S.N))
		must(w.t, err)
		w.got(r, after.S.Steps[after.S.N-1])
	case model.Told:
		w.tell(w.now, a.Report)
	case model.ToldLate:
		w.tell(w.late, a.Report)
	}
}

// got compares what was released. A key that is new is known from then on.
func (w *twin) got(r api.Release, want model.Step) {
	if int(want.Next) == len(w.keys) {
		w.keys = append(w.keys, r.Next)
	}
	if r.Key != w.key(want.Key) || r.Next != w.key(want.Next) || (r.Action == api.ActionRotate) != want.Rotate {
		w.t.Errorf("released %+v, and the model %+v of %v", r, want, w.keys)
	}
}

func (w *twin) key(n int8) string {
	if n == model.None {
		return ""
	}
	return w.keys[n]
}

func (w *twin) tell(s *session, of model.Report) {
	r := api.Report{Step: int(of.Step) + 1, Epoch: int64(of.Epoch), Holds: api.HoldsUnknown,
		Outcome: map[int8]api.Outcome{model.Unlocked: api.OutcomeUnlocked, model.Refused: api.OutcomeRefused, model.Failed: api.OutcomeFailed}[of.Outcome]}
	switch of.Holds {
	case model.None:
	case of.Key:
		r.Holds = api.HoldsKey
	case of.Next:
		r.Holds = api.HoldsNext
	}
	if of.Left != model.None {
		left := int(of.Left)
		r.TriesLeft = &left
	}
	_, err := s.report(r, of.Proven)
	must(w.t, err)
}

// compare compares what both know of the card.
func (w *twin) compare(want model.Service) {
	have, _ := w.candidates(w.t, w.chip)
	keys := []string{w.key(want.Current)}
	if want.Pending != model.None {
		keys = append(keys, w.key(want.Pending))
	}
	row := w.row(w.t, w.chip)
	left := int8(model.None)
	if row.TriesLeft != store.TriesUnknown {
		left = int8(row.TriesLeft)
	}
	if !slices.Equal(have, keys) || row.Epoch != int64(want.Epoch) || left != want.Left || want.Pending != model.None && row.PendingFirst != want.PendingFirst {
		w.t.Errorf("keys %v, epoch %d, pending first %v, left %d, and the model %v, %+v", have, row.Epoch, row.PendingFirst, left, keys, want)
	}
}
