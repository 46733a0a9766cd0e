package adopt_test

import (
	"slices"
	"testing"

	"latchkey/internal/card/emulator"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store/storetest"
)

// TestARestoreToBeforeTheAdoption: the database knows nothing of the card, the
// journal has its key. No card is adopted until the two agree again.
func TestARestoreToBeforeTheAdoption(t *testing.T) {
	for name, f := range map[string]emulator.Fault{"finished": {}, "never finished": {TearAfter: true}} {
		t.Run(name, func(t *testing.T) {
			o, e := newOffice(t, storetest.SQLite(t)), newCard(t, emulator.Options{Plain: true})
			_, err := o.DB.SQL().Exec(`CREATE TABLE backup AS SELECT * FROM key_journals`)
			must(t, err)
			e.SetFaults(onChange(f))
			if _, err := o.adopt(e, ""); (err != nil) != f.TearAfter {
				t.Fatal(err)
			}
			e.SetFaults(nil)
			for _, statement := range []string{`DELETE FROM card_keys`, `DELETE FROM cards`, `DELETE FROM key_journals`, `INSERT INTO key_journals SELECT * FROM backup`} {
				_, err := o.DB.SQL().Exec(statement)
				must(t, err)
			}
			_, err = o.adopt(newCard(t, emulator.Options{}), "")
			wantCode(t, err, problem.EscrowBehind)
			_, err = o.journal.Reconcile(t.Context(), o.DB, o.keys, escrow.ReconcileOptions{})
			wantCode(t, err, problem.ReconcileOpen) // the card is not known
			o.importCard(e, "")
			r, err := o.journal.Reconcile(t.Context(), o.DB, o.keys, escrow.ReconcileOptions{})
			must(t, err)
			c, candidates, _ := o.row(e)
			if r.Keys != 2 || len(candidates) != 2 || !slices.Contains(candidates, e.State().PUK) {
				t.Errorf("%+v: %d candidates of %s", r, len(candidates), c.ID)
			}
			_, err = o.adopt(newCard(t, emulator.Options{}), "")
			must(t, err)
		})
	}
}
