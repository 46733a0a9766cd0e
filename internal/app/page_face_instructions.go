package app

import (
	"net/http"

	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// faceInstructionsBody is what face_instructions.html shows.
type faceInstructionsBody struct {
	Consent ui.Checkboxes
}

func (s *server) faceInstructionsPage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepFace)
	if !ok {
		return
	}
	n := s.memory.of(r)
	s.render(w, r, http.StatusOK, "face_instructions", ui.Page{
		Title: "Before you scan your face", Back: "/face", Timer: s.timer(v),
		Body: faceInstructionsBody{Consent: ui.Checkboxes{
			Legend: ui.Label{Text: "Do you agree to the scan?", Size: "m"}, IDPrefix: "consent", Name: "consent", Error: n.error("consent"),
			Items: []ui.CheckboxItem{{Value: "yes", Text: "I agree that my face is scanned and compared with my photo"}},
		}},
		Errors: errorLinks(n, map[string]string{"consent": "consent"}),
	})
}

func (s *server) faceInstructions(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/face/instructions", err)
		return
	}
	if _, ok := s.at(w, r, StepFace); !ok {
		return
	}
	if r.PostFormValue("consent") != "yes" {
		s.leadTo(w, r, "/face/instructions", note{problems: []fieldProblem{{Field: "consent", Problem: problem.New(problem.FaceConsent)}}})
		return
	}
	if p := asProblem(s.engine.AgreeFace(r.Context())); p != nil {
		s.stopped(w, r, "/face/instructions", p)
		return
	}
	http.Redirect(w, r, "/face/scan", http.StatusSeeOther)
}
