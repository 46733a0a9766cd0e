package exhaustive

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card/recognise"
	"latchkey/internal/journey"
	"latchkey/internal/journey/journeytest"
)

// passcode is the one that the person wants.
const passcode = "840261"

var errKilled = errors.New("the application was killed")

// app is a running application.
type app struct {
	w      *world
	engine *journey.Engine
	stop   context.CancelFunc
	dead   atomic.Bool
	died   chan struct{}
	once   sync.Once
}

func (w *world) startApp() *app {
	ctx, cancel := context.WithCancel(context.Background())
	a := &app{w: w, stop: cancel, died: make(chan struct{})}
	a.engine = journey.New(ctx, journey.Options{Readers: &hands{Readers: w.readers, w: w, dead: &a.dead, kill: a.kill},
		Service: w.client.Over(&cable{w: w, dead: &a.dead, kill: a.kill}), Pins: w.pins, Workstation: "ward-7", Application: "1.0.0",
		Recognise: recognise.Recogniser{Profiles: w.profiles}})
	synctest.Wait() // it has had its first look at the card
	return a
}

func (a *app) kill() {
	a.once.Do(func() {
		a.dead.Store(true)
		close(a.died)
	})
}

// close ends the application, in good order where it was not killed: reports
// that wait have a last chance.
func (a *app) close() {
	if a.dead.Load() {
		a.stop()
	}
	a.engine.Close(context.Background())
	a.stop()
	a.kill() // nothing of it goes on
	synctest.Wait()
}

// attempt is one journey, from a locked card on, in which a fault happens. It
// gives how that ended, nil for unlocked, and what it consisted of.
func (w *world) attempt(f *fault) (trace, error) {
	must(w.t, w.card.Lock())
	w.tidy()
	a := w.startApp()
	w.arm(f)
	x, err := w.journey(a)
	a.close()
	x.commands, x.calls, x.before = w.worked, w.calls, w.before
	x.commits, x.statements = w.gate.commits, w.gate.seen
	if f != nil && f.kind.goesBack() && f.is(f.kind, w.calls+1) {
		w.goBack(f.kind, f.to)
	}
	w.disarm()
	return x, err
}

// journey is what the person does.
func (w *world) journey(a *app) (x trace, err error) {
	ctx := context.Background()
	for _, step := range []func() error{
		func() error { return a.engine.Start(ctx, api.PurposeLocked, reader) },
		func() error { return a.engine.SendCode(ctx, api.MethodEmail, email) },
		func() error { return a.engine.CheckCode(ctx, w.newestCode()) },
		func() error {
			w.mu.Lock()
			w.gate.mu.Lock()
			x.work = marks{w.commands, w.calls, w.gate.commits, w.gate.statements}
			w.gate.mu.Unlock()
			w.mu.Unlock()
			return a.engine.SetPasscode(ctx, passcode)
		},
	} {
		if err := step(); a.dead.Load() {
			return x, errKilled
		} else if err != nil {
			return x, err
		}
	}
	for {
		changed, v := a.engine.Changed(), a.engine.View()
		switch {
		case a.dead.Load():
			return x, errKilled
		case v.Step == journey.StepDone:
			return x, w.lookAtPage(a)
		case v.Step == journey.StepEnded:
			return x, v.Problem
		case v.Step == journey.StepPasscode:
			return x, v.Refused
		case v.Waiting != nil:
			w.tidy()
		}
		select {
		case <-changed:
		case <-a.died:
		case <-time.After(time.Hour):
			w.t.Fatalf("the journey stands still: %+v", v)
		}
	}
}

// lookAtPage is what a person does when the card is unlocked; the application
// finishes meanwhile.
func (w *world) lookAtPage(a *app) error {
	select {
	case <-a.died:
		return errKilled
	case <-time.After(time.Minute):
		return nil
	}
}

// unlocked checks a card after an attempt that says that it has unlocked it.
func (w *world) unlocked() error { return journeytest.Unlocked(w.card.State(), passcode) }
