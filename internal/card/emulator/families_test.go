package emulator_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"testing"

	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/gids"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/card/openpgp"
	"latchkey/internal/card/piv"
)

// direct sends to a card without a reader between.
type direct struct{ *emulator.Card }

func (d direct) Transmit(_ context.Context, command []byte) ([]byte, error) {
	return d.Card.Transmit(command)
}

const (
	factoryKey = "010203040506070801020304050607080102030405060708"
	anotherKey = "0123456789abcdef23456789abcdef01456789abcdef0123"
)

func fromHex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verified checks a proof as its reader will.
func verified(public crypto.PublicKey, digest [32]byte, signature []byte) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest[:], signature)
	case ed25519.PublicKey:
		return ed25519.Verify(k, digest[:], signature)
	}
	return false
}

func certified(t *testing.T, der []byte) crypto.PublicKey {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert.PublicKey
}

func TestProofsOfPIVCards(t *testing.T) {
	t.Parallel()
	digest := [32]byte{1, 2, 3}
	for _, alg := range []string{"rsa2048", "p256", "p384"} {
		for _, bare := range []bool{false, true} { // without certificates: a YubiKey's metadata tell the key
			e := newCard(t, emulator.Options{Algorithm: alg})
			keys := e.State().Keys
			if bare {
				if err := e.Edit(func(s *emulator.State) {
					s.Keys = nil
					for _, k := range keys {
						s.Keys = append(s.Keys, emulator.Key{Slot: k.Slot, PKCS8: k.PKCS8})
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			c, err := piv.Open(t.Context(), direct{e})
			if err != nil {
				t.Fatal(err)
			}
			proof, err := c.Prove(t.Context(), digest)
			if err != nil || proof.Slot != "9E" || !verified(certified(t, keys[1].Certificate), digest, proof.Signature) {
				t.Errorf("%s, bare %v, 9E: %v", alg, bare, err)
			}
			if _, err := c.ProveVerified(t.Context(), digest); err == nil {
				t.Errorf("%s: 9A signs without a PIN", alg)
			}
			if err := c.Verify(t.Context(), "123456"); err != nil {
				t.Fatal(err)
			}
			proof, err = c.ProveVerified(t.Context(), digest)
			if err != nil || proof.Slot != "9A" || !verified(certified(t, keys[0].Certificate), digest, proof.Signature) {
				t.Errorf("%s, bare %v, 9A: %v", alg, bare, err)
			}
		}
	}
	for name, o := range map[string]emulator.Options{"plain": {Plain: true}, "before metadata": {Firmware: "5.2.7"}} {
		e := newCard(t, o)
		if err := e.Edit(func(s *emulator.State) { s.Keys[1].Certificate = nil }); err != nil {
			t.Fatal(err)
		}
		c, err := piv.Open(t.Context(), direct{e})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Prove(t.Context(), digest); !errors.Is(err, card.ErrNotSupported) {
			t.Errorf("%s, no certificate: %v", name, err)
		}
	}
}

func TestProofsOfOpenPGPCards(t *testing.T) {
	t.Parallel()
	digest := [32]byte{1, 2, 3}
	for _, alg := range []string{"rsa2048", "p256", "p384", "ed25519"} {
		for _, family := range []string{emulator.FamilyOpenPGP, emulator.FamilyYubiKey} {
			if alg == "ed25519" && family == emulator.FamilyYubiKey {
				continue // its PIV application has no such key
			}
			e := newCard(t, emulator.Options{Family: family, Algorithm: alg})
			c, err := openpgp.Open(t.Context(), direct{e})
			if err != nil {
				t.Fatal(err)
			}
			certificates, err := c.Certificates(t.Context())
			if err != nil || len(certificates) != 1 {
				t.Fatalf("%s: %v, %v", alg, certificates, err)
			}
			public, err := c.AuthenticationKey(t.Context())
			if want := certified(t, certificates[0].DER).(interface{ Equal(crypto.PublicKey) bool }); err != nil || !want.Equal(public) {
				t.Errorf("%s: public key %v, %v", alg, public, err)
			}
			var status card.StatusError
			if _, err := c.ProveVerified(t.Context(), digest); !errors.As(err, &status) {
				t.Errorf("%s: without a PIN: %v", alg, err)
			}
			if err := c.Verify(t.Context(), "123456"); err != nil {
				t.Fatal(err)
			}
			proof, err := c.ProveVerified(t.Context(), digest)
			if err != nil || proof.Slot != "AUT" || !verified(public, digest, proof.Signature) {
				t.Errorf("%s: proof %+v, %v", alg, proof, err)
			}
			if err := e.Edit(func(s *emulator.State) { s.OpenPGP.Keys = s.OpenPGP.Keys[:1] }); err != nil {
				t.Fatal(err)
			}
			if _, err := c.ProveVerified(t.Context(), digest); !errors.Is(err, card.ErrNotSupported) {
				t.Errorf("%s: no key: %v", alg, err)
			}
		}
	}
}

func TestProofOfAGIDSCard(t *testing.T) {
	t.Parallel()
	digest := [32]byte{1, 2, 3}
	e := newCard(t, emulator.Options{Family: emulator.FamilyGIDS})
	c, err := gids.Open(t.Context(), direct{e})
	if err != nil {
		t.Fatal(err)
	}
	var status card.StatusError
	if _, err := c.ProveVerified(t.Context(), digest); !errors.As(err, &status) {
		t.Errorf("without a PIN: %v", err)
	}
	if err := c.Verify(t.Context(), "123456"); err != nil {
		t.Fatal(err)
	}
	proof, err := c.ProveVerified(t.Context(), digest)
	if err != nil || proof.Slot != "kxc00" || !verified(certified(t, e.State().GIDS.Keys[0].Certificate), digest, proof.Signature) {
		t.Errorf("proof %+v, %v", proof, err)
	}
}

func TestYubiKeyWhosePUKWasBlockedOnPurpose(t *testing.T) {
	t.Parallel()
	for _, firmware := range []string{"5.2.7", "5.4.3", "5.7.1"} {
		for _, disabled := range []bool{false, true} {
			e := newCard(t, emulator.Options{Firmware: firmware, PUKDisabled: disabled})
			if err := e.Edit(func(s *emulator.State) { s.PUKTries = 0 }); err != nil {
				t.Fatal(err)
			}
			c, err := piv.Open(t.Context(), direct{e})
			if err != nil {
				t.Fatal(err)
			}
			state, err := c.State(t.Context())
			want := card.Counter{Known: true, Total: 3, Disabled: disabled}
			if firmware == "5.2.7" { // it has no metadata
				want = card.Counter{}
			}
			if err != nil || state.Key(card.KeyPUK) != want {
				t.Errorf("%s, disabled %v: %+v, %v", firmware, disabled, state, err)
			}
			for name, err := range map[string]error{"unblock": c.Unblock(t.Context(), card.KeyPUK, "12345678", "654321"),
				"rotate": c.Rotate(t.Context(), card.KeyPUK, "12345678", "87654321")} {
				var blocked card.BlockedError
				var explained card.DisabledError
				if !errors.As(err, &blocked) || blocked.Reference != card.ReferencePUK || errors.As(err, &explained) != disabled {
					t.Errorf("%s, disabled %v, %s: %v", firmware, disabled, name, err)
				}
			}
		}
	}
}

// The journeys end well though a card answers 6982 to everything.
func TestWrongAndBlockedAreToldApartOnEveryOpenPGPCard(t *testing.T) {
	t.Parallel()
	for _, answers := range []string{emulator.AnswerSecurity, emulator.AnswerCount, emulator.AnswerAlike} {
		for _, kdf := range []bool{false, true} {
			e := newCard(t, emulator.Options{Family: emulator.FamilyOpenPGP, Answers: answers, KDF: kdf, ResettingCode: "24682468"})
			c, err := openpgp.Open(t.Context(), direct{e})
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			for left := 2; left >= 0; left-- {
				var want error = card.WrongKeyError{Reference: card.ReferencePIN, TriesLeft: left}
				if left == 0 {
					want = card.BlockedError{Reference: card.ReferencePIN}
				}
				if err := c.Verify(ctx, "999999"); !errors.Is(err, want) {
					t.Errorf("%q, KDF %v: %v, want %v", answers, kdf, err, want)
				}
			}
			for kind, r := range map[card.KeyKind]card.Reference{card.KeyAdminPIN: card.ReferenceAdminPIN, card.KeyResettingCode: card.ReferenceResettingCode} {
				for _, want := range []error{card.WrongKeyError{Reference: r, TriesLeft: 2}, card.WrongKeyError{Reference: r, TriesLeft: 1}, card.LastTryError{Reference: r}} {
					if err := c.Unblock(ctx, kind, "99999999", "654321"); !errors.Is(err, want) {
						t.Errorf("%q, KDF %v, %s: %v, want %v", answers, kdf, kind, err, want)
					}
				}
			}
			if s := e.State().OpenPGP; s.AdminTries != 1 || s.CodeTries != 1 {
				t.Errorf("%q: %d and %d tries are left", answers, s.AdminTries, s.CodeTries)
			}
		}
	}
}

func TestGIDSAuthenticationEnds(t *testing.T) {
	t.Parallel()
	key := fromHex(t, factoryKey)
	for name, end := range map[string]func(*gids.Card, *emulator.Card) error{
		"by a reset":    func(c *gids.Card, e *emulator.Card) error { e.Reset(); return c.Select(t.Context()) },
		"by a SELECT":   func(c *gids.Card, _ *emulator.Card) error { return c.Select(t.Context()) },
		"by the end":    func(c *gids.Card, _ *emulator.Card) error { return c.EndAuthentication(t.Context()) },
		"by an unblock": func(c *gids.Card, _ *emulator.Card) error { return c.UnblockAuthenticated(t.Context(), "2468") },
		"by one that fails": func(c *gids.Card, _ *emulator.Card) error {
			if _, err := c.ExternalChallenge(t.Context()); err != nil {
				return err
			}
			if err := c.ExternalAnswer(t.Context(), make([]byte, 8)); !errors.Is(err, card.WrongKeyError{Reference: card.ReferenceAdminKey, TriesLeft: -1}) {
				t.Errorf("wrong answer: %v", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newCard(t, emulator.Options{Family: emulator.FamilyGIDS, ExternalOnly: true})
			c, err := gids.Open(t.Context(), direct{e})
			if err != nil {
				t.Fatal(err)
			}
			challenge, err := c.ExternalChallenge(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			answer, err := gidskey.Answer(key, challenge)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.ExternalAnswer(t.Context(), answer); err != nil {
				t.Fatal(err)
			}
			if err := c.ExternalAnswer(t.Context(), answer); !errors.Is(err, card.ErrNotAuthenticated) {
				t.Errorf("the same answer again: %v", err)
			}
			if err := end(c, e); err != nil {
				t.Fatal(err)
			}
			if err := c.UnblockAuthenticated(t.Context(), "1357"); !errors.Is(err, card.ErrNotAuthenticated) {
				t.Errorf("unblocked afterwards: %v", err)
			}
			if err := c.RotateKey(t.Context(), fromHex(t, anotherKey)); !errors.Is(err, card.ErrNotAuthenticated) {
				t.Errorf("key changed afterwards: %v", err)
			}
		})
	}
}
