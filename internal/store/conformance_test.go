package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// conformance is what every database must do.
func conformance(t *testing.T, b backend) {
	for name, test := range map[string]func(*testing.T, *DB){
		"meta":      testMeta,
		"directory": testDirectory,
		"cards":     testCards,
		"keys":      testKeys,
		"sessions":  testSessions,
		"photos":    testPhotos,
		"faces":     testFaceScans,
		"releases":  testReleases,
		"limits":    testLimits,
		"messages":  testMessages,
		"audit":     testAudit,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, b.open(t, b.fresh(t), Options{Node: "node"}))
		})
	}
}

// start is a moment as databases keep it.
var start = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// must ends the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares a call's result.
func same[T any](t testing.TB, want T) func(T, error) {
	return func(got T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("-want +got\n%s", d)
		}
	}
}

// wantErr checks an error.
func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// update runs fn in a transaction that must commit.
func update(t testing.TB, db *DB, fn func(*Tx)) {
	t.Helper()
	must(t, db.Update(t.Context(), func(tx *Tx) error { fn(tx); return nil }))
}

func view(t testing.TB, db *DB, fn func(*Tx)) {
	t.Helper()
	must(t, db.View(t.Context(), func(tx *Tx) error { fn(tx); return nil }))
}

func testMeta(t *testing.T, db *DB) {
	ctx := t.Context()
	update(t, db, func(tx *Tx) {
		_, err := tx.Meta(ctx, "kek")
		wantErr(t, err, ErrNotFound)
		must(t, tx.SetMeta(ctx, "kek", []byte{0, 1}))
		wantErr(t, tx.SetMeta(ctx, "kek", []byte{2}), ErrExists)
	})
	view(t, db, func(tx *Tx) {
		same(t, []byte{0, 1})(tx.Meta(ctx, "kek"))
		wantErr(t, tx.SetMeta(ctx, "other", nil), errReadOnly)
	})
}

func aHolder() Holder {
	return Holder{ID: NewID(), StaffNumber: "S1", Name: "Zoë Ó Briain", State: HolderActive, CreatedAt: start, MAC: []byte{1}}
}

func testDirectory(t *testing.T, db *DB) {
	ctx := t.Context()
	h := aHolder()
	update(t, db, func(tx *Tx) {
		must(t, tx.InsertHolder(ctx, h))
		wantErr(t, tx.InsertHolder(ctx, Holder{ID: NewID(), StaffNumber: "S1", State: HolderActive}), ErrExists)
		h.Name, h.State = "Zoë", HolderSuspended
		must(t, tx.UpdateHolder(ctx, h))
		same(t, h)(tx.LockHolder(ctx, h.ID))
		wantErr(t, tx.UpdateHolder(ctx, Holder{ID: "none", State: HolderActive}), ErrNotFound)
	})
	c := Contact{ID: NewID(), HolderID: h.ID, Kind: "email", Value: "zoe@example.org", CreatedAt: start, MAC: []byte{2}}
	d := Contact{ID: NewID(), HolderID: h.ID, Kind: "sms", Value: "+447700900123", CreatedAt: start}
	update(t, db, func(tx *Tx) {
		must(t, tx.InsertContact(ctx, c))
		must(t, tx.InsertContact(ctx, d))
		twice := c
		twice.ID = NewID()
		wantErr(t, tx.InsertContact(ctx, twice), ErrExists)
	})
	view(t, db, func(tx *Tx) {
		same(t, h)(tx.Holder(ctx, h.ID))
		same(t, h)(tx.HolderByStaffNumber(ctx, "S1"))
		_, err := tx.HolderByStaffNumber(ctx, "s1")
		wantErr(t, err, ErrNotFound)
		same(t, []Contact{c, d})(tx.Contacts(ctx, h.ID))
		same(t, []Contact{c})(tx.ContactsByValue(ctx, "email", "zoe@example.org"))
		same(t, []Contact(nil))(tx.ContactsByValue(ctx, "sms", "zoe@example.org"))
	})
	update(t, db, func(tx *Tx) {
		must(t, tx.DeleteContact(ctx, c.ID))
		wantErr(t, tx.DeleteContact(ctx, c.ID), ErrNotFound)
	})
}

// aCard inserts a card with its holder.
func aCard(t testing.TB, db *DB) Card {
	t.Helper()
	ctx := t.Context()
	h := aHolder()
	h.StaffNumber = h.ID
	c := Card{ID: NewID(), Family: "piv", Identifier: NewID(), Serial: NewID(), HolderID: h.ID, State: CardActive,
		ExpiresAt: start.AddDate(1, 0, 0), CardAuthCert: []byte{0x30}, CreatedAt: start, MAC: []byte{3}, Epoch: 1}
	update(t, db, func(tx *Tx) {
		must(t, tx.InsertHolder(ctx, h))
		must(t, tx.InsertCard(ctx, c))
	})
	return c
}

func testCards(t *testing.T, db *DB) {
	ctx := t.Context()
	c := aCard(t, db)
	update(t, db, func(tx *Tx) {
		for _, twin := range []Card{
			{ID: NewID(), Family: "piv", Identifier: c.Identifier},
			{ID: NewID(), Family: "piv", Identifier: NewID(), Serial: c.Serial},
			{ID: c.ID, Family: "piv", Identifier: NewID()},
		} {
			twin.HolderID, twin.State = c.HolderID, CardActive
			wantErr(t, tx.InsertCard(ctx, twin), ErrExists)
		}
		for range 2 { // cards without a serial are no twins
			must(t, tx.InsertCard(ctx, Card{ID: NewID(), Family: "piv", Identifier: NewID(), HolderID: c.HolderID, State: CardActive, CreatedAt: start.Add(time.Hour)}))
		}
		same(t, c)(tx.LockCard(ctx, c.ID))
		c.State, c.PIVAuthCert, c.ExpiresAt, c.Serial, c.MAC = CardRevoked, []byte{0x31}, time.Time{}, "77", []byte{4}
		must(t, tx.UpdateCardRecord(ctx, c))
		c.Epoch, c.PendingFirst, c.OpenAttempt, c.TriesOut = 2, true, "session", 1
		must(t, tx.SaveCardKeys(ctx, c))
	})
	view(t, db, func(tx *Tx) {
		same(t, c)(tx.Card(ctx, c.ID))
		same(t, c)(tx.CardByIdentifier(ctx, "piv", c.Identifier))
		same(t, c)(tx.CardBySerial(ctx, "piv", "77"))
		_, err := tx.CardBySerial(ctx, "piv", "")
		wantErr(t, err, ErrNotFound)
		_, err = tx.CardByIdentifier(ctx, "gids", c.Identifier)
		wantErr(t, err, ErrNotFound)
		all, err := tx.CardsOfHolder(ctx, c.HolderID)
		if must(t, err); len(all) != 3 || all[0].ID != c.ID {
			t.Errorf("cards of holder: %v", all)
		}
	})
	other := aCard(t, db)
	other.Serial = "77"
	wantErr(t, db.Update(ctx, func(tx *Tx) error { return tx.UpdateCardRecord(ctx, other) }), ErrExists)
	if err := db.Update(ctx, func(tx *Tx) error {
		return tx.InsertCard(ctx, Card{ID: NewID(), Family: "piv", Identifier: NewID(), HolderID: "nobody", State: CardActive})
	}); err == nil {
		t.Error("a card without a holder was taken")
	}
}

func testKeys(t *testing.T, db *DB) {
	ctx := t.Context()
	c := aCard(t, db)
	key := func(s KeyState, at time.Time) Key {
		return Key{ID: NewID(), CardID: c.ID, Kind: "puk", State: s, Sealed: []byte{0, 255}, CreatedBy: "import", CreatedAt: at}
	}
	current, pending := key(KeyCurrent, start), key(KeyPending, start.Add(time.Second))
	update(t, db, func(tx *Tx) {
		must(t, tx.InsertKey(ctx, pending))
		must(t, tx.InsertKey(ctx, current))
		wantErr(t, tx.InsertKey(ctx, key(KeyPending, start)), ErrExists)
		wantErr(t, tx.InsertKey(ctx, key(KeyCurrent, start)), ErrExists)
		same(t, []Key{current, pending})(tx.CardKeys(ctx, c.ID))
	})
	wantErr(t, db.Update(ctx, func(tx *Tx) error { return tx.SetKeyState(ctx, pending.ID, KeyCurrent, start) }), ErrExists)
	update(t, db, func(tx *Tx) {
		must(t, tx.SetKeyState(ctx, current.ID, KeyRetired, start.Add(time.Minute)))
		must(t, tx.SetKeyState(ctx, pending.ID, KeyCurrent, start.Add(time.Minute)))
		wantErr(t, tx.SetKeyState(ctx, "none", KeyRetired, start), ErrNotFound)
	})
	current.State, current.RetiredAt, pending.State = KeyRetired, start.Add(time.Minute), KeyCurrent
	view(t, db, func(tx *Tx) {
		same(t, []Key{pending})(tx.CardKeys(ctx, c.ID))
		same(t, []Key{current, pending})(tx.AllCardKeys(ctx, c.ID))
	})
	update(t, db, func(tx *Tx) {
		for range pageRows {
			must(t, tx.InsertKey(ctx, key(KeyRetired, start)))
		}
		seen := map[string]bool{}
		must(t, tx.EachKey(ctx, func(k Key) error {
			seen[k.ID] = true
			_, err := tx.Meta(ctx, "the transaction can be used meanwhile")
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			return err
		}))
		if len(seen) != pageRows+2 {
			t.Errorf("EachKey saw %d keys", len(seen))
		}
	})
}

func aSession(cardID string) Session {
	return Session{ID: NewID(), TokenHash: []byte{1}, CardID: cardID, Family: "piv", Identifier: "00", Serial: "1",
		Purpose: "locked", State: "started", Nonce: []byte{2}, PublicKey: []byte{3}, Workstation: "WS-1", Network: "192.0.2.1",
		Application: "0.1.0", StartedAt: start, ExpiresAt: start.Add(15 * time.Minute), MAC: []byte{4}}
}

func testSessions(t *testing.T, db *DB) {
	ctx := t.Context()
	c := aCard(t, db)
	s, old := aSession(c.ID), aSession("")
	old.ExpiresAt = start
	update(t, db, func(tx *Tx) {
		must(t, tx.InsertSession(ctx, s))
		must(t, tx.InsertSession(ctx, old))
		wantErr(t, tx.InsertSession(ctx, s), ErrExists)
		same(t, []Session(nil))(tx.LiveSessionsOfCard(ctx, c.ID))
		same(t, s)(tx.LockSession(ctx, s.ID))
		s.State, s.Proven, s.VerifiedBy, s.HolderID, s.WrongCodes, s.Sends, s.MAC = "verified", true, "email", c.HolderID, 1, 2, []byte{5}
		must(t, tx.SaveSession(ctx, s))
		same(t, []Session{s})(tx.LiveSessionsOfCard(ctx, c.ID))
	})
	code := OneTimeCode{SessionID: s.ID, Hash: []byte{1}, Method: "email", Address: "a@example.org", SentAt: start}
	update(t, db, func(tx *Tx) {
		_, err := tx.Code(ctx, s.ID)
		wantErr(t, err, ErrNotFound)
		same(t, false)(tx.MarkCodeUsed(ctx, s.ID))
		must(t, tx.PutCode(ctx, code))
		same(t, true)(tx.MarkCodeUsed(ctx, s.ID))
		same(t, false)(tx.MarkCodeUsed(ctx, s.ID))
		code.Hash = []byte{2}
		must(t, tx.PutCode(ctx, code))
		same(t, code)(tx.Code(ctx, s.ID))
	})
	wanted := aSession(c.ID)
	wanted.ExpiresAt = start
	update(t, db, func(tx *Tx) {
		must(t, tx.InsertSession(ctx, wanted))
		must(t, tx.SaveCardKeys(ctx, Card{ID: c.ID, OpenAttempt: wanted.ID}))
		same(t, int64(1))(tx.DeleteSessionsBefore(ctx, start.Add(time.Microsecond)))
		_, err := tx.SessionByID(ctx, old.ID)
		wantErr(t, err, ErrNotFound)
		same(t, s)(tx.SessionByID(ctx, s.ID))
		must(t, tx.SaveCardKeys(ctx, Card{ID: c.ID}))
		same(t, int64(2))(tx.DeleteSessionsBefore(ctx, start.AddDate(1, 0, 0)))
		_, err = tx.Code(ctx, s.ID)
		wantErr(t, err, ErrNotFound)
	})
}

func testReleases(t *testing.T, db *DB) {
	ctx := t.Context()
	s := aSession("card")
	r := Release{SessionID: s.ID, Step: 1, CardID: "card", Epoch: 4, Action: "unblock", KeyID: "k", NextID: "n",
		Envelope: []byte("{}"), ReleasedAt: start}
	update(t, db, func(tx *Tx) {
		must(t, tx.InsertSession(ctx, s))
		must(t, tx.InsertRelease(ctx, r))
		wantErr(t, tx.InsertRelease(ctx, r), ErrExists)
		_, err := tx.Release(ctx, s.ID, 2)
		wantErr(t, err, ErrNotFound)
		same(t, r)(tx.Release(ctx, s.ID, 1))
		r.Outcome, r.Holds, r.Proven, r.ReportedAt = "unlocked", "next", true, start.Add(time.Second)
		must(t, tx.SaveReleaseOutcome(ctx, r))
		second := r
		second.Step = 2
		must(t, tx.InsertRelease(ctx, second))
		same(t, []Release{r, second})(tx.Releases(ctx, s.ID))
		second.Step = 3
		wantErr(t, tx.SaveReleaseOutcome(ctx, second), ErrNotFound)
	})
}

func testLimits(t *testing.T, db *DB) {
	ctx := t.Context()
	now := start
	db.clock = func() time.Time { return now }
	bump := func(by, want int, reset time.Time) {
		t.Helper()
		update(t, db, func(tx *Tx) {
			n, at, err := tx.BumpLimit(ctx, "bucket", time.Hour, by)
			if must(t, err); n != want || !at.Equal(reset) {
				t.Errorf("bump gave %d until %v, want %d until %v", n, at, want, reset)
			}
			same(t, want)(count(tx.LimitCount(ctx, "bucket", time.Hour)))
		})
	}
	view(t, db, func(tx *Tx) { same(t, 0)(count(tx.LimitCount(ctx, "bucket", time.Hour))) })
	bump(1, 1, start.Add(time.Hour))
	now = start.Add(59 * time.Minute)
	bump(2, 3, start.Add(time.Hour))
	now = start.Add(time.Hour)
	view(t, db, func(tx *Tx) { same(t, 0)(count(tx.LimitCount(ctx, "bucket", time.Hour))) })
	bump(1, 1, start.Add(2*time.Hour))
	update(t, db, func(tx *Tx) { must(t, tx.ResetLimit(ctx, "bucket")) })
	bump(1, 1, start.Add(2*time.Hour))
	update(t, db, func(tx *Tx) {
		same(t, int64(0))(tx.DeleteLimitsBefore(ctx, start.Add(2*time.Hour)))
		same(t, int64(1))(tx.DeleteLimitsBefore(ctx, start.Add(3*time.Hour)))
	})
}

func count(n int, _ time.Time, err error) (int, error) { return n, err }

func testAudit(t *testing.T, db *DB) {
	ctx := t.Context()
	const events = 2*auditBatch + 3
	update(t, db, func(tx *Tx) {
		for range events {
			e, err := tx.AppendAudit(ctx, AuditEvent{Actor: "holder\x00\xff", Action: "test", Details: map[string]string{"a": "1", "b": "\xff"}})
			must(t, err)
			now, err := tx.Now(ctx)
			if must(t, err); e.Node != "node" || !e.At.Equal(now) {
				t.Fatalf("appended %+v", e)
			}
		}
	})
	wantErr(t, db.Update(ctx, func(tx *Tx) error {
		_, err := tx.AppendAudit(ctx, AuditEvent{Action: "rolled back"})
		must(t, err)
		return ErrNotFound
	}), ErrNotFound)
	update(t, db, func(tx *Tx) {
		_, err := tx.AppendAudit(ctx, AuditEvent{Action: "last"})
		must(t, err)
	})
	view(t, db, func(tx *Tx) {
		seq, prev := int64(0), make([]byte, 32)
		must(t, tx.EachAudit(ctx, "", 0, func(e AuditEvent) error {
			seq++
			if e.Seq != seq || !cmp.Equal(e.Prev, prev) || !cmp.Equal(e.Hash, e.ChainHash()) {
				t.Fatalf("entry %d does not fit: %+v", seq, e)
			}
			prev = e.Hash
			return nil
		}))
		same(t, []AuditHead{{Node: "node", Seq: events + 1, Hash: prev}})(tx.AuditHeads(ctx))
		var from []int64
		must(t, tx.EachAudit(ctx, "node", events, func(e AuditEvent) error { from = append(from, e.Seq); return nil }))
		same(t, []int64{events, events + 1})(from, nil)
		must(t, tx.EachAudit(ctx, "other", 0, func(e AuditEvent) error { t.Errorf("%+v", e); return nil }))
		_, err := tx.AppendAudit(ctx, AuditEvent{})
		wantErr(t, err, errReadOnly)
	})
}
