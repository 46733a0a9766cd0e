package store

import (
	"context"
	"time"
)

const keyColumns = `id, card_id, kind, state, sealed, created_by, created_at, retired_at, epoch, sealed_by, master_id, restored`

func scanKey(r scanner) (k Key, err error) {
	err = r.Scan(&k.ID, &k.CardID, &k.Kind, &k.State, &k.Sealed, &k.CreatedBy, stamp{&k.CreatedAt}, stamp{&k.RetiredAt},
		&k.Epoch, &k.SealedBy, &k.MasterID, &k.Restored)
	return k, err
}

// InsertKey adds an unlocking key: ErrExists where the id is taken, or the
// card has a current (pending) key already and this is another.
func (t *Tx) InsertKey(ctx context.Context, k Key) error {
	return t.insert(ctx, "insert key",
		`INSERT INTO card_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
		k.ID, k.CardID, k.Kind, k.State, notNil(k.Sealed), k.CreatedBy, micros(k.CreatedAt), micros(k.RetiredAt),
		k.Epoch, k.SealedBy, k.MasterID, k.Restored)
}

// notNil is what an empty value is in a column that has no NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// CardKeys gives the candidates of a card: the current key, then the pending
// one, as far as there are any, then spare ones.
func (t *Tx) CardKeys(ctx context.Context, cardID string) ([]Key, error) {
	return many(ctx, t, "card keys", scanKey,
		`SELECT `+keyColumns+` FROM card_keys WHERE card_id = $1 AND state <> 'retired' ORDER BY state, created_at, id`, cardID)
}

// AllCardKeys gives every key that a card ever had, the oldest first.
func (t *Tx) AllCardKeys(ctx context.Context, cardID string) ([]Key, error) {
	return many(ctx, t, "card keys", scanKey,
		`SELECT `+keyColumns+` FROM card_keys WHERE card_id = $1 ORDER BY created_at, id`, cardID)
}

// SetKeyState moves a key to another state at a time. Retire the current key
// before another becomes current: ErrExists otherwise.
func (t *Tx) SetKeyState(ctx context.Context, keyID string, s KeyState, at time.Time) error {
	retired := time.Time{}
	if s == KeyRetired {
		retired = at
	}
	return t.change(ctx, "set key state", `UPDATE card_keys SET state = $2, retired_at = $3 WHERE id = $1`,
		keyID, s, micros(retired))
}

// pageRows is how many rows the Each... methods read at a time. Rows are read
// in pages so that fn may use the transaction.
const pageRows = 500

// EachKey calls fn for every key in the database, ordered by id.
func (t *Tx) EachKey(ctx context.Context, fn func(Key) error) error {
	for last := ""; ; {
		page, err := many(ctx, t, "keys", scanKey,
			`SELECT `+keyColumns+` FROM card_keys WHERE id > $1 ORDER BY id LIMIT $2`, last, pageRows)
		if err != nil {
			return err
		}
		for _, k := range page {
			if err := fn(k); err != nil {
				return err
			}
			last = k.ID
		}
		if len(page) < pageRows {
			return nil
		}
	}
}

// HasKeyID says whether a key is on record, in whatever state.
func (t *Tx) HasKeyID(ctx context.Context, id string) (bool, error) {
	return one(ctx, t, "key", scanBool, `SELECT EXISTS (SELECT 1 FROM card_keys WHERE id = $1)`, id)
}

func scanBool(r scanner) (yes bool, err error) {
	err = r.Scan(&yes)
	return yes, err
}

// MarkRestored notes that a key was put back from a key journal.
func (t *Tx) MarkRestored(ctx context.Context, keyID string) error {
	return t.change(ctx, "mark key", `UPDATE card_keys SET restored = TRUE WHERE id = $1`, keyID)
}

// KeysSealedOtherwise gives keys that another data key than this one has
// sealed, after an id and ordered by it, limit of them at most.
func (t *Tx) KeysSealedOtherwise(ctx context.Context, dataKey, after string, limit int) ([]Key, error) {
	return many(ctx, t, "keys to seal again", scanKey,
		`SELECT `+keyColumns+` FROM card_keys WHERE id > $2 AND sealed_by <> $1 AND master_id = '' ORDER BY id LIMIT $3`,
		dataKey, after, limit)
}

// ReplaceSealed puts a key's new sealing in place of the one that was read.
// False: somebody else has been there.
func (t *Tx) ReplaceSealed(ctx context.Context, k Key, was string) (bool, error) {
	n, err := t.exec(ctx, "seal key again", `UPDATE card_keys SET sealed = $2, sealed_by = $3 WHERE id = $1 AND sealed_by = $4`,
		k.ID, k.Sealed, k.SealedBy, was)
	return n == 1, err
}

// KeysAfter gives the keys after an id, ordered by it, limit of them at most.
func (t *Tx) KeysAfter(ctx context.Context, after string, limit int) ([]Key, error) {
	return many(ctx, t, "keys", scanKey, `SELECT `+keyColumns+` FROM card_keys WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// KeyCount is a number of keys that have something in common.
type KeyCount struct {
	Kind     string
	State    KeyState
	SealedBy string
	MasterID string
	Count    int64
}

// CountKeys counts all keys by kind, state and what they hang on.
func (t *Tx) CountKeys(ctx context.Context) ([]KeyCount, error) {
	return many(ctx, t, "count keys", func(r scanner) (c KeyCount, err error) {
		err = r.Scan(&c.Kind, &c.State, &c.SealedBy, &c.MasterID, &c.Count)
		return c, err
	}, `SELECT kind, state, sealed_by, master_id, count(*) FROM card_keys
		GROUP BY kind, state, sealed_by, master_id ORDER BY kind, state, sealed_by, master_id`)
}
