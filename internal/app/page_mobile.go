package app

import (
	"net/http"

	"latchkey/internal/api"
	"latchkey/internal/ui"
)

// mobileBody is what mobile.html shows.
type mobileBody struct {
	Notice  string
	Mobile  ui.Input
	Contact *api.Contact
}

func (s *server) mobilePage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepMethod, StepCode, StepFace)
	if !ok {
		return
	}
	n := s.memory.of(r)
	value := ""
	if v.Method == api.MethodSMS {
		value = v.Address
	}
	if n.typed.Has("mobile") {
		value = n.typed.Get("mobile")
	}
	s.render(w, r, http.StatusOK, "mobile", ui.Page{
		Title: "What is your mobile phone number?", Back: "/method", Timer: s.timer(v),
		Body: mobileBody{Notice: because(r), Contact: s.contact(), Mobile: ui.Input{
			Label: ui.Label{Text: "What is your mobile phone number?", Size: "l", Heading: true}, ID: "mobile", Name: "mobile", Type: "tel",
			Hint:  "Use the number that your Registration Authority has for you, for example 07700 900123. For a number of another country begin with + and the country code. We send a 6 digit security code to it.",
			Error: n.error("mobile"), Value: value, Autocomplete: "tel", Width: 20, NoSpellcheck: true,
		}},
		Errors: errorLinks(n, map[string]string{"mobile": "mobile"}),
	})
}

func (s *server) mobile(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/mobile", err)
		return
	}
	if _, ok := s.at(w, r, StepMethod, StepCode, StepFace); !ok {
		return
	}
	s.send(w, r, api.MethodSMS, "mobile")
}
