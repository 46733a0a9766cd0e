package store

import (
	"context"
	"errors"
	"time"
)

const journalColumns = `id, node, line, hash, lost, checked, created_at`

func scanJournal(r scanner) (j KeyJournal, err error) {
	err = r.Scan(&j.ID, &j.Node, &j.Line, &j.Hash, &j.Lost, &j.Checked, stamp{&j.CreatedAt})
	return j, err
}

// KeyJournals gives all key journals that the database knows, the oldest first.
func (t *Tx) KeyJournals(ctx context.Context) ([]KeyJournal, error) {
	return many(ctx, t, "key journals", scanJournal, `SELECT `+journalColumns+` FROM key_journals ORDER BY created_at, id`)
}

// KeyJournal reads how far the database has come with a journal.
func (t *Tx) KeyJournal(ctx context.Context, id string) (KeyJournal, error) {
	return one(ctx, t, "key journal", scanJournal, `SELECT `+journalColumns+` FROM key_journals WHERE id = $1`, id)
}

// LockKeyJournal does the same and keeps others from going on with it until
// the transaction ends, so that a node's entries commit in their order.
func (t *Tx) LockKeyJournal(ctx context.Context, id string) (KeyJournal, error) {
	return lock(ctx, t, "lock key journal", scanJournal, `SELECT `+journalColumns+` FROM key_journals WHERE id = $1`, id)
}

// InsertKeyJournal adds a journal: ErrExists where it is there.
func (t *Tx) InsertKeyJournal(ctx context.Context, j KeyJournal) error {
	return t.insert(ctx, "insert key journal",
		`INSERT INTO key_journals (`+journalColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		j.ID, j.Node, j.Line, blob(j.Hash), j.Lost, j.Checked, micros(j.CreatedAt))
}

// blob keeps an empty value from becoming NULL: SQLite's driver reads one as
// nil.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// SaveKeyJournal replaces how far the database has come with a journal.
func (t *Tx) SaveKeyJournal(ctx context.Context, j KeyJournal) error {
	return t.change(ctx, "save key journal",
		`UPDATE key_journals SET line = $2, hash = $3, lost = $4, checked = $5 WHERE id = $1`,
		j.ID, j.Line, blob(j.Hash), j.Lost, j.Checked)
}

func scanControl(r scanner) (c ReleaseControl, err error) {
	err = r.Scan(&c.State, &c.Reason, &c.Actor, stamp{&c.ChangedAt}, stamp{&c.ReopensAt}, &c.Generation)
	return c, err
}

const controlQuery = `SELECT state, reason, actor, changed_at, reopens_at, generation FROM release_control WHERE id = 1`

// ReleaseControl says whether keys may be released: running where nobody has
// ever said otherwise.
func (t *Tx) ReleaseControl(ctx context.Context) (ReleaseControl, error) {
	c, err := one(ctx, t, "release control", scanControl, controlQuery)
	if errors.Is(err, ErrNotFound) {
		return ReleaseControl{State: ReleasesRunning}, nil
	}
	return c, err
}

// LockReleaseControl does the same and keeps others from changing it until the
// transaction ends.
func (t *Tx) LockReleaseControl(ctx context.Context) (ReleaseControl, error) {
	_, err := t.exec(ctx, "release control", `INSERT INTO release_control (id, state, reason, actor, changed_at, reopens_at, generation)
		VALUES (1, 'running', '', '', 0, 0, 0) ON CONFLICT DO NOTHING`)
	if err != nil {
		return ReleaseControl{}, err
	}
	return lock(ctx, t, "release control", scanControl, controlQuery)
}

// SaveReleaseControl replaces the row that LockReleaseControl gave.
func (t *Tx) SaveReleaseControl(ctx context.Context, c ReleaseControl) error {
	return t.change(ctx, "save release control", `UPDATE release_control SET state = $1, reason = $2, actor = $3,
		changed_at = $4, reopens_at = $5, generation = $6 WHERE id = 1`,
		c.State, c.Reason, c.Actor, micros(c.ChangedAt), micros(c.ReopensAt), c.Generation)
}

// CardReleases gives every released step of a card in an epoch, the oldest
// first.
func (t *Tx) CardReleases(ctx context.Context, cardID string, epoch int64) ([]Release, error) {
	return many(ctx, t, "releases of card", scanRelease, `SELECT `+releaseColumns+` FROM releases
		WHERE card_id = $1 AND epoch = $2 ORDER BY released_at, session_id, step`, cardID, epoch)
}

// CountReleases counts the released steps since a time.
func (t *Tx) CountReleases(ctx context.Context, since time.Time) (int64, error) {
	return one(ctx, t, "count releases", func(r scanner) (n int64, err error) {
		err = r.Scan(&n)
		return n, err
	}, `SELECT count(*) FROM releases WHERE released_at >= $1`, micros(since))
}
