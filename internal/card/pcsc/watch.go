package pcsc

import (
	"context"
	"errors"
	"reflect"
	"time"

	"latchkey/internal/card"
)

// Bits of dwCurrentState and dwEventState (SCardGetStatusChange). The upper
// half counts the reader's events.
const (
	stateUnaware     = 0x0000
	stateIgnore      = 0x0001
	stateChanged     = 0x0002
	stateUnknown     = 0x0004
	stateUnavailable = 0x0008
	stateEmpty       = 0x0010
	statePresent     = 0x0020
	stateExclusive   = 0x0080
	stateMute        = 0x0200
)

const (
	// plugAndPlay is the name that stands for "a reader comes or goes".
	plugAndPlay = `\\?PnP?\Notification`
	// relist is how long to wait in the service, in milliseconds, before the
	// readers are listed again all the same; relistBlind where the service
	// does not tell that a reader comes or goes.
	relist, relistBlind = 60_000, 1_000
	// absent is how long to wait for a service that is not there: nothing
	// tells when it comes.
	absent = time.Second
	// insist is how often a waiting call is told to stop: one that has not
	// begun yet does not hear it.
	insist = 50 * time.Millisecond
)

// Watch sends what the readers see at once and after each change.
func (s *Service) Watch(ctx context.Context) <-chan card.Snapshot {
	out := make(chan card.Snapshot, 1)
	w := &watcher{service: s, out: out, counts: map[string]int{}, seen: map[string]uint32{}}
	go func() {
		defer close(out)
		w.run(ctx)
	}()
	return out
}

// watcher is one watch.
type watcher struct {
	service *Service
	out     chan card.Snapshot
	last    *card.Snapshot
	counts  map[string]int    // insertions
	seen    map[string]uint32 // last event state
	blind   bool              // the service does not know plugAndPlay
	unknown bool              // the last wait ended with a reader that is not known
}

func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		lib, err := w.service.library()
		if err == nil {
			err = w.follow(ctx, lib)
		}
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, card.ErrNoService) {
			w.service.log.Warn("watching the readers begins again", "err", err)
		}
		w.emit(card.Snapshot{Err: card.ErrNoService})
		t := time.NewTimer(absent)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// follow watches within one context of the service until something is wrong.
func (w *watcher) follow(ctx context.Context, lib winscard) error {
	handle, rv := lib.establish()
	if rv != success {
		return rv.fault()
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stopWaiting(ctx, lib, handle, ended)
	}()
	defer lib.release(handle)
	defer func() {
		close(ended)
		<-stopped
	}()
	for ctx.Err() == nil {
		if err := w.round(ctx, lib, handle); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stopWaiting ends the service's wait when ctx ends.
func stopWaiting(ctx context.Context, lib winscard, handle uintptr, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	t := time.NewTicker(insist)
	defer t.Stop()
	for {
		lib.cancel(handle)
		select {
		case <-ended:
			return
		case <-t.C:
		}
	}
}

// round lists the readers and follows them until one comes or goes.
func (w *watcher) round(ctx context.Context, lib winscard, handle uintptr) error {
	names, rv := lib.listReaders(handle)
	if rv != success && rv != eNoReadersAvailable {
		return rv.fault()
	}
	states := make([]readerState, 0, len(names)+1)
	for _, n := range names {
		states = append(states, readerState{name: n})
	}
	timeout := uint32(relistBlind)
	if !w.blind {
		// The count of readers in the upper half tells Windows what we know.
		states = append(states, readerState{name: plugAndPlay, current: uint32(len(names)) << 16})
		timeout = relist
	}
	if len(names) == 0 {
		w.emit(card.Snapshot{Err: card.ErrNoReader})
	}
	return w.wait(ctx, lib, handle, states, len(names), timeout)
}

func (w *watcher) wait(ctx context.Context, lib winscard, handle uintptr, states []readerState, readers int, timeout uint32) error {
	for ctx.Err() == nil {
		if len(states) == 0 { // nothing to wait for
			return pause(ctx, time.Duration(timeout)*time.Millisecond)
		}
		switch rv := lib.statusChange(handle, timeout, states); rv {
		case success:
			w.unknown = false
		case eTimeout, eReaderUnavailable, eCancelled:
			return nil
		case eUnknownReader:
			// A reader went just now, or plugAndPlay is what is not known: the
			// second time it is the latter.
			again := w.unknown
			w.unknown = true
			if readers > 0 && !again {
				return nil
			}
			if w.blind { // a listed reader stays unknown: do not spin
				return pause(ctx, relistBlind*time.Millisecond)
			}
			w.blind = true
			return nil
		default:
			return rv.fault()
		}
		again := false
		for i := range states {
			s := &states[i]
			again = again || i >= readers && s.event&stateChanged != 0 || i < readers && s.event&(stateUnknown|stateUnavailable|stateIgnore) != 0
			w.blind = w.blind || i >= readers && s.event&(stateUnknown|stateIgnore) != 0
			if i < readers || s.event&stateChanged != 0 {
				s.current = s.event &^ stateChanged
			}
		}
		if readers > 0 {
			w.emit(w.snapshot(states[:readers]))
		}
		if again {
			return nil
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return nil
}

func (w *watcher) snapshot(states []readerState) card.Snapshot {
	var s card.Snapshot
	for _, r := range states {
		if r.event&(stateUnknown|stateUnavailable|stateIgnore) != 0 {
			continue
		}
		before := w.seen[r.name]
		w.seen[r.name] = r.event
		present := r.event&statePresent != 0
		if present && (before&statePresent == 0 || before>>16 != r.event>>16) {
			w.counts[r.name]++
		}
		out := card.Reader{Name: r.name, Presence: presence(r.event), Insertions: w.counts[r.name]}
		if out.Presence == card.Present {
			out.ATR = r.atr
		}
		s.Readers = append(s.Readers, out)
	}
	if len(s.Readers) == 0 {
		s.Err = card.ErrNoReader
	}
	return s
}

func presence(event uint32) card.Presence {
	switch {
	case event&statePresent == 0:
		return card.Empty
	case event&stateMute != 0:
		return card.Mute
	case event&stateExclusive != 0:
		return card.InUse
	}
	return card.Present
}

// emit sends a snapshot that says something else than the last. Where the
// receiver has not taken the one before, it gets the newest alone.
func (w *watcher) emit(s card.Snapshot) {
	if w.last != nil && reflect.DeepEqual(*w.last, s) {
		return
	}
	w.last = &s
	select {
	case <-w.out:
	default:
	}
	w.out <- s
}
