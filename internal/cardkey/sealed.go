package cardkey

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// sealKind and masterKind are the kinds of package seal.
const (
	sealKind   = "card-key"
	masterKind = "master-key"
)

// row is what a key's sealing is bound to. Keys of before keys had an epoch
// are bound to the rest alone.
func row(k store.Key) []string {
	r := []string{k.ID, k.CardID, k.Kind}
	if k.Epoch != 0 {
		r = append(r, strconv.FormatInt(k.Epoch, 10))
	}
	return r
}

// Seal seals a key for the row that k is: its ID, CardID, Kind and Epoch.
func Seal(keys *seal.Keyring, k *store.Key, key []byte) error {
	if err := Check(k.Kind, key); err != nil {
		return err
	}
	return Reseal(keys, k, key)
}

// Reseal is Seal for a key that was kept before: it is kept as it is, whatever
// form keys have today.
func Reseal(keys *seal.Keyring, k *store.Key, key []byte) error {
	sealed, err := keys.Seal(sealKind, row(*k), key)
	if err != nil {
		return fmt.Errorf("seal unlocking key: %w", err)
	}
	k.Sealed, k.SealedBy = sealed, seal.KeyOf(sealed)
	return nil
}

// Add seals a key and puts its row into the database. The data key that seals
// it cannot be forgotten meanwhile.
func Add(ctx context.Context, tx *store.Tx, keys *seal.Keyring, k *store.Key, key []byte) error {
	if err := Seal(keys, k, key); err != nil {
		return err
	}
	if keys.Kept() {
		err := tx.HoldDataKey(ctx, k.SealedBy)
		if errors.Is(err, store.ErrNotFound) {
			return problem.Wrap(problem.DataKeyGone, err)
		}
		if err != nil {
			return err
		}
	}
	return tx.InsertKey(ctx, *k)
}

// Open gives a card's key: opened, or derived from its master key.
func Open(ctx context.Context, tx *store.Tx, keys *seal.Keyring, c store.Card, k store.Key) ([]byte, error) {
	if k.CardID != c.ID {
		return nil, fmt.Errorf("unlocking key %s is of another card", k.ID)
	}
	if k.MasterID == "" {
		return OpenStored(keys, k)
	}
	m, err := tx.MasterKey(ctx, k.MasterID)
	if err != nil {
		return nil, fmt.Errorf("unlocking key %s: %w", k.ID, err)
	}
	master, err := OpenMaster(keys, m)
	if err != nil {
		return nil, err
	}
	key, err := Derive(m.Method, master, m.Label, k.Kind, c.Family, c.Identifier)
	if err != nil {
		return nil, fmt.Errorf("derive unlocking key %s: %w", k.ID, err)
	}
	return key, nil
}

// OpenStored opens a key that is not derived.
func OpenStored(keys *seal.Keyring, k store.Key) ([]byte, error) {
	key, err := keys.Open(sealKind, row(k), k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open unlocking key %s: %w", k.ID, sealedFault(err))
	}
	return key, nil
}

// sealedFault makes what package seal says a problem.
func sealedFault(err error) error {
	switch {
	case errors.Is(err, seal.ErrOtherKey):
		return problem.Wrap(problem.DataKeyGone, err)
	case errors.Is(err, seal.ErrSealed):
		return problem.Wrap(problem.SealedDamaged, err)
	}
	return err
}

// MasterID stands for a master key: the one that is given again after a restore
// is the same. A hash of 16 random bytes or more tells nothing of them.
func MasterID(method, label string, key []byte) string {
	h := sha256.New()
	for _, f := range [][]byte{[]byte("latchkey master key v1"), []byte(method), []byte(label), key} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(f))))
		h.Write(f)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func masterRow(m store.MasterKey) []string { return []string{m.ID, m.Method, m.Label} }

// SealMaster seals a master key for its ID, Method and Label. Error: ErrMaster.
func SealMaster(keys *seal.Keyring, m *store.MasterKey, key []byte) error {
	if err := CheckMaster(m.Method, key); err != nil {
		return err
	}
	sealed, err := keys.Seal(masterKind, masterRow(*m), key)
	if err != nil {
		return fmt.Errorf("seal master key: %w", err)
	}
	m.Sealed, m.SealedBy = sealed, seal.KeyOf(sealed)
	return nil
}

// OpenMaster opens a master key.
func OpenMaster(keys *seal.Keyring, m store.MasterKey) ([]byte, error) {
	key, err := keys.Open(masterKind, masterRow(m), m.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open master key %d: %w", m.Number, sealedFault(err))
	}
	return key, nil
}

// standKind is the MAC of where a card's keys stand.
const standKind = "card-keys"

func standFields(c store.Card, keys []store.Key) []string {
	f := []string{c.ID, strconv.FormatInt(c.KeysVersion, 10), strconv.FormatInt(c.Epoch, 10), strconv.FormatBool(c.PendingFirst),
		c.OpenAttempt, strconv.Itoa(c.TriesOut), strconv.Itoa(c.TriesLeft)}
	if c.Mutual {
		f = append(f, "mutual")
	}
	for _, k := range keys {
		f = append(f, k.ID, string(k.State), k.Kind, k.MasterID)
	}
	return f
}

// Sign numbers and signs where a card's keys stand, which are its candidates
// in the order of store.Tx.CardKeys.
func Sign(keys *seal.Keyring, c *store.Card, candidates []store.Key) {
	c.KeysVersion++
	SignAgain(keys, c, candidates)
}

// SignAgain signs what was signed before with the newest data key.
func SignAgain(keys *seal.Keyring, c *store.Card, candidates []store.Key) {
	c.KeysMAC = keys.MAC(standKind, standFields(*c, candidates)...)
}

// Save writes where a card's keys stand, after the keys themselves were
// written.
func Save(ctx context.Context, tx *store.Tx, keys *seal.Keyring, c *store.Card) error {
	candidates, err := tx.CardKeys(ctx, c.ID)
	if err != nil {
		return err
	}
	Sign(keys, c, candidates)
	return tx.SaveCardKeys(ctx, *c)
}

// ErrStand says that where a card's keys stand was not written by Latchkey.
var ErrStand = errors.New("where the card's keys stand was not written by Latchkey")

// CheckStand makes sure that where a card's keys stand was written by Save.
// Rows of before there were numbers pass.
func CheckStand(keys *seal.Keyring, c store.Card, candidates []store.Key) error {
	if c.KeysVersion == 0 && c.KeysMAC == nil {
		return nil
	}
	if !keys.CheckMAC(c.KeysMAC, standKind, standFields(c, candidates)...) {
		return fmt.Errorf("card %s: %w", c.ID, ErrStand)
	}
	return nil
}

// Plain is a key's row and its value.
type Plain struct {
	Row   store.Key
	Value []byte
}

// Recorder writes keys that a card is about to hold into a key journal, inside
// the transaction that stores them. version is the card's KeysVersion when that
// has committed.
type Recorder interface {
	Record(ctx context.Context, tx *store.Tx, c store.Card, version int64, current Plain, next *Plain) error
}
