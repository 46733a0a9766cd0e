package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
)

const dataKeyColumns = `id, number, provider, kek_version, wrapped, hashes, created_at`

func scanDataKey(r scanner) (k DataKey, err error) {
	err = r.Scan(&k.ID, &k.Number, &k.Provider, &k.Version, &k.Wrapped, &k.Hashes, stamp{&k.CreatedAt})
	return k, err
}

// DataKeys gives the data keys, the oldest first.
func (t *Tx) DataKeys(ctx context.Context) ([]DataKey, error) {
	return many(ctx, t, "data keys", scanDataKey, `SELECT `+dataKeyColumns+` FROM data_keys ORDER BY number`)
}

// InsertDataKey adds a data key: ErrExists where its id or number is taken.
func (t *Tx) InsertDataKey(ctx context.Context, k DataKey) error {
	return t.insert(ctx, "insert data key",
		`INSERT INTO data_keys (`+dataKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		k.ID, k.Number, k.Provider, k.Version, k.Wrapped, k.Hashes, micros(k.CreatedAt))
}

// HoldDataKey keeps a data key from being deleted until the transaction ends:
// ErrNotFound where it was already.
func (t *Tx) HoldDataKey(ctx context.Context, id string) error {
	query := `SELECT id FROM data_keys WHERE id = $1`
	if t.db.dialect == PostgreSQL {
		query += ` FOR SHARE`
	}
	_, err := one(ctx, t, "data key", scanText, query, id)
	return err
}

func scanText(r scanner) (s string, err error) {
	err = r.Scan(&s)
	return s, err
}

// ErrInUse says that something still hangs on what was to be deleted.
var ErrInUse = errors.New("it is still in use")

// DeleteDataKey forgets a data key for good: ErrInUse where a key of a card, a
// master key or a photo is sealed with it, or a record signed. (Keys whose
// sealing is not noted count too.)
func (t *Tx) DeleteDataKey(ctx context.Context, id string) error {
	// Deleted first: on PostgreSQL this waits for those who hold it.
	if err := t.change(ctx, "delete data key", `DELETE FROM data_keys WHERE id = $1`, id); err != nil {
		return err
	}
	prefix, err := hex.DecodeString(id)
	if err != nil {
		return fmt.Errorf("delete data key: %w", err)
	}
	signed := func(table, column string) string {
		return ` OR EXISTS (SELECT 1 FROM ` + table + ` WHERE substr(` + column + `, 1, ` + macPrefix + `) = $2)`
	}
	used, err := one(ctx, t, "use of data key", scanBool,
		`SELECT EXISTS (SELECT 1 FROM card_keys WHERE master_id = '' AND sealed_by IN ($1, ''))
			OR EXISTS (SELECT 1 FROM master_keys WHERE sealed_by = $1)`+
			signed("holders", "mac")+signed("contacts", "mac")+signed("cards", "mac")+signed("cards", "keys_mac")+signed("photos", "mac"), id, prefix)
	if err == nil && used {
		err = fmt.Errorf("delete data key: %w", ErrInUse)
	}
	return err
}

const masterColumns = `id, number, method, label, sealed, sealed_by, created_at`

func scanMaster(r scanner) (k MasterKey, err error) {
	err = r.Scan(&k.ID, &k.Number, &k.Method, &k.Label, &k.Sealed, &k.SealedBy, stamp{&k.CreatedAt})
	return k, err
}

// InsertMasterKey adds a master key: ErrExists where its number is taken.
func (t *Tx) InsertMasterKey(ctx context.Context, k MasterKey) error {
	return t.insert(ctx, "insert master key",
		`INSERT INTO master_keys (`+masterColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		k.ID, k.Number, k.Method, k.Label, k.Sealed, k.SealedBy, micros(k.CreatedAt))
}

// MasterKeys gives all master keys, the oldest first.
func (t *Tx) MasterKeys(ctx context.Context) ([]MasterKey, error) {
	return many(ctx, t, "master keys", scanMaster, `SELECT `+masterColumns+` FROM master_keys ORDER BY number`)
}

// MasterKey reads a master key.
func (t *Tx) MasterKey(ctx context.Context, id string) (MasterKey, error) {
	return one(ctx, t, "master key", scanMaster, `SELECT `+masterColumns+` FROM master_keys WHERE id = $1`, id)
}

// MasterKeyByNumber reads a master key by its number.
func (t *Tx) MasterKeyByNumber(ctx context.Context, number int64) (MasterKey, error) {
	return one(ctx, t, "master key", scanMaster, `SELECT `+masterColumns+` FROM master_keys WHERE number = $1`, number)
}

// ReplaceMasterSealed puts a master key's new sealing in place of the old.
func (t *Tx) ReplaceMasterSealed(ctx context.Context, k MasterKey) error {
	return t.change(ctx, "seal master key again", `UPDATE master_keys SET sealed = $2, sealed_by = $3 WHERE id = $1`,
		k.ID, k.Sealed, k.SealedBy)
}
