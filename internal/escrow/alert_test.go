package escrow_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// alerting gives a site whose alerts are kept.
func (s *site) alerting() *[]escrow.Alert {
	var told []escrow.Alert
	s.Escrow = escrow.New(s.keys, s.signing, "test", escrow.WithJournal(s.journal), escrow.WithAlerts(func(a escrow.Alert) { told = append(told, a) }))
	return &told
}

func (s *site) disagreements(t *testing.T) (out []string) {
	t.Helper()
	must(t, s.db.View(t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(t.Context(), "test", 0, func(e store.AuditEvent) error {
			if e.Action == audit.CardDisagrees {
				out = append(out, fmt.Sprintf("%s %s proven %s", e.CardID, e.Details["reason"], e.Details["proven"]))
			}
			return nil
		})
	}))
	return out
}

// TestAlerts: the Registration Authority is told of a card that refuses every
// key, is blocked, or whose record is not to be trusted; once for each report,
// and not of a card whose other key works.
func TestAlerts(t *testing.T) {
	sites(t, func(t *testing.T, s *site) {
		told := s.alerting()
		want := []escrow.Alert{}
		check := func(when string) {
			t.Helper()
			if !slices.Equal(*told, want) || len(s.disagreements(t)) != len(want) {
				t.Fatalf("%s: told %+v, the trail has %v, want %+v", when, *told, s.disagreements(t), want)
			}
		}
		// One key refused, the other works.
		c := s.issue(t, false)
		s.live(t, c, "lost behind the card", func() {})
		s.live(t, c, "fine", func() {})
		check("the other key works")

		// A card with a key that nobody knows.
		c = s.issue(t, false)
		c.puk = "00000000"
		for _, proven := range []bool{true, false} {
			a := s.vault.begin(t, c)
			_, epoch, err := a.release(t, 1)
			must(t, err)
			report := api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown}
			for step := 1; step != 0; report.Step = step {
				if step > 1 {
					_, _, err := a.release(t, step)
					must(t, err)
				}
				out, err := a.report(report, proven)
				must(t, err)
				_, err = a.report(report, proven) // again
				must(t, err)
				step = out.NextStep
			}
			want = append(want, escrow.Alert{Reason: escrow.AlertRefused, CardID: c.id, Session: a.id, Proven: proven})
			check("every key refused")
		}
		c = s.issue(t, false)
		a := s.vault.begin(t, c)
		_, epoch, err := a.release(t, 1)
		must(t, err)
		_, err = a.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeBlocked, Holds: api.HoldsUnknown}, false)
		must(t, err)
		want = append(want, escrow.Alert{Reason: escrow.AlertBlocked, CardID: c.id, Session: a.id})
		check("blocked")

		// Somebody writes to the database.
		c = s.issue(t, false)
		s.live(t, c, "fine", func() {})
		s.sql(`UPDATE cards SET epoch = epoch + 1 WHERE id = '` + c.id + `'`)
		a = s.vault.begin(t, c)
		_, _, err = a.release(t, 1)
		wants(t, err, problem.CardBehind)
		want = append(want, escrow.Alert{Reason: escrow.AlertRecord, CardID: c.id, Session: a.id})
		check("tampered with")
	})
}

// TestKinds: keys of every kind. What is released says which it is; an admin
// PIN is changed, a resetting code stays, an administration key never leaves.
func TestKinds(t *testing.T) {
	sites(t, func(t *testing.T, s *site) {
		for _, kind := range cardkey.Kinds() {
			c := s.issue(t, true)
			key, err := cardkey.New(kind)
			must(t, err)
			must(t, s.update(t, func(ctx context.Context, tx *store.Tx) error {
				return cardkey.Add(ctx, tx, s.keys, &store.Key{ID: store.NewID(), CardID: c.id, Kind: kind, State: store.KeyCurrent, Epoch: 1}, key)
			}))
			a := s.vault.begin(t, c)
			r, epoch, err := a.release(t, 1)
			if !cardkey.Leaves(kind) {
				if problem.CodeOf(err) != problem.CardNoKey {
					t.Errorf("%s: %v", kind, err)
				}
				continue
			}
			must(t, err)
			if r.Kind != kind || r.Key != string(key) || (r.Next != "") != cardkey.Rotates(kind) {
				t.Errorf("%s: %+v", kind, r)
			}
			holds := api.HoldsKey
			if r.Next != "" {
				holds = api.HoldsNext
			}
			out, err := a.report(api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: holds}, true)
			must(t, err)
			if out.NextStep != 0 {
				t.Errorf("%s: step %d follows", kind, out.NextStep)
			}
			have, ever := s.candidates(t, c)
			want, all := r.Next, 2
			if want == "" {
				want, all = string(key), 1
			}
			if !slices.Equal(have, []string{want}) || ever != all {
				t.Errorf("%s: %d candidates of %d", kind, len(have), ever)
			}
		}
	})
}

// TestDerivedKeyIsReplaced: a card whose key comes from a master key is given a
// random one, and a restore knows both.
func TestDerivedKeyIsReplaced(t *testing.T) {
	sites(t, func(t *testing.T, s *site) {
		c := s.issue(t, true)
		m := store.MasterKey{ID: "m", Number: 1, Method: cardkey.MethodHMAC, Label: "acme"}
		master := []byte("0123456789abcdef")
		must(t, cardkey.SealMaster(s.keys, &m, master))
		must(t, s.update(t, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertMasterKey(ctx, m); err != nil {
				return err
			}
			return tx.InsertKey(ctx, store.Key{ID: store.NewID(), CardID: c.id, Kind: cardkey.PUK, State: store.KeyCurrent, Epoch: 1, MasterID: "m", CreatedBy: "import"})
		}))
		derived, err := cardkey.Derive(m.Method, master, m.Label, cardkey.PUK, "piv", c.id)
		must(t, err)
		c.puk = string(derived)
		point := s.backup()
		s.live(t, c, "lost behind the card", func() {})
		if c.puk == string(derived) || c.fewest != fullTries {
			t.Fatal("the key was not replaced")
		}
		s.restore(point)
		r, err := s.reconcile(t, escrow.ReconcileOptions{})
		if err != nil || r.Keys != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		s.unlocks(t, c, 1, "restored")
	})
}

// TestUnknownCard: an entry of a card that the database lacks keeps releases
// closed until the card is imported again, under another id and with its old
// key; then its keys are back.
func TestUnknownCard(t *testing.T) {
	sites(t, func(t *testing.T, s *site) {
		point := s.backup()
		c := s.issue(t, false)
		first := c.puk
		s.live(t, c, "lost behind the card", func() {})
		s.restore(point)
		r, err := s.reconcile(t, escrow.ReconcileOptions{})
		if problem.CodeOf(err) != problem.ReconcileOpen || r.Unknown != 1 || r.Released {
			t.Fatalf("%+v, %v", r, err)
		}
		must(t, s.update(t, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertHolder(ctx, store.Holder{ID: "holder", StaffNumber: "holder", State: store.HolderActive}); err != nil {
				return err
			}
			n := store.Card{ID: "other id", Family: "piv", Identifier: c.id, HolderID: "holder", State: store.CardActive, Epoch: 1, TriesLeft: store.TriesUnknown}
			now, err := tx.Now(ctx)
			if err != nil {
				return err
			}
			k := store.Key{ID: store.NewID(), CardID: n.ID, Kind: cardkey.PUK, State: store.KeyCurrent, CreatedBy: "import", CreatedAt: now, Epoch: 1}
			cardkey.Sign(s.keys, &n, []store.Key{k})
			if err := tx.InsertCard(ctx, n); err != nil {
				return err
			}
			return cardkey.Add(ctx, tx, s.keys, &k, []byte(first))
		}))
		if r, err = s.reconcile(t, escrow.ReconcileOptions{}); err != nil || !r.Released || r.Cards != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		again := *c
		again.id = "other id"
		s.knows(t, &again, "imported again")
		if have, _ := s.candidates(t, &again); len(have) != 2 {
			t.Errorf("%d candidates: the key that was imported again counts twice", len(have))
		}
	})
}
