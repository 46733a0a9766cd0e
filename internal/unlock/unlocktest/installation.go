// Package unlocktest is a whole service for tests: real database, real heart,
// real HTTP edge on loopback, cards in software. Messages are not sent but
// kept, after the same decision that the queue's worker makes.
package unlocktest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/cardkey"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/face"
	"latchkey/internal/seal"
	"latchkey/internal/service"
	"latchkey/internal/store"
	"latchkey/internal/store/storetest"
	"latchkey/internal/unlock"
)

// Email and Mobile are how the holder of every card that is enrolled is
// reached.
const (
	Email  = "sam.taylor@example.org"
	Mobile = "07700 900123"
)

// Installation is a service.
type Installation struct {
	DB       *store.DB
	Keys     *seal.Keyring
	Dir      *directory.Directory
	Escrow   *escrow.Escrow
	Sessions *unlock.Service
	Client   *api.Client
	Pins     *api.Pins
	Log      *strings.Builder // what the service has logged

	clock
	outbox
	holders int
	parts   unlock.Parts
	config  unlock.Config
}

// Restarted is the service as it is after a restart, or as another node has it:
// all that the two share is the database.
func (x *Installation) Restarted() *unlock.Service { return unlock.New(x.parts, x.config) }

// Options of New.
type Options struct {
	Database string // "" is a fresh SQLite
	Config   func(*unlock.Config)
	Escrow   []escrow.Option
	Clock    bool // a clock that tests set; else the database's own
	// Face, where set, is who looks at faces; face verification is offered then.
	Face face.Checker
	// Trust, where set, judges the certificates of cards.
	Trust unlock.Trust
	// Queue also takes messages into the durable queue, whose workers write
	// them to a folder.
	Queue bool
}

// New makes a service with no cards.
func New(t testing.TB, o Options) *Installation {
	t.Helper()
	x := &Installation{Log: &strings.Builder{}}
	folder := t.TempDir()
	if o.Database == "" {
		o.Database = storetest.SQLite(t)
	}
	var err error
	so := store.Options{Node: "test"}
	if o.Clock {
		x.at = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
		so.Clock = x.Now
	}
	x.DB, err = store.Open(t.Context(), o.Database, so)
	check(t, err)
	t.Cleanup(func() { check(t, x.DB.Close()) })
	x.Keys, err = seal.Create(filepath.Join(folder, "kek.key"))
	check(t, err)
	signing, err := seal.CreateSigningKey(filepath.Join(folder, "service.key"))
	check(t, err)
	x.Dir, err = directory.New(x.Keys, directory.Options{Region: "GB"})
	check(t, err)
	config := unlock.Config{Name: "test", Organisation: "St Example's", AllowUnproven: true,
		Contact: api.Contact{Name: "Registration Authority"},
		Methods: []api.MethodStatus{{Method: api.MethodEmail, Available: true}, {Method: api.MethodSMS, Notice: "Not yet."},
			{Method: api.MethodFace, Notice: "Not yet."}},
		PasscodeRules: api.PasscodeRules{MinLength: 6, MaxLength: 8, DigitsOnly: true},
		Limits:        unlock.Limits{StartsPerNetwork: 1e6, StartsTotal: 1e6, SendsPerCard: 1e6, SendsPerAddress: 1e6, SendsPerNetwork: 1e6, SendsTotal: 1e6}}
	if o.Face != nil {
		config.Methods[2] = api.MethodStatus{Method: api.MethodFace, Available: true}
		config.Face = unlock.FaceConfig{Provider: "test", Thresholds: map[string]float64{"similarity": 0.5}}
	}
	if o.Config != nil {
		o.Config(&config)
	}
	x.config = config
	log := slog.New(slog.NewTextHandler(&locked{b: x.Log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if o.Queue {
		x.outbox.queue = newQueue(t, x.DB, filepath.Join(folder, "mail"), log)
	}
	x.Escrow = escrow.New(x.Keys, signing, config.Name, o.Escrow...)
	x.parts = unlock.Parts{DB: x.DB, Directory: x.Dir, Escrow: x.Escrow, Keys: x.Keys, Sender: x, Face: o.Face, Trust: o.Trust,
		SigningKey: signing.Public().(ed25519.PublicKey), Log: log}
	x.Sessions = unlock.New(x.parts, config)
	if x.outbox.queue != nil {
		check(t, x.outbox.queue.Start(context.WithoutCancel(t.Context()), x.Sessions))
		t.Cleanup(func() { check(t, x.outbox.queue.Stop(context.Background())) })
	}
	server := httptest.NewServer(service.New(x.Sessions, log).Handler())
	t.Cleanup(server.Close)
	x.Client, err = api.NewClient(server.URL, nil)
	check(t, err)
	x.Pins, err = api.NewPins("", filepath.Join(folder, "known_services"))
	check(t, err)
	return x
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type locked struct {
	mu sync.Mutex
	b  *strings.Builder
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

// Now is the time by the test's clock.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Advance moves the clock on.
func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// Enrol imports a holder of their own for a card.
func (x *Installation) Enrol(t testing.TB, c *emulator.Card) {
	t.Helper()
	x.enrol(t, c.State())
}

// EnrolBare does the same without the card's certificates: nothing that the
// card signs can be proven.
func (x *Installation) EnrolBare(t testing.TB, c *emulator.Card) {
	t.Helper()
	s := c.State()
	s.Keys = nil
	x.enrol(t, s)
}

// EnrolFor does the same as Enrol for a holder with an address of their own.
func (x *Installation) EnrolFor(t testing.TB, c *emulator.Card, email string) {
	t.Helper()
	x.enrolFor(t, c.State(), email)
}

func (x *Installation) enrol(t testing.TB, s emulator.State) {
	t.Helper()
	x.enrolFor(t, s, Email)
}

func (x *Installation) enrolFor(t testing.TB, s emulator.State, email string) {
	t.Helper()
	x.holders++
	staff := fmt.Sprint(1000 + x.holders)
	x.Import(t, "staff_number,name,email,mobile\n"+staff+",Sam Taylor,"+email+","+Mobile+"\n", "")
	cards, err := s.ExportCSV(staff, true)
	check(t, err)
	x.Import(t, "", cards)
}

// Import imports files of holders and cards; "" is none.
func (x *Installation) Import(t testing.TB, holders, cards string) {
	t.Helper()
	bad := func(l directory.BadLine) { t.Errorf("line %d: %s", l.Line, l.Problem.What()) }
	if holders != "" {
		_, err := x.Dir.ImportCardholders(t.Context(), x.DB, strings.NewReader(holders), directory.ImportOptions{Bad: bad})
		check(t, err)
	}
	if cards != "" {
		_, err := x.Dir.ImportCards(t.Context(), x.DB, strings.NewReader(cards), directory.ImportOptions{Bad: bad})
		check(t, err)
	}
}

// Card is what the database knows of a card.
func (x *Installation) Card(t testing.TB, c *emulator.Card) store.Card {
	t.Helper()
	var out store.Card
	check(t, x.DB.View(t.Context(), func(tx *store.Tx) (err error) {
		s := c.State()
		out, err = tx.CardByIdentifier(t.Context(), family(s), s.Identifier())
		return err
	}))
	return out
}

// family is that of a card's first application, as cards are imported.
func family(s emulator.State) string {
	switch {
	case s.PIV != nil:
		return "piv"
	case s.GIDS != nil:
		return "gids"
	case s.OpenPGP != nil:
		return "openpgp"
	}
	return "iso7816"
}

// Candidates are the unlocking keys that the escrow holds for a card, the
// current one first.
func (x *Installation) Candidates(t testing.TB, c *emulator.Card) []string {
	t.Helper()
	id := x.Card(t, c).ID
	var out []string
	check(t, x.DB.View(t.Context(), func(tx *store.Tx) error {
		keys, err := tx.CardKeys(t.Context(), id)
		for _, k := range keys {
			raw, err := cardkey.OpenStored(x.Keys, k)
			if err != nil {
				return err
			}
			out = append(out, string(raw))
		}
		return err
	}))
	return out
}
