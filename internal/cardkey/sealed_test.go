package cardkey_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/store/storetest"
)

func ring(t testing.TB) *seal.Keyring {
	t.Helper()
	keys, err := seal.Create(filepath.Join(t.TempDir(), "kek.key"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestSwappedRowsDoNotOpen: a sealed key opens for its own row and for no other
// that differs in id, card, kind or epoch.
func TestSwappedRowsDoNotOpen(t *testing.T) {
	keys := ring(t)
	text := rapid.SampledFrom([]string{"a", "b", "ab", ""})
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) store.Key {
			return store.Key{ID: "id" + text.Draw(t, name+" id"), CardID: "card" + text.Draw(t, name+" card"),
				Kind: rapid.SampledFrom([]string{cardkey.PUK, cardkey.AdminPIN}).Draw(t, name+" kind"), Epoch: rapid.Int64Range(0, 3).Draw(t, name+" epoch")}
		}
		one, other := draw("one"), draw("other")
		if err := cardkey.Seal(keys, &one, []byte("12345678")); err != nil {
			t.Fatal(err)
		}
		same := one.ID == other.ID && one.CardID == other.CardID && one.Kind == other.Kind && one.Epoch == other.Epoch
		other.Sealed = one.Sealed
		key, err := cardkey.OpenStored(keys, other)
		if same != (err == nil) || same && string(key) != "12345678" {
			t.Fatalf("sealed for %+v, opened for %+v: %v", one, other, err)
		}
		if err != nil && problem.CodeOf(err) != problem.SealedDamaged {
			t.Fatalf("%v", err)
		}
	})
}

func TestOtherRingsDoNotOpen(t *testing.T) {
	k := store.Key{ID: "k", CardID: "c", Kind: cardkey.PUK, Epoch: 1}
	if err := cardkey.Seal(ring(t), &k, []byte("12345678")); err != nil {
		t.Fatal(err)
	}
	if _, err := cardkey.OpenStored(ring(t), k); problem.CodeOf(err) != problem.DataKeyGone {
		t.Errorf("%v", err)
	}
	if err := cardkey.Seal(ring(t), &k, []byte("1")); !errors.As(err, new(cardkey.FormError)) {
		t.Errorf("a key that is none was sealed: %v", err)
	}
}

// TestStand: whatever is changed of where a card's keys stand is noticed.
func TestStand(t *testing.T) {
	keys := ring(t)
	c := store.Card{ID: "c", Epoch: 2, TriesLeft: store.TriesUnknown}
	candidates := []store.Key{{ID: "k1", State: store.KeyCurrent, Kind: cardkey.PUK}, {ID: "k2", State: store.KeyPending, Kind: cardkey.PUK}}
	if err := cardkey.CheckStand(keys, c, candidates); err != nil {
		t.Errorf("a row of before there were numbers: %v", err)
	}
	cardkey.Sign(keys, &c, candidates)
	if err := cardkey.CheckStand(keys, c, candidates); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*store.Card, []store.Key) []store.Key{
		"card":       func(c *store.Card, k []store.Key) []store.Key { c.ID = "d"; return k },
		"version":    func(c *store.Card, k []store.Key) []store.Key { c.KeysVersion--; return k },
		"epoch":      func(c *store.Card, k []store.Key) []store.Key { c.Epoch--; return k },
		"order":      func(c *store.Card, k []store.Key) []store.Key { c.PendingFirst = true; return k },
		"attempt":    func(c *store.Card, k []store.Key) []store.Key { c.OpenAttempt = "s"; return k },
		"tries out":  func(c *store.Card, k []store.Key) []store.Key { c.TriesOut++; return k },
		"tries left": func(c *store.Card, k []store.Key) []store.Key { c.TriesLeft = 3; return k },
		"no MAC":     func(c *store.Card, k []store.Key) []store.Key { c.KeysMAC = nil; return k },
		"key":        func(c *store.Card, k []store.Key) []store.Key { k[0].ID = "k3"; return k },
		"states": func(c *store.Card, k []store.Key) []store.Key {
			k[0].State, k[1].State = k[1].State, k[0].State
			return k
		},
		"kind":         func(c *store.Card, k []store.Key) []store.Key { k[0].Kind = cardkey.AdminPIN; return k },
		"master":       func(c *store.Card, k []store.Key) []store.Key { k[0].MasterID = "m"; return k },
		"key gone":     func(c *store.Card, k []store.Key) []store.Key { return k[:1] },
		"key added":    func(c *store.Card, k []store.Key) []store.Key { return append(k, k[1]) },
		"keys swapped": func(c *store.Card, k []store.Key) []store.Key { return []store.Key{k[1], k[0]} },
	} {
		changed := c
		rest := change(&changed, append([]store.Key(nil), candidates...))
		if err := cardkey.CheckStand(keys, changed, rest); !errors.Is(err, cardkey.ErrStand) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDerivedKeyOpens: a derived key is the same each time, is of its card, and
// needs its master key.
func TestDerivedKeyOpens(t *testing.T) {
	keys := ring(t)
	db, err := store.Open(t.Context(), storetest.SQLite(t), store.Options{Node: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m := store.MasterKey{ID: "m", Number: 1, Method: cardkey.MethodCMAC, Label: "acme"}
	master := []byte("0123456789abcdef")
	if err := cardkey.SealMaster(keys, &m, master); err != nil {
		t.Fatal(err)
	}
	c := store.Card{ID: "c", Family: "piv", Identifier: "0123456789abcdef0123456789abcdef"}
	k := store.Key{ID: "k", CardID: "c", Kind: cardkey.PUK, MasterID: "m"}
	want, err := cardkey.Derive(m.Method, master, m.Label, k.Kind, c.Family, c.Identifier)
	if err != nil {
		t.Fatal(err)
	}
	open := func(c store.Card) (key []byte, err error) {
		err = db.Update(t.Context(), func(tx *store.Tx) error {
			key, err = cardkey.Open(context.Background(), tx, keys, c, k)
			return err
		})
		return key, err
	}
	if _, err := open(c); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("without its master key: %v", err)
	}
	if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.InsertMasterKey(t.Context(), m) }); err != nil {
		t.Fatal(err)
	}
	if got, err := open(c); err != nil || string(got) != string(want) {
		t.Errorf("%q, %v", got, err)
	}
	c.ID = "d"
	if _, err := open(c); err == nil {
		t.Error("it opens for another card")
	}
	m.Label = "other"
	if _, err := cardkey.OpenMaster(keys, m); problem.CodeOf(err) != problem.SealedDamaged {
		t.Errorf("a master key under another label: %v", err)
	}
}
