package emulator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"latchkey/internal/card"
)

// Readers are card readers in this process that behave like those of a PC/SC
// service, for tests and for machines without one. They are safe for use by
// many goroutines.
type Readers struct {
	mu      sync.Mutex
	down    bool
	order   []string
	slots   map[string]*slot
	changed chan struct{} // closed at each change

	// Kept also for readers that were unplugged.
	insertions map[string]int
	generation int // counts cards put in or taken out, of all readers
}

// slot is one reader.
type slot struct {
	card       *Card
	generation int   // of the card in it: a card that left is gone for its connections
	resets     int   // resets of the card since it was put in
	holder     *conn // whose transaction it is
}

var _ card.Readers = (*Readers)(nil)

// NewReaders makes empty readers.
func NewReaders(names ...string) *Readers {
	r := &Readers{slots: map[string]*slot{}, changed: make(chan struct{}), insertions: map[string]int{}}
	for _, n := range names {
		r.order = append(r.order, n)
		r.slots[n] = &slot{}
	}
	return r
}

// change changes the readers and wakes those who wait.
func (r *Readers) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.wake()
}

func (r *Readers) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Insert puts a card into a reader, which is made where it is not there.
func (r *Readers) Insert(reader string, c *Card) {
	c.Reset()
	r.change(func() {
		s := r.slots[reader]
		if s == nil {
			s = &slot{}
			r.order, r.slots[reader] = append(r.order, reader), s
		}
		r.generation++
		r.insertions[reader]++
		s.card, s.holder, s.generation = c, nil, r.generation
	})
}

// Remove takes the card out of a reader.
func (r *Readers) Remove(reader string) {
	r.change(func() {
		if s := r.slots[reader]; s != nil {
			r.remove(s)
		}
	})
}

func (r *Readers) remove(s *slot) {
	r.generation++
	s.card, s.holder, s.generation = nil, nil, r.generation
}

// Unplug takes a reader away.
func (r *Readers) Unplug(reader string) {
	r.change(func() {
		delete(r.slots, reader)
		for i, n := range r.order {
			if n == reader {
				r.order = append(r.order[:i:i], r.order[i+1:]...)
				return
			}
		}
	})
}

// SetService starts or stops the service that the readers belong to.
func (r *Readers) SetService(up bool) { r.change(func() { r.down = !up }) }

// Watch sends what the readers see at once and after each change.
func (r *Readers) Watch(ctx context.Context) <-chan card.Snapshot {
	out := make(chan card.Snapshot, 1)
	go func() {
		defer close(out)
		for {
			r.mu.Lock()
			s, changed := r.snapshot(), r.changed
			r.mu.Unlock()
			select {
			case <-out: // the newest is enough
			default:
			}
			out <- s
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}()
	return out
}

func (r *Readers) snapshot() card.Snapshot {
	switch {
	case r.down:
		return card.Snapshot{Err: card.ErrNoService}
	case len(r.order) == 0:
		return card.Snapshot{Err: card.ErrNoReader}
	}
	var out card.Snapshot
	for _, name := range r.order {
		s := r.slots[name]
		reader := card.Reader{Name: name, Insertions: r.insertions[name]}
		if s.card != nil {
			reader.Presence, reader.ATR = card.Present, s.card.ATR()
		}
		out.Readers = append(out.Readers, reader)
	}
	return out
}

// Connect opens a shared connection to the card in a reader.
func (r *Readers) Connect(_ context.Context, reader string) (card.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.slots[reader]
	switch {
	case r.down:
		return nil, card.ErrNoService
	case s == nil:
		return nil, card.ErrReaderGone
	case s.card == nil:
		return nil, card.ErrNoCard
	}
	return &conn{readers: r, reader: reader, card: s.card, generation: s.generation, resets: s.resets}, nil
}

// conn is a connection to one card.
type conn struct {
	readers    *Readers
	reader     string
	card       *Card
	generation int
	resets     int
}

func (c *conn) ATR() []byte { return c.card.ATR() }

// slot gives the reader if the card of the connection is still in it and was
// not reset by another. The caller holds the lock.
func (c *conn) slot() (*slot, error) {
	s := c.readers.slots[c.reader]
	switch {
	case c.readers.down:
		return nil, card.ErrNoService
	case s == nil:
		return nil, card.ErrReaderGone
	case s.generation != c.generation:
		return nil, card.ErrRemoved
	case s.resets != c.resets:
		return s, card.ErrReset
	}
	return s, nil
}

func (c *conn) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if err := c.wait(ctx, false); err != nil {
		return nil, err
	}
	answer, err := c.card.Transmit(command)
	if err == nil {
		c.readers.mu.Lock()
		defer c.readers.mu.Unlock()
		_, err = c.slot() // it may have left while it was thinking
		return answer, err
	}
	if errors.Is(err, ErrTorn) {
		c.readers.change(func() {
			if s := c.readers.slots[c.reader]; s != nil && s.generation == c.generation {
				c.readers.remove(s)
			}
		})
		return nil, fmt.Errorf("%w: %w", card.ErrRemoved, err)
	}
	return nil, err
}

// wait waits until no other connection has a transaction, and begins one.
func (c *conn) wait(ctx context.Context, begin bool) error {
	for {
		c.readers.mu.Lock()
		s, err := c.slot()
		if err == nil && (s.holder == nil || s.holder == c) {
			if begin {
				s.holder = c
			}
			c.readers.mu.Unlock()
			return nil
		}
		changed := c.readers.changed
		c.readers.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", card.ErrBusy, ctx.Err())
		}
	}
}

func (c *conn) Begin(ctx context.Context) error { return c.wait(ctx, true) }

func (c *conn) End(d card.Disposition) error {
	c.readers.mu.Lock()
	defer c.readers.mu.Unlock()
	s, err := c.slot()
	if err != nil {
		return err
	}
	if s.holder != c {
		return nil // no transaction to end
	}
	s.holder = nil
	if d == card.ResetCard {
		c.card.Reset()
		s.resets++
		c.resets = s.resets
	}
	c.readers.wake()
	return nil
}

func (c *conn) Reconnect(context.Context) error {
	c.readers.mu.Lock()
	defer c.readers.mu.Unlock()
	s, err := c.slot()
	if err != nil && !errors.Is(err, card.ErrReset) {
		return err
	}
	c.resets = s.resets
	return nil
}

func (c *conn) Close() error {
	c.readers.change(func() {
		if s := c.readers.slots[c.reader]; s != nil && s.holder == c {
			s.holder = nil
		}
	})
	return nil
}
