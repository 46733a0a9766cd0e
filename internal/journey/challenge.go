package journey

import (
	"context"
	"encoding/hex"
	"errors"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/problem"
)

// maxChallenges is how many challenges of its card a session asks to have
// answered. The service has a limit of its own.
const maxChallenges = 10

// challenge unblocks a card with the service's answer to its challenge. The
// authentication is mutual where the card can: its reply then goes with the
// report. It gives the step that follows, 0 for none.
func (e *Engine) challenge(ctx context.Context, s *session, c card.ChallengeUnblocker, state card.State, passcode string) (int, error) {
	mutual := true
	challenge, err := c.MutualChallenge(ctx, api.MutualNonce(s.service.Name, s.who.ID, s.nonce, s.step))
	if errors.Is(err, card.ErrNotSupported) {
		mutual = false
		challenge, err = c.ExternalChallenge(ctx)
	}
	if err != nil {
		return 0, err
	}
	envelope, released, err := e.release(ctx, s, c, state, challenge)
	if problem.CodeOf(err) == problem.ReleaseMismatch && s.step < maxChallenges {
		// This step has answered a challenge that the card has forgotten since.
		return s.step + 1, nil
	}
	if err != nil {
		return 0, err
	}
	answer, err := hex.DecodeString(released.Key)
	if err != nil || released.Action != api.ActionAnswer {
		return 0, problem.Wrap(problem.ServicePin, errors.New("no answer to the card's challenge"))
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishPatience)
	defer cancel()
	e.set(func(v *View) { v.Progress = ProgressCard })
	r := outcome(envelope, api.OutcomeUnlocked, api.HoldsKey)
	if mutual {
		r.Reply, err = c.MutualAnswer(ctx, answer)
	} else {
		err = c.ExternalAnswer(ctx, answer)
	}
	var wrong card.WrongKeyError
	var blocked card.BlockedError
	switch {
	case errors.As(err, &wrong):
		return e.refused(ctx, s, c, envelope, wrong)
	case errors.As(err, &blocked):
		e.report(ctx, s, c, outcome(envelope, api.OutcomeBlocked, api.HoldsUnknown))
		return 0, problem.Wrap(problem.PUKBlocked, err)
	case errors.Is(err, card.ErrNotAuthenticated) && s.step < maxChallenges: // the card was reset meanwhile
		return s.step + 1, nil
	case err != nil:
		return 0, err
	}
	if released.Next != "" {
		if r.Holds, err = e.rotateAdmin(ctx, c, released.Next); err != nil {
			return 0, err
		}
	}
	err = c.UnblockAuthenticated(ctx, passcode)
	if errors.Is(err, card.ErrRefusedPIN) {
		s.step++ // the authentication is used up
	}
	if err != nil {
		return 0, errors.Join(err, c.EndAuthentication(ctx))
	}
	if err := c.Verify(ctx, passcode); err != nil {
		return 0, err
	}
	e.set(func(v *View) { v.Progress = ProgressReport })
	next := e.report(ctx, s, c, r)
	e.set(func(v *View) { v.Step, v.Waiting = StepDone, nil })
	return next, nil
}

// rotateAdmin gives an authenticated card its next administration key and says
// which it then holds.
func (e *Engine) rotateAdmin(ctx context.Context, c card.ChallengeUnblocker, next string) (api.Holds, error) {
	key, err := hex.DecodeString(next)
	if err != nil {
		return "", problem.Wrap(problem.ServicePin, errors.New("the next key is not in hexadecimal"))
	}
	defer clear(key)
	err = c.RotateKey(ctx, key)
	switch {
	case err == nil:
		return api.HoldsNext, nil
	case errors.Is(err, card.ErrRefusedKey), errors.Is(err, card.ErrNotSupported):
		e.o.Log.Warn("the card does not take a new administration key", "err", err)
		return api.HoldsKey, nil
	}
	return "", err
}
