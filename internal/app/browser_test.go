package app

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"latchkey/internal/app/browsertest"
	"latchkey/internal/app/peer"
	"latchkey/internal/problem"
)

// newBrowserSite is the pages by the real clock and with the real peer check.
func newBrowserSite(t *testing.T) *site {
	t.Helper()
	return newBrowserSiteWith(t, func(*Config) {})
}

func newBrowserSiteWith(t *testing.T, change func(c *Config)) *site {
	t.Helper()
	x := newSiteWith(t, peer.Check, change)
	x.server.now, x.engine.now = time.Now, time.Now
	return x
}

// press sends keys to whatever has the focus.
func press(keys string) chromedp.Action[chromedp.Void] { return chromedp.KeyEvent(keys) }

// focus moves with the Tab key until an element has the focus.
func focus(t *testing.T, tab context.Context, css string) {
	t.Helper()
	for range 40 {
		if browsertest.Get(t, tab, chromedp.Evaluate[bool](`document.activeElement.matches('`+css+`')`)) {
			return
		}
		browsertest.Do(t, tab, press(kb.Tab))
	}
	t.Fatalf("the Tab key never reached %s", css)
}

// TestJourneyByKeyboard goes the whole way in a browser, through the launch
// address, without a mouse, under the real policy and the real peer check.
func TestJourneyByKeyboard(t *testing.T) {
	x := newBrowserSite(t)
	x.engine.see(Status{Problem: problem.New(problem.NoCard)})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "No smartcard in the reader")
	x.engine.see(oneCard(CardLocked)) // the page notices by itself
	browsertest.WaitText(t, tab, "Your smartcard is locked")
	focus(t, tab, `form[action="/start"] button`)
	browsertest.Do(t, tab, press(kb.Enter))
	browsertest.WaitText(t, tab, "How do you want to prove who you are?")
	focus(t, tab, "#method")
	browsertest.Do(t, tab, press(" "), press(kb.Enter))
	browsertest.WaitText(t, tab, "What is your email address?")
	focus(t, tab, "#email")
	browsertest.Do(t, tab, press("sam"), press(kb.Enter))
	browsertest.WaitText(t, tab, "There is a problem")
	if !browsertest.Get(t, tab, chromedp.Evaluate[bool](`document.activeElement.matches(".nhsuk-error-summary")`)) {
		t.Error("the error summary does not have the focus")
	}
	focus(t, tab, ".nhsuk-error-summary a")
	// Not the Enter key: DevTools sends its second half to where the focus goes.
	browsertest.Get(t, tab, chromedp.Evaluate[bool](`(document.activeElement.click(), true)`))
	browsertest.Get(t, tab, chromedp.Poll[bool](`document.activeElement.id === "email"`))
	browsertest.Do(t, tab, press(kb.End), press("@example.org"), press(kb.Enter))
	browsertest.WaitText(t, tab, "Check your email")
	browsertest.WaitText(t, tab, "sam@example.org")
	focus(t, tab, "#code")
	browsertest.Do(t, tab, press("123456"), press(kb.Enter))
	browsertest.WaitText(t, tab, "Choose a new passcode")
	focus(t, tab, "#passcode")
	browsertest.Do(t, tab, press("918273"))
	focus(t, tab, "#passcode + div + button")
	browsertest.Do(t, tab, press(" "))
	if kind := browsertest.Get(t, tab, chromedp.Evaluate[string](`document.getElementById("passcode").type`)); kind != "text" {
		t.Errorf("Show left the field a %s field", kind)
	}
	focus(t, tab, "#again")
	browsertest.Do(t, tab, press("918273"), press(kb.Enter))
	browsertest.WaitText(t, tab, "Keep your smartcard in the reader")
	x.engine.set(func(v *View) { v.Waiting = problem.New(problem.CardRemoved) })
	browsertest.WaitText(t, tab, "Put the same smartcard back in.")
	x.engine.set(func(v *View) { v.Waiting, v.Step = nil, StepDone })
	browsertest.WaitText(t, tab, "Your smartcard is unlocked")
	// The back button does not lead into a finished journey, nor to the passcode.
	browsertest.Do(t, tab, chromedp.NavigateBack())
	browsertest.WaitText(t, tab, "Your smartcard is unlocked")
}

// TestWindowThatLosesTheApplication says so instead of going dead.
func TestWindowThatLosesTheApplication(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Your smartcard is locked")
	x.stop()
	browsertest.WaitText(t, tab, "Latchkey is no longer running.")
}

// TestTimeRunsOutOnThePage has the page lead to the explanation by itself.
func TestTimeRunsOutOnThePage(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Your smartcard is locked")
	x.engine.set(func(v *View) { *v = View{Step: StepMethod, Ends: time.Now().Add(61500 * time.Millisecond)} })
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/email"))
	browsertest.Get(t, tab, chromedp.Poll[bool]("document.querySelector('[data-timer-announcement]').textContent.includes('1 minute left')"))
	x.engine.set(func(v *View) { v.Ends = time.Now().Add(1500 * time.Millisecond) })
	browsertest.Do(t, tab, chromedp.Reload())
	browsertest.WaitText(t, tab, "Your time has run out")
}

// TestBackButton goes back page by page, as people do who see a mistake.
func TestBackButton(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	click := func(css string) { browsertest.Do(t, tab, chromedp.Click(chromedp.CSS(css))) }
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Your smartcard is locked")
	click(`form[action="/start"] button`)
	browsertest.WaitText(t, tab, "How do you want to prove who you are?")
	click(`form[action="/method"] button`) // the one way there is has been chosen
	browsertest.WaitText(t, tab, "What is your email address?")
	browsertest.Do(t, tab, chromedp.SendKeys(chromedp.CSS("#email"), "sam@example.org"))
	click(`form[action="/email"] button`)
	browsertest.WaitText(t, tab, "sam@example.org")
	browsertest.Do(t, tab, chromedp.SendKeys(chromedp.CSS("#code"), "1"))
	click(`form[action="/code"] button`)
	browsertest.WaitText(t, tab, "There is a problem")
	for _, words := range []string{"Check your email", "What is your email address?", "How do you want to prove who you are?", "You have started already"} {
		browsertest.Do(t, tab, chromedp.NavigateBack())
		browsertest.WaitText(t, tab, words)
	}
	browsertest.Do(t, tab, chromedp.NavigateForward(), chromedp.NavigateForward())
	browsertest.WaitText(t, tab, "What is your email address?")
	if value := browsertest.Get(t, tab, chromedp.Evaluate[string](`document.getElementById("email").value`)); value != "sam@example.org" {
		t.Errorf("the address is %q", value)
	}
}

// said waits for a sentence that is read aloud.
func said(t *testing.T, tab context.Context, words string) {
	t.Helper()
	browsertest.Get(t, tab, chromedp.Poll[bool](`document.querySelector("[data-live-said]").textContent === "`+words+`"`))
}

// TestWhatIsReadAloud: one sentence for each change, none for what was there
// before, and the focus is not lost when what had it has gone.
func TestWhatIsReadAloud(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Your smartcard is locked")
	said(t, tab, "")
	focus(t, tab, `form[action="/start"] button`)
	x.engine.see(Status{Problem: problem.New(problem.NoCard)})
	said(t, tab, "No smartcard in the reader. Put your smartcard in the reader, chip first.")
	if !browsertest.Get(t, tab, chromedp.Evaluate[bool](`document.activeElement.matches("[data-live-part]")`)) {
		t.Error("the focus is lost")
	}
	x.engine.see(oneCard(CardReading)) // said only as it ends up
	x.engine.see(oneCard(CardLocked))
	said(t, tab, "Your smartcard is locked. It is in the reader and ready to be unlocked.")
	if n := browsertest.Get(t, tab, chromedp.Evaluate[int](`document.querySelectorAll("[data-live-part][aria-live], [data-live-part] [aria-live]").length`)); n > 0 {
		t.Error("all of the live part is read aloud")
	}

	x.engine.set(func(v *View) { v.Step, v.Ends, v.Progress = StepWorking, time.Now().Add(time.Minute), ProgressCard })
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/working"))
	browsertest.WaitText(t, tab, "Keep your smartcard in the reader")
	x.engine.set(func(v *View) { v.Waiting = problem.New(problem.CardRemoved) })
	said(t, tab, "The smartcard was taken out. Put the same smartcard back in. You carry on where you left off.")
	browsertest.WaitText(t, tab, "Stop unlocking my smartcard")
	x.engine.set(func(v *View) { v.Waiting, v.Progress = nil, ProgressReport })
	said(t, tab, "Checking that everything worked")
}

// TestChangePageWaitsForACard has the form come up by itself, once, and leaves
// alone what was typed into it.
func TestChangePageWaitsForACard(t *testing.T) {
	x := newBrowserSite(t)
	x.engine.see(Status{Problem: problem.New(problem.NoCard)})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "No smartcard in the reader")
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/change"))
	browsertest.WaitText(t, tab, "No smartcard in the reader")
	x.engine.see(oneCard(CardNotLocked))
	browsertest.WaitText(t, tab, "Passcode that you have now")
	browsertest.Do(t, tab, chromedp.SendKeys(chromedp.CSS("#old"), "24681357"))
	x.engine.see(Status{Problem: problem.New(problem.NoCard)})
	if typed := browsertest.Get(t, tab, chromedp.Evaluate[int](`document.getElementById("old").value.length`)); typed != 8 {
		t.Errorf("%d characters are left of what was typed", typed)
	}
}

// TestRefusedPage is what a window sees that Latchkey did not open. It asks
// for no news, which it would be refused, and so does not say that Latchkey
// has ended.
func TestRefusedPage(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+"/"))
	browsertest.WaitText(t, tab, "Open Latchkey again")
	browsertest.CheckAccessibility(t, tab, "refused")
	picture(t, tab, "refused")
	if live := browsertest.Get(t, tab, chromedp.Evaluate[string](`document.body.dataset.live`)); live != "off" {
		t.Errorf("it asks for news: %q", live)
	}
}
