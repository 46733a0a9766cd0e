package piv_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
	"latchkey/internal/card/cardtest"
	"latchkey/internal/card/piv"
)

const guid = "00112233445546778899aabbccddeeff"

// opened begins the script of a plain PIV card.
const opened = `
> 00A4040005A00000030800
< 6111 4F06 000010000100 7907 4F05 A000000308 9000
> 00FD000000
< 6D00
`

// primary is the answer of a card without a discovery object.
const primary = "> 00CB3FFF035C017E00\n< 6A82\n"

func open(t *testing.T, script string) *piv.Card {
	t.Helper()
	c, err := piv.Open(t.Context(), cardtest.New(t, "script", opened+script))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRealCards(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file         string
		identity     card.Identity
		state        card.State
		certificates []card.Certificate
	}{
		{"yubikey.txt",
			card.Identity{Family: card.FamilyPIV, ID: guid, Serial: "12345678", Model: "YubiKey 5.4.3"},
			card.State{PIN: card.Counter{Known: true, Left: 2, Total: 3}, Keys: puk(card.Counter{Known: true, Left: 5, Total: 5})},
			[]card.Certificate{{Slot: "9A", DER: []byte("authentication")}, {Slot: "9E", DER: []byte("card authentication")}}},
		{"plain.txt",
			card.Identity{Family: card.FamilyPIV, ID: guid, Model: "PIV card"},
			card.State{PIN: card.Counter{Known: true, Left: 2}, Keys: puk(card.Counter{})},
			[]card.Certificate{{Slot: "9A", DER: counting(512)}}},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			p, err := piv.Open(t.Context(), cardtest.Open(t, filepath.Join("testdata", c.file)))
			if err != nil {
				t.Fatal(err)
			}
			identity, err := p.Identity(t.Context())
			if diff := cmp.Diff(c.identity, identity); diff != "" || err != nil {
				t.Error(err, diff)
			}
			state, err := p.State(t.Context())
			if diff := cmp.Diff(c.state, state); diff != "" || err != nil {
				t.Error(err, diff)
			}
			certificates, err := p.Certificates(t.Context())
			if diff := cmp.Diff(c.certificates, certificates); diff != "" || err != nil {
				t.Error(err, diff)
			}
		})
	}
}

// puk is the counters of a card that has a PUK alone.
func puk(c card.Counter) map[card.KeyKind]card.Counter {
	return map[card.KeyKind]card.Counter{card.KeyPUK: c}
}

// counting is 0, 1, 2 and so on, n bytes.
func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestParseCHUID(t *testing.T) {
	t.Parallel()
	good, err := hex.DecodeString("3401" + "00")
	if err != nil {
		t.Fatal(err)
	}
	id, _ := hex.DecodeString(guid)
	for name, object := range map[string][]byte{
		"empty":               {},
		"no GUID":             apdu.EncodeTLV(0x30, make([]byte, 25)),
		"GUID of one byte":    good,
		"GUID of 17 bytes":    apdu.EncodeTLV(0x34, make([]byte, 17)),
		"GUID of zeros":       apdu.EncodeTLV(0x34, make([]byte, 16)),
		"cut off in the GUID": apdu.EncodeTLV(0x34, id)[:10],
		"cut off behind it":   append(apdu.EncodeTLV(0x34, id), 0x35, 0x08, '2'),
	} {
		if got, err := piv.ParseCHUID(object); !errors.Is(err, card.ErrMalformed) {
			t.Errorf("%s: got %X, %v", name, got, err)
		}
	}
	got, err := piv.ParseCHUID(bytes.Join([][]byte{apdu.EncodeTLV(0x30, make([]byte, 25)), apdu.EncodeTLV(0x34, id)}, nil))
	if err != nil || !bytes.Equal(got[:], id) {
		t.Errorf("with a FASC-N of zeros: %X, %v", got, err)
	}
}

func TestIdentityThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"no CHUID":          {"< 6A82", card.ErrUnrecognised},
		"empty CHUID":       {"< 5300 9000", card.ErrMalformed},
		"another object":    {"< 5402 0000 9000", card.ErrMalformed},
		"nothing":           {"< 9000", card.ErrMalformed},
		"cut off":           {"< 5382 9000", card.ErrMalformed},
		"taken out":         {"! removed", card.ErrRemoved},
		"failed inside":     {"< 6F00", card.StatusError{Command: "GET DATA", SW: 0x6F00}},
		"reset by somebody": {"! reset", card.ErrReset},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if id, err := open(t, "> 00CB3FFF055C035FC10200\n"+c.answer).Identity(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("got %v, %v, want %v", id, err, c.want)
			}
		})
	}
}

func TestParseCertificate(t *testing.T) {
	t.Parallel()
	const zipped = "1f8b08000000000002034b040043beb7e801000000" // "a"
	for name, c := range map[string]struct{ object, want string }{
		"plain":                 {"7001 61 7101 00 FE00", "a"},
		"without information":   {"7001 61", "a"},
		"compressed":            {"7015" + zipped + "7101 01", "a"},
		"compressed, old mark":  {"7015" + zipped + "7101 80", "a"},
		"compressed and cut":    {"7010" + zipped[:32] + "7101 01", ""},
		"compressed in name":    {"7001 61 7101 01", ""},
		"no certificate":        {"7101 00", ""},
		"an empty certificate":  {"7000 7101 00", ""},
		"an object that is cut": {"7005 61", ""},
	} {
		object, err := hex.DecodeString(strings.ReplaceAll(c.object, " ", ""))
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := piv.ParseCertificate(object)
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %X, %v", name, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x34, 0x01, 0x00})
	f.Add(apdu.EncodeTLV(0x34, counting(16)))
	f.Add(append(apdu.EncodeTLV(0x70, []byte{0x1F, 0x8B, 8, 0}), 0x71, 1, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := piv.ParseCHUID(b); err == nil && id == ([16]byte{}) {
			t.Error("a GUID of zeros passed")
		}
		if der, err := piv.ParseCertificate(b); err == nil && len(der) > 1<<16 {
			t.Errorf("a certificate of %d bytes passed", len(der))
		}
	})
}
