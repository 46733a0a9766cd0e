package escrow

import (
	"fmt"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/cardkey"
	"latchkey/internal/store"
)

// The candidates of these tests, and a key that was current before.
var (
	current = &store.Key{Kind: cardkey.PUK, ID: "current"}
	pending = &store.Key{Kind: cardkey.PUK, ID: "pending"}
	retired = &store.Key{Kind: cardkey.PUK, ID: "retired"}
)

// released is a step with its outcome.
func released(a api.Action, key, next *store.Key, o api.Outcome, h api.Holds, proven bool) store.Release {
	r := store.Release{Action: string(a), KeyID: key.ID, Outcome: string(o), Holds: string(h), Proven: proven}
	if next != nil {
		r.NextID = next.ID
	}
	return r
}

// show is a plan in words: "unblock current, then change to pending".
func show(p planned, ok bool) string {
	if !ok {
		return "nothing"
	}
	s := fmt.Sprintf("%s %s", p.action, p.key.ID)
	switch {
	case p.rotates && p.next == nil:
		s += " -> fresh"
	case p.next != nil:
		s += " -> " + p.next.ID
	}
	return s
}

// TestFirstStep is the first column of docs/architecture.md, The unlocking
// keys of a card: what a new session tries first.
func TestFirstStep(t *testing.T) {
	for _, test := range []struct {
		have         pair
		pendingFirst bool
		want         string
	}{
		{pair{current: current}, false, "unblock current -> fresh"},
		{pair{current: current}, true, "unblock current -> fresh"}, // there is no pending key to begin with
		{pair{current: current, pending: pending}, false, "unblock current -> pending"},
		{pair{current: current, pending: pending, neverTaken: true}, true, "unblock current -> pending"},
		{pair{current: current, pending: pending}, true, "unblock pending"}, // no third key before it has proven itself
	} {
		if got := show(plan(test.have, test.pendingFirst, nil)); got != test.want {
			t.Errorf("pending first %v: %s, want %s", test.pendingFirst, got, test.want)
		}
	}
}

// TestStepAfterStep is exhaustive: every outcome of every step that plan gives,
// for every pair of candidates, and what follows it.
func TestStepAfterStep(t *testing.T) {
	for _, have := range []pair{{current: current}, {current: current, pending: pending}, {current: current, pending: pending, neverTaken: true}} {
		for _, pendingFirst := range []bool{false, true} {
			for _, o := range []api.Outcome{"", api.OutcomeUnlocked, api.OutcomeRefused, api.OutcomeBlocked, api.OutcomeFailed} {
				for _, proven := range []bool{false, true} {
					for _, key := range []*store.Key{current, pending, retired} {
						for _, next := range []*store.Key{nil, pending} {
							for _, action := range []api.Action{api.ActionUnblock, api.ActionRotate} {
								done := []store.Release{released(action, key, next, o, api.HoldsUnknown, proven)}
								got := show(plan(have, pendingFirst, done))
								if want := follows(have, action, key, next, o, proven); got != want {
									t.Errorf("%s %s (next %v) was %q, proven %v, of %v: %s, want %s", action, key.ID, next != nil, o, proven, have.pending != nil, got, want)
								}
							}
						}
					}
				}
			}
		}
	}
}

// follows says it the other way round than plan: the cases of the table in
// which the same session goes on.
func follows(have pair, action api.Action, key, next *store.Key, o api.Outcome, proven bool) string {
	other := have.current
	if key == have.current {
		other = have.pending
		if have.neverTaken {
			other = nil
		}
	}
	switch {
	case action == api.ActionUnblock && (o == api.OutcomeRefused || o == api.OutcomeFailed) && other != nil:
		return "unblock " + other.ID // the other one, to unblock only
	case action == api.ActionUnblock && o == api.OutcomeUnlocked && proven && next == nil && key == have.current && have.pending == nil:
		return "rotate current -> fresh"
	case action == api.ActionUnblock && o == api.OutcomeUnlocked && proven && next == nil && key == have.current:
		return "rotate current -> pending"
	}
	return "nothing"
}

// TestEachKeyOnce: a session never presents the same key twice, whatever the
// card says to it.
func TestEachKeyOnce(t *testing.T) {
	have := pair{current: current, pending: pending}
	for _, first := range []*store.Key{current, pending} {
		second := map[*store.Key]*store.Key{current: pending, pending: current}[first]
		done := []store.Release{
			released(api.ActionUnblock, first, nil, api.OutcomeRefused, api.HoldsUnknown, true),
			released(api.ActionUnblock, second, nil, api.OutcomeRefused, api.HoldsUnknown, true),
		}
		for _, pendingFirst := range []bool{false, true} {
			if got := show(plan(have, pendingFirst, done)); got != "nothing" {
				t.Errorf("both were refused, then %s", got)
			}
		}
	}
}

// TestWhichReportCounts: of two reports about one step the one with proof, of
// two alike the first. "Failed" says nothing.
func TestWhichReportCounts(t *testing.T) {
	type report struct {
		o      api.Outcome
		proven bool
	}
	all := []report{{"", false}}
	for _, o := range []api.Outcome{api.OutcomeUnlocked, api.OutcomeRefused, api.OutcomeBlocked, api.OutcomeFailed} {
		all = append(all, report{o, false}, report{o, true})
	}
	for _, have := range all {
		for _, more := range all[1:] {
			want := have.o == "" || // nothing known yet
				!have.proven && more.proven || // proof over claim
				(more.proven || !have.proven) && have.o == api.OutcomeFailed && more.o != api.OutcomeFailed // something over nothing
			row := store.Release{Outcome: string(have.o), Proven: have.proven}
			if got := counts(row, more.o, more.proven); got != want {
				t.Errorf("after %+v, %+v counts: %v", have, more, got)
			}
		}
	}
}
