package unlock_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

// issuer makes a certificate authority for cards.
func issuer(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Card issuer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 365 * 20), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// TestCertificateThatACardBrings counts where the service has none on record,
// a configured issuer has signed it, and it is this card's own for slot 9E.
// From then on the card must prove itself.
func TestCertificateThatACardBrings(t *testing.T) {
	ours, oursKey := issuer(t)
	strange, strangeKey := issuer(t)
	roots := x509.NewCertPool()
	roots.AddCert(ours)
	own := func(slot string) func(me, other emulator.State) (string, []byte) {
		return func(me, _ emulator.State) (string, []byte) { return slot, certificate(me, slot) }
	}
	for name, test := range map[string]struct {
		strange bool
		brings  func(me, other emulator.State) (slot string, der []byte)
		proven  bool
	}{
		"its own":                {false, own("9E"), true},
		"of a strange issuer":    {true, own("9E"), false},
		"for another use":        {false, own("9A"), false},
		"another card's":         {false, func(_, other emulator.State) (string, []byte) { return "9E", certificate(other, "9E") }, false},
		"that is no certificate": {false, func(emulator.State, emulator.State) (string, []byte) { return "9E", []byte("9E") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := unlocktest.New(t, unlocktest.Options{Config: func(c *unlock.Config) { c.Roots = roots }})
			o := emulator.Options{Issuer: ours, IssuerKey: oursKey}
			other := newCard(t, o)
			if test.strange {
				o.Issuer, o.IssuerKey = strange, strangeKey
			}
			c := newCard(t, o)
			x.EnrolBare(t, c)
			v := visit(t, x, c)
			slot, der := test.brings(v.card, other.State())
			digest := api.ProofDigest(api.PurposeCardProof, "test", v.who.ID, v.private.PublicKey().Bytes(), v.nonce, 0)
			_, err := x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{Slot: "9E", Certificate: der, Signature: v.sign(slot, digest)})
			v.must(err) // without a proof it is served as well, by this configuration
			if learned := len(x.Card(t, c).CardAuthCert) > 0; learned != test.proven {
				t.Errorf("learned: %v", learned)
			}
			if !test.proven {
				return
			}
			again := visit(t, x, c)
			_, err = x.Sessions.Prove(t.Context(), again.who, api.ProofRequest{})
			wantCode(t, err, problem.CardNotServed)
		})
	}
}

func certificate(s emulator.State, slot string) []byte {
	for _, k := range s.Keys {
		if k.Slot == slot {
			return k.Certificate
		}
	}
	return nil
}
