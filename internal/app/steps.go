package app

import (
	"net/http"

	"latchkey/internal/problem"
)

// path is the page of a step.
func path(s Step) string {
	switch s {
	case StepMethod:
		return "/method"
	case StepCode:
		return "/code"
	case StepFace:
		return "/face/instructions"
	case StepPasscode:
		return "/passcode"
	case StepWorking:
		return "/working"
	case StepDone:
		return "/done"
	case StepEnded:
		return "/problem"
	}
	return "/"
}

// becauseParameter says on the address why the person is on another page than
// they asked for.
const becauseParameter = "because"

// because are the explanations of redirects.
func because(r *http.Request) string {
	switch r.URL.Query().Get(becauseParameter) {
	case "none":
		return "That page is part of unlocking a smartcard. Start here."
	case string(StepMethod):
		return "Ask for a security code first."
	case string(StepFace):
		return "Your face matches the photo. Now choose your new passcode."
	case string(StepPasscode):
		return "You have proved who you are already. Choose your new passcode."
	}
	return ""
}

// at lets a page of the journey through where the journey stands at one of
// the steps; else it leads to the page of the step, with an explanation.
func (s *server) at(w http.ResponseWriter, r *http.Request, steps ...Step) (View, bool) {
	v := s.view()
	for _, step := range steps {
		if v.Step == step {
			return v, true
		}
	}
	to := path(v.Step)
	switch v.Step {
	case StepNone:
		to += "?" + becauseParameter + "=none"
	case StepMethod, StepPasscode:
		to += "?" + becauseParameter + "=" + string(v.Step)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return View{}, false
}

// running says whether a session is under way.
func running(v View) bool {
	return v.Step != StepNone && v.Step != StepDone && v.Step != StepEnded
}

// view is where the journey stands. A session whose time has run out while
// nobody asked the service has ended all the same; work that has begun goes on.
func (s *server) view() View {
	v := s.engine.View()
	waiting := v.Step == StepMethod || v.Step == StepCode || v.Step == StepFace || v.Step == StepPasscode
	if waiting && !v.Ends.IsZero() && !v.Ends.After(s.now()) {
		v.Step, v.Problem = StepEnded, problem.New(problem.SessionExpired)
	}
	return v
}
