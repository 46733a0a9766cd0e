package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"latchkey/internal/demo"
)

// between is the passcode that is set with a code by text message.
const between = "731942"

// textWalk sets a passcode anew with a security code by text message: the card
// is unlocked already, and its holder has forgotten the passcode.
func textWalk(tab context.Context, address string, out io.Writer) error {
	w := walker{tab, out}
	began := time.Now()
	steps := []func() error{
		func() error { return w.visit("/forgotten") },
		func() error { return w.click("Choose a new passcode") },
		func() error { return w.see("Mobile phone security code") },
		func() error { return w.choose("Mobile phone security code") },
		func() error { return w.click("Continue") },
		func() error { return w.see("What is your mobile phone number?") },
		func() error { return w.fill("#mobile", demo.Mobile) },
		func() error { began = time.Now(); return w.click("Continue") },
		func() error { return w.see("Check your phone") },
		func() error { return w.texted(address) },
		func() error { return w.since("from Continue to the security code, read in the text message", began) },
		func() error { return w.click("Continue") },
		func() error { return w.see("Choose a new passcode") },
		func() error { return w.fill("#passcode", between) },
		func() error { return w.fill("#again", between) },
		func() error { return w.click("Confirm") },
		func() error { return w.see("Your passcode has been changed") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// texted takes the security code from the text message to the page.
func (w walker) texted(address string) error {
	text, err := w.inbox(address, "a code to unlock your smartcard was asked for")
	if err != nil {
		return err
	}
	found := regexp.MustCompile(`Code: (\d{6})`).FindStringSubmatch(text)
	if found == nil {
		return errors.New("there is no code in the text message")
	}
	fmt.Fprintln(w.out, "read the security code in the text message")
	return w.fill("#code", found[1])
}
