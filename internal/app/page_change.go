package app

import (
	"net/http"

	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// changeBody is what change.html shows.
type changeBody struct {
	Status          statusPart
	Rules           []string
	Old, New, Again ui.PasswordInput
}

// changePage changes a passcode that the person knows. It needs no service and
// no session.
func (s *server) changePage(w http.ResponseWriter, r *http.Request) {
	n := s.memory.of(r)
	status, live := s.status(r, changing).with(n), ""
	if n.error("old") != "" {
		status.Box.Detail = "" // the error says how many tries are left since
	}
	if !status.CanStart {
		live = "change" // the page waits for a card; a form that is being filled in is left alone
	}
	s.render(w, r, http.StatusOK, "change", ui.Page{
		Title: "Change your passcode", Back: "/", Live: live,
		Body: changeBody{Status: status, Rules: s.engine.Rules(),
			Old:   passcodeField("old", "Passcode that you have now", n.error("old")),
			New:   passcodeField("passcode", "New passcode", n.error("passcode")),
			Again: passcodeField("again", "New passcode again", n.error("again"))},
		Errors: errorLinks(n, map[string]string{"old": "old", "passcode": "passcode", "again": "again", "reader": "reader"}),
	})
}

func (s *server) change(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/change", err)
		return
	}
	wrong, err := s.tryChange(r)
	switch {
	case err != nil:
		s.stopped(w, r, "/change", err)
	case len(wrong) > 0:
		s.leadTo(w, r, "/change", note{problems: wrong})
	default:
		s.leadTo(w, r, "/changed", note{}) // nobody gets there without having changed it
	}
}

// tryChange changes the passcode. What can be put right on the form comes back
// as problems of its fields, all at once where they are known.
func (s *server) tryChange(r *http.Request) ([]fieldProblem, error) {
	var wrong []fieldProblem
	old := r.PostFormValue("old")
	if old == "" {
		p := problem.New(problem.PasscodeMissing)
		p.Detail = "Enter the passcode that you have now"
		wrong = append(wrong, fieldProblem{Field: "old", Problem: p})
	}
	typed, bad := newPasscode(r)
	if bad != nil {
		wrong = append(wrong, *bad)
	}
	reader, p := s.chosenReader(r)
	if p != nil && p.Code == problem.SeveralCards {
		wrong = append(wrong, fieldProblem{Field: "reader", Problem: chooseCard()})
	} else if p != nil {
		return nil, p
	}
	if len(wrong) > 0 {
		return wrong, nil
	}
	p = asProblem(s.engine.Change(r.Context(), reader, old, typed))
	switch {
	case p == nil:
		return nil, nil
	case p.Code == problem.PasscodeWrong:
		return []fieldProblem{{Field: "old", Problem: wrongPasscode(p)}}, nil
	case aboutPasscode(p):
		return []fieldProblem{{Field: "passcode", Problem: p}}, nil
	}
	return nil, p
}

// wrongPasscode says how many tries are left before the card locks.
func wrongPasscode(p *problem.Problem) *problem.Problem {
	if p.TriesLeft == nil {
		return p
	}
	out := *p
	out.Detail = "The passcode is not right. You have " + tries(*p.TriesLeft) + " left before your smartcard locks."
	return &out
}

func (s *server) changedPage(w http.ResponseWriter, r *http.Request) {
	if s.memory.of(r).id == "" {
		http.Redirect(w, r, "/change", http.StatusSeeOther)
		return
	}
	s.render(w, r, http.StatusOK, "done", ui.Page{Title: "Your passcode has been changed", Body: doneBody{
		Text: "You can now log in with your new passcode",
	}})
}
