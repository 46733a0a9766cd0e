package escrow_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
)

func missing(path string) error {
	err := os.Remove(path)
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// TestEveryRestore: the database is restored to every point of every history of
// some attempts. Nothing is released before what the journal has is back, then
// the card's key is among the candidates and the card is unlocked without its
// last try being spent (R2, R3, R7).
func TestEveryRestore(t *testing.T) {
	for name, test := range map[string]struct {
		url      func(testing.TB) string
		attempts int
	}{
		"sqlite":   {func(t testing.TB) string { return filepath.Join(t.TempDir(), "test.db") }, 2},
		"postgres": {pgtest.URL, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, test.url(t), escrow.Breaker{})
			attempts := test.attempts
			if os.Getenv("LATCHKEY_SOAK") != "" {
				attempts++
			}
			var all restored
			for _, history := range histories(attempts) {
				all.add(s.everyRestore(t, history))
			}
			t.Logf("%d restores, %d of them to a database without the card's key", all.cases, all.lacking)
			if all.cases < len(fates)*2 || all.lacking < 2 {
				t.Errorf("%+v is too little to say anything", all)
			}
		})
	}
}

// histories are all sequences of n fates.
func histories(n int) [][]string {
	all := [][]string{nil}
	for range n {
		var longer [][]string
		for _, h := range all {
			for _, fate := range fates {
				longer = append(longer, append(slices.Clone(h), fate))
			}
		}
		all = longer
	}
	return all
}

// restored counts.
type restored struct{ cases, lacking int }

func (r *restored) add(more restored) {
	r.cases, r.lacking = r.cases+more.cases, r.lacking+more.lacking
}

func (s *site) everyRestore(t *testing.T, history []string) (all restored) {
	c := s.issue(t, false)
	points := []string{s.backup()}
	for _, fate := range history {
		s.live(t, c, fate, func() { points = append(points, s.backup()) })
	}
	defer s.drop(points...)
	end := *c
	for i, point := range points {
		*c = end
		c.tries, c.fewest = fullTries, fullTries
		when := strings.Join(history, ", ") + ": restored to point " + point
		s.restore(point)
		all.cases++
		if have, _ := s.candidates(t, c); !slices.Contains(have, c.puk) {
			all.lacking++
		}
		if i < len(points)-1 { // releases or reports are lost
			a := s.begin2(t, c)
			_, _, err := a.release(t, 1)
			if code := problem.CodeOf(err); err != nil && code != problem.EscrowBehind && code != problem.CardBehind {
				t.Fatalf("%s: %v", when, err)
			}
			if err == nil {
				s.knows(t, c, when+", and released without a word")
			}
			s.restore(point) // that attempt did not happen
		}
		r, err := s.reconcile(t, escrow.ReconcileOptions{})
		if err != nil || !r.Released {
			t.Fatalf("%s: %+v, %v", when, r, err)
		}
		s.knows(t, c, when)
		if again, err := s.reconcile(t, escrow.ReconcileOptions{}); err != nil || again.Keys+again.Cards != 0 {
			t.Fatalf("%s: reconciled again: %+v, %v", when, again, err)
		}
		s.unlocks(t, c, 2, when)
		s.knows(t, c, when+", after")
	}
	// The journal has what these attempts have added: back to the state that
	// goes with it.
	s.restore(points[0])
	if _, err := s.reconcile(t, escrow.ReconcileOptions{}); err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *site) begin2(t fataler, c *chip) *session { return s.vault.begin(t, c) }

// TestNothingIsReleasedWhenBehind: a database that is restored to before a
// release notices, tells every node, and goes on after reconcile.
func TestNothingIsReleasedWhenBehind(t *testing.T) {
	sites(t, func(t *testing.T, s *site) {
		c, other := s.issue(t, false), s.issue(t, false)
		point := s.backup()
		s.live(t, c, "fine", func() {})
		s.restore(point)
		for range 2 { // every card of the database waits
			if _, _, err := s.begin2(t, other).release(t, 1); problem.CodeOf(err) != problem.EscrowBehind {
				t.Fatalf("released: %v", err)
			}
		}
		must(t, s.db.View(t.Context(), func(tx *store.Tx) error {
			c, err := tx.ReleaseControl(t.Context())
			if c.State != store.ReleasesBehind {
				t.Errorf("the control says %s", c.State)
			}
			return err
		}))
		if err := s.db.Update(t.Context(), func(tx *store.Tx) error { return escrow.StartReleases(t.Context(), tx, "never mind") }); problem.CodeOf(err) != problem.EscrowBehind {
			t.Errorf("an operator has started releases: %v", err)
		}
		if err := s.journal.Check(t.Context(), s.db); problem.CodeOf(err) != problem.EscrowBehind {
			t.Errorf("check: %v", err)
		}
		r, err := s.reconcile(t, escrow.ReconcileOptions{})
		if err != nil || r.Entries != 1 || r.Keys != 1 || r.Cards != 1 || !r.Released {
			t.Fatalf("%+v, %v", r, err)
		}
		must(t, s.journal.Check(t.Context(), s.db))
		s.unlocks(t, other, 1, "the other card")
		s.unlocks(t, c, 1, "the card")
	})
}

// sites runs a test on both databases.
func sites(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newSite(t, filepath.Join(t.TempDir(), "test.db"), escrow.Breaker{}))
	})
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, newSite(t, pgtest.URL(t), escrow.Breaker{})) })
}

// TestTwoNodesAreReconciled: after a restore releases wait for the journals of
// all nodes. One of a node that is gone is read from its file, or given up.
func TestTwoNodesAreReconciled(t *testing.T) {
	sites(t, func(t *testing.T, a *site) {
		b := a.node("b")
		one, two := a.issue(t, false), a.issue(t, false)
		point := a.backup()
		a.live(t, one, "lost behind the card", func() {})
		b.live(t, two, "lost behind the card", func() {})
		a.restore(point)
		if _, _, err := b.begin2(t, one).release(t, 1); problem.CodeOf(err) != problem.EscrowBehind {
			t.Fatalf("released: %v", err)
		}
		r, err := a.reconcile(t, escrow.ReconcileOptions{})
		if problem.CodeOf(err) != problem.ReconcileOpen || r.Released || !slices.Equal(r.Waiting, []string{"b"}) {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, _, err := a.begin2(t, one).release(t, 1); problem.CodeOf(err) != problem.EscrowBehind {
			t.Fatalf("released: %v", err)
		}
		if r, err = a.reconcile(t, escrow.ReconcileOptions{File: a.path("b")}); err != nil || !r.Released {
			t.Fatalf("%+v, %v", r, err)
		}
		a.knows(t, one, "one")
		a.knows(t, two, "two")
		b.unlocks(t, one, 1, "one")
		a.unlocks(t, two, 1, "two")

		// Restored again, and b is lost for good.
		point = a.backup()
		a.live(t, one, "fine", func() {})
		a.restore(point)
		must(t, missing(a.path("b")))
		if r, err = a.reconcile(t, escrow.ReconcileOptions{}); err != nil && !slices.Equal(r.Waiting, []string{"b"}) {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, _, err := b.begin2(t, one).release(t, 1); problem.CodeOf(err) != problem.JournalMissing {
			t.Fatalf("released by a node without its journal: %v", err)
		}
		must(t, escrow.LoseJournals(t.Context(), a.db, "b"))
		if r, err = a.reconcile(t, escrow.ReconcileOptions{}); err != nil || !r.Released {
			t.Fatalf("%+v, %v", r, err)
		}
		a.unlocks(t, one, 1, "in the end")
	})
}

// TestOneNodeTellsOfTheOther: where the journal that is ahead belongs to a
// node that does not run, the other one knows from its own that the database
// had come further.
func TestOneNodeTellsOfTheOther(t *testing.T) {
	sites(t, func(t *testing.T, a *site) {
		b := a.node("b")
		one, two := a.issue(t, false), a.issue(t, false)
		a.live(t, two, "fine", func() {})
		point := a.backup()
		b.live(t, one, "fine", func() {})
		must(t, a.journal.Check(t.Context(), a.db)) // it sees where b's journal is
		a.restore(point)
		if _, _, err := a.begin2(t, two).release(t, 1); problem.CodeOf(err) != problem.EscrowBehind {
			t.Fatalf("released: %v", err)
		}
		if r, err := a.reconcile(t, escrow.ReconcileOptions{}); problem.CodeOf(err) != problem.ReconcileOpen || !slices.Contains(r.Waiting, "b") {
			t.Fatalf("%+v, %v", r, err)
		}
		if r, err := b.reconcile(t, escrow.ReconcileOptions{}); err != nil || !r.Released {
			t.Fatalf("%+v, %v", r, err)
		}
		a.unlocks(t, one, 1, "one")
	})
}

// TestLostJournal: without its journal a node releases nothing until an
// operator has accepted that; what went on meanwhile is put together when the
// old file is found.
func TestLostJournal(t *testing.T) {
	for _, fate := range fates {
		t.Run(fate, func(t *testing.T) {
			sites(t, func(t *testing.T, s *site) {
				c := s.issue(t, false)
				s.live(t, c, "fine", func() {})
				point := s.backup()
				s.live(t, c, "lost behind the card", func() {})
				s.restore(point)
				old := s.path("old")
				must(t, os.Rename(s.path("a"), old))
				if _, _, err := s.begin2(t, c).release(t, 1); problem.CodeOf(err) != problem.JournalMissing {
					t.Fatalf("released: %v", err)
				}
				must(t, s.journal.Start(t.Context(), s.db)) // the service starts, and makes none
				if _, _, err := s.begin2(t, c).release(t, 1); problem.CodeOf(err) != problem.JournalMissing {
					t.Fatalf("released: %v", err)
				}
				must(t, s.journal.Accept(t.Context(), s.db, missing))
				s.live(t, c, fate, func() {})
				r, err := s.reconcile(t, escrow.ReconcileOptions{File: old})
				must(t, err)
				if !r.Released || r.Keys != 1 {
					t.Fatalf("%+v", r)
				}
				s.knows(t, c, "reconciled")
				c.tries, c.fewest = fullTries, fullTries
				s.unlocks(t, c, 2, "reconciled")
			})
		})
	}
}

// TestRestoreKeepsWhichKeyWasTried: the database is restored to before an
// attempt that made no key, but presented the card with the wrong one of two.
// It notices, and afterwards the other one is tried first (R3).
func TestRestoreKeepsWhichKeyWasTried(t *testing.T) {
	for name, steps := range map[string]int{"the first was refused": 1, "and then the second released": 2} {
		t.Run(name, func(t *testing.T) {
			sites(t, func(t *testing.T, s *site) {
				c := s.issue(t, false)
				s.live(t, c, "lost before the card", func() {})
				point := s.backup()
				a := s.begin2(t, c)
				r, epoch, err := a.release(t, 1)
				must(t, err)
				if c.present(r.Key) {
					t.Fatal("the key that the card never took was not tried first")
				}
				if steps > 1 {
					_, err := a.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown}, true)
					must(t, err)
					_, _, err = a.release(t, 2) // and the card is never presented with it
					must(t, err)
				}
				s.restore(point)
				if _, _, err := s.begin2(t, c).release(t, 1); problem.CodeOf(err) != problem.EscrowBehind {
					t.Fatalf("released: %v", err)
				}
				if r, err := s.reconcile(t, escrow.ReconcileOptions{}); err != nil || !r.Released {
					t.Fatalf("%+v, %v", r, err)
				}
				s.unlocks(t, c, 1, "reconciled")
				if c.fewest != fullTries-1 {
					t.Errorf("the wrong key was presented once more: %d tries were left", c.fewest)
				}
			})
		})
	}
}

// TestReconcileBeforeAnyRelease: the journal has nothing yet, and there is
// nothing to do.
func TestReconcileBeforeAnyRelease(t *testing.T) {
	sites(t, func(t *testing.T, s *site) {
		if r, err := s.reconcile(t, escrow.ReconcileOptions{}); err != nil || !r.Released || r.Entries != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		must(t, escrow.LoseJournals(t.Context(), s.db, "a"))
	})
}

// TestReportsAreLost: the database is restored to after a release, and lacks
// the report alone that its key was refused. What it knows of the release still
// counts.
func TestReportsAreLost(t *testing.T) {
	sites(t, func(t *testing.T, s *site) {
		c := s.issue(t, false)
		s.live(t, c, "lost before the card", func() {})
		a := s.begin2(t, c)
		r, epoch, err := a.release(t, 1)
		must(t, err)
		point := s.backup()
		if c.present(r.Key) {
			t.Fatal("the key that the card never took was not tried first")
		}
		_, err = a.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown}, true)
		must(t, err)
		s.restore(point)
		if _, _, err := s.begin2(t, c).release(t, 1); problem.CodeOf(err) != problem.CardBehind {
			t.Fatalf("released: %v", err)
		}
		if r, err := s.reconcile(t, escrow.ReconcileOptions{}); err != nil || !r.Released || r.Cards != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		s.unlocks(t, c, 1, "reconciled")
		if c.fewest != fullTries-1 {
			t.Errorf("the wrong key was presented once more: %d tries were left", c.fewest)
		}
	})
}

// TestReconcileAfterTheClockWasSetBack: the newest key was made at an earlier
// time than the one before it.
func TestReconcileAfterTheClockWasSetBack(t *testing.T) {
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	s := newSiteAt(t, filepath.Join(t.TempDir(), "test.db"), escrow.Breaker{}, func() time.Time { return now })
	c := s.issue(t, false)
	s.live(t, c, "fine", func() {})
	point := s.backup()
	now = now.Add(-time.Hour)
	s.live(t, c, "lost behind the card", func() {})
	s.restore(point)
	if r, err := s.reconcile(t, escrow.ReconcileOptions{}); err != nil || !r.Released || r.Several != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	s.knows(t, c, "reconciled")
	s.unlocks(t, c, 1, "reconciled")
}
