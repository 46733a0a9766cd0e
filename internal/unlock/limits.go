package unlock

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// bucket is one count with its window and its most.
type bucket struct {
	name   string
	window time.Duration
	most   int
}

// ever is the window of counts that only success ends.
const ever = 50 * 365 * 24 * time.Hour

// bucket names a count by a keyed hash, so that the table of limits tells
// nobody which address or network was there.
func (s *Service) bucket(kind string, parts ...string) string {
	raw := make([][]byte, len(parts))
	for i, p := range parts {
		raw[i] = []byte(p)
	}
	return kind + " " + hex.EncodeToString(s.Keys.Hash("limit "+kind, raw...)[:16])
}

// count counts once in each bucket, given from narrow to wide. Where one of
// them is full it is a refusal with code, and those after it stay as they are:
// one client must not use up what all share. The first refusal of a window goes
// into the trail; the ones after it write nothing. first is the count of the
// first bucket.
func (s *Service) count(ctx context.Context, tx *store.Tx, x store.Session, code problem.Code, buckets ...bucket) (first int, err error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return 0, err
	}
	windows := make([]store.Window, len(buckets))
	for i, b := range buckets {
		windows[i] = store.Window{Bucket: b.name, Length: b.window}
	}
	counted, err := tx.BumpLimits(ctx, 1, windows...)
	if err != nil {
		return 0, err
	}
	for i, b := range buckets {
		n := counted[i].Count
		if n <= b.most {
			continue
		}
		over, wait := problem.New(code), secondsUntil(now, counted[i].ResetAt)
		over.RetryAfter = &wait
		if n > b.most+1 {
			return 0, over // nothing of this transaction stays
		}
		if rest := windows[i+1:]; len(rest) > 0 {
			if _, err := tx.BumpLimits(ctx, -1, rest...); err != nil {
				return 0, err
			}
		}
		if err := s.note(ctx, tx, x, audit.LimitReached, map[string]string{"limit": b.name, "most": strconv.Itoa(b.most)}); err != nil {
			return 0, err
		}
		return 0, keep{over}
	}
	return counted[0].Count, nil
}

func secondsUntil(now, at time.Time) int { return int(at.Sub(now)/time.Second) + 1 }

// kind keeps what unproven cards use up apart from what proven ones do: a list
// of serial numbers must not use up a holder's attempts.
func kind(x store.Session) string {
	if x.Proven {
		return "proven"
	}
	return "unproven"
}

// sendBuckets are the counts of sending a code. The service as a whole has a
// budget for each method: what is asked of one must not use up the others.
func (s *Service) sendBuckets(x store.Session, m api.Method, address string) []bucket {
	l := s.conf.Limits
	return []bucket{
		{s.bucket("sends of card", kind(x), x.CardID), time.Hour, l.SendsPerCard},
		{s.bucket("sends to address", kind(x), address), time.Hour, l.SendsPerAddress},
		{s.bucket("sends of network", kind(x), x.Network), time.Hour, l.SendsPerNetwork},
		{s.bucket("sends", kind(x), string(m)), time.Minute, l.SendsTotal},
	}
}

func (s *Service) wrongToday(x store.Session) bucket {
	return bucket{s.bucket("wrong codes of card", kind(x), x.CardID), 24 * time.Hour, s.conf.Limits.WrongCodesDaily}
}

// failures counts the wrong codes of a holder since the last right one, over
// all cards of one kind.
func (s *Service) failures(x store.Session) bucket {
	return bucket{s.bucket("failures of holder", kind(x), x.HolderID), ever, s.conf.Limits.HolderFailures}
}

// Forgive forgets the wrong codes of a holder, so that a hold
// (problem.HolderFailures) ends. Error: problem.HolderNotKnown.
func (s *Service) Forgive(ctx context.Context, staffNumber string) error {
	return s.update(ctx, func(tx *store.Tx) error {
		h, err := tx.HolderByStaffNumber(ctx, staffNumber)
		if errors.Is(err, store.ErrNotFound) {
			return problem.Wrap(problem.HolderNotKnown, err)
		}
		if err != nil {
			return err
		}
		for _, proven := range []bool{true, false} {
			x := store.Session{HolderID: h.ID, Proven: proven}
			if err := tx.ResetLimit(ctx, s.failures(x).name); err != nil {
				return err
			}
			if err := s.forgiveFace(ctx, tx, x); err != nil {
				return err
			}
		}
		return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.HolderForgiven, Holder: h.ID})
	})
}

// checkTries refuses further tries of codes for this card or holder. failures
// is how many the holder has had since the last right one.
func (s *Service) checkTries(ctx context.Context, tx *store.Tx, x store.Session) (failures int, err error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return 0, err
	}
	today, holder := s.wrongToday(x), s.failures(x)
	n, reset, err := tx.LimitCount(ctx, today.name, today.window)
	if err != nil {
		return 0, err
	}
	if n >= today.most {
		p, wait := problem.New(problem.DayLimit), secondsUntil(now, reset)
		p.RetryAfter = &wait
		return 0, p
	}
	if failures, _, err = tx.LimitCount(ctx, holder.name, holder.window); err != nil {
		return 0, err
	}
	if failures >= holder.most {
		return 0, problem.New(problem.HolderFailures) // time alone does not help
	}
	return failures, nil
}
