package unlock

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/trust"
)

// Trust judges the certificates of cards against the organisation's
// authorities.
type Trust interface {
	// Refresh finds out what is to be known of certificates (DER; empty ones are
	// left alone), in bounded time. It asks others, so that it is never called in
	// a transaction.
	Refresh(ctx context.Context, certs ...[]byte)
	// Check judges one by what is known.
	Check(cert []byte, now time.Time) trust.Verdict
}

// refreshProof finds out what is to be known of a card's certificates before
// its proof is judged. It does nothing for a card that has not signed: nobody
// is asked, and no time is taken, for whoever knows a number of a card (R4).
// What goes wrong here goes wrong again, and is reported, where the proof is
// judged.
func (s *Service) refreshProof(ctx context.Context, who Credentials, r api.ProofRequest) {
	if s.Trust == nil || len(r.Signature) == 0 || r.Slot != slotCardAuth {
		return
	}
	x, c, ok := s.peek(ctx, who)
	if !ok || api.State(x.State) != api.StateStarted {
		return
	}
	cert := c.CardAuthCert
	if len(cert) == 0 {
		cert = r.Certificate
	}
	if signedBy(cert, api.ProofDigest(api.PurposeCardProof, s.conf.Name, x.ID, x.PublicKey, x.Nonce, 0), r.Signature) {
		s.Trust.Refresh(ctx, cert, c.PIVAuthCert)
	}
}

// refreshRelease does the same before the first release of a session, whose
// person has been verified: whether the card has signed or not.
func (s *Service) refreshRelease(ctx context.Context, who Credentials) {
	if s.Trust == nil {
		return
	}
	if x, c, ok := s.peek(ctx, who); ok && api.State(x.State) == api.StateVerified {
		s.Trust.Refresh(ctx, c.CardAuthCert, c.PIVAuthCert)
	}
}

// peek reads a session of this caller and its card, outside of the transaction
// that will judge them.
func (s *Service) peek(ctx context.Context, who Credentials) (x store.Session, c store.Card, ok bool) {
	if who.ID == "" || who.Token == "" || !clean(who.ID) {
		return x, c, false
	}
	err := s.DB.View(ctx, func(tx *store.Tx) (err error) {
		if x, err = tx.SessionByID(ctx, who.ID); err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(x.TokenHash, s.tokenHash(who)) != 1 || !s.Keys.CheckMAC(x.MAC, "session", sessionFields(x)...) {
			return store.ErrNotFound
		}
		if c, err = tx.Card(ctx, x.CardID); err != nil {
			return err
		}
		return s.Directory.CheckCard(ctx, tx, c)
	})
	return x, c, err == nil
}

// trusted says whether certificates of a session's card count. sure: that it
// cannot be known whether one was revoked is an error, too. Errors:
// problem.CardExpired, CertUntrusted, CertRevoked, CertUnknown, with a
// *trust.RefusedError that tells why; the first three are problem.CardNotServed
// for a card that has not proven itself (R4).
func (s *Service) trusted(x *store.Session, now time.Time, sure bool, certs ...[]byte) error {
	if s.Trust == nil {
		return nil
	}
	var unknown error
	for _, cert := range certs {
		if len(cert) == 0 {
			continue
		}
		v := s.Trust.Check(cert, now)
		code := problem.CertUntrusted
		switch {
		case v.OK():
			continue
		case v.Status == trust.Unknown:
			unknown = problem.Wrap(problem.CertUnknown, v.Err())
			continue
		case v.Status == trust.Expired:
			code = problem.CardExpired
		case v.Status == trust.Revoked:
			code = problem.CertRevoked
		}
		if !x.Proven {
			code = problem.CardNotServed
		}
		return problem.Wrap(code, v.Err())
	}
	if sure {
		return unknown
	}
	return nil
}

// mayVouch says whether a certificate that a client brings comes from an
// authority of cards, is in its time and is not known to be revoked.
func (s *Service) mayVouch(cert []byte, now time.Time) bool {
	v := s.Trust.Check(cert, now)
	return v.OK() || v.Status == trust.Unknown
}

// why puts into the details of an event why a certificate does not count.
func why(err error, details map[string]string) map[string]string {
	var refused *trust.RefusedError
	if errors.As(err, &refused) {
		details["certificate"] = string(refused.Verdict.Status) + ": " + refused.Verdict.Why
	}
	return details
}

// notTrusted notes, as long as that is news, a refusal because of a card's
// certificate that leaves the session as it is. Any other error comes back.
func (s *Service) notTrusted(ctx context.Context, tx *store.Tx, x store.Session, err error) error {
	var refused *trust.RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	n, _, bumpErr := tx.BumpLimit(ctx, s.bucket("not trusted in session", x.ID), s.conf.Limits.Session, 1)
	if bumpErr != nil {
		return bumpErr
	}
	p := problem.From(err)
	if n > wrongProofs {
		return p
	}
	if err := s.note(ctx, tx, x, audit.CardNotTrusted, why(err, map[string]string{"code": string(p.Code)})); err != nil {
		return err
	}
	return keep{p}
}
