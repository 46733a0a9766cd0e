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
	page := ui.Page{Title: p.Title, Live: ui.LiveOff, Body: problemBody{Code: p.Code, What: p.What(), Next: p.Next}}
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
	body.Buttons, body.StartAgain = ways(p, v, back)
	s.render(w, r, status, "problem", ui.Page{Title: p.Title, Body: body, Timer: s.timer(v)})
}

// ways are what the person can do on a problem page: the best first, and
// never none.
func ways(p *problem.Problem, v View, back string) (buttons []ui.Button, again *ui.Button) {
	open := running(v) || v.Step == StepEnded
	if final(p) {
		// Trying again would only bring the same page. The way out is there, but
		// it is not what to do next.
		if open {
			return nil, &ui.Button{Text: "Go to the start", Variant: "secondary"}
		}
		return []ui.Button{{Text: "Go to the start", Href: "/", Variant: "secondary"}}, nil
	}
	switch {
	case p.Code == problem.CardLocked:
		buttons = append(buttons, ui.Button{Text: "Unlock your smartcard", Href: "/"})
	case p.Code == problem.CardNotLocked:
		buttons = append(buttons, ui.Button{Text: "I have forgotten my passcode", Href: "/forgotten"})
	case p.Code == problem.SendLimit && v.Step == StepCode:
		buttons = append(buttons, ui.Button{Text: "Enter the code you have", Href: "/code"})
	case back != "" && (running(v) || back == "/" || back == "/forgotten" || back == "/change"):
		buttons = append(buttons, ui.Button{Text: "Try again", Href: back})
	case running(v):
		buttons = append(buttons, ui.Button{Text: "Carry on", Href: path(v.Step)})
	}
	switch {
	case open:
		again = &ui.Button{Text: "Start again"}
		if len(buttons) > 0 {
			again.Variant = "secondary"
		}
	case len(buttons) == 0:
		buttons = []ui.Button{{Text: "Go to the start", Href: "/"}}
	}
	return buttons, again
}

// final says that only other people can help: the Registration Authority or
// the IT help desk.
func final(p *problem.Problem) bool {
	switch p.Code {
	case problem.CardCannot, problem.PUKBlocked, problem.PUKDisabled, problem.PUKWrong, problem.PUKLastTry, problem.CertExpired,
		problem.DayLimit, problem.CardNotServed, problem.CardSuspended, problem.CardRevoked, problem.HolderSuspended, problem.CardExpired, problem.CertRevoked, problem.CertUntrusted,
		problem.CardNotKnown, problem.HolderNoContact, problem.CardNoKey, problem.OldApplication, problem.NewerService, problem.HolderFailures,
		problem.ServiceUnset, problem.ServiceCertificate, problem.ServicePin, problem.ServicePlain:
		return true
	}
	return false
}

// testable says whether testing this computer can say more about a problem:
// those of the reader, the card and the way to the service.
func testable(p *problem.Problem) bool {
	return len(p.Code) > 3 && (p.Code[3] == '1' || p.Code[3] == '6')
}
