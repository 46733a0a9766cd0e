package openpgp_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/card"
	"latchkey/internal/card/cardtest"
	"latchkey/internal/card/openpgp"
)

// opening begins the script of a card; what DO F9 holds follows.
const opening = `
> 00A4040006D2760001240100
< 9000
> 00CA004F00
< D276000124010304 0005 0000A1B2 0000 9000
> 00CA006E00
< 4F10D276000124010304 0005 0000A1B2 0000 7311 C306010800002000 C407 00202020 03 03 03 9000
> 00CA00F900
`

// status is the answer to a read of DO C4: tries of PIN, resetting code, admin PIN.
func status(pin, code, admin int) string {
	return fmt.Sprintf("> 00CA00C400\n< 00202020 %02X %02X %02X 9000\n", pin, code, admin)
}

func open(t *testing.T, script string) *openpgp.Card {
	t.Helper()
	return openWith(t, "6A88", script)
}

func openWith(t *testing.T, kdf, script string) *openpgp.Card {
	t.Helper()
	c, err := openpgp.Open(t.Context(), cardtest.New(t, "script", opening+"< "+kdf+"\n"+script))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openFile(t *testing.T, name string) *openpgp.Card {
	t.Helper()
	c, err := openpgp.Open(t.Context(), cardtest.Open(t, filepath.Join("testdata", name)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func known(pin, code, admin int) card.State {
	return card.State{PIN: card.Counter{Known: true, Left: pin}, Keys: map[card.KeyKind]card.Counter{
		card.KeyResettingCode: {Known: true, Left: code}, card.KeyAdminPIN: {Known: true, Left: admin}}}
}

func TestWhatCardsSay(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		identity     card.Identity
		state        card.State
		certificates []card.Certificate
		longest      int
	}{
		"card.txt": {card.Identity{Family: card.FamilyOpenPGP, ID: "00050000a1b2", Serial: "0000A1B2", Model: "OpenPGP card 3.4"}, known(2, 0, 3),
			[]card.Certificate{{Slot: "AUT", DER: []byte{0x30, 3, 2, 1, 5}}}, 64},
		"yubikey.txt": {card.Identity{Family: card.FamilyOpenPGP, ID: "000612345678", Serial: "12345678", Model: "YubiKey, OpenPGP card 3.4"}, known(3, 0, 3), nil, 127},
		"old.txt":     {card.Identity{Family: card.FamilyOpenPGP, ID: "f517abcd0001", Serial: "ABCD0001", Model: "OpenPGP card 2.0"}, known(0, 0, 2), nil, 32},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openFile(t, name)
			identity, err := c.Identity(t.Context())
			if diff := cmp.Diff(want.identity, identity); diff != "" || err != nil {
				t.Error(err, diff)
			}
			state, err := c.State(t.Context())
			if diff := cmp.Diff(want.state, state); diff != "" || err != nil {
				t.Error(err, diff)
			}
			certificates, err := c.Certificates(t.Context())
			if diff := cmp.Diff(want.certificates, certificates); diff != "" || err != nil {
				t.Error(err, diff)
			}
			if r := c.PINRules(); r != (card.PINRules{MinLength: 6, MaxLength: want.longest}) {
				t.Errorf("rules %+v", r)
			}
			if name == "card.txt" {
				theRest(t, c)
			}
		})
	}
}

// theRest plays card.txt to its end.
func theRest(t *testing.T, c *openpgp.Card) {
	t.Helper()
	ctx := t.Context()
	for _, err := range []error{
		c.Unblock(ctx, card.KeyAdminPIN, "12345678", "840261"),
		c.Rotate(ctx, card.KeyAdminPIN, "12345678", "87654321"),
		c.SetResettingCode(ctx, "87654321", "13571357"),
		c.Unblock(ctx, card.KeyResettingCode, "13571357", "654321"),
		c.Verify(ctx, "654321"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var digest [32]byte
	for i := range digest {
		digest[i] = byte(i)
	}
	proof, err := c.ProveVerified(ctx, digest)
	want := "3026020101022100" + "80" + strings.Repeat("00", 30) + "02"
	if err != nil || proof.Slot != "AUT" || hex.EncodeToString(proof.Signature) != want {
		t.Errorf("proof %s %X, %v", proof.Slot, proof.Signature, err)
	}
}

// presenting is a command that presents a secret, with the counter that it is
// about.
type presenting struct {
	name, command string
	call          func(context.Context, *openpgp.Card) error
	reference     card.Reference
	refused       error
}

func presentings() []presenting {
	return []presenting{
		{"VERIFY", "> 0020008206 313233343536", func(ctx context.Context, c *openpgp.Card) error { return c.Verify(ctx, "123456") },
			card.ReferencePIN, card.ErrRefusedPIN},
		{"CHANGE REFERENCE DATA", "> 002400810C 313233343536 363534333231",
			func(ctx context.Context, c *openpgp.Card) error { return c.Change(ctx, "123456", "654321") }, card.ReferencePIN, card.ErrRefusedPIN},
		{"CHANGE REFERENCE DATA", "> 0024008310 3132333435363738 3837363534333231",
			func(ctx context.Context, c *openpgp.Card) error {
				return c.Rotate(ctx, card.KeyAdminPIN, "12345678", "87654321")
			}, card.ReferenceAdminPIN, card.ErrRefusedKey},
		{"VERIFY", "> 0020008308 3132333435363738", func(ctx context.Context, c *openpgp.Card) error {
			return c.Unblock(ctx, card.KeyAdminPIN, "12345678", "654321")
		}, card.ReferenceAdminPIN, card.ErrRefusedKey},
		{"RESET RETRY COUNTER", "> 002C00810E 3132333435363738 363534333231", func(ctx context.Context, c *openpgp.Card) error {
			return c.Unblock(ctx, card.KeyResettingCode, "12345678", "654321")
		}, card.ReferenceResettingCode, card.ErrRefusedPIN},
	}
}

// with is the status with some tries of one reference, two of the others.
func with(r card.Reference, left int) string {
	tries := map[card.Reference]int{card.ReferencePIN: 2, card.ReferenceResettingCode: 2, card.ReferenceAdminPIN: 2}
	tries[r] = left
	return status(tries[card.ReferencePIN], tries[card.ReferenceResettingCode], tries[card.ReferenceAdminPIN])
}

// The counter says what a refusal was, whatever the status word is.
func TestCounterSaysWhatARefusalWas(t *testing.T) {
	t.Parallel()
	for _, p := range presentings() {
		for _, sw := range []uint16{0x6982, 0x6983, 0x63C1, 0x63C0, 0x6300, 0x6A80, 0x6985, 0x6700, 0x6F00} {
			for after, want := range map[int]error{
				2: card.WrongKeyError{Reference: p.reference, TriesLeft: 2}, 1: card.WrongKeyError{Reference: p.reference, TriesLeft: 1},
				0: card.BlockedError{Reference: p.reference},
			} {
				c := open(t, with(p.reference, 3)+p.command+fmt.Sprintf("\n< %04X\n", sw)+with(p.reference, after))
				if err := p.call(t.Context(), c); !errors.Is(err, want) {
					t.Errorf("%s of the %s, %04X, %d tries after: %v, want %v", p.name, p.reference, sw, after, err, want)
				}
			}
		}
	}
}

// Where the counter stands as before, the status word is what there is.
func TestStatusWords(t *testing.T) {
	t.Parallel()
	for _, p := range presentings() {
		for sw, want := range map[uint16]error{
			0x6A80: p.refused, 0x6700: p.refused, 0x6985: p.refused,
			0x6A81: card.ErrNotSupported, 0x6A86: card.ErrNotSupported, 0x6A88: card.ErrNotSupported,
			0x6B00: card.ErrNotSupported, 0x6D00: card.ErrNotSupported, 0x6E00: card.ErrNotSupported,
			0x6982: card.StatusError{Command: p.name, SW: 0x6982}, 0x6983: card.StatusError{Command: p.name, SW: 0x6983},
			0x63C2: card.StatusError{Command: p.name, SW: 0x63C2}, 0x6F00: card.StatusError{Command: p.name, SW: 0x6F00},
		} {
			c := open(t, with(p.reference, 3)+p.command+fmt.Sprintf("\n< %04X\n", sw)+with(p.reference, 3))
			if err := p.call(t.Context(), c); !errors.Is(err, want) {
				t.Errorf("%s of the %s, %04X: %v, want %v", p.name, p.reference, sw, err, want)
			}
		}
	}
}

func TestAfterTheAdminPIN(t *testing.T) {
	t.Parallel()
	for _, m := range []struct {
		name, command string
		call          func(*openpgp.Card) error
		refused       error
	}{
		{"RESET RETRY COUNTER", "> 002C028106 363534333231", func(c *openpgp.Card) error {
			return c.Unblock(t.Context(), card.KeyAdminPIN, "12345678", "654321")
		}, card.ErrRefusedPIN},
		{"PUT DATA", "> 00DA00D308 3837363534333231", func(c *openpgp.Card) error {
			return c.SetResettingCode(t.Context(), "12345678", "87654321")
		}, card.ErrRefusedKey},
	} {
		for sw, want := range map[uint16]error{0x9000: nil, 0x6A80: m.refused, 0x6700: m.refused, 0x6985: m.refused, 0x6D00: card.ErrNotSupported,
			0x6982: card.StatusError{Command: m.name, SW: 0x6982}, 0x6F00: card.StatusError{Command: m.name, SW: 0x6F00}} {
			err := m.call(open(t, status(0, 0, 3)+"> 0020008308 3132333435363738\n< 9000\n"+m.command+fmt.Sprintf("\n< %04X", sw)))
			if want == nil && err != nil || !errors.Is(err, want) {
				t.Errorf("%s %04X: %v, want %v", m.name, sw, err, want)
			}
		}
	}
}

// Nothing follows the read of the counters in these scripts.
func TestNothingIsPresentedToABlockedReference(t *testing.T) {
	t.Parallel()
	for _, p := range presentings() {
		if err := p.call(t.Context(), open(t, with(p.reference, 0))); !errors.Is(err, card.BlockedError{Reference: p.reference}) {
			t.Errorf("%s of the %s: %v", p.name, p.reference, err)
		}
		if p.reference == card.ReferencePIN {
			continue // its last try is the person's to spend
		}
		if err := p.call(t.Context(), open(t, with(p.reference, 1))); !errors.Is(err, card.LastTryError{Reference: p.reference}) {
			t.Errorf("%s of the %s with one try: %v", p.name, p.reference, err)
		}
	}
}

func TestNothingIsPresentedWhereTheCountersCannotBeRead(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{"6F00": card.StatusError{Command: "GET DATA", SW: 0x6F00}, "002020200303 9000": card.ErrMalformed,
		"00A0202003 0303 9000": card.ErrNotSupported} {
		for _, p := range presentings() {
			if err := p.call(t.Context(), open(t, "> 00CA00C400\n< "+answer)); !errors.Is(err, want) {
				t.Errorf("%s, %s: %v", p.name, answer, err)
			}
		}
	}
}

func TestFaultsOfTheWay(t *testing.T) {
	t.Parallel()
	for _, p := range presentings() {
		for name, script := range map[string]string{
			"before":            "> 00CA00C400\n! removed",
			"meanwhile":         with(p.reference, 3) + p.command + "\n! removed",
			"before we know it": with(p.reference, 3) + p.command + "\n< 6982\n> 00CA00C400\n! removed",
		} {
			if err := p.call(t.Context(), open(t, script)); !errors.Is(err, card.ErrRemoved) {
				t.Errorf("%s %s: %v", p.name, name, err)
			}
		}
	}
}

func TestImpossibleValuesAreNeverSent(t *testing.T) {
	t.Parallel()
	const fine, long = "12345678", "123456789012345678901234567890123" // the card takes 32
	for name, call := range map[string]func(*openpgp.Card) error{
		"short PIN":                   func(c *openpgp.Card) error { return c.Verify(t.Context(), "12345") },
		"long PIN":                    func(c *openpgp.Card) error { return c.Verify(t.Context(), long) },
		"short new PIN, admin PIN":    func(c *openpgp.Card) error { return c.Unblock(t.Context(), card.KeyAdminPIN, fine, "12345") },
		"short new PIN, code":         func(c *openpgp.Card) error { return c.Unblock(t.Context(), card.KeyResettingCode, fine, "12345") },
		"short admin PIN":             func(c *openpgp.Card) error { return c.Unblock(t.Context(), card.KeyAdminPIN, "1234567", fine) },
		"short code":                  func(c *openpgp.Card) error { return c.Unblock(t.Context(), card.KeyResettingCode, "1234567", fine) },
		"short admin PIN, next":       func(c *openpgp.Card) error { return c.Rotate(t.Context(), card.KeyAdminPIN, fine, "1234567") },
		"long admin PIN, next":        func(c *openpgp.Card) error { return c.Rotate(t.Context(), card.KeyAdminPIN, fine, long) },
		"short code to set":           func(c *openpgp.Card) error { return c.SetResettingCode(t.Context(), fine, "1234567") },
		"short admin PIN, code":       func(c *openpgp.Card) error { return c.SetResettingCode(t.Context(), "1234567", fine) },
		"short old PIN":               func(c *openpgp.Card) error { return c.Change(t.Context(), "12345", fine) },
		"short new PIN by the holder": func(c *openpgp.Card) error { return c.Change(t.Context(), fine, "12345") },
	} {
		if err := call(open(t, status(3, 3, 3))); !errors.Is(err, card.ErrRefusedPIN) && !errors.Is(err, card.ErrRefusedKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysThatTheFamilyDoesNotKnow(t *testing.T) {
	t.Parallel()
	c := open(t, "")
	for name, err := range map[string]error{
		"unblock with a PUK":      c.Unblock(t.Context(), card.KeyPUK, "12345678", "123456"),
		"change a PUK":            c.Rotate(t.Context(), card.KeyPUK, "12345678", "87654321"),
		"a code changes itself":   c.Rotate(t.Context(), card.KeyResettingCode, "12345678", "87654321"),
		"signature without a PIN": func() error { _, err := c.Prove(t.Context(), [32]byte{}); return err }(),
	} {
		if !errors.Is(err, card.ErrNotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCardThatIsNotWhatItSays(t *testing.T) {
	t.Parallel()
	const begin = "> 00A4040006D2760001240100\n< 9000\n> 00CA004F00\n< D276000124010304 0005 0000A1B2 0000 9000\n> 00CA006E00\n"
	for name, c := range map[string]struct {
		script string
		want   error
	}{
		"no application":     {"> 00A4040006D2760001240100\n< 6A82", card.ErrUnrecognised},
		"no AID":             {"> 00A4040006D2760001240100\n< 9000\n> 00CA004F00\n< 6A88", card.ErrUnrecognised},
		"half an AID":        {"> 00A4040006D2760001240100\n< 9000\n> 00CA004F00\n< D27600012401 9000", card.ErrUnrecognised},
		"failed at the AID":  {"> 00A4040006D2760001240100\n< 9000\n> 00CA004F00\n< 6F00", card.ErrUnrecognised},
		"no related data":    {begin + "< 6A88", card.ErrMalformed},
		"cut off":            {begin + "< 4F10D276 9000", card.ErrMalformed},
		"no status bytes":    {begin + "< 7303 C30101 9000", card.ErrMalformed},
		"inner data cut off": {begin + "< 7303 C30501 9000", card.ErrMalformed},
		"taken out":          {begin + "! removed", card.ErrRemoved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c2, err := openpgp.Open(t.Context(), cardtest.New(t, "script", c.script)); c2 != nil || !errors.Is(err, c.want) {
				t.Errorf("got %v, %v, want %v", c2, err, c.want)
			}
		})
	}
}
