package adopt_test

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"latchkey/internal/adopt"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/store/storetest"
)

// These tests tear the card out at every command of its adoption, before and
// after the card has done it, and again at every command of the attempt that
// follows. The program does not hear of the end, as after a crash at that point.

// bench is one card that is adopted again and again from the beginning.
type bench struct {
	*office
	e       *emulator.Card
	f       kind
	factory string
	begun   bool // after the last attempt there were candidates
}

func newBench(t *testing.T, options emulator.Options) *bench {
	b := &bench{office: newOffice(t, storetest.SQLite(t)), e: newCard(t, options)}
	b.f = familyOf(b.e.State())
	b.factory = b.f.key(b.e.State())
	return b
}

// begin puts everything back: the card as it left the factory, not on record.
func (b *bench) begin() {
	b.t.Helper()
	must(b.t, b.e.Edit(func(s *emulator.State) { b.f.reset(s, b.factory) }))
	for _, table := range []string{"card_keys", "cards"} {
		_, err := b.DB.SQL().Exec("DELETE FROM " + table)
		must(b.t, err)
	}
	b.forCard(b.e)
}

// attempt is the command, torn as the faults say. It gives how many commands
// the card was sent.
func (b *bench) attempt(faults emulator.Faults) (commands int, err error) {
	b.t.Helper()
	b.e.SetFaults(func(n int, command []byte) emulator.Fault {
		commands = n
		return faults(n, command)
	})
	_, err = b.adopt(b.e, "")
	b.e.SetFaults(nil)
	b.readers.Remove(reader)
	b.safe(err)
	return commands, err
}

// safe: the card holds a candidate unless it was never told of any other key,
// and never is one try left.
func (b *bench) safe(err error) {
	b.t.Helper()
	now, tries := b.f.key(b.e.State()), b.f.tries(b.e.State())
	_, candidates, _ := b.row(b.e)
	b.begun = len(candidates) > 0
	if tries < 2 || now != b.factory && !slices.Contains(candidates, now) || len(candidates) > 0 && !slices.Contains(candidates, now) {
		b.t.Fatalf("the card has %d tries left and is one of %d candidates: %v, after %v", tries, len(candidates), slices.Contains(candidates, now), err)
	}
}

// whole: it is adopted and all is as it should be.
func (b *bench) whole() {
	b.t.Helper()
	c, candidates, _ := b.row(b.e)
	if len(candidates) != 1 || candidates[0] != b.f.key(b.e.State()) || candidates[0] == b.factory || b.f.tries(b.e.State()) != 3 ||
		c.OpenAttempt != "" || c.PendingFirst || c.TriesLeft != store.TriesUnknown {
		b.t.Fatalf("%d candidates, %+v", len(candidates), c)
	}
}

func tear(n int, after bool) emulator.Faults {
	return func(i int, _ []byte) emulator.Fault {
		return emulator.Fault{TearBefore: i == n && !after, TearAfter: i == n && after}
	}
}

// play makes attempts with faults, then one without.
func (b *bench) play(faults ...emulator.Faults) (commands int) {
	b.t.Helper()
	b.begin()
	for _, f := range faults {
		if _, err := b.attempt(f); err != nil && !errors.Is(err, emulator.ErrTorn) {
			b.t.Fatalf("%v", err)
		}
	}
	commands, err := b.attempt(tear(0, false))
	must(b.t, err)
	b.whole()
	return commands
}

// TestTornOutAtEveryCommand, once and in any two attempts in a row.
func TestTornOutAtEveryCommand(t *testing.T) {
	for name, options := range cards() {
		if strings.Contains(name, "derived") {
			continue // what such a card holds cannot be compared; its commands are those of the others
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, options)
			all, cases := b.play(), 0
			for n := 1; n <= all; n++ {
				for _, after := range []bool{false, true} {
					second := b.play(tear(n, after))
					cases++
					b.begin()
					if _, err := b.attempt(tear(n, after)); err == nil || !b.begun {
						continue // it was the end, or all is as in the beginning
					}
					for m := 1; m <= second; m++ {
						for _, afterM := range []bool{false, true} {
							b.play(tear(n, after), tear(m, afterM))
							cases++
						}
					}
				}
			}
			t.Logf("%d commands, %d cases", all, cases)
			if all < 8 || cases < 2*all {
				t.Errorf("%d commands and %d cases are too few", all, cases)
			}
		})
	}
}

// TestNoKeyIsAskedForTwice: what an interrupted attempt was told is kept.
func TestNoKeyIsAskedForTwice(t *testing.T) {
	b := newBench(t, emulator.Options{Plain: true})
	b.begin()
	_, err := b.attempt(onChange(emulator.Fault{TearAfter: true}))
	wantCode(t, err, problem.CardRemoved)
	b.Key = adopt.Given("99999999")
	_, err = b.attempt(tear(0, false))
	must(t, err)
	b.whole()
}

// onChange is a fault at the command that changes the key.
func onChange(f emulator.Fault) emulator.Faults {
	return func(_ int, command []byte) emulator.Fault {
		if changes(command) {
			return f
		}
		return emulator.Fault{}
	}
}

// changes says whether a command changes the key of any family.
func changes(command []byte) bool {
	h := hex.EncodeToString(command)
	return strings.HasPrefix(h, "0024") || strings.HasPrefix(h, "00db3fff")
}

// TestTheDatabaseGoesAway at every command: what cannot be written down does not
// happen to the card, or is found out by the next attempt.
func TestTheDatabaseGoesAway(t *testing.T) {
	for name, options := range map[string]emulator.Options{"PIV": {Plain: true}, "GIDS": {Family: emulator.FamilyGIDS}, "OpenPGP": {Family: emulator.FamilyOpenPGP}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, options)
			all, failed := b.play(), 0
			for n := 1; n <= all; n++ {
				b.begin()
				_, err := b.attempt(func(i int, _ []byte) emulator.Fault {
					if i == n {
						if _, err := b.DB.SQL().Exec(`CREATE TRIGGER away BEFORE UPDATE ON cards BEGIN SELECT RAISE(ABORT, 'away'); END`); err != nil {
							t.Error(err)
						}
					}
					return emulator.Fault{}
				})
				if err != nil {
					failed++
				}
				_, err = b.DB.SQL().Exec(`DROP TRIGGER away`)
				must(t, err)
				_, err = b.attempt(tear(0, false))
				must(t, err)
				b.whole()
			}
			if failed == 0 {
				t.Error("no attempt failed")
			}
		})
	}
}
