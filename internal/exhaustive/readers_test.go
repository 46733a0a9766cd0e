package exhaustive

import (
	"context"
	"sync/atomic"

	"latchkey/internal/card"
)

// hands are an application's way to the cards.
type hands struct {
	card.Readers
	w    *world
	dead *atomic.Bool // the application was killed
	kill func()
}

func (h *hands) Connect(ctx context.Context, reader string) (card.Conn, error) {
	if h.dead.Load() {
		return nil, card.ErrNoService
	}
	c, err := h.Readers.Connect(ctx, reader)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: c, h: h}, nil
}

// wire carries commands to a card.
type wire struct {
	card.Conn
	h *hands
}

func (c *wire) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if c.h.dead.Load() {
		return nil, card.ErrNoService
	}
	w := c.h.w
	kind := w.atCommand()
	switch kind {
	case tornBefore:
		w.takeOut(w.readers.Remove)
		return nil, card.ErrRemoved
	case appKilledBeforeCommand:
		c.h.kill()
		return nil, card.ErrNoService
	}
	answer, err := c.Conn.Transmit(ctx, command)
	w.looksAtTries(command)
	switch kind {
	case tornAfter:
		w.takeOut(w.readers.Remove)
		return nil, card.ErrRemoved
	case readerGone:
		w.takeOut(w.readers.Unplug)
		return nil, card.ErrReaderGone
	case appKilledAfterCommand:
		c.h.kill()
		return nil, card.ErrNoService
	}
	return answer, err
}

// End of a killed application does nothing: PC/SC resets the card when its
// context goes.
func (c *wire) End(d card.Disposition) error {
	if c.h.dead.Load() {
		d = card.ResetCard
	} else if d == card.ResetCard { // the end of the work; a look leaves the card as it is
		c.h.w.workEnds()
	}
	return c.Conn.End(d)
}
