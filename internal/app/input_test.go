package app

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/internal/problem"
)

// TestStartWithoutAUsableCard: Start now with what the readers see: each has
// its code and its next step, and the service is not asked.
func TestStartWithoutAUsableCard(t *testing.T) {
	for code, status := range map[problem.Code]Status{
		problem.NoReaderService: {Problem: problem.New(problem.NoReaderService)},
		problem.NoReader:        {Problem: problem.New(problem.NoReader)},
		problem.NoCard:          {Problem: problem.New(problem.NoCard)},
		problem.CardUnknown:     {Cards: []Card{{Reader: "Reader 1", State: CardUnusable, Problem: problem.New(problem.CardUnknown)}}},
		problem.CardMute:        {Cards: []Card{{Reader: "Reader 1", State: CardUnusable, Problem: problem.New(problem.CardMute)}}},
		problem.CardBusy:        {Cards: []Card{{Reader: "Reader 1", State: CardUnusable, Problem: problem.New(problem.CardBusy)}}},
	} {
		x := newSite(t)
		x.engine.status = status
		p := problem.New(code)
		c := x.launched().on("/", p.Title)
		c.post("/start", url.Values{"purpose": {"locked"}}).on("/problem", string(code), p.Title, "What to do next")
		if slices.Contains(x.engine.calls, "start") {
			t.Errorf("%s: a session was asked for", code)
		}
	}
}

// TestTwoCards: with two of them somebody has to say which.
func TestTwoCards(t *testing.T) {
	x := newSite(t)
	x.engine.status = Status{Cards: []Card{{Reader: "Reader 1", State: CardLocked}, {Reader: "Reader 2", State: CardLocked}}}
	c := x.launched().on("/", "There is more than one smartcard", "Reader 1", "Reader 2")
	c.post("/start", url.Values{"purpose": {"locked"}}).on("/", "There is a problem", "Choose which smartcard you want to use")
	if !strings.Contains(c.body, `href="#reader"`) || slices.Contains(x.engine.calls, "start") {
		t.Errorf("no link to the choice, or a session was asked for: %v", x.engine.calls)
	}
	c.post("/start", url.Values{"purpose": {"locked"}, "reader": {"Reader 2"}}).on("/method")
}

// TestPasscodesOnThePage: what each kind of passcode that cannot be set is told.
func TestPasscodesOnThePage(t *testing.T) {
	for typed, code := range map[string]problem.Code{"84026": problem.PasscodeShort, "840261840": problem.PasscodeLong,
		"84026a": problem.PasscodeNotDigits, "654321": problem.PasscodeGuessable, "840261": problem.PasscodeRefused} {
		x := newSite(t)
		x.engine.fail["set"] = problem.New(code)
		c := x.launched()
		x.engine.set(func(v *View) { v.Step, v.Ends = StepPasscode, start.Add(time.Minute) })
		c.post("/passcode", url.Values{"passcode": {typed}, "again": {typed}}).on("/passcode", "There is a problem", problem.New(code).Title)
		if strings.Contains(c.body, typed) || !strings.Contains(c.body, `href="#passcode"`) {
			t.Errorf("%q came back, or no link to the field", typed)
		}
	}
}

// TestCodesOnThePage: what each thing that is the matter with a code is told.
func TestCodesOnThePage(t *testing.T) {
	for code, where := range map[problem.Code]string{problem.CodeWrong: "/code", problem.CodeMissing: "/code", problem.CodeTries: "/problem", problem.SessionExpired: "/problem"} {
		x := newSite(t)
		x.engine.fail["check"] = problem.New(code)
		c := x.launched()
		x.engine.set(func(v *View) { v.Step, v.Ends = StepCode, start.Add(time.Minute) })
		c.post("/code", url.Values{"code": {"123456"}}).on(where, problem.New(code).Title)
	}
}
