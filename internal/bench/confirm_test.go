package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/card/pcsc"
	"latchkey/internal/card/pcsctest"
	"latchkey/internal/card/recognise"
	"latchkey/internal/card/vpcd"
	"latchkey/internal/journey"
	"latchkey/internal/unlock/unlocktest"
)

const (
	fresh    = "840261"
	firstPUK = "73519264"
)

// BenchmarkConfirm is the time from the new passcode's confirmation until the
// card is unlocked and the service knows, through a real PC/SC service with a
// virtual reader and the service's HTTP API.
//
// bare-ms is a program that has the unlocking keys at hand and sends the fewest
// commands that do the same, see kinds. The card in software takes the same
// time for both, and so do the reader, the PC/SC service and the signatures.
func BenchmarkConfirm(b *testing.B) {
	// One for both: a process speaks to one PC/SC service.
	stack := pcsctest.Start(b)
	readers := pcsc.New(pcsc.Options{Socket: stack.Socket})
	slots := []struct{ reader, address string }{{pcsctest.Reader, stack.VPCDAddress}, {pcsctest.SecondReader, stack.SecondAddress}}
	for i, k := range kinds() {
		slot := slots[i%len(slots)] // by turns: one is not ready for another card at once
		b.Run(k.name, func(b *testing.B) { confirm(b, newDesk(b, readers, slot.reader, slot.address, k)) })
	}
}

func confirm(b *testing.B, d *desk) {
	var unlocked, bare []time.Duration
	var commands atomic.Int64
	for b.Loop() {
		b.StopTimer()
		d.verified()
		count := &atomic.Int64{}
		d.card.SetFaults(func(int, []byte) emulator.Fault { count.Add(1); return emulator.Fault{} })
		b.StartTimer()
		unlocked = append(unlocked, d.confirm(count))
		b.StopTimer()
		commands.Add(count.Load())
		d.quiet()
		bare = append(bare, d.bare())
		b.StartTimer()
	}
	report(b, "confirm", unlocked, "bare", bare)
	b.ReportMetric(float64(commands.Load())/float64(b.N), "commands")
}

// desk is a workstation on the real stack.
type desk struct {
	*unlocktest.Installation
	b       *testing.B
	kind    kind
	readers *pcsc.Service
	reader  string
	card    *emulator.Card
	engine  *journey.Engine
}

func newDesk(b *testing.B, readers *pcsc.Service, reader, address string, k kind) *desk {
	b.Helper()
	k.options.PIN, k.options.PUK = "246813", firstPUK
	c, err := emulator.New(k.options)
	if err != nil {
		b.Fatal(err)
	}
	d := &desk{Installation: unlocktest.New(b, unlocktest.Options{Queue: true}), b: b, kind: k, card: c, readers: readers, reader: reader}
	d.Enrol(b, c)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- vpcd.Serve(ctx, address, c, vpcd.Options{}) }()
	b.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	profiles, err := iso7816.Load("generic-puk")
	if err != nil {
		b.Fatal(err)
	}
	d.engine = journey.New(ctx, journey.Options{Recognise: recognise.Recogniser{Profiles: profiles}, Readers: d.readers, Service: d.Client, Pins: d.Pins, Workstation: "ward-7", Application: "1.0.0"})
	d.quiet()
	return d
}

// verified locks the card and goes as far as the new passcode.
func (d *desk) verified() {
	d.b.Helper()
	ctx := d.b.Context()
	for _, step := range []func() error{
		d.card.Lock,
		func() error { return d.engine.Start(ctx, api.PurposeLocked, d.reader) },
		func() error { return d.engine.SendCode(ctx, api.MethodEmail, unlocktest.Email) },
		func() error { return d.engine.CheckCode(ctx, d.Code(d.b)) },
	} {
		if err := step(); err != nil {
			d.b.Fatal(err)
		}
	}
}

// confirm gives the passcode and waits until the card is unlocked. count holds
// the number of commands so far afterwards.
func (d *desk) confirm(count *atomic.Int64) time.Duration {
	d.b.Helper()
	ctx, cancel := context.WithTimeout(d.b.Context(), patience)
	defer cancel()
	began := time.Now()
	if err := d.engine.SetPasscode(ctx, fresh); err != nil {
		d.b.Fatal(err)
	}
	for {
		changed := d.engine.Changed()
		if v := d.engine.View(); v.Step != journey.StepWorking {
			took := time.Since(began)
			commands := count.Load()
			s := d.card.State()
			keys := d.Candidates(d.b, d.card)
			if v.Step != journey.StepDone || d.kind.pin(s) != fresh || !slices.Contains(keys, d.kind.key(s)) || d.kind.proves && len(keys) != 1 {
				d.b.Fatalf("not unlocked: %+v, %d keys", v, len(keys))
			}
			count.Store(commands)
			return took
		}
		select {
		case <-changed:
		case <-ctx.Done():
			d.b.Fatalf("waited in vain: %+v", d.engine.View())
		}
	}
}

// quiet waits until the application has read the card after an unlock, so that
// it is not in the way of what follows.
func (d *desk) quiet() {
	d.b.Helper()
	ctx, cancel := context.WithTimeout(d.b.Context(), patience)
	defer cancel()
	for status := range d.engine.Watch(ctx) {
		if len(status.Cards) == 1 && (status.Cards[0].State == journey.CardNotLocked || status.Cards[0].State == journey.CardUnclear) {
			return
		}
	}
	d.b.Fatal("the card was never read")
}

// bare does by hand what an unlock does to the card, and then has the card as it
// was before.
func (d *desk) bare() time.Duration {
	d.b.Helper()
	before := d.card.State()
	if err := d.card.Lock(); err != nil {
		d.b.Fatal(err)
	}
	took, err := d.send(d.kind.bare(before))
	if err != nil {
		d.b.Fatal(err)
	}
	if s := d.card.State(); d.kind.pin(s) != fresh || d.kind.key(s) != d.kind.other && d.kind.rotates {
		d.b.Fatal("the bare commands did not unlock the card")
	}
	if err := d.card.Edit(func(s *emulator.State) { restore(s, before) }); err != nil {
		d.b.Fatal(err)
	}
	return took
}

// restore gives each application what it held.
func restore(s *emulator.State, before emulator.State) {
	switch {
	case s.PIV != nil:
		*s.PIV = *before.PIV
	case s.GIDS != nil:
		*s.GIDS = *before.GIDS
	case s.OpenPGP != nil:
		*s.OpenPGP = *before.OpenPGP
	case s.ISO != nil:
		*s.ISO = *before.ISO
	}
}

// send gives the time until the last answer has come. What follows, the reset,
// nobody waits for.
func (d *desk) send(commands []command) (took time.Duration, err error) {
	ctx := d.b.Context()
	began := time.Now()
	conn, err := d.readers.Connect(ctx, d.reader)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.End(card.ResetCard), conn.Close()) }()
	if err := conn.Begin(ctx); err != nil {
		return 0, err
	}
	var last []byte
	for _, next := range commands {
		c := next(last)
		r, err := apdu.Send(ctx, conn, c)
		if err == nil && r.SW != apdu.OK {
			err = fmt.Errorf("status %04X", r.SW)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", c.Name, err)
		}
		last = r.Data
	}
	return time.Since(began), nil
}
