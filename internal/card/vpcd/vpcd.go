// Package vpcd connects a card in software to the virtual reader of the
// vsmartcard project, whose driver runs in pcscd and listens on TCP.
//
// A message is two bytes of length, most significant first, and that many
// bytes. From the reader: one byte is a control command (power off 0, power on
// 1, reset 2, get ATR 4), anything else a command APDU. To the reader: the ATR
// or the response APDU. Closing the connection takes the card out.
package vpcd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// Card is what is put into the reader; emulator.Card is one.
type Card interface {
	ATR() []byte
	Reset()
	// Transmit answers a command APDU. An error takes the card out.
	Transmit(command []byte) ([]byte, error)
}

// Control commands.
const (
	powerOff = 0
	powerOn  = 1
	reset    = 2
	getATR   = 4
)

// Options of Serve.
type Options struct {
	// BackAfter is how long a card stays out of the reader after Transmit has
	// failed; 0: for good, Serve returns that error.
	BackAfter time.Duration
	// Ready is called each time the card is in the reader.
	Ready func()
	Log   *slog.Logger
}

const (
	dialTimeout = 2 * time.Second
	firstWait   = 50 * time.Millisecond
	lastWait    = 2 * time.Second
)

// Serve puts a card into the reader at address until ctx ends. It waits for a
// reader that is not there and comes back to one that starts again.
func Serve(ctx context.Context, address string, c Card, o Options) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	wait := firstWait
	for ctx.Err() == nil {
		served, err := session(ctx, address, c, o)
		var out cardError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &out) && o.BackAfter == 0:
			return out.error
		case errors.As(err, &out):
			o.Log.Info("card taken out", "err", out.error)
			wait = o.BackAfter
		case served:
			wait = firstWait
		default:
			wait = min(2*wait, lastWait)
		}
		o.Log.Debug("card not in the reader", "err", err)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
		case <-t.C:
		}
	}
	return nil
}

// cardError is an error of the card, not of the connection.
type cardError struct{ error }

// session is one connection: the card is in the reader. served says that the
// reader asked for something.
func session(ctx context.Context, address string, c Card, o Options) (served bool, err error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false, fmt.Errorf("find the reader: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	c.Reset()
	r := bufio.NewReader(quickAck(conn))
	for {
		message, err := Read(r)
		if err != nil {
			return served, fmt.Errorf("hear from the reader: %w", err)
		}
		if !served && o.Ready != nil {
			o.Ready()
		}
		served = true
		answer, err := answer(c, message)
		if err != nil {
			return served, cardError{err}
		}
		if answer == nil {
			continue
		}
		if err := Write(conn, answer); err != nil {
			return served, fmt.Errorf("answer the reader: %w", err)
		}
	}
}

// answer is what goes back to the reader, nil for nothing.
func answer(c Card, message []byte) ([]byte, error) {
	switch {
	case len(message) == 0:
		return nil, nil
	case len(message) > 1:
		return c.Transmit(message)
	}
	switch message[0] {
	case getATR:
		return c.ATR(), nil
	case powerOff, powerOn, reset:
		c.Reset()
	}
	return nil, nil
}

// Read reads one message.
func Read(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, fmt.Errorf("message cut off: %w", err)
	}
	return message, nil
}

// Write writes one message of at most 65535 bytes, in one packet.
func Write(w io.Writer, message []byte) error {
	if len(message) > 0xFFFF {
		return errors.New("message too long")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}
