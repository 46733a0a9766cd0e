package app

import (
	"net/http"
	"net/url"
	"strings"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// faceNumberBody is what face_number.html shows.
type faceNumberBody struct {
	Number  ui.Input
	Contact *api.Contact
}

const faceNumberTitle = "What is your mobile phone number?"

func (s *server) faceNumberPage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepMethod, StepCode, StepFace)
	if !ok {
		return
	}
	n := s.memory.of(r)
	value := ""
	if v.Method == api.MethodFace {
		value = v.Address
	}
	if n.typed.Has("mobile") {
		value = n.typed.Get("mobile")
	}
	s.render(w, r, http.StatusOK, "face_number", ui.Page{
		Title: faceNumberTitle, Back: "/method", Timer: s.timer(v),
		Body: faceNumberBody{Contact: s.contact(), Number: ui.Input{
			Label: ui.Label{Text: faceNumberTitle, Size: "l", Heading: true}, ID: "mobile", Name: "mobile", Type: "tel",
			Hint:  "Use the number that your Registration Authority has for you. We use it to find your photo. We send nothing to it.",
			Error: n.error("mobile"), Value: value, Autocomplete: "tel", Width: 20, NoSpellcheck: true,
		}},
		Errors: errorLinks(n, map[string]string{"mobile": "mobile"}),
	})
}

func (s *server) faceNumber(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/face", err)
		return
	}
	if _, ok := s.at(w, r, StepMethod, StepCode, StepFace); !ok {
		return
	}
	typed := strings.TrimSpace(r.PostFormValue("mobile"))
	if p := numberProblem(typed); p != nil {
		s.wrongNumber(w, r, p, typed)
		return
	}
	if p := asProblem(s.engine.AskFace(r.Context(), typed)); p != nil {
		s.stopped(w, r, "/face", p)
		return
	}
	http.Redirect(w, r, "/face/instructions", http.StatusSeeOther)
}

func (s *server) wrongNumber(w http.ResponseWriter, r *http.Request, p *problem.Problem, typed string) {
	s.leadTo(w, r, "/face", note{problems: []fieldProblem{{Field: "mobile", Problem: p}}, typed: url.Values{"mobile": {typed}}})
}

// Digits of a telephone number in any form (ITU-T E.164 has 15 at most, to
// which people add prefixes such as 00).
const (
	fewestDigits = 7
	mostDigits   = 20
)

// numberProblem says what is wrong with a number that nobody could have. What
// is left is for the service to understand.
func numberProblem(typed string) *problem.Problem {
	if typed == "" {
		return problem.New(problem.MobileMissing)
	}
	digits := 0
	for _, c := range typed {
		if c >= '0' && c <= '9' {
			digits++
		} else if !strings.ContainsRune(" +-.()/\u00a0\u2011\u2013", c) {
			return problem.New(problem.MobileMalformed)
		}
	}
	if digits < fewestDigits || digits > mostDigits {
		return problem.New(problem.MobileMalformed)
	}
	return nil
}
