package smpp_test

import (
	"context"
	"errors"
	"net"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/smpp"
	"latchkey/internal/deliver/text/texttest"
)

// muting is a message centre's end of a connection, whose answers can be kept
// from arriving.
type muting struct {
	net.Conn
	mute *atomic.Bool
}

func (m muting) Write(b []byte) (int, error) {
	if m.mute.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// piped is a provider that is connected to s by a pipe, in the bubble's time.
func piped(t *testing.T, s *texttest.SMPP, mute *atomic.Bool) *smpp.SMPP {
	p, err := smpp.New(s.Options())
	if err != nil {
		t.Fatal(err)
	}
	p.DialBy(func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go s.Serve(muting{theirs, mute})
		return ours, nil
	})
	return p
}

func TestNoAnswer(t *testing.T) {
	s := centre(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var mute atomic.Bool
		p := piped(t, s, &mute)
		defer p.Close()
		if _, err := p.Send(t.Context(), text.Message{To: someone, Body: "x"}); err != nil {
			t.Fatal(err)
		}
		mute.Store(true)
		start := time.Now()
		_, err := p.Send(t.Context(), text.Message{To: someone, Body: "x"})
		fault(t, err, text.Unclear, "no-answer")
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it took %s", took)
		}
		// The caller may have less time.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = p.Send(ctx, text.Message{To: someone, Body: "x"})
		fault(t, err, text.Unclear, "no-answer")
		mute.Store(false)
		if _, err := p.Send(t.Context(), text.Message{To: someone, Body: "x"}); err != nil {
			t.Errorf("answers come again: %v", err)
		}
		if n := s.Binds(); n != 1 {
			t.Errorf("bound %d times", n)
		}
	})
}

func TestNotLetInInTime(t *testing.T) {
	s := centre(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var mute atomic.Bool
		mute.Store(true)
		p := piped(t, s, &mute)
		_, err := p.Send(t.Context(), text.Message{To: someone, Body: "x"})
		fault(t, err, text.Away, "no-bind")
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestEnquireLink lets the other side fall silent: that is noticed, and another
// connection made.
func TestEnquireLink(t *testing.T) {
	s := centre(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var mute atomic.Bool
		p := piped(t, s, &mute)
		defer p.Close()
		p.Receipts(func(text.Receipt) {})
		time.Sleep(10*time.Minute + time.Second) // between two questions
		if n := s.Binds(); n != 1 {
			t.Fatalf("bound %d times while it answers", n)
		}
		mute.Store(true) // asked at the next half minute, given up 10 s later
		time.Sleep(38 * time.Second)
		mute.Store(false)
		time.Sleep(1500 * time.Millisecond)
		if n := s.Binds(); n != 1 {
			t.Errorf("bound %d times a second too early", n)
		}
		time.Sleep(time.Second)
		if n := s.Binds(); n != 2 {
			t.Errorf("bound %d times after it fell silent", n)
		}
	})
}

// TestPauses are between attempts to connect, in the background.
func TestPauses(t *testing.T) {
	s := centre(t, nil)
	synctest.Test(t, func(t *testing.T) {
		p, err := smpp.New(s.Options())
		if err != nil {
			t.Fatal(err)
		}
		var at []int
		start := time.Now()
		p.DialBy(func(context.Context) (net.Conn, error) {
			at = append(at, int(time.Since(start)/time.Second))
			return nil, errors.New("nobody there")
		})
		p.Receipts(func(text.Receipt) {})
		time.Sleep(4 * time.Minute)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if want := []int{0, 1, 3, 7, 15, 31, 63, 123, 183}; !reflect.DeepEqual(at, want) {
			t.Errorf("tried at %v, want %v", at, want)
		}
	})
}
