package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// BumpLimit adds to a bucket's count and gives the count with when it starts
// again from nothing. The window is fixed: it begins with the first count and
// its length is that of the call that began it.
func (t *Tx) BumpLimit(ctx context.Context, bucket string, window time.Duration, by int) (int, time.Time, error) {
	if t.readOnly {
		return 0, time.Time{}, fmt.Errorf("bump limit: %w", errReadOnly)
	}
	now, err := t.Now(ctx)
	if err != nil {
		return 0, time.Time{}, err
	}
	l, err := one(ctx, t, "bump limit", scanLimit,
		`INSERT INTO rate_limits (bucket, count, reset_at) VALUES ($1, $2, $3)
		ON CONFLICT (bucket) DO UPDATE SET
			count = CASE WHEN rate_limits.reset_at <= $4 THEN excluded.count ELSE rate_limits.count + excluded.count END,
			reset_at = CASE WHEN rate_limits.reset_at <= $4 THEN excluded.reset_at ELSE rate_limits.reset_at END
		RETURNING count, reset_at`, bucket, by, micros(now.Add(window)), micros(now))
	return l.count, l.resetAt, err
}

// LimitCount reads a bucket without counting: 0 and the end of a window that
// would begin now, where nothing was counted.
func (t *Tx) LimitCount(ctx context.Context, bucket string, window time.Duration) (int, time.Time, error) {
	now, err := t.Now(ctx)
	if err != nil {
		return 0, time.Time{}, err
	}
	l, err := one(ctx, t, "limit", scanLimit,
		`SELECT count, reset_at FROM rate_limits WHERE bucket = $1 AND reset_at > $2`, bucket, micros(now))
	if errors.Is(err, ErrNotFound) {
		return 0, now.Add(window), nil
	}
	return l.count, l.resetAt, err
}

// ResetLimit forgets a bucket's count.
func (t *Tx) ResetLimit(ctx context.Context, bucket string) error {
	_, err := t.exec(ctx, "reset limit", `DELETE FROM rate_limits WHERE bucket = $1`, bucket)
	return err
}

// DeleteLimitsBefore removes buckets whose window ended before at, and gives
// their number.
func (t *Tx) DeleteLimitsBefore(ctx context.Context, at time.Time) (int64, error) {
	return t.exec(ctx, "delete old limits", `DELETE FROM rate_limits WHERE reset_at < $1`, micros(at))
}

type limit struct {
	count   int
	resetAt time.Time
}

func scanLimit(r scanner) (l limit, err error) {
	err = r.Scan(&l.count, stamp{&l.resetAt})
	return l, err
}
