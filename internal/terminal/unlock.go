package terminal

import (
	"context"
	"strings"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

// Given is what a person has said on the command line; what is empty is asked
// for.
type Given struct{ Email, Mobile string }

// Unlock is the journey: email address or mobile number, code, passcode,
// passcode again. forgotten is for a card that is not locked yet.
func (t *Terminal) Unlock(ctx context.Context, given Given, forgotten bool) error {
	purpose := api.PurposeLocked
	if forgotten {
		purpose = api.PurposeForgotten
	}
	if err := t.start(ctx, purpose); err != nil {
		return err
	}
	method, address, err := t.method(ctx, given)
	if err != nil {
		return err
	}
	if err := t.sendCode(ctx, method, address); err != nil {
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
			if a := t.engine.View().Application; a != "" {
				t.say("This smartcard has more than one passcode. You are setting the one for %s.", a)
			}
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

// method is how the code is to come: as given, else the one way that is
// available, else asked for.
func (t *Terminal) method(ctx context.Context, given Given) (m api.Method, address string, err error) {
	switch {
	case given.Mobile != "":
		return api.MethodSMS, given.Mobile, t.available(api.MethodSMS)
	case given.Email != "":
		return api.MethodEmail, given.Email, t.available(api.MethodEmail)
	}
	t.mentionFace()
	email, sms := t.available(api.MethodEmail), t.available(api.MethodSMS)
	switch {
	case email != nil && sms != nil && t.available(api.MethodFace) == nil:
		return "", "", problem.New(problem.FaceElsewhere)
	case sms != nil:
		return api.MethodEmail, "", email
	case email != nil:
		return api.MethodSMS, "", nil
	}
	for {
		answer, err := t.ask(ctx, "Security code by email or by text message (e or t)")
		if err != nil {
			return "", "", err
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "e", "email":
			return api.MethodEmail, "", nil
		case "t", "text", "text message":
			return api.MethodSMS, "", nil
		}
		t.complain(problem.New(problem.MethodMissing))
	}
}

// available says why a method cannot be used, nil where it can.
func (t *Terminal) available(m api.Method) error {
	p := problem.New(problem.MethodUnavailable)
	for _, have := range t.engine.View().Methods {
		if have.Method != m {
			continue
		}
		if have.Available {
			return nil
		}
		p.Detail = have.Notice
	}
	return p
}

// mentionFace says where face verification is, for those who want it.
func (t *Terminal) mentionFace() {
	if p := problem.New(problem.FaceElsewhere); t.available(api.MethodFace) == nil {
		t.say("%s. %s", p.Title, p.Next)
	}
}

func (t *Terminal) sendCode(ctx context.Context, m api.Method, address string) (err error) {
	question, kind := "Email address", "address"
	if m == api.MethodSMS {
		question, kind = "Mobile phone number", "number"
	}
	for {
		if address == "" {
			if address, err = t.ask(ctx, question); err != nil {
				return err
			}
		}
		err := t.engine.SendCode(ctx, m, address)
		p := asProblem(err)
		switch {
		case err == nil:
			t.say("If your Registration Authority holds this %s for you, a security code is on its way to %s.", kind, address)
			return nil
		case aboutAddress(p):
			t.complain(p)
			address = ""
		default:
			return p
		}
	}
}

// aboutAddress says that another address, or number, may be taken.
func aboutAddress(p *problem.Problem) bool {
	switch p.Code {
	case problem.AddressMissing, problem.AddressMalformed, problem.MobileMissing, problem.MobileMalformed:
		return true
	}
	return false
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
			err := t.sendCode(ctx, t.engine.View().Method, t.engine.View().Address)
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
