package escrow_test

import (
	"context"
	"slices"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

func wantCode(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// TestTable is docs/architecture.md, The unlocking keys of a card, line by
// line: what came before, and what the next attempt is given.
func TestTable(t *testing.T) {
	// The keys of a card: what it was issued with, and the one that the first
	// release made.
	const issued, fresh, third = "issued", "fresh", "third"
	reported := func(o api.Outcome, h api.Holds, proven bool) func(t *testing.T, s *session, epoch int64) {
		return func(t *testing.T, s *session, epoch int64) {
			_, err := s.report(api.Report{Step: 1, Epoch: epoch, Outcome: o, Holds: h}, proven)
			must(t, err)
		}
	}
	// askedAgain: an attempt that nobody knows the end of went before.
	askedAgain := func(then func(*testing.T, *session, int64)) func(*testing.T, *session, int64) {
		return func(t *testing.T, s *session, epoch int64) {
			_, _, err := s.release(t, 1)
			must(t, err)
			then(t, s, epoch)
		}
	}
	refusedThen := func(o api.Outcome, h api.Holds, proven bool) func(t *testing.T, s *session, epoch int64) {
		return func(t *testing.T, s *session, epoch int64) {
			askedAgain(reported(api.OutcomeRefused, api.HoldsUnknown, true))(t, s, epoch)
			r, epoch, err := s.release(t, 2)
			must(t, err)
			if r.Next != "" || r.Action != api.ActionUnblock {
				t.Errorf("after a refusal: %s, next %v: a try is spent", r.Action, r.Next != "")
			}
			if o == "" {
				return
			}
			_, err = s.report(api.Report{Step: 2, Epoch: epoch, Outcome: o, Holds: h}, proven)
			must(t, err)
		}
	}
	cases := map[string]struct {
		before     func(t *testing.T, s *session, epoch int64)
		candidates int
		key, next  string // of the next attempt
	}{
		"released, no report":     {func(*testing.T, *session, int64) {}, 2, fresh, ""},
		"failed":                  {reported(api.OutcomeFailed, api.HoldsUnknown, true), 2, fresh, ""},
		"unlocked, holds unknown": {reported(api.OutcomeUnlocked, api.HoldsUnknown, true), 2, fresh, ""},
		"proven, holds next":      {reported(api.OutcomeUnlocked, api.HoldsNext, true), 1, fresh, third},
		"proven, holds key":       {reported(api.OutcomeUnlocked, api.HoldsKey, true), 2, issued, fresh},
		"claimed, holds next":     {reported(api.OutcomeUnlocked, api.HoldsNext, false), 2, fresh, ""},
		"claimed, holds key":      {reported(api.OutcomeUnlocked, api.HoldsKey, false), 2, issued, fresh},
		"refused, asked twice":    {askedAgain(reported(api.OutcomeRefused, api.HoldsUnknown, true)), 2, fresh, ""},
		// It holds neither: it was never told to take the other one.
		"refused, asked once":   {reported(api.OutcomeRefused, api.HoldsUnknown, true), 2, issued, fresh},
		"claimed to be refused": {reported(api.OutcomeRefused, api.HoldsUnknown, false), 2, fresh, ""},
		"blocked":               {reported(api.OutcomeBlocked, api.HoldsUnknown, true), 2, issued, fresh},
		// The card has signed that it refuses the issued key: whatever follows,
		// it holds the other.
		"refused, other released":       {refusedThen("", "", false), 2, fresh, ""},
		"refused, other unlocks":        {refusedThen(api.OutcomeUnlocked, api.HoldsKey, true), 1, fresh, third},
		"refused, other claims to":      {refusedThen(api.OutcomeUnlocked, api.HoldsKey, false), 2, fresh, ""},
		"refused, nothing known of it":  {refusedThen(api.OutcomeFailed, api.HoldsUnknown, true), 2, fresh, ""},
		"refused, other refused":        {refusedThen(api.OutcomeRefused, api.HoldsUnknown, true), 2, fresh, ""},
		"refused, other claims refusal": {refusedThen(api.OutcomeRefused, api.HoldsUnknown, false), 2, fresh, ""},
	}
	on(t, func(t *testing.T, v *vault) {
		for name, test := range cases {
			t.Run(name, func(t *testing.T) {
				c := v.issue(t, false)
				s := v.begin(t, c)
				r, epoch, err := s.release(t, 1)
				must(t, err)
				if r.Key != c.puk || r.Next == "" || r.Next == r.Key || r.Action != api.ActionUnblock {
					t.Fatal("the first attempt is not: current, then change to pending")
				}
				test.before(t, s, epoch)
				have, _ := v.candidates(t, c)
				if len(have) != test.candidates {
					t.Errorf("%d candidates, want %d", len(have), test.candidates)
				}
				names := map[string]string{r.Key: issued, r.Next: fresh, "": ""}
				after, _, err := v.begin(t, c).release(t, 1)
				must(t, err)
				name := func(puk string) string {
					if n, ok := names[puk]; ok {
						return n
					}
					return third
				}
				if name(after.Key) != test.key || name(after.Next) != test.next {
					t.Errorf("then %s -> %q, want %s -> %q", name(after.Key), name(after.Next), test.key, test.next)
				}
			})
		}
	})
}

// TestOrderFlips: attempt after attempt that tells nothing, the two keys take
// turns, and no third is made.
func TestOrderFlips(t *testing.T) {
	v := newVault(t, t.TempDir()+"/test.db")
	c := v.issue(t, false)
	var first []string
	for range 6 {
		r, _, err := v.begin(t, c).release(t, 1)
		must(t, err)
		first = append(first, r.Key)
	}
	have, ever := v.candidates(t, c)
	if want := []string{have[0], have[1], have[0], have[1], have[0], have[1]}; ever != 2 || !slices.Equal(first, want) {
		t.Errorf("%d keys; tried %v of %v", ever, first, have)
	}
}

// TestSteps: a step is given again as it was, and none is left out.
func TestSteps(t *testing.T) {
	on(t, func(t *testing.T, v *vault) {
		c := v.issue(t, false)
		s := v.begin(t, c)
		for _, step := range []int{0, -1, 2, 99} {
			_, _, err := s.release(t, step)
			wantCode(t, err, problem.ReleaseMismatch)
		}
		if have, _ := v.candidates(t, c); len(have) != 1 {
			t.Errorf("a refused release made a key: %d candidates", len(have))
		}
		first, epoch, err := s.release(t, 1)
		must(t, err)
		before := v.row(t, c)
		again, _, err := s.release(t, 1)
		must(t, err)
		if again != first || v.row(t, c).TriesOut != before.TriesOut || before.TriesOut != 1 {
			t.Errorf("asked again, another answer came, or a try was counted twice: %d", v.row(t, c).TriesOut)
		}
		_, _, err = s.release(t, 2) // no outcome of the first yet
		wantCode(t, err, problem.ReleaseMismatch)
		_, err = s.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}, true)
		must(t, err)
		again, _, err = s.release(t, 1) // the answer got lost, the report did not
		must(t, err)
		if again != first || v.row(t, c).TriesOut != 0 {
			t.Errorf("after the report another answer came; %d tries out", v.row(t, c).TriesOut)
		}
		_, _, err = s.release(t, 2)
		wantCode(t, err, problem.ReleaseMismatch)
	})
}

func TestCardWithoutAKey(t *testing.T) {
	v := newVault(t, t.TempDir()+"/test.db")
	with, without := v.issue(t, false), v.issue(t, true)
	_, _, err := v.begin(t, without).release(t, 1)
	wantCode(t, err, problem.CardNoKey)
	for c, want := range map[*chip]bool{with: true, without: false} {
		must(t, v.db.View(t.Context(), func(tx *store.Tx) error {
			if has, err := v.HasKey(t.Context(), tx, c.id); err != nil || has != want {
				t.Errorf("%s: %v, %v", c.id, has, err)
			}
			return nil
		}))
	}
}

// TestReportsOfNothing: a step that was never released, or of another epoch.
func TestReportsOfNothing(t *testing.T) {
	v := newVault(t, t.TempDir()+"/test.db")
	c := v.issue(t, false)
	s := v.begin(t, c)
	unlocked := func(step int, epoch int64) error {
		_, err := s.report(api.Report{Step: step, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}, true)
		return err
	}
	wantCode(t, unlocked(1, 1), problem.ReportMismatch)
	_, epoch, err := s.release(t, 1)
	must(t, err)
	for _, bad := range [][2]int64{{0, epoch}, {-1, epoch}, {2, epoch}, {1, epoch + 1}, {1, epoch - 1}} {
		wantCode(t, unlocked(int(bad[0]), bad[1]), problem.ReportMismatch)
	}
	if have, _ := v.candidates(t, c); len(have) != 2 {
		t.Errorf("%d candidates", len(have))
	}
}

// TestLateReportIsEvidence: a report of an epoch that has passed changes
// neither keys nor order, and is in the trail.
func TestLateReportIsEvidence(t *testing.T) {
	on(t, func(t *testing.T, v *vault) {
		c := v.issue(t, false)
		old, newer := v.begin(t, c), v.begin(t, c)
		_, _, err := old.release(t, 1)
		must(t, err)
		r, epoch, err := newer.release(t, 1) // the pending key first
		must(t, err)
		_, err = newer.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsKey}, true)
		must(t, err)
		before := v.row(t, c)
		for _, o := range []api.Outcome{api.OutcomeFailed, api.OutcomeRefused, api.OutcomeBlocked, api.OutcomeUnlocked} {
			_, err = old.report(api.Report{Step: 1, Epoch: epoch, Outcome: o, Holds: api.HoldsNext}, o != api.OutcomeFailed)
			must(t, err)
		}
		after := v.row(t, c)
		if have, _ := v.candidates(t, c); before.Epoch != epoch+1 || !slices.Equal(have, []string{r.Key}) ||
			after.Epoch != before.Epoch || after.PendingFirst != before.PendingFirst || after.OpenAttempt != before.OpenAttempt {
			t.Errorf("a late report changed %+v to %+v", before, after)
		}
		late := 0
		must(t, v.db.View(t.Context(), func(tx *store.Tx) error {
			return tx.EachAudit(context.Background(), "test", 0, func(e store.AuditEvent) error {
				if e.Action == audit.OutcomeReported && e.Details["late"] != "" {
					late++
				}
				return nil
			})
		}))
		if late != 2 { // the claim that says nothing, then the first with proof
			t.Errorf("%d late reports in the trail", late)
		}
	})
}

// TestOneOfManyReleases: releases and reports of one card at the same time, by
// many nodes, leave two candidates, of which one is the card's.
func TestManyAtOnce(t *testing.T) {
	on(t, func(t *testing.T, v *vault) {
		c := v.issue(t, false)
		ended := make(chan error)
		const many = 8
		for range many {
			s := v.begin(t, c)
			go func() {
				_, epoch, err := s.release(quitter{t}, 1)
				if err == nil {
					_, err = s.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsUnknown}, true)
				}
				ended <- err
			}()
		}
		for range many {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if have, ever := v.candidates(t, c); len(have) != 2 || ever != 2 || have[0] != c.puk {
			t.Errorf("%d candidates of %d keys", len(have), ever)
		}
	})
}

// quitter fails a test from another goroutine: by panic, for FailNow may not.
type quitter struct{ testing.TB }

func (q quitter) Fatal(args ...any)                 { panic(args) }
func (q quitter) Fatalf(format string, args ...any) { panic(args) }
