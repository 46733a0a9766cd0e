package escrow_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/cardkey"
	"latchkey/internal/escrow"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// fataler is what testing and rapid have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// vault is an escrow with its database.
type vault struct {
	*escrow.Escrow
	db      *store.DB
	keys    *seal.Keyring
	service ed25519.PublicKey
	private hpke.PrivateKey // of every session: that is not what is tested here
	made    int
}

func newVault(t testing.TB, database string) *vault {
	t.Helper()
	db, err := store.Open(t.Context(), database, store.Options{Node: "test"})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	v := &vault{db: db}
	v.keys, err = seal.Create(filepath.Join(t.TempDir(), "kek.key"))
	must(t, err)
	public, signing, err := ed25519.GenerateKey(nil)
	must(t, err)
	v.private, err = hpke.DHKEM(ecdh.X25519()).GenerateKey()
	must(t, err)
	v.service, v.Escrow = public, escrow.New(v.keys, signing, "test")
	return v
}

func on(t *testing.T, test func(t *testing.T, v *vault)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, newVault(t, filepath.Join(t.TempDir(), "test.db"))) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, newVault(t, pgtest.URL(t))) })
}

// chip is a card: what is on it, and which row of the database is about it.
type chip struct {
	id, puk string
	tries   int
	fewest  int // tries that were ever left
}

const fullTries = 3

// issue makes a card and registers it with its key. bare: without the key.
func (v *vault) issue(t fataler, bare bool) *chip {
	t.Helper()
	v.made++
	c := &chip{id: fmt.Sprintf("card-%d", v.made), puk: "73519264", tries: fullTries, fewest: fullTries}
	ctx := context.Background()
	must(t, v.db.Update(ctx, func(tx *store.Tx) error {
		if err := tx.InsertHolder(ctx, store.Holder{ID: "holder-" + c.id, StaffNumber: c.id, Name: "Sam", State: store.HolderActive}); err != nil {
			return err
		}
		if err := tx.InsertCard(ctx, store.Card{ID: c.id, Family: "piv", Identifier: c.id, HolderID: "holder-" + c.id, State: store.CardActive, Epoch: 1,
			TriesLeft: store.TriesUnknown}); err != nil || bare {
			return err
		}
		k := store.Key{ID: store.NewID(), CardID: c.id, Kind: cardkey.PUK, State: store.KeyCurrent, CreatedBy: "import", Epoch: 1}
		return cardkey.Add(ctx, tx, v.keys, &k, []byte(c.puk))
	}))
	return c
}

// present is RESET RETRY COUNTER with a key.
func (c *chip) present(puk string) bool {
	if puk == c.puk {
		c.tries = fullTries
		return true
	}
	c.tries--
	c.fewest = min(c.fewest, c.tries)
	return false
}

// session is one attempt of an application.
type session struct {
	v    *vault
	chip *chip
	id   string
	left *int // what the card tells of its tries; nil where it does not
}

func (v *vault) begin(t fataler, c *chip) *session {
	t.Helper()
	s := &session{v: v, chip: c, id: store.NewID()}
	must(t, v.db.Update(context.Background(), func(tx *store.Tx) error {
		return tx.InsertSession(context.Background(), store.Session{ID: s.id, CardID: c.id, State: "verified", PublicKey: v.private.PublicKey().Bytes()})
	}))
	return s
}

// release asks for a step and opens what comes.
func (s *session) release(t fataler, step int) (api.Release, int64, error) {
	t.Helper()
	var e api.Envelope
	var stopped escrow.Stopped
	ctx := context.Background()
	err := s.v.db.Update(ctx, func(tx *store.Tx) error {
		c, err := tx.LockCard(ctx, s.chip.id)
		if err != nil {
			return err
		}
		x, err := tx.SessionByID(ctx, s.id)
		if err != nil {
			return err
		}
		if e, err = s.v.Release(ctx, tx, x, &c, step, s.left); errors.As(err, &stopped) {
			return nil // what it has written down is kept
		}
		return err
	})
	if stopped.Problem != nil {
		err = stopped
	}
	if err != nil {
		return api.Release{}, 0, err
	}
	r, err := e.Open(s.v.private, s.v.service, "test", s.id, s.chip.id, step)
	must(t, err)
	return r, e.Epoch, nil
}

func (s *session) report(r api.Report, proven bool) (out escrow.Result, err error) {
	ctx := context.Background()
	err = s.v.db.Update(ctx, func(tx *store.Tx) error {
		c, err := tx.LockCard(ctx, s.chip.id)
		if err != nil {
			return err
		}
		x, err := tx.SessionByID(ctx, s.id)
		if err != nil {
			return err
		}
		out, err = s.v.Report(ctx, tx, x, &c, r, proven)
		return err
	})
	return out, err
}

// row is what the database knows of a card.
func (v *vault) row(t fataler, c *chip) (out store.Card) {
	t.Helper()
	must(t, v.db.View(context.Background(), func(tx *store.Tx) (err error) {
		out, err = tx.Card(context.Background(), c.id)
		return err
	}))
	return out
}

// candidates are the keys held for a card, the current one first, and how many
// it ever had.
func (v *vault) candidates(t fataler, c *chip) (have []string, ever int) {
	t.Helper()
	must(t, v.db.View(context.Background(), func(tx *store.Tx) error {
		keys, err := tx.AllCardKeys(context.Background(), c.id)
		slices.SortFunc(keys, func(a, b store.Key) int { return strings.Compare(string(a.State), string(b.State)) })
		for _, k := range keys {
			raw, err := cardkey.OpenStored(v.keys, k)
			if err != nil {
				return err
			}
			if k.State != store.KeyRetired {
				have = append(have, string(raw))
			}
		}
		ever = len(keys)
		return err
	}))
	return have, ever
}
