package escrow_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"latchkey/internal/api"
	"latchkey/internal/problem"
)

// attempt is an application with a card, taken one act at a time, so that it
// can be stopped, or overtaken by another, between any two.
type attempt struct {
	*session
	step     int
	released api.Release
	epoch    int64
	pending  *api.Report // what it has to report
	next     func(t *rapid.T)
	proves   bool // the card can sign
	sent     []api.Report
	done     bool // it has seen the card unlocked, its key changed and reported
	given    bool // up: nothing follows
}

func (v *vault) attempt(t *rapid.T, c *chip, proves bool) *attempt {
	a := &attempt{session: v.begin(t, c), proves: proves}
	a.next = a.ask
	return a
}

// ask asks for the next step.
func (a *attempt) ask(t *rapid.T) {
	a.step++
	var err error
	a.released, a.epoch, err = a.release(t, a.step)
	if problem.CodeOf(err) == problem.ReleaseMismatch && a.step > 1 {
		a.step--
		a.given, a.next = true, nil // another has gone on with the card meanwhile
		return
	}
	if err != nil {
		t.Fatalf("step %d: %v", a.step, err)
	}
	if a.next = a.unblock; a.released.Action == api.ActionRotate {
		a.next = a.change
	}
}

// unblock presents the released key to the card.
func (a *attempt) unblock(*rapid.T) {
	switch {
	case !a.chip.present(a.released.Key):
		a.tell(api.OutcomeRefused, api.HoldsUnknown)
	case a.released.Next == "":
		a.tell(api.OutcomeUnlocked, api.HoldsKey)
	default:
		a.next = a.change
	}
}

// change has the card take the next key. Another application may have changed
// it since: then it refuses.
func (a *attempt) change(*rapid.T) {
	if !a.chip.present(a.released.Key) {
		a.tell(api.OutcomeRefused, api.HoldsUnknown)
		return
	}
	a.chip.puk = a.released.Next
	a.tell(api.OutcomeUnlocked, api.HoldsNext)
}

func (a *attempt) tell(o api.Outcome, h api.Holds) {
	a.pending = &api.Report{Step: a.step, Epoch: a.epoch, Outcome: o, Holds: h}
	a.next = a.reportIt
}

func (a *attempt) reportIt(t *rapid.T) {
	out, err := a.report(*a.pending, a.proves)
	if err != nil {
		t.Fatalf("report %+v: %v", *a.pending, err)
	}
	a.sent = append(a.sent, *a.pending)
	switch {
	case out.NextStep != 0:
		a.next = a.ask
	case a.pending.Outcome == api.OutcomeUnlocked:
		a.done, a.next = true, nil
	default:
		a.given, a.next = true, nil
	}
}

// run takes an attempt to its end.
func (a *attempt) run(t *rapid.T) {
	for a.next != nil {
		a.next(t)
	}
}

// held makes sure of R2 and of the promise of two candidates.
func (v *vault) held(t *rapid.T, c *chip, when string) {
	have, _ := v.candidates(t, c)
	if !slices.Contains(have, c.puk) {
		t.Fatalf("%s: the card's key is not among the %d candidates", when, len(have))
	}
	if len(have) > 2 {
		t.Fatalf("%s: %d candidates", when, len(have))
	}
}

// quick is a vault whose database does not wait for the disk: power cuts are
// not what these tests are about.
func quick(t *testing.T) *vault {
	v := newVault(t, filepath.Join(t.TempDir(), "test.db"))
	_, err := v.db.SQL().ExecContext(t.Context(), `PRAGMA synchronous = OFF`)
	must(t, err)
	return v
}

// TestCardsKeyIsAlwaysACandidate: any number of applications, each stopped
// anywhere, overtaken by others, their reports sent late, twice or by a liar
// without proof. After each act the key on the card is one of the two that the
// escrow holds (R2, R7).
func TestCardsKeyIsAlwaysACandidate(t *testing.T) {
	v := quick(t)
	rapid.Check(t, func(t *rapid.T) {
		c := v.issue(t, false)
		proves := rapid.Bool().Draw(t, "the card can sign")
		var all []*attempt
		some := func(t *rapid.T) *attempt {
			if len(all) == 0 {
				t.Skip("nobody there")
			}
			return all[rapid.IntRange(0, len(all)-1).Draw(t, "who")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				if len(all) < 5 {
					all = append(all, v.attempt(t, c, proves))
				}
			},
			"go on": func(t *rapid.T) {
				if a := some(t); a.next != nil {
					a.next(t)
				}
			},
			"go on ": func(t *rapid.T) { // twice as often as the others
				if a := some(t); a.next != nil {
					a.next(t)
				}
			},
			"say again": func(t *rapid.T) {
				if a := some(t); len(a.sent) > 0 {
					if _, err := a.report(rapid.SampledFrom(a.sent).Draw(t, "which"), a.proves); err != nil {
						t.Fatal(err)
					}
				}
			},
			"lie": func(t *rapid.T) {
				a := some(t)
				if a.step == 0 {
					t.Skip("it has been told nothing")
				}
				lie := api.Report{Step: rapid.IntRange(1, a.step).Draw(t, "step"), Epoch: a.epoch,
					Outcome: rapid.SampledFrom([]api.Outcome{api.OutcomeUnlocked, api.OutcomeRefused, api.OutcomeBlocked, api.OutcomeFailed}).Draw(t, "outcome"),
					Holds:   rapid.SampledFrom([]api.Holds{api.HoldsKey, api.HoldsNext, api.HoldsUnknown}).Draw(t, "holds")}
				_, _ = a.report(lie, false) // whether it is taken is all the same
			},
			"": func(t *rapid.T) { v.held(t, c, "now") },
		})
		// In the end one application that nobody disturbs unlocks the card.
		c.tries = fullTries
		last := v.attempt(t, c, proves)
		last.run(t)
		if v.held(t, c, "in the end"); !last.done {
			t.Fatalf("the card stays locked: %d tries left, sent %+v", c.tries, last.sent)
		}
	})
}

// TestCrashesInARow: an application that is stopped anywhere in two attempts in
// a row, after any history, leaves a card that the next attempt unlocks without
// its last try being spent (R3, R7).
func TestCrashesInARow(t *testing.T) {
	v := quick(t)
	rapid.Check(t, func(t *rapid.T) {
		c := v.issue(t, false)
		proves := rapid.Bool().Draw(t, "the card can sign")
		for round := range rapid.IntRange(1, 3).Draw(t, "rounds") {
			for n := range rapid.IntRange(0, 2).Draw(t, "crashes") {
				a := v.attempt(t, c, proves)
				for acts := rapid.IntRange(0, 12).Draw(t, "acts"); acts > 0 && a.next != nil; acts-- {
					a.next(t)
					v.held(t, c, fmt.Sprintf("round %d, crash %d", round, n))
				}
			}
			a := v.attempt(t, c, proves)
			a.run(t)
			if v.held(t, c, "after it all"); !a.done || c.tries != fullTries {
				t.Fatalf("round %d: not unlocked, %d tries left", round, c.tries)
			}
			if c.fewest < 1 {
				t.Fatalf("round %d: the last try was spent", round)
			}
		}
	})
}
