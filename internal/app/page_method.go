package app

import (
	"net/http"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// methodBody is what method.html shows.
type methodBody struct {
	Notice  string
	Methods ui.Radios
}

func (s *server) methodPage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepMethod, StepCode, StepFace)
	if !ok {
		return
	}
	n := s.memory.of(r)
	s.render(w, r, http.StatusOK, "method", ui.Page{
		Title: "How do you want to prove who you are?", Back: "/", Timer: s.timer(v),
		Body:   methodBody{Notice: because(r), Methods: methods(v.Methods, n.error("method"))},
		Errors: errorLinks(n, map[string]string{"method": "method"}),
	})
}

func (s *server) method(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/method", err)
		return
	}
	v, ok := s.at(w, r, StepMethod, StepCode, StepFace)
	if !ok {
		return
	}
	chosen := api.Method(r.PostFormValue("method"))
	wrong := problem.MethodMissing
	for _, m := range v.Methods {
		if m.Method != chosen {
			continue
		}
		if page := methodPath(chosen); m.Available && page != "" {
			http.Redirect(w, r, page, http.StatusSeeOther)
			return
		}
		wrong = problem.MethodUnavailable
	}
	s.leadTo(w, r, "/method", note{problems: []fieldProblem{{Field: "method", Problem: problem.New(wrong)}}})
}

// methodPath is the first page of a way to prove who you are; "" where there is
// none.
func methodPath(m api.Method) string {
	switch m {
	case api.MethodEmail:
		return "/email"
	case api.MethodSMS:
		return "/mobile"
	case api.MethodFace:
		return "/face"
	}
	return ""
}

// methods are the ways to prove who you are. One that cannot be used is shown
// with the reason: it must not look as if it did not exist.
func methods(all []api.MethodStatus, err string) ui.Radios {
	radios := ui.Radios{Legend: ui.Label{Text: "How do you want to prove who you are?", Size: "l", Heading: true},
		IDPrefix: "method", Name: "method", Error: err}
	available := 0
	for _, m := range all {
		if m.Available {
			available++
			radios.Value = string(m.Method)
		}
		item := ui.RadioItem{Value: string(m.Method), Text: string(m.Method), Hint: m.Notice, Disabled: !m.Available}
		hint := ""
		switch m.Method {
		case api.MethodEmail:
			item.Text, hint = "Email security code", "We send a 6 digit code to your email address."
		case api.MethodSMS:
			item.Text, hint = "Mobile phone security code", "We send a 6 digit code to your mobile phone."
		case api.MethodFace:
			item.Text, hint = "Face verification", "We compare your face with the photo that your Registration Authority holds."
		}
		if m.Available && item.Hint == "" {
			item.Hint = hint
		}
		if !m.Available && item.Hint == "" {
			item.Hint = "This is not available at the moment."
		}
		radios.Items = append(radios.Items, item)
	}
	if available != 1 {
		radios.Value = "" // a choice that is made for somebody is easily overlooked
	}
	return radios
}
