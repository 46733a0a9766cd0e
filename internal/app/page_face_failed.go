package app

import (
	"net/http"
	"strings"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// faceFailedBody is what face_failed.html shows.
type faceFailedBody struct {
	Code             problem.Code
	What, Next, More string
	CanTry           bool // another scan can be tried
	Number           bool // the mobile number may be wrong
	Tips             bool // what helps in general
	Contact          *api.Contact
}

// anotherScan says whether another scan can come to something.
func anotherScan(p *problem.Problem) bool {
	switch p.Code {
	case problem.MethodUnavailable, problem.FaceHeld, problem.FaceScanLimit:
		return false
	}
	return !final(p)
}

// faceFailedPage says why a scan did not verify the person, with what helps.
func (s *server) faceFailedPage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.at(w, r, StepFace)
	if !ok {
		return
	}
	p := v.Face.Problem
	if v.Face.State != journey.FaceFailed || p == nil {
		http.Redirect(w, r, "/face/instructions", http.StatusSeeOther)
		return
	}
	body := faceFailedBody{Code: p.Code, What: p.What(), Next: p.Next, CanTry: anotherScan(p), Number: p.Code == problem.FaceNotVerified, Contact: s.contact()}
	body.Tips = body.CanTry && strings.HasPrefix(string(p.Code), "LK-31") && p.RetryAfter == nil
	if p.RetryAfter != nil && *p.RetryAfter > 0 {
		body.More = "You can try again in " + ui.Duration(seconds(*p.RetryAfter)) + ", or use another way now."
	}
	s.render(w, r, http.StatusOK, "face_failed", ui.Page{Title: p.Title, Back: "/method", Timer: s.timer(v), Body: body})
}
