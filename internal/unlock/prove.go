package unlock

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card"
	"latchkey/internal/directory"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// slotCardAuth is the key reference of SP 800-73-4 part 1 table 4b that signs
// for a card without its PIN. Any other key that signs is its authentication
// key: PIV 9A, OpenPGP AUT, a file of GIDS.
const slotCardAuth = "9E"

// Prove takes the card's proof, or the lack of one, and decides whether the
// session goes on. A card that has proven itself is told precisely what is the
// matter with it (problem.CardSuspended and the like); anything else that does
// not go on is problem.CardNotServed. Where it cannot be known whether the card
// was revoked it is problem.CertUnknown, and can be tried again.
func (s *Service) Prove(ctx context.Context, who Credentials, r api.ProofRequest) (out api.Session, err error) {
	s.refreshProof(ctx, who, r)
	err = s.update(ctx, func(tx *store.Tx) error {
		x, _, err := s.live(ctx, tx, who)
		if err != nil {
			return err
		}
		if api.State(x.State) == api.StateStarted {
			if err := s.judge(ctx, tx, &x, r); err != nil {
				return err
			}
		}
		out, err = s.wire(ctx, tx, x)
		return err
	})
	return out, err
}

// judge identifies the card of a session that has just started.
func (s *Service) judge(ctx context.Context, tx *store.Tx, x *store.Session, r api.ProofRequest) error {
	c, h, err := s.Directory.Identify(ctx, tx, x.Family, x.Identifier, x.Serial)
	known := err == nil && c.ID == x.CardID
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	digest := api.ProofDigest(api.PurposeCardProof, s.conf.Name, x.ID, x.PublicKey, x.Nonce, 0)
	cert := c.CardAuthCert
	learned := false
	if len(cert) == 0 && len(r.Certificate) > 0 {
		if learned, err = s.vouched(ctx, tx, *x, r.Certificate); err != nil {
			return err
		}
		if learned {
			cert = r.Certificate
		}
	}
	x.Proven = r.Slot == slotCardAuth && signedBy(cert, digest, r.Signature)
	reason := s.standing(ctx, tx, x, c, h, known, cert)
	if problem.CodeOf(reason) == problem.CertUnknown {
		return s.notTrusted(ctx, tx, *x, reason)
	}
	if reason != nil && problem.From(reason).Status >= 500 {
		return reason
	}
	if reason != nil {
		return s.refuse(ctx, tx, x, reason, len(r.Signature) > 0)
	}
	if x.Proven && learned {
		if err := s.Directory.LearnCardAuthCert(ctx, tx, c, cert); err != nil {
			return err
		}
	}
	x.State, x.HolderID = string(api.StateIdentified), h.ID
	if err := s.save(ctx, tx, x); err != nil {
		return err
	}
	details := map[string]string{"proven": "no"}
	if x.Proven {
		details["proven"] = "yes"
	}
	return s.note(ctx, tx, *x, audit.SessionIdentified, details)
}

// standing says why a card does not go on, nil where it does. cert is the
// certificate that it could have signed with, nil where there is none.
func (s *Service) standing(ctx context.Context, tx *store.Tx, x *store.Session, c store.Card, h store.Holder, known bool, cert []byte) error {
	if !x.Proven && (len(cert) > 0 || !s.mayBeUnproven(c)) {
		return problem.New(problem.CardNotServed)
	}
	if !known {
		return precise(x, problem.New(problem.CardNotKnown))
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	if err := directory.Standing(c, h, now); err != nil {
		return precise(x, err)
	}
	// A card that has not signed was not asked about yet: see Release.
	if err := s.trusted(x, now, x.Proven, cert, c.PIVAuthCert); err != nil {
		return err
	}
	if has, err := s.Escrow.HasKey(ctx, tx, c.ID); err != nil || !has {
		return errors.Join(err, precise(x, problem.New(problem.CardNoKey)))
	}
	if !x.Proven {
		return nil // whether the holder can be reached is theirs to know
	}
	contacts, err := s.Directory.Contacts(ctx, tx, h.ID)
	if err != nil {
		return err
	}
	if len(contacts) > 0 {
		return nil
	}
	if s.Face != nil && s.offers(api.MethodFace) {
		if has, err := s.Directory.HasPhoto(ctx, tx, h.ID); err != nil || has {
			return err
		}
	}
	return problem.New(problem.HolderNoContact)
}

// mayBeUnproven says whether a card without a certificate for card
// authentication goes on before it has proven itself. A GIDS card proves itself
// by mutual authentication at the release: what is released before is of no use
// without the card whose challenge it answers.
func (s *Service) mayBeUnproven(c store.Card) bool {
	return s.conf.AllowUnproven || c.Family == string(card.FamilyGIDS)
}

// precise gives the reason to a card that has proven itself and one and the
// same answer to any other (R4).
func precise(x *store.Session, reason error) error {
	if x.Proven {
		return reason
	}
	return problem.New(problem.CardNotServed)
}

// refuse ends a session whose card is not served.
func (s *Service) refuse(ctx context.Context, tx *store.Tx, x *store.Session, reason error, signed bool) error {
	p := problem.From(reason)
	if signed && !x.Proven {
		if err := s.note(ctx, tx, *x, audit.CardProofWrong, nil); err != nil {
			return err
		}
	}
	if err := s.end(ctx, tx, x, api.StateFailed, audit.SessionRefused, why(reason, map[string]string{"code": string(p.Code)})); err != nil {
		return err
	}
	return keep{p}
}

// vouched says whether a certificate that a client brings speaks for the
// claimed card: it chains to a configured authority, is for card authentication, so
// that no other certificate of the card is learned in its place (FIPS 201-3
// section 4.2.2.2), and names the card by its GUID (SP 800-73-4 part 1 section
// 3.1.2; a uniformResourceIdentifier "urn:uuid:").
func (s *Service) vouched(ctx context.Context, tx *store.Tx, x store.Session, der []byte) (bool, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil || s.conf.Roots == nil && s.Trust == nil {
		return false, nil
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return false, err
	}
	good := false
	if s.Trust != nil {
		good = s.mayVouch(der, now)
	} else {
		_, err = cert.Verify(x509.VerifyOptions{Roots: s.conf.Roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		good = err == nil
	}
	return good && slices.ContainsFunc(cert.UnknownExtKeyUsage, cardAuth().Equal) && names(cert, x.Identifier), nil
}

// cardAuth is id-PIV-cardAuth, an extended key usage.
func cardAuth() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 6, 8} }

func names(cert *x509.Certificate, guid string) bool {
	for _, u := range cert.URIs {
		id, ok := strings.CutPrefix(strings.ToLower(u.String()), "urn:uuid:")
		if ok && strings.ReplaceAll(id, "-", "") == guid {
			return true
		}
	}
	return false
}

// signedBy says whether a card's signature over a digest fits a certificate:
// PKCS #1 v1.5 for RSA, ASN.1 DER for ECDSA, RFC 8032 over the digest for Ed25519.
func signedBy(der []byte, digest [32]byte, signature []byte) bool {
	if len(der) == 0 || len(signature) == 0 {
		return false
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return false
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest[:], signature)
	case ed25519.PublicKey:
		return ed25519.Verify(key, digest[:], signature)
	}
	return false
}

// proofHere checks the proof that is repeated inside the card's transaction.
func (s *Service) proofHere(x store.Session, c store.Card, r api.ReleaseRequest) error {
	if strings.ToLower(r.CardID) != c.Identifier || r.Serial != "" && c.Serial != "" && r.Serial != c.Serial {
		return problem.New(problem.ReleaseMismatch)
	}
	if !x.Proven {
		if len(c.CardAuthCert) > 0 || !s.mayBeUnproven(c) { // since it began, the record has changed
			return problem.New(problem.ProofWrong)
		}
		return nil
	}
	digest := api.ProofDigest(api.PurposeRelease, s.conf.Name, x.ID, x.PublicKey, x.Nonce, r.Step)
	if r.Slot != slotCardAuth || !signedBy(c.CardAuthCert, digest, r.Signature) {
		return problem.New(problem.ProofWrong)
	}
	return nil
}

// proven says whether a report carries the card's own signature. A signature
// that does not fit is problem.ProofWrong. One by a certificate that is known
// not to count (any longer) proves nothing; the report is taken all the same.
func (s *Service) proven(x store.Session, c store.Card, r api.Report, now time.Time) (bool, error) {
	if len(r.Signature) == 0 {
		return false, nil
	}
	cert := c.PIVAuthCert
	if r.Slot == slotCardAuth {
		cert = c.CardAuthCert
	}
	if len(cert) == 0 {
		return false, nil // nothing on record to judge it by
	}
	digest := api.OutcomeDigest(s.conf.Name, x.ID, c.Identifier, r)
	if !signedBy(cert, digest, r.Signature) {
		return false, problem.New(problem.ProofWrong)
	}
	return s.trusted(&x, now, false, cert) == nil, nil
}
