package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limit is a bucket's count and when it starts again from nothing.
type Limit struct {
	Bucket  string
	Count   int
	ResetAt time.Time
}

// Window is a bucket with the length of its window.
type Window struct {
	Bucket string
	Length time.Duration
}

// BumpLimit adds to one bucket's count, see BumpLimits.
func (t *Tx) BumpLimit(ctx context.Context, bucket string, window time.Duration, by int) (int, time.Time, error) {
	l, err := t.BumpLimits(ctx, by, Window{bucket, window})
	if err != nil {
		return 0, time.Time{}, err
	}
	return l[0].Count, l[0].ResetAt, nil
}

// BumpLimits adds to the counts of different buckets and gives them in the same
// order. A window is fixed: it begins with the first count and its length is
// that of the call that began it. Buckets are locked in the order given, until
// the transaction ends.
func (t *Tx) BumpLimits(ctx context.Context, by int, windows ...Window) ([]Limit, error) {
	if t.readOnly {
		return nil, fmt.Errorf("bump limits: %w", errReadOnly)
	}
	now, err := t.Now(ctx)
	if err != nil {
		return nil, err
	}
	args := []any{by, micros(now)}
	var rows []string
	for _, w := range windows {
		rows = append(rows, fmt.Sprintf("($%d, $1, $%d)", len(args)+1, len(args)+2))
		args = append(args, w.Bucket, micros(now.Add(w.Length)))
	}
	counted, err := many(ctx, t, "bump limits", scanLimit,
		`INSERT INTO rate_limits (bucket, count, reset_at) VALUES `+strings.Join(rows, ", ")+`
		ON CONFLICT (bucket) DO UPDATE SET
			count = CASE WHEN rate_limits.reset_at <= $2 THEN excluded.count ELSE rate_limits.count + excluded.count END,
			reset_at = CASE WHEN rate_limits.reset_at <= $2 THEN excluded.reset_at ELSE rate_limits.reset_at END
		RETURNING bucket, count, reset_at`, args...)
	if err != nil {
		return nil, err
	}
	out := make([]Limit, len(windows))
	for i, w := range windows { // RETURNING promises no order
		n := slices.IndexFunc(counted, func(l Limit) bool { return l.Bucket == w.Bucket })
		if n < 0 {
			return nil, fmt.Errorf("bump limits: bucket %q did not come back", w.Bucket)
		}
		out[i] = counted[n]
	}
	return out, nil
}

// LimitCount reads a bucket without counting: 0 and the end of a window that
// would begin now, where nothing was counted.
func (t *Tx) LimitCount(ctx context.Context, bucket string, window time.Duration) (int, time.Time, error) {
	now, err := t.Now(ctx)
	if err != nil {
		return 0, time.Time{}, err
	}
	l, err := one(ctx, t, "limit", scanLimit,
		`SELECT bucket, count, reset_at FROM rate_limits WHERE bucket = $1 AND reset_at > $2`, bucket, micros(now))
	if errors.Is(err, ErrNotFound) {
		return 0, now.Add(window), nil
	}
	return l.Count, l.ResetAt, err
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

func scanLimit(r scanner) (l Limit, err error) {
	err = r.Scan(&l.Bucket, &l.Count, stamp{&l.ResetAt})
	return l, err
}
