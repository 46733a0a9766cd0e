package adopt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"

	"latchkey/internal/card"
	"latchkey/internal/directory"
	"latchkey/internal/journey"
)

// slotCardAuth and slotPIVAuth are key references of SP 800-73-4 part 1 table 4b.
const (
	slotCardAuth = "9E"
	slotPIVAuth  = "9A"
)

// onCard are the certificates that go on record with a card, as an import has
// them: DER, nil for none.
type onCard struct{ cardAuth, auth []byte }

// certificates reads them. One that an import would not take is left out, and
// that of card authentication as well where the card does not sign with it: on
// record it is what the card must prove itself with from then on.
func certificates(ctx context.Context, c card.Card) (onCard, error) {
	list, err := c.Certificates(ctx)
	if err != nil {
		return onCard{}, way(err)
	}
	var found onCard
	for _, one := range list {
		if !directory.IsCertificate(one.DER) {
			continue
		}
		switch {
		case c.Family() == card.FamilyPIV && one.Slot == slotCardAuth:
			ok, err := signs(ctx, c, one.DER)
			if err != nil {
				return onCard{}, err
			}
			if ok {
				found.cardAuth = one.DER
			}
		case found.auth != nil:
		case c.Family() == card.FamilyPIV && one.Slot != slotPIVAuth:
		case c.Family() == card.FamilyGIDS && !rsa2048(one.DER): // it does not sign with others
		default:
			found.auth = one.DER
		}
	}
	return found, nil
}

// way keeps a fault of the reader or the way to the card. What a card's
// certificates are is no reason not to adopt it.
func way(err error) error {
	if journey.AtReader(journey.Fault(err)) || errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// signs says whether the card signs with the key of a certificate, without its PIN.
func signs(ctx context.Context, c card.Card, der []byte) (bool, error) {
	var digest [32]byte
	_, _ = rand.Read(digest[:]) // never fails (crypto/rand)
	proof, err := c.Prove(ctx, digest)
	if err != nil {
		return false, way(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return false, nil
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], proof.Signature) == nil, nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest[:], proof.Signature), nil
	}
	return false, nil
}

func rsa2048(der []byte) bool {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return false
	}
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	return ok && key.Size() == 256
}
