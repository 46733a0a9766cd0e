package app

import (
	"net/http"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// problemBody is what problem.html shows: every problem page has its code,
// what happened, what to do next, and how to reach the Registration Authority.
type problemBody struct {
	Code             problem.Code
	What, Next, More string
	Buttons          []ui.Button
	StartAgain       *ui.Button
	Contact          *api.Contact
	Check            bool // whether testing the computer can help
}

// problemPage shows what stopped a step or, where none is named, what ended
// the session.
func (s *server) problemPage(w http.ResponseWriter, r *http.Request) {
	v := s.view()
	n := s.memory.of(r)
	switch {
	case len(n.problems) > 0:
		s.showProblem(w, r, http.StatusOK, n.problems[0].Problem, n.back)
	case v.Step == StepEnded && v.Problem != nil:
		s.showProblem(w, r, http.StatusOK, v.Problem, "")
	default:
		http.Redirect(w, r, path(v.Step), http.StatusSeeOther)
	}
}

// fail shows a problem as the answer to the request itself: at the gate, where
// no other page can be reached.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	s.log.WarnContext(r.Context(), "request refused", "code", p.Code, "method", r.Method, "err", p.Cause)
	page := ui.Page{Title: p.Title, Body: problemBody{Code: p.Code, What: p.What(), Next: p.Next}}
	s.render(w, r, p.Status, "refused", page)
}

func (s *server) noSuchPage(w http.ResponseWriter, r *http.Request) {
	s.showProblem(w, r, http.StatusNotFound, problem.New(problem.NoSuchPage), "")
}

func (s *server) showProblem(w http.ResponseWriter, r *http.Request, status int, p *problem.Problem, back string) {
	v := s.view()
	body := problemBody{Code: p.Code, What: p.What(), Next: p.Next, Contact: s.contact(), Check: testable(p)}
	if p.RetryAfter != nil && *p.RetryAfter > 0 {
		body.More = "You can try again in " + ui.Duration(seconds(*p.RetryAfter)) + "."
	}
	running := v.Step != StepNone && v.Step != StepEnded && v.Step != StepDone
	switch {
	case back != "" && (running || back == "/" || back == "/forgotten" || back == "/change"):
		body.Buttons = append(body.Buttons, ui.Button{Text: "Try again", Href: back})
	case running:
		body.Buttons = append(body.Buttons, ui.Button{Text: "Carry on", Href: path(v.Step)})
	}
	switch {
	case running || v.Step == StepEnded:
		body.StartAgain = &ui.Button{Text: "Start again"}
		if len(body.Buttons) > 0 {
			body.StartAgain.Variant = "secondary"
		}
	case len(body.Buttons) == 0:
		body.Buttons = []ui.Button{{Text: "Go to the start", Href: "/"}}
	}
	s.render(w, r, status, "problem", ui.Page{Title: p.Title, Body: body, Timer: s.timer(v)})
}

// testable says whether testing this computer can say more about a problem:
// those of the reader, the card and the way to the service.
func testable(p *problem.Problem) bool {
	return len(p.Code) > 3 && (p.Code[3] == '1' || p.Code[3] == '6')
}
