package app

import (
	"context"
	"strings"
	"sync"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
)

// fakeEngine is a journey without a card and a service: code 123456 is right,
// and work goes on when the test says so.
type fakeEngine struct {
	mu      sync.Mutex
	view    View
	status  Status
	changed chan struct{}
	calls   []string
	asked   []api.Method // how codes were asked for

	now     func() time.Time
	service api.Service
	fail    map[string]error // what a call fails with
	watch   []chan Status
	face    bool // face verification is offered
	scan    fakeScan
}

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func newFake() *fakeEngine {
	return &fakeEngine{
		changed: make(chan struct{}),
		now:     func() time.Time { return start },
		status:  Status{Cards: []Card{{Reader: "Reader 1", Model: "PIV card", State: CardLocked}}},
		fail:    map[string]error{},
		service: api.Service{Contact: api.Contact{Name: "Registration Authority, St Example's Hospital",
			Phone: "020 7946 0000", Email: "ra@st-example.test", Hours: "Monday to Friday, 8am to 6pm"}},
	}
}

func (f *fakeEngine) set(change func(v *View)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.view)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeEngine) see(s Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = s
	for _, c := range f.watch {
		select {
		case <-c: // the newest is enough
		default:
		}
		c <- s
	}
}

func (f *fakeEngine) called(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	err := f.fail[name]
	return err
}

func (f *fakeEngine) Watch(ctx context.Context) <-chan Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan Status, 1)
	c <- f.status
	f.watch = append(f.watch, c)
	return c
}

func (f *fakeEngine) View() View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view
}

func (f *fakeEngine) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fakeEngine) Start(_ context.Context, purpose api.Purpose, reader string) error {
	if err := f.called("start"); err != nil {
		return err
	}
	f.set(func(v *View) {
		*v = View{Step: StepMethod, Purpose: purpose, Ends: f.now().Add(15 * time.Minute), Methods: []api.MethodStatus{
			{Method: api.MethodEmail, Available: true},
			{Method: api.MethodSMS, Notice: "Text messages are not available yet."},
			{Method: api.MethodFace, Notice: "Face verification is unavailable. We hope to bring it back soon."},
		}}
		if f.face {
			v.Methods[2] = api.MethodStatus{Method: api.MethodFace, Available: true}
		}
	})
	return nil
}

func (f *fakeEngine) SendCode(_ context.Context, m api.Method, address string) error {
	if err := f.called("send"); err != nil {
		return err
	}
	switch {
	case m == api.MethodSMS && !strings.HasPrefix(address, "0"):
		return problem.New(problem.MobileMalformed)
	case m == api.MethodEmail && !strings.Contains(address, "@"):
		return problem.New(problem.AddressMalformed)
	}
	f.mu.Lock()
	f.asked = append(f.asked, m)
	f.mu.Unlock()
	f.set(func(v *View) { v.Step, v.Method, v.Address, v.SendsLeft, v.ResendAt = StepCode, m, address, 4, f.now() })
	return nil
}

func (f *fakeEngine) CheckCode(_ context.Context, code string) error {
	if err := f.called("check"); err != nil {
		return err
	}
	if code != "123456" {
		left := 4
		f.set(func(v *View) { v.TriesLeft = &left })
		p := problem.New(problem.CodeWrong)
		p.TriesLeft = &left
		return p
	}
	f.set(func(v *View) { v.Step = StepPasscode })
	return nil
}

func (f *fakeEngine) SetPasscode(_ context.Context, passcode string) error {
	if err := f.called("set"); err != nil {
		return err
	}
	switch {
	case len(passcode) < 6:
		return problem.New(problem.PasscodeShort)
	case passcode == "123456":
		return problem.New(problem.PasscodeGuessable)
	}
	f.set(func(v *View) { v.Step, v.Progress = StepWorking, ProgressCard })
	return nil
}

func (f *fakeEngine) Change(_ context.Context, reader, old, passcode string) error {
	if err := f.called("change"); err != nil {
		return err
	}
	if old != "24681357" {
		left := 2
		p := problem.New(problem.PasscodeWrong)
		p.TriesLeft = &left
		return p
	}
	return nil
}

func (f *fakeEngine) Abandon(context.Context) error {
	if err := f.called("abandon"); err != nil {
		return err
	}
	f.set(func(v *View) { *v = View{} })
	return nil
}

func (f *fakeEngine) Service() api.Service { return f.service }

func (f *fakeEngine) Rules() []string {
	return []string{"has 6 to 8 digits, from 0 to 9", "is hard to guess: not 123456, 111111 or a date"}
}
