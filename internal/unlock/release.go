package unlock

import (
	"context"
	"errors"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/cardkey"
	"latchkey/internal/deliver"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Release gives the unlocking keys of a step to a verified session whose card
// is, once more, the one in the reader. Errors: problem.SessionState,
// ReleaseMismatch, ProofWrong, CardNoKey, PUKLastTry, those of Prove and of
// escrow.Release.
func (s *Service) Release(ctx context.Context, who Credentials, r api.ReleaseRequest) (out api.Envelope, err error) {
	s.refreshRelease(ctx, who)
	err = s.update(ctx, func(tx *store.Tx) error {
		x, c, err := s.live(ctx, tx, who)
		if err != nil {
			return err
		}
		switch api.State(x.State) {
		case api.StateVerified, api.StateReleasing, api.StateUnlocked:
		default:
			return problem.New(problem.SessionState)
		}
		if err := s.standsStill(ctx, tx, x, c); err != nil {
			return s.notTrusted(ctx, tx, x, err)
		}
		if err := s.proofHere(x, c, r); err != nil {
			return s.proofWrong(ctx, tx, x, err)
		}
		if out, err = s.release(ctx, tx, x, &c, r); err != nil {
			return stopped(err)
		}
		if api.State(x.State) != api.StateVerified {
			return nil
		}
		x.State = string(api.StateReleasing)
		if err := s.save(ctx, tx, &x); err != nil {
			return err
		}
		return s.tell(ctx, tx, x, deliver.NoticeReleased)
	})
	return out, err
}

// release gives out a card's key, or the answer to its challenge. What it takes
// comes from our record of the card.
func (s *Service) release(ctx context.Context, tx *store.Tx, x store.Session, c *store.Card, r api.ReleaseRequest) (api.Envelope, error) {
	kind, err := s.Escrow.Kind(ctx, tx, c.ID)
	if err != nil {
		return api.Envelope{}, err
	}
	var left *int
	if n, told := r.KeyTriesLeft[cardkey.OnCard(kind)]; told {
		left = &n
	}
	if cardkey.Leaves(kind) {
		return s.Escrow.Release(ctx, tx, x, c, r.Step, left)
	}
	if n := len(r.Challenge); n != gidskey.ChallengeLength && n != gidskey.NonceLength {
		return api.Envelope{}, malformed("challenge")
	}
	if len(r.Challenge) == gidskey.ChallengeLength && !s.conf.AllowUnproven {
		return api.Envelope{}, problem.Wrap(problem.ProofWrong, errors.New("external authentication proves nothing of the card"))
	}
	return s.Escrow.Answer(ctx, tx, x, c, r.Step, r.Challenge, left)
}

// stopped keeps what the escrow has written down with a refusal of its own.
func stopped(err error) error {
	var s escrow.Stopped
	if errors.As(err, &s) {
		return keep{s.Problem}
	}
	return err
}

// standsStill looks at card and holder of a session once more: they may have
// been suspended since it began, and the card's certificates revoked. Once keys
// have been released it is no longer asked whether that can be known: the card
// is in the middle of its unlock.
func (s *Service) standsStill(ctx context.Context, tx *store.Tx, x store.Session, c store.Card) error {
	if err := s.Directory.CheckCard(ctx, tx, c); err != nil {
		return notServed(err)
	}
	h, err := s.Directory.Holder(ctx, tx, c.HolderID)
	if err != nil {
		return notServed(err)
	}
	if h.ID != x.HolderID {
		return problem.New(problem.CardNotServed)
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	if err := directory.Standing(c, h, now); err != nil {
		return precise(&x, err)
	}
	return s.trusted(&x, now, api.State(x.State) == api.StateVerified, c.CardAuthCert, c.PIVAuthCert)
}

// notServed is the answer where a record is gone, or was not written by us: of
// that the trail keeps a note. A fault of the database stays what it is.
func notServed(err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	p := problem.Wrap(problem.CardNotServed, err)
	if errors.Is(err, directory.ErrTampered) {
		return keep{p}
	}
	return p
}

// wrongProofs is how many wrong proofs of one session go into the trail.
const wrongProofs = 5

// proofWrong notes a proof that does not fit, as long as that is news.
func (s *Service) proofWrong(ctx context.Context, tx *store.Tx, x store.Session, err error) error {
	n, _, bumpErr := tx.BumpLimit(ctx, s.bucket("wrong proofs of session", x.ID), s.conf.Limits.Session, 1)
	if bumpErr != nil {
		return bumpErr
	}
	p := problem.From(err)
	if n > wrongProofs {
		return p
	}
	if err := s.note(ctx, tx, x, audit.CardProofWrong, map[string]string{"code": string(p.Code)}); err != nil {
		return err
	}
	return keep{p}
}

// tell has the holder told at every address.
func (s *Service) tell(ctx context.Context, tx *store.Tx, x store.Session, event string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	return s.Sender.Notify(ctx, tx, deliver.Notice{HolderID: x.HolderID, SessionID: x.ID, Event: event, Workstation: x.Workstation, At: now})
}

// Report takes the outcome of a step, after the session's end too: what is
// known of a card is worth having. Errors: problem.ReportMismatch, ProofWrong,
// RequestMalformed.
func (s *Service) Report(ctx context.Context, who Credentials, r api.Report) (out api.Reported, err error) {
	if !valid(r) {
		return out, malformed("outcome")
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		x, c, err := s.load(ctx, tx, who)
		if err != nil {
			return err
		}
		// Nothing is said of a card to those who were released nothing (R4).
		if err := s.Escrow.Released(ctx, tx, x, r); err != nil {
			return err
		}
		if err := s.Directory.CheckCard(ctx, tx, c); err != nil {
			return notServed(err)
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		proven, err := s.proven(x, c, r, now)
		replied := false // which proves the key that the card had before
		if err == nil {
			replied, err = s.Escrow.CheckReply(ctx, tx, x, c, r)
		}
		if problem.CodeOf(err) == problem.ProofWrong {
			return s.proofWrong(ctx, tx, x, err)
		}
		if err != nil {
			return err
		}
		result, err := s.Escrow.Report(ctx, tx, x, &c, r, proven || replied && r.Holds == api.HoldsKey)
		if err != nil {
			return err
		}
		if err := s.conclude(ctx, tx, &x, result.Outcome, result.NextStep); err != nil {
			return err
		}
		out = api.Reported{State: api.State(x.State), Proven: result.Proven, NextStep: result.NextStep}
		return nil
	})
	return out, err
}

// maxTries is the most tries that any card tells of.
const maxTries = 255

func valid(r api.Report) bool {
	switch r.Outcome {
	case api.OutcomeUnlocked, api.OutcomeRefused, api.OutcomeBlocked, api.OutcomeFailed:
	default:
		return false
	}
	if r.TriesLeft != nil && (*r.TriesLeft < 0 || *r.TriesLeft > maxTries) {
		return false
	}
	return r.Holds == api.HoldsKey || r.Holds == api.HoldsNext || r.Holds == api.HoldsUnknown
}

// conclude brings the session to where an outcome leaves it. One that was
// superseded, given up or unlocked already stays so.
func (s *Service) conclude(ctx context.Context, tx *store.Tx, x *store.Session, o api.Outcome, next int) error {
	switch state := api.State(x.State); {
	case state != api.StateReleasing && state != api.StateExpired:
		return nil
	case o == api.OutcomeUnlocked:
		if err := s.end(ctx, tx, x, api.StateUnlocked, audit.SessionUnlocked, nil); err != nil {
			return err
		}
		return s.tell(ctx, tx, *x, deliver.NoticeUnlocked)
	case state == api.StateExpired:
		return nil
	case o == api.OutcomeBlocked:
		return s.end(ctx, tx, x, api.StateFailed, audit.SessionFailed, map[string]string{"code": string(problem.PUKBlocked)})
	case o == api.OutcomeRefused && next == 0:
		return s.end(ctx, tx, x, api.StateFailed, audit.SessionFailed, map[string]string{"code": string(problem.PUKWrong)})
	}
	return nil
}

// keepFor is how long ended sessions and what became of their messages stay in
// the database. The
// audit trail keeps what happened for good.
const keepFor = 90 * 24 * time.Hour

// Clean removes what has been over for a long time.
func (s *Service) Clean(ctx context.Context) error {
	return s.update(ctx, func(tx *store.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.DeleteSessionsBefore(ctx, now.Add(-keepFor)); err != nil {
			return err
		}
		if _, err := tx.DeleteMessagesBefore(ctx, now.Add(-keepFor)); err != nil {
			return err
		}
		_, err = tx.DeleteLimitsBefore(ctx, now.Add(-time.Hour))
		return err
	})
}
