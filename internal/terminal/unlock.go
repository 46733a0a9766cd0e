package terminal

import (
	"context"
	"strings"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

// Unlock is the journey: email, code, passcode, passcode again. email is asked
// for where it is empty. forgotten is for a card that is not locked yet.
func (t *Terminal) Unlock(ctx context.Context, email string, forgotten bool) error {
	purpose := api.PurposeLocked
	if forgotten {
		purpose = api.PurposeForgotten
	}
	if err := t.start(ctx, purpose); err != nil {
		return err
	}
	t.mentionFace()
	if err := t.emailAvailable(); err != nil {
		return err
	}
	if err := t.sendCode(ctx, email); err != nil {
		return err
	}
	if err := t.enterCode(ctx); err != nil {
		return err
	}
	for {
		if err := t.enterPasscode(ctx); err != nil {
			return err
		}
		v, err := t.wait(ctx)
		if err != nil {
			return err
		}
		if v.Step == journey.StepDone {
			t.say("Your smartcard is unlocked. You can now log in with your new passcode.")
			return nil
		}
		t.complain(v.Refused)
	}
}

const (
	// starts is how often a start is tried when the card or reader goes away.
	starts = 5
	// noticed is how long a reader may take to notice that its card has gone.
	noticed = time.Second
)

// start begins a session for the card that fits. A card that is taken out
// meanwhile is waited for.
func (t *Terminal) start(ctx context.Context, purpose api.Purpose) error {
	for n := 1; ; n++ {
		reader, err := t.card(ctx, func(c journey.Card) error {
			if purpose == api.PurposeLocked && c.State == journey.CardNotLocked {
				return problem.New(problem.CardNotLocked)
			}
			return nil
		})
		if err != nil {
			return err
		}
		t.say("Your smartcard is in the reader %s.", reader)
		err = t.engine.Start(ctx, purpose, reader)
		p := asProblem(err)
		switch {
		case err == nil:
			return nil
		case n == starts || !journey.AtReader(p):
			return p
		}
		t.say("%s. %s", p.Title, p.Next)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(noticed):
		}
	}
}

func (t *Terminal) emailAvailable() error {
	for _, m := range t.engine.View().Methods {
		if m.Method == api.MethodEmail && m.Available {
			return nil
		}
		if m.Method == api.MethodEmail && m.Notice != "" && !t.faceAvailable() {
			p := problem.New(problem.MethodUnavailable)
			p.Detail = m.Notice
			return p
		}
	}
	if t.faceAvailable() {
		return problem.New(problem.FaceElsewhere)
	}
	return problem.New(problem.MethodUnavailable)
}

// faceAvailable says whether the person could use face verification in the
// application's window.
func (t *Terminal) faceAvailable() bool {
	for _, m := range t.engine.View().Methods {
		if m.Method == api.MethodFace && m.Available {
			return true
		}
	}
	return false
}

// mentionFace says where face verification is, for those who want it.
func (t *Terminal) mentionFace() {
	if p := problem.New(problem.FaceElsewhere); t.faceAvailable() {
		t.say("%s. %s", p.Title, p.Next)
	}
}

func (t *Terminal) sendCode(ctx context.Context, email string) (err error) {
	for {
		if email == "" {
			if email, err = t.ask(ctx, "Email address"); err != nil {
				return err
			}
		}
		err := t.engine.SendCode(ctx, api.MethodEmail, email)
		p := asProblem(err)
		switch {
		case err == nil:
			t.say("If your Registration Authority holds this address for you, a security code is on its way to %s.", email)
			return nil
		case p.Code == problem.AddressMalformed || p.Code == problem.AddressMissing:
			t.complain(p)
			email = ""
		default:
			return p
		}
	}
}

func asProblem(err error) *problem.Problem {
	if err == nil {
		return nil
	}
	return problem.From(err)
}

func (t *Terminal) enterCode(ctx context.Context) error {
	for {
		code, err := t.ask(ctx, "Security code (r to send another)")
		if err != nil {
			return err
		}
		if strings.EqualFold(strings.TrimSpace(code), "r") {
			err := t.sendCode(ctx, t.engine.View().Address)
			if p := asProblem(err); p != nil && p.Code == problem.SendLimit {
				t.complain(p) // the newest code is still good
			} else if err != nil {
				return err
			}
			continue
		}
		err = t.engine.CheckCode(ctx, code)
		p := asProblem(err)
		switch {
		case err == nil:
			return nil
		case p.Code == problem.CodeWrong || p.Code == problem.CodeMissing:
			t.complain(p)
		default:
			return p
		}
	}
}

// enterPasscode asks twice until the passcode is taken.
func (t *Terminal) enterPasscode(ctx context.Context) error {
	t.say("Choose a new passcode. A passcode %s.", strings.Join(t.engine.Rules(), " and "))
	for {
		fresh, err := t.askTwice(ctx)
		if err != nil {
			return err
		}
		if fresh == "" {
			continue
		}
		err = t.engine.SetPasscode(ctx, fresh)
		if err == nil {
			return nil
		}
		p := problem.From(err)
		if !aboutPasscode(p) {
			return p
		}
		t.complain(p)
	}
}

// askTwice gives "" where the two answers differ or are empty.
func (t *Terminal) askTwice(ctx context.Context) (string, error) {
	first, err := t.askSecret(ctx, "New passcode")
	if err != nil {
		return "", err
	}
	second, err := t.askSecret(ctx, "New passcode again")
	switch {
	case err != nil:
		return "", err
	case first == "":
		t.complain(problem.New(problem.PasscodeMissing))
	case first != second:
		t.complain(problem.New(problem.PasscodeMismatch))
		return "", nil
	}
	return first, nil
}

// aboutPasscode says that another passcode may be taken.
func aboutPasscode(p *problem.Problem) bool { return strings.HasPrefix(string(p.Code), "LK-2") }

// wait tells of the work until it is done or the passcode is refused. Error:
// why the session ended.
func (t *Terminal) wait(ctx context.Context) (journey.View, error) {
	said := ""
	for {
		changed := t.engine.Changed()
		v := t.engine.View()
		switch {
		case v.Step == journey.StepDone, v.Step == journey.StepPasscode && v.Refused != nil:
			return v, nil
		case v.Step == journey.StepEnded:
			return v, v.Problem
		case v.Step != journey.StepWorking:
			return v, problem.New(problem.SessionFinished)
		}
		words := [...]string{"Getting permission from the service ...", "Setting your new passcode on the smartcard ...",
			"Checking that everything worked ..."}[v.Progress]
		if v.Waiting != nil {
			words = v.Waiting.Title + ". " + v.Waiting.Next
		}
		if words != said {
			t.say("%s", words)
			said = words
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// Change changes a passcode that is known. It needs no service.
func (t *Terminal) Change(ctx context.Context) error {
	reader, err := t.card(ctx, func(c journey.Card) error {
		if c.State == journey.CardLocked {
			return problem.New(problem.CardLocked)
		}
		return nil
	})
	if err != nil {
		return err
	}
	t.say("A new passcode %s.", strings.Join(t.engine.Rules(), " and "))
	for {
		old, err := t.askSecret(ctx, "Passcode that you have now")
		if err != nil {
			return err
		}
		fresh, err := t.askTwice(ctx)
		if err != nil {
			return err
		}
		if fresh == "" {
			continue
		}
		err = t.engine.Change(ctx, reader, old, fresh)
		if err == nil {
			t.say("Your passcode is changed. You can now log in with your new passcode.")
			return nil
		}
		p := problem.From(err)
		if !aboutPasscode(p) {
			return p
		}
		t.complain(p)
	}
}
