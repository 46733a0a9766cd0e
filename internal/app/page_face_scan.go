package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// maxFrames is the largest body in bytes of the frames of one step.
const maxFrames = 2*api.StepFrames*(api.MaxFrame+1<<10) + 4<<10

// cameraPolicy lets a page use the camera (W3C Permissions Policy). No other
// page may.
const cameraPolicy = "camera=(self), microphone=(), geolocation=(), payment=(), usb=()"

// faceScanBody is what face_scan.html shows.
type faceScanBody struct {
	Faults     []cameraFault
	StepFrames int // most frames of a colour step
	MaxFrame   int // largest frame in bytes
}

// cameraFault is what the page's script shows when the camera does not work:
// only the browser knows.
type cameraFault struct {
	Code              problem.Code
	Title, What, Next string
}

// cameraFaults are all of them, for the script to choose from.
func cameraFaults() (out []cameraFault) {
	for _, code := range []problem.Code{problem.CameraMissing, problem.CameraRefused, problem.CameraBusy, problem.CameraCannot,
		problem.CameraStopped, problem.CameraDark, problem.ScanHidden, problem.ScanStopped} {
		p := problem.New(code)
		out = append(out, cameraFault{Code: code, Title: p.Title, What: p.What(), Next: p.Next})
	}
	return out
}

// agreed lets a page through where the person has agreed to the scan.
func (s *server) agreed(w http.ResponseWriter, r *http.Request) (View, bool) {
	v, ok := s.at(w, r, StepFace)
	if ok && v.Face.State == journey.FaceAsked {
		http.Redirect(w, r, "/face/instructions", http.StatusSeeOther)
		return v, false
	}
	return v, ok
}

func (s *server) faceScanPage(w http.ResponseWriter, r *http.Request) {
	v, ok := s.agreed(w, r)
	if !ok {
		return
	}
	w.Header().Set("Permissions-Policy", cameraPolicy)
	s.render(w, r, http.StatusOK, "face_scan", ui.Page{
		Title: "Scan your face", Back: "/face/instructions", Timer: s.timer(v), Script: "camera/scan.js",
		Body: faceScanBody{Faults: cameraFaults(), StepFrames: api.StepFrames, MaxFrame: api.MaxFrame},
	})
}

// scanAnswer is what the page's script gets: the next step, or the page to go
// on to.
type scanAnswer struct {
	Go    string        `json:"go,omitempty"`
	Scan  string        `json:"scan,omitempty"`
	Steps int           `json:"steps,omitempty"`
	Step  *api.FaceStep `json:"step,omitempty"`
}

func (s *server) answer(w http.ResponseWriter, a scanAnswer) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a) // the page may be gone
}

// answerProblem sends the page's script to where the problem is shown.
func (s *server) answerProblem(w http.ResponseWriter, err error) {
	p := problem.From(err)
	v := s.view()
	switch {
	case p.Code == problem.MobileMissing || p.Code == problem.MobileMalformed:
		n := note{problems: []fieldProblem{{Field: "mobile", Problem: p}}}
		s.answer(w, scanAnswer{Go: "/face?" + noteParameter + "=" + s.memory.keep(n)})
	case v.Step == StepFace && v.Face.State == journey.FaceFailed:
		s.answer(w, scanAnswer{Go: "/face/failed"})
	case v.Step == StepFace:
		id := s.memory.keep(note{problems: []fieldProblem{{Problem: p}}, back: "/face/scan"})
		s.answer(w, scanAnswer{Go: "/problem?" + noteParameter + "=" + id})
	default:
		s.answer(w, scanAnswer{Go: path(v.Step)})
	}
}

// faceBegin begins a scan. A page that goes away meanwhile must not leave the
// service and us of two minds: the call goes on.
func (s *server) faceBegin(w http.ResponseWriter, r *http.Request) {
	scan, err := s.engine.BeginFace(context.WithoutCancel(r.Context()))
	switch {
	case err != nil:
		s.answerProblem(w, err)
	case scan.Page != "":
		s.answer(w, scanAnswer{Go: "/face/elsewhere"})
	default:
		s.answer(w, scanAnswer{Scan: scan.ID, Steps: scan.Steps, Step: &scan.Step})
	}
}

// faceStep takes the frames of a step and answers with the next step.
func (s *server) faceStep(w http.ResponseWriter, r *http.Request) {
	frames, err := readFrames(r)
	if err != nil {
		_ = s.engine.StopFace(r.Context(), problem.From(err)) // View tells it
		s.answerProblem(w, err)
		return
	}
	number, _ := strconv.Atoi(r.URL.Query().Get("step")) // 0 is no step
	next, err := s.engine.FaceStep(context.WithoutCancel(r.Context()), r.URL.Query().Get("scan"), number, frames)
	if err != nil {
		s.answerProblem(w, err)
		return
	}
	s.answer(w, scanAnswer{Step: &next})
}

// readFrames reads the frames of one step: a multipart form whose parts are
// called by their milliseconds. They are read into memory part by part, and
// never into a file.
func readFrames(r *http.Request) ([]api.FaceFrame, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, problem.Wrap(problem.RequestMalformed, fmt.Errorf("read frames: %w", err))
	}
	var frames []api.FaceFrame
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return nil, badFrames(err)
		}
		frame, err := readFrame(part)
		if err != nil {
			return nil, err
		}
		if len(frames) == 2*api.StepFrames {
			return nil, problem.New(problem.PageTooLarge)
		}
		frames = append(frames, frame)
	}
}

func readFrame(part *multipart.Part) (api.FaceFrame, error) {
	at, err := strconv.Atoi(part.FormName())
	if err != nil || at < 0 || at > maxFrameTime {
		return api.FaceFrame{}, problem.New(problem.RequestMalformed)
	}
	picture, err := io.ReadAll(io.LimitReader(part, api.MaxFrame+1))
	switch {
	case err != nil:
		return api.FaceFrame{}, badFrames(err)
	case len(picture) > api.MaxFrame:
		return api.FaceFrame{}, problem.New(problem.PageTooLarge)
	case len(picture) < 3 || picture[0] != 0xff || picture[1] != 0xd8 || picture[2] != 0xff:
		return api.FaceFrame{}, problem.Wrap(problem.RequestMalformed, errors.New("a frame is not a JPEG"))
	}
	return api.FaceFrame{Milliseconds: at, JPEG: picture}, nil
}

// maxFrameTime is the latest time of a frame in its step, in milliseconds.
const maxFrameTime = 60_000

func badFrames(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return problem.New(problem.PageTooLarge)
	}
	return problem.Wrap(problem.RequestMalformed, fmt.Errorf("read frames: %w", err))
}

// faceFinish has the scan decided.
func (s *server) faceFinish(w http.ResponseWriter, r *http.Request) {
	if err := s.engine.FinishFace(context.WithoutCancel(r.Context()), r.URL.Query().Get("scan")); err != nil {
		s.answerProblem(w, err)
		return
	}
	s.answer(w, scanAnswer{Go: facePassed})
}

// facePassed is where a person goes on who was verified by their face.
const facePassed = "/passcode?" + becauseParameter + "=face"

// faceStop notes that the page has stopped the scan and why: one of the
// camera's codes.
func (s *server) faceStop(w http.ResponseWriter, r *http.Request) {
	why := problem.New(problem.ScanStopped)
	for _, f := range cameraFaults() {
		if string(f.Code) == r.URL.Query().Get("code") {
			why = problem.New(f.Code)
		}
	}
	if err := s.engine.StopFace(r.Context(), why); err != nil {
		s.answerProblem(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
