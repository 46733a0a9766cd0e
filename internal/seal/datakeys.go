package seal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// metaKey is where a database of before data keys says which key it was made
// with.
const metaKey = "kek"

// Providers are the providers that are set up: the first wraps new data keys,
// all unwrap those that they wrapped.
type Providers []Provider

func (p Providers) find(name string) (Provider, error) {
	for _, one := range p {
		if one.Name() == name {
			return one, nil
		}
	}
	return nil, problem.Wrap(problem.KeyMissing, fmt.Errorf("a data key is wrapped by the provider %q, which is not set up", name))
}

// Close closes them all.
func (p Providers) Close() error {
	var err error
	for _, one := range p {
		err = errors.Join(err, one.Close())
	}
	return err
}

// Unwrap opens a wrapped data key and makes sure that it is the one.
func (p Providers) Unwrap(ctx context.Context, k store.DataKey) ([]byte, error) {
	provider, err := p.find(k.Provider)
	if err != nil {
		return nil, err
	}
	secret, err := provider.Unwrap(ctx, k.Version, k.Wrapped, k.ID)
	if err != nil {
		return nil, fmt.Errorf("data key %d: %w", k.Number, err)
	}
	if len(secret) != keySize || newKeyring(secret).ID() != k.ID {
		return nil, problem.Wrap(problem.KeyWrong, fmt.Errorf("data key %d is not the one on record", k.Number))
	}
	return secret, nil
}

// lookAgain is how soon a data key that was not found is looked for again.
const lookAgain = time.Second

// Open gives the keyring of a database: its data keys, unwrapped. A database
// without any gets its first. Errors: those of Provider; problem.KeyWrong for a
// database that was made with another key-encryption key.
func Open(ctx context.Context, db *store.DB, p Providers) (*Keyring, error) {
	var keys []store.DataKey
	err := db.View(ctx, func(tx *store.Tx) (err error) {
		keys, err = tx.DataKeys(ctx)
		return err
	})
	if err == nil && len(keys) == 0 {
		err = first(ctx, db, p)
	}
	if err != nil {
		return nil, err
	}
	k := newKeyring()
	k.kept = true
	if err := k.Refresh(ctx, db, p); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var last time.Time
	k.find = func(string) error {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(last) < lookAgain {
			return nil // just looked: it is there by now, or it is not
		} else {
			last = now
		}
		return k.Refresh(context.WithoutCancel(ctx), db, p)
	}
	return k, nil
}

// first makes a database's first data key. One of before data keys gets the
// key-encryption key that it was made with as its first, so that all opens.
func first(ctx context.Context, db *store.DB, p Providers) error {
	var made []byte
	err := db.View(ctx, func(tx *store.Tx) (err error) {
		made, err = tx.Meta(ctx, metaKey)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	secret := newSecret()
	if made != nil {
		file, ok := p[0].(*File)
		if !ok {
			return problem.Wrap(problem.KeyWrong, errors.New("the database was made with a key file: start it with that once, then rewrap"))
		}
		if secret, ok, err = file.legacy(string(made)); err != nil {
			return err
		}
		if !ok {
			return problem.Wrap(problem.KeyWrong, fmt.Errorf("the database was made with key %s", made))
		}
	}
	_, err = addDataKey(ctx, db, p, secret, true)
	return err
}

// NewDataKey makes a data key, wrapped with the newest key-encryption key, that
// seals from now on. hashes: keyed hashes use it too, so that sessions end and
// counts begin again.
func NewDataKey(ctx context.Context, db *store.DB, p Providers, hashes bool) (store.DataKey, error) {
	return addDataKey(ctx, db, p, newSecret(), hashes)
}

func addDataKey(ctx context.Context, db *store.DB, p Providers, secret []byte, hashes bool) (store.DataKey, error) {
	k := store.DataKey{ID: newKeyring(secret).ID(), Provider: p[0].Name(), Hashes: hashes}
	var err error
	if k.Version, k.Wrapped, err = p[0].Wrap(ctx, secret, k.ID); err != nil {
		return k, err
	}
	err = db.Update(ctx, func(tx *store.Tx) error {
		have, err := tx.DataKeys(ctx)
		if err != nil {
			return err
		}
		k.Number = 1
		if n := len(have); n > 0 {
			k.Number = have[n-1].Number + 1
		}
		if k.CreatedAt, err = tx.Now(ctx); err != nil {
			return err
		}
		return tx.InsertDataKey(ctx, k)
	})
	if errors.Is(err, store.ErrExists) {
		err = nil // another node was first, and Refresh reads its key
	}
	return k, err
}

// Refresh reads the data keys again: those that other nodes have made come in,
// those that were given up go out.
func (k *Keyring) Refresh(ctx context.Context, db *store.DB, p Providers) error {
	var keys []store.DataKey
	err := db.View(ctx, func(tx *store.Tx) (err error) {
		keys, err = tx.DataKeys(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return problem.Wrap(problem.KeyWrong, errors.New("the database has no data key"))
	}
	have := make(map[string]*root)
	k.mu.RLock()
	for _, r := range k.roots {
		have[hex.EncodeToString(r.id[:])] = r
	}
	k.mu.RUnlock()
	roots := make(map[[idSize]byte]*root)
	var newest, hashes *root
	for _, d := range keys { // the oldest first
		r := have[d.ID]
		if r == nil {
			secret, err := p.Unwrap(ctx, d)
			if err != nil {
				return err
			}
			r = newRoot(secret)
		}
		roots[r.id], newest = r, r
		if d.Hashes || hashes == nil {
			hashes = r
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.roots, k.newest, k.hashes = roots, newest, hashes
	return nil
}

// With gives a keyring that has more data keys than this one, which opens what
// a journal holds although the database has forgotten it. Nothing is sealed
// with them.
func (k *Keyring) With(secrets ...[]byte) *Keyring {
	k.mu.RLock()
	defer k.mu.RUnlock()
	more := &Keyring{roots: make(map[[idSize]byte]*root), newest: k.newest, hashes: k.hashes}
	for id, r := range k.roots {
		more.roots[id] = r
	}
	for _, secret := range secrets {
		more.add(secret)
	}
	return more
}
