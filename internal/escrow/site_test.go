package escrow_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hpke"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/escrow"
	"latchkey/internal/escrow/journal"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// site is an escrow with a key journal, whose database can be restored.
type site struct {
	*vault
	t       testing.TB
	journal *escrow.KeyJournal
	signing ed25519.PrivateKey
	folder  string
	copies  int
	breaker escrow.Breaker
}

func newSite(t testing.TB, database string, b escrow.Breaker) *site {
	t.Helper()
	return newSiteAt(t, database, b, nil)
}

// newSiteAt has a clock of the test's; nil: the database's.
func newSiteAt(t testing.TB, database string, b escrow.Breaker, clock func() time.Time) *site {
	t.Helper()
	db, err := store.Open(t.Context(), database, store.Options{Node: "test", Clock: clock})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	if db.Dialect() == store.SQLite { // power cuts are not what these tests are about
		_, err = db.SQL().ExecContext(t.Context(), `PRAGMA synchronous = OFF`)
		must(t, err)
	}
	s := &site{vault: &vault{db: db}, t: t, folder: t.TempDir(), breaker: b}
	kek := filepath.Join(s.folder, "kek.key")
	_, err = seal.Create(kek)
	must(t, err)
	file, err := seal.NewFile(kek)
	must(t, err)
	s.keys, err = seal.Open(t.Context(), db, seal.Providers{file})
	must(t, err)
	s.service, s.signing, err = ed25519.GenerateKey(nil)
	must(t, err)
	s.private, err = hpke.DHKEM(ecdh.X25519()).GenerateKey()
	must(t, err)
	s.begin("a")
	return s
}

// begin starts the journal of a node and gives the escrow to it.
func (s *site) begin(node string) {
	s.t.Helper()
	s.open(node)
	must(s.t, s.journal.Start(s.t.Context(), s.db))
}

func (s *site) open(node string) {
	s.journal = escrow.NewKeyJournal(s.db, s.path(node), node, journal.Options{Keys: s.keys})
	j := s.journal
	s.t.Cleanup(func() { must(s.t, j.Close()) })
	s.Escrow = escrow.New(s.keys, s.signing, "test", escrow.WithJournal(s.journal), escrow.WithBreaker(s.breaker))
}

func (s *site) path(node string) string { return filepath.Join(s.folder, node+".journal") }

// again is the same site after a restart of its node.
func (s *site) again(node string) *site {
	s.t.Helper()
	v := *s.vault
	other := *s
	other.vault = &v
	other.open(node)
	return &other
}

// node is the same site as another node has it.
func (s *site) node(name string) *site {
	s.t.Helper()
	other := s.again(name)
	must(s.t, other.journal.Accept(s.t.Context(), s.db, missing))
	return other
}

// tables are those that a backup has, parents first. The audit trail goes on.
var tables = []string{"holders", "cards", "card_keys", "sessions", "releases", "rate_limits", "data_keys", "key_journals", "release_control"}

// backup keeps the state of the database under a name.
func (s *site) backup() string {
	s.t.Helper()
	s.copies++
	name := fmt.Sprintf("copy%d_", s.copies)
	for _, table := range tables {
		s.sql(`CREATE TABLE ` + name + table + ` AS SELECT * FROM ` + table)
	}
	return name
}

// restore puts a state back.
func (s *site) restore(name string) {
	s.t.Helper()
	for _, table := range slices.Backward(tables) {
		s.sql(`DELETE FROM ` + table)
	}
	for _, table := range tables {
		s.sql(`INSERT INTO ` + table + ` SELECT * FROM ` + name + table)
	}
}

// drop forgets backups.
func (s *site) drop(names ...string) {
	s.t.Helper()
	for _, name := range names {
		for _, table := range tables {
			s.sql(`DROP TABLE ` + name + table)
		}
	}
}

func (s *site) sql(query string) {
	s.t.Helper()
	_, err := s.db.SQL().ExecContext(s.t.Context(), query)
	must(s.t, err)
}

// fates are what can become of an attempt.
var fates = []string{"fine", "lost before the card", "lost behind the card", "told without proof", "killed before it was told"}

// live has an attempt come to a fate. after is called after each commit.
func (s *site) live(t fataler, c *chip, fate string, after func()) {
	t.Helper()
	a := s.vault.begin(t, c)
	r, epoch, err := a.release(t, 1)
	must(t, err)
	after()
	step := 1
	for ; fate != "lost before the card" && fate != "killed before it was told"; step++ {
		unblocked := c.present(r.Key)
		held := api.HoldsKey
		if unblocked && r.Next != "" {
			c.puk, held = r.Next, api.HoldsNext
		}
		if fate == "lost behind the card" {
			return
		}
		report := api.Report{Step: step, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: held}
		if !unblocked {
			report.Outcome, report.Holds = api.OutcomeRefused, api.HoldsUnknown
		}
		out, err := a.report(report, fate == "fine")
		must(t, err)
		after()
		if out.NextStep == 0 {
			return
		}
		if r, epoch, err = a.release(t, out.NextStep); err != nil {
			t.Fatal(err)
		}
		after()
	}
}

// reconcile brings the database in line with this node's journal.
func (s *site) reconcile(t fataler, o escrow.ReconcileOptions) (escrow.ReconcileResult, error) {
	t.Helper()
	return s.journal.Reconcile(s.t.Context(), s.db, s.keys, o)
}

// knows makes sure that the card's key is among the candidates.
func (s *site) knows(t fataler, c *chip, when string) {
	t.Helper()
	have, _ := s.candidates(t, c)
	if !slices.Contains(have, c.puk) {
		t.Fatalf("%s: the card's key is not among the %d candidates", when, len(have))
	}
}

// unlocks makes sure that the card is unlocked within some attempts, its last
// try never being spent.
func (s *site) unlocks(t fataler, c *chip, attempts int, when string) {
	t.Helper()
	for range attempts {
		a := s.vault.begin(t, c)
		for step := 1; step != 0; {
			r, epoch, err := a.release(t, step)
			if err != nil {
				t.Fatalf("%s: step %d: %v", when, step, err)
			}
			report := api.Report{Step: step, Epoch: epoch, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown}
			ok := c.present(r.Key)
			if ok {
				report.Outcome, report.Holds = api.OutcomeUnlocked, api.HoldsKey
				if r.Next != "" {
					c.puk, report.Holds = r.Next, api.HoldsNext
				}
			}
			out, err := a.report(report, true)
			must(t, err)
			if step = out.NextStep; ok && step == 0 {
				if c.fewest < 1 {
					t.Fatalf("%s: the last try was spent", when)
				}
				return
			}
		}
	}
	t.Fatalf("%s: the card stays locked, %d tries left", when, c.tries)
}
