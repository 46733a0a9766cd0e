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
	value := v.Address
	if v.Method == api.MethodFace {
		value = "" // it is a number
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
	address := strings.TrimSpace(r.PostFormValue("email"))
	s.send(w, r, address, "/email")
}

// send asks for a security code and goes on to the page where it is typed.
func (s *server) send(w http.ResponseWriter, r *http.Request, address, back string) {
	p := (*problem.Problem)(nil)
	if address == "" {
		p = problem.New(problem.AddressMissing)
	} else {
		p = asProblem(s.engine.SendCode(r.Context(), api.MethodEmail, address))
	}
	switch {
	case p == nil:
		http.Redirect(w, r, "/code", http.StatusSeeOther)
	case p.Code == problem.AddressMissing || p.Code == problem.AddressMalformed:
		s.leadTo(w, r, "/email", note{problems: []fieldProblem{{Field: "email", Problem: p}}, typed: url.Values{"email": {address}}})
	default:
		s.stopped(w, r, back, p)
	}
}
