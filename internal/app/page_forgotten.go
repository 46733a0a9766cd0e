package app

import (
	"net/http"

	"latchkey/internal/api"
	"latchkey/internal/ui"
)

// forgottenPage is for people who have forgotten a passcode, whether the card
// is locked or not.
func (s *server) forgottenPage(w http.ResponseWriter, r *http.Request) {
	n := s.memory.of(r)
	s.render(w, r, http.StatusOK, "forgotten", ui.Page{
		Title: "I have forgotten my passcode", Back: "/", Live: "forgotten",
		Body:   startBody{Status: s.status(r, api.PurposeForgotten).with(n)},
		Errors: errorLinks(n, map[string]string{"reader": "reader"}),
	})
}
