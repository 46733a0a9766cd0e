package app

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// codeBody is what code.html shows. It is the same for every address (rule
// R4): whether one is registered shows nowhere.
type codeBody struct {
	Notice      string
	Mobile      bool // the code was asked for by text message
	Address     string
	Again       string // the page where the address is typed
	Code        ui.Input
	Tries       string
	CanResend   bool
	ResendWords string
	CanLater    bool // another code can be asked for after a while
	Contact     *api.Contact
}

func (s *server) codePage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepCode)
	if !ok {
		return
	}
	n := s.memory.of(r)
	body := codeBody{Notice: because(r), Mobile: v.Method == api.MethodSMS, Address: v.Address, Again: cmp.Or(methodPath(v.Method), "/method"), Contact: s.contact(), Code: ui.Input{
		Label: ui.Label{Text: "Security code", Size: "m"}, ID: "code", Name: "code", Hint: "The code is 6 digits, for example 123\u00a0456",
		Error: n.error("code"), Autocomplete: "one-time-code", InputMode: "numeric", Width: 10, Code: true, NoSpellcheck: true,
	}}
	if r.URL.Query().Has("sent") {
		body.Notice = "We have asked for a new code. Use the code in the newest message."
	}
	if v.TriesLeft != nil && len(n.problems) == 0 {
		body.Tries = triesWords(*v.TriesLeft)
	}
	body.CanResend, body.ResendWords = s.canResend(v)
	body.CanLater = v.SendsLeft > 0
	title := "Check your email"
	if body.Mobile {
		title = "Check your phone"
	}
	s.render(w, r, http.StatusOK, "code", ui.Page{
		Title: title, Back: body.Again, Timer: s.timer(v), Body: body,
		Errors: errorLinks(n, map[string]string{"code": "code"}),
	})
}

// canResend says whether another code can be asked for now and, if not, when.
func (s *server) canResend(v View) (bool, string) {
	if v.SendsLeft == 0 {
		return false, "No more codes can be asked for at the moment. Use the newest code that you have."
	}
	if wait := v.ResendAt.Sub(s.now()); wait > 0 {
		// Whole seconds, and never "0 seconds".
		wait = (wait + time.Second - 1).Truncate(time.Second)
		return false, fmt.Sprintf("You can ask for a new code in %s.", ui.Duration(wait))
	}
	return true, ""
}

func (s *server) code(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/code", err)
		return
	}
	if _, ok := s.at(w, r, StepCode); !ok {
		return
	}
	typed := strings.TrimSpace(r.PostFormValue("code"))
	p := (*problem.Problem)(nil)
	if typed == "" {
		p = problem.New(problem.CodeMissing)
	} else {
		p = asProblem(s.engine.CheckCode(r.Context(), typed))
	}
	switch {
	case p == nil:
		http.Redirect(w, r, "/passcode", http.StatusSeeOther)
	case p.Code == problem.CodeMissing || p.Code == problem.CodeWrong:
		s.leadTo(w, r, "/code", note{problems: []fieldProblem{{Field: "code", Problem: p}}})
	default:
		s.stopped(w, r, "/code", p)
	}
}

// resend asks for another code in the same way, at the same address.
func (s *server) resend(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepCode)
	if !ok {
		return
	}
	if p := asProblem(s.engine.SendCode(r.Context(), v.Method, v.Address)); p != nil {
		s.stopped(w, r, "/code", p)
		return
	}
	http.Redirect(w, r, "/code?sent", http.StatusSeeOther)
}
