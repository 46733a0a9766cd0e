package app

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"latchkey/internal/api"
	"latchkey/internal/app/browsertest"
	"latchkey/internal/app/peer"
	"latchkey/internal/problem"
)

// scene is one state of one page.
type scene struct {
	name, path, words string
	view              View
	status            Status
	post              map[string]string // fields to fill in and send
}

func oneCard(state CardState) Status {
	three := 3
	c := Card{Reader: "Example Reader 00 00", Model: "PIV card", State: state}
	if state == CardNotLocked {
		c.TriesLeft = &three
	}
	return Status{Cards: []Card{c}}
}

// scenes are every page in every state that looks different.
func scenes() []scene {
	ends := time.Now().Add(14*time.Minute + 20*time.Second)
	methods := []api.MethodStatus{
		{Method: api.MethodEmail, Available: true},
		{Method: api.MethodSMS, Notice: "Text messages are not available yet."},
		{Method: api.MethodFace, Notice: "Face verification is unavailable. We hope to bring it back soon."},
	}
	at := func(step Step) View {
		return View{Step: step, Ends: ends, Methods: methods, Address: "sam.jones@st-example.test", SendsLeft: 3}
	}
	unusable := func(code problem.Code) Status {
		return Status{Cards: []Card{{Reader: "Example Reader 00 00", State: CardUnusable, Problem: problem.New(code)}}}
	}
	working, waiting, refused, short, ended := at(StepWorking), at(StepWorking), at(StepPasscode), at(StepPasscode), at(StepEnded)
	working.Progress = ProgressCard
	waiting.Progress, waiting.Waiting = ProgressCard, problem.New(problem.CardRemoved)
	refused.Refused = problem.New(problem.PasscodeRefused)
	short.Ends = time.Now().Add(2*time.Minute + 20*time.Second)
	ended.Problem = problem.New(problem.SessionExpired)
	fresh := at(StepMethod)
	fresh.Address = ""
	locked := oneCard(CardLocked)
	two := Status{Cards: []Card{locked.Cards[0], {Reader: "Keyboard Reader 01 00", Model: "YubiKey 5.4.3", State: CardLocked}}}
	return []scene{
		{name: "start-locked", path: "/", words: "Your smartcard is locked", status: locked},
		{name: "start-not-locked", path: "/", words: "Your smartcard is not locked", status: oneCard(CardNotLocked)},
		{name: "start-unclear", path: "/", words: "Your smartcard is in the reader", status: oneCard(CardUnclear)},
		{name: "start-reading", path: "/", words: "Reading your smartcard", status: oneCard(CardReading)},
		{name: "start-two", path: "/", words: "There is more than one smartcard", status: two},
		{name: "start-no-service", path: "/", words: "The smartcard service is not running", status: Status{Problem: problem.New(problem.NoReaderService)}},
		{name: "start-no-reader", path: "/", words: "No card reader found", status: Status{Problem: problem.New(problem.NoReader)}},
		{name: "start-no-card", path: "/", words: "No smartcard in the reader", status: Status{Problem: problem.New(problem.NoCard)}},
		{name: "start-unknown", path: "/", words: "This card is not recognised", status: unusable(problem.CardUnknown)},
		{name: "start-mute", path: "/", words: "The card does not answer", status: unusable(problem.CardMute)},
		{name: "start-running", path: "/", words: "You have started already", view: at(StepCode), status: locked},
		{name: "start-out-of-step", path: "/passcode", words: "Start here.", status: locked},
		{name: "forgotten", path: "/forgotten", words: "I have forgotten my passcode", status: oneCard(CardNotLocked)},
		{name: "method", path: "/method", words: "We hope to bring it back soon.", view: at(StepMethod)},
		{name: "method-error", path: "/method", words: "There is a problem", view: at(StepMethod), post: map[string]string{}},
		{name: "email", path: "/email", words: "What is your email address?", view: at(StepMethod)},
		{name: "email-error", path: "/email", words: "There is a problem", view: fresh, post: map[string]string{"#email": "sam"}},
		{name: "code", path: "/code", words: "Check your email", view: at(StepCode)},
		{name: "code-error", path: "/code", words: "There is a problem", view: at(StepCode), post: map[string]string{"#code": "000000"}},
		{name: "passcode", path: "/passcode", words: "Choose a new passcode", view: at(StepPasscode)},
		{name: "passcode-short-of-time", path: "/passcode", words: "Choose a new passcode", view: short},
		{name: "passcode-error", path: "/passcode", words: "There is a problem", view: at(StepPasscode), post: map[string]string{"#passcode": "123456", "#again": "123456"}},
		{name: "passcode-refused", path: "/passcode", words: "The smartcard does not accept this passcode", view: refused},
		{name: "working", path: "/working", words: "Unlocking your smartcard", view: working},
		{name: "working-card-pulled", path: "/working", words: "The smartcard was taken out", view: waiting},
		{name: "done", path: "/done", words: "Your smartcard is unlocked", view: at(StepDone)},
		{name: "change", path: "/change", words: "Change your passcode", status: oneCard(CardNotLocked)},
		{name: "change-two", path: "/change", words: "Which smartcard do you want to use?", status: Status{Cards: []Card{oneCard(CardNotLocked).Cards[0], {Reader: "B", State: CardUnclear}}}},
		{name: "change-locked", path: "/change", words: "Your smartcard is locked", status: locked},
		{name: "change-error", path: "/change", words: "There is a problem", status: oneCard(CardNotLocked), post: map[string]string{"#old": "111", "#passcode": "918273", "#again": "918273"}},
		{name: "troubleshooting", path: "/troubleshooting", words: "For the IT help desk"},
		{name: "problem-expired", path: "/code", words: "Your time has run out", view: ended},
		{name: "problem-page", path: "/nothing", words: "There is no such page"},
	}
}

// newBrowserSite is the pages by the real clock and with the real peer check.
func newBrowserSite(t *testing.T) *site {
	x := newSiteFor(t, peer.Check)
	x.server.now, x.engine.now = time.Now, time.Now
	return x
}

// TestEveryPageIsAccessible looks at every page in every state with axe-core,
// at a desktop's and a phone's width. With LATCHKEY_SCREENSHOTS naming a
// folder it also leaves pictures there.
func TestEveryPageIsAccessible(t *testing.T) {
	x := newBrowserSite(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.launchAddress()))
	browsertest.WaitText(t, tab, "Unlock your smartcard")
	for _, sc := range scenes() {
		x.engine.set(func(v *View) { *v = sc.view })
		x.engine.see(sc.status)
		browsertest.Do(t, tab, chromedp.Navigate(x.server.gate.origin+sc.path))
		if sc.post != nil {
			for field, value := range sc.post {
				browsertest.Do(t, tab, chromedp.SendKeys(chromedp.CSS(field), value))
			}
			browsertest.Do(t, tab, chromedp.Submit(chromedp.CSS("main form")))
		}
		browsertest.WaitText(t, tab, sc.words)
		browsertest.CheckAccessibility(t, tab, sc.name)
		if dir := os.Getenv("LATCHKEY_SCREENSHOTS"); dir != "" {
			browsertest.Screenshot(t, tab, 1280, filepath.Join(dir, sc.name+"-1280.png"))
			browsertest.Screenshot(t, tab, 375, filepath.Join(dir, sc.name+"-375.png"))
		}
	}
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
