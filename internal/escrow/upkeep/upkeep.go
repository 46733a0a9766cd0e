// Package upkeep looks after the keys that seal: what there is (Status), whether
// every sealed key opens (Verify), and sealing everything again with a newer
// data key (Rewrap).
//
// It promises:
//   - all of it runs beside the service, in short transactions and bounded
//     memory;
//   - Rewrap can be stopped at any moment and run again: what it has sealed is
//     sealed, the rest opens as before;
//   - an old data key is forgotten only when nothing of a card hangs on it any
//     more, in the transaction that makes sure of that.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// batch is how many rows one transaction seals again.
const batch = 500

// Status is what there is.
type Status struct {
	DataKeys []store.DataKey
	Masters  []store.MasterKey
	Counts   []store.KeyCount
	Journals []store.KeyJournal
	Control  store.ReleaseControl
	Newest   map[string]string // newest key-encryption key version of each provider; "" where it does not answer
}

// Look collects the status.
func Look(ctx context.Context, db *store.DB, p seal.Providers) (Status, error) {
	s := Status{Newest: map[string]string{}}
	err := db.View(ctx, func(tx *store.Tx) (err error) {
		if s.DataKeys, err = tx.DataKeys(ctx); err != nil {
			return err
		}
		if s.Masters, err = tx.MasterKeys(ctx); err != nil {
			return err
		}
		if s.Counts, err = tx.CountKeys(ctx); err != nil {
			return err
		}
		if s.Journals, err = tx.KeyJournals(ctx); err != nil {
			return err
		}
		s.Control, err = tx.ReleaseControl(ctx)
		return err
	})
	for _, one := range p {
		version, err := one.Newest(ctx)
		if err != nil {
			version = ""
		}
		s.Newest[one.Name()] = version
	}
	return s, err
}

// Progress is told how many rows are done.
type Progress func(done int64)

// Verify opens every sealed key and master key, and derives what is derived. bad
// is told each that does not open. Error: problem.KeysDoNotOpen where there are
// any, those of the database.
func Verify(ctx context.Context, db *store.DB, keys *seal.Keyring, bad func(k store.Key, err error), progress Progress) (done, failed int64, err error) {
	masters := map[string]error{}
	err = db.View(ctx, func(tx *store.Tx) error {
		all, err := tx.MasterKeys(ctx)
		for _, m := range all {
			_, masters[m.ID] = cardkey.OpenMaster(keys, m)
		}
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	for after, end := "", false; !end; {
		var page []store.Key
		// A transaction for each page: a long one would hold up SQLite's
		// checkpoints and PostgreSQL's vacuum.
		if err := db.View(ctx, func(tx *store.Tx) (err error) {
			page, err = tx.KeysAfter(ctx, after, batch)
			return err
		}); err != nil {
			return done, failed, err
		}
		for _, k := range page {
			if err := opens(keys, masters, k); err != nil {
				failed++
				bad(k, err)
			}
			after = k.ID
		}
		done += int64(len(page))
		progress(done)
		end = len(page) < batch
	}
	if failed > 0 {
		return done, failed, problem.Wrap(problem.KeysDoNotOpen, fmt.Errorf("%d of %d", failed, done))
	}
	return done, 0, nil
}

func opens(keys *seal.Keyring, masters map[string]error, k store.Key) error {
	if k.MasterID == "" {
		_, err := cardkey.OpenStored(keys, k)
		return err
	}
	err, known := masters[k.MasterID]
	if !known {
		return errors.New("its master key is not on record")
	}
	return err
}

// Resealer seals or signs the rows of one kind again that hang on another data
// key than the newest. It does its work in transactions of its own.
type Resealer func(ctx context.Context, db *store.DB, keys *seal.Keyring, progress func(done int64)) (done int64, err error)

// RewrapOptions of Rewrap.
type RewrapOptions struct {
	// Compromised: a fresh data key is made whatever there is, keyed hashes use
	// it too (sessions end, counts begin again), and the old data keys are
	// forgotten. Releases must be stopped: problem.ReleasesStopped says so.
	Compromised bool
	// Forget deletes the old data keys when nothing hangs on them any more.
	Forget bool
	// Also are what is to be sealed or signed again beside cards' keys.
	Also     []Resealer
	Progress Progress
	// Bad is told each key that does not open; it stays as it is.
	Bad func(k store.Key, err error)
}

// RewrapResult counts.
type RewrapResult struct {
	DataKey   store.DataKey // the newest
	Fresh     bool          // it was made now
	Keys      int64         // keys of cards that were sealed again
	Others    int64
	Bad       int64 // keys that do not open
	Forgotten int
}

// Rewrap seals everything with the newest data key. Where that is not wrapped
// with the newest key-encryption key of the provider in use, a fresh one is made
// first. Errors: those of seal.Provider, problem.KeysDoNotOpen,
// problem.DataKeyUsed.
func Rewrap(ctx context.Context, db *store.DB, keys *seal.Keyring, p seal.Providers, o RewrapOptions) (RewrapResult, error) {
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	if o.Bad == nil {
		o.Bad = func(store.Key, error) {}
	}
	var r RewrapResult
	if err := newest(ctx, db, p, o, &r); err != nil {
		return r, err
	}
	if err := keys.Refresh(ctx, db, p); err != nil {
		return r, err
	}
	if err := masters(ctx, db, keys); err != nil {
		return r, err
	}
	// Nodes that have not met the new data key yet seal with the old one: what
	// they did meanwhile is taken by the next round.
	for {
		n, bad, err := cards(ctx, db, keys, o.Bad, func(done int64) { o.Progress(r.Keys + done) })
		r.Keys += n
		r.Bad = bad
		o.Bad = func(store.Key, error) {} // told once
		if err != nil {
			return r, err
		}
		if n == 0 {
			break
		}
	}
	for _, also := range o.Also {
		n, err := also(ctx, db, keys, func(done int64) { o.Progress(r.Keys + r.Others + done) })
		r.Others += n
		if err != nil {
			return r, err
		}
	}
	if err := note(ctx, db, audit.KeysRewrapped, map[string]string{"data_key": strconv.FormatInt(r.DataKey.Number, 10),
		"keys": strconv.FormatInt(r.Keys, 10), "others": strconv.FormatInt(r.Others, 10)}); err != nil {
		return r, err
	}
	if r.Bad > 0 {
		return r, problem.Wrap(problem.KeysDoNotOpen, fmt.Errorf("%d keys were left as they are", r.Bad))
	}
	if !o.Forget && !o.Compromised {
		return r, nil
	}
	err := forget(ctx, db, &r)
	return r, errors.Join(err, keys.Refresh(ctx, db, p))
}

func note(ctx context.Context, db *store.DB, action string, details map[string]string) error {
	return db.Update(ctx, func(tx *store.Tx) error {
		return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: action, Details: details})
	})
}

// newest makes a fresh data key where the newest does not do.
func newest(ctx context.Context, db *store.DB, p seal.Providers, o RewrapOptions, r *RewrapResult) error {
	var all []store.DataKey
	var c store.ReleaseControl
	if err := db.View(ctx, func(tx *store.Tx) (err error) {
		if c, err = tx.ReleaseControl(ctx); err != nil {
			return err
		}
		all, err = tx.DataKeys(ctx)
		return err
	}); err != nil {
		return err
	}
	if o.Compromised && c.State != store.ReleasesStopped && c.State != store.ReleasesBehind {
		p := problem.Wrap(problem.ConfigInvalid, errors.New("releases are not stopped"))
		p.Detail = "Releases are not stopped. What is released while the keys change could be read by whoever has the old ones: run latchkeyd releases stop first."
		return p
	}
	version, err := p[0].Newest(ctx)
	if err != nil {
		return err
	}
	if n := len(all); n > 0 {
		r.DataKey = all[n-1]
	}
	if r.DataKey.Provider == p[0].Name() && r.DataKey.Version == version && (!o.Compromised || resumed(all)) {
		return nil
	}
	if r.DataKey, err = seal.NewDataKey(ctx, db, p, o.Compromised); err != nil {
		return err
	}
	r.Fresh = true
	return note(ctx, db, audit.DataKeyMade, map[string]string{"data_key": strconv.FormatInt(r.DataKey.Number, 10),
		"provider": r.DataKey.Provider, "kek_version": r.DataKey.Version})
}

// resumed says whether the newest data key is one that an earlier run for a
// compromised key has made and not come to its end with.
func resumed(all []store.DataKey) bool {
	n := len(all)
	return n > 1 && all[n-1].Hashes
}

func masters(ctx context.Context, db *store.DB, keys *seal.Keyring) error {
	return db.Update(ctx, func(tx *store.Tx) error {
		all, err := tx.MasterKeys(ctx)
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.SealedBy == keys.ID() {
				continue
			}
			master, err := cardkey.OpenMaster(keys, m)
			if err != nil {
				return err
			}
			if err := cardkey.SealMaster(keys, &m, master); err != nil {
				return err
			}
			if err := tx.ReplaceMasterSealed(ctx, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// cards goes once through the keys of cards that another data key has sealed.
func cards(ctx context.Context, db *store.DB, keys *seal.Keyring, bad func(store.Key, error), progress Progress) (done, failed int64, err error) {
	for after, end := "", false; !end; {
		var page []store.Key
		if err := db.View(ctx, func(tx *store.Tx) (err error) {
			page, err = tx.KeysSealedOtherwise(ctx, keys.ID(), after, batch)
			return err
		}); err != nil {
			return done, failed, err
		}
		var was []string
		var again []store.Key
		for _, k := range page { // outside the transaction that writes
			after = k.ID
			key, err := cardkey.OpenStored(keys, k)
			if err != nil {
				failed++
				bad(k, err)
				continue
			}
			was = append(was, k.SealedBy)
			if err := cardkey.Reseal(keys, &k, key); err != nil {
				return done, failed, err
			}
			again = append(again, k)
		}
		n := int64(0)
		if err := db.Update(ctx, func(tx *store.Tx) error {
			n = 0
			for i, k := range again {
				ok, err := tx.ReplaceSealed(ctx, k, was[i])
				if err != nil {
					return err
				}
				if ok {
					n++
				}
			}
			return nil
		}); err != nil {
			return done, failed, err
		}
		done += n
		progress(done)
		end = len(page) < batch
	}
	return done, failed, nil
}

// forget deletes every data key but the newest.
func forget(ctx context.Context, db *store.DB, r *RewrapResult) error {
	forgotten := 0
	err := db.Update(ctx, func(tx *store.Tx) error {
		forgotten = 0
		all, err := tx.DataKeys(ctx)
		if err != nil {
			return err
		}
		for _, k := range all[:len(all)-1] {
			if err := tx.DeleteDataKey(ctx, k.ID); err != nil {
				return err
			}
			forgotten++
			if err := audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.DataKeyForgotten,
				Details: map[string]string{"data_key": strconv.FormatInt(k.Number, 10)}}); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrInUse) {
		return problem.Wrap(problem.DataKeyUsed, err)
	}
	r.Forgotten = forgotten
	return err
}

// RotateKEK makes a newer version of the provider's key-encryption key. Nothing
// is sealed with it until Rewrap.
func RotateKEK(ctx context.Context, db *store.DB, p seal.Providers) (version string, err error) {
	if version, err = p[0].Rotate(ctx); err != nil {
		return "", err
	}
	return version, note(ctx, db, audit.KeyRotatedKEK, map[string]string{"provider": p[0].Name(), "kek_version": version})
}
