package app

import (
	"context"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

// fakeScan is a scan of three steps, and what came of it.
type fakeScan struct {
	steps  []api.FaceStep
	page   string // an outside provider's
	frames map[int][]api.FaceFrame
	why    *problem.Problem                           // what the page stopped the scan with
	decide func(frames map[int][]api.FaceFrame) error // nil verifies
}

func threeSteps() []api.FaceStep {
	return []api.FaceStep{
		{Number: 1, Colour: "#f06060", Milliseconds: 500},
		{Number: 2, Colour: "#e8eef0", Turn: "left", Milliseconds: 900},
		{Number: 3, Colour: "#60f060", Milliseconds: 500},
	}
}

func (f *fakeEngine) AskFace(_ context.Context, number string) error {
	if err := f.called("ask"); err != nil {
		return err
	}
	f.set(func(v *View) { v.Step, v.Method, v.Address, v.Face = StepFace, api.MethodFace, number, journey.Face{} })
	return nil
}

func (f *fakeEngine) AgreeFace(context.Context) error {
	if err := f.called("agree"); err != nil {
		return err
	}
	f.set(func(v *View) { v.Face = journey.Face{State: journey.FaceReady} })
	return nil
}

func (f *fakeEngine) failed(err error) error {
	f.set(func(v *View) { v.Face = journey.Face{State: journey.FaceFailed, Problem: problem.From(err)} })
	return err
}

func (f *fakeEngine) BeginFace(context.Context) (journey.Scan, error) {
	if err := f.called("begin"); err != nil {
		return journey.Scan{}, f.failed(err)
	}
	f.set(func(v *View) {
		v.Face = journey.Face{State: journey.FaceScanning, Scan: "scan-1"}
		f.scan.frames = map[int][]api.FaceFrame{}
		if f.scan.page != "" {
			v.Face.State, v.Face.Page = journey.FaceElse, f.scan.page
		}
	})
	if f.scan.page != "" {
		return journey.Scan{ID: "scan-1", Page: f.scan.page}, nil
	}
	return journey.Scan{ID: "scan-1", Steps: len(f.scan.steps), Step: f.scan.steps[0]}, nil
}

func (f *fakeEngine) FaceStep(_ context.Context, _ string, number int, frames []api.FaceFrame) (api.FaceStep, error) {
	if err := f.called("step"); err != nil {
		return api.FaceStep{}, f.failed(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scan.frames[number] = frames
	if number == len(f.scan.steps) {
		return api.FaceStep{}, nil
	}
	return f.scan.steps[number], nil
}

func (f *fakeEngine) FinishFace(context.Context, string) error {
	err := f.called("finish")
	if err == nil && f.scan.decide != nil {
		err = f.scan.decide(f.scan.frames)
	}
	if err != nil {
		return f.failed(err)
	}
	f.set(func(v *View) { v.Step, v.Face = StepPasscode, journey.Face{} })
	return nil
}

func (f *fakeEngine) StopFace(_ context.Context, why *problem.Problem) error {
	_ = f.called("stop") // it cannot fail
	f.set(func(v *View) {
		f.scan.why = why
		v.Face = journey.Face{State: journey.FaceFailed, Problem: why}
	})
	return nil
}
