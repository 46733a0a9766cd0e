package upkeep_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/directory"
	"latchkey/internal/escrow/upkeep"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
	"latchkey/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// house is a database with keys in it.
type house struct {
	t         testing.TB
	db        *store.DB
	kek       string
	providers seal.Providers
	keys      *seal.Keyring
	dir       *directory.Directory
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newHouse(t testing.TB, database string) *house {
	t.Helper()
	h := &house{t: t, kek: filepath.Join(t.TempDir(), "kek.key")}
	var err error
	h.db, err = store.Open(t.Context(), database, store.Options{Node: "test"})
	must(t, err)
	t.Cleanup(func() { must(t, h.db.Close()) })
	if _, benchmark := t.(*testing.B); !benchmark && h.db.Dialect() == store.SQLite { // power cuts are not what these tests are about
		_, err = h.db.SQL().ExecContext(t.Context(), `PRAGMA synchronous = OFF`)
		must(t, err)
	}
	_, err = seal.Create(h.kek)
	must(t, err)
	file, err := seal.NewFile(h.kek)
	must(t, err)
	h.providers = seal.Providers{file}
	h.open()
	return h
}

// open is what a process does when it starts.
func (h *house) open() {
	h.t.Helper()
	var err error
	h.keys, err = seal.Open(h.t.Context(), h.db, h.providers)
	must(h.t, err)
	h.dir, err = directory.New(h.keys, directory.Options{})
	must(h.t, err)
}

func houses(t *testing.T, test func(t *testing.T, h *house)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, newHouse(t, storetest.SQLite(t))) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, newHouse(t, storetest.PostgreSQL(t))) })
}

func guid(n int) string { return fmt.Sprintf("%032x", n) }

func puk(n int) string { return fmt.Sprintf("%08d", n) }

// fill imports n holders with a card each.
func (h *house) fill(n int) {
	h.t.Helper()
	var holders, cards strings.Builder
	holders.WriteString("staff_number,name,email\n")
	cards.WriteString("family,identifier,serial,staff_number,puk\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&holders, "%d,Sam,s%d@example.org\n", i, i)
		fmt.Fprintf(&cards, "piv,%s,%d,%d,%s\n", guid(i), i, i, puk(i))
	}
	ctx := h.t.Context()
	_, err := h.dir.ImportCardholders(ctx, h.db, strings.NewReader(holders.String()), directory.ImportOptions{})
	must(h.t, err)
	_, err = h.dir.ImportCards(ctx, h.db, strings.NewReader(cards.String()), directory.ImportOptions{})
	must(h.t, err)
}

// same makes sure that n cards have their keys, that every record is ours, and
// how many keys each data key has sealed.
func (h *house) same(n int) map[string]int {
	h.t.Helper()
	by := map[string]int{}
	must(h.t, h.db.Update(h.t.Context(), func(tx *store.Tx) error {
		clear(by)
		for i := 1; i <= n; i++ {
			c, err := tx.CardByIdentifier(h.t.Context(), "piv", guid(i))
			if err != nil {
				return err
			}
			if err := h.dir.CheckCard(h.t.Context(), tx, c); err != nil {
				return err
			}
			keys, err := tx.AllCardKeys(h.t.Context(), c.ID)
			if err != nil || len(keys) != 1 {
				return fmt.Errorf("card %d has %d keys: %w", i, len(keys), err)
			}
			if err := cardkey.CheckStand(h.keys, c, keys); err != nil {
				return err
			}
			key, err := cardkey.OpenStored(h.keys, keys[0])
			if err != nil || string(key) != puk(i) {
				return fmt.Errorf("card %d: %q, %w", i, key, err)
			}
			by[keys[0].SealedBy]++
			contacts, err := h.dir.Contacts(h.t.Context(), tx, c.HolderID)
			if err != nil || len(contacts) != 1 {
				return fmt.Errorf("card %d: %d contacts, %w", i, len(contacts), err)
			}
		}
		return nil
	}))
	return by
}

func (h *house) rewrap(ctx context.Context, o upkeep.RewrapOptions) (upkeep.RewrapResult, error) {
	o.Also = []upkeep.Resealer{h.dir.Resign, h.dir.ResealPhotos}
	return upkeep.Rewrap(ctx, h.db, h.keys, h.providers, o)
}

func (h *house) rotate() {
	h.t.Helper()
	_, err := upkeep.RotateKEK(h.t.Context(), h.db, h.providers)
	must(h.t, err)
}

// TestRewrapKilledAndResumed: a rewrap that is stopped at any of its
// transactions leaves every key readable, and another run finishes it.
func TestRewrapKilledAndResumed(t *testing.T) {
	houses(t, func(t *testing.T, h *house) {
		const n = 520
		h.fill(n)
		first := h.keys.ID()
		killed := 0
		for at := 1; ; at++ {
			h.rotate()
			ctx, kill := context.WithCancel(t.Context())
			calls := 0
			_, err := h.rewrap(ctx, upkeep.RewrapOptions{Progress: func(int64) {
				if calls++; calls == at {
					kill()
				}
			}})
			kill()
			if calls < at {
				must(t, err)
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("killed at %d: %v", at, err)
			}
			killed++
			h.open() // as the next process finds it
			h.same(n)
			r, err := h.rewrap(t.Context(), upkeep.RewrapOptions{})
			must(t, err)
			if r.Bad != 0 || r.Fresh || r.Keys+r.Others == 0 && at < 3 {
				t.Errorf("resumed after %d: %+v", at, r)
			}
			if by := h.same(n); by[h.keys.ID()] != n {
				t.Errorf("sealed by %v", by)
			}
		}
		if killed < 4 {
			t.Errorf("killed %d times only", killed)
		}
		h.rotate()
		r, err := h.rewrap(t.Context(), upkeep.RewrapOptions{Forget: true})
		must(t, err)
		if r.Keys != n || r.Others != 3*n || r.Forgotten < killed || h.keys.ID() == first {
			t.Errorf("%+v", r)
		}
		h.open()
		h.same(n)
	})
}

// TestRewrapBesideOthers: keys that come while it runs, sealed with the old
// data key by a node that has not met the new one, are taken too or keep the
// old one from being forgotten.
func TestRewrapBesideOthers(t *testing.T) {
	houses(t, func(t *testing.T, h *house) {
		h.fill(10)
		stale, err := seal.Open(t.Context(), h.db, h.providers)
		must(t, err)
		h.rotate()
		added := 0
		late := func(ctx context.Context, db *store.DB, _ *seal.Keyring, _ func(int64)) (int64, error) {
			return 0, db.Update(ctx, func(tx *store.Tx) error {
				c, err := tx.CardByIdentifier(ctx, "piv", guid(1))
				if err != nil {
					return err
				}
				added++
				return cardkey.Add(ctx, tx, stale, &store.Key{ID: store.NewID(), CardID: c.ID, Kind: cardkey.PUK, State: store.KeyRetired, Epoch: 1}, []byte("99999999"))
			})
		}
		r, err := upkeep.Rewrap(t.Context(), h.db, h.keys, h.providers, upkeep.RewrapOptions{Forget: true, Also: []upkeep.Resealer{late, h.dir.Resign}})
		if problem.CodeOf(err) != problem.DataKeyUsed || added != 1 || r.Forgotten != 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		must(t, stale.Refresh(t.Context(), h.db, h.providers))
		r, err = h.rewrap(t.Context(), upkeep.RewrapOptions{Forget: true})
		must(t, err)
		if r.Keys != 1 || r.Forgotten != 1 {
			t.Errorf("%+v", r)
		}
		// One that never looked seals with what is gone: it is not stored.
		err = h.db.Update(t.Context(), func(tx *store.Tx) error {
			c, err := tx.CardByIdentifier(t.Context(), "piv", guid(2))
			must(t, err)
			k := store.Key{ID: store.NewID(), CardID: c.ID, Kind: cardkey.PUK, State: store.KeyRetired}
			must(t, cardkey.Seal(h.keys, &k, []byte("11111111")))
			_, err = tx.SQL().Exec(`DELETE FROM data_keys`)
			must(t, err)
			return cardkey.Add(t.Context(), tx, h.keys, &k, []byte("11111111"))
		})
		if problem.CodeOf(err) != problem.DataKeyGone {
			t.Errorf("%v", err)
		}
	})
}

// TestVerify: a key that was changed, or changed places with another's, is told.
func TestVerify(t *testing.T) {
	houses(t, func(t *testing.T, h *house) {
		h.fill(600)
		done, failed, err := upkeep.Verify(t.Context(), h.db, h.keys, func(k store.Key, err error) { t.Errorf("%s: %v", k.ID, err) }, func(int64) {})
		if done != 600 || failed != 0 || err != nil {
			t.Fatalf("%d, %d, %v", done, failed, err)
		}
		_, err = h.db.SQL().Exec(`UPDATE card_keys SET sealed = (SELECT sealed FROM card_keys o WHERE o.id <> card_keys.id ORDER BY o.id LIMIT 1)
			WHERE id IN (SELECT id FROM card_keys ORDER BY id DESC LIMIT 3)`)
		must(t, err)
		var bad []string
		_, failed, err = upkeep.Verify(t.Context(), h.db, h.keys, func(k store.Key, err error) {
			if problem.CodeOf(err) != problem.SealedDamaged {
				t.Errorf("%v", err)
			}
			bad = append(bad, k.ID)
		}, func(int64) {})
		if failed != 3 || len(bad) != 3 || problem.CodeOf(err) != problem.KeysDoNotOpen {
			t.Errorf("%d, %v, %v", failed, bad, err)
		}
		h.rotate()
		r, err := h.rewrap(t.Context(), upkeep.RewrapOptions{Forget: true})
		if r.Bad != 3 || r.Keys != 597 || r.Forgotten != 0 || problem.CodeOf(err) != problem.KeysDoNotOpen {
			t.Errorf("rewrap over damaged keys: %+v, %v", r, err)
		}
	})
}

// TestStatus: what there is.
func TestStatus(t *testing.T) {
	houses(t, func(t *testing.T, h *house) {
		h.fill(3)
		must(t, h.db.Update(t.Context(), func(tx *store.Tx) error {
			return h.dir.AddMaster(t.Context(), tx, 1, cardkey.MethodHMAC, "acme", []byte("0123456789abcdef"))
		}))
		s, err := upkeep.Look(t.Context(), h.db, h.providers)
		must(t, err)
		if len(s.DataKeys) != 1 || s.DataKeys[0].Version != s.Newest[seal.FileName] || len(s.Masters) != 1 ||
			len(s.Counts) != 1 || s.Counts[0].Count != 3 || s.Counts[0].Kind != cardkey.PUK || s.Counts[0].SealedBy != h.keys.ID() || s.Control.State != store.ReleasesRunning {
			t.Errorf("%+v", s)
		}
		must(t, os.Remove(h.kek))
		if s, err = upkeep.Look(t.Context(), h.db, h.providers); err != nil || s.Newest[seal.FileName] != "" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// TestCompromisedKey rehearses the plan of docs/operating.md for a
// key-encryption key that others may know: stop, a newer version, everything
// sealed anew, the old version destroyed. Afterwards whoever has the old file
// opens nothing that is in the database.
func TestCompromisedKey(t *testing.T) {
	houses(t, func(t *testing.T, h *house) {
		h.fill(20)
		must(t, h.db.Update(t.Context(), func(tx *store.Tx) error {
			return h.dir.AddMaster(t.Context(), tx, 1, cardkey.MethodHMAC, "acme", []byte("0123456789abcdef"))
		}))
		stolen, err := os.ReadFile(h.kek)
		must(t, err)
		hash := string(h.keys.Hash("address", []byte("s1@example.org")))

		if _, err := h.rewrap(t.Context(), upkeep.RewrapOptions{Compromised: true}); problem.CodeOf(err) != problem.ConfigInvalid {
			t.Fatalf("releases were not stopped: %v", err)
		}
		_, err = h.db.SQL().Exec(`INSERT INTO release_control (id, state, reason, actor, changed_at, reopens_at, generation) VALUES (1, 'stopped', '', '', 0, 0, 0)`)
		must(t, err)
		h.rotate()
		ctx, kill := context.WithCancel(t.Context())
		if _, err := h.rewrap(ctx, upkeep.RewrapOptions{Compromised: true, Progress: func(int64) { kill() }}); !errors.Is(err, context.Canceled) {
			t.Fatalf("killed: %v", err)
		}
		h.open()
		r, err := h.rewrap(t.Context(), upkeep.RewrapOptions{Compromised: true})
		must(t, err)
		if r.Forgotten != 1 || r.Fresh {
			t.Errorf("resumed: %+v", r)
		}
		if string(h.keys.Hash("address", []byte("s1@example.org"))) == hash {
			t.Error("keyed hashes are as they were")
		}
		// The old version goes: the last line of the file stays.
		now, err := os.ReadFile(h.kek)
		must(t, err)
		lines := strings.SplitAfter(strings.TrimSpace(string(now)), "\n")
		must(t, os.WriteFile(h.kek, []byte(lines[len(lines)-1]+"\n"), 0o600))
		h.open()
		h.same(20)
		done, _, err := upkeep.Verify(t.Context(), h.db, h.keys, func(store.Key, error) {}, func(int64) {})
		if done != 20 || err != nil {
			t.Errorf("verify: %d, %v", done, err)
		}

		thief := filepath.Join(t.TempDir(), "stolen.key")
		must(t, os.WriteFile(thief, stolen, 0o600))
		file, err := seal.NewFile(thief)
		must(t, err)
		if _, err := seal.Open(t.Context(), h.db, seal.Providers{file}); problem.CodeOf(err) != problem.KeyWrong {
			t.Errorf("the old key opens the data keys: %v", err)
		}
		old, err := seal.Load(thief)
		must(t, err)
		must(t, h.db.View(t.Context(), func(tx *store.Tx) error {
			return tx.EachKey(t.Context(), func(k store.Key) error {
				if _, err := cardkey.OpenStored(old, k); err == nil {
					t.Errorf("the old key opens key %s", k.ID)
				}
				return nil
			})
		}))
		var trail []string
		must(t, h.db.View(t.Context(), func(tx *store.Tx) error {
			return tx.EachAudit(t.Context(), "test", 0, func(e store.AuditEvent) error {
				if strings.HasPrefix(e.Action, "keys.") && e.Action != audit.MasterAdded {
					trail = append(trail, e.Action)
				}
				return nil
			})
		}))
		if got := fmt.Sprint(trail); got != fmt.Sprint([]string{audit.KeyRotatedKEK, audit.DataKeyMade, audit.KeysRewrapped, audit.DataKeyForgotten}) {
			t.Errorf("the trail has %v", trail)
		}
	})
}

// TestOldDatabase: a database of before data keys opens with the key file that
// it was made with, and with no other.
func TestOldDatabase(t *testing.T) {
	houses(t, func(t *testing.T, h *house) {
		legacy, err := seal.Load(h.kek)
		must(t, err)
		_, err = h.db.SQL().Exec(`DELETE FROM data_keys`)
		must(t, err)
		_, err = h.db.SQL().Exec(`INSERT INTO meta (key, value) VALUES ('kek', $1)`, []byte(legacy.ID()))
		must(t, err)
		k := store.Key{ID: "k", CardID: "c", Kind: cardkey.PUK}
		must(t, cardkey.Seal(legacy, &k, []byte("12345678")))
		other := filepath.Join(t.TempDir(), "other.key")
		_, err = seal.Create(other)
		must(t, err)
		wrong, err := seal.NewFile(other)
		must(t, err)
		if _, err := seal.Open(t.Context(), h.db, seal.Providers{wrong}); problem.CodeOf(err) != problem.KeyWrong {
			t.Errorf("another key file: %v", err)
		}
		h.open()
		if key, err := cardkey.OpenStored(h.keys, k); err != nil || string(key) != "12345678" {
			t.Errorf("%q, %v", key, err)
		}
		if h.keys.ID() != legacy.ID() {
			t.Error("another data key")
		}
	})
}

var rewrapKeys = flag.Int("rewrap-keys", 10_000, "keys of BenchmarkRewrap; make bench has 1,000,000")

// BenchmarkRewrap seals the keys of many cards again, one of each card, with
// the record's signatures.
func BenchmarkRewrap(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.PostgreSQL} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b, url(b))
			h.crowd(*rewrapKeys)
			b.ResetTimer()
			for range b.N {
				h.rotate()
				r, err := upkeep.Rewrap(b.Context(), h.db, h.keys, h.providers, upkeep.RewrapOptions{})
				must(b, err)
				if r.Keys != int64(*rewrapKeys) {
					b.Fatalf("%+v", r)
				}
			}
			b.ReportMetric(float64(*rewrapKeys)*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
			b.ReportMetric(peak(b), "MB-peak")
		})
	}
}

// crowd puts keys in directly: a card for each hundred of them, which makes no
// difference to sealing.
func (h *house) crowd(n int) {
	h.t.Helper()
	ctx := h.t.Context()
	for i := 0; i < n; i += 1000 {
		must(h.t, h.db.Update(ctx, func(tx *store.Tx) error {
			id := store.NewID()
			if err := tx.InsertHolder(ctx, store.Holder{ID: id, StaffNumber: id, State: store.HolderActive}); err != nil {
				return err
			}
			if err := tx.InsertCard(ctx, store.Card{ID: id, Family: "piv", Identifier: id, HolderID: id, State: store.CardActive, Epoch: 1}); err != nil {
				return err
			}
			for j := i; j < min(n, i+1000); j++ {
				k := store.Key{ID: store.NewID(), CardID: id, Kind: cardkey.PUK, State: store.KeyRetired, CreatedBy: "bench", Epoch: 1}
				if err := cardkey.Seal(h.keys, &k, []byte(puk(j))); err != nil {
					return err
				}
				if err := tx.InsertKey(ctx, k); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// peak is the most memory that this process has had, in megabytes (Linux).
func peak(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(b, err)
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kb float64
	_, err = fmt.Sscan(rest, &kb)
	must(b, err)
	return kb / 1024
}
