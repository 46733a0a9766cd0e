package adopt

import (
	"context"
	"strings"
	"time"

	"latchkey/internal/card"
	"latchkey/internal/problem"
)

// slot follows the readers until the end of its context.
type slot struct {
	only      string
	snapshots <-chan card.Snapshot
	last      card.Snapshot
	known     bool // there was a snapshot
}

func (d *Desk) watch(ctx context.Context) *slot {
	return &slot{only: d.Reader, snapshots: d.Readers.Watch(ctx)}
}

// next waits for the next snapshot. late, where not nil, ends that: then it is false.
func (s *slot) next(ctx context.Context, late <-chan time.Time) (bool, error) {
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-late:
		return false, nil
	case now, ok := <-s.snapshots:
		if !ok {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			return false, problem.New(problem.NoReaderService)
		}
		s.last, s.known = now, true
		return true, nil
	}
}

// refresh takes up what the readers have seen meanwhile.
func (s *slot) refresh() {
	for {
		select {
		case now, ok := <-s.snapshots:
			if !ok {
				return
			}
			s.last, s.known = now, true
		default:
			return
		}
	}
}

// card waits for the one card. say is told what is in the way, each thing once.
// With patience it gives up after that time, with the last of these; without a
// PC/SC service it does so at once.
func (s *slot) card(ctx context.Context, patience time.Duration, say func(*problem.Problem)) (card.Reader, error) {
	var late <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		late = t.C
	}
	said := problem.New(problem.NoCard)
	s.refresh()
	for {
		if s.known {
			r, p := choose(s.last, s.only)
			if p == nil {
				return r, nil
			}
			if patience > 0 && p.Code == problem.NoReaderService {
				return card.Reader{}, p
			}
			if p.Code != said.Code {
				say(p)
			}
			said = p
		}
		if ok, err := s.next(ctx, late); err != nil || !ok {
			if err == nil {
				err = said
			}
			return card.Reader{}, err
		}
	}
}

// removed waits until a card has left its reader.
func (s *slot) removed(ctx context.Context, r card.Reader) error {
	for s.present(r) {
		if _, err := s.next(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *slot) present(was card.Reader) bool {
	s.refresh()
	for _, r := range s.last.Readers {
		if r.Name == was.Name {
			return (r.Presence == card.Present || r.Presence == card.InUse) && r.Insertions == was.Insertions
		}
	}
	return false
}

// choose gives the reader with the one card, or what is in the way.
func choose(now card.Snapshot, only string) (card.Reader, *problem.Problem) {
	if now.Err != nil {
		return card.Reader{}, fault(now.Err)
	}
	var found []card.Reader
	var names []string
	p, there := problem.New(problem.NoCard), false
	for _, r := range now.Readers {
		if only != "" && r.Name != only {
			continue
		}
		there = true
		switch r.Presence {
		case card.Present:
			found, names = append(found, r), append(names, r.Name)
		case card.Mute:
			p = problem.New(problem.CardMute)
		case card.InUse:
			p = problem.New(problem.CardBusy)
		}
	}
	switch {
	case !there:
		return card.Reader{}, problem.New(problem.NoReader)
	case len(found) == 0:
		return card.Reader{}, p
	case len(found) > 1:
		p = problem.New(problem.SeveralCards)
		p.Detail = "There is a smartcard in each of these: " + strings.Join(names, ", ") + ". Name one with --reader."
		return card.Reader{}, p
	}
	return found[0], nil
}
