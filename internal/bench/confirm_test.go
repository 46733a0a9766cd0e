package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/pcsc"
	"latchkey/internal/card/pcsctest"
	"latchkey/internal/card/vpcd"
	"latchkey/internal/journey"
	"latchkey/internal/unlock/unlocktest"
)

const (
	fresh    = "840261"
	firstPUK = "73519264"
	otherPUK = "19283746"
)

// BenchmarkConfirm is the time from the new passcode's confirmation until the
// card is unlocked and the service knows, through a real PC/SC service with a
// virtual reader and the service's HTTP API.
//
// bare-ms is a program that has the unlocking keys at hand and sends the fewest
// commands that do the same: connect, begin, select, identity, proof, unblock,
// change the key, verify, sign the outcome. The card in software takes the same
// time for both, and so do the reader, the PC/SC service and the signatures.
func BenchmarkConfirm(b *testing.B) {
	// One for both: a process speaks to one PC/SC service.
	stack := pcsctest.Start(b)
	readers := pcsc.New(pcsc.Options{Socket: stack.Socket})
	for _, kind := range []struct {
		name            string
		options         emulator.Options
		reader, address string // a slot each: one is not ready for another card at once
	}{{"YubiKey", emulator.Options{}, pcsctest.Reader, stack.VPCDAddress},
		{"plain", emulator.Options{Plain: true}, pcsctest.SecondReader, stack.SecondAddress}} {
		b.Run(kind.name, func(b *testing.B) { confirm(b, newDesk(b, readers, kind.reader, kind.address, kind.options)) })
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
	readers *pcsc.Service
	reader  string
	card    *emulator.Card
	engine  *journey.Engine
}

func newDesk(b *testing.B, readers *pcsc.Service, reader, address string, o emulator.Options) *desk {
	b.Helper()
	o.PIN, o.PUK = "246813", firstPUK
	c, err := emulator.New(o)
	if err != nil {
		b.Fatal(err)
	}
	d := &desk{Installation: unlocktest.New(b, unlocktest.Options{Queue: true}), b: b, card: c, readers: readers, reader: reader}
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
	d.engine = journey.New(ctx, journey.Options{Readers: d.readers, Service: d.Client, Pins: d.Pins, Workstation: "ward-7", Application: "1.0.0"})
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
			if v.Step != journey.StepDone || s.PIN != fresh || s.PINTries != s.PINTotal || len(keys) != 1 || keys[0] != s.PUK {
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
		if len(status.Cards) == 1 && status.Cards[0].State == journey.CardNotLocked {
			return
		}
	}
	d.b.Fatal("the card was never read")
}

// bare does by hand what an unlock does to the card, and puts the key that the
// service knows back.
func (d *desk) bare() time.Duration {
	d.b.Helper()
	known := d.card.State().PUK
	if err := d.card.Lock(); err != nil {
		d.b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("any"))
	padded := func(s string) []byte { return append([]byte(s), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)[:8] }
	sign := apdu.Command{Name: "sign", INS: 0x87, P1: 0x11, P2: 0x9E, Answer: true,
		Data: apdu.EncodeTLV(0x7C, apdu.EncodeTLV(0x82), apdu.EncodeTLV(0x81, digest[:]))}
	commands := []apdu.Command{
		{Name: "select", INS: 0xA4, P1: 0x04, Data: []byte{0xA0, 0x00, 0x00, 0x03, 0x08}, Answer: true},
		{Name: "identity", INS: 0xCB, P1: 0x3F, P2: 0xFF, Data: apdu.EncodeTLV(0x5C, []byte{0x5F, 0xC1, 0x02}), Answer: true},
		sign,
		{Name: "unblock", INS: 0x2C, P2: 0x80, Data: append(padded(known), padded(fresh)...)},
		{Name: "change", INS: 0x24, P2: 0x81, Data: append(padded(known), padded(otherPUK)...)},
		{Name: "verify", INS: 0x20, P2: 0x80, Data: padded(fresh)},
		sign,
	}
	took, err := d.send(commands)
	if err != nil {
		d.b.Fatal(err)
	}
	if s := d.card.State(); s.PUK != otherPUK || s.PIN != fresh || s.PINTries != s.PINTotal {
		d.b.Fatal("the bare commands did not unlock the card")
	}
	if err := d.card.Edit(func(s *emulator.State) { s.PUK = known }); err != nil {
		d.b.Fatal(err)
	}
	return took
}

// send gives the time until the last answer has come. What follows, the reset,
// nobody waits for.
func (d *desk) send(commands []apdu.Command) (took time.Duration, err error) {
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
	for _, c := range commands {
		r, err := apdu.Send(ctx, conn, c)
		if err == nil && r.SW != apdu.OK {
			err = fmt.Errorf("status %04X", r.SW)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return time.Since(began), nil
}
