package terminal_test

import (
	"fmt"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/terminal"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

func TestUnlock(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	if err := d.unlock(unlocktest.Email, "right", fresh, fresh); err != nil {
		t.Fatal(err)
	}
	d.has(fresh)
	d.prints("Your smartcard is in the reader Reader 1.\n", "Email address: ", "a security code is on its way to "+unlocktest.Email+".\n",
		"Security code (r to send another): ", "A passcode has 6 to 8 digits", "New passcode: ", "New passcode again: ",
		"Your smartcard is unlocked. You can now log in with your new passcode.\n")
}

// TestAnswersThatAreNotRight goes wrong at every question once, and unlocks
// the card all the same.
func TestAnswersThatAreNotRight(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	err := d.unlock("", "nobody", unlocktest.Email, "", "wrong", "R", "right",
		fresh, another, // not the same
		"", "", // none
		"123456", "123456", // guessable
		another, another, // the card does not take it
		fresh, fresh)
	if err != nil {
		t.Fatal(err)
	}
	d.has(fresh)
	d.prints("LK-3001 Enter your email address. ", "LK-3002 ", "Enter it like name@example.org.\n",
		"LK-3003 ", "LK-3004 The security code is not right. ", "Check the newest message and try again", "Tries left: 4.\n",
		"a security code is on its way", "LK-2005 The two passcodes are not the same. ", "Enter the same passcode in both boxes.\n",
		"LK-2001 ", "LK-2006 ", "LK-2007 The smartcard does not accept this passcode. ", "Your smartcard is unlocked.")
	if d.Jobs() != 2 {
		t.Errorf("%d codes were sent, want 2", d.Jobs())
	}
}

// TestInputEnds ends the input at each question.
func TestInputEnds(t *testing.T) {
	t.Parallel()
	answers := []string{unlocktest.Email, "right", fresh, fresh}
	for n := range len(answers) {
		t.Run(fmt.Sprint(n, " answers"), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, nil)
			wantCode(t, d.unlock(answers[:n]...), problem.InputEnded)
			d.has(oldPIN)
			d.prints("Your smartcard is in the reader")
		})
	}
}

// TestLastLine: an editor may leave out the last end of line.
func TestLastLine(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.lock()
	term := d.terminal("right", fresh+"\r", fresh)
	d.in.cut = true
	if err := term.Unlock(t.Context(), terminal.Given{Email: unlocktest.Email}, false); err != nil {
		t.Fatal(err)
	}
	d.engine.Close(t.Context())
	d.has(fresh)
	d.prints("Your smartcard is unlocked.")
}

func TestTooManyWrongCodes(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	wantCode(t, d.unlock(unlocktest.Email, "wrong", "wrong", "wrong", "wrong", "wrong"), problem.CodeTries)
	d.has(oldPIN)
	d.prints("Tries left: 4.", "Tries left: 3.", "Tries left: 2.", "Tries left: 1.")
}

// TestTooManySends: who has asked for too many codes can still use the last.
func TestTooManySends(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *unlock.Config) { c.Limits.SendsPerCard = 2 })
	if err := d.unlock(unlocktest.Email, "r", "r", "right", fresh, fresh); err != nil {
		t.Fatal(err)
	}
	d.has(fresh)
	d.prints("LK-3007 Too many security codes asked for. ", "Use the newest code that you have", "Your smartcard is unlocked.")
	if d.Jobs() != 2 {
		t.Errorf("%d codes were sent, want 2", d.Jobs())
	}
}

func TestForgotten(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	wantCode(t, d.terminal().Unlock(t.Context(), terminal.Given{Email: unlocktest.Email}, false), problem.CardNotLocked)
	if err := d.terminal("right", fresh, fresh).Unlock(t.Context(), terminal.Given{Email: unlocktest.Email}, true); err != nil {
		t.Fatal(err)
	}
	d.engine.Close(t.Context())
	d.has(fresh)
	d.prints("Your smartcard is unlocked.")
}

func TestNoMethod(t *testing.T) {
	t.Parallel()
	for notice, want := range map[string]string{"We hope to bring it back soon.": "We hope to bring it back soon.",
		"": "Your organisation does not offer it at the moment."} {
		d := newDesk(t, func(c *unlock.Config) {
			c.Methods = []api.MethodStatus{{Method: api.MethodEmail, Notice: notice}}
		})
		err := d.unlock(unlocktest.Email)
		wantCode(t, err, problem.MethodUnavailable)
		if got := problem.From(err).What(); got != want {
			t.Errorf("notice %q: it says %q", notice, got)
		}
		if d.Jobs() != 0 {
			t.Error("a code was sent")
		}
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	err := d.terminal(oldPIN, fresh, another, // not the same
		oldPIN, "123456", "123456", // guessable
		"", fresh, fresh, // none
		fresh, fresh, fresh, // the same as before
		another, fresh, fresh, // wrong
		oldPIN, another, another, // the card does not take it
		oldPIN, fresh, fresh).Change(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.has(fresh)
	d.prints("A new passcode has 6 to 8 digits", "Passcode that you have now: ", "LK-2005 ", "LK-2006 ", "LK-2001 ", "LK-2009 ", "LK-2008 ",
		"Tries left: 2.\n", "LK-2007 ", "Your passcode is changed. You can now log in with your new passcode.\n")
	if d.card.State().PINTries != 3 {
		t.Errorf("%d tries are left", d.card.State().PINTries)
	}
}

func TestChangeEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	for _, answers := range [][]string{nil, {oldPIN}, {oldPIN, fresh}} {
		wantCode(t, d.terminal(answers...).Change(t.Context()), problem.InputEnded)
	}
	wrong := []string{another, fresh, fresh}
	wantCode(t, d.terminal(append(wrong, append(wrong, wrong...)...)...).Change(t.Context()), problem.CardLocked)
	d.has(oldPIN)
	d.prints("Tries left: 2.", "Tries left: 1.")
}

// textsToo makes text messages available.
func textsToo(c *unlock.Config) {
	c.Methods[1].Available, c.Methods[1].Notice = true, ""
}

// TestUnlockByTextMessage asks for the way where there are two, takes a number
// as people write it, and sends another code to the same number.
func TestUnlockByTextMessage(t *testing.T) {
	t.Parallel()
	d := newDesk(t, textsToo)
	if err := d.unlock("phone", "t", "0123", unlocktest.Mobile, "r", "right", fresh, fresh); err != nil {
		t.Fatal(err)
	}
	d.has(fresh)
	d.prints("by email or by text message (e or t)", "LK-3010", "LK-3022 Enter a mobile phone number in the right form",
		"this number for you, a security code is on its way to "+unlocktest.Mobile, "Your smartcard is unlocked.")
	if d.Jobs() != 2 {
		t.Errorf("%d codes were sent, want 2", d.Jobs())
	}
}

func TestNumberGivenBeforehand(t *testing.T) {
	t.Parallel()
	d := newDesk(t, textsToo)
	d.lock()
	if err := d.terminal("right", fresh, fresh).Unlock(t.Context(), terminal.Given{Mobile: unlocktest.Mobile}, false); err != nil {
		t.Fatal(err)
	}
	d = newDesk(t, nil)
	d.lock()
	wantCode(t, d.terminal().Unlock(t.Context(), terminal.Given{Mobile: unlocktest.Mobile}, false), problem.MethodUnavailable)
}

// TestOnlyTextMessages: with one way there is nothing to choose.
func TestOnlyTextMessages(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *unlock.Config) { textsToo(c); c.Methods[0].Available = false })
	if err := d.unlock(unlocktest.Mobile, "right", fresh, fresh); err != nil {
		t.Fatal(err)
	}
	d.has(fresh)
}
