package app

import (
	"net/http"

	"latchkey/internal/ui"
)

// refreshSeconds is how often a browser without JavaScript looks again.
const refreshSeconds = 2

// workingBody is what working.html shows.
type workingBody struct {
	Waiting *statusBox
	Steps   []workStep
}

// workStep is one thing that has to be done.
type workStep struct {
	Text  string
	State string // "done", "now", "later"
	Words string // the state for those who cannot see it
}

func (s *server) workingPage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepWorking)
	if !ok {
		return
	}
	s.render(w, r, http.StatusOK, "working", ui.Page{
		Title: "Unlocking your smartcard", Live: "working", Refresh: refreshSeconds, Body: working(v),
	})
}

func working(v View) workingBody {
	var b workingBody
	if v.Waiting != nil {
		box := problemBox(v.Waiting)
		b.Waiting = &box
	}
	for i, text := range []string{"Getting permission from the service", "Setting your new passcode on the smartcard", "Checking that everything worked"} {
		step := workStep{Text: text, State: "later"}
		switch {
		case Progress(i) < v.Progress:
			step.State, step.Words = "done", ", done"
		case Progress(i) == v.Progress:
			step.State, step.Words = "now", ", being done now"
		}
		b.Steps = append(b.Steps, step)
	}
	return b
}
