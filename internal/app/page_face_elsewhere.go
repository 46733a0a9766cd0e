package app

import (
	"context"
	"net/http"

	"latchkey/internal/journey"
	"latchkey/internal/ui"
)

// faceElsewhereBody is what face_elsewhere.html shows.
type faceElsewhereBody struct {
	Page string // the outside provider's
}

// faceElsewherePage leads to the page of an outside provider that does the scan.
func (s *server) faceElsewherePage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepFace)
	if !ok {
		return
	}
	if v.Face.State != journey.FaceElse {
		http.Redirect(w, r, "/face/scan", http.StatusSeeOther)
		return
	}
	s.render(w, r, http.StatusOK, "face_elsewhere", ui.Page{
		Title: "Scan your face in another window", Back: "/face/instructions", Timer: s.timer(v), Body: faceElsewhereBody{Page: v.Face.Page},
	})
}

// faceContinue asks what came of the scan at the provider.
func (s *server) faceContinue(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepFace)
	if !ok {
		return
	}
	err := s.engine.FinishFace(context.WithoutCancel(r.Context()), v.Face.Scan)
	switch now := s.view(); {
	case err == nil:
		http.Redirect(w, r, facePassed, http.StatusSeeOther)
	case now.Step == StepFace && now.Face.State == journey.FaceFailed:
		http.Redirect(w, r, "/face/failed", http.StatusSeeOther)
	default:
		s.stopped(w, r, "/face/scan", err)
	}
}
