package gids_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/card"
	"latchkey/internal/card/cardtest"
	"latchkey/internal/card/gids"
	"latchkey/internal/card/gids/gidskey"
)

const (
	id  = "00112233445566778899aabbccddeeff"
	key = "0123456789abcdef23456789abcdef01456789abcdef0123"
	r1  = "101112131415161718191a1b1c1d1e1f"
	z1  = "31323334353637"
	// opened begins the script of a card.
	opened = "> 00A4040009A0000003974254465900\n< 61124F0BA000000397425446590201 7303 4001C0 9000\n"
	chosen = "> 0022C1A403830180\n< 9000\n"
)

func raw(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T, script string) *gids.Card {
	t.Helper()
	c, err := gids.Open(t.Context(), cardtest.New(t, "script", opened+script))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openFile(t *testing.T, name string) *gids.Card {
	t.Helper()
	c, err := gids.Open(t.Context(), cardtest.Open(t, filepath.Join("testdata", name)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatACardSays(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		pin          card.Counter
		certificates []card.Certificate
	}{
		"card.txt": {card.Counter{Known: true, Left: 2, Total: 5}, []card.Certificate{{Slot: "kxc00", DER: []byte("certificate")}}},
		"old.txt":  {card.Counter{Known: true, Left: 0}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openFile(t, name)
			identity, err := c.Identity(t.Context())
			if diff := cmp.Diff(card.Identity{Family: card.FamilyGIDS, ID: id, Model: "GIDS card"}, identity); diff != "" || err != nil {
				t.Error(err, diff)
			}
			state, err := c.State(t.Context())
			if err != nil || state.PIN != want.pin || state.Key(card.KeyAdministration).Known {
				t.Errorf("state %+v, %v", state, err)
			}
			certificates, err := c.Certificates(t.Context())
			if diff := cmp.Diff(want.certificates, certificates); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

func TestMutualAuthentication(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), openFile(t, "mutual.txt")
	r2, err := c.MutualChallenge(ctx, raw(t, r1))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := gidskey.Mutual(raw(t, key), raw(t, r1), r2, raw(t, z1))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := c.MutualAnswer(ctx, answer)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{gidskey.CheckMutual(raw(t, key), raw(t, r1), r2, reply), c.RotateKey(ctx, raw(t, key)),
		c.UnblockAuthenticated(ctx, "2468"), c.EndAuthentication(ctx), c.Verify(ctx, "2468")} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestExternalAuthenticationWhereTheCardRefusesMutual(t *testing.T) {
	t.Parallel()
	ctx, c := t.Context(), openFile(t, "external.txt")
	if _, err := c.MutualChallenge(ctx, raw(t, r1)); !errors.Is(err, card.ErrNotSupported) {
		t.Fatalf("mutual: %v", err)
	}
	challenge, err := c.ExternalChallenge(ctx)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := gidskey.Answer(raw(t, key), challenge)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{c.ExternalAnswer(ctx, answer), c.UnblockAuthenticated(ctx, "1234567890123456"), c.EndAuthentication(ctx)} {
		if err != nil {
			t.Error(err)
		}
	}
}

// statuses are the faults of status words that mean the same for every command.
func statuses(name string, refused error) map[uint16]error {
	return map[uint16]error{0x9000: nil,
		0x6A80: refused, 0x6700: refused, 0x6A81: card.ErrNotSupported, 0x6A86: card.ErrNotSupported, 0x6A88: card.ErrNotSupported,
		0x6B00: card.ErrNotSupported, 0x6D00: card.ErrNotSupported, 0x6E00: card.ErrNotSupported,
		0x6F00: card.StatusError{Command: name, SW: 0x6F00}, 0x6581: card.StatusError{Command: name, SW: 0x6581}}
}

func TestStatusWords(t *testing.T) {
	t.Parallel()
	type call = func(context.Context, *gids.Card) error
	const pin, admin = card.ReferencePIN, card.ReferenceAdminKey
	presented := map[uint16]error{0x6985: card.ErrRefusedPIN, 0x63C1: card.WrongKeyError{Reference: pin, TriesLeft: 1},
		0x63CF: card.WrongKeyError{Reference: pin, TriesLeft: 15}, 0x63C0: card.BlockedError{Reference: pin}, 0x6983: card.BlockedError{Reference: pin}}
	answered := map[uint16]error{0x6985: card.ErrNotAuthenticated, 0x6982: card.WrongKeyError{Reference: admin, TriesLeft: -1},
		0x6300: card.WrongKeyError{Reference: admin, TriesLeft: -1}, 0x63C4: card.WrongKeyError{Reference: admin, TriesLeft: 4},
		0x63C0: card.BlockedError{Reference: admin}, 0x6983: card.BlockedError{Reference: admin}}
	for _, m := range []struct {
		name, command string
		call          call
		refused       error
		more          map[uint16]error
	}{
		{"VERIFY", "> 0020008004 31323334", func(ctx context.Context, c *gids.Card) error { return c.Verify(ctx, "1234") }, card.ErrRefusedPIN, presented},
		{"CHANGE REFERENCE DATA", "> 0024008009 313233343938373635",
			func(ctx context.Context, c *gids.Card) error { return c.Change(ctx, "1234", "98765") }, card.ErrRefusedPIN, presented},
		{"GENERAL AUTHENTICATE", "> 008700000C 7C0A8208 3132333435363738 00",
			func(ctx context.Context, c *gids.Card) error { return c.ExternalAnswer(ctx, []byte("12345678")) }, card.ErrRefusedKey, answered},
		{"RESET RETRY COUNTER", "> 002C028004 31323334", func(ctx context.Context, c *gids.Card) error { return c.UnblockAuthenticated(ctx, "1234") },
			card.ErrRefusedPIN, map[uint16]error{0x6982: card.ErrNotAuthenticated, 0x6985: card.ErrRefusedPIN}},
		{"PUT DATA", "> 00DB3FFF26 7024840180A51F8718 " + key + " 8803B073DC",
			func(ctx context.Context, c *gids.Card) error { return c.RotateKey(ctx, raw(t, key)) },
			card.ErrRefusedKey, map[uint16]error{0x6982: card.ErrNotAuthenticated, 0x6985: card.ErrRefusedKey}},
	} {
		all := statuses(m.name, m.refused)
		for sw, want := range m.more {
			all[sw] = want
		}
		for sw, want := range all {
			t.Run(fmt.Sprintf("%s %04X", m.name, sw), func(t *testing.T) {
				t.Parallel()
				err := m.call(t.Context(), open(t, m.command+fmt.Sprintf("\n< %04X", sw)))
				if want == nil && err != nil || !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
	}
}

func TestMalformedAuthentication(t *testing.T) {
	t.Parallel()
	long := hex.EncodeToString(make([]byte, 40))
	for name, c := range map[string]struct {
		script string
		call   func(*gids.Card) error
		want   error
	}{
		"no such key": {"> 0022C1A403830180\n< 6A88", func(c *gids.Card) error { _, err := c.ExternalChallenge(t.Context()); return err }, card.ErrNotSupported},
		"challenge of 4 bytes": {chosen + "> 0087000004 7C028100 00\n< 7C06 8104 01020304 9000",
			func(c *gids.Card) error { _, err := c.ExternalChallenge(t.Context()); return err }, card.ErrMalformed},
		"challenge without a template": {chosen + "> 0087000004 7C028100 00\n< 9000",
			func(c *gids.Card) error { _, err := c.ExternalChallenge(t.Context()); return err }, card.ErrMalformed},
		"r2 of 8 bytes": {chosen + "> 0087000014 7C128110 " + r1 + " 00\n< 7C0A 8108 0102030405060708 9000",
			func(c *gids.Card) error { _, err := c.MutualChallenge(t.Context(), raw(t, r1)); return err }, card.ErrMalformed},
		"reply without its template": {"> 008700002C 7C2A8228 " + long + " 00\n< " + long + " 9000",
			func(c *gids.Card) error { _, err := c.MutualAnswer(t.Context(), make([]byte, 40)); return err }, card.ErrMalformed},
		"reply of another length": {"> 008700002C 7C2A8228 " + long + " 00\n< 7C03 8201 00 9000",
			func(c *gids.Card) error { _, err := c.MutualAnswer(t.Context(), make([]byte, 40)); return err }, card.ErrMalformed},
		"answer of our own that is too short": {"", func(c *gids.Card) error { _, err := c.MutualAnswer(t.Context(), nil); return err }, gidskey.ErrLength},
		"r1 of our own that is too short":     {"", func(c *gids.Card) error { _, err := c.MutualChallenge(t.Context(), nil); return err }, gidskey.ErrLength},
		"external answer that is too long":    {"", func(c *gids.Card) error { return c.ExternalAnswer(t.Context(), make([]byte, 9)) }, gidskey.ErrLength},
		"a new key of 16 bytes":               {"", func(c *gids.Card) error { return c.RotateKey(t.Context(), make([]byte, 16)) }, card.ErrRefusedKey},
		"a new key that is single DES":        {"", func(c *gids.Card) error { return c.RotateKey(t.Context(), make([]byte, 24)) }, gidskey.ErrKey},
		"the end is refused":                  {"> 00200082\n< 6F00", func(c *gids.Card) error { return c.EndAuthentication(t.Context()) }, card.StatusError{Command: "VERIFY (end)", SW: 0x6F00}},
		"taken out":                           {"> 0022C1A403830180\n! removed", func(c *gids.Card) error { _, err := c.ExternalChallenge(t.Context()); return err }, card.ErrRemoved},
		"reset by somebody":                   {"> 002C028004 31323334\n! reset", func(c *gids.Card) error { return c.UnblockAuthenticated(t.Context(), "1234") }, card.ErrReset},
		"proof without a PIN":                 {"", func(c *gids.Card) error { _, err := c.Prove(t.Context(), [32]byte{}); return err }, card.ErrNotSupported},
		"proof with no certificate": {"> 00CBA000045C02DF1F00\n< 6A82", func(c *gids.Card) error { _, err := c.ProveVerified(t.Context(), [32]byte{}); return err },
			card.ErrNotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.call(open(t, c.script)); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestStateWithoutAPINStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"6A88", "7F7100 9000", "7F7103970200 9000", "7F7104 97020003 9000"} {
		for answer, want := range map[string]card.Counter{
			"9000": {}, "63C3": {Known: true, Left: 3}, "63C0": {Known: true}, "6983": {Known: true},
		} {
			s, err := open(t, "> 00CB3FFF045C027F7100\n< "+status+"\n> 00200080\n< "+answer).State(t.Context())
			if err != nil || s.PIN != want {
				t.Errorf("%s, %s: %+v, %v", status, answer, s, err)
			}
		}
	}
	var status card.StatusError
	if _, err := open(t, "> 00CB3FFF045C027F7100\n< 6A88\n> 00200080\n< 6F00").State(t.Context()); !errors.As(err, &status) {
		t.Errorf("got %v", err)
	}
}

func TestIdentityThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"none":          {"< 6A82", card.ErrUnrecognised},
		"empty":         {"< DF2000 9000", card.ErrMalformed},
		"15 bytes":      {"< DF200F 000102030405060708090A0B0C0D0E 9000", card.ErrMalformed},
		"zeros":         {"< DF2010 00000000000000000000000000000000 9000", card.ErrMalformed},
		"another one":   {"< DF2110 00112233445566778899AABBCCDDEEFF 9000", card.ErrMalformed},
		"taken out":     {"! removed", card.ErrRemoved},
		"failed inside": {"< 6F00", card.StatusError{Command: "GET DATA", SW: 0x6F00}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if id, err := open(t, "> 00CBA012045C02DF2000\n"+c.answer).Identity(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("got %v, %v, want %v", id, err, c.want)
			}
		})
	}
}

func TestImpossiblePINsAreNeverSent(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "123", "12345678901234567"} {
		c := open(t, "")
		for name, err := range map[string]error{"verify": c.Verify(t.Context(), bad), "unblock": c.UnblockAuthenticated(t.Context(), bad),
			"change, old": c.Change(t.Context(), bad, "1234"), "change, new": c.Change(t.Context(), "1234", bad)} {
			if !errors.Is(err, card.ErrRefusedPIN) {
				t.Errorf("%s with %q: %v", name, bad, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x97, 1, 2, 0x93, 1, 5})
	f.Add([]byte{1, 0, 1, 0, 0x78, 0x9C, 0x4B, 4, 0, 0, 0x62, 0, 0x62})
	f.Add([]byte{0x7C, 4, 0x81, 2, 1, 2})
	f.Add(append([]byte{1}, make([]byte, 28)...))
	f.Add(bytes.Repeat([]byte{1}, 86))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c := gids.ParsePINStatus(b); c.Total != 0 && c.Left > c.Total || c.Left > 255 {
			t.Errorf("%+v", c)
		}
		if der, err := gids.ParseCertificate(b); err == nil && len(der) > 1<<16 {
			t.Errorf("a certificate of %d bytes passed", len(der))
		}
		if v, err := gids.ParseAuthentication(b, 0x82); err == nil && len(v) > len(b) {
			t.Errorf("%X gave %X", b, v)
		}
		gids.Parse(b)
	})
}
