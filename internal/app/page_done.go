package app

import (
	"net/http"

	"latchkey/internal/api"
	"latchkey/internal/ui"
)

// doneBody is what done.html shows.
type doneBody struct {
	Text string
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
	}})
}
