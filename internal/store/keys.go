package store

import (
	"context"
	"time"
)

const keyColumns = `id, card_id, kind, state, sealed, created_by, created_at, retired_at`

func scanKey(r scanner) (k Key, err error) {
	err = r.Scan(&k.ID, &k.CardID, &k.Kind, &k.State, &k.Sealed, &k.CreatedBy, stamp{&k.CreatedAt}, stamp{&k.RetiredAt})
	return k, err
}

// InsertKey adds an unlocking key: ErrExists where the id is taken, or the
// card has a current (pending) key already and this is another.
func (t *Tx) InsertKey(ctx context.Context, k Key) error {
	return t.insert(ctx, "insert key",
		`INSERT INTO card_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		k.ID, k.CardID, k.Kind, k.State, k.Sealed, k.CreatedBy, micros(k.CreatedAt), micros(k.RetiredAt))
}

// CardKeys gives the candidates of a card: the current key, then the pending
// one, as far as there are any.
func (t *Tx) CardKeys(ctx context.Context, cardID string) ([]Key, error) {
	return many(ctx, t, "card keys", scanKey,
		`SELECT `+keyColumns+` FROM card_keys WHERE card_id = $1 AND state <> 'retired' ORDER BY state`, cardID)
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
