package journey

import (
	"context"
	"net"
	"net/url"
	"regexp"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
)

// FaceState is where face verification stands while the step is StepFace.
type FaceState string

// The states of face verification.
const (
	FaceAsked    FaceState = ""          // a mobile number was given; no consent yet
	FaceReady    FaceState = "ready"     // consent was given; a scan can begin
	FaceScanning FaceState = "scanning"  // the page shows the steps of a scan
	FaceChecking FaceState = "checking"  // the frames are with the service
	FaceElse     FaceState = "elsewhere" // an outside provider's page does the scan
	FaceFailed   FaceState = "failed"    // see Face.Problem
)

// Face is where face verification stands.
type Face struct {
	State FaceState
	// Scan names the scan under way; Page is the outside provider's page while
	// State is FaceElse.
	Scan, Page string
	// Problem is why the last scan did not verify the person.
	Problem *problem.Problem
}

// Scan is a scan that has begun.
type Scan struct {
	ID    string
	Steps int          // how many there are; 0 with Page
	Step  api.FaceStep // the first one
	Page  string       // an outside provider's page that does the scan; "" for our own
}

// scan is a scan under way. Its frames are in memory until the service has
// them, the scan ends in another way, or its time is over.
type scan struct {
	id      string
	steps   int
	step    api.FaceStep // the one that is shown
	outside bool
	frames  []api.FaceFrame
	size    int // of the frames in bytes, as they travel
	expiry  *time.Timer
}

// drop forgets the frames at once: they are pictures of a person.
func (s *scan) drop() {
	s.expiry.Stop()
	for _, f := range s.frames {
		clear(f.JPEG)
	}
	s.frames, s.size = nil, 0
}

// frameOverhead is what a frame takes beside its picture in a call: names,
// numbers and brackets.
const frameOverhead = 128

// Bounds of what a service may ask a screen to do. minColour keeps a colour
// that changes there and back at one flash a second or less (WCAG 2.3.1 allows
// three).
const (
	minColour = 500 * time.Millisecond
	maxStep   = 10 * time.Second
	maxSteps  = 30
	// scanLife is how long frames are kept at most, should the page be gone.
	scanLife = 2 * time.Minute
)

// AskFace notes the mobile number that face verification is asked for with.
// The service hears of it when a scan begins.
func (e *Engine) AskFace(_ context.Context, number string) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	s := e.current()
	if s == nil || !e.choosing() {
		return problem.New(problem.SessionState)
	}
	e.dropScan(s)
	e.set(func(v *View) { v.Step, v.Method, v.Address, v.Face = StepFace, api.MethodFace, number, Face{} })
	return nil
}

// AgreeFace notes that the person has agreed to the scan (UK GDPR article 9).
// It holds for this session and number.
func (e *Engine) AgreeFace(_ context.Context) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	if s := e.current(); s == nil || e.View().Step != StepFace {
		return problem.New(problem.SessionState)
	}
	e.set(func(v *View) {
		if v.Face.State == FaceAsked {
			v.Face.State = FaceReady
		}
	})
	return nil
}

// BeginFace begins a scan. One that is under way is given up.
func (e *Engine) BeginFace(ctx context.Context) (Scan, error) {
	e.doing.Lock()
	defer e.doing.Unlock()
	s, v := e.current(), e.View()
	if s == nil || v.Step != StepFace || v.Face.State == FaceAsked {
		return Scan{}, problem.New(problem.SessionState)
	}
	e.dropScan(s)
	started, err := e.o.Service.StartFace(ctx, s.who, api.FaceRequest{Address: v.Address, Consent: true})
	if err != nil {
		return Scan{}, e.faceFailed(s, err)
	}
	if !plausible(started) {
		return Scan{}, e.faceFailed(s, problem.New(problem.ServiceAnswer))
	}
	began := &scan{id: started.Scan, steps: started.Steps, step: started.Step, outside: started.Page != ""}
	life := time.Duration(started.SecondsLeft) * time.Second
	if !began.outside {
		life = min(life, scanLife)
	}
	began.expiry = time.AfterFunc(life, func() { e.scanExpired(began) })
	s.scan = began
	e.set(func(v *View) {
		v.Face = Face{State: FaceScanning, Scan: began.id}
		if began.outside {
			v.Face = Face{State: FaceElse, Scan: began.id, Page: started.Page}
		}
	})
	return Scan{ID: began.id, Steps: began.steps, Step: began.step, Page: started.Page}, nil
}

// FaceStep fixes the frames of a step at the service and gives the next step.
// Number 0 says that there is none: FinishFace follows. The frames are kept;
// the caller must not use them again.
func (e *Engine) FaceStep(ctx context.Context, id string, number int, frames []api.FaceFrame) (api.FaceStep, error) {
	e.doing.Lock()
	defer e.doing.Unlock()
	s, c, err := e.scanOf(id)
	if err != nil {
		return api.FaceStep{}, err
	}
	if c.outside || number == 0 || number != c.step.Number {
		return api.FaceStep{}, problem.New(problem.FaceScanOver)
	}
	most := api.StepFrames
	if c.step.Turn != "" {
		most *= 2
	}
	if len(frames) == 0 {
		return api.FaceStep{}, e.faceFailed(s, problem.New(problem.CameraStopped))
	}
	if len(frames) > most {
		return api.FaceStep{}, e.faceFailed(s, problem.New(problem.RequestMalformed))
	}
	size := c.size
	for i := range frames {
		frames[i].Step = number
		size += (len(frames[i].JPEG)+2)/3*4 + frameOverhead
		if len(frames[i].JPEG) > api.MaxFrame || size > api.MaxFaceBody {
			return api.FaceStep{}, e.faceFailed(s, problem.New(problem.RequestTooLarge))
		}
	}
	next, err := e.o.Service.FaceStep(ctx, s.who, api.FaceStepDone{Scan: id, Number: number, Digest: api.FramesDigest(frames)})
	if err == nil && next.Number != 0 && (next.Number != number+1 || next.Number > c.steps || !showable(next)) {
		err = problem.New(problem.ServiceAnswer)
	}
	if err != nil {
		return api.FaceStep{}, e.faceFailed(s, err)
	}
	c.frames, c.size, c.step = append(c.frames, frames...), size, next
	return next, nil
}

// FinishFace has a scan decided: on success the person is verified and View
// says StepPasscode. The frames are gone afterwards in any case.
func (e *Engine) FinishFace(ctx context.Context, id string) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	s, c, err := e.scanOf(id)
	if err != nil {
		return err
	}
	if !c.outside && c.step.Number != 0 {
		return e.faceFailed(s, problem.New(problem.ScanStopped))
	}
	if !c.outside {
		e.set(func(v *View) { v.Face.State = FaceChecking })
	}
	checked, err := e.o.Service.SendFaces(ctx, s.who, api.FaceFrames{Scan: id, Frames: c.frames})
	if err != nil {
		if checked, err = e.asked(ctx, s, err); err != nil {
			return e.faceFailed(s, err)
		}
	}
	e.dropScan(s)
	e.set(func(v *View) {
		v.Step, v.Face, v.TriesLeft, v.Ends = StepPasscode, Face{}, nil, e.ends(checked.SecondsLeft)
	})
	return nil
}

// StopFace gives a scan up and says why: a problem of the camera, or that the
// window was hidden. Without a scan it notes the problem alone; nil notes none.
func (e *Engine) StopFace(_ context.Context, why *problem.Problem) error {
	e.doing.Lock()
	defer e.doing.Unlock()
	s, v := e.current(), e.View()
	if s == nil || v.Step != StepFace || v.Face.State == FaceAsked {
		return nil
	}
	e.dropScan(s)
	e.set(func(v *View) {
		v.Face = Face{State: FaceReady}
		if why != nil {
			v.Face = Face{State: FaceFailed, Problem: why}
		}
	})
	return nil
}

// choosing says whether a way to prove who you are can be chosen now.
func (e *Engine) choosing() bool {
	switch e.View().Step {
	case StepMethod, StepCode, StepFace:
		return true
	}
	return false
}

// scanOf finds the scan under way; FaceScanOver where it is another one or none.
func (e *Engine) scanOf(id string) (*session, *scan, error) {
	s := e.current()
	if s == nil {
		return nil, nil, problem.New(problem.SessionState)
	}
	if s.scan == nil || s.scan.id != id {
		return nil, nil, problem.New(problem.FaceScanOver)
	}
	return s, s.scan, nil
}

// dropScan forgets the scan under way. The caller holds doing.
func (e *Engine) dropScan(s *session) {
	if s.scan != nil {
		s.scan.drop()
		s.scan = nil
	}
}

// scanExpired forgets a scan whose time is over. Nobody may have asked since.
func (e *Engine) scanExpired(c *scan) {
	e.doing.Lock()
	defer e.doing.Unlock()
	if s := e.current(); s != nil && s.scan == c {
		_ = e.faceFailed(s, problem.New(problem.ScanStopped)) // View tells it
		return
	}
	c.drop()
}

// faceFailed ends the scan and notes why, and what that says of the session.
func (e *Engine) faceFailed(s *session, err error) error {
	e.dropScan(s)
	err = e.ended(err)
	e.set(func(v *View) {
		if v.Step == StepFace {
			v.Face = Face{State: FaceFailed, Problem: Fault(err)}
		}
	})
	return err
}

var colours = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// plausible says whether a scan is one that a page can show. Whatever the
// service says, the screen never flashes faster than is safe.
func plausible(f api.FaceScan) bool {
	if f.Scan == "" || f.SecondsLeft <= 0 {
		return false
	}
	if f.Page != "" {
		return safePage(f.Page)
	}
	return f.Steps > 0 && f.Steps <= maxSteps && f.Step.Number == 1 && showable(f.Step)
}

func showable(s api.FaceStep) bool {
	length := time.Duration(s.Milliseconds) * time.Millisecond
	turn := s.Turn == "" || s.Turn == "left" || s.Turn == "right"
	return turn && colours.MatchString(s.Colour) && length >= minColour && length <= maxStep
}

// safePage says whether a provider's page may be opened: https, or this
// computer itself.
func safePage(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
