package unlock_test

import (
	"testing"

	"latchkey/internal/card/emulator"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/unlock/unlocktest"
)

// TestClosed: while releases are stopped no session begins, of a card that is
// known or not, and one that was verified gets no keys; then it does.
func TestClosed(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, c := enrolled(t, unlocktest.Options{Database: database})
		v := verified(t, x, c)
		switchTo := func(fn func(tx *store.Tx) error) {
			t.Helper()
			if err := x.DB.Update(t.Context(), fn); err != nil {
				t.Fatal(err)
			}
		}
		switchTo(func(tx *store.Tx) error { return escrow.StopReleases(t.Context(), tx, "test") })
		for _, card := range []*emulator.Card{c, newCard(t, emulator.Options{})} {
			other := &visitor{Installation: x, t: t, card: card.State(), network: "192.0.2.7"}
			if err := other.start(); problem.CodeOf(err) != problem.ReleasesStopped {
				t.Errorf("a session began: %v", err)
			}
		}
		if _, _, err := v.release(1); problem.CodeOf(err) != problem.ReleasesStopped {
			t.Errorf("released: %v", err)
		}
		switchTo(func(tx *store.Tx) error { return escrow.StartReleases(t.Context(), tx, "test") })
		if _, _, err := v.release(1); err != nil {
			t.Error(err)
		}
	})
}
