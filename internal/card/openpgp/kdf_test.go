package openpgp_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
	"latchkey/internal/card/openpgp"
)

func object(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	head = "810103 820108 8304 00000064 " // SHA-256, 100 bytes
	own  = "8408 0102030405060708 "
	code = "8508 1112131415161718 "
	sup  = "8608 2122232425262728 "
)

func TestParseKDF(t *testing.T) {
	t.Parallel()
	pin, rc, admin := object(t, "0102030405060708"), object(t, "1112131415161718"), object(t, "2122232425262728")
	for name, c := range map[string]struct {
		text string
		want openpgp.KDF
	}{
		"nothing":    {"", openpgp.KDF{}},
		"none":       {"810100", openpgp.KDF{}},
		"one salt":   {head + own, openpgp.KDF{Hash: openpgp.HashSHA256, Count: 100, PIN: pin, ResettingCode: pin, AdminPIN: pin}},
		"three":      {head + own + code + sup, openpgp.KDF{Hash: openpgp.HashSHA256, Count: 100, PIN: pin, ResettingCode: rc, AdminPIN: admin}},
		"SHA-512":    {"810103 82010A 8304 000F4240 " + own, openpgp.KDF{Hash: openpgp.HashSHA512, Count: 1_000_000, PIN: pin, ResettingCode: pin, AdminPIN: pin}},
		"with PINs":  {head + own + sup + "8702 0000", openpgp.KDF{Hash: openpgp.HashSHA256, Count: 100, PIN: pin, ResettingCode: pin, AdminPIN: admin}},
		"any order":  {own + head, openpgp.KDF{Hash: openpgp.HashSHA256, Count: 100, PIN: pin, ResettingCode: pin, AdminPIN: pin}},
		"odd extras": {head + own + "9901 00", openpgp.KDF{Hash: openpgp.HashSHA256, Count: 100, PIN: pin, ResettingCode: pin, AdminPIN: pin}},
	} {
		got, err := openpgp.ParseKDF(object(t, c.text))
		if err != nil || got.Hash != c.want.Hash || got.Count != c.want.Count || !bytes.Equal(got.PIN, c.want.PIN) ||
			!bytes.Equal(got.ResettingCode, c.want.ResettingCode) || !bytes.Equal(got.AdminPIN, c.want.AdminPIN) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// unknownKDFs are objects that are not understood in full.
func unknownKDFs() map[string]string {
	return map[string]string{
		"another way":           "810101 820108 8304 00000064 " + own,
		"SHA-1":                 "810103 820102 8304 00000064 " + own,
		"no hash":               "810103 8304 00000064 " + own,
		"no count":              "810103 820108 " + own,
		"a count of 3 bytes":    "810103 820108 8303 000064 " + own,
		"a count without end":   "810103 820108 8304 FFFFFFFF " + own,
		"no salt":               head,
		"a salt of 7 bytes":     head + "8407 01020304050607",
		"another salt of 7":     head + own + "8607 01020304050607",
		"cut off":               head + "8408 0102",
		"zeros":                 "00000000",
		"no algorithm":          own,
		"an algorithm too long": "8102 0003 " + own,
		"its tag and no more":   "F903 810103",
	}
}

func TestPINIsNeverPresentedWhereItsDerivationIsNotKnown(t *testing.T) {
	t.Parallel()
	for name, text := range unknownKDFs() {
		if _, err := openpgp.ParseKDF(object(t, text)); !errors.Is(err, openpgp.ErrKDF) || !errors.Is(err, card.ErrNotSupported) {
			t.Errorf("%s: %v", name, err)
		}
		// Not even the counters are read in these scripts.
		c := openWith(t, text+" 9000", "")
		for call, err := range map[string]error{"verify": c.Verify(t.Context(), "123456"), "change": c.Change(t.Context(), "123456", "654321"),
			"unblock": c.Unblock(t.Context(), card.KeyAdminPIN, "12345678", "123456"), "code": c.Unblock(t.Context(), card.KeyResettingCode, "12345678", "123456"),
			"rotate": c.Rotate(t.Context(), card.KeyAdminPIN, "12345678", "87654321"), "set code": c.SetResettingCode(t.Context(), "12345678", "87654321")} {
			if !errors.Is(err, openpgp.ErrKDF) {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
	}
	if err := openWith(t, "6F00", "").Verify(t.Context(), "123456"); !errors.Is(err, openpgp.ErrKDF) {
		t.Errorf("an object that cannot be read: %v", err)
	}
}

// repeat is RFC 4880 section 3.7.1.3 as it is written: salt and text, again and
// again, cut at count, but at least once in full.
func repeat(salt, text string, count int) []byte {
	unit := salt + text
	return []byte(strings.Repeat(unit, count/len(unit)+1)[:max(count, len(unit))])
}

func TestDerive(t *testing.T) {
	t.Parallel()
	salts := map[card.Reference]string{card.ReferencePIN: "saltsalt", card.ReferenceResettingCode: "SALTSALT", card.ReferenceAdminPIN: "12345678"}
	for _, count := range []uint32{0, 1, 14, 15, 100, 1 << 20} {
		for r, salt := range salts {
			for _, hash := range []openpgp.Hash{openpgp.HashSHA256, openpgp.HashSHA512} {
				k := openpgp.KDF{Hash: hash, Count: count, PIN: []byte("saltsalt"), ResettingCode: []byte("SALTSALT"), AdminPIN: []byte("12345678")}
				sum := sha256.Sum256(repeat(salt, "123456", int(count)))
				want := sum[:]
				if hash == openpgp.HashSHA512 {
					sum := sha512.Sum512(repeat(salt, "123456", int(count)))
					want = sum[:]
				}
				if got := k.Derive(r, "123456"); !bytes.Equal(got, want) {
					t.Errorf("%s, count %d, hash %d: %X, want %X", r, count, hash, got, want)
				}
			}
		}
	}
	if got := (openpgp.KDF{}).Derive(card.ReferencePIN, "123456"); string(got) != "123456" {
		t.Errorf("without a derivation: %X", got)
	}
}

func TestDerivedPINsMustFit(t *testing.T) {
	t.Parallel()
	// The card of these scripts takes 32 bytes: a hash of 64 is too long.
	c := openWith(t, "810103 82010A 8304 00000064 "+own+" 9000", status(3, 3, 3))
	if err := c.Verify(t.Context(), "123456"); !errors.Is(err, card.ErrRefusedPIN) {
		t.Errorf("a hash that does not fit: %v", err)
	}
	sum := sha256.Sum256(repeat("\x01\x02\x03\x04\x05\x06\x07\x08", "123456", 100))
	c = openWith(t, head+own+" 9000", status(3, 3, 3)+"> 0020008220 "+hex.EncodeToString(sum[:])+"\n< 9000")
	if err := c.Verify(t.Context(), "123456"); err != nil {
		t.Error(err)
	}
	if r := c.PINRules(); r.MaxLength != 127 {
		t.Errorf("rules %+v", r)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{head + own, head + own + code + sup, "810100", "7311 C306010800002000 C407 00202020 030303", "00202020030303", "7F490486020405"} {
		f.Add(object(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := openpgp.ParseKDF(b); err == nil && k.Hash != openpgp.HashNone && (len(k.PIN) != 8 || len(k.ResettingCode) != 8 || len(k.AdminPIN) != 8) {
			t.Errorf("%X gave %+v", b, k)
		}
		if s, err := openpgp.ParseStatus(b); err == nil && (s.MaxPIN > 127 || s.PIN > 255) {
			t.Errorf("%X gave %+v", b, s)
		}
		if a, err := openpgp.ParseApplication(b); err == nil && a.Status.MaxPIN > 127 {
			t.Errorf("%X gave %+v", b, a)
		}
		alg := openpgp.ParseAlgorithm(b)
		_, _ = openpgp.ParseSignature(alg, b)
		for a := openpgp.AlgorithmUnknown; a <= openpgp.AlgorithmEd25519; a++ {
			_, _ = openpgp.ParsePublicKey(a, b)
			_, _ = openpgp.ParsePublicKey(a, apdu.EncodeTLV(0x7F49, b))
		}
	})
}
