package app

import (
	"time"

	"latchkey/internal/api"
	"latchkey/internal/doctor"
	"latchkey/internal/problem"
)

// scene is one state of one page.
type scene struct {
	name, path, words string
	view              View
	status            Status
	post              map[string]string // fields to fill in and send
	form              string            // the form to send; "" is the first one
	fail              map[string]error  // what the engine's calls fail with
	report            *doctor.Report
}

func oneCard(state CardState) Status {
	three := 3
	c := Card{Reader: "Example Reader 00 00", Model: "PIV card", State: state}
	if state == CardNotLocked {
		c.TriesLeft = &three
	}
	return Status{Cards: []Card{c}}
}

func unusable(code problem.Code) Status {
	return Status{Cards: []Card{{Reader: "Example Reader 00 00", State: CardUnusable, Problem: problem.New(code)}}}
}

// longReader is a name as drivers give them.
const longReader = "Broadcom Corp Contacted SmartCard [Example Security Keyboard with a very long name] (0123456789ABCD) 01 00"

func twoCards(a, b CardState) Status {
	return Status{Cards: []Card{
		{Reader: "Example Reader 00 00", Model: "PIV card", State: a}, {Reader: longReader, Model: "YubiKey 5.4.3", State: b},
	}}
}

// at is a session at a step, with most of its time left.
func at(step Step) View {
	return View{Step: step, Ends: time.Now().Add(14*time.Minute + 20*time.Second), Method: api.MethodEmail, Address: "sam.jones@st-example.test", SendsLeft: 3,
		Methods: []api.MethodStatus{
			{Method: api.MethodEmail, Available: true},
			{Method: api.MethodSMS, Notice: "Text messages are not available yet."},
			{Method: api.MethodFace, Notice: "Face verification is unavailable. We hope to bring it back soon."},
		}}
}

func atWith(step Step, change func(v *View)) View {
	v := at(step)
	change(&v)
	return v
}

// scenes are every page in every state that looks different.
func scenes() []scene {
	var all []scene
	for _, part := range [][]scene{startScenes(), proofScenes(), faceScenes(), passcodeScenes(), otherScenes(), problemScenes()} {
		all = append(all, part...)
	}
	return all
}

func startScenes() []scene {
	seen := func(code problem.Code) Status { return Status{Problem: problem.New(code)} }
	return []scene{
		{name: "start-locked", path: "/", words: "Your smartcard is locked", status: oneCard(CardLocked)},
		{name: "start-not-locked", path: "/", words: "Your smartcard is not locked", status: oneCard(CardNotLocked)},
		{name: "start-unclear", path: "/", words: "does not say whether it is locked", status: oneCard(CardUnclear)},
		{name: "start-reading", path: "/", words: "Reading your smartcard", status: oneCard(CardReading)},
		{name: "start-two", path: "/", words: "There is more than one smartcard", status: twoCards(CardLocked, CardLocked)},
		{name: "start-two-error", path: "/", words: "There is a problem", status: twoCards(CardLocked, CardLocked), post: map[string]string{}},
		{name: "start-two-one-locked", path: "/", words: "Your smartcard is locked", status: twoCards(CardNotLocked, CardLocked)},
		{name: "start-no-service", path: "/", words: "The smartcard service is not running", status: seen(problem.NoReaderService)},
		{name: "start-no-reader", path: "/", words: "No card reader found", status: seen(problem.NoReader)},
		{name: "start-no-card", path: "/", words: "No smartcard in the reader", status: seen(problem.NoCard)},
		{name: "start-unknown", path: "/", words: "This card is not recognised", status: unusable(problem.CardUnknown)},
		{name: "start-mute", path: "/", words: "The card does not answer", status: unusable(problem.CardMute)},
		{name: "start-busy", path: "/", words: "Another program is using the smartcard", status: unusable(problem.CardBusy)},
		{name: "start-running", path: "/", words: "You have started already", view: at(StepCode), status: oneCard(CardLocked)},
		{name: "start-out-of-step", path: "/passcode", words: "Start here.", status: oneCard(CardLocked)},
		{name: "forgotten", path: "/forgotten", words: "You can choose a new passcode.", status: oneCard(CardNotLocked)},
		{name: "forgotten-locked", path: "/forgotten", words: "Your smartcard is locked", status: oneCard(CardLocked)},
		{name: "forgotten-two", path: "/forgotten", words: "Which smartcard do you want to use?", status: twoCards(CardLocked, CardNotLocked)},
		{name: "forgotten-no-card", path: "/forgotten", words: "No smartcard in the reader", status: seen(problem.NoCard)},
	}
}

func proofScenes() []scene {
	two := func(v *View) { v.Methods[1].Available, v.Methods[1].Notice = true, "" }
	none := func(v *View) { v.Method, v.Address = "", "" }
	phone := func(v *View) { two(v); v.Method, v.Address = api.MethodSMS, "07700 900123" }
	phoneLater := func(v *View) { phone(v); v.ResendAt = time.Now().Add(50 * time.Second) }
	later := func(v *View) { v.ResendAt = time.Now().Add(50 * time.Second) }
	return []scene{
		{name: "method", path: "/method", words: "We hope to bring it back soon.", view: at(StepMethod)},
		{name: "method-two", path: "/method", words: "We send a 6 digit code to your mobile phone.", view: atWith(StepMethod, two)},
		{name: "method-error", path: "/method", words: "There is a problem", view: atWith(StepMethod, two), post: map[string]string{}},
		{name: "method-out-of-step", path: "/code", words: "Ask for a security code first.", view: at(StepMethod)},
		{name: "email", path: "/email", words: "What is your email address?", view: atWith(StepMethod, func(v *View) { v.Address = "" })},
		{name: "email-empty", path: "/email", words: "Enter your email address", view: atWith(StepMethod, func(v *View) { v.Address = "" }), post: map[string]string{}},
		{name: "email-error", path: "/email", words: "There is a problem", view: atWith(StepMethod, func(v *View) { v.Address = "" }), post: map[string]string{"#email": "sam"}},
		{name: "mobile", path: "/mobile", words: "What is your mobile phone number?", view: atWith(StepMethod, none)},
		{name: "mobile-empty", path: "/mobile", words: "Enter your mobile phone number", view: atWith(StepMethod, none), post: map[string]string{}},
		{name: "mobile-error", path: "/mobile", words: "There is a problem", view: atWith(StepMethod, none), post: map[string]string{"#mobile": "sam"}},
		{name: "mobile-again", path: "/mobile", words: "What is your mobile phone number?", view: atWith(StepCode, phone)},
		{name: "code-mobile", path: "/code", words: "Check your phone", view: atWith(StepCode, phone)},
		{name: "code-mobile-error", path: "/code", words: "You have 4 tries left.", view: atWith(StepCode, phone), post: map[string]string{"#code": "000000"}},
		{name: "code-mobile-resend-later", path: "/code", words: "Check your phone", view: atWith(StepCode, phoneLater)},
		{name: "code-mobile-sent-again", path: "/code", words: "We have asked for a new code.", view: atWith(StepCode, phone), post: map[string]string{}, form: `form[action="/code/resend"]`},
		{name: "code", path: "/code", words: "Check your email", view: at(StepCode)},
		{name: "code-empty", path: "/code", words: "Enter the security code", view: at(StepCode), post: map[string]string{}},
		{name: "code-error", path: "/code", words: "You have 4 tries left.", view: at(StepCode), post: map[string]string{"#code": "000000"}},
		{name: "code-too-many", path: "/code", words: "Too many wrong security codes", view: atWith(StepEnded, func(v *View) { v.Problem = problem.New(problem.CodeTries) })},
		{name: "code-sent-again", path: "/code", words: "We have asked for a new code.", view: at(StepCode), post: map[string]string{}, form: `form[action="/code/resend"]`},
		{name: "code-resend-later", path: "/code", words: "Check your email", view: atWith(StepCode, later)},
		{name: "code-resend-limit", path: "/code", words: "Too many security codes asked for", view: at(StepCode), post: map[string]string{},
			form: `form[action="/code/resend"]`, fail: map[string]error{"send": problem.New(problem.SendLimit)}},
	}
}

func passcodeScenes() []scene {
	short := func(v *View) { v.Ends = time.Now().Add(2*time.Minute + 20*time.Second) }
	both := func(a, b string) map[string]string { return map[string]string{"#passcode": a, "#again": b} }
	return []scene{
		{name: "passcode", path: "/passcode", words: "Choose a new passcode", view: at(StepPasscode)},
		{name: "passcode-short-of-time", path: "/passcode", words: "Choose a new passcode", view: atWith(StepPasscode, short)},
		{name: "passcode-empty", path: "/passcode", words: "Enter a passcode", view: at(StepPasscode), post: map[string]string{}},
		{name: "passcode-mismatch", path: "/passcode", words: "The two passcodes are not the same", view: at(StepPasscode), post: both("918273", "918274")},
		{name: "passcode-guessable", path: "/passcode", words: "too easy to guess", view: at(StepPasscode), post: both("123456", "123456")},
		{name: "passcode-refused", path: "/passcode", words: "The smartcard does not accept this passcode",
			view: atWith(StepPasscode, func(v *View) { v.Refused = problem.New(problem.PasscodeRefused) })},
		{name: "working", path: "/working", words: "Unlocking your smartcard", view: atWith(StepWorking, func(v *View) { v.Progress = ProgressCard })},
		{name: "working-card-pulled", path: "/working", words: "The smartcard was taken out",
			view: atWith(StepWorking, func(v *View) { v.Progress, v.Waiting = ProgressCard, problem.New(problem.CardRemoved) })},
		{name: "working-service-away", path: "/working", words: "The service cannot be reached",
			view: atWith(StepWorking, func(v *View) { v.Waiting = problem.New(problem.ServiceUnreachable) })},
		{name: "done", path: "/done", words: "Your smartcard is unlocked", view: at(StepDone)},
		{name: "done-forgotten", path: "/done", words: "Your passcode has been changed", view: atWith(StepDone, func(v *View) { v.Purpose = api.PurposeForgotten })},
		{name: "change", path: "/change", words: "Change your passcode", status: oneCard(CardNotLocked)},
		{name: "change-two", path: "/change", words: "Which smartcard do you want to use?", status: twoCards(CardNotLocked, CardUnclear)},
		{name: "change-locked", path: "/change", words: "Your smartcard is locked", status: oneCard(CardLocked)},
		{name: "change-no-card", path: "/change", words: "No smartcard in the reader", status: Status{Problem: problem.New(problem.NoCard)}},
		{name: "change-error", path: "/change", words: "You have 2 tries left before your smartcard locks.", status: oneCard(CardNotLocked),
			post: map[string]string{"#old": "111", "#passcode": "918273", "#again": "918273"}},
		{name: "change-empty", path: "/change", words: "Enter the passcode that you have now", status: oneCard(CardNotLocked), post: map[string]string{}},
		{name: "changed", path: "/change", words: "Your passcode has been changed", status: oneCard(CardNotLocked),
			post: map[string]string{"#old": "24681357", "#passcode": "918273", "#again": "918273"}},
	}
}

func otherScenes() []scene {
	well := doctor.Report{Text: "Latchkey report of 2026-03-01 09:00 UTC\nComputer: ward-7\n\n" +
		"Smartcard service: good. It is running.\nCard reader: good. Found: " + longReader + ".\n", Findings: []doctor.Finding{
		{Name: "Smartcard service", Level: doctor.LevelGood, Detail: "It is running."},
		{Name: "Card reader", Level: doctor.LevelGood, Detail: "Found: " + longReader + "."},
		{Name: "Smartcard", Level: doctor.LevelGood, Detail: "YubiKey 5.4.3, serial number 77. It is locked."},
		{Name: "Certificates", Level: doctor.LevelGood, Detail: "They are valid until 1 April 2028."},
		{Name: "Latchkey service", Level: doctor.LevelGood, Detail: "https://unlock.a-very-long-name-of-a-machine.st-example.test:8443 answers."},
		{Name: "Camera", Level: doctor.LevelUnknown, Detail: "Face verification is not available yet, so no camera is needed."},
	}}
	soon := doctor.Report{Text: "Certificates: warning.\n", Findings: []doctor.Finding{
		{Name: "Certificates", Level: doctor.LevelWarning, Detail: "The card expires on 11 March 2026.", Next: "Ask your Registration Authority for a new card now."},
	}}
	bad := doctor.Report{Text: "Latchkey service: not working\n", Findings: []doctor.Finding{
		{Name: "Smartcard service", Level: doctor.LevelBad, Detail: "The smartcard service is not running.", Next: "Restart the computer.", Code: problem.NoReaderService},
		{Name: "Card reader", Level: doctor.LevelUnknown, Detail: "This could not be tested, because of what is said above."},
		{Name: "Latchkey service", Level: doctor.LevelBad, Detail: "The service cannot be reached.", Next: "Check that the computer is on the network.", Code: problem.ServiceUnreachable},
	}}
	return []scene{
		{name: "troubleshooting-one", path: "/troubleshooting", words: "One thing is not working: the card reader"},
		{name: "troubleshooting-two", path: "/troubleshooting", words: "2 things are not working", report: &bad},
		{name: "troubleshooting-good", path: "/troubleshooting", words: "Everything that we could test is working", report: &well},
		{name: "troubleshooting-warning", path: "/troubleshooting", words: "Something needs attention soon", report: &soon},
		{name: "no-such-page", path: "/nothing", words: "There is no such page"},
	}
}

func problemScenes() []scene {
	ended := func(code problem.Code) View {
		return atWith(StepEnded, func(v *View) { v.Problem = problem.New(code) })
	}
	start := func(name string, code problem.Code) scene {
		return scene{name: "problem-" + name, path: "/", words: problem.New(code).Title, status: oneCard(CardLocked), post: map[string]string{},
			fail: map[string]error{"start": problem.New(code)}}
	}
	return []scene{
		{name: "problem-expired", path: "/code", words: "Your time has run out", view: ended(problem.SessionExpired)},
		{name: "problem-puk-blocked", path: "/working", words: "This smartcard can no longer be unlocked here", view: ended(problem.PUKBlocked)},
		{name: "problem-puk-disabled", path: "/working", words: "has switched its unlocking key off on purpose", view: ended(problem.PUKDisabled)},
		{name: "problem-superseded", path: "/passcode", words: "A newer attempt has taken over", view: ended(problem.SessionReplaced)},
		{name: "problem-suspended", path: "/code", words: "Your smartcard is suspended", view: ended(problem.CardSuspended)},
		start("service-down", problem.ServiceUnreachable), start("certificate", problem.ServiceCertificate),
		start("expired-card", problem.CertExpired), start("not-served", problem.CardNotServed), start("internal", problem.Internal),
		start("old-application", problem.OldApplication), start("not-locked", problem.CardNotLocked),
		{name: "problem-on-the-way", path: "/email", words: "The service takes too long", view: at(StepMethod), post: map[string]string{"#email": "a@b.c"},
			fail: map[string]error{"send": problem.New(problem.ServiceSlow)}},
		{name: "problem-locked-while-changing", path: "/change", words: "Your smartcard is locked", status: oneCard(CardNotLocked),
			post: map[string]string{"#old": "1", "#passcode": "918273", "#again": "918273"}, fail: map[string]error{"change": problem.New(problem.CardLocked)}},
	}
}
