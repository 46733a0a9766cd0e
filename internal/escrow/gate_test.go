package escrow_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
)

// hand is a clock that the test moves.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.at }

func (h *hand) move(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.at = h.at.Add(d) }

// breakers runs a test on both databases with a breaker and a clock.
func breakers(t *testing.T, b escrow.Breaker, test func(t *testing.T, s *site, clock *hand)) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite": func(t testing.TB) string { return filepath.Join(t.TempDir(), "test.db") }, "postgres": pgtest.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := &hand{at: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
			test(t, newSiteAt(t, url(t), b, clock.now), clock)
		})
	}
}

// asks asks for the first step of a fresh card.
func (s *site) asks(t *testing.T, proven bool) error {
	t.Helper()
	a := s.vault.begin(t, s.issue(t, false))
	if proven {
		s.sql(`UPDATE sessions SET proven = TRUE WHERE id = '` + a.id + `'`)
	}
	_, _, err := a.release(t, 1)
	return err
}

func (s *site) state(t *testing.T) (c store.ReleaseControl) {
	t.Helper()
	must(t, s.db.View(t.Context(), func(tx *store.Tx) (err error) {
		c, err = tx.ReleaseControl(t.Context())
		return err
	}))
	return c
}

func (s *site) update(t *testing.T, fn func(context.Context, *store.Tx) error) error {
	t.Helper()
	return s.db.Update(t.Context(), func(tx *store.Tx) error { return fn(t.Context(), tx) })
}

func wants(t *testing.T, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Fatalf("got %v, want %q", err, code)
	}
}

// TestBreakerAcrossNodesAndRestarts: the releases of all nodes count together,
// a restart forgets none, and one too many stops all until an operator starts
// them.
func TestBreakerAcrossNodesAndRestarts(t *testing.T) {
	breakers(t, escrow.Breaker{PerMinute: 6, PerHour: 100}, func(t *testing.T, a *site, clock *hand) {
		b := a.node("b")
		b.made = 1000 // cards of its own
		for range 3 {
			must(t, a.asks(t, true))
			must(t, b.asks(t, true))
		}
		again := a.again("a")
		again.made = 2000
		wants(t, again.asks(t, true), problem.ReleasesTripped)
		if c := a.state(t); c.State != store.ReleasesTripped || c.Reason != "more than 6 releases a minute" || !c.ReopensAt.IsZero() {
			t.Errorf("%+v", c)
		}
		clock.move(2 * time.Hour) // no time ends it
		for _, s := range []*site{a, b, again} {
			wants(t, s.asks(t, true), problem.ReleasesTripped)
		}
		must(t, a.update(t, func(ctx context.Context, tx *store.Tx) error {
			return escrow.StartReleases(ctx, tx, "it was a training day")
		}))
		for range 6 {
			must(t, b.asks(t, true))
		}
		wants(t, b.asks(t, true), problem.ReleasesTripped)
	})
}

// TestBreakerWindows: each bound trips on its own, and counts begin again with
// their window.
func TestBreakerWindows(t *testing.T) {
	breakers(t, escrow.Breaker{PerMinute: 5, PerHour: 8, UnprovenPerMinute: 2, UnprovenPerHour: 3}, func(t *testing.T, s *site, clock *hand) {
		start := func() {
			must(t, s.update(t, func(ctx context.Context, tx *store.Tx) error { return escrow.StartReleases(ctx, tx, "again") }))
		}
		for range 2 {
			must(t, s.asks(t, false))
		}
		must(t, s.asks(t, true)) // proven cards are not among the two
		wants(t, s.asks(t, false), problem.ReleasesTripped)
		start()
		must(t, s.asks(t, false))
		must(t, s.asks(t, false))
		clock.move(time.Minute)
		must(t, s.asks(t, false))
		wants(t, s.asks(t, false), problem.ReleasesTripped) // the fourth in the hour
		start()
		for range 5 {
			must(t, s.asks(t, true))
		}
		clock.move(time.Minute)
		for range 3 {
			must(t, s.asks(t, true))
		}
		wants(t, s.asks(t, true), problem.ReleasesTripped)
		if c := s.state(t); c.Reason != "more than 8 releases an hour" {
			t.Errorf("%+v", c)
		}
		start()
		clock.move(time.Hour)
		must(t, s.asks(t, true))
	})
}

// TestBreakerReopens: after its time a tenth is let through, and all of it
// after ten quiet minutes; too many again trip it again.
func TestBreakerReopens(t *testing.T) {
	breakers(t, escrow.Breaker{PerMinute: 20, Reopen: 5 * time.Minute}, func(t *testing.T, s *site, clock *hand) {
		for range 20 {
			must(t, s.asks(t, true))
		}
		err := s.asks(t, true)
		wants(t, err, problem.ReleasesTripped)
		if p := problem.From(err); p.RetryAfter == nil || *p.RetryAfter != 301 {
			t.Errorf("retry after %v", p.RetryAfter)
		}
		clock.move(5*time.Minute - time.Second)
		wants(t, s.asks(t, true), problem.ReleasesTripped)
		clock.move(time.Second)
		must(t, s.asks(t, true))
		must(t, s.asks(t, true))
		if c := s.state(t); c.State != store.ReleasesHalfOpen {
			t.Errorf("%+v", c)
		}
		wants(t, s.asks(t, true), problem.ReleasesTripped) // more than 2 a minute
		clock.move(5 * time.Minute)
		must(t, s.asks(t, true))
		clock.move(10 * time.Minute)
		for range 20 {
			must(t, s.asks(t, true))
		}
		if c := s.state(t); c.State != store.ReleasesRunning {
			t.Errorf("%+v", c)
		}
	})
}

// TestKillSwitch: from stop on nothing leaves, not even what was released
// before, on any node; reports are taken; start ends it. All of it is in the
// trail.
func TestKillSwitch(t *testing.T) {
	sites(t, func(t *testing.T, a *site) {
		b := a.node("b")
		c := a.issue(t, false)
		attempt := a.vault.begin(t, c)
		r, epoch, err := attempt.release(t, 1)
		must(t, err)
		must(t, a.update(t, func(ctx context.Context, tx *store.Tx) error {
			return escrow.StopReleases(ctx, tx, "theft of a laptop")
		}))
		for _, s := range []*site{a, b} {
			again := &session{v: s.vault, chip: c, id: attempt.id}
			_, _, err := again.release(t, 1)
			wants(t, err, problem.ReleasesStopped)
		}
		c.present(r.Key)
		c.puk = r.Next
		_, err = attempt.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}, true)
		must(t, err)
		a.knows(t, c, "reported while stopped")
		must(t, a.update(t, func(ctx context.Context, tx *store.Tx) error { return escrow.StartReleases(ctx, tx, "found") }))
		b.unlocks(t, c, 1, "started")
		var changes []string
		must(t, a.db.View(t.Context(), func(tx *store.Tx) error {
			return tx.EachAudit(t.Context(), "test", 0, func(e store.AuditEvent) error {
				if e.Action == audit.ReleasesChanged {
					changes = append(changes, e.Actor+" "+e.Details["state"]+" "+e.Details["reason"])
				}
				return nil
			})
		}))
		if !slices.Equal(changes, []string{"operator stopped theft of a laptop", "operator running found"}) {
			t.Errorf("%q", changes)
		}
	})
}

// TestAskedAgainIsNotCounted: the same answer again is no release.
func TestAskedAgainIsNotCounted(t *testing.T) {
	breakers(t, escrow.Breaker{PerMinute: 1}, func(t *testing.T, s *site, _ *hand) {
		a := s.vault.begin(t, s.issue(t, false))
		first, _, err := a.release(t, 1)
		must(t, err)
		for range 3 {
			again, _, err := a.release(t, 1)
			must(t, err)
			if again != first {
				t.Error("another answer")
			}
		}
		wants(t, s.asks(t, true), problem.ReleasesTripped)
	})
}
