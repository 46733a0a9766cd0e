package unlock

import (
	"context"
	"time"

	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// FaceLimits are the limits of face verification. Zero values are replaced by
// those of DefaultFaceLimits.
type FaceLimits struct {
	Failures    int // failures of a holder in a row, after which there are delays
	MaxFailures int // failures in a row, after which face verification is on hold
	PerSession  int // scans of one session
	PerCard     int // scans an hour and card
	PerDay      int // scans a day and card
	PerNetwork  int // scans an hour from one network address
	Total       int // scans a minute of the whole service
}

// DefaultFaceLimits are the limits where nothing else is set. The first two are
// those of NIST SP 800-63B-4 section 3.2.3.
func DefaultFaceLimits() FaceLimits {
	return FaceLimits{Failures: 5, MaxFailures: 50, PerSession: 10, PerCard: 30, PerDay: 100, PerNetwork: 300, Total: 600}
}

func (l FaceLimits) withDefaults() FaceLimits {
	d := DefaultFaceLimits()
	for _, f := range []struct{ have, fallback *int }{
		{&l.Failures, &d.Failures}, {&l.MaxFailures, &d.MaxFailures}, {&l.PerSession, &d.PerSession},
		{&l.PerCard, &d.PerCard}, {&l.PerDay, &d.PerDay}, {&l.PerNetwork, &d.PerNetwork}, {&l.Total, &d.Total},
	} {
		if *f.have == 0 {
			*f.have = *f.fallback
		}
	}
	return l
}

const (
	// firstWait is the delay after FaceLimits.Failures failures, the least that
	// SP 800-63B-4 section 3.2.3 asks for. It doubles with each further one.
	firstWait = 30 * time.Second
	// longestWait ends the doubling.
	longestWait = time.Hour
)

// faceWait is how long to wait after n failures in a row.
func (l FaceLimits) faceWait(n int) time.Duration {
	if n < l.Failures {
		return 0
	}
	if more := n - l.Failures; more < 7 { // 30 s doubled seven times is over an hour
		return firstWait << more
	}
	return longestWait
}

// scanBuckets bound the scans that are begun, from narrow to wide. A scan that
// is broken off, or whose pictures are no good, is no failure: the day's count
// is what bounds guesses that are given up as soon as they are wrong.
func (s *Service) scanBuckets(x store.Session) []bucket {
	l := s.conf.Face.Limits
	return []bucket{
		{s.bucket("scans of session", x.ID), s.conf.Limits.Session, l.PerSession},
		{s.bucket("scans of card", kind(x), x.CardID), time.Hour, l.PerCard},
		{s.bucket("scans of card today", kind(x), x.CardID), 24 * time.Hour, l.PerDay},
		{s.bucket("scans of network", kind(x), x.Network), time.Hour, l.PerNetwork},
		{s.bucket("scans", kind(x)), time.Minute, l.Total},
	}
}

// faceFailures counts a holder's failures since the last success, over all
// cards of one kind.
func (s *Service) faceFailures(x store.Session) bucket {
	return bucket{s.bucket("face failures of holder", kind(x), x.HolderID), ever, s.conf.Face.Limits.MaxFailures}
}

// waitBucket holds a count as long as a holder must wait.
func (s *Service) waitBucket(x store.Session) string {
	return s.bucket("face wait of holder", kind(x), x.HolderID)
}

// mayTryFace refuses a scan while the holder must wait or is on hold.
func (s *Service) mayTryFace(ctx context.Context, tx *store.Tx, x store.Session) error {
	failures := s.faceFailures(x)
	n, _, err := tx.LimitCount(ctx, failures.name, failures.window)
	if err != nil {
		return err
	}
	if n >= failures.most {
		return problem.New(problem.FaceHeld)
	}
	waiting, until, err := tx.LimitCount(ctx, s.waitBucket(x), firstWait)
	if err != nil || waiting == 0 {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	p, wait := problem.New(problem.FaceWait), secondsUntil(now, until)
	p.RetryAfter = &wait
	return p
}

// reserveFace counts a try as a failure before it is decided, so that tries at
// the same moment can't be more than there may be, and begins the delay after
// it. settleFace takes both back where it was none.
func (s *Service) reserveFace(ctx context.Context, tx *store.Tx, x store.Session) error {
	if err := s.mayTryFace(ctx, tx, x); err != nil {
		return err
	}
	failures := s.faceFailures(x)
	n, _, err := tx.BumpLimit(ctx, failures.name, failures.window, 1)
	if err != nil {
		return err
	}
	if n > failures.most { // another was faster
		return problem.New(problem.FaceHeld)
	}
	return s.delayFace(ctx, tx, x, n)
}

// delayFace begins the delay after n failures in a row.
func (s *Service) delayFace(ctx context.Context, tx *store.Tx, x store.Session, n int) error {
	wait := s.conf.Face.Limits.faceWait(n)
	if wait == 0 {
		return nil
	}
	if err := tx.ResetLimit(ctx, s.waitBucket(x)); err != nil {
		return err
	}
	_, _, err := tx.BumpLimit(ctx, s.waitBucket(x), wait, 1)
	return err
}

// tried is what a try came to.
type tried int

const (
	triedNothing tried = iota // nothing was decided, or it can be mended
	triedFailed
	triedVerified
)

// settleFace makes of a reserved try what it came to.
func (s *Service) settleFace(ctx context.Context, tx *store.Tx, x store.Session, t tried) error {
	failures := s.faceFailures(x)
	switch t {
	case triedVerified:
		return s.forgiveFace(ctx, tx, x)
	case triedNothing:
		if err := giveBack(ctx, tx, failures); err != nil {
			return err
		}
		return tx.ResetLimit(ctx, s.waitBucket(x))
	}
	n, _, err := tx.LimitCount(ctx, failures.name, failures.window)
	if err != nil {
		return err
	}
	if err := s.delayFace(ctx, tx, x, n); err != nil || n != failures.most {
		return err
	}
	return s.note(ctx, tx, x, audit.LimitReached, map[string]string{"limit": failures.name})
}

// forgiveFace forgets a holder's failures in a row, of one kind.
func (s *Service) forgiveFace(ctx context.Context, tx *store.Tx, x store.Session) error {
	if err := tx.ResetLimit(ctx, s.faceFailures(x).name); err != nil {
		return err
	}
	return tx.ResetLimit(ctx, s.waitBucket(x))
}

// giveBack takes back one count, unless the bucket has been emptied since.
func giveBack(ctx context.Context, tx *store.Tx, b bucket) error {
	n, _, err := tx.BumpLimit(ctx, b.name, b.window, -1)
	if err == nil && n < 0 {
		_, _, err = tx.BumpLimit(ctx, b.name, b.window, 1)
	}
	return err
}
