package journey_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/recognise"
	"latchkey/internal/journey"
	"latchkey/internal/journey/journeytest"
	"latchkey/internal/problem"
	"latchkey/internal/unlock/unlocktest"
)

const (
	reader   = "Reader 1"
	oldPIN   = "246813"
	oldPUK   = "73519264"
	passcode = "840261"
	patience = 20 * time.Second
)

// desk is a workstation with a card, and the service.
type desk struct {
	*unlocktest.Installation
	t       testing.TB
	readers *emulator.Readers
	card    *emulator.Card
	engine  *journey.Engine
	// recognise is what the application knows of cards, from its next start on.
	recognise recognise.Recogniser
}

func newDesk(t testing.TB, o emulator.Options) *desk {
	t.Helper()
	return newDeskFor(t, o, (*unlocktest.Installation).Enrol)
}

func newDeskFor(t testing.TB, o emulator.Options, enrol func(*unlocktest.Installation, testing.TB, *emulator.Card)) *desk {
	t.Helper()
	return newDeskOf(t, unlocktest.Options{}, o, enrol)
}

func newDeskOf(t testing.TB, u unlocktest.Options, o emulator.Options, enrol func(*unlocktest.Installation, testing.TB, *emulator.Card)) *desk {
	t.Helper()
	o.PIN = oldPIN
	if o.Family == "" || o.Family == emulator.FamilyPIV {
		o.PUK = oldPUK
	}
	c, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Lock(); err != nil {
		t.Fatal(err)
	}
	d := &desk{Installation: unlocktest.New(t, u), t: t, readers: emulator.NewReaders(reader), card: c}
	enrol(d.Installation, t, c)
	d.readers.Insert(reader, c)
	d.restart()
	return d
}

// restart starts the application again, as after a crash.
func (d *desk) restart() {
	d.engine = journey.New(d.t.Context(), journey.Options{Readers: d.readers, Service: d.Client, Pins: d.Pins,
		Workstation: "ward-7", Application: "1.0.0", Recognise: d.recognise})
}

// verified goes as far as the new passcode.
func (d *desk) verified() {
	d.t.Helper()
	ctx := d.t.Context()
	for _, step := range []func() error{
		func() error { return d.engine.Start(ctx, api.PurposeLocked, reader) },
		func() error { return d.engine.SendCode(ctx, api.MethodEmail, unlocktest.Email) },
		func() error { return d.engine.CheckCode(ctx, d.Code(d.t)) },
	} {
		if err := step(); err != nil {
			d.t.Fatal(err)
		}
	}
}

// confirm sets the passcode and waits for how that ends: nil for unlocked.
func (d *desk) confirm(fresh string) error {
	d.t.Helper()
	if err := d.engine.SetPasscode(d.t.Context(), fresh); err != nil {
		return err
	}
	v := d.await(func(v journey.View) bool { return v.Step != journey.StepWorking })
	switch {
	case v.Step == journey.StepDone:
		return nil
	case v.Refused != nil:
		return v.Refused
	case v.Problem != nil:
		return v.Problem
	}
	return errors.New("the journey is nowhere")
}

// await waits until the view fits.
func (d *desk) await(fits func(journey.View) bool) journey.View {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	for {
		changed := d.engine.Changed()
		if v := d.engine.View(); fits(v) {
			return v
		}
		select {
		case <-changed:
		case <-ctx.Done():
			d.t.Fatalf("waited in vain: %+v", d.engine.View())
		}
	}
}

// unlocked makes sure that the card has the passcode, full tries, and a key
// that the escrow holds.
func (d *desk) unlocked(fresh string) {
	d.t.Helper()
	d.engine.Close(d.t.Context()) // what follows the confirmation is over then
	if err := journeytest.Unlocked(d.card.State(), fresh); err != nil {
		d.t.Error(err)
	}
	d.held()
}

// held makes sure that the escrow has the key that is on the card.
func (d *desk) held() {
	d.t.Helper()
	if !slices.Contains(d.Candidates(d.t, d.card), journeytest.Key(d.card.State())) {
		d.t.Errorf("the escrow has lost the card's key")
	}
}

func wantCode(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Errorf("got %v, want %s", err, code)
	}
}
