package escrow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Stopped is a refusal that leaves something behind: the caller commits its
// transaction and answers with the problem.
type Stopped struct{ *problem.Problem }

// Unwrap gives the problem.
func (s Stopped) Unwrap() error { return s.Problem }

// Breaker bounds the releases of the whole service. A zero count is no bound.
type Breaker struct {
	PerMinute, PerHour                 int
	UnprovenPerMinute, UnprovenPerHour int // of cards that have not proven themselves
	// Reopen is how long after it has tripped a few releases are let through
	// to see; zero: an operator decides.
	Reopen time.Duration
}

// probation is how long a breaker that was half opened stays so, and
// probationPart the part of its bounds that it lets through.
const (
	probation     = 10 * time.Minute
	probationPart = 10
)

// Allow says whether anything may be released now. Errors:
// problem.ReleasesStopped, ReleasesTripped, EscrowBehind, JournalMissing,
// JournalDamaged; some of them as Stopped.
func (e *Escrow) Allow(ctx context.Context, tx *store.Tx) error {
	c, now, err := closed(ctx, tx)
	if err == nil && c.State == store.ReleasesTripped {
		err = halfOpen(ctx, tx, now)
	}
	if err != nil || e.journal == nil {
		return err
	}
	return e.journal.gate(ctx, tx)
}

// Closed says what an operator or the breaker has closed, without changing
// anything, so that nobody goes the whole way to a release in vain. Errors: as
// Allow.
func (e *Escrow) Closed(ctx context.Context, tx *store.Tx) error {
	_, _, err := closed(ctx, tx)
	return err
}

func closed(ctx context.Context, tx *store.Tx) (store.ReleaseControl, time.Time, error) {
	c, err := tx.ReleaseControl(ctx)
	if err != nil {
		return c, time.Time{}, err
	}
	now, err := tx.Now(ctx)
	switch {
	case err != nil:
	case c.State == store.ReleasesStopped:
		err = problem.New(problem.ReleasesStopped)
	case c.State == store.ReleasesBehind:
		err = problem.New(problem.EscrowBehind)
	case c.State == store.ReleasesTripped && (c.ReopensAt.IsZero() || now.Before(c.ReopensAt)):
		err = tripped(c, now)
	}
	return c, now, err
}

func tripped(c store.ReleaseControl, now time.Time) error {
	p := problem.New(problem.ReleasesTripped)
	if !c.ReopensAt.IsZero() {
		after := int(c.ReopensAt.Sub(now)/time.Second) + 1
		p.RetryAfter = &after
	}
	return p
}

// halfOpen lets a few releases through again.
func halfOpen(ctx context.Context, tx *store.Tx, now time.Time) error {
	c, err := tx.LockReleaseControl(ctx)
	if err != nil || c.State != store.ReleasesTripped {
		return err
	}
	c.State, c.Reason, c.Actor, c.ChangedAt, c.ReopensAt = store.ReleasesHalfOpen, "its time is over", audit.ActorService, now, time.Time{}
	return setControl(ctx, tx, c)
}

// setControl writes the control and the trail.
func setControl(ctx context.Context, tx *store.Tx, c store.ReleaseControl) error {
	if err := tx.SaveReleaseControl(ctx, c); err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Event{Actor: c.Actor, Action: audit.ReleasesChanged,
		Details: map[string]string{"state": string(c.State), "reason": c.Reason}})
}

// window is one count of the breaker.
type window struct {
	name   string
	length time.Duration
	bound  int
}

func (b Breaker) windows(proven bool) []window {
	all := []window{{"releases a minute", time.Minute, b.PerMinute}, {"releases an hour", time.Hour, b.PerHour}}
	if !proven {
		all = append(all, window{"unproven releases a minute", time.Minute, b.UnprovenPerMinute},
			window{"unproven releases an hour", time.Hour, b.UnprovenPerHour})
	}
	var out []window
	for _, w := range all {
		if w.bound > 0 {
			out = append(out, w)
		}
	}
	return out
}

// count counts a release. One too many trips the breaker, for all nodes.
func (e *Escrow) count(ctx context.Context, tx *store.Tx, s store.Session) error {
	windows := e.breaker.windows(s.Proven)
	if len(windows) == 0 {
		return nil
	}
	c, err := tx.ReleaseControl(ctx)
	if err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	prefix, part := "", 1
	if c.State == store.ReleasesHalfOpen {
		if now.Sub(c.ChangedAt) < probation {
			prefix, part = "half-open ", probationPart
		} else if err := closeAgain(ctx, tx, now); err != nil {
			return err
		}
	}
	var buckets []store.Window
	for _, w := range windows {
		buckets = append(buckets, store.Window{Bucket: prefix + w.name, Length: w.length})
	}
	counts, err := tx.BumpLimits(ctx, 1, buckets...)
	if err != nil {
		return err
	}
	for i, w := range windows {
		if bound := max(1, w.bound/part); counts[i].Count > bound {
			return e.trip(ctx, tx, now, fmt.Sprintf("more than %d %s%s", bound, prefix, w.name))
		}
	}
	return nil
}

func closeAgain(ctx context.Context, tx *store.Tx, now time.Time) error {
	c, err := tx.LockReleaseControl(ctx)
	if err != nil || c.State != store.ReleasesHalfOpen {
		return err
	}
	c.State, c.Reason, c.Actor, c.ChangedAt, c.ReopensAt = store.ReleasesRunning, "no more than usual again", audit.ActorService, now, time.Time{}
	return setControl(ctx, tx, c)
}

func (e *Escrow) trip(ctx context.Context, tx *store.Tx, now time.Time, why string) error {
	c, err := tx.LockReleaseControl(ctx)
	if err != nil {
		return err
	}
	if c.State != store.ReleasesRunning && c.State != store.ReleasesHalfOpen {
		return problem.New(problem.ReleasesTripped) // somebody was faster
	}
	c.State, c.Reason, c.Actor, c.ChangedAt, c.ReopensAt = store.ReleasesTripped, why, audit.ActorService, now, time.Time{}
	if e.breaker.Reopen > 0 {
		c.ReopensAt = now.Add(e.breaker.Reopen)
	}
	if err := setControl(ctx, tx, c); err != nil {
		return err
	}
	return Stopped{problem.From(tripped(c, now))}
}

// StopReleases is the kill switch: from the commit on nothing is released by
// any node. reason is for the trail.
func StopReleases(ctx context.Context, tx *store.Tx, reason string) error {
	c, err := tx.LockReleaseControl(ctx)
	if err != nil {
		return err
	}
	if c.State == store.ReleasesBehind {
		return problem.New(problem.EscrowBehind) // nothing is released, and more than start is needed
	}
	return operator(ctx, tx, c, store.ReleasesStopped, reason)
}

// StartReleases ends a stop, and what the breaker has done; its counts begin
// again. A database that is behind a journal stays so: problem.EscrowBehind.
func StartReleases(ctx context.Context, tx *store.Tx, reason string) error {
	c, err := tx.LockReleaseControl(ctx)
	if err != nil {
		return err
	}
	if c.State == store.ReleasesBehind {
		return problem.New(problem.EscrowBehind)
	}
	all := Breaker{PerMinute: 1, PerHour: 1, UnprovenPerMinute: 1, UnprovenPerHour: 1}
	for _, w := range all.windows(false) {
		for _, prefix := range []string{"", "half-open "} {
			if err := tx.ResetLimit(ctx, prefix+w.name); err != nil {
				return err
			}
		}
	}
	return operator(ctx, tx, c, store.ReleasesRunning, reason)
}

func operator(ctx context.Context, tx *store.Tx, c store.ReleaseControl, to store.ReleaseState, reason string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	c.State, c.Reason, c.Actor, c.ChangedAt, c.ReopensAt = to, reason, audit.ActorOperator, now, time.Time{}
	return setControl(ctx, tx, c)
}

// markBehind notes for all nodes that the database is behind.
func markBehind(ctx context.Context, tx *store.Tx, why string) error {
	c, err := tx.LockReleaseControl(ctx)
	if err != nil || c.State == store.ReleasesBehind {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	c.State, c.Reason, c.Actor, c.ChangedAt, c.ReopensAt = store.ReleasesBehind, why, audit.ActorService, now, time.Time{}
	c.Generation++
	return setControl(ctx, tx, c)
}

// behindError says that the database lacks what a journal has, and how that
// was found.
type behindError struct{ why string }

func (e behindError) Error() string { return "the database is behind: " + e.why }

// stopBehind turns a behindError into Stopped, all nodes being told with the
// commit of the transaction.
func stopBehind(ctx context.Context, tx *store.Tx, err error) error {
	var behind behindError
	if !errors.As(err, &behind) {
		return err
	}
	if tx.ReadOnly() {
		return problem.Wrap(problem.EscrowBehind, behind)
	}
	if err := markBehind(ctx, tx, behind.why); err != nil {
		return err
	}
	return Stopped{problem.Wrap(problem.EscrowBehind, behind)}
}
