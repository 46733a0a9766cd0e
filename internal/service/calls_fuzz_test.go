package service_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/unlock/unlocktest"
)

// party is an application with a card, one of several that send whatever they
// like.
type party struct {
	*caller
	chip     *chip
	signing  []byte               // the service's public key
	released map[int]api.Envelope // by step
}

// chip is what a card holds while nobody but the test has it.
type chip struct {
	card *emulator.Card
	key  string
}

// FuzzReleaseAndReport plays two applications of one card and one of another,
// which ask for steps and send reports: true ones, replayed, reordered, forged,
// from another session, or with any body. A card's key is always among the two
// that the escrow holds, nobody opens what was sealed to another, and the
// service never fails.
func FuzzReleaseAndReport(f *testing.F) {
	x := unlocktest.New(f, unlocktest.Options{Clock: true})
	if _, err := x.DB.SQL().ExecContext(f.Context(), "PRAGMA synchronous = OFF"); err != nil { // no power cuts here
		f.Fatal(err)
	}
	f.Add([]byte{0, 0, 1, 1, 0, 1, 2, 0, 0, 0, 0, 1})                                  // ask, work, report, ask again
	f.Add([]byte{0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 2, 0, 1, 2, 1, 0, 2, 2, 0})       // each other's reports
	f.Add([]byte{0, 1, 1, 3, 1, 0x15, 3, 1, 0x2A, 0, 1, 2, 4, 1, 0x71, 2, 1, 0})       // forged, then the next step
	f.Add([]byte{0, 2, 1, 1, 2, 1, 2, 2, 0, 0, 1, 1, 1, 1, 1, 2, 1, 1, 2, 0, 0, 5, 1}) // two cards
	f.Add(append([]byte{5, 1, 1}, `{"step":1,"epoch":1,"outcome":"unlocked","holds":"next"}`...))
	f.Fuzz(func(t *testing.T, ops []byte) {
		w := newParties(t, x)
		for n := 0; len(ops) >= 3 && n < 40; n++ {
			if ops[0]%6 == 5 {
				w.any(w.all[int(ops[1])%len(w.all)], ops[2]%2 == 0, ops[3:])
				ops = nil
			} else {
				w.do(ops[0]%6, w.all[int(ops[1])%len(w.all)], ops[2])
				ops = ops[3:]
			}
			w.hold()
		}
	})
}

type parties struct {
	t    *testing.T
	x    *unlocktest.Installation
	all  []*party
	sent []api.Report // true ones
}

func newParties(t *testing.T, x *unlocktest.Installation) *parties {
	w := &parties{t: t, x: x}
	service, err := x.Client.Service(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, applications := range []int{2, 1} {
		card, err := emulator.New(emulator.Options{PUK: "73519264", Now: x.Now()})
		if err != nil {
			t.Fatal(err)
		}
		x.Enrol(t, card)
		c := &chip{card, "73519264"}
		for range applications { // the later one supersedes the one before
			w.all = append(w.all, &party{verified(t, x, card), c, service.SigningKey, map[int]api.Envelope{}})
		}
	}
	return w
}

func (w *parties) do(op byte, p *party, arg byte) {
	switch op {
	case 0: // ask for a step; with the signature of another one now and then
		step := 1 + int(arg)%4
		signed := step
		if arg >= 0xF0 {
			signed++
		}
		e, err := w.x.Client.Release(w.t.Context(), p.who, api.ReleaseRequest{Step: step, CardID: p.card.GUID, Slot: "9E",
			Signature: p.sign(p.proof(api.PurposeRelease, signed))})
		w.known(err)
		if err != nil {
			return
		}
		if signed != step {
			w.t.Fatalf("step %d was released for the signature of step %d", step, signed)
		}
		if before, ok := p.released[step]; ok && !slices.Equal(before.Sealed, e.Sealed) {
			w.t.Fatalf("step %d has two answers", step)
		}
		p.released[step] = e
	case 1: // have the card do as it is told, and sign what became of it
		step := 1 + int(arg)%4
		e, ok := p.released[step]
		if !ok {
			return
		}
		r, err := p.open(e, step)
		if err != nil {
			w.t.Fatal(err)
		}
		report := api.Report{Step: step, Epoch: e.Epoch, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown, Slot: "9E"}
		if r.Key == p.chip.key {
			report.Outcome, report.Holds = api.OutcomeUnlocked, api.HoldsKey
			if r.Next != "" {
				p.chip.key, report.Holds = r.Next, api.HoldsNext
			}
		}
		report.Signature = p.sign(api.OutcomeDigest("test", p.who.ID, p.card.GUID, report))
		w.sent = append(w.sent, report)
	case 2: // send one of the true reports, whosever it is
		if len(w.sent) > 0 {
			_, err := p.report(w.sent[int(arg)%len(w.sent)])
			w.known(err)
		}
	case 3, 4: // a claim, with the signature of another report where there is one
		r := api.Report{Step: 1 + int(arg)%4, Epoch: int64(arg>>2) % 4,
			Outcome: []api.Outcome{api.OutcomeUnlocked, api.OutcomeRefused, api.OutcomeBlocked, api.OutcomeFailed}[arg>>4%4],
			Holds:   []api.Holds{api.HoldsKey, api.HoldsNext, api.HoldsUnknown}[int(arg>>3)%3]}
		if op == 4 && len(w.sent) > 0 {
			r.Slot, r.Signature = "9E", w.sent[int(arg)%len(w.sent)].Signature
		}
		_, err := p.report(r)
		w.known(err)
	}
	for _, other := range w.all {
		for step, e := range other.released {
			if other != p && p.released[step].Sealed != nil {
				if _, err := p.open(e, step); err == nil {
					w.t.Fatal("one application opens what was sealed to another")
				}
			}
		}
	}
}

// open opens an answer as the application does.
func (p *party) open(e api.Envelope, step int) (api.Release, error) {
	return e.Open(p.private, p.signing, "test", p.who.ID, p.card.GUID, step)
}

// any sends any body to the release or the report of a session.
func (w *parties) any(p *party, release bool, body []byte) {
	path := api.PathReport
	if release {
		path = api.PathRelease
	}
	q, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.x.Client.Address()+strings.Replace(path, "{id}", p.who.ID, 1), strings.NewReader(string(body)))
	p.must(err)
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+p.who.Token)
	a, err := http.DefaultClient.Do(q)
	p.must(err)
	defer a.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(a.Body).Decode(&raw); err != nil && a.StatusCode != http.StatusNoContent {
		w.t.Fatalf("%d: %v", a.StatusCode, err)
	}
	if a.StatusCode >= 400 {
		w.known(problem.Decode(a.StatusCode, raw))
	}
}

// known makes sure that a refusal is one of those that are meant.
func (w *parties) known(err error) {
	w.t.Helper()
	switch code := problem.CodeOf(err); code {
	case "", problem.ReleaseMismatch, problem.ReportMismatch, problem.ProofWrong, problem.SessionReplaced, problem.SessionFinished, problem.SessionState,
		problem.RequestMalformed, problem.PUKLastTry:
	default:
		w.t.Fatalf("%s: %v", code, err)
	}
}

// hold makes sure of R2.
func (w *parties) hold() {
	w.t.Helper()
	for _, p := range w.all {
		if have := w.x.Candidates(w.t, p.chip.card); len(have) > 2 || !slices.Contains(have, p.chip.key) {
			w.t.Fatalf("%d candidates, the card's key among them: %v", len(have), slices.Contains(have, p.chip.key))
		}
	}
}
