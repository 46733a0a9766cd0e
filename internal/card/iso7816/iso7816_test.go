package iso7816_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/internal/card"
	"latchkey/internal/card/cardtest"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/iso7816"
)

// profile is one that comes with the program.
func profile(t testing.TB, name string) iso7816.Profile {
	t.Helper()
	list, err := iso7816.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// atrConn is a written conversation with a card of some ATR.
type atrConn struct {
	*cardtest.Conn
	atr string
}

func (c atrConn) ATR() []byte {
	raw, _ := hex.DecodeString(c.atr)
	return raw
}

const (
	selectGeneric = "> 00A404000CA000000063504B43532D313500\n< 6F0E 840C A000000063504B43532D3135 9000\n"
	iasATR        = "3B7F1800000031B8645023ECC173940180829000"
	selectIAS     = "> 00A4000C023F00\n< 9000\n"
)

func ff(n int) string { return strings.Repeat("FF", n) }

func open(t *testing.T, p iso7816.Profile, atr, script string) *iso7816.Card {
	t.Helper()
	c, err := iso7816.Open(t.Context(), atrConn{cardtest.New(t, "script", script), atr}, p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The bytes of these conversations are the standard's and the makers', not this
// program's: what encodes them here is checked against what was written down.
func TestWrittenConversations(t *testing.T) {
	t.Parallel()
	generic, ias := profile(t, "generic-puk"), profile(t, "ias-ecc")
	short := generic
	short.PIN.Encoding, short.PIN.Pad, short.PIN.Length, short.PIN.Tries = "iso9564", "", 0, "verify"
	short.PUK.Encoding, short.PUK.Pad, short.PUK.Length, short.PUK.Tries = "bcd", "FF", 8, "verify"
	short.Unblock.P2, short.ChangePIN.P1 = "81", "01"
	const puk, next, pin = "3132333435363738", "3837363534333231", "3834303236310000"
	unblock := func(c *iso7816.Card) error { return c.Unblock(t.Context(), card.KeyPUK, "12345678", "840261") }
	for name, k := range map[string]struct {
		profile iso7816.Profile
		atr     string
		script  string
		do      func(*iso7816.Card) error
		want    error
	}{
		"unblock":         {generic, "", "> 002C000110" + puk + pin + "\n< 9000", unblock, nil},
		"wrong PUK":       {generic, "", "> 002C000110" + puk + pin + "\n< 63C2", unblock, card.WrongKeyError{Reference: card.ReferencePUK, TriesLeft: 2}},
		"untold":          {generic, "", "> 002C000110" + puk + pin + "\n< 6300", unblock, card.WrongKeyError{Reference: card.ReferencePUK, TriesLeft: -1}},
		"security":        {generic, "", "> 002C000110" + puk + pin + "\n< 6982", unblock, card.WrongKeyError{Reference: card.ReferencePUK, TriesLeft: -1}},
		"blocked":         {generic, "", "> 002C000110" + puk + pin + "\n< 6983", unblock, card.BlockedError{Reference: card.ReferencePUK}},
		"none left":       {generic, "", "> 002C000110" + puk + pin + "\n< 63C0", unblock, card.BlockedError{Reference: card.ReferencePUK}},
		"cannot be used":  {generic, "", "> 002C000110" + puk + pin + "\n< 6984", unblock, card.BlockedError{Reference: card.ReferencePUK}},
		"refused PIN":     {generic, "", "> 002C000110" + puk + pin + "\n< 6A80", unblock, card.ErrRefusedPIN},
		"no such command": {generic, "", "> 002C000110" + puk + pin + "\n< 6D00", unblock, card.ErrNotSupported},
		"unforeseen":      {generic, "", "> 002C000110" + puk + pin + "\n< 6F00", unblock, card.StatusError{Command: "RESET RETRY COUNTER", SW: 0x6F00}},
		"removed":         {generic, "", "> 002C000110" + puk + pin + "\n! removed", unblock, card.ErrRemoved},
		"rotate": {generic, "", "> 0024000210" + puk + next + "\n< 9000",
			func(c *iso7816.Card) error { return c.Rotate(t.Context(), card.KeyPUK, "12345678", "87654321") }, nil},
		"refused PUK": {generic, "", "> 0024000210" + puk + next + "\n< 6A80",
			func(c *iso7816.Card) error { return c.Rotate(t.Context(), card.KeyPUK, "12345678", "87654321") }, card.ErrRefusedKey},
		"change": {generic, "", "> 0024000110" + pin + "3234363800000000\n< 9000",
			func(c *iso7816.Card) error { return c.Change(t.Context(), "840261", "2468") }, nil},
		"verify": {generic, "", "> 0020000108" + pin + "\n< 63C1",
			func(c *iso7816.Card) error { return c.Verify(t.Context(), "840261") }, card.WrongKeyError{Reference: card.ReferencePIN, TriesLeft: 1}},
		"PUK before PIN": {ias, iasATR, "> 0020000240" + puk + ff(56) + "\n< 9000\n> 002C020140 383430323631" + ff(58) + "\n< 9000", unblock, nil},
		"wrong PUK before PIN": {ias, iasATR, "> 0020000240" + puk + ff(56) + "\n< 63C1", unblock,
			card.WrongKeyError{Reference: card.ReferencePUK, TriesLeft: 1}},
		"verified and not enough": {ias, iasATR, "> 0020000240" + puk + ff(56) + "\n< 9000\n> 002C020140 383430323631" + ff(58) + "\n< 6982", unblock,
			card.StatusError{Command: "RESET RETRY COUNTER", SW: 0x6982}},
		"PIN block, PUK in BCD": {short, "", "> 00200002\n< 63C3\n> 002C008110 12345678" + ff(4) + "26840261" + ff(4) + "\n< 9000", unblock, nil},
		"last try":              {short, "", "> 00200002\n< 63C1", unblock, card.LastTryError{Reference: card.ReferencePUK}},
		"blocked before":        {short, "", "> 00200002\n< 6983", unblock, card.BlockedError{Reference: card.ReferencePUK}},
		"new PIN alone": {short, "", "> 002000010826840261" + ff(4) + "\n< 9000\n> 0024010108242468" + ff(5) + "\n< 9000",
			func(c *iso7816.Card) error { return c.Change(t.Context(), "840261", "2468") }, nil},
		"impossible PUK": {generic, "", "", func(c *iso7816.Card) error { return c.Unblock(t.Context(), card.KeyPUK, "1234567", "840261") }, card.ErrRefusedKey},
		"impossible PIN": {generic, "", "", func(c *iso7816.Card) error { return c.Unblock(t.Context(), card.KeyPUK, "12345678", "84026a") }, card.ErrRefusedPIN},
		"another key":    {generic, "", "", func(c *iso7816.Card) error { return c.Unblock(t.Context(), card.KeyAdminPIN, "12345678", "840261") }, card.ErrNotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := selectGeneric
			if k.atr != "" {
				start = selectIAS
			}
			if err := k.do(open(t, k.profile, k.atr, start+k.script)); !errors.Is(err, k.want) {
				t.Errorf("got %v, want %v", err, k.want)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	generic, ias := profile(t, "generic-puk"), profile(t, "ias-ecc")
	object := generic
	object.Identifier = iso7816.Identifier{Object: "5F50", Offset: 1, Length: 4, Encoding: "hex"}
	const files = selectGeneric + "> 00A4000C023F00\n< 9000\n> 00A4000C022F02\n< 9000\n> 00B0000000\n"
	for name, k := range map[string]struct {
		profile    iso7816.Profile
		atr        string
		script     string
		id, serial string
		want       error
	}{
		"a file":               {generic, "", files + "< 5A0500123456FF 0000 6282\n" + selectGeneric, "00123456ff", "123456", nil},
		"a short identifier":   {ias, iasATR, selectIAS + "> 00B09C0000\n< 5A08990000000101000F 9000", "990000000101000f", "990000000101000", nil},
		"a data object":        {object, "", selectGeneric + "> 00CA5F5000\n< 00A1B2C3D4E5 9000", "a1b2c3d4", "", nil},
		"no file":              {generic, "", selectGeneric + "> 00A4000C023F00\n< 9000\n> 00A4000C022F02\n< 6A82", "", "", card.ErrUnrecognised},
		"no tag":               {generic, "", files + "< 5B0112 9000\n" + selectGeneric, "", "", card.ErrMalformed},
		"no digits":            {generic, "", files + "< 5A02ABCD 9000\n" + selectGeneric, "", "", card.ErrUnrecognised},
		"zeros":                {generic, "", files + "< 5A020000 9000\n" + selectGeneric, "", "", card.ErrUnrecognised},
		"FF":                   {generic, "", files + "< 5A02FFFF 9000\n" + selectGeneric, "", "", card.ErrUnrecognised},
		"too short":            {object, "", selectGeneric + "> 00CA5F5000\n< 00A1B2 9000", "", "", card.ErrMalformed},
		"removed on the way":   {generic, "", files + "! removed", "", "", card.ErrRemoved},
		"gone when reselected": {generic, "", files + "< 5A021234 9000\n> 00A404000CA000000063504B43532D313500\n! removed", "", "", card.ErrRemoved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := open(t, k.profile, k.atr, k.script).Identity(t.Context())
			if !errors.Is(err, k.want) {
				t.Fatalf("got %v, want %v", err, k.want)
			}
			want := card.Identity{Family: card.FamilyISO7816, ID: k.id, Serial: k.serial, Model: k.profile.Title}
			if diff := cmp.Diff(want, got); k.want == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOtherCardsAreLeftAlone(t *testing.T) {
	t.Parallel()
	generic, ias := profile(t, "generic-puk"), profile(t, "ias-ecc")
	both := generic
	both.Recognise.ATR = []string{"3B00"}
	for name, k := range map[string]struct {
		profile iso7816.Profile
		atr     string
		script  string
	}{
		"another ATR, nothing is sent": {ias, "3B00", ""},
		"an ATR a byte longer":         {ias, iasATR + "00", ""},
		"the ATR but no application":   {both, "3B00", "> 00A404000CA000000063504B43532D313500\n< 6A82"},
		"fine to any name":             {generic, "", "> 00A404000CA000000063504B43532D313500\n< 9000"},
		"fine, with another name":      {generic, "", "> 00A404000CA000000063504B43532D313500\n< 6F0784 05 A000000308 9000"},
		"fine, in broken words":        {generic, "", "> 00A404000CA000000063504B43532D313500\n< 6F0784 9000"},
		"no master file":               {ias, iasATR, "> 00A4000C023F00\n< 6A82"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := iso7816.Open(t.Context(), atrConn{cardtest.New(t, "script", k.script), k.atr}, k.profile)
			if c != nil || !errors.Is(err, card.ErrUnrecognised) {
				t.Errorf("got %v, %v", c, err)
			}
		})
	}
}

// direct sends to a card in software without a reader between.
type direct struct{ *emulator.Card }

func (d direct) Transmit(_ context.Context, command []byte) ([]byte, error) {
	return d.Card.Transmit(command)
}

// drawn is a profile of any form that is right.
func drawn(t *rapid.T, base iso7816.Profile) iso7816.Profile {
	p := base
	reference := func(r iso7816.Reference, name string) iso7816.Reference {
		r.DigitsOnly, r.Pad, r.Length = true, "", 0
		r.Encoding = rapid.SampledFrom([]string{"ascii", "bcd", "iso9564"}).Draw(t, name+" encoding")
		r.Min = rapid.IntRange(4, 12).Draw(t, name+" min")
		r.Max = rapid.IntRange(r.Min, 12).Draw(t, name+" max")
		if r.Encoding != "iso9564" {
			r.Pad = iso7816.Byte(rapid.SampledFrom([]string{"00", "FF", "20"}).Draw(t, name+" pad"))
			if r.Encoding == "bcd" {
				r.Pad = "FF" // a digit would be one of the PIN's
			}
			r.Length = rapid.IntRange(r.Max, 64).Draw(t, name+" length")
		}
		r.Tries = rapid.SampledFrom([]string{"verify", "none"}).Draw(t, name+" tries")
		return r
	}
	p.PIN, p.PUK = reference(p.PIN, "PIN"), reference(p.PUK, "PUK")
	p.Unblock.P1 = iso7816.Byte(rapid.SampledFrom([]string{"00", "02"}).Draw(t, "unblock"))
	p.ChangePIN.P1 = iso7816.Byte(rapid.SampledFrom([]string{"00", "01"}).Draw(t, "change PIN"))
	p.ChangePUK.P1 = iso7816.Byte(rapid.SampledFrom([]string{"00", "01"}).Draw(t, "change PUK"))
	switch rapid.IntRange(0, 2).Draw(t, "identifier") {
	case 1:
		p.Identifier = iso7816.Identifier{SFI: "1C", Encoding: "bcd", Offset: rapid.IntRange(0, 9).Draw(t, "offset"), Length: 5}
	case 2:
		p.Identifier = iso7816.Identifier{Object: "5F50", Encoding: "ascii"}
	}
	if rapid.Bool().Draw(t, "ATR") {
		p.Recognise = iso7816.Recognise{ATR: []string{"3B02..01"}}
	}
	return p
}

// Whatever profile a card has: it is recognised, unblocked and rotated, and the
// emulated card, which decodes for itself, holds what was set.
func TestAnyProfileUnblocksItsCard(t *testing.T) {
	t.Parallel()
	base := profile(t, "generic-puk")
	rapid.Check(t, func(rt *rapid.T) {
		p := drawn(rt, base)
		if err := p.Check(); err != nil {
			rt.Fatalf("%+v: %v", p, err)
		}
		secret := func(r iso7816.Reference, name string) string {
			return rapid.StringMatching(fmt.Sprintf("[0-9]{%d,%d}", r.Min, r.Max)).Draw(rt, name)
		}
		pin, puk, newPIN, newPUK := secret(p.PIN, "pin"), secret(p.PUK, "puk"), secret(p.PIN, "new pin"), secret(p.PUK, "new puk")
		e, err := emulator.New(emulator.Options{Family: emulator.FamilyISO7816, Profile: &p, PIN: pin, PUK: puk, Serial: 12345678})
		if err != nil {
			rt.Fatal(err)
		}
		if err := e.Lock(); err != nil {
			rt.Fatal(err)
		}
		c, err := iso7816.Open(t.Context(), direct{e}, p)
		if err != nil {
			rt.Fatal(err)
		}
		id, err := c.Identity(t.Context())
		if err != nil || id.Serial != "12345678" {
			rt.Fatalf("%+v, %v", id, err)
		}
		state, err := c.State(t.Context())
		if err != nil || state.PIN.Blocked() != (p.PIN.Tries == "verify") {
			rt.Fatalf("%+v, %v", state, err)
		}
		for i, err := range []error{c.Unblock(t.Context(), card.KeyPUK, puk, newPIN), c.Rotate(t.Context(), card.KeyPUK, puk, newPUK), c.Verify(t.Context(), newPIN),
			c.Change(t.Context(), newPIN, pin), c.Verify(t.Context(), pin)} {
			if err != nil {
				rt.Fatalf("step %d: %v", i+1, err)
			}
		}
		if s := e.State().ISO; s.PIN != pin || s.PUK != newPUK || s.PINTries != 3 || s.PUKTries != 3 {
			rt.Fatalf("the card holds %+v", s)
		}
	})
}

// TestDryRunSpendsNothing on a card that takes an empty VERIFY for a wrong try,
// with a profile that says so.
func TestDryRunSpendsNothing(t *testing.T) {
	t.Parallel()
	p := profile(t, "generic-puk")
	e, err := emulator.New(emulator.Options{Family: emulator.FamilyISO7816, EmptyCounts: true})
	if err != nil {
		t.Fatal(err)
	}
	before := e.State()
	list, ok, err := iso7816.Try(t.Context(), direct{e}, p)
	if err != nil || !ok {
		t.Errorf("%v, %v: %+v", ok, err, list)
	}
	var sent []byte
	e.SetFaults(func(_ int, command []byte) emulator.Fault {
		sent = append(sent, command[1])
		return emulator.Fault{}
	})
	for what, change := range map[string]func(*iso7816.Profile){
		"ATR":         func(p *iso7816.Profile) { p.Recognise.ATR = []string{"3B00"} },
		"Application": func(p *iso7816.Profile) { p.Recognise.AID = "A000000001" },
		"Identifier":  func(p *iso7816.Profile) { p.Identifier.Tag = "5B" },
	} {
		wrong := p
		change(&wrong)
		list, ok, err := iso7816.Try(t.Context(), direct{e}, wrong)
		if err != nil || ok {
			t.Errorf("%s: %v, %v", what, ok, err)
		}
		found := false
		for _, f := range list {
			found = found || f.What == what && !f.Good
		}
		if !found {
			t.Errorf("%s: %+v", what, list)
		}
	}
	for _, ins := range sent {
		if !strings.ContainsRune("\u00a4\u00b0\u00ca", rune(ins)) {
			t.Errorf("command %02X was sent", ins)
		}
	}
	if diff := cmp.Diff(before, e.State()); diff != "" || len(sent) == 0 {
		t.Error(len(sent), diff)
	}
}

// TestDryRunTellsTries on a card on which that is safe.
func TestDryRunTellsTries(t *testing.T) {
	t.Parallel()
	p := profile(t, "generic-puk")
	p.PIN.Tries, p.PUK.Tries = "verify", "verify"
	e, err := emulator.New(emulator.Options{Family: emulator.FamilyISO7816, PUKTries: 5})
	if err != nil {
		t.Fatal(err)
	}
	list, ok, err := iso7816.Try(t.Context(), direct{e}, p)
	if text := fmt.Sprint(list); err != nil || !ok || !strings.Contains(text, "{Tries of the PIN true 3 are left.}") || !strings.Contains(text, "{Tries of the PUK true 5 are left.}") {
		t.Errorf("%v, %v, %+v", ok, err, list)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range iso7816.Names() {
		raw, err := iso7816.Source(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := iso7816.Parse(raw)
		if err != nil {
			return
		}
		// A profile that passes never makes a block that is too long, nor panics.
		for _, r := range []iso7816.Reference{p.PIN, p.PUK} {
			for _, n := range []int{r.Min, r.Max} {
				if b, ok := r.Block(strings.Repeat("7", n)); !ok || len(b) > 64 || r.Length > 0 && len(b) != r.Length {
					t.Errorf("%d digits: %X, %v", n, b, ok)
				}
			}
		}
	})
}

// FuzzAnswers gives a card's answers to SELECT and to reading.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{0x6F, 0x0E, 0x84, 0x0C, 0xA0, 0, 0, 0, 0x63, 0x50, 0x4B, 0x43, 0x53, 0x2D, 0x31, 0x35, 0x90, 0}, []byte{0x5A, 2, 0x12, 0x34, 0x90, 0})
	f.Add([]byte{0x62, 0x80, 0x90, 0}, []byte{0x90, 0})
	p := profile(f, "generic-puk")
	f.Fuzz(func(t *testing.T, selected, read []byte) {
		if len(selected) >= 2 && (selected[len(selected)-2] == 0x61 || selected[len(selected)-2] == 0x6C) {
			return // see package apdu
		}
		c, err := iso7816.Open(t.Context(), answers{selected, read}, p)
		if err != nil {
			return
		}
		if id, err := c.Identity(t.Context()); err == nil && (id.ID == "" || len(id.ID) > 64 || strings.ToLower(id.ID) != id.ID) {
			t.Errorf("identity %+v", id)
		}
	})
}

// answers gives one answer to SELECT by name and another to READ BINARY.
type answers struct{ selected, read []byte }

func (a answers) ATR() []byte { return nil }

func (a answers) Transmit(_ context.Context, command []byte) ([]byte, error) {
	switch {
	case command[1] == 0xA4 && command[2] == 4:
		return a.selected, nil
	case command[1] == 0xB0:
		return a.read, nil
	}
	return []byte{0x90, 0}, nil
}
