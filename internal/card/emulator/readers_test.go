package emulator_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
)

const reader = "Reader 1"

// connect connects to the card in the reader.
func connect(t *testing.T, r *emulator.Readers) card.Conn {
	t.Helper()
	c, err := r.Connect(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// state asks for the state of the PIN: a command without effect.
func state(t *testing.T, c card.Conn) error {
	t.Helper()
	_, err := c.Transmit(t.Context(), []byte{0x00, 0x20, 0x00, 0x80})
	return err
}

func TestWatchSeesEachChange(t *testing.T) {
	t.Parallel()
	e := newCard(t, emulator.Options{})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := emulator.NewReaders()
		watch := r.Watch(ctx)
		for _, step := range []struct {
			name       string
			do         func()
			err        error
			presence   card.Presence
			insertions int
		}{
			{"no reader", func() {}, card.ErrNoReader, 0, 0},
			{"card put in", func() { r.Insert(reader, e) }, nil, card.Present, 1},
			{"card taken out", func() { r.Remove(reader) }, nil, card.Empty, 1},
			{"out, in, out and in", func() { r.Insert(reader, e); r.Remove(reader); r.Insert(reader, e) }, nil, card.Present, 3},
			{"service stopped", func() { r.SetService(false) }, card.ErrNoService, 0, 0},
			{"service back", func() { r.SetService(true) }, nil, card.Present, 3},
			{"reader unplugged", func() { r.Unplug(reader) }, card.ErrNoReader, 0, 0},
			{"another unplugged", func() { r.Unplug("none"); r.Remove("none") }, card.ErrNoReader, 0, 0},
			{"plugged in with the card", func() { r.Insert(reader, e) }, nil, card.Present, 4},
		} {
			step.do()
			synctest.Wait() // a slow receiver: only the newest is left
			s := <-watch
			if !errors.Is(s.Err, step.err) || (step.err == nil) != (len(s.Readers) == 1) {
				t.Fatalf("%s: %+v", step.name, s)
			}
			if step.err == nil && (s.Readers[0].Presence != step.presence || s.Readers[0].Insertions != step.insertions ||
				(s.Readers[0].ATR != nil) != (step.presence == card.Present)) {
				t.Errorf("%s: %+v", step.name, s.Readers[0])
			}
		}
		cancel()
		if _, open := <-watch; open {
			t.Error("the watch goes on")
		}
	})
}

func TestConnectFaults(t *testing.T) {
	t.Parallel()
	r := emulator.NewReaders(reader)
	if _, err := r.Connect(t.Context(), reader); !errors.Is(err, card.ErrNoCard) {
		t.Errorf("empty: %v", err)
	}
	if _, err := r.Connect(t.Context(), "another"); !errors.Is(err, card.ErrReaderGone) {
		t.Errorf("another reader: %v", err)
	}
	r.SetService(false)
	if _, err := r.Connect(t.Context(), reader); !errors.Is(err, card.ErrNoService) {
		t.Errorf("service stopped: %v", err)
	}
}

func TestConnectionOutlivesNothing(t *testing.T) {
	t.Parallel()
	first, second := newCard(t, emulator.Options{}), newCard(t, emulator.Options{})
	for name, c := range map[string]struct {
		do   func(*emulator.Readers)
		want error
	}{
		"nothing happened":    {func(*emulator.Readers) {}, nil},
		"removed":             {func(r *emulator.Readers) { r.Remove(reader) }, card.ErrRemoved},
		"removed and back":    {func(r *emulator.Readers) { r.Remove(reader); r.Insert(reader, first) }, card.ErrRemoved},
		"another card":        {func(r *emulator.Readers) { r.Insert(reader, second) }, card.ErrRemoved},
		"unplugged":           {func(r *emulator.Readers) { r.Unplug(reader) }, card.ErrReaderGone},
		"unplugged and back":  {func(r *emulator.Readers) { r.Unplug(reader); r.Insert(reader, first) }, card.ErrRemoved},
		"unplugged, other in": {func(r *emulator.Readers) { r.Unplug(reader); r.Insert(reader, second) }, card.ErrRemoved},
		"service stopped":     {func(r *emulator.Readers) { r.SetService(false) }, card.ErrNoService},
	} {
		r := emulator.NewReaders(reader)
		r.Insert(reader, first)
		conn := connect(t, r)
		c.do(r)
		if err := state(t, conn); !errors.Is(err, c.want) {
			t.Errorf("%s: command: %v, want %v", name, err, c.want)
		}
		if err := conn.Begin(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: begin: %v, want %v", name, err, c.want)
		}
		if err := conn.Reconnect(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: reconnect: %v, want %v", name, err, c.want)
		}
		if err := conn.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
}

func TestTornCardLeavesTheReader(t *testing.T) {
	t.Parallel()
	e := newCard(t, emulator.Options{})
	r := emulator.NewReaders(reader)
	r.Insert(reader, e)
	conn := connect(t, r)
	e.SetFaults(only(1, emulator.Fault{TearAfter: true}))
	if err := state(t, conn); !errors.Is(err, card.ErrRemoved) || !errors.Is(err, emulator.ErrTorn) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Connect(t.Context(), reader); !errors.Is(err, card.ErrNoCard) {
		t.Errorf("got %v", err)
	}
}

func TestExclusiveTransaction(t *testing.T) {
	t.Parallel()
	e := newCard(t, emulator.Options{})
	synctest.Test(t, func(t *testing.T) {
		r := emulator.NewReaders(reader)
		r.Insert(reader, e)
		first, second := connect(t, r), connect(t, r)
		if err := first.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), card.BusyWait)
		defer cancel()
		began := time.Now()
		if err := second.Begin(short); !errors.Is(err, card.ErrBusy) || time.Since(began) != card.BusyWait {
			t.Errorf("begin while another holds the card: %v after %v", err, time.Since(began))
		}
		if err := second.End(card.ResetCard); err != nil {
			t.Errorf("end without a transaction: %v", err)
		}
		if err := state(t, first); err != nil {
			t.Errorf("the holder was disturbed: %v", err)
		}

		waiting := make(chan error, 1)
		go func() { waiting <- state(t, second) }()
		synctest.Wait()
		select {
		case err := <-waiting:
			t.Errorf("a command passed a transaction: %v", err)
		default:
		}
		if err := first.End(card.ResetCard); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; !errors.Is(err, card.ErrReset) {
			t.Errorf("after a reset: %v", err)
		}
		if err := state(t, first); err != nil {
			t.Errorf("after one's own reset: %v", err)
		}
		if err := second.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := second.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		if err := first.Begin(t.Context()); err != nil {
			t.Errorf("closing did not end the transaction: %v", err)
		}
	})
}

func TestEndWithResetForgetsTheVerifiedPIN(t *testing.T) {
	t.Parallel()
	for how, want := range map[card.Disposition]string{card.LeaveCard: "9000", card.ResetCard: "63C3"} {
		e := newCard(t, emulator.Options{})
		r := emulator.NewReaders(reader)
		r.Insert(reader, e)
		conn := connect(t, r)
		if err := conn.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		send(t, e, selectPIV)
		send(t, e, "0020008008"+pin)
		if err := conn.End(how); err != nil {
			t.Fatal(err)
		}
		if how == card.ResetCard {
			send(t, e, selectPIV)
		}
		if got := send(t, e, "00200080"); got != want {
			t.Errorf("end %v: %s, want %s", how, got, want)
		}
	}
}
