package journey_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

// faceService has the real service do everything but look at faces.
type faceService struct {
	*api.Client

	mu      sync.Mutex
	asked   []api.FaceRequest
	done    []api.FaceStepDone
	sent    []api.FaceFrames
	scan    api.FaceScan
	steps   []api.FaceStep
	start   error
	step    error
	finish  error
	session *api.Session // what Session answers; nil: asks the real service
}

func (f *faceService) StartFace(_ context.Context, _ api.Credentials, r api.FaceRequest) (api.FaceScan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
	return f.scan, f.start
}

func (f *faceService) FaceStep(_ context.Context, _ api.Credentials, r api.FaceStepDone) (api.FaceStep, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, r)
	if f.step != nil || r.Number == len(f.steps) {
		return api.FaceStep{}, f.step
	}
	return f.steps[r.Number], nil
}

func (f *faceService) SendFaces(_ context.Context, _ api.Credentials, r api.FaceFrames) (api.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	copied := api.FaceFrames{Scan: r.Scan}
	for _, frame := range r.Frames {
		frame.JPEG = bytes.Clone(frame.JPEG) // the engine wipes them
		copied.Frames = append(copied.Frames, frame)
	}
	f.sent = append(f.sent, copied)
	return api.Session{State: api.StateVerified, SecondsLeft: 600}, f.finish
}

func (f *faceService) Session(ctx context.Context, who api.Credentials) (api.Session, error) {
	f.mu.Lock()
	answer := f.session
	f.mu.Unlock()
	if answer != nil {
		return *answer, nil
	}
	return f.Client.Session(ctx, who)
}

// newFaceDesk is a desk whose person has given their number and agreed.
func newFaceDesk(t *testing.T) (*desk, *faceService) {
	t.Helper()
	d := newDesk(t, emulator.Options{})
	f := &faceService{Client: d.Client, steps: []api.FaceStep{
		{Number: 1, Turn: "left", Colour: "#d0d0d0", Milliseconds: 1500},
		{Number: 2, Colour: "#ff7070", Milliseconds: 500},
	}}
	f.scan = api.FaceScan{Scan: "scan-1", Steps: len(f.steps), Step: f.steps[0], SecondsLeft: 800}
	d.engine = journey.New(t.Context(), journey.Options{Readers: d.readers, Service: f, Pins: d.Pins, Application: "1.0.0"})
	for _, step := range []func() error{
		func() error { return d.engine.Start(t.Context(), api.PurposeLocked, reader) },
		func() error { return d.engine.AskFace(t.Context(), "07700 900123") },
		func() error { return d.engine.AgreeFace(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return d, f
}

// frames are n frames that differ.
func frames(n int, mark byte) (out []api.FaceFrame) {
	for i := range n {
		out = append(out, api.FaceFrame{Milliseconds: 100 * (i + 1), JPEG: bytes.Repeat([]byte{mark + byte(i)}, 100)})
	}
	return out
}

func mustBegin(t *testing.T, d *desk) journey.Scan {
	t.Helper()
	scan, err := d.engine.BeginFace(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return scan
}

// TestFace: each step is fixed before the next is known, all frames arrive as
// they were taken, the frames are wiped, and the person is verified.
func TestFace(t *testing.T) {
	d, f := newFaceDesk(t)
	scan := mustBegin(t, d)
	if scan.Steps != 2 || scan.Step.Turn != "left" || d.engine.View().Face.State != journey.FaceScanning {
		t.Fatalf("scan %+v in %+v", scan, d.engine.View())
	}
	if want := (api.FaceRequest{Address: "07700 900123", Consent: true}); f.asked[0] != want {
		t.Errorf("asked %+v", f.asked[0])
	}
	given := [][]api.FaceFrame{frames(3, 1), frames(2, 50)}
	var kept []api.FaceFrame
	for i, part := range given {
		for _, frame := range part {
			kept = append(kept, api.FaceFrame{Step: i + 1, Milliseconds: frame.Milliseconds, JPEG: bytes.Clone(frame.JPEG)})
		}
		digest := api.FramesDigest(part)
		next, err := d.engine.FaceStep(t.Context(), scan.ID, i+1, part)
		if err != nil || next.Number != (i+2)%3 {
			t.Fatalf("after step %d: %+v %v", i+1, next, err)
		}
		if done := f.done[i]; done.Scan != "scan-1" || done.Number != i+1 || !bytes.Equal(done.Digest, digest) {
			t.Errorf("step %d was fixed as %+v", i+1, done)
		}
	}
	if err := d.engine.FinishFace(t.Context(), scan.ID); err != nil {
		t.Fatal(err)
	}
	if v := d.engine.View(); v.Step != journey.StepPasscode || v.Face != (journey.Face{}) {
		t.Errorf("view %+v", v)
	}
	if len(f.sent) != 1 || len(f.sent[0].Frames) != len(kept) {
		t.Fatalf("sent %+v", f.sent)
	}
	for i, frame := range f.sent[0].Frames {
		if frame.Step != kept[i].Step || frame.Milliseconds != kept[i].Milliseconds || !bytes.Equal(frame.JPEG, kept[i].JPEG) {
			t.Errorf("frame %d arrived as %+v", i, frame)
		}
	}
	wiped(t, given...)
}

// wiped makes sure that no picture is left.
func wiped(t *testing.T, parts ...[]api.FaceFrame) {
	t.Helper()
	for _, part := range parts {
		for _, frame := range part {
			if len(bytes.Trim(frame.JPEG, "\x00")) > 0 {
				t.Fatal("a frame is still in memory")
			}
		}
	}
}

// TestFramesAreWiped however a scan ends.
func TestFramesAreWiped(t *testing.T) {
	for name, end := range map[string]func(d *desk, f *faceService) error{
		"stopped": func(d *desk, _ *faceService) error {
			return d.engine.StopFace(d.t.Context(), problem.New(problem.ScanHidden))
		},
		"another scan":   func(d *desk, _ *faceService) error { _, err := d.engine.BeginFace(d.t.Context()); return err },
		"another number": func(d *desk, _ *faceService) error { return d.engine.AskFace(d.t.Context(), "07700 900124") },
		"another method": func(d *desk, _ *faceService) error {
			return d.engine.SendCode(d.t.Context(), api.MethodEmail, "sam.jones@st-example.test")
		},
		"given up":  func(d *desk, _ *faceService) error { return d.engine.Abandon(d.t.Context()) },
		"new start": func(d *desk, _ *faceService) error { return d.engine.Start(d.t.Context(), api.PurposeLocked, reader) },
		"refused": func(d *desk, f *faceService) error {
			f.step = problem.New(problem.FaceTiming)
			_, err := d.engine.FaceStep(d.t.Context(), "scan-1", 2, frames(2, 9))
			wantCode(d.t, err, problem.FaceTiming)
			return nil
		},
		"session over": func(d *desk, f *faceService) error {
			f.step = problem.New(problem.SessionExpired)
			_, err := d.engine.FaceStep(d.t.Context(), "scan-1", 2, frames(2, 9))
			wantCode(d.t, err, problem.SessionExpired)
			if v := d.engine.View(); v.Step != journey.StepEnded {
				d.t.Errorf("view %+v", v)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, f := newFaceDesk(t)
			mustBegin(t, d)
			given := frames(3, 1)
			if _, err := d.engine.FaceStep(t.Context(), "scan-1", 1, given); err != nil {
				t.Fatal(err)
			}
			if err := end(d, f); err != nil {
				t.Fatal(err)
			}
			wiped(t, given)
			f.step = nil
			if _, err := d.engine.FaceStep(t.Context(), "scan-1", 2, frames(2, 9)); name != "another scan" && err == nil {
				t.Error("the scan went on")
			}
			if len(f.sent) > 0 {
				t.Error("frames were sent")
			}
		})
	}
}

// TestScanOutOfOrder: steps are taken in order, once, with frames, within
// bounds; and nothing begins without consent.
func TestScanOutOfOrder(t *testing.T) {
	big := []api.FaceFrame{{JPEG: make([]byte, api.MaxFrame+1)}}
	for name, test := range map[string]struct {
		do   func(d *desk) error
		code problem.Code
	}{
		"another scan": {func(d *desk) error { return step(d, "scan-2", 1, frames(1, 1)) }, problem.FaceScanOver},
		"skipped":      {func(d *desk) error { return step(d, "scan-1", 2, frames(1, 1)) }, problem.FaceScanOver},
		"zero":         {func(d *desk) error { return step(d, "scan-1", 0, frames(1, 1)) }, problem.FaceScanOver},
		"no frames":    {func(d *desk) error { return step(d, "scan-1", 1, nil) }, problem.CameraStopped},
		"too many":     {func(d *desk) error { return step(d, "scan-1", 1, frames(2*api.StepFrames+1, 1)) }, problem.RequestMalformed},
		"too large":    {func(d *desk) error { return step(d, "scan-1", 1, big) }, problem.RequestTooLarge},
		"twice": {func(d *desk) error {
			if err := step(d, "scan-1", 1, frames(1, 1)); err != nil {
				return err
			}
			return step(d, "scan-1", 1, frames(1, 1))
		}, problem.FaceScanOver},
		"finished early": {func(d *desk) error { return d.engine.FinishFace(d.t.Context(), "scan-1") }, problem.ScanStopped},
		"no consent": {func(d *desk) error {
			if err := d.engine.AskFace(d.t.Context(), "07700 900124"); err != nil {
				return err
			}
			_, err := d.engine.BeginFace(d.t.Context())
			return err
		}, problem.SessionState},
	} {
		t.Run(name, func(t *testing.T) {
			d, f := newFaceDesk(t)
			mustBegin(t, d)
			wantCode(t, test.do(d), test.code)
			if len(f.sent) > 0 {
				t.Error("frames were sent")
			}
		})
	}
}

func step(d *desk, scan string, number int, frames []api.FaceFrame) error {
	_, err := d.engine.FaceStep(d.t.Context(), scan, number, frames)
	return err
}

// TestUnsafeScan: what no page may show is not shown, whoever asks for it.
func TestUnsafeScan(t *testing.T) {
	for name, change := range map[string]func(s *api.FaceScan){
		"strobe":       func(s *api.FaceScan) { s.Step.Milliseconds = 100 },
		"endless":      func(s *api.FaceScan) { s.Step.Milliseconds = 60_000 },
		"no colour":    func(s *api.FaceScan) { s.Step.Colour = "red" },
		"style":        func(s *api.FaceScan) { s.Step.Colour = "#ff0000;background:url(x)" },
		"other turn":   func(s *api.FaceScan) { s.Step.Turn = "up" },
		"not first":    func(s *api.FaceScan) { s.Step.Number = 2 },
		"no steps":     func(s *api.FaceScan) { s.Steps = 0 },
		"many steps":   func(s *api.FaceScan) { s.Steps = 1000 },
		"no name":      func(s *api.FaceScan) { s.Scan = "" },
		"no time":      func(s *api.FaceScan) { s.SecondsLeft = 0 },
		"script":       func(s *api.FaceScan) { s.Page = "javascript:alert(1)" },
		"plain":        func(s *api.FaceScan) { s.Page = "http://faces.example.test/" },
		"file":         func(s *api.FaceScan) { s.Page = "file:///etc/passwd" },
		"user in page": func(s *api.FaceScan) { s.Page = "https://us@example.test/" },
	} {
		t.Run(name, func(t *testing.T) {
			d, f := newFaceDesk(t)
			change(&f.scan)
			_, err := d.engine.BeginFace(t.Context())
			wantCode(t, err, problem.ServiceAnswer)
			if v := d.engine.View(); v.Face.State != journey.FaceFailed {
				t.Errorf("view %+v", v)
			}
		})
	}
	d, f := newFaceDesk(t)
	mustBegin(t, d)
	f.steps[1].Milliseconds = 50 // later in the scan
	wantCode(t, step(d, "scan-1", 1, frames(1, 1)), problem.ServiceAnswer)
}

// TestFaceNotVerified: the person can try again, or another way.
func TestFaceNotVerified(t *testing.T) {
	d, f := newFaceDesk(t)
	for _, code := range []problem.Code{problem.FaceNotVerified, problem.FaceWait, problem.ServiceSlow, ""} {
		f.finish = nil
		if code != "" {
			f.finish = problem.New(code)
		}
		mustBegin(t, d)
		for n := 1; n <= 2; n++ {
			if err := step(d, "scan-1", n, frames(1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, d.engine.FinishFace(t.Context(), "scan-1"), code)
		if v := d.engine.View(); code != "" && (v.Step != journey.StepFace || v.Face.Problem == nil || v.Face.Problem.Code != code) {
			t.Errorf("%s: view %+v", code, v)
		}
	}
	if v := d.engine.View(); v.Step != journey.StepPasscode {
		t.Errorf("view %+v", v)
	}
}

// TestLostDecision: the service has verified the person but its answer got
// lost on the way.
func TestLostDecision(t *testing.T) {
	d, f := newFaceDesk(t)
	mustBegin(t, d)
	for n := 1; n <= 2; n++ {
		if err := step(d, "scan-1", n, frames(1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	f.finish, f.session = problem.New(problem.ServiceUnreachable), &api.Session{State: api.StateVerified, SecondsLeft: 500}
	if err := d.engine.FinishFace(t.Context(), "scan-1"); err != nil || d.engine.View().Step != journey.StepPasscode {
		t.Errorf("%v in %+v", err, d.engine.View())
	}
}

// TestOutsideProvider: its page does the scan, and no frames are sent.
func TestOutsideProvider(t *testing.T) {
	d, f := newFaceDesk(t)
	f.scan = api.FaceScan{Scan: "scan-1", Page: "https://faces.example.test/1", SecondsLeft: 300}
	if scan := mustBegin(t, d); scan.Page != f.scan.Page || d.engine.View().Face.State != journey.FaceElse {
		t.Fatalf("%+v in %+v", scan, d.engine.View())
	}
	wantCode(t, step(d, "scan-1", 1, frames(1, 1)), problem.FaceScanOver)
	if err := d.engine.FinishFace(t.Context(), "scan-1"); err != nil || d.engine.View().Step != journey.StepPasscode {
		t.Errorf("%v in %+v", err, d.engine.View())
	}
	if len(f.sent) != 1 || len(f.sent[0].Frames) != 0 {
		t.Errorf("sent %+v", f.sent)
	}
}

// TestForgottenScan: frames of a page that is gone do not stay.
func TestForgottenScan(t *testing.T) {
	d, f := newFaceDesk(t)
	f.scan.SecondsLeft = 1
	mustBegin(t, d)
	given := frames(3, 1)
	if err := step(d, "scan-1", 1, given); err != nil {
		t.Fatal(err)
	}
	v := d.await(func(v journey.View) bool { return v.Face.State == journey.FaceFailed })
	if v.Face.Problem.Code != problem.ScanStopped {
		t.Errorf("view %+v", v)
	}
	wiped(t, given)
	wantCode(t, step(d, "scan-1", 2, frames(1, 1)), problem.FaceScanOver)
}
