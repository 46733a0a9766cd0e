package pcsc

import (
	"context"
	"fmt"

	"latchkey/internal/card"
)

// maxAnswer is the longest response APDU in bytes: extended length and the
// status bytes (ISO/IEC 7816-4 section 5.1).
const maxAnswer = 1<<16 + statusWord

// statusWord is the length of the shortest response APDU in bytes.
const statusWord = 2

// Dispositions of SCardEndTransaction and SCardDisconnect.
const (
	leaveCard = 0
	resetCard = 1
)

// conn is a connection to one card.
type conn struct {
	lib           winscard
	context       uintptr
	handle        uintptr
	protocol      uint32
	answerToReset []byte
	answer        []byte // buffer, made once
	transacted    bool
	unreset       bool      // a reset at the end of a transaction has failed
	pending       chan code // a Begin that was given up and has not come back
}

func (c *conn) ATR() []byte { return c.answerToReset }

func (c *conn) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("send a command: %w", err)
	}
	if c.answer == nil {
		c.answer = make([]byte, maxAnswer)
	}
	n, rv := c.lib.transmit(c.handle, c.protocol, command, c.answer)
	if rv != success {
		return nil, fmt.Errorf("send a command: %w", rv.fault())
	}
	if n < statusWord { // drivers say so of a card that was torn out meanwhile
		return nil, fmt.Errorf("send a command: %d bytes came back: %w", n, card.ErrRemoved)
	}
	return append([]byte(nil), c.answer[:n]...), nil
}

// Begin waits in the service's own call, which nothing can interrupt: where
// ctx ends first, the next Begin takes that call up, and Close ends the
// transaction as soon as it begins.
func (c *conn) Begin(ctx context.Context) error {
	if c.pending == nil {
		c.pending = make(chan code, 1)
		go func(done chan<- code) { done <- c.lib.begin(c.handle) }(c.pending)
	}
	select {
	case rv := <-c.pending:
		c.pending = nil
		if rv != success {
			return fmt.Errorf("begin a transaction: %w", rv.fault())
		}
		c.transacted = true
		return nil
	case <-ctx.Done():
		return fmt.Errorf("begin a transaction: %w: %w", card.ErrBusy, ctx.Err())
	}
}

func (c *conn) End(d card.Disposition) error {
	if !c.transacted {
		return nil
	}
	c.transacted = false
	how := uint32(leaveCard)
	if d == card.ResetCard {
		how = resetCard
	}
	if rv := c.lib.end(c.handle, how); rv != success {
		c.unreset = d == card.ResetCard // then at the latest when we let go
		return fmt.Errorf("end a transaction: %w", rv.fault())
	}
	return nil
}

func (c *conn) Reconnect(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reconnect: %w", err)
	}
	c.transacted = false
	protocol, rv := c.lib.reconnect(c.handle)
	if rv != success {
		return fmt.Errorf("reconnect: %w", rv.fault())
	}
	c.protocol = protocol
	return nil
}

func (c *conn) Close() error {
	if c.pending != nil {
		go func() { // the handle must live until the call comes back
			if <-c.pending == success {
				c.lib.end(c.handle, leaveCard)
			}
			_ = c.close()
		}()
		return nil
	}
	return c.close()
}

func (c *conn) close() error {
	how := uint32(leaveCard)
	if c.unreset {
		how = resetCard
	}
	rv := c.lib.disconnect(c.handle, how)
	c.lib.release(c.context)
	if rv != success {
		return fmt.Errorf("disconnect: %w", rv.fault())
	}
	return nil
}
