//go:build linux

package pcsc_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/pcsc"
	"latchkey/internal/card/pcsctest"
	"latchkey/internal/card/vpcd"
)

var selectPIV = []byte{0x00, 0xA4, 0x04, 0x00, 0x05, 0xA0, 0x00, 0x00, 0x03, 0x08}

// stack is a private PC/SC service, watched.
type stack struct {
	service *pcsctest.Service
	readers *pcsc.Service
	watch   <-chan card.Snapshot
	card    *emulator.Card
	out     func() // takes the card out
}

func newStack(t testing.TB) *stack {
	t.Helper()
	s := &stack{service: pcsctest.Start(t)}
	s.readers = pcsc.New(pcsc.Options{Socket: s.service.Socket})
	s.watch = s.readers.Watch(t.Context())
	c, err := emulator.New(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.card = c
	return s
}

func (s *stack) insert(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- vpcd.Serve(ctx, s.service.VPCDAddress, s.card, vpcd.Options{}) }()
	s.out = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(cancel)
	s.await(t, card.Present)
}

// await waits until the first reader sees something.
func (s *stack) await(t testing.TB, p card.Presence) card.Reader {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case snapshot, ok := <-s.watch:
			if !ok {
				t.Fatal("the watch ended")
			}
			for _, r := range snapshot.Readers {
				if r.Name == pcsctest.Reader && r.Presence == p {
					return r
				}
			}
		case <-deadline:
			t.Fatalf("the reader never came to presence %d", p)
		}
	}
}

func (s *stack) connect(t testing.TB) card.Conn {
	t.Helper()
	c, err := s.readers.Connect(t.Context(), pcsctest.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestThroughTheRealStack(t *testing.T) {
	s := newStack(t)
	s.await(t, card.Empty)
	s.insert(t)

	t.Run("command", func(t *testing.T) {
		c := s.connect(t)
		if !bytes.Equal(c.ATR(), s.card.ATR()) {
			t.Errorf("ATR %X, want %X", c.ATR(), s.card.ATR())
		}
		answer, err := c.Transmit(t.Context(), selectPIV)
		if err != nil || !bytes.HasSuffix(answer, []byte{0x90, 0x00}) {
			t.Errorf("SELECT: %X, %v", answer, err)
		}
	})

	t.Run("exclusive", func(t *testing.T) {
		first, second := s.connect(t), s.connect(t)
		if err := first.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := second.Begin(short); !errors.Is(err, card.ErrBusy) {
			t.Errorf("begin while another holds the card: %v", err)
		}
		if err := first.End(card.ResetCard); err != nil {
			t.Error(err)
		}
		err := second.Begin(t.Context())
		if err == nil {
			_, err = second.Transmit(t.Context(), selectPIV)
		}
		if !errors.Is(err, card.ErrReset) {
			t.Fatalf("after another reset the card: %v", err)
		}
		if err := second.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := second.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := second.Transmit(t.Context(), selectPIV); err != nil {
			t.Error(err)
		}
		if err := second.End(card.LeaveCard); err != nil {
			t.Error(err)
		}
	})

	t.Run("taken out", func(t *testing.T) {
		c := s.connect(t)
		if err := c.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.out()
		if _, err := c.Transmit(t.Context(), selectPIV); !errors.Is(err, card.ErrRemoved) {
			t.Errorf("command to a card that has gone: %v", err)
		}
		s.await(t, card.Empty)
		if _, err := s.readers.Connect(t.Context(), pcsctest.Reader); !errors.Is(err, card.ErrNoCard) {
			t.Errorf("connect without a card: %v", err)
		}
	})

	t.Run("no such reader", func(t *testing.T) {
		if _, err := s.readers.Connect(t.Context(), "another"); !errors.Is(err, card.ErrReaderGone) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("put back", func(t *testing.T) {
		s.insert(t)
		answer, err := s.connect(t).Transmit(t.Context(), selectPIV)
		if err != nil {
			t.Errorf("%X, %v", answer, err)
		}
	})

	t.Run("service gone", func(t *testing.T) {
		if err := s.service.Close(); err != nil {
			t.Error(err)
		}
		deadline := time.After(20 * time.Second)
		for {
			select {
			case snapshot := <-s.watch:
				if errors.Is(snapshot.Err, card.ErrNoService) {
					return
				}
			case <-deadline:
				t.Fatal("nobody noticed")
			}
		}
	})
}
