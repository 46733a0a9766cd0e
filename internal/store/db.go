// Package store keeps what the service knows: cardholders, cards, sealed
// unlocking keys, sessions, limits and the audit trail. It runs the same text
// of SQL on SQLite (one machine) and on PostgreSQL (any number of nodes); only
// the tables' definitions (folder migrations) and the locking of a row differ.
//
// It promises:
//   - what a committed Update wrote survives a power cut (SQLite: WAL with
//     synchronous=FULL; PostgreSQL: synchronous_commit is on or remote_apply);
//   - an Update sees and locks the newest state: BEGIN IMMEDIATE on SQLite,
//     READ COMMITTED with the row locks of the Lock methods on PostgreSQL;
//   - audit events appended in an Update are written by its commit, chained,
//     or not at all;
//   - faults of the database itself come back as problems with their own
//     codes; a missing row is ErrNotFound, a doubled one ErrExists.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"latchkey/internal/problem"
)

// Dialects of Open.
const (
	SQLite     = "sqlite"
	PostgreSQL = "postgres"
)

// connectTimeout bounds the wait for a PostgreSQL host that does not answer,
// where the url has no connect_timeout.
const connectTimeout = 5 * time.Second

// Options of Open. The zero value is right for production.
type Options struct {
	// Clock replaces the database's clock: PostgreSQL's own, or this machine's
	// for SQLite.
	Clock func() time.Time
	// Node names this node's chain in the audit trail; default is the host name.
	// A long transaction with many events (an import) holds its chain until it
	// commits: give such a program a chain of its own.
	Node string
	// Log gets retries and migrations; default is to say nothing.
	Log *slog.Logger
	// MaxConns bounds the connections to the database; default 16.
	MaxConns int
	// BusyTimeout is how long to wait for another process that writes to the
	// same SQLite file before a try counts as failed; default 5 s.
	BusyTimeout time.Duration
	// Wrap puts something between database/sql and the driver of SQLite, for
	// tests of what fails there; nil: nothing.
	Wrap func(driver.Driver) driver.Driver
}

// DB is an open database. It is safe for use by many goroutines at once.
type DB struct {
	dialect string
	write   *sql.DB
	read    *sql.DB     // the same pool as write on PostgreSQL
	writes  *statements // of write, nil on PostgreSQL
	reads   *statements // of read, nil on PostgreSQL
	clock   func() time.Time
	node    string
	log     *slog.Logger
	pause   func(ctx context.Context, attempt int) error
}

// Open opens the database at url ("sqlite:PATH", a plain path, or
// "postgres://...") and brings its tables up to date. Errors:
// problem.DatabaseNewer where a newer version has been there,
// problem.ConfigInvalid for a url that is none, problem.DatabaseGone and the
// other problems of a database that does not work.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	db, err := connect(url, o)
	if err != nil {
		return nil, err
	}
	if err := db.prepare(ctx); err != nil {
		return nil, errors.Join(fault(ctx, fmt.Errorf("open database: %w", err)), db.Close())
	}
	return db, nil
}

func connect(target string, o Options) (*DB, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	db := &DB{clock: o.Clock, node: o.Node, log: o.Log, pause: backoff}
	if strings.HasPrefix(target, "postgres://") || strings.HasPrefix(target, "postgresql://") {
		db.dialect = PostgreSQL
		return db, db.connectPostgres(target, o)
	}
	db.dialect = SQLite
	return db, db.connectSQLite(strings.TrimPrefix(target, "sqlite:"), o)
}

func (o Options) withDefaults() (Options, error) {
	if o.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("name this node: %w", err)
		}
		o.Node = name
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 16
	}
	if o.BusyTimeout <= 0 {
		o.BusyTimeout = 5 * time.Second
	}
	return o, nil
}

func (db *DB) connectPostgres(target string, o Options) error {
	cfg, err := pgx.ParseConfig(target)
	if err != nil { // pgx hides the password in it
		return problem.Wrap(problem.ConfigInvalid, fmt.Errorf("database: %w", err))
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	db.write = stdlib.OpenDB(*cfg)
	db.write.SetMaxOpenConns(max(o.MaxConns, 2)) // one holds the migration lock, one migrates
	db.write.SetMaxIdleConns(max(o.MaxConns, 2))
	db.read = db.write
	return nil
}

// connectSQLite opens one connection that writes and a pool that reads. WAL
// lets the readers go on while the writer commits.
func (db *DB) connectSQLite(path string, o Options) error {
	if path == "" || strings.Contains(path, "://") {
		return problem.Wrap(problem.ConfigInvalid, fmt.Errorf("database: want a path or postgres://, not %q", path))
	}
	// SQLite would make a file that others can read; its companions get the
	// mode of the file. What else may be wrong SQLite says itself.
	if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		if err := f.Close(); err != nil {
			return fmt.Errorf("create %s: %w", path, err)
		}
	}
	busy := fmt.Sprintf("busy_timeout(%d)", o.BusyTimeout.Milliseconds())
	writer := url.Values{"_txlock": {"immediate"},
		"_pragma": {busy, "foreign_keys(1)", "journal_mode(WAL)", "synchronous(FULL)"}}
	reader := url.Values{"_txlock": {"deferred"}, "_pragma": {busy, "query_only(1)"}}
	base := "file:" + (&url.URL{Path: path}).EscapedPath() + "?"
	var err error
	if db.write, err = openSQLite(base+writer.Encode(), o.Wrap); err != nil {
		return fmt.Errorf("open SQLite: %w", err)
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = openSQLite(base+reader.Encode(), o.Wrap); err != nil {
		return errors.Join(fmt.Errorf("open SQLite: %w", err), db.write.Close())
	}
	db.read.SetMaxOpenConns(o.MaxConns)
	db.read.SetMaxIdleConns(o.MaxConns)
	db.writes, db.reads = newStatements(db.write), newStatements(db.read)
	return nil
}

func openSQLite(dsn string, wrap func(driver.Driver) driver.Driver) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil || wrap == nil {
		return pool, err
	}
	d := wrap(pool.Driver())
	return sql.OpenDB(connector{dsn, d}), pool.Close()
}

// connector connects a driver to one database.
type connector struct {
	dsn    string
	driver driver.Driver
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// Close closes the database.
func (db *DB) Close() error {
	for _, s := range []*statements{db.writes, db.reads} {
		if s != nil {
			s.close()
		}
	}
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(err, db.read.Close())
	}
	return err
}

// Dialect is SQLite or PostgreSQL.
func (db *DB) Dialect() string { return db.dialect }

// Node is the name of this node's chain in the audit trail.
func (db *DB) Node() string { return db.node }

// SQL is the pool that writes, for River's client.
func (db *DB) SQL() *sql.DB { return db.write }

// NewID gives a fresh random identifier of 20 characters (100 bits).
func NewID() string { return strings.ToLower(rand.Text()[:20]) }

// backoff waits before the next try: 5 ms doubling to 320 ms, of which half is
// random so that two that collided don't collide again.
func backoff(ctx context.Context, attempt int) error {
	d := 5 * time.Millisecond << min(attempt, 6)
	t := time.NewTimer(d/2 + mathrand.N(d/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
