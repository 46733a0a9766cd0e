package app

import (
	"net/http"
	"net/url"
	"strings"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// emailBody is what email.html shows.
type emailBody struct {
	Notice  string
	Email   ui.Input
	Contact *api.Contact
}

func (s *server) emailPage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepMethod, StepCode, StepFace)
	if !ok {
		return
	}
	n := s.memory.of(r)
	value := ""
	if v.Method == api.MethodEmail {
		value = v.Address
	}
	if n.typed.Has("email") {
		value = n.typed.Get("email")
	}
	s.render(w, r, http.StatusOK, "email", ui.Page{
		Title: "What is your email address?", Back: "/method", Timer: s.timer(v),
		Body: emailBody{Notice: because(r), Contact: s.contact(), Email: ui.Input{
			Label: ui.Label{Text: "What is your email address?", Size: "l", Heading: true}, ID: "email", Name: "email", Type: "email",
			Hint:  "Use the address that your Registration Authority has for you, for example name@example.org. We send a 6 digit security code to it.",
			Error: n.error("email"), Value: value, Autocomplete: "email", NoSpellcheck: true,
		}},
		Errors: errorLinks(n, map[string]string{"email": "email"}),
	})
}

func (s *server) email(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/email", err)
		return
	}
	if _, ok := s.at(w, r, StepMethod, StepCode, StepFace); !ok {
		return
	}
	s.send(w, r, api.MethodEmail, "email")
}

// send asks for a security code at the address in a field, and goes on to the
// page where the code is typed. What is wrong with the address is shown at the
// field.
func (s *server) send(w http.ResponseWriter, r *http.Request, m api.Method, field string) {
	address := strings.TrimSpace(r.PostFormValue(field))
	p := (*problem.Problem)(nil)
	switch {
	case address != "":
		p = asProblem(s.engine.SendCode(r.Context(), m, address))
	case m == api.MethodSMS:
		p = problem.New(problem.MobileMissing)
	default:
		p = problem.New(problem.AddressMissing)
	}
	switch {
	case p == nil:
		http.Redirect(w, r, "/code", http.StatusSeeOther)
	case aboutAddress(p):
		s.leadTo(w, r, methodPath(m), note{problems: []fieldProblem{{Field: field, Problem: p}}, typed: url.Values{field: {address}}})
	default:
		s.stopped(w, r, methodPath(m), p)
	}
}

// aboutAddress says that another address, or number, may be taken.
func aboutAddress(p *problem.Problem) bool {
	switch p.Code {
	case problem.AddressMissing, problem.AddressMalformed, problem.MobileMissing, problem.MobileMalformed:
		return true
	}
	return false
}
