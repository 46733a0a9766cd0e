package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"latchkey/internal/problem"
	"latchkey/internal/store/pgtest"
)

func sqlitePath(t testing.TB) string { return filepath.Join(t.TempDir(), "test.db") }

func backends() map[string]backend {
	return map[string]backend{"SQLite": {sqlitePath}, "PostgreSQL": {pgtest.URL}}
}

// write is any change.
func write(ctx context.Context, db *DB) error {
	return db.Update(ctx, func(tx *Tx) error { return tx.SetMeta(ctx, NewID(), make([]byte, 20_000)) })
}

func wantCode(t testing.TB, err error, want problem.Code) {
	t.Helper()
	if got := problem.CodeOf(err); got != want {
		t.Errorf("code %q, want %q: %v", got, want, err)
	}
}

func TestNewerSchema(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			url := b.fresh(t)
			db := b.open(t, url, Options{})
			_, err := db.SQL().Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`)
			must(t, err)
			_, err = Open(t.Context(), url, Options{})
			wantCode(t, err, problem.DatabaseNewer)
		})
	}
}

func TestOpenAgainKeepsEverything(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			url := b.fresh(t)
			first := b.open(t, url, Options{})
			update(t, first, func(tx *Tx) { must(t, tx.SetMeta(t.Context(), "k", []byte("v"))) })
			again := b.open(t, url, Options{})
			view(t, again, func(tx *Tx) { same(t, []byte("v"))(tx.Meta(t.Context(), "k")) })
			var jobs int
			must(t, again.SQL().QueryRow(`SELECT count(*) FROM river_job`).Scan(&jobs))
		})
	}
}

func TestOpenOfWhatIsNone(t *testing.T) {
	text := filepath.Join(t.TempDir(), "notes.txt")
	must(t, os.WriteFile(text, []byte("These are my notes, and they are long enough to be read as a header of a file. Or so I hope."), 0o600))
	for url, want := range map[string]problem.Code{
		"":                                 problem.ConfigInvalid,
		"mysql://host/db":                  problem.ConfigInvalid,
		"postgres://host:x/db":             problem.ConfigInvalid,
		"postgres:///db?host=/nonexistent": problem.DatabaseGone,
		text:                               problem.ConfigInvalid,
		filepath.Join(t.TempDir(), "missing", "test.db"): problem.DatabaseGone,
	} {
		_, err := Open(t.Context(), url, Options{})
		wantCode(t, err, want)
	}
}

func TestReadOnlyDatabase(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			url := b.fresh(t)
			db := b.open(t, url, Options{})
			switch db.Dialect() {
			case SQLite:
				_, err := db.SQL().Exec(`PRAGMA query_only = 1`)
				must(t, err)
			default:
				_, err := db.SQL().Exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
				must(t, err)
				db = &DB{dialect: PostgreSQL, pause: backoff, log: db.log}
				must(t, db.connectPostgres(url, Options{}))
				defer db.Close()
			}
			wantCode(t, write(t.Context(), db), problem.DatabaseReadOnly)
			must(t, db.View(t.Context(), func(tx *Tx) error { _, err := tx.Contacts(t.Context(), "x"); return err }))
		})
	}
}

func TestDiskFull(t *testing.T) {
	db := backend{sqlitePath}.open(t, sqlitePath(t), Options{})
	must(t, write(t.Context(), db))
	_, err := db.SQL().Exec(`PRAGMA max_page_count = 1`) // SQLite makes it the size of now
	must(t, err)
	wantCode(t, write(t.Context(), db), problem.DiskFull)
	_, err = db.SQL().Exec(`PRAGMA max_page_count = 100000`)
	must(t, err)
	must(t, write(t.Context(), db))
	var n int
	must(t, db.SQL().QueryRow(`SELECT count(*) FROM meta`).Scan(&n))
	if n != 2 {
		t.Errorf("%d rows, want those of the two that succeeded", n)
	}
}

// lockSQLite takes the write lock of a file as another process would.
func lockSQLite(t testing.TB, path string) *sql.Conn {
	t.Helper()
	other, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	conn, err := other.Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(conn.Close(), other.Close())) })
	return conn
}

func TestAnotherProcessHoldsTheDatabase(t *testing.T) {
	path := sqlitePath(t)
	db := backend{}.open(t, path, Options{BusyTimeout: time.Millisecond})
	other := lockSQLite(t, path)
	pauses := 0
	db.pause = func(context.Context, int) error { pauses++; return nil }
	wantCode(t, write(t.Context(), db), problem.DatabaseBusy)
	if pauses != updateTries-1 {
		t.Errorf("%d pauses", pauses)
	}
	must(t, db.View(t.Context(), func(tx *Tx) error { _, err := tx.Contacts(t.Context(), "x"); return err }))

	db.pause = func(ctx context.Context, _ int) error {
		_, err := other.ExecContext(ctx, `ROLLBACK`)
		return err
	}
	must(t, write(t.Context(), db))
}

func TestOpenWhileAnotherProcessHoldsTheDatabase(t *testing.T) {
	path := sqlitePath(t)
	conn := lockSQLite(t, path)
	_, err := Open(t.Context(), path, Options{BusyTimeout: time.Millisecond})
	wantCode(t, err, problem.DatabaseBusy)
	_, err = conn.ExecContext(t.Context(), `ROLLBACK`)
	must(t, err)
	backend{}.open(t, path, Options{})
}

func TestConnectionIsLost(t *testing.T) {
	db := backend{}.open(t, pgtest.URL(t), Options{})
	ctx := t.Context()
	err := db.Update(ctx, func(tx *Tx) error {
		var pid int
		if err := tx.SQL().QueryRow(`SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			return err
		}
		if _, err := db.SQL().Exec(`SELECT pg_terminate_backend($1, 5000)`, pid); err != nil {
			return err
		}
		return tx.SetMeta(ctx, "k", []byte("v"))
	})
	wantCode(t, err, problem.DatabaseGone)
	must(t, write(ctx, db))
}

func TestUnsafeCommitIsRefused(t *testing.T) {
	url := pgtest.URL(t)
	db := backend{}.open(t, url, Options{})
	_, err := db.SQL().Exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`)
	must(t, err)
	_, err = Open(t.Context(), url, Options{})
	wantCode(t, err, problem.ConfigInvalid)
}

func TestSQLiteSettings(t *testing.T) {
	path := sqlitePath(t)
	db := backend{}.open(t, path, Options{})
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		must(t, db.write.QueryRow(`PRAGMA `+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %s", pragma, got)
		}
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if must(t, err); len(files) < 2 {
		t.Errorf("files %v", files)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("others can read %s: %v, %v", f, info.Mode(), err)
		}
	}
	if _, err := db.read.Exec(`DELETE FROM meta`); err == nil {
		t.Error("the pool for reading can write")
	}
}

func TestEndedContext(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			db := b.open(t, b.fresh(t), Options{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for _, run := range []func(context.Context, func(*Tx) error) error{db.Update, db.View} {
				err := run(ctx, func(tx *Tx) error {
					cancel()
					_, err := tx.Meta(ctx, "k")
					return err
				})
				wantErr(t, err, context.Canceled)
				wantErr(t, run(ctx, func(*Tx) error { return nil }), context.Canceled)
			}
		})
	}
}

func TestDeadlinePasses(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			db := b.open(t, b.fresh(t), Options{})
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
			defer cancel()
			err := write(ctx, db)
			wantCode(t, err, problem.DatabaseBusy)
			wantErr(t, err, context.DeadlineExceeded)
		})
	}
}

func TestCallersErrorsPass(t *testing.T) {
	db := backend{}.open(t, sqlitePath(t), Options{})
	err := db.Update(t.Context(), func(tx *Tx) error {
		must(t, tx.SetMeta(t.Context(), "k", []byte("v")))
		return problem.New(problem.CodeWrong)
	})
	wantCode(t, err, problem.CodeWrong)
	view(t, db, func(tx *Tx) {
		_, err := tx.Meta(t.Context(), "k")
		wantErr(t, err, ErrNotFound)
	})
}

func TestClock(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) {
			url := b.fresh(t)
			db := b.open(t, url, Options{})
			before := time.Now().Add(-time.Microsecond) // PostgreSQL runs on this machine
			view(t, db, func(tx *Tx) {
				now, err := tx.Now(t.Context())
				if must(t, err); now.Before(before) || now.After(time.Now()) || now.Location() != time.UTC {
					t.Errorf("the time is %v", now)
				}
				same(t, now)(tx.Now(t.Context()))
			})
			fixed := b.open(t, url, Options{Clock: func() time.Time { return start }})
			view(t, fixed, func(tx *Tx) { same(t, start)(tx.Now(t.Context())) })
		})
	}
}

func TestPostgresFaults(t *testing.T) {
	for code, want := range map[string]problem.Code{
		"53100": problem.DiskFull, "53300": problem.DatabaseGone, "25006": problem.DatabaseReadOnly, "57P03": problem.DatabaseGone,
		"40001": problem.DatabaseBusy, "40P01": problem.DatabaseBusy, "55P03": problem.DatabaseBusy, "57014": problem.DatabaseBusy,
		"08006": problem.DatabaseGone, "28P01": problem.DatabaseGone, "3D000": problem.DatabaseGone, "23503": problem.Internal,
	} {
		err := fault(t.Context(), &pgconn.PgError{Code: code})
		if got := problem.CodeOf(err); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}

func TestBackoffEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, backoff(ctx, 100), context.Canceled)
	must(t, backoff(t.Context(), 0))
}
