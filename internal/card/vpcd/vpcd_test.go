package vpcd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"latchkey/internal/card/vpcd"
)

var errBroken = errors.New("broken")

// echo is a card that answers with the command, but fails at a command FF.
type echo struct{ resets, commands atomic.Int32 }

func (e *echo) ATR() []byte { return []byte{0x3B, 0x00} }
func (e *echo) Reset()      { e.resets.Add(1) }
func (e *echo) Transmit(command []byte) ([]byte, error) {
	e.commands.Add(1)
	if command[0] == 0xFF {
		return nil, errBroken
	}
	return command, nil
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// rig is a reader of the test's own, with a card program that serves it.
type rig struct {
	t        *testing.T
	listener net.Listener
	card     *echo
	cancel   context.CancelFunc
	result   chan error
}

func start(t *testing.T, o vpcd.Options) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &rig{t: t, listener: l, card: &echo{}, cancel: cancel, result: make(chan error, 1)}
	go func() { r.result <- vpcd.Serve(ctx, l.Addr().String(), r.card, o) }()
	t.Cleanup(func() { cancel(); _ = l.Close() })
	return r
}

// accept waits for the card.
func (r *rig) accept() net.Conn {
	r.t.Helper()
	if err := r.listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	c, err := r.listener.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a message and reads the answer.
func (r *rig) ask(c net.Conn, message string) string {
	r.t.Helper()
	if err := vpcd.Write(c, []byte(message)); err != nil {
		r.t.Fatal(err)
	}
	answer, err := vpcd.Read(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(answer)
}

func (r *rig) end() error {
	r.t.Helper()
	select {
	case err := <-r.result:
		return err
	case <-time.After(patience):
		r.t.Fatal("Serve goes on")
		return nil
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	var ready atomic.Int32
	r := start(t, vpcd.Options{Ready: func() { ready.Add(1) }})
	c := r.accept()
	if got := r.ask(c, "\x04"); got != "\x3B\x00" {
		t.Errorf("ATR %X", got)
	}
	// Power off, on, reset, an unknown one and an empty one have no answer: the
	// next answer is that of the command behind them.
	for _, control := range []string{"\x00", "\x01", "\x02", "\x09", ""} {
		if err := vpcd.Write(c, []byte(control)); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("\xAA", 0xFFFF)
	for _, command := range []string{"\x00\xA4\x04\x00", long} {
		if got := r.ask(c, command); got != command {
			t.Errorf("a command of %d bytes came back as %d", len(command), len(got))
		}
	}
	if got := r.card.resets.Load(); got != 1+3 {
		t.Errorf("%d resets, want one for the connection and three asked for", got)
	}
	if ready.Load() != 1 {
		t.Errorf("ready %d times", ready.Load())
	}
	r.cancel()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the card was not taken out: %v", err)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestCardComesBackToAReaderThatStartsAgain(t *testing.T) {
	t.Parallel()
	var ready atomic.Int32
	r := start(t, vpcd.Options{Ready: func() { ready.Add(1) }})
	for range 2 {
		c := r.accept()
		r.ask(c, "\x04")
		_ = c.Close()
	}
	r.ask(r.accept(), "\x04")
	if ready.Load() != 3 {
		t.Errorf("ready %d times", ready.Load())
	}
}

func TestFailureOfTheCardEndsServe(t *testing.T) {
	t.Parallel()
	r := start(t, vpcd.Options{})
	if err := vpcd.Write(r.accept(), []byte{0xFF, 0x00}); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

func TestFailedCardIsPutBack(t *testing.T) {
	t.Parallel()
	r := start(t, vpcd.Options{BackAfter: time.Millisecond})
	c := r.accept()
	if err := vpcd.Write(c, []byte{0xFF, 0x00}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the card is still in: %v", err)
	}
	if got := r.ask(r.accept(), "\x00\xA4"); got != "\x00\xA4" {
		t.Errorf("got %X", got)
	}
}

func TestNoReader(t *testing.T) {
	t.Parallel()
	r := start(t, vpcd.Options{})
	_ = r.listener.Close()
	r.cancel()
	if err := r.end(); err != nil {
		t.Errorf("waiting for a reader ended with %v", err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, want string
		err            error
	}{
		{"empty message", "\x00\x00", "", nil},
		{"one byte", "\x00\x01\x04", "\x04", nil},
		{"more behind it", "\x00\x02AB\x00\x01", "AB", nil},
		{"nothing", "", "", io.EOF},
		{"half a length", "\x00", "", io.ErrUnexpectedEOF},
		{"no message", "\x00\x02", "", io.EOF},
		{"half a message", "\x00\x02A", "", io.ErrUnexpectedEOF},
	} {
		got, err := vpcd.Read(iotest.OneByteReader(strings.NewReader(c.in)))
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

// packets counts how many writes a message takes.
type packets struct {
	bytes.Buffer
	n int
}

func (p *packets) Write(b []byte) (int, error) { p.n++; return p.Buffer.Write(b) }

func TestWrite(t *testing.T) {
	t.Parallel()
	var p packets
	if err := vpcd.Write(&p, []byte("AB")); err != nil || p.String() != "\x00\x02AB" || p.n != 1 {
		t.Errorf("%q in %d packets, %v", p.String(), p.n, err)
	}
	if err := vpcd.Write(io.Discard, make([]byte, 0xFFFF)); err != nil {
		t.Error(err)
	}
	if err := vpcd.Write(io.Discard, make([]byte, 0x10000)); err == nil {
		t.Error("a message that is too long was written")
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"", "\x00", "\x00\x00", "\x00\x01\x04", "\x00\x05\x00\xA4\x04\x00\x00", "\xFF\xFFA"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		message, err := vpcd.Read(bytes.NewReader(b))
		if err != nil {
			if message != nil {
				t.Fatalf("%X with %v", message, err)
			}
			return
		}
		var again bytes.Buffer
		if err := vpcd.Write(&again, message); err != nil || !bytes.HasPrefix(b, again.Bytes()) {
			t.Fatalf("%X became %X, %v", b, again.Bytes(), err)
		}
	})
}
