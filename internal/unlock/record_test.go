package unlock_test

import (
	"slices"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/unlock/unlocktest"
)

// TestCertificateComesOnRecord: a session that began when nobody could ask the
// card for a proof gets no key once somebody can.
func TestCertificateComesOnRecord(t *testing.T) {
	x := unlocktest.New(t, unlocktest.Options{})
	c := newCard(t, emulator.Options{})
	x.EnrolBare(t, c)
	v := visit(t, x, c)
	_, err := x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{})
	v.must(err)
	_, err = v.send(unlocktest.Email)
	v.must(err)
	v.must(v.check(x.Code(t)))
	csv, err := c.State().ExportCSV("1001", true)
	v.must(err)
	x.Import(t, "", csv)
	_, err = x.Sessions.Release(t.Context(), v.who, api.ReleaseRequest{Step: 1, CardID: v.card.GUID})
	wantCode(t, err, problem.ProofWrong)
}

// TestRecordChangedBehindOurBack: no key is released, and the trail keeps a
// note of why (R6).
func TestRecordChangedBehindOurBack(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	v := verified(t, x, c)
	if _, err := x.DB.SQL().ExecContext(t.Context(), `UPDATE cards SET serial = '1'`); err != nil {
		t.Fatal(err)
	}
	_, _, err := v.release(1)
	wantCode(t, err, problem.CardNotServed)
	var actions []string
	v.must(x.DB.View(t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(t.Context(), "test", 0, func(e store.AuditEvent) error {
			actions = append(actions, e.Action)
			return nil
		})
	}))
	if !slices.Contains(actions, audit.RecordTampered) {
		t.Errorf("the trail: %v", actions)
	}
}
