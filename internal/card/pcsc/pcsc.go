// Package pcsc speaks to the PC/SC service of the workstation (PC/SC Workgroup
// specifications parts 5 and 6; pcsc-lite on Linux, winscard on Windows, the
// PCSC framework on macOS) without cgo.
//
// It promises what card.Readers and card.Conn ask for. The library is looked
// for when it is needed, so a workstation without one is card.ErrNoService and
// no crash, and one that is installed later is found.
package pcsc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"latchkey/internal/card"
)

// winscard is the part of the PC/SC interface that we use, the same on the
// three platforms. Results are SCARD_ codes, 0 for success.
type winscard interface {
	establish() (context uintptr, rv code)
	release(context uintptr) code
	listReaders(context uintptr) ([]string, code)
	// statusChange blocks until one of the states changes, for timeout
	// milliseconds, or until cancel.
	statusChange(context uintptr, timeout uint32, states []readerState) code
	cancel(context uintptr) code
	connect(context uintptr, reader string) (handle uintptr, protocol uint32, rv code)
	reconnect(handle uintptr) (protocol uint32, rv code)
	disconnect(handle uintptr, disposition uint32) code
	begin(handle uintptr) code
	end(handle uintptr, disposition uint32) code
	transmit(handle uintptr, protocol uint32, command, answer []byte) (n int, rv code)
	atr(handle uintptr) ([]byte, code)
}

// readerState is SCARD_READERSTATE.
type readerState struct {
	name           string
	current, event uint32
	atr            []byte
}

// Options of New.
type Options struct {
	Log *slog.Logger
	// Socket is the path of the service's socket, for a service other than the
	// system's (pcsc-lite on Linux alone). It counts for the whole process.
	Socket string
}

// Service is the PC/SC service. It is safe for use by many goroutines.
type Service struct {
	log  *slog.Logger
	load func() (winscard, error)
	mu   sync.Mutex
	lib  winscard
}

var _ card.Readers = (*Service)(nil)

// New makes a Service. It does not touch the library yet.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{log: o.Log, load: func() (winscard, error) { return loadLibrary(o.Socket) }}
}

// library loads the library once it can be found.
func (s *Service) library() (winscard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lib != nil {
		return s.lib, nil
	}
	lib, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", card.ErrNoService, err)
	}
	s.lib = lib
	return lib, nil
}

// Connect opens a shared connection to the card in a reader. Each connection
// has a context of its own, so that one that blocks keeps no other waiting.
func (s *Service) Connect(ctx context.Context, reader string) (card.Conn, error) {
	lib, err := s.library()
	if err != nil {
		return nil, err
	}
	type result struct {
		conn *conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		c, err := connect(lib, reader)
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("connect to the card: %w", r.err)
		}
		return r.conn, nil
	case <-ctx.Done():
		go func() { // the reader is slow: let go of it when it answers
			if r := <-done; r.conn != nil {
				_ = r.conn.Close()
			}
		}()
		return nil, fmt.Errorf("connect to the card: %w: %w", card.ErrBusy, ctx.Err())
	}
}

func connect(lib winscard, reader string) (*conn, error) {
	context, rv := lib.establish()
	if rv != success {
		return nil, rv.fault()
	}
	handle, protocol, rv := lib.connect(context, reader)
	if rv != success {
		lib.release(context)
		return nil, rv.fault()
	}
	c := &conn{lib: lib, context: context, handle: handle, protocol: protocol}
	if c.answerToReset, rv = lib.atr(handle); rv != success {
		return nil, errors.Join(rv.fault(), c.Close())
	}
	return c, nil
}
