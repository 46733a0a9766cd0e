package journey

import (
	"context"
	"errors"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/problem"
)

const (
	// keepAlive is how often an idle card is touched: Windows resets a
	// transaction that is idle for 5 s.
	keepAlive = 2 * time.Second
	// retryWait is how long the work waits for a change before it tries again
	// all the same.
	retryWait = 2 * time.Second
)

// work unlocks the card of a session, going on after everything that passes.
func (e *Engine) work(ctx context.Context, s *session, passcode string) {
	e.looker.leaveAlone(s.reader, true)
	defer func() { e.looker.leaveAlone(s.reader, false) }()
	for {
		seen := e.looker.changes() // before the attempt, so that no change is missed
		err := e.attempt(ctx, s, passcode)
		if err == nil {
			return
		}
		p := Fault(err)
		switch {
		case ctx.Err() != nil:
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				p = problem.New(problem.SessionExpired)
				e.set(func(v *View) { v.Step, v.Problem = StepEnded, p })
			}
			return
		case p.Code == problem.PasscodeRefused:
			e.set(func(v *View) { v.Step, v.Refused = StepPasscode, p })
			return
		case !passing(p):
			if p.Code == problem.Internal {
				e.o.Log.Error("unlock failed", "err", err)
			}
			e.set(func(v *View) { v.Step, v.Problem = StepEnded, p })
			return
		}
		e.o.Log.Info("unlock waits", "code", p.Code, "err", err)
		e.set(func(v *View) { v.Waiting = p })
		if !e.waitFor(ctx, s, p, seen) {
			p = problem.New(problem.SessionExpired)
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				e.set(func(v *View) { v.Step, v.Problem = StepEnded, p })
			}
			return
		}
		e.set(func(v *View) { v.Waiting, v.Progress = nil, ProgressRelease })
	}
}

// waitFor waits for what may help: a change at the readers, or time, with a
// card in one of them. False: the session is over.
func (e *Engine) waitFor(ctx context.Context, s *session, p *problem.Problem, seen <-chan struct{}) bool {
	t := time.NewTicker(retryWait)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
		case <-seen:
			seen = e.looker.changes()
			if ofService(p) {
				continue
			}
		}
		if reader, ok := e.looker.cardIn(s.reader); ok {
			e.looker.leaveAlone(s.reader, false)
			s.reader = reader
			e.looker.leaveAlone(s.reader, true)
			return true
		}
	}
}

// attempt does the work in one exclusive transaction, from the release to the
// verified passcode. It can be repeated.
func (e *Engine) attempt(ctx context.Context, s *session, passcode string) error {
	c, done, err := e.open(ctx, s.reader, card.BusyWait, e.of(s))
	if err != nil {
		return err
	}
	defer done(card.ResetCard)
	if err := s.same(ctx, c); err != nil {
		return err
	}
	if s.unheard != nil {
		reported, err := awake(ctx, c, func() (api.Reported, error) { return e.o.Service.Report(ctx, s.who, *s.unheard) })
		if err != nil {
			return err
		}
		s.unheard = nil
		if reported.NextStep == 0 {
			return problem.New(problem.PUKWrong)
		}
		s.step = reported.NextStep
	}
	if err := e.unanswered(ctx, s, c); err != nil {
		return err
	}
	for {
		next, err := e.step(ctx, s, c, passcode)
		if err != nil {
			return e.afterDone(err)
		}
		if next <= 0 {
			return nil
		}
		s.step = next
	}
}

// unanswered looks at a card that was presented a key and went away before it
// answered. Where its passcode is blocked as before, the key was refused or
// never arrived; to present it again could cost a second try. So the service is
// told that nothing is known, and gives the other key where there is one. So it
// is with a card that does not tell: the other key costs one try at most, for a
// card that has taken this one has all of them again.
func (e *Engine) unanswered(ctx context.Context, s *session, c card.Card) error {
	if s.unanswered == nil {
		return nil
	}
	state, err := c.State(ctx)
	if err != nil {
		return err
	}
	if mayBeBlocked(state) {
		reported, err := awake(ctx, c, func() (api.Reported, error) { return e.o.Service.Report(ctx, s.who, *s.unanswered) })
		if err != nil {
			return err
		}
		if reported.NextStep != 0 {
			s.step = reported.NextStep
		}
	}
	s.unanswered = nil
	return nil
}

// mayBeBlocked says whether a card's passcode is blocked for all that is known.
func mayBeBlocked(s card.State) bool { return !s.PIN.Known || s.PIN.Blocked() }

// step does one released step and reports it. It gives the step that follows,
// 0 for none.
func (e *Engine) step(ctx context.Context, s *session, c card.Card, passcode string) (int, error) {
	state, err := c.State(ctx)
	if err != nil {
		return 0, err
	}
	if err := Spare(state, card.KeyKinds(c), 1); err != nil {
		return 0, err
	}
	e.set(func(v *View) { v.Progress = ProgressRelease })
	if answering, ok := c.(card.ChallengeUnblocker); ok {
		return e.challenge(ctx, s, answering, state, passcode)
	}
	envelope, keys, err := e.release(ctx, s, c, state, nil)
	if err != nil {
		return 0, err
	}
	// The kind of the key is known only now.
	if err := Spare(state, []card.KeyKind{card.KeyKind(keys.Kind)}, 1); err != nil {
		return 0, err
	}
	e.set(func(v *View) { v.Progress = ProgressCard })
	if keys.Action == api.ActionRotate {
		return 0, e.rotate(ctx, s, c, envelope, keys)
	}
	s.wasBlocked = mayBeBlocked(state)
	return e.unblock(ctx, s, c, envelope, keys, passcode)
}

// Spare keeps the last try of an unlocking key (R3): an error where the card
// says of every key that unblocks it that no more than this many are left. A
// key that was put out of use on purpose is no sign that somebody has guessed.
func Spare(state card.State, kinds []card.KeyKind, least int) error {
	most, disabled := 0, false
	for _, kind := range kinds {
		c := state.Key(kind)
		if !c.Known || c.Left > least {
			return nil
		}
		most, disabled = max(most, c.Left), disabled || c.Disabled
	}
	switch {
	case most > 0:
		return problem.New(problem.PUKLastTry)
	case disabled:
		return problem.New(problem.PUKDisabled)
	}
	return problem.New(problem.PUKBlocked)
}

// afterDone: what goes wrong once the passcode works is not the person's
// business any more.
func (e *Engine) afterDone(err error) error {
	if e.View().Step == StepDone {
		e.o.Log.Info("the key stays as it is until the next unlock", "err", err)
		return nil
	}
	return err
}

// finishPatience bounds the commands that follow each other once a key was
// presented, with the report at their end.
const finishPatience = time.Minute

// unblock sets the passcode, changes the key, verifies the passcode and
// reports. What has begun is brought to its end, though the session's time
// runs out or the person starts again meanwhile.
func (e *Engine) unblock(ctx context.Context, s *session, c card.Card, envelope api.Envelope, keys api.Release, passcode string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishPatience)
	defer cancel()
	unblocker, ok := c.(card.KeyUnblocker)
	if !ok {
		return 0, card.ErrNotSupported
	}
	kind := card.KeyKind(keys.Kind)
	err := unblocker.Unblock(ctx, kind, keys.Key, passcode)
	var wrong card.WrongKeyError
	var blocked card.BlockedError
	switch {
	case errors.As(err, &wrong):
		return e.refused(ctx, s, c, envelope, wrong)
	case errors.As(err, &blocked):
		e.report(ctx, s, c, outcome(envelope, api.OutcomeBlocked, api.HoldsUnknown))
		return 0, Fault(err)
	case err != nil:
		if s.wasBlocked && AtReader(Fault(err)) {
			r := outcome(envelope, api.OutcomeFailed, api.HoldsUnknown)
			s.unanswered = &r
		}
		return 0, err
	}
	holds := api.HoldsKey
	if keys.Next != "" {
		switch err := unblocker.Rotate(ctx, kind, keys.Key, keys.Next); {
		case err == nil:
			holds = api.HoldsNext
		case errors.Is(err, card.ErrRefusedKey), errors.Is(err, card.ErrNotSupported):
			e.o.Log.Warn("the card does not take a new unlocking key", "err", err)
		default:
			return 0, err
		}
	}
	if err := c.Verify(ctx, passcode); err != nil {
		return 0, err
	}
	e.set(func(v *View) { v.Progress = ProgressReport })
	next := e.report(ctx, s, c, outcome(envelope, api.OutcomeUnlocked, holds))
	e.set(func(v *View) { v.Step, v.Waiting = StepDone, nil })
	return next, nil
}

// refused reports a key that is not the card's before the other one is tried.
func (e *Engine) refused(ctx context.Context, s *session, c card.Card, envelope api.Envelope, wrong card.WrongKeyError) (int, error) {
	r := outcome(envelope, api.OutcomeRefused, api.HoldsUnknown)
	if wrong.TriesLeft >= 0 {
		r.TriesLeft = &wrong.TriesLeft
	}
	next := e.report(ctx, s, c, r)
	switch {
	case wrong.TriesLeft == 0, wrong.TriesLeft == 1:
		return 0, problem.Wrap(problem.PUKLastTry, wrong)
	case next == 0:
		return 0, problem.Wrap(problem.PUKWrong, wrong)
	case next < 0: // the service did not hear of it: it must, before the other key is tried
		return 0, problem.New(problem.ServiceUnreachable)
	}
	return next, nil
}

// rotate gives a card that is unlocked already a key that nobody has seen.
func (e *Engine) rotate(ctx context.Context, s *session, c card.Card, envelope api.Envelope, keys api.Release) error {
	unblocker, ok := c.(card.KeyUnblocker)
	if !ok {
		return card.ErrNotSupported
	}
	holds := api.HoldsKey
	if err := unblocker.Rotate(ctx, card.KeyKind(keys.Kind), keys.Key, keys.Next); err == nil {
		holds = api.HoldsNext
	} else if !errors.Is(err, card.ErrRefusedKey) {
		return err
	}
	e.report(ctx, s, c, outcome(envelope, api.OutcomeUnlocked, holds))
	return nil
}

// release asks for the keys of the step, or the answer to the card's challenge,
// with the card's fresh proof, and keeps the card awake while the service thinks.
func (e *Engine) release(ctx context.Context, s *session, c card.Card, state card.State, challenge []byte) (api.Envelope, api.Release, error) {
	r := api.ReleaseRequest{Step: s.step, CardID: s.identity.ID, Serial: s.identity.Serial, KeyTriesLeft: keysLeft(state), Challenge: challenge}
	digest := api.ProofDigest(api.PurposeRelease, s.service.Name, s.who.ID, s.publicKey(), s.nonce, s.step)
	proof, err := c.Prove(ctx, digest)
	switch {
	case err == nil:
		r.Slot, r.Signature = proof.Slot, proof.Signature
	case !errors.Is(err, card.ErrNotSupported):
		return api.Envelope{}, api.Release{}, err
	}
	envelope, err := awake(ctx, c, func() (api.Envelope, error) { return e.o.Service.Release(ctx, s.who, r) })
	if err != nil {
		return envelope, api.Release{}, err
	}
	keys, err := envelope.Open(s.private, s.service.SigningKey, s.service.Name, s.who.ID, s.identity.ID, s.step)
	if err != nil {
		err = problem.Wrap(problem.ServicePin, err)
	}
	return envelope, keys, err
}

// awake touches the card every keepAlive while f runs. A card that goes away
// meanwhile is noticed at the next command.
func awake[T any](ctx context.Context, c card.Card, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	answer := make(chan result, 1)
	go func() {
		v, err := f()
		answer <- result{v, err}
	}()
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case r := <-answer:
			return r.value, r.err
		case <-tick.C:
			_ = c.KeepAlive(ctx)
		}
	}
}

func outcome(envelope api.Envelope, o api.Outcome, h api.Holds) api.Report {
	return api.Report{Step: envelope.Step, Epoch: envelope.Epoch, Outcome: o, Holds: h}
}

// report tells the service what became of a step, signed by the card where it
// can. It gives the step that follows, 0 for none, -1 where the service could
// not be told yet; then it is told later.
func (e *Engine) report(ctx context.Context, s *session, c card.Card, r api.Report) int {
	digest := api.OutcomeDigest(s.service.Name, s.who.ID, s.identity.ID, r)
	proof, err := c.Prove(ctx, digest)
	if errors.Is(err, card.ErrNotSupported) && r.Outcome == api.OutcomeUnlocked {
		proof, err = c.ProveVerified(ctx, digest)
	}
	if err == nil {
		r.Slot, r.Signature = proof.Slot, proof.Signature
	} else {
		e.o.Log.Info("the outcome is not signed by the card", "err", err)
	}
	reported, err := awake(ctx, c, func() (api.Reported, error) { return e.o.Service.Report(ctx, s.who, r) })
	if err != nil {
		e.o.Log.Warn("the service has not heard of the outcome yet", "code", problem.CodeOf(err), "err", err)
		e.outbox.add(s.who, r)
		if r.Outcome == api.OutcomeRefused {
			s.unheard = &r
		}
		return -1
	}
	return reported.NextStep
}
