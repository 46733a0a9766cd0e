package app

import (
	"net/http"

	"latchkey/internal/api"
	"latchkey/internal/ui"
)

// doneBody is what done.html shows.
type doneBody struct {
	Text string
	Next []string
}

func (s *server) donePage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepDone)
	if !ok {
		return
	}
	title := "Your smartcard is unlocked"
	if v.Purpose == api.PurposeForgotten {
		title = "Your passcode has been changed"
	}
	s.render(w, r, http.StatusOK, "done", ui.Page{Title: title, Body: doneBody{
		Text: "You can now log in with your new passcode",
		Next: []string{
			"We have checked the new passcode on your smartcard. It works.",
			"Use it the next time you are asked for your passcode.",
			"Tell nobody your passcode. Nobody at the Registration Authority or the IT help desk will ask for it.",
		},
	}})
}
