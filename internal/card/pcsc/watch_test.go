package pcsc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"latchkey/internal/card"
)

// step is a change and what the watch says of it.
type step struct {
	name string
	do   func()
	want card.Snapshot
}

func sees(name string, p card.Presence, insertions int) card.Reader {
	r := card.Reader{Name: name, Presence: p, Insertions: insertions}
	if p == card.Present {
		r.ATR = []byte{0x3B, 0x00}
	}
	return r
}

func snapshot(readers ...card.Reader) card.Snapshot { return card.Snapshot{Readers: readers} }

// play watches the fake through the steps, in a bubble. patience is how long,
// on the bubble's clock, a change may go unnoticed.
func play(t *testing.T, f *fake, patience time.Duration, steps []step) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	watch := f.service().Watch(ctx)
	for _, s := range steps {
		s.do()
		time.Sleep(patience) // the bubble's clock, which takes no time
		synctest.Wait()
		select {
		case got := <-watch:
			if diff := cmp.Diff(s.want, got, cmpopts.EquateErrors()); diff != "" {
				t.Errorf("%s: %s", s.name, diff)
			}
		default:
			t.Errorf("%s: nothing was said", s.name)
		}
	}
	cancel()
	for range watch {
	}
	if n := f.left(); n != 0 {
		t.Errorf("%d contexts were not given back", n)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		play(t, f, time.Millisecond, []step{
			{"no reader", func() {}, card.Snapshot{Err: card.ErrNoReader}},
			{"a reader", func() { f.reader("A", stateEmpty) }, snapshot(sees("A", card.Empty, 0))},
			{"a card", func() { f.reader("A", 1<<16|statePresent) }, snapshot(sees("A", card.Present, 1))},
			{"in use", func() { f.reader("A", 1<<16|statePresent|stateExclusive) }, snapshot(sees("A", card.InUse, 1))},
			{"out", func() { f.reader("A", 2<<16|stateEmpty) }, snapshot(sees("A", card.Empty, 1))},
			{"upside down", func() { f.reader("A", 3<<16|statePresent|stateMute) }, snapshot(sees("A", card.Mute, 2))},
			{"out and in between two looks", func() { f.reader("A", 5<<16|statePresent) }, snapshot(sees("A", card.Present, 3))},
			{"a second reader", func() { f.reader("B", stateEmpty) }, snapshot(sees("A", card.Present, 3), sees("B", card.Empty, 0))},
			{"first unplugged", func() { f.set(func() { delete(f.events, "A"); f.order = []string{"B"} }) }, snapshot(sees("B", card.Empty, 0))},
		})
		if f.waits > 40 {
			t.Errorf("the service was asked %d times", f.waits)
		}
	})
}

func TestWatchSurvivesTheService(t *testing.T) {
	t.Parallel()
	for _, gone := range []code{eNoService, eServiceStopped, eInvalidHandle, errorBrokenPipe, 0x80100001} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t)
			f.reader("A", 1<<16|statePresent)
			play(t, f, absent+time.Millisecond, []step{
				{"there", func() {}, snapshot(sees("A", card.Present, 1))},
				{"gone", func() { f.set(func() { f.down = gone }) }, card.Snapshot{Err: card.ErrNoService}},
				{"back", func() { f.set(func() { f.down = 0 }) }, snapshot(sees("A", card.Present, 1))},
			})
		})
	}
}

// A service that does not know the name for "a reader comes or goes" is asked
// now and then, never without pause.
func TestWatchWithoutNewsOfReaders(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(*fake){
		"no reader at first": func(*fake) {},
		"a reader at first":  func(f *fake) { f.reader("A", stateEmpty) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				f.noPnP = eUnknownReader
				first(f)
				start := step{"start", func() {}, card.Snapshot{Err: card.ErrNoReader}}
				if len(f.order) == 1 {
					start.want = snapshot(sees("A", card.Empty, 0))
				}
				play(t, f, 3*time.Second, []step{start,
					{"a card", func() { f.reader("A", 1<<16|statePresent) }, snapshot(sees("A", card.Present, 1))},
					{"a second reader", func() { f.reader("B", stateEmpty) }, snapshot(sees("A", card.Present, 1), sees("B", card.Empty, 0))},
				})
				if f.waits > 40 {
					t.Errorf("the service was asked %d times in a few seconds", f.waits)
				}
			})
		})
	}
}

func TestWatchWithoutALibrary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		s, installed := f.service(), false
		s.load = func() (winscard, error) {
			if !installed {
				return nil, errors.New("no such library")
			}
			return f, nil
		}
		if _, err := s.Connect(t.Context(), "A"); !errors.Is(err, card.ErrNoService) {
			t.Errorf("connect: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		watch := s.Watch(ctx)
		if got := <-watch; !errors.Is(got.Err, card.ErrNoService) {
			t.Errorf("got %+v", got)
		}
		s.mu.Lock()
		installed = true
		s.mu.Unlock()
		if got := <-watch; !errors.Is(got.Err, card.ErrNoReader) {
			t.Errorf("after it was installed: %+v", got)
		}
		cancel()
		for range watch {
		}
	})
}
