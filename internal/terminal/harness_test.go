package terminal_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
	"latchkey/internal/terminal"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

const (
	reader  = "Reader 1"
	oldPIN  = "246813"
	oldPUK  = "73519264"
	fresh   = "840261"
	another = "135799"
)

// script is the answers of somebody at a terminal, one for each question.
// Words with a meaning: "right" is the security code that has arrived, "wrong"
// is another one.
type script struct {
	answers []string
	code    func() string
	cut     bool // the last answer has no end of line
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.answers) == 0 {
		return 0, io.EOF
	}
	text := s.answers[0]
	s.answers = s.answers[1:]
	switch text {
	case "right":
		text = s.code()
	case "wrong":
		text = "000000"
		if s.code() == text {
			text = "000001"
		}
	}
	if !s.cut || len(s.answers) > 0 {
		text += "\n"
	}
	return copy(p, text), nil
}

// desk is a workstation with a card, and the service.
type desk struct {
	*unlocktest.Installation
	t      *testing.T
	card   *emulator.Card
	engine *journey.Engine
	in     *script
	out    strings.Builder
}

func newDesk(t *testing.T, config func(*unlock.Config)) *desk {
	t.Helper()
	c, err := emulator.New(emulator.Options{PIN: oldPIN, PUK: oldPUK, RefusePINs: []string{another}})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{Installation: unlocktest.New(t, unlocktest.Options{Config: config}), t: t, card: c}
	d.Enrol(t, c)
	return d
}

func (d *desk) lock() {
	d.t.Helper()
	if err := d.card.Lock(); err != nil {
		d.t.Fatal(err)
	}
}

// terminal starts the application where it does not run yet: cards that lock
// behind its back are noticed late.
func (d *desk) terminal(answers ...string) *terminal.Terminal {
	if d.engine == nil {
		readers := emulator.NewReaders(reader)
		readers.Insert(reader, d.card)
		d.engine = journey.New(d.t.Context(), journey.Options{Readers: readers, Service: d.Client, Pins: d.Pins,
			Workstation: "ward-7", Application: "1.0.0"})
	}
	d.in = &script{answers: answers, code: func() string { return d.Code(d.t) }}
	return terminal.New(d.engine, d.in, &d.out)
}

// unlock is the whole journey with these answers.
func (d *desk) unlock(answers ...string) error {
	d.t.Helper()
	d.lock()
	err := d.terminal(answers...).Unlock(d.t.Context(), terminal.Given{}, false)
	d.engine.Close(d.t.Context())
	return err
}

// prints makes sure that the words were printed, in this order, and no secret.
func (d *desk) prints(words ...string) {
	d.t.Helper()
	rest := d.out.String()
	for _, w := range words {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			d.t.Errorf("no %q, in this order, in:\n%s", w, &d.out)
			return
		}
		rest = after
	}
	for _, secret := range []string{oldPIN, oldPUK, fresh, another, d.card.State().PUK} {
		if strings.Contains(d.out.String(), secret) {
			d.t.Errorf("it prints %s:\n%s", secret, &d.out)
		}
	}
}

// has makes sure that the card has a PIN.
func (d *desk) has(pin string) {
	d.t.Helper()
	if s := d.card.State(); s.PIN != pin {
		d.t.Errorf("the card's PIN is %s, want %s", s.PIN, pin)
	}
}

func wantCode(t *testing.T, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// fake is an engine that shows what the test wants: reader states one after
// the other, and a session that nothing goes wrong with but what fails.
type fake struct {
	statuses chan journey.Status
	fail     map[string]error

	mu      sync.Mutex
	view    journey.View
	calls   []string
	changed chan struct{}
}

func newFake(statuses ...journey.Status) *fake {
	f := &fake{statuses: make(chan journey.Status, 10), fail: map[string]error{}, changed: make(chan struct{})}
	for _, s := range statuses {
		f.statuses <- s
	}
	return f
}

func (f *fake) did(call string, step journey.Step) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	if err := f.fail[call]; err != nil {
		return err
	}
	f.view.Step = step
	f.view.Methods = []api.MethodStatus{{Method: api.MethodEmail, Available: true}}
	return nil
}

func (f *fake) called(call string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.calls, call)
}

func (f *fake) Watch(ctx context.Context) <-chan journey.Status {
	out := make(chan journey.Status)
	go func() {
		defer close(out)
		for {
			select {
			case s := <-f.statuses:
				out <- s
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func (f *fake) View() journey.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view
}

func (f *fake) Changed() <-chan struct{} { return f.changed }
func (f *fake) Rules() []string          { return []string{"has 6 to 8 digits"} }

func (f *fake) Start(context.Context, api.Purpose, string) error {
	return f.did("start", journey.StepMethod)
}

func (f *fake) SendCode(_ context.Context, _ api.Method, address string) error {
	return f.did("send "+address, journey.StepCode)
}

func (f *fake) CheckCode(_ context.Context, code string) error {
	return f.did("check "+code, journey.StepPasscode)
}

func (f *fake) SetPasscode(context.Context, string) error {
	return f.did("set", journey.StepWorking)
}

func (f *fake) Change(context.Context, string, string, string) error {
	return f.did("change", journey.StepNone)
}
