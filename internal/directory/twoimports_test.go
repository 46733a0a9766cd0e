package directory

import (
	"strings"
	"testing"

	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
)

// TestTwoImportsAtOnce: an import has suspended a holder and revoked a card and
// is not at its end yet; another one begins that changes something else of
// both. On SQLite there is one writer at a time.
func TestTwoImportsAtOnce(t *testing.T) {
	f := newFixture(t, pgtest.URL(t), Options{})
	const guid = "00112233445566778899aabbccddeeff"
	f.mustImport(t, f.ImportCardholders, "staff_number,name\n1001,Sam Taylor\n")
	f.mustImport(t, f.ImportCards, "family,identifier,serial,staff_number,puk\npiv,"+guid+",,1001,12345678\n")
	for name, test := range map[string]struct {
		change func(tx *store.Tx) error
		imp    importer
		text   string
	}{
		"card": {func(tx *store.Tx) error {
			c, err := tx.CardByIdentifier(t.Context(), "piv", guid)
			if err != nil {
				return err
			}
			c.State = store.CardRevoked
			f.signCard(&c)
			return tx.UpdateCardRecord(t.Context(), c)
		}, f.ImportCards, "family,identifier,serial,staff_number,puk\npiv," + guid + ",77,1001,\n"},
		"holder": {func(tx *store.Tx) error {
			h, err := tx.HolderByStaffNumber(t.Context(), "1001")
			if err != nil {
				return err
			}
			h.State = store.HolderSuspended
			f.signHolder(&h)
			return tx.UpdateHolder(t.Context(), h)
		}, f.ImportCardholders, "staff_number,name\n1001,Sam Tailor\n"},
	} {
		second := make(chan error, 1)
		err := f.db.Update(t.Context(), func(tx *store.Tx) error {
			if err := test.change(tx); err != nil {
				return err
			}
			go func() {
				_, err := test.imp(t.Context(), f.db, strings.NewReader(test.text), ImportOptions{})
				second <- err
			}()
			return f.untilSomebodyWaits(t)
		})
		if err != nil {
			t.Fatal(name, err)
		}
		if err := <-second; err != nil {
			t.Fatal(name, err)
		}
	}
	got := f.dump(t)
	for _, want := range []string{"holder 1001 Sam Tailor suspended\n", "card " + guid + " 77 1001 revoked "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// untilSomebodyWaits returns when a transaction waits for another's lock.
func (f fixture) untilSomebodyWaits(t *testing.T) error {
	for n := 0; n == 0; {
		if err := t.Context().Err(); err != nil {
			return err
		}
		err := f.db.SQL().QueryRowContext(t.Context(),
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		if err != nil {
			return err
		}
	}
	return nil
}
