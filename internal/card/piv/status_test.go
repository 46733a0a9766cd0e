package piv_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/piv"
)

// hex of the padded values
const (
	oldPIN = "313233343536FFFF" // 123456
	newPIN = "3635343332313030" // 65432100
	oldPUK = "3132333435363738" // 12345678
	newPUK = "38373635343332FF" // 8765432
)

func TestStatusWords(t *testing.T) {
	t.Parallel()
	type call = func(context.Context, *piv.Card) error
	for _, m := range []struct {
		name, command string
		call          call
		presented     card.Reference
		refused       error
	}{
		{"VERIFY", "> 0020008008" + oldPIN,
			func(ctx context.Context, c *piv.Card) error { return c.Verify(ctx, "123456") }, card.ReferencePIN, card.ErrRefusedPIN},
		{"CHANGE REFERENCE DATA", primary + "> 0024008010" + oldPIN + newPIN,
			func(ctx context.Context, c *piv.Card) error { return c.Change(ctx, "123456", "65432100") }, card.ReferencePIN, card.ErrRefusedPIN},
		{"CHANGE REFERENCE DATA", "> 0024008110" + oldPUK + newPUK,
			func(ctx context.Context, c *piv.Card) error { return c.Rotate(ctx, card.KeyPUK, "12345678", "8765432") }, card.ReferencePUK, card.ErrRefusedKey},
		{"RESET RETRY COUNTER", primary + "> 002C008010" + oldPUK + newPIN,
			func(ctx context.Context, c *piv.Card) error {
				return c.Unblock(ctx, card.KeyPUK, "12345678", "65432100")
			}, card.ReferencePUK, card.ErrRefusedPIN},
	} {
		for sw, want := range map[uint16]error{
			0x9000: nil,
			0x63C1: card.WrongKeyError{Reference: m.presented, TriesLeft: 1},
			0x63C2: card.WrongKeyError{Reference: m.presented, TriesLeft: 2},
			0x63CF: card.WrongKeyError{Reference: m.presented, TriesLeft: 15},
			0x63C0: card.BlockedError{Reference: m.presented},
			0x6983: card.BlockedError{Reference: m.presented},
			0x6A80: m.refused, 0x6985: m.refused, 0x6700: m.refused,
			0x6A81: card.ErrNotSupported, 0x6A86: card.ErrNotSupported, 0x6A88: card.ErrNotSupported,
			0x6D00: card.ErrNotSupported, 0x6E00: card.ErrNotSupported,
			0x6982: card.StatusError{Command: m.name, SW: 0x6982},
			0x6300: card.StatusError{Command: m.name, SW: 0x6300},
			0x6F00: card.StatusError{Command: m.name, SW: 0x6F00},
			0x6581: card.StatusError{Command: m.name, SW: 0x6581},
		} {
			t.Run(fmt.Sprintf("%s %s %04X", m.name, m.presented, sw), func(t *testing.T) {
				t.Parallel()
				err := m.call(t.Context(), open(t, m.command+fmt.Sprintf("\n< %04X", sw)))
				if want == nil && err != nil || !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
	}
}

func TestEmptyVerify(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]card.Counter{
		"9000": {}, "63C3": {Known: true, Left: 3}, "63C0": {Known: true}, "6983": {Known: true},
	} {
		s, err := open(t, primary+"> 00200080\n< "+answer).State(t.Context())
		if err != nil || s.PIN != want {
			t.Errorf("%s: %+v, %v", answer, s, err)
		}
	}
	var status card.StatusError
	if _, err := open(t, primary+"> 00200080\n< 6F00").State(t.Context()); !errors.As(err, &status) {
		t.Errorf("got %v", err)
	}
}

func TestGlobalPINIsLeftAlone(t *testing.T) {
	t.Parallel()
	const global = "> 00CB3FFF035C017E00\n< 7E05 5F2F02 6020 9000\n"
	for name, call := range map[string]func(*piv.Card) error{
		"state":   func(c *piv.Card) error { _, err := c.State(t.Context()); return err },
		"unblock": func(c *piv.Card) error { return c.Unblock(t.Context(), card.KeyPUK, "12345678", "123456") },
		"change":  func(c *piv.Card) error { return c.Change(t.Context(), "123456", "654321") },
	} {
		if err := call(open(t, global)); !errors.Is(err, piv.ErrGlobalPIN) || !errors.Is(err, card.ErrNotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	const both = "> 00CB3FFF035C017E00\n< 7E05 5F2F02 6010 9000\n> 00200080\n< 63C3"
	if _, err := open(t, both).State(t.Context()); err != nil {
		t.Errorf("a Global PIN that is not the primary one: %v", err)
	}
}

func TestImpossibleValuesAreNeverSent(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "12345", "123456789"} {
		for name, c := range map[string]struct {
			script string
			call   func(*piv.Card) error
		}{
			"verify":       {"", func(c *piv.Card) error { return c.Verify(t.Context(), bad) }},
			"unblock, PUK": {primary, func(c *piv.Card) error { return c.Unblock(t.Context(), card.KeyPUK, bad, "123456") }},
			"unblock, PIN": {primary, func(c *piv.Card) error { return c.Unblock(t.Context(), card.KeyPUK, "12345678", bad) }},
			"change, old":  {primary, func(c *piv.Card) error { return c.Change(t.Context(), bad, "123456") }},
			"change, next": {primary, func(c *piv.Card) error { return c.Change(t.Context(), "123456", bad) }},
			"rotate, old":  {"", func(c *piv.Card) error { return c.Rotate(t.Context(), card.KeyPUK, bad, "12345678") }},
			"rotate, next": {"", func(c *piv.Card) error { return c.Rotate(t.Context(), card.KeyPUK, "12345678", bad) }},
		} {
			if err := c.call(open(t, c.script)); err == nil {
				t.Errorf("%s with %q passed", name, bad)
			}
		}
	}
}

// direct sends to a card in software without a reader between.
type direct struct{ *emulator.Card }

func (d direct) Transmit(_ context.Context, command []byte) ([]byte, error) {
	return d.Card.Transmit(command)
}

func BenchmarkUnblock(b *testing.B) {
	e, err := emulator.New(emulator.Options{})
	if err != nil {
		b.Fatal(err)
	}
	c, err := piv.Open(b.Context(), direct{e})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Unblock(b.Context(), card.KeyPUK, "12345678", "123456"); err != nil {
			b.Fatal(err)
		}
	}
}
