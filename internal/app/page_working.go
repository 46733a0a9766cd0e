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
	Say     string // what is read aloud as the work goes on
}

// workStep is one thing that has to be done.
type workStep struct {
	Text  string
	State string // "done", "now", "waiting", "later"
	Words string // the state for those who cannot see it
}

func (s *server) workingPage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepWorking)
	if !ok {
		return
	}
	s.render(w, r, http.StatusOK, "working", ui.Page{
		Title: "Unlocking your smartcard", Live: "working", Refresh: refreshSeconds, Timer: s.timer(v), Body: working(v),
	})
}

func working(v View) workingBody {
	var b workingBody
	if v.Waiting != nil {
		box := problemBox(v.Waiting)
		b.Waiting = &box
	}
	for i, text := range []string{"Getting permission to unlock your smartcard", "Setting your new passcode on your smartcard", "Checking that everything worked"} {
		step := workStep{Text: text, State: "later"}
		switch {
		case Progress(i) < v.Progress:
			step.State, step.Words = "done", ", done"
		case Progress(i) == v.Progress && v.Waiting != nil:
			step.State, step.Words = "waiting", ", waiting"
		case Progress(i) == v.Progress:
			step.State, step.Words, b.Say = "now", ", being done now", text
		}
		b.Steps = append(b.Steps, step)
	}
	return b
}
