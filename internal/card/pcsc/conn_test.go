package pcsc

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/card"
)

func connected(t *testing.T, f *fake) card.Conn {
	t.Helper()
	c, err := f.service().Connect(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCodesBecomeFaults(t *testing.T) {
	t.Parallel()
	want := map[error][]code{
		card.ErrNoService:  {eNoService, eServiceStopped, eInvalidHandle, errorBrokenPipe},
		card.ErrNoReader:   {eNoReadersAvailable},
		card.ErrReaderGone: {eUnknownReader, eReaderUnavailable, errorInvalidFunction},
		card.ErrNoCard:     {eNoSmartcard},
		card.ErrRemoved:    {wRemovedCard, fCommError, eCommDataLost, eNotTransacted},
		card.ErrReset:      {wResetCard},
		card.ErrMute:       {wUnresponsiveCard, wUnpoweredCard, wUnsupportedCard, eProtoMismatch},
		card.ErrBusy:       {eSharingViolation, eNotReady, eTimeout},
	}
	for fault, codes := range want {
		for _, rv := range codes {
			f := newFake(t)
			c := connected(t, f)
			f.results["transmit"], f.results["begin"], f.results["reconnect"] = rv, rv, rv
			_, transmit := c.Transmit(t.Context(), []byte{0})
			for call, err := range map[string]error{"transmit": transmit, "begin": c.Begin(t.Context()), "reconnect": c.Reconnect(t.Context())} {
				if !errors.Is(err, fault) {
					t.Errorf("%s %08X: %v, want %v", call, uint32(rv), err, fault)
				}
			}
		}
	}
	if err := code(0x80100001).fault(); err == nil || err.Error() != "PC/SC error 80100001" {
		t.Errorf("a code of no meaning here: %v", err)
	}
}

func TestConnectGivesBackWhatItTook(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"establish", "connect", "atr"} {
		f := newFake(t)
		f.results[call] = eNoSmartcard
		if _, err := f.service().Connect(t.Context(), "A"); !errors.Is(err, card.ErrNoCard) || f.left() != 0 {
			t.Errorf("%s fails: %v, %d not given back", call, err, f.left())
		}
	}
	f := newFake(t)
	if err := connected(t, f).Close(); err != nil || f.left() != 0 {
		t.Errorf("close: %v, %d not given back", err, f.left())
	}
	f.results["disconnect"] = eInvalidHandle
	if err := connected(t, f).Close(); !errors.Is(err, card.ErrNoService) || f.left() != 0 {
		t.Errorf("close that fails: %v, %d not given back", err, f.left())
	}
}

func TestTransmit(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := connected(t, f)
	first, err := c.Transmit(t.Context(), []byte{0})
	if err != nil || string(first) != "\x02\x90\x00" {
		t.Fatalf("%X, %v", first, err)
	}
	if err := c.Reconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := c.Transmit(t.Context(), []byte{0})
	if err != nil || string(second) != "\x01\x90\x00" || first[0] != 2 {
		t.Errorf("with the protocol after reconnecting: %X, then %X, %v", first, second, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Transmit(ended, []byte{0}); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	if err := c.Reconnect(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
}

func TestEndOnlyWhatBegan(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := connected(t, f)
	f.calls = nil
	for _, do := range []func() error{
		func() error { return c.End(card.ResetCard) },
		func() error { return c.Begin(t.Context()) },
		func() error { return c.End(card.ResetCard) },
		func() error { return c.End(card.ResetCard) },
		func() error { return c.Begin(t.Context()) },
		func() error { return c.End(card.LeaveCard) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"begin", "end with reset", "begin", "end"}, f.calls); diff != "" {
		t.Error(diff)
	}
}

func TestBeginThatWasGivenUp(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"then closed": false, "then begun again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.holding = make(chan struct{})
				c := connected(t, f)
				short, cancel := context.WithTimeout(t.Context(), card.BusyWait)
				defer cancel()
				if err := c.Begin(short); !errors.Is(err, card.ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if again {
					time.AfterFunc(time.Second, func() { close(f.holding) })
					if err := c.Begin(t.Context()); err != nil {
						t.Error(err)
					}
					if err := c.End(card.LeaveCard); err != nil {
						t.Error(err)
					}
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if !again {
					if f.left() != 2 {
						t.Error("the handle went away under the call")
					}
					close(f.holding)
				}
				synctest.Wait()
				if n := f.left(); n != 0 {
					t.Errorf("%d not given back", n)
				}
				want := []string{"begin", "end", "disconnect"}
				if got := f.calls[len(f.calls)-3:]; !slices.Equal(got, want) {
					t.Errorf("calls %q, want %q at the end", got, want)
				}
			})
		})
	}
}
