package app

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/problem"
)

func TestJourneyWithoutJavaScript(t *testing.T) {
	x := newSite(t)
	c := x.launched().on("/", "Unlock your smartcard", "Your smartcard is locked", "Start now")
	c.post("/start", url.Values{"purpose": {"locked"}, "reader": {"Reader 1"}}).
		on("/method", "Email security code", "Text messages are not available yet.", "We hope to bring it back soon.", "15 minutes")
	c.post("/method", url.Values{"method": {"email"}}).on("/email", "What is your email address?")
	c.post("/email", url.Values{"email": {" sam@example.org "}}).on("/code", "Check your email", "sam@example.org")
	c.post("/code", url.Values{"code": {"000000"}}).on("/code", "There is a problem", "You have 4 tries left.")
	c.post("/code", url.Values{"code": {"123456"}}).on("/passcode", "Choose a new passcode", "6 to 8 digits")
	c.post("/passcode", url.Values{"passcode": {"918273"}, "again": {"918273"}}).on("/working", "Keep your smartcard in the reader", "Look now")
	x.engine.set(func(v *View) { v.Waiting = problem.New(problem.CardRemoved) })
	c.get("/working").on("/working", "Put the same smartcard back in.")
	x.engine.set(func(v *View) { v.Waiting, v.Step = nil, StepDone })
	c.get("/working").on("/done", "Your smartcard is unlocked", "You can now log in with your new passcode")
	// A finished session starts cleanly.
	c.get("/").on("/", "Start now")
	c.post("/start", url.Values{"reader": {"Reader 1"}}).on("/method")
	if strings.Contains(x.log.String(), "918273") {
		t.Error("the passcode is in the log")
	}
}

// TestPasscodeIsInNoAnswer types a passcode wrongly in every way and looks for
// it in what comes back.
func TestPasscodeIsInNoAnswer(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(func(v *View) { v.Step = StepPasscode; v.Ends = start.Add(time.Minute) })
	for _, form := range []url.Values{
		{"passcode": {"zqzq1"}, "again": {"zqzq1"}},
		{"passcode": {"zqzq1"}, "again": {"zqzq2"}},
		{"passcode": {"zqzq1"}},
	} {
		c.post("/passcode", form).on("/passcode", "There is a problem")
		if strings.Contains(c.body, "zqzq") || strings.Contains(c.url, "zqzq") {
			t.Errorf("%v came back", form)
		}
	}
	c.post("/change", url.Values{"reader": {"Reader 1"}, "old": {"zqzq1"}, "passcode": {"zqzq2"}, "again": {"zqzq2"}}).
		on("/change", "You have 2 tries left before your smartcard locks.")
	if strings.Contains(c.body, "zqzq") || strings.Contains(x.log.String(), "zqzq") {
		t.Error("the passcode came back")
	}
}

func TestStepsOutOfOrderLeadToTheRightPage(t *testing.T) {
	for _, test := range []struct {
		step      Step
		ask, want string
		words     string
	}{
		{StepNone, "/code", "/", "Start here."},
		{StepNone, "/passcode", "/", "Start here."},
		{StepNone, "/done", "/", "Start here."},
		{StepNone, "/problem", "/", ""},
		{StepMethod, "/code", "/method", "Ask for a security code first."},
		{StepMethod, "/passcode", "/method", ""},
		{StepCode, "/passcode", "/code", ""},
		{StepCode, "/email", "/email", ""},
		{StepCode, "/method", "/method", ""},
		{StepPasscode, "/code", "/passcode", "You have proved who you are already."},
		{StepPasscode, "/method", "/passcode", "You have proved who you are already."},
		{StepWorking, "/passcode", "/working", ""},
		{StepDone, "/passcode", "/done", ""},
		{StepDone, "/working", "/done", ""},
		{StepWorking, "/", "/", "You have started already"},
	} {
		x := newSite(t)
		c := x.launched()
		x.engine.set(func(v *View) { v.Step, v.Ends = test.step, start.Add(time.Minute) })
		c.get(test.ask).on(test.want, test.words)
	}
}

func TestExpiredSessionOnEveryPage(t *testing.T) {
	for _, step := range []Step{StepMethod, StepCode, StepPasscode} {
		for _, path := range []string{"/method", "/email", "/code", "/passcode", "/working", "/done", "/problem"} {
			x := newSite(t)
			c := x.launched()
			x.engine.set(func(v *View) { v.Step, v.Ends = step, start.Add(15*time.Minute) })
			x.clock.forward(15*time.Minute + time.Second)
			c.get(path).on("/problem", "Your time has run out", "LK-4101", "Start again", "020 7946 0000")
			c.post("/leave", nil).on("/", "Start now")
		}
	}
}

func TestExpiredSessionOnPosts(t *testing.T) {
	for _, path := range []string{"/method", "/email", "/code", "/code/resend", "/passcode"} {
		x := newSite(t)
		c := x.launched()
		x.engine.set(func(v *View) { v.Step, v.Ends = StepCode, start })
		c.post(path, url.Values{"email": {"a@b.c"}}).on("/problem", "LK-4101")
	}
}

func TestFieldErrors(t *testing.T) {
	at := func(step Step) func(v *View) {
		return func(v *View) {
			v.Step, v.Ends = step, start.Add(time.Minute)
			v.Methods = []api.MethodStatus{{Method: api.MethodEmail, Available: true}, {Method: api.MethodSMS}}
		}
	}
	for _, test := range []struct {
		step  Step
		path  string
		form  url.Values
		words []string
		link  string
	}{
		{StepMethod, "/method", nil, []string{"Choose how to prove who you are"}, "#method"},
		{StepMethod, "/method", url.Values{"method": {"sms"}}, []string{"not available"}, "#method"},
		{StepMethod, "/email", url.Values{"email": {"  "}}, []string{"Enter your email address"}, "#email"},
		{StepMethod, "/email", url.Values{"email": {"sam"}}, []string{"Enter an email address in the right form"}, "#email"},
		{StepCode, "/code", url.Values{"code": {""}}, []string{"Enter the security code"}, "#code"},
		{StepCode, "/code", url.Values{"code": {"1"}}, []string{"The security code is not right. You have 4 tries left."}, "#code"},
		{StepPasscode, "/passcode", nil, []string{"Enter a passcode"}, "#passcode"},
		{StepPasscode, "/passcode", url.Values{"passcode": {"12"}, "again": {"12"}}, []string{"too short"}, "#passcode"},
		{StepPasscode, "/passcode", url.Values{"passcode": {"123456"}, "again": {"123456"}}, []string{"too easy to guess"}, "#passcode"},
		{StepPasscode, "/passcode", url.Values{"passcode": {"918273"}, "again": {"918274"}}, []string{"not the same"}, "#passcode"},
		{StepNone, "/change", nil, []string{"Enter the passcode that you have now", "Enter a passcode"}, "#old"},
	} {
		x := newSite(t)
		if test.path == "/change" {
			x.engine.status.Cards[0].State = CardNotLocked
		}
		c := x.launched()
		x.engine.set(at(test.step))
		c.post(test.path, test.form).on(test.path, append(test.words, "There is a problem")...)
		if !strings.Contains(c.body, `href="`+test.link+`"`) || !strings.Contains(c.body, `id="`+test.link[1:]+`"`) {
			t.Errorf("%s %v: no link from the summary to the field %s", test.path, test.form, test.link)
		}
		if !strings.Contains(c.body, "<title>Error: ") {
			t.Errorf("%s: the title does not begin with Error:", test.path)
		}
	}
}

func TestTypedAddressComesBackOnce(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(func(v *View) { v.Step, v.Ends = StepMethod, start.Add(time.Minute) })
	c.post("/email", url.Values{"email": {"sam.example.org"}}).on("/email")
	if !strings.Contains(c.body, `value="sam.example.org"`) {
		t.Error("what was typed is gone")
	}
	c.get("/email")
	if strings.Contains(c.body, "sam.example.org") || strings.Contains(c.body, "There is a problem") {
		t.Error("an old error is shown on a fresh page")
	}
}

func TestLargeInput(t *testing.T) {
	large := strings.Repeat("a", 10_000)
	for path, field := range map[string]string{"/start": "reader", "/method": "method", "/email": "email", "/mobile": "mobile", "/code": "code", "/passcode": "passcode", "/change": "old"} {
		for _, size := range []int{600, 10_000} {
			x := newSite(t)
			c := x.launched()
			x.engine.set(func(v *View) { v.Step, v.Ends = StepCode, start.Add(time.Minute) })
			c.post(path, url.Values{field: {large[:size]}}).on("/problem", "LK-8005", "That is too long")
			if len(x.engine.calls) > 0 {
				t.Errorf("%s: the engine was asked: %v", path, x.engine.calls)
			}
		}
	}
}

func TestProblemsOfSteps(t *testing.T) {
	after := 90
	busy := problem.New(problem.SendLimit)
	busy.RetryAfter = &after
	for _, test := range []struct {
		call, path string
		step       Step
		form       url.Values
		err        error
		words      []string
	}{
		{"start", "/start", StepNone, url.Values{"reader": {"Reader 1"}}, problem.New(problem.ServiceUnreachable), []string{"LK-6002", "Try again", "Check this computer"}},
		{"start", "/start", StepNone, url.Values{"reader": {"Reader 1"}}, problem.New(problem.CardNotServed), []string{"LK-4001", "020 7946 0000"}},
		{"start", "/start", StepNone, url.Values{"reader": {"Reader 1"}}, card.ErrBusy, []string{"LK-5000"}},
		{"send", "/email", StepMethod, url.Values{"email": {"a@b.c"}}, busy, []string{"LK-3007", "You can try again in 2 minutes."}},
		{"check", "/code", StepCode, url.Values{"code": {"1"}}, problem.New(problem.DayLimit), []string{"LK-3009"}},
		{"set", "/passcode", StepPasscode, url.Values{"passcode": {"918273"}, "again": {"918273"}}, problem.New(problem.NoCard), []string{"LK-1003", "Try again"}},
		{"change", "/change", StepNone, url.Values{"reader": {"R"}, "old": {"1"}, "passcode": {"918273"}, "again": {"918273"}}, problem.New(problem.CardLocked), []string{"LK-1017"}},
		{"abandon", "/leave", StepCode, nil, problem.New(problem.ServiceSlow), []string{"LK-6003"}},
	} {
		x := newSite(t)
		x.engine.fail[test.call] = test.err
		c := x.launched()
		x.engine.set(func(v *View) { v.Step, v.Ends = test.step, start.Add(time.Minute) })
		c.post(test.path, test.form).on("/problem", append(test.words, "What to do next", "Registration Authority, St Example's Hospital")...)
	}
}

func TestEndedSessionShowsWhy(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(func(v *View) { v.Step, v.Problem = StepEnded, problem.New(problem.PUKLastTry) })
	c.get("/code").on("/problem", "We stopped to protect your smartcard", "LK-1015", "Go to the start")
	c.get("/").on("/", "Start now")
}

func TestNewPasscodeThatTheCardRefused(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(func(v *View) {
		v.Step, v.Ends, v.Refused = StepPasscode, start.Add(time.Minute), problem.New(problem.PasscodeRefused)
	})
	c.get("/working").on("/passcode", "The smartcard does not accept this passcode", "There is a problem")
}

func TestResend(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(func(v *View) {
		v.Step, v.Ends, v.Address, v.SendsLeft, v.ResendAt = StepCode, start.Add(time.Minute), "a@b.c", 2, start.Add(30*time.Second)
	})
	c.get("/code").on("/code", "You can ask for a new code in 30 seconds.")
	x.clock.forward(30 * time.Second)
	c.get("/code").on("/code", "Send a new code")
	c.post("/code/resend", nil).on("/code", "Use the code in the newest message.")
	x.engine.set(func(v *View) { v.SendsLeft = 0 })
	c.get("/code").on("/code", "No more codes can be asked for")
}

func TestAnyAddressGetsTheSamePage(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(func(v *View) { v.Step, v.Ends = StepMethod, start.Add(time.Minute) })
	c.post("/email", url.Values{"email": {"right@example.org"}}).on("/code")
	right := c.text()
	c.post("/email", url.Values{"email": {"wrong@example.org"}}).on("/code")
	if strings.ReplaceAll(right, "right@", "wrong@") != c.text() {
		t.Error("the pages differ")
	}
}

func TestTwoTabsShowTheSameState(t *testing.T) {
	x := newSite(t)
	one := x.launched()
	two := &client{site: x, http: one.http}
	one.post("/start", url.Values{"reader": {"Reader 1"}}).on("/method")
	two.get("/").on("/", "You have started already")
	two.post("/email", url.Values{"email": {"a@b.c"}}).on("/code")
	one.post("/email", url.Values{"email": {"a@b.c"}}).on("/code")
	two.post("/code", url.Values{"code": {"123456"}}).on("/passcode")
	one.post("/code", url.Values{"code": {"123456"}}).on("/passcode", "You have proved who you are already.")
}

func TestChangedPageNeedsAChange(t *testing.T) {
	x := newSite(t)
	x.engine.status.Cards[0].State = CardNotLocked
	c := x.launched()
	c.get("/changed").on("/change")
	c.post("/change", url.Values{"reader": {"Reader 1"}, "old": {"24681357"}, "passcode": {"918273"}, "again": {"918273"}}).
		on("/changed", "Your passcode has been changed")
}

func TestTroubleshooting(t *testing.T) {
	x := newSite(t)
	x.launched().get("/troubleshooting").on("/troubleshooting", "One thing is not working: the card reader", "Plug the reader in", "LK-1002",
		"Check this", "Not tested", "Latchkey 0.1.0", "020 7946 0000")
}

func TestNoSuchPage(t *testing.T) {
	x := newSite(t)
	c := x.launched().get("/nothing").on("/nothing", "There is no such page", "LK-4202")
	if c.code != 404 {
		t.Errorf("status %d", c.code)
	}
}
