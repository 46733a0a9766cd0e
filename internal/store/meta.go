package store

import "context"

// Meta reads a value that belongs to the whole installation: ErrNotFound where
// it was never set.
func (t *Tx) Meta(ctx context.Context, key string) ([]byte, error) {
	return one(ctx, t, "meta", scanBytes,
		`SELECT value FROM meta WHERE key = $1`, key)
}

// SetMeta sets such a value once: ErrExists where it is set already.
func (t *Tx) SetMeta(ctx context.Context, key string, value []byte) error {
	return t.insert(ctx, "set meta",
		`INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, key, value)
}

func scanBytes(r scanner) (v []byte, err error) {
	err = r.Scan(&v)
	return v, err
}
