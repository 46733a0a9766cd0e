package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/gids"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/card/openpgp"
	"latchkey/internal/card/piv"
)

// These tests tear the card out at every command of every family's unblocking,
// and at every pair of commands of two attempts in a row. What stands in for the
// service is its memory of two keys, the one tried first being the other one
// after an attempt whose end is not known.

// way is one way to unblock a card.
type way struct {
	name      string
	options   emulator.Options
	old, next string // keys; next is empty where the key is not changed
	// attempt unblocks with the first of the keys that the card takes, then
	// changes it to next.
	attempt func(ctx context.Context, e *emulator.Card, keys []string, next string) error
	reset   func(*emulator.State) // back to the beginning
	// is what the card holds: PIN, its tries, the key and the key's tries.
	is func(emulator.State) (pin string, pinTries int, key string, keyTries int)
}

const freshPIN = "840261"

func ways() []way {
	const oldPUK, nextPUK = "73519264", "26481357"
	resetPGP := func(s *emulator.State) {
		*s.OpenPGP = emulator.OpenPGP{Manufacturer: s.OpenPGP.Manufacturer, Number: s.OpenPGP.Number, PIN: emulator.Secret("123456"),
			AdminPIN: emulator.Secret(oldPUK), ResettingCode: emulator.Secret(oldPUK), CodeTries: 3, AdminTries: 3, PINTotal: 3, KeyTotal: 3,
			Answers: s.OpenPGP.Answers, Keys: s.OpenPGP.Keys, Objects: s.OpenPGP.Objects}
	}
	resetPIV := func(s *emulator.State) { s.PIN, s.PINTries, s.PUK, s.PUKTries = "123456", 0, oldPUK, 3 }
	isPIV := func(s emulator.State) (string, int, string, int) { return s.PIN, s.PINTries, s.PUK, s.PUKTries }
	openPIV := func(ctx context.Context, e *emulator.Card) (card.KeyUnblocker, error) {
		return piv.Open(ctx, direct{e})
	}
	openPGP := func(ctx context.Context, e *emulator.Card) (card.KeyUnblocker, error) {
		return openpgp.Open(ctx, direct{e})
	}
	isAdmin := func(s emulator.State) (string, int, string, int) {
		return s.OpenPGP.PIN.String(), s.OpenPGP.PINTries, s.OpenPGP.AdminPIN.String(), s.OpenPGP.AdminTries
	}
	return []way{
		{"PIV", emulator.Options{Plain: true}, oldPUK, nextPUK, presentingKeys(card.KeyPUK, openPIV), resetPIV, isPIV},
		{"YubiKey", emulator.Options{Family: emulator.FamilyYubiKey}, oldPUK, nextPUK, presentingKeys(card.KeyPUK, openPIV), resetPIV, isPIV},
		{"OpenPGP, admin PIN", emulator.Options{Family: emulator.FamilyOpenPGP}, oldPUK, nextPUK, presentingKeys(card.KeyAdminPIN, openPGP), resetPGP, isAdmin},
		{"OpenPGP, answers alike", emulator.Options{Family: emulator.FamilyOpenPGP, Answers: emulator.AnswerAlike}, oldPUK, nextPUK,
			presentingKeys(card.KeyAdminPIN, openPGP), resetPGP, isAdmin},
		{"OpenPGP, resetting code", emulator.Options{Family: emulator.FamilyOpenPGP}, oldPUK, "", presentingKeys(card.KeyResettingCode, openPGP), resetPGP,
			func(s emulator.State) (string, int, string, int) {
				return s.OpenPGP.PIN.String(), s.OpenPGP.PINTries, s.OpenPGP.ResettingCode.String(), s.OpenPGP.CodeTries
			}},
		{"GIDS, mutual", emulator.Options{Family: emulator.FamilyGIDS}, factoryKey, anotherKey, attemptMutual, resetGIDS, isGIDS},
		{"GIDS, external", emulator.Options{Family: emulator.FamilyGIDS, ExternalOnly: true}, factoryKey, anotherKey, attemptExternal, resetGIDS, isGIDS},
		{"GIDS, key kept", emulator.Options{Family: emulator.FamilyGIDS}, factoryKey, "", attemptMutual, resetGIDS, isGIDS},
	}
}

func resetGIDS(s *emulator.State) {
	s.GIDS.PIN, s.GIDS.PINTries, s.GIDS.AdminKey = "123456", 0, factoryKey
}

// isGIDS: nothing counts the tries of an administration key.
func isGIDS(s emulator.State) (string, int, string, int) {
	return s.GIDS.PIN, s.GIDS.PINTries, s.GIDS.AdminKey, 3
}

// presentingKeys is an attempt with keys that are presented.
func presentingKeys(kind card.KeyKind, open func(context.Context, *emulator.Card) (card.KeyUnblocker, error)) func(context.Context, *emulator.Card, []string, string) error {
	return func(ctx context.Context, e *emulator.Card, keys []string, next string) error {
		c, err := open(ctx, e)
		if err != nil {
			return err
		}
		if _, err := c.State(ctx); err != nil {
			return err
		}
		for _, key := range keys {
			err = c.Unblock(ctx, kind, key, freshPIN)
			var wrong card.WrongKeyError
			if errors.As(err, &wrong) {
				continue
			}
			if err == nil && next != "" && key != next {
				err = c.Rotate(ctx, kind, key, next)
			}
			if err == nil {
				err = c.Verify(ctx, freshPIN)
			}
			return err
		}
		return err
	}
}

// attemptGIDS is an attempt with keys that answer challenges.
func attemptGIDS(ctx context.Context, e *emulator.Card, keys []string, next string, authenticate func(*gids.Card, []byte) error) error {
	c, err := gids.Open(ctx, direct{e})
	if err != nil {
		return err
	}
	for _, key := range keys {
		err = authenticate(c, decoded(key))
		var wrong card.WrongKeyError
		if errors.As(err, &wrong) {
			continue
		}
		if err == nil && next != "" && key != next {
			err = c.RotateKey(ctx, decoded(next))
		}
		for _, step := range []func() error{func() error { return c.UnblockAuthenticated(ctx, freshPIN) },
			func() error { return c.EndAuthentication(ctx) }, func() error { return c.Verify(ctx, freshPIN) }} {
			if err == nil {
				err = step()
			}
		}
		return err
	}
	return err
}

func attemptMutual(ctx context.Context, e *emulator.Card, keys []string, next string) error {
	return attemptGIDS(ctx, e, keys, next, func(c *gids.Card, key []byte) error {
		r1 := []byte("0123456789abcdef")
		r2, err := c.MutualChallenge(ctx, r1)
		if err != nil {
			return err
		}
		answer, err := gidskey.Mutual(key, r1, r2, []byte("7 bytes"))
		if err != nil {
			return err
		}
		reply, err := c.MutualAnswer(ctx, answer)
		if err != nil {
			return err
		}
		return gidskey.CheckMutual(key, r1, r2, reply)
	})
}

func attemptExternal(ctx context.Context, e *emulator.Card, keys []string, next string) error {
	return attemptGIDS(ctx, e, keys, next, func(c *gids.Card, key []byte) error {
		challenge, err := c.ExternalChallenge(ctx)
		if err != nil {
			return err
		}
		answer, err := gidskey.Answer(key, challenge)
		if err != nil {
			return err
		}
		return c.ExternalAnswer(ctx, answer)
	})
}

// tear tears at the n-th command; 0: at none.
func tear(n int, after bool) emulator.Faults {
	return func(i int, _ []byte) emulator.Fault {
		return emulator.Fault{TearBefore: i == n && !after, TearAfter: i == n && after}
	}
}

// play makes attempts, each torn as faults say, then one that is not, and gives
// how many commands the last one took.
func (w way) play(t *testing.T, e *emulator.Card, faults ...emulator.Faults) int {
	t.Helper()
	if err := e.Edit(w.reset); err != nil {
		t.Fatal(err)
	}
	e.Reset()
	keys := []string{w.old}
	if w.next != "" {
		keys = append(keys, w.next)
	}
	commands := 0
	for _, f := range append(faults, tear(0, false)) {
		commands = 0
		e.SetFaults(func(n int, command []byte) emulator.Fault { commands = n; return f(n, command) })
		err := w.attempt(t.Context(), e, keys, w.next)
		e.Reset()
		_, _, key, tries := w.is(e.State())
		if tries < 2 || !slices.Contains(keys, key) {
			t.Fatalf("%s: the card holds %s with %d tries left, after %v", w.name, key, tries, err)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, emulator.ErrTorn) {
			t.Fatalf("%s: %v", w.name, err)
		}
		slices.Reverse(keys) // the end is not known: the other one first
	}
	pin, pinTries, key, keyTries := w.is(e.State())
	want := w.next
	if want == "" {
		want = w.old
	}
	if pin != freshPIN || pinTries != 3 || key != want || keyTries != 3 {
		t.Fatalf("%s: PIN %s with %d tries, key %s with %d", w.name, pin, pinTries, key, keyTries)
	}
	return commands
}

func TestCardTornOutAtEveryCommand(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			e := newCard(t, w.options)
			all := w.play(t, e)
			cases := 0
			for n := 1; n <= all; n++ {
				for _, after := range []bool{false, true} {
					second := w.play(t, e, tear(n, after))
					cases++
					for m := 1; m <= second; m++ {
						for _, afterM := range []bool{false, true} {
							w.play(t, e, tear(n, after), tear(m, afterM))
							cases++
						}
					}
				}
			}
			t.Logf("%d commands, %d cases", all, cases)
			if least := 2*all + 4*all; cases < least {
				t.Errorf("%d cases are too few for %d commands", cases, all)
			}
		})
	}
}

func decoded(key string) []byte {
	b := make([]byte, gidskey.KeyLength)
	if _, err := fmt.Sscanf(key, "%x", &b); err != nil {
		return nil
	}
	return b
}
