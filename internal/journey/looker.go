package journey

import (
	"context"
	"slices"
	"sync"
	"time"

	"latchkey/internal/card"
	"latchkey/internal/problem"
)

// glance reads what a card says of its passcode, for the start page.
func (e *Engine) glance(ctx context.Context, reader string) Card {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	unusable := func(err error) Card {
		return Card{Reader: reader, State: CardUnusable, Problem: Fault(err)}
	}
	application := ""
	c, done, err := e.open(ctx, reader, readTimeout, e.meant(&application))
	if err != nil {
		return unusable(err)
	}
	defer done(card.LeaveCard)
	id, err := c.Identity(ctx)
	if err != nil {
		return unusable(err)
	}
	state, err := c.State(ctx)
	if err != nil {
		return unusable(err)
	}
	seen := Card{Reader: reader, Model: id.Model, Application: application, State: CardUnclear, TriesLeft: left(state.PIN)}
	switch {
	case state.PIN.Blocked():
		seen.State = CardLocked
	case state.PIN.Known:
		seen.State = CardNotLocked
	}
	return seen
}

// staleAfter is how old what a card said may be when somebody looks.
const staleAfter = 3 * time.Second

// looker keeps what the readers see and tells those who watch. Cards are read
// once when they are put in, and again when somebody looks after a while: a
// card says nothing when another program locks it.
type looker struct {
	only   string // this reader only; "" for all
	glance func(ctx context.Context, reader string) Card
	now    func() time.Time

	mu      sync.Mutex
	last    card.Snapshot
	known   bool // there was a snapshot
	seen    map[string]sight
	alone   map[string]bool // readers whose card is being worked on
	watched map[chan Status]bool
	changed chan struct{} // closed at the next snapshot
	poke    chan struct{} // somebody looks
	results chan sight
}

// sight is what was read from one card.
type sight struct {
	card       Card
	insertions int
	reading    bool
	at         time.Time // zero: to be read
}

func newLooker(only string, glance func(context.Context, string) Card) *looker {
	return &looker{only: only, glance: glance, now: time.Now, seen: map[string]sight{}, alone: map[string]bool{},
		watched: map[chan Status]bool{}, changed: make(chan struct{}), poke: make(chan struct{}, 1), results: make(chan sight)}
}

func (l *looker) run(ctx context.Context, readers card.Readers) {
	snapshots := readers.Watch(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case snapshot, ok := <-snapshots:
			if !ok {
				return
			}
			l.take(snapshot)
		case s := <-l.results:
			l.keep(s)
		case <-l.poke:
		}
		l.readCards(ctx)
		l.publish()
	}
}

// take notes a snapshot. What was known of cards that have gone is forgotten.
func (l *looker) take(s card.Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Readers = slices.Clone(s.Readers)
	if l.only != "" {
		s.Readers = slices.DeleteFunc(s.Readers, func(r card.Reader) bool { return r.Name != l.only })
		if len(s.Readers) == 0 && s.Err == nil {
			s.Err = card.ErrNoReader
		}
	}
	l.last, l.known = s, true
	for name, had := range l.seen {
		if r, ok := l.reader(name); !ok || r.Presence != card.Present || r.Insertions != had.insertions {
			delete(l.seen, name)
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *looker) reader(name string) (card.Reader, bool) {
	for _, r := range l.last.Readers {
		if r.Name == name {
			return r, true
		}
	}
	return card.Reader{}, false
}

// keep notes what was read, if the card is still the same.
func (l *looker) keep(s sight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if had, ok := l.seen[s.card.Reader]; ok && had.insertions == s.insertions {
		l.seen[s.card.Reader] = s
	}
}

// readCards begins to read the cards that are new or have not been looked at
// for a while.
func (l *looker) readCards(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.last.Readers {
		s, ok := l.seen[r.Name]
		if r.Presence != card.Present || l.alone[r.Name] || s.reading || ok && !s.at.IsZero() {
			continue
		}
		if !ok {
			s.card = Card{Reader: r.Name, State: CardReading}
		}
		s.insertions, s.reading = r.Insertions, true
		l.seen[r.Name] = s
		go func() {
			read := sight{card: l.glance(ctx, r.Name), insertions: r.Insertions, at: l.now()}
			select {
			case l.results <- read:
			case <-ctx.Done():
			}
		}()
	}
}

// status is what the readers see now.
func (l *looker) status() Status {
	if l.last.Err != nil {
		return Status{Problem: Fault(l.last.Err)}
	}
	var s Status
	for _, r := range l.last.Readers {
		switch r.Presence {
		case card.Present:
			c, ok := l.seen[r.Name]
			if !ok {
				c.card = Card{Reader: r.Name, State: CardReading}
			}
			s.Cards = append(s.Cards, c.card)
		case card.Mute:
			s.Cards = append(s.Cards, Card{Reader: r.Name, State: CardUnusable, Problem: problem.New(problem.CardMute)})
		case card.InUse:
			s.Cards = append(s.Cards, Card{Reader: r.Name, State: CardUnusable, Problem: problem.New(problem.CardBusy)})
		}
	}
	if len(s.Cards) == 0 {
		s.Problem = problem.New(problem.NoCard)
	}
	return s
}

func (l *looker) publish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known {
		return
	}
	for c := range l.watched {
		select {
		case <-c: // the newest is enough
		default:
		}
		c <- l.status()
	}
}

// watch sends what the readers see at once and after each change.
func (l *looker) watch(ctx context.Context) <-chan Status {
	c := make(chan Status, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watched[c] = true
	if l.known {
		c <- l.status()
	}
	for name, s := range l.seen {
		if !s.reading && l.now().Sub(s.at) > staleAfter {
			s.at = time.Time{}
			l.seen[name] = s
		}
	}
	l.wake()
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watched, c)
		close(c)
	})
	return c
}

func (l *looker) wake() {
	select {
	case l.poke <- struct{}{}:
	default: // it is awake already
	}
}

// changes is closed at the next snapshot.
func (l *looker) changes() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// cardIn names a reader with a card in it: the one that is asked for, else the
// only one.
func (l *looker) cardIn(reader string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var present []string
	for _, r := range l.last.Readers {
		if r.Presence == card.Present {
			present = append(present, r.Name)
		}
	}
	switch {
	case slices.Contains(present, reader):
		return reader, true
	case len(present) == 1:
		return present[0], true
	}
	return "", false
}

// leaveAlone keeps from reading the card in a reader while it is worked on,
// and has it read again afterwards.
func (l *looker) leaveAlone(reader string, yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if yes {
		l.alone[reader] = true
		return
	}
	delete(l.alone, reader)
	if s, ok := l.seen[reader]; ok {
		s.at = time.Time{}
		l.seen[reader] = s
	}
	l.wake()
}
