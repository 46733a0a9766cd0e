package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"time"

	"github.com/chromedp/chromedp"

	"latchkey/internal/demo"
)

const (
	passcode     = "840261"
	pagePatience = 30 * time.Second
	look         = 30 * time.Millisecond
)

// inBrowser runs f with a tab of a headless browser.
func inBrowser(ctx context.Context, f func(tab context.Context) error) (err error) {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("no Chromium on this machine: make setup installs it: %w", err)
	}
	profile, err := os.MkdirTemp("", "latchkey-browser-")
	if err != nil {
		return err
	}
	defer func() {
		for range 100 { // its last child lets go of its files a moment later
			if err := os.RemoveAll(profile); err == nil {
				return
			}
			time.Sleep(look)
		}
	}()
	allocator, cancelAllocator := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.Env("TMPDIR="+profile), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-component-update", true))...)
	defer cancelAllocator()
	tab, cancel := chromedp.NewContext(allocator)
	defer cancel()
	return f(tab)
}

// walker is a person at the pages.
type walker struct {
	tab context.Context
	out io.Writer
}

// walk is the journey. It reads the code on the demo's own page, in another
// tab, as a person would.
func walk(tab context.Context, address string, out io.Writer) error {
	w := walker{tab, out}
	began := time.Now()
	steps := []func() error{
		func() error { return chromedp.Do(tab, chromedp.Navigate(address+"open")) },
		func() error { return w.see("Your smartcard is locked") },
		func() error { return w.click("Start now") },
		func() error { return w.see("Mobile phone security code") },
		func() error { return w.choose("Email security code") },
		func() error { return w.click("Continue") },
		func() error { return w.see("What is your email address?") },
		func() error { return w.fill("#email", demo.Email) },
		func() error { began = time.Now(); return w.click("Continue") },
		func() error { return w.see("Check your email") },
		func() error { return w.code(address) },
		func() error { return w.since("from Continue to the security code, read in the inbox", began) },
		func() error { return w.click("Continue") },
		func() error { return w.see("Choose a new passcode") },
		func() error { return w.fill("#passcode", "123456") },
		func() error { return w.fill("#again", "123456") },
		func() error { return w.click("Confirm") },
		func() error { return w.see("harder to guess") },
		func() error { return w.fill("#passcode", passcode) },
		func() error { return w.fill("#again", passcode) },
		func() error { began = time.Now(); return w.click("Confirm") },
		func() error { return w.see("Your smartcard is unlocked") },
		func() error { return w.since("from Confirm to the confirmation page", began) },
		func() error { return w.see("You can now log in with your new passcode") },
		func() error { return w.told(address) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// since says how long something took.
func (w walker) since(what string, began time.Time) error {
	_, err := fmt.Fprintf(w.out, "%s: %d ms\n", what, time.Since(began).Milliseconds())
	return err
}

// until asks the page again and again until a script is true.
func (w walker) until(script, otherwise string) error {
	ctx, cancel := context.WithTimeout(w.tab, pagePatience)
	defer cancel()
	for {
		// A page on its way out answers with an error; the next one is asked again.
		if ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script)); err == nil && ok {
			return nil
		}
		select {
		case <-ctx.Done():
			text, _ := chromedp.Run(w.tab, chromedp.Evaluate[string](`document.body.innerText`))
			return fmt.Errorf("%s. The page says:\n%s", otherwise, text)
		case <-time.After(look):
		}
	}
}

func quoted(s string) string {
	raw, _ := json.Marshal(s) // a string always encodes
	return string(raw)
}

func (w walker) see(words string) error {
	err := w.until(`document.readyState === "complete" && !!document.querySelector("main") && document.querySelector("main").innerText.includes(`+quoted(words)+`)`,
		"the page never said "+quoted(words))
	if err != nil {
		return err
	}
	title, err := chromedp.Run(w.tab, chromedp.Title())
	fmt.Fprintf(w.out, "saw %q on %q\n", words, title)
	return err
}

// click clicks a button by what is written on it.
func (w walker) click(words string) error {
	script := `(() => { const b = [...document.querySelectorAll("main button, main a.nhsuk-button")].find(b => b.innerText.trim() === ` + quoted(words) + `);
		if (b) b.click(); return !!b })()`
	return w.until(script, "there is no button "+quoted(words))
}

func (w walker) choose(words string) error {
	script := `(() => { const l = [...document.querySelectorAll("main label")].find(l => l.innerText.trim() === ` + quoted(words) + `);
		if (l) l.click(); return !!l })()`
	return w.until(script, "there is no choice "+quoted(words))
}

func (w walker) fill(field, text string) error {
	if err := w.until(`!!document.querySelector(`+quoted(field)+`)`, "there is no field "+field); err != nil {
		return err
	}
	return chromedp.Do(w.tab, chromedp.SendKeys(field, text))
}

// inbox reads the demo's own page until it says something.
func (w walker) inbox(address, words string) (string, error) {
	tab, cancel := chromedp.NewContext(w.tab)
	defer cancel()
	if err := chromedp.Do(tab, chromedp.Navigate(address)); err != nil {
		return "", err
	}
	other := walker{tab, w.out}
	if err := other.until(`document.body.innerText.includes(`+quoted(words)+`)`, "the inbox never said "+quoted(words)); err != nil {
		return "", err
	}
	return chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
}

// code takes the security code from the inbox to the page.
func (w walker) code(address string) error {
	text, err := w.inbox(address, "Your smartcard security code is")
	if err != nil {
		return err
	}
	found := regexp.MustCompile(`security code is\s+(\d{3} \d{3})`).FindStringSubmatch(text)
	if found == nil {
		return errors.New("there is no code in the message")
	}
	fmt.Fprintln(w.out, "read the security code in the inbox")
	return w.fill("#code", found[1])
}

// told makes sure that the holder was told.
func (w walker) told(address string) error {
	if _, err := w.inbox(address, "Your smartcard has been unlocked"); err != nil {
		return err
	}
	if _, err := w.inbox(address, "your smartcard was unlocked at"); err != nil {
		return err
	}
	fmt.Fprintln(w.out, "the holder was told by email and text message")
	return nil
}
