package app

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/internal/api"
)

// withMobile is the choice of method with text messages available.
func withMobile(v *View) {
	v.Step, v.Ends = StepMethod, start.Add(time.Minute)
	v.Methods = []api.MethodStatus{{Method: api.MethodEmail, Available: true}, {Method: api.MethodSMS, Available: true}, {Method: api.MethodFace}}
}

// TestCodeByTextMessage is the way from the choice to the new passcode.
func TestCodeByTextMessage(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(withMobile)
	c.post("/method", url.Values{"method": {"sms"}}).on("/mobile", "What is your mobile phone number?")
	for _, want := range []string{`type="tel"`, `autocomplete="tel"`} {
		if !strings.Contains(c.body, want) {
			t.Errorf("the field has no %s", want)
		}
	}
	c.post("/mobile", url.Values{"mobile": {" "}}).on("/mobile", "Enter your mobile phone number", "There is a problem")
	c.post("/mobile", url.Values{"mobile": {"sam"}}).on("/mobile", "Enter a mobile phone number in the right form")
	if !strings.Contains(c.body, `value="sam"`) || !strings.Contains(c.body, `href="#mobile"`) {
		t.Error("what was typed is gone, or nothing leads to it")
	}
	c.post("/mobile", url.Values{"mobile": {"07700 900123"}}).on("/code", "Check your phone", "07700 900123", "in a text message", "has a signal")
	for _, link := range []string{`href="/mobile"`, `href="/method"`} {
		if !strings.Contains(c.body, link) {
			t.Errorf("no link to %s", link)
		}
	}
	if strings.Contains(c.body, "/email") || strings.Contains(c.body, "junk") {
		t.Error("the page is about email")
	}
	c.post("/code/resend", nil).on("/code", "Use the code in the newest message.", "Check your phone")
	if !slices.Equal(x.engine.asked, []api.Method{api.MethodSMS, api.MethodSMS}) {
		t.Errorf("asked for by %v", x.engine.asked)
	}
	c.post("/code", url.Values{"code": {"123456"}}).on("/passcode")
}

// TestFromOneMethodToAnother: the number is not put into the box of the email
// address, nor the other way round.
func TestFromOneMethodToAnother(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(withMobile)
	c.post("/mobile", url.Values{"mobile": {"07700 900123"}}).on("/code")
	c.get("/mobile").on("/mobile")
	if !strings.Contains(c.body, `value="07700 900123"`) {
		t.Error("the number has to be typed again")
	}
	c.get("/email").on("/email")
	if strings.Contains(c.body, "07700") {
		t.Error("the number is in the box of the address")
	}
	c.post("/email", url.Values{"email": {"a@b.example"}}).on("/code", "Check your email")
	c.get("/mobile").on("/mobile")
	if strings.Contains(c.body, "a@b.example") {
		t.Error("the address is in the box of the number")
	}
}

func TestAnyNumberGetsTheSamePage(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	x.engine.set(withMobile)
	c.post("/mobile", url.Values{"mobile": {"07700 900123"}}).on("/code")
	right := c.text()
	c.post("/mobile", url.Values{"mobile": {"07700 900124"}}).on("/code")
	if strings.ReplaceAll(right, "900123", "900124") != c.text() {
		t.Error("the pages differ")
	}
}

// TestEveryOfferedMethodHasAPage: what can be chosen leads somewhere.
func TestEveryOfferedMethodHasAPage(t *testing.T) {
	for _, m := range []api.Method{api.MethodEmail, api.MethodSMS} {
		if methodPath(m) == "" {
			t.Errorf("%s has no page", m)
		}
	}
}
