package journey

import (
	"context"
	"errors"

	"latchkey/internal/card"
	"latchkey/internal/passcode"
	"latchkey/internal/problem"
)

// Change changes the passcode of the card in a reader, knowing the old one. It
// needs no service. Problems: those of the passcode rules, PasscodeMissing,
// PasscodeSame, PasscodeWrong with TriesLeft, PasscodeRefused, CardLocked, and
// those of reader and card.
func (e *Engine) Change(ctx context.Context, reader, old, fresh string) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	e.looker.leaveAlone(reader, true)
	defer e.looker.leaveAlone(reader, false)
	c, done, err := e.open(ctx, reader, card.BusyWait, e.o.Recognise.Open)
	if err != nil {
		return Fault(err)
	}
	defer done(card.ResetCard)
	if err := passcode.Combine(e.Service().PasscodeRules, c.PINRules()).Check(fresh); err != nil {
		return err
	}
	switch {
	case old == "":
		p := problem.New(problem.PasscodeMissing)
		p.Detail = "Enter the passcode that you have now"
		return p
	case old == fresh:
		return problem.New(problem.PasscodeSame)
	}
	state, err := c.State(ctx)
	if err != nil {
		return Fault(err)
	}
	if state.PIN.Blocked() {
		return problem.New(problem.CardLocked)
	}
	if err := c.Change(ctx, old, fresh); err != nil {
		return Fault(err)
	}
	var wrong card.WrongKeyError
	if err := c.Verify(ctx, fresh); errors.As(err, &wrong) {
		return problem.Wrap(problem.CardMalformed, err) // it took the passcode, and does not know it
	} else if err != nil {
		return Fault(err)
	}
	return nil
}
