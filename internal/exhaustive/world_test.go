package exhaustive

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/cardkey"
	"latchkey/internal/deliver"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/escrow/journal"
	"latchkey/internal/seal"
	"latchkey/internal/service"
	"latchkey/internal/store"
	"latchkey/internal/unlock"
)

// world is one card with its reader, a service with its database and journal,
// and the wires between them.
type world struct {
	t        *testing.T
	database string
	folder   string
	options  []escrow.Option

	db       *store.DB
	gate     *gate
	tables   []tableSQL
	keys     *seal.Keyring
	file     *seal.File
	signing  ed25519.PrivateKey
	dir      *directory.Directory
	pins     *api.Pins
	client   *api.Client
	profiles []iso7816.Profile // that the application knows

	// What a restart of the service makes anew.
	journal  *escrow.KeyJournal
	sessions *unlock.Service
	service  http.Handler

	network *network
	readers *emulator.Readers
	card    *emulator.Card
	cardID  string

	mu       sync.Mutex
	shift    time.Duration // of the database's clock
	code     deliver.CodeJob
	armed    *fault
	talks    bool
	commands int
	calls    int
	worked   int   // commands of the work on the card, at its end
	before   []int // commits before each call
	out      bool  // the card is out of the reader, or the reader is gone
	fewest   int   // tries of the card's key that were ever left
	origin   rows
	points   []rows // the database at the beginning of the attempt and after each commit
}

// reader is the one reader there is.
const reader = "Reader 1"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, database string, options []escrow.Option) *world {
	t.Helper()
	w := &world{t: t, database: database, folder: t.TempDir(), options: options, gate: &gate{off: true}, network: newNetwork()}
	var err error
	w.db, err = store.Open(t.Context(), database, store.Options{Node: "test", Clock: w.now, Wrap: w.gate.wrap})
	must(t, err)
	t.Cleanup(func() { must(t, w.db.Close()) })
	_, err = w.db.SQL().ExecContext(t.Context(), `PRAGMA synchronous = OFF`) // power cuts are not what this is about
	must(t, err)
	kek := filepath.Join(w.folder, "kek.key")
	_, err = seal.Create(kek)
	must(t, err)
	w.file, err = seal.NewFile(kek)
	must(t, err)
	w.keys, err = seal.Open(t.Context(), w.db, seal.Providers{w.file})
	must(t, err)
	w.signing, err = seal.CreateSigningKey(filepath.Join(w.folder, "service.key"))
	must(t, err)
	w.dir, err = directory.New(w.keys, directory.Options{Region: "GB"})
	must(t, err)
	w.pins, err = api.NewPins(base64.StdEncoding.EncodeToString(w.signing.Public().(ed25519.PublicKey)), "")
	must(t, err)
	w.client, err = api.NewClient("http://localhost", nil)
	must(t, err)
	w.profiles, err = iso7816.Load("generic-puk")
	must(t, err)
	w.startService()
	must(t, w.journal.Start(t.Context(), w.db))
	t.Cleanup(func() { must(t, w.journal.Close()) })
	return w
}

// now is the time by the database's clock.
func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.shift)
}

func (w *world) jump(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shift += d
}

// startService makes a service over the database and the journal as they are.
func (w *world) startService() {
	if w.journal != nil {
		must(w.t, w.journal.Close())
	}
	w.gate.mu.Lock()
	w.gate.dead = false
	w.gate.mu.Unlock()
	w.journal = escrow.NewKeyJournal(w.db, w.journalPath(), "test", journal.Options{Keys: w.keys,
		Unwrap: seal.Providers{w.file}.Unwrap, OpenFile: openUnsynced})
	log := slog.New(slog.DiscardHandler)
	config := unlock.Config{Name: "test", Organisation: "St Example's", AllowUnproven: true,
		Methods:       []api.MethodStatus{{Method: api.MethodEmail, Available: true}},
		PasscodeRules: api.PasscodeRules{MinLength: 6, MaxLength: 8, DigitsOnly: true}}
	w.sessions = unlock.New(unlock.Parts{DB: w.db, Directory: w.dir, Keys: w.keys, Sender: w, Log: log,
		Escrow:     escrow.New(w.keys, w.signing, config.Name, append(slices.Clone(w.options), escrow.WithJournal(w.journal))...),
		SigningKey: w.signing.Public().(ed25519.PublicKey)}, config)
	w.service = service.New(w.sessions, log).Handler()
}

func (w *world) journalPath() string { return filepath.Join(w.folder, "keys.journal") }

// unsynced is a file of which a power cut would leave nothing.
type unsynced struct{ *os.File }

func (unsynced) Sync() error { return nil }

func openUnsynced(path string, flag int) (journal.File, error) {
	f, err := os.OpenFile(path, flag, fs.FileMode(0o600))
	return unsynced{f}, err
}

// SendCode implements unlock.Sender.
func (w *world) SendCode(_ context.Context, _ *store.Tx, job deliver.CodeJob) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.code = job
	return nil
}

// Notify implements unlock.Sender.
func (w *world) Notify(context.Context, *store.Tx, deliver.Notice) error { return nil }

// newestCode is the newest code as it arrives at the holder, "" for none.
func (w *world) newestCode() (code string) {
	w.mu.Lock()
	job := w.code
	w.mu.Unlock()
	w.gate.aside(func() {
		_ = w.db.View(w.t.Context(), func(tx *store.Tx) error {
			mail, _, err := w.sessions.ResolveCode(w.t.Context(), tx, job)
			code = mail.Code
			return err
		})
	})
	return code
}

// email is where the holder is reached.
const email = "sam.taylor@example.org"

// enrol imports a card and its holder.
func (w *world) enrol(s emulator.State, edit func(csv string) string) {
	ctx := w.t.Context()
	bad := func(l directory.BadLine) { w.t.Errorf("line %d: %s", l.Line, l.Problem.What()) }
	_, err := w.dir.ImportCardholders(ctx, w.db, strings.NewReader("staff_number,name,email\n1001,Sam Taylor,"+email+"\n"), directory.ImportOptions{Bad: bad})
	must(w.t, err)
	csv, err := s.ExportCSV("1001", true)
	must(w.t, err)
	_, err = w.dir.ImportCards(ctx, w.db, strings.NewReader(edit(csv)), directory.ImportOptions{Bad: bad})
	must(w.t, err)
	must(w.t, w.db.SQL().QueryRowContext(ctx, `SELECT id FROM cards`).Scan(&w.cardID))
	w.tables = w.prepare()
}

// tableSQL reads and writes a table.
type tableSQL struct {
	name           string
	remove, insert *sql.Stmt
}

// prepare gives the tables of the database, parents first.
func (w *world) prepare() (out []tableSQL) {
	ctx := w.t.Context()
	found, err := w.db.SQL().QueryContext(ctx, `SELECT m.name, (SELECT count(*) FROM pragma_table_info(m.name)) FROM sqlite_master AS m WHERE m.type = 'table'
		AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'river%' ORDER BY m.name = 'card_keys', m.rowid`)
	must(w.t, err)
	texts := map[string]int{}
	var names []string
	for found.Next() {
		var name string
		var columns int
		must(w.t, found.Scan(&name, &columns))
		names, texts[name] = append(names, name), columns
	}
	must(w.t, errors.Join(found.Err(), found.Close()))
	statement := func(query string) *sql.Stmt {
		s, err := w.db.SQL().PrepareContext(ctx, query)
		must(w.t, err)
		w.t.Cleanup(func() { must(w.t, s.Close()) })
		return s
	}
	for _, name := range names {
		out = append(out, tableSQL{name, statement(`DELETE FROM ` + name),
			statement(fmt.Sprintf(`INSERT INTO %s VALUES (?%s)`, name, strings.Repeat(",?", texts[name]-1)))})
	}
	return out
}

// candidates are the keys that the database has for the card.
func (w *world) candidates() (out []string) {
	w.gate.aside(func() {
		must(w.t, w.db.View(w.t.Context(), func(tx *store.Tx) error {
			keys, err := tx.CardKeys(w.t.Context(), w.cardID)
			for _, k := range keys {
				raw, err := cardkey.OpenStored(w.keys, k)
				if err != nil {
					return err
				}
				out = append(out, string(raw))
			}
			return err
		}))
	})
	return out
}

// rows is what the database has, by table.
type rows [][][]any

// dump reads it all.
func (w *world) dump() (out rows) {
	w.gate.aside(func() {
		must(w.t, w.db.View(w.t.Context(), func(tx *store.Tx) error {
			for _, table := range w.tables {
				all, err := readTable(w.t.Context(), tx.SQL(), table.name)
				if err != nil {
					return err
				}
				out = append(out, all)
			}
			return nil
		}))
	})
	return out
}

func readTable(ctx context.Context, tx *sql.Tx, table string) (out [][]any, err error) {
	found, err := tx.QueryContext(ctx, `SELECT * FROM `+table)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		return nil, err
	}
	for found.Next() {
		row := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range row {
			if b, ok := v.([]byte); ok && b == nil { // empty is not NULL
				row[i] = []byte{}
			}
		}
		out = append(out, row)
	}
	return out, found.Err()
}

// put puts another state of the database in its place.
func (w *world) put(state rows) {
	w.gate.aside(func() {
		ctx := context.Background()
		tx, err := w.db.SQL().BeginTx(ctx, nil)
		must(w.t, err)
		for _, table := range slices.Backward(w.tables) {
			_, err = tx.StmtContext(ctx, table.remove).ExecContext(ctx)
			must(w.t, err)
		}
		for i, table := range w.tables {
			insert := tx.StmtContext(ctx, table.insert)
			for _, row := range state[i] {
				_, err = insert.ExecContext(ctx, row...)
				must(w.t, err)
			}
		}
		must(w.t, tx.Commit())
	})
}
