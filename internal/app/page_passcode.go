package app

import (
	"net/http"

	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// passcodeBody is what passcode.html shows.
type passcodeBody struct {
	Notice     string
	Which      string // which passcode, where the card has several
	Rules      []string
	New, Again ui.PasswordInput
}

// passcodeField is a field for a passcode.
//
// autocomplete is "off": "new-password" makes browsers offer passwords of
// their own, which no smartcard takes, and save what was typed;
// "current-password" makes them fill in something else. Passcodes are saved
// nowhere. In our own window the password manager is off altogether.
func passcodeField(id, label, err string) ui.PasswordInput {
	return ui.PasswordInput{Label: ui.Label{Text: label, Size: "s"}, ID: id, Name: id, Error: err, Autocomplete: "off",
		InputMode: "numeric", Width: 10, Code: true, Words: ui.ShowHidePasscode(label)}
}

func (s *server) passcodePage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepPasscode)
	if !ok {
		return
	}
	n := s.memory.of(r)
	if len(n.problems) == 0 && v.Refused != nil {
		n.problems = []fieldProblem{{Field: "passcode", Problem: v.Refused}}
	}
	which := ""
	if v.Application != "" {
		which = oneOfSeveral(v.Application)
	}
	s.render(w, r, http.StatusOK, "passcode", ui.Page{
		Title: "Choose a new passcode", Timer: s.timer(v),
		Body: passcodeBody{Notice: because(r), Which: which, Rules: s.engine.Rules(),
			New:   passcodeField("passcode", "New passcode", n.error("passcode")),
			Again: passcodeField("again", "New passcode again", n.error("again"))},
		Errors: errorLinks(n, map[string]string{"passcode": "passcode", "again": "again"}),
	})
}

func (s *server) passcode(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/passcode", err)
		return
	}
	if _, ok := s.at(w, r, StepPasscode); !ok {
		return
	}
	typed, wrong := newPasscode(r)
	if wrong == nil {
		p := asProblem(s.engine.SetPasscode(r.Context(), typed))
		if p == nil {
			http.Redirect(w, r, "/working", http.StatusSeeOther)
			return
		}
		if !aboutPasscode(p) {
			s.stopped(w, r, "/passcode", p)
			return
		}
		wrong = &fieldProblem{Field: "passcode", Problem: p}
	}
	s.leadTo(w, r, "/passcode", note{problems: []fieldProblem{*wrong}})
}

// newPasscode is the new passcode of a form, typed twice.
func newPasscode(r *http.Request) (string, *fieldProblem) {
	typed, again := r.PostFormValue("passcode"), r.PostFormValue("again")
	switch {
	case typed == "":
		return "", &fieldProblem{Field: "passcode", Problem: problem.New(problem.PasscodeMissing)}
	case typed != again:
		// Both boxes are empty again: the first is the one to go on with.
		return "", &fieldProblem{Field: "passcode", Problem: problem.New(problem.PasscodeMismatch)}
	}
	return typed, nil
}

// aboutPasscode says that a problem is with the new passcode: another one may
// be taken.
func aboutPasscode(p *problem.Problem) bool {
	switch p.Code {
	case problem.PasscodeMissing, problem.PasscodeShort, problem.PasscodeLong, problem.PasscodeNotDigits,
		problem.PasscodeMismatch, problem.PasscodeGuessable, problem.PasscodeRefused, problem.PasscodeSame:
		return true
	}
	return false
}
