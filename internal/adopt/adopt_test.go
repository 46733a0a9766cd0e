package adopt_test

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/adopt"
	"latchkey/internal/audit"
	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/card/recognise"
	"latchkey/internal/cardkey"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/escrow/journal"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
	"latchkey/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Errorf("got %v, want %q", err, code)
	}
}

const reader = "reader"

// office is a Registration Authority with a reader, a directory and an escrow.
type office struct {
	*adopt.Desk
	t       testing.TB
	keys    *seal.Keyring
	journal *escrow.KeyJournal
	readers *emulator.Readers
	said    []string
	log     *strings.Builder
}

func newOffice(t testing.TB, database string) *office {
	t.Helper()
	o := &office{t: t, readers: emulator.NewReaders(reader), log: &strings.Builder{}}
	db, err := store.Open(t.Context(), database, store.Options{Node: "test"})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	if db.Dialect() == store.SQLite { // power cuts of the machine are not what these tests are about
		_, err = db.SQL().ExecContext(t.Context(), `PRAGMA synchronous = OFF`)
		must(t, err)
	}
	o.keys, err = seal.Create(filepath.Join(t.TempDir(), "kek.key"))
	must(t, err)
	o.journal = escrow.NewKeyJournal(db, filepath.Join(t.TempDir(), "keys.journal"), "test", journal.Options{Keys: o.keys})
	must(t, o.journal.Start(t.Context(), db))
	t.Cleanup(func() { must(t, o.journal.Close()) })
	d, err := directory.New(o.keys, directory.Options{Recorder: o.journal})
	must(t, err)
	profiles, err := iso7816.Load("generic-puk")
	must(t, err)
	o.Desk = &adopt.Desk{DB: db, Directory: d, Escrow: escrow.New(o.keys, nil, "test", escrow.WithJournal(o.journal)), Readers: o.readers,
		Recogniser: recognise.Recogniser{Profiles: profiles}, Key: adopt.Factory, By: "robin",
		Say: func(text string) { o.said = append(o.said, text) },
		Log: slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	o.holders("1001,Sam Taylor", "1002,Kim Lee", "1003,Alex Roe")
	return o
}

func (o *office) holders(lines ...string) {
	o.t.Helper()
	_, err := o.Directory.ImportCardholders(o.t.Context(), o.DB, strings.NewReader("staff_number,name\n"+strings.Join(lines, "\n")+"\n"), directory.ImportOptions{})
	must(o.t, err)
}

// importCard puts a card on record for holder 1001 as import cards does.
func (o *office) importCard(e *emulator.Card, key string) {
	o.t.Helper()
	s := e.State()
	_, err := o.Directory.ImportCards(o.t.Context(), o.DB, strings.NewReader("family,identifier,serial,staff_number,puk\npiv,"+s.GUID+",,1001,"+key+"\n"),
		directory.ImportOptions{WithoutKeys: key == ""})
	must(o.t, err)
}

func newCard(t testing.TB, o emulator.Options) *emulator.Card {
	t.Helper()
	e, err := emulator.New(o)
	must(t, err)
	return e
}

// adopt runs the command for the card.
func (o *office) adopt(e *emulator.Card, number string) (adopt.Result, error) {
	o.t.Helper()
	o.readers.Insert(reader, e)
	r, _, err := o.One(o.t.Context(), "1001", number)
	return r, err
}

// row is the card on record with its candidates in clear, current first.
func (o *office) row(e *emulator.Card) (c store.Card, candidates []string, all []store.Key) {
	o.t.Helper()
	f := familyOf(e.State())
	must(o.t, o.DB.View(context.Background(), func(tx *store.Tx) error {
		var err error
		if c, err = tx.CardByIdentifier(context.Background(), string(f.family), f.id(e.State())); errors.Is(err, store.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
		if err := o.Directory.CheckCard(context.Background(), tx, c); err != nil {
			return err
		}
		keys, err := tx.CardKeys(context.Background(), c.ID)
		if err != nil {
			return err
		}
		if err := cardkey.CheckStand(o.keys, c, keys); err != nil {
			return err
		}
		for _, k := range keys {
			raw, err := cardkey.OpenStored(o.keys, k)
			if err != nil {
				return err
			}
			if strings.HasPrefix(k.Kind, "administration") {
				raw = []byte(hex.EncodeToString(raw))
			}
			candidates = append(candidates, string(raw))
		}
		all, err = tx.AllCardKeys(context.Background(), c.ID)
		return err
	}))
	return c, candidates, all
}

func (o *office) actions() (all []store.AuditEvent) {
	o.t.Helper()
	must(o.t, o.DB.View(context.Background(), func(tx *store.Tx) error {
		return tx.EachAudit(context.Background(), "test", 0, func(e store.AuditEvent) error {
			all = append(all, e)
			return nil
		})
	}))
	return all
}

func (o *office) did(action string) (e store.AuditEvent, n int) {
	for _, a := range o.actions() {
		if a.Action == action {
			e = a
			n++
		}
	}
	return e, n
}

// kind is how a family keeps its key.
type kind struct {
	family   card.Family
	id       func(emulator.State) string
	key      func(emulator.State) string
	tries    func(emulator.State) int
	setTries func(*emulator.State, int)
	reset    func(*emulator.State, string) // back to a key, with all its tries
}

func familyOf(s emulator.State) kind {
	switch {
	case s.PIV != nil:
		return kind{card.FamilyPIV, func(s emulator.State) string { return s.GUID }, func(s emulator.State) string { return s.PUK },
			func(s emulator.State) int { return s.PUKTries }, func(s *emulator.State, n int) { s.PUKTries = n },
			func(s *emulator.State, k string) { s.PUK, s.PUKTries = k, s.PUKTotal }}
	case s.GIDS != nil:
		return kind{card.FamilyGIDS, func(s emulator.State) string { return s.GIDS.Identifier() }, func(s emulator.State) string { return s.GIDS.AdminKey },
			func(emulator.State) int { return 3 }, func(*emulator.State, int) {}, func(s *emulator.State, k string) { s.GIDS.AdminKey = k }}
	case s.OpenPGP != nil:
		return kind{card.FamilyOpenPGP, func(s emulator.State) string { return s.OpenPGP.Identifier() }, func(s emulator.State) string { return s.OpenPGP.AdminPIN.String() },
			func(s emulator.State) int { return s.OpenPGP.AdminTries }, func(s *emulator.State, n int) { s.OpenPGP.AdminTries = n },
			func(s *emulator.State, k string) {
				s.OpenPGP.AdminPIN, s.OpenPGP.AdminTries = emulator.Secret(k), s.OpenPGP.KeyTotal
			}}
	}
	return kind{card.FamilyISO7816, func(s emulator.State) string { return s.ISO.Number }, func(s emulator.State) string { return s.ISO.PUK },
		func(s emulator.State) int { return s.ISO.PUKTries }, func(s *emulator.State, n int) { s.ISO.PUKTries = n },
		func(s *emulator.State, k string) { s.ISO.PUK, s.ISO.PUKTries = k, s.ISO.PUKTotal }}
}

// cards are one of each kind, as they leave the factory.
func cards() map[string]emulator.Options {
	return map[string]emulator.Options{
		"PIV": {Plain: true}, "YubiKey": {Family: emulator.FamilyYubiKey}, "old YubiKey": {Firmware: "5.2.7"},
		"GIDS": {Family: emulator.FamilyGIDS}, "GIDS, external": {Family: emulator.FamilyGIDS, ExternalOnly: true},
		"OpenPGP": {Family: emulator.FamilyOpenPGP}, "OpenPGP, answers alike": {Family: emulator.FamilyOpenPGP, Answers: emulator.AnswerAlike},
		"OpenPGP, derived": {Family: emulator.FamilyOpenPGP, KDF: true}, "ISO 7816": {Family: emulator.FamilyISO7816},
	}
}

func (o *office) forCard(e *emulator.Card) {
	if familyOf(e.State()).family == card.FamilyISO7816 {
		o.Key = adopt.Given("12345678")
	} else {
		o.Key = adopt.Factory
	}
}

// TestAdopt: the card has a key that nobody has seen, the escrow has it and no
// other, and what was written says nothing of keys.
func TestAdopt(t *testing.T) {
	for name, options := range cards() {
		for database, url := range map[string]func(testing.TB) string{"SQLite": storetest.SQLite, "PostgreSQL": storetest.PostgreSQL} {
			t.Run(name+", "+database, func(t *testing.T) {
				t.Parallel()
				o, e := newOffice(t, url(t)), newCard(t, options)
				o.forCard(e)
				f := familyOf(e.State())
				before := f.key(e.State())
				r, err := o.adopt(e, "")
				must(t, err)
				after := f.key(e.State())
				c, candidates, all := o.row(e)
				if strings.Contains(name, "derived") { // the card holds what comes of the key
					presents(t, o, candidates[0])
				}
				if r.Already || r.Identity.ID != c.Identifier || after == before || len(candidates) != 1 || candidates[0] != after && !strings.Contains(name, "derived") {
					t.Fatalf("%+v: the card holds a key that is not the escrow's one of %d", r, len(candidates))
				}
				if len(all) != 2 || c.State != store.CardActive || c.Epoch != 2 || c.OpenAttempt != "" || c.PendingFirst || f.tries(e.State()) != 3 {
					t.Errorf("%d keys, %+v", len(all), c)
				}
				adopted, n := o.did(audit.CardAdopted)
				if n != 1 || adopted.Details["by"] != "robin" || adopted.Actor != audit.ActorOperator || adopted.Holder != c.HolderID || adopted.CardID != c.ID {
					t.Errorf("the trail has %d: %+v", n, adopted)
				}
				o.quiet(before, after)

				// Again: it is as it was, and nobody is asked for a key.
				o.Key = func(context.Context, card.Family, string) ([]byte, error) { return nil, errors.New("asked for a key") }
				if r, err = o.adopt(e, ""); err != nil || !r.Already || f.key(e.State()) != after {
					t.Errorf("again: %+v, %v", r, err)
				}
			})
		}
	}
}

// presents makes sure that a card takes a key of the escrow.
func presents(t *testing.T, o *office, key string) {
	t.Helper()
	conn, err := o.readers.Connect(t.Context(), reader)
	must(t, err)
	c, err := o.Recogniser.Open(t.Context(), conn)
	must(t, err)
	unblocker, ok := c.(card.KeyUnblocker)
	if !ok {
		t.Fatal("it takes no key")
	}
	must(t, unblocker.Unblock(t.Context(), unblocker.KeyKinds()[0], key, "840261"))
	must(t, conn.Close())
}

// quiet makes sure that no key is in the log, in the trail or in what was said.
func (o *office) quiet(keys ...string) {
	o.t.Helper()
	all := o.log.String() + strings.Join(o.said, "\n")
	for _, a := range o.actions() {
		for k, v := range a.Details {
			all += k + "=" + v + "\n"
		}
	}
	for _, k := range keys {
		if strings.Contains(all, k) {
			o.t.Errorf("a key is in what was written:\n%s", all)
		}
	}
}

// TestCertificatesGoOnRecord as an import has them.
func TestCertificatesGoOnRecord(t *testing.T) {
	for name, options := range cards() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, e := newOffice(t, storetest.SQLite(t)), newCard(t, options)
			o.forCard(e)
			_, err := o.adopt(e, "")
			must(t, err)
			c, _, _ := o.row(e)
			s := e.State()
			var cardAuth, auth []byte
			switch {
			case s.PIV != nil:
				auth, cardAuth = s.Keys[0].Certificate, s.Keys[1].Certificate
			case s.GIDS != nil:
				auth = s.GIDS.Keys[0].Certificate
			case s.OpenPGP != nil:
				auth = s.OpenPGP.Objects["7F21"]
			}
			if string(c.CardAuthCert) != string(cardAuth) || string(c.PIVAuthCert) != string(auth) || c.ExpiresAt.IsZero() != (auth == nil) {
				t.Errorf("on record: %d and %d bytes, expires %v; on the card: %d and %d", len(c.CardAuthCert), len(c.PIVAuthCert), c.ExpiresAt, len(cardAuth), len(auth))
			}
		})
	}
}

// TestOnlyACertificateThatTheCardSignsWith: on record it would keep the card
// from ever being served.
func TestOnlyACertificateThatTheCardSignsWith(t *testing.T) {
	o, e, other := newOffice(t, storetest.SQLite(t)), newCard(t, emulator.Options{}), newCard(t, emulator.Options{})
	must(t, e.Edit(func(s *emulator.State) { s.Keys[1].Certificate = other.State().Keys[1].Certificate }))
	_, err := o.adopt(e, "")
	must(t, err)
	if c, _, _ := o.row(e); c.CardAuthCert != nil || c.PIVAuthCert == nil {
		t.Error("the certificate of another key is on record")
	}
	broken := newCard(t, emulator.Options{})
	must(t, broken.Edit(func(s *emulator.State) { s.Keys[0].Certificate, s.Keys[1].Certificate = []byte("no certificate"), nil }))
	_, err = o.adopt(broken, "")
	must(t, err)
	if c, _, _ := o.row(broken); c.CardAuthCert != nil || c.PIVAuthCert != nil {
		t.Error("what is no certificate is on record")
	}
}
