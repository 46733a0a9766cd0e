package escrow_test

import (
	"context"
	"slices"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// onCard runs fn with the card's row locked.
func (v *vault) onCard(c *chip, fn func(ctx context.Context, tx *store.Tx, row *store.Card) error) error {
	ctx := context.Background()
	return v.db.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.LockCard(ctx, c.id)
		if err != nil {
			return err
		}
		return fn(ctx, tx, &row)
	})
}

func (v *vault) beginAdoption(c *chip, known string) (a escrow.Adoption, err error) {
	err = v.onCard(c, func(ctx context.Context, tx *store.Tx, row *store.Card) error {
		a, err = v.BeginAdoption(ctx, tx, row, cardkey.PUK, []byte(known), nil)
		return err
	})
	return a, err
}

func (v *vault) adoption(t *testing.T, c *chip) (s escrow.AdoptionState) {
	t.Helper()
	must(t, v.db.View(t.Context(), func(tx *store.Tx) (err error) {
		s, err = v.Adoption(t.Context(), tx, c.id)
		return err
	}))
	return s
}

// TestAdoptionStates from nothing to a key that an unlock has made.
func TestAdoptionStates(t *testing.T) {
	on(t, func(t *testing.T, v *vault) {
		c := v.issue(t, true)
		if s := v.adoption(t, c); s != escrow.NotAdopted {
			t.Errorf("without a key: %v", s)
		}
		a, err := v.beginAdoption(c, c.puk)
		must(t, err)
		if have, _ := v.candidates(t, c); a.Resumed || a.NextFirst || !slices.Equal(have, []string{c.puk, string(a.Next)}) || v.adoption(t, c) != escrow.AdoptionOpen {
			t.Errorf("begun: %v, %d candidates", a.Resumed, len(have))
		}
		// Nobody heard of the end: the other one first, and so on.
		for _, first := range []bool{true, false, true} {
			again, err := v.beginAdoption(c, "99999999")
			must(t, err)
			if !again.Resumed || again.NextFirst != first || string(again.Next) != string(a.Next) || string(again.Known) != c.puk {
				t.Errorf("resumed: next first %v, want %v", again.NextFirst, first)
			}
		}
		must(t, v.onCard(c, func(ctx context.Context, tx *store.Tx, row *store.Card) error {
			return v.FinishAdoption(ctx, tx, row, "robin")
		}))
		have, ever := v.candidates(t, c)
		if row := v.row(t, c); !slices.Equal(have, []string{string(a.Next)}) || ever != 2 || row.Epoch != 2 || row.OpenAttempt != "" || v.adoption(t, c) != escrow.Adopted {
			t.Errorf("finished: %d candidates of %d, %+v", len(have), ever, row)
		}
		if _, err := v.beginAdoption(c, "99999999"); problem.CodeOf(err) != problem.AdoptHasKey {
			t.Errorf("another key afterwards: %v", err)
		}
		// After an unlock it is still one that was adopted.
		c.puk = string(a.Next)
		s := v.begin(t, c)
		r, epoch, err := s.release(t, 1)
		must(t, err)
		_, err = s.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}, true)
		must(t, err)
		if r.Key != c.puk || v.adoption(t, c) != escrow.Adopted {
			t.Error("after an unlock it counts as not adopted")
		}
		if imported := v.issue(t, false); v.adoption(t, imported) != escrow.KeyHeld {
			t.Error("an imported card counts as adopted")
		}
	})
}

// TestAnAdoptionThatWasNeverFinished leaves a card that its holder unlocks,
// whichever of the two keys it holds, and no third one is made before it has
// told which.
func TestAnAdoptionThatWasNeverFinished(t *testing.T) {
	for name, holdsNext := range map[string]bool{"the known key": false, "the next key": true} {
		t.Run(name, func(t *testing.T) {
			on(t, func(t *testing.T, v *vault) {
				c := v.issue(t, true)
				a, err := v.beginAdoption(c, c.puk)
				must(t, err)
				if holdsNext {
					c.puk = string(a.Next)
				}
				s := v.begin(t, c)
				step := 1
				for ; ; step++ {
					r, epoch, err := s.release(t, step)
					must(t, err)
					if r.Key != string(a.Known) && r.Key != string(a.Next) || r.Next != "" && r.Next != string(a.Next) {
						t.Fatalf("step %d releases another key", step)
					}
					if c.present(r.Key) {
						break
					}
					out, err := s.report(api.Report{Step: step, Epoch: epoch, Outcome: api.OutcomeRefused}, false)
					must(t, err)
					if out.NextStep != step+1 {
						t.Fatalf("after a refusal in step %d nothing follows", step)
					}
				}
				if step > 2 || c.fewest < 2 {
					t.Errorf("it took %d steps, with %d tries left in between", step, c.fewest)
				}
			})
		})
	}
}

// TestAnAdoptionThatTheCardRefused leaves no key that it does not hold, and the
// trail says who tried.
func TestAnAdoptionThatTheCardRefused(t *testing.T) {
	on(t, func(t *testing.T, v *vault) {
		c := v.issue(t, true)
		for left, code := range map[int]problem.Code{2: "", 1: problem.AdoptLastTry} {
			must(t, v.onCard(c, func(ctx context.Context, tx *store.Tx, row *store.Card) error {
				if row.TriesLeft = store.TriesUnknown; row.KeysMAC != nil {
					return cardkey.Save(ctx, tx, v.keys, row)
				}
				return nil
			}))
			_, err := v.beginAdoption(c, "99999999")
			must(t, err)
			must(t, v.onCard(c, func(ctx context.Context, tx *store.Tx, row *store.Card) error {
				return v.EndAdoption(ctx, tx, row, true, left, "robin")
			}))
			if have, _ := v.candidates(t, c); len(have) != 0 || v.row(t, c).TriesLeft != left {
				t.Errorf("%d candidates, %+v", len(have), v.row(t, c))
			}
			if _, err := v.beginAdoption(c, "99999999"); problem.CodeOf(err) != code {
				t.Errorf("with %d tries left: %v", left, err)
			} else if err == nil {
				must(t, v.onCard(c, func(ctx context.Context, tx *store.Tx, row *store.Card) error {
					return v.EndAdoption(ctx, tx, row, true, store.TriesUnknown, "robin")
				}))
			}
		}
		noted := 0
		must(t, v.db.View(t.Context(), func(tx *store.Tx) error {
			return tx.EachAudit(t.Context(), "test", 0, func(e store.AuditEvent) error {
				if e.Action == audit.CardNotAdopted && e.Details["by"] == "robin" {
					noted++
				}
				return nil
			})
		}))
		if noted < 2 {
			t.Errorf("the trail has %d", noted)
		}
	})
}
