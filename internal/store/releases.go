package store

import "context"

const releaseColumns = `session_id, step, card_id, epoch, action, key_id, next_id, envelope, released_at, asked,
	outcome, holds, proven, reported_at, challenge`

func scanRelease(r scanner) (v Release, err error) {
	err = r.Scan(&v.SessionID, &v.Step, &v.CardID, &v.Epoch, &v.Action, &v.KeyID, &v.NextID, &v.Envelope,
		stamp{&v.ReleasedAt}, &v.Asked, &v.Outcome, &v.Holds, &v.Proven, stamp{&v.ReportedAt}, &v.Challenge)
	return v, err
}

// InsertRelease adds a released step: ErrExists where it was released already.
func (t *Tx) InsertRelease(ctx context.Context, r Release) error {
	return t.insert(ctx, "insert release",
		`INSERT INTO releases (`+releaseColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING`,
		r.SessionID, r.Step, r.CardID, r.Epoch, r.Action, r.KeyID, r.NextID, r.Envelope, micros(r.ReleasedAt), r.Asked,
		r.Outcome, r.Holds, r.Proven, micros(r.ReportedAt), r.Challenge)
}

// Release reads one released step.
func (t *Tx) Release(ctx context.Context, sessionID string, step int) (Release, error) {
	return one(ctx, t, "release", scanRelease,
		`SELECT `+releaseColumns+` FROM releases WHERE session_id = $1 AND step = $2`, sessionID, step)
}

// Releases gives the released steps of a session in order.
func (t *Tx) Releases(ctx context.Context, sessionID string) ([]Release, error) {
	return many(ctx, t, "releases", scanRelease,
		`SELECT `+releaseColumns+` FROM releases WHERE session_id = $1 ORDER BY step`, sessionID)
}

// SaveReleaseOutcome replaces what is known of a step's outcome.
func (t *Tx) SaveReleaseOutcome(ctx context.Context, r Release) error {
	return t.change(ctx, "save release outcome",
		`UPDATE releases SET outcome = $3, holds = $4, proven = $5, reported_at = $6 WHERE session_id = $1 AND step = $2`,
		r.SessionID, r.Step, r.Outcome, r.Holds, r.Proven, micros(r.ReportedAt))
}

// CountAsked counts that a released step was asked for once more.
func (t *Tx) CountAsked(ctx context.Context, sessionID string, step int) error {
	return t.change(ctx, "count a step asked for", `UPDATE releases SET asked = asked + 1 WHERE session_id = $1 AND step = $2`, sessionID, step)
}

// NeverTaken says whether a card can't hold a key, by what it has signed: each
// time that it was to take it, the application asked once and the card refused
// the key before it.
func (t *Tx) NeverTaken(ctx context.Context, cardID, keyID string) (bool, error) {
	return one(ctx, t, "key never taken", func(r scanner) (yes bool, err error) {
		err = r.Scan(&yes)
		return yes, err
	}, `SELECT NOT EXISTS (SELECT 1 FROM releases
		WHERE card_id = $1 AND next_id = $2 AND NOT (outcome = 'refused' AND proven AND asked = 1))`, cardID, keyID)
}

// KeyRefused says whether a card has signed, in an epoch, that it refuses a
// key.
func (t *Tx) KeyRefused(ctx context.Context, cardID string, epoch int64, keyID string) (bool, error) {
	return one(ctx, t, "refused key", func(r scanner) (yes bool, err error) {
		err = r.Scan(&yes)
		return yes, err
	}, `SELECT EXISTS (SELECT 1 FROM releases
		WHERE card_id = $1 AND epoch = $2 AND key_id = $3 AND outcome = 'refused' AND proven)`, cardID, epoch, keyID)
}
