package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// updateTries bounds how often Update runs its callback.
const updateTries = 8

// Tx is one transaction. It is used by one goroutine.
type Tx struct {
	db       *DB
	tx       *sql.Tx
	readOnly bool
	now      time.Time    // zero: not read yet
	events   []AuditEvent // to be chained and written at the commit
	after    []func() error
	// ready has the prepared statements of SQLite, used those of them that ran
	// in this transaction already.
	ready *statements
	used  map[string]*sql.Stmt
}

// SQL is the transaction itself, for River's InsertTx alone.
func (t *Tx) SQL() *sql.Tx { return t.tx }

// AfterCommit has fn run when the transaction has been committed and before
// Update returns, whose error is then that of fn: what was to be told of the
// transaction is not told. Where the transaction does not commit fn is not run.
func (t *Tx) AfterCommit(fn func() error) { t.after = append(t.after, fn) }

// ReadOnly says whether this is a transaction of View.
func (t *Tx) ReadOnly() bool { return t.readOnly }

// Update runs fn in a read-write transaction and commits it when fn returns
// nil. Where other transactions are in the way it runs fn again, up to
// updateTries times: fn must not have effects outside the transaction. fn must
// not call Update itself (SQLite has one writer), and after ErrExists of an
// Update... method fn must return an error, for PostgreSQL has given up the
// transaction by then; Insert... methods leave it usable.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	var err error
	for attempt := range updateTries {
		if err = db.update(ctx, fn); err == nil || !retryable(err) || ctx.Err() != nil || errors.As(err, new(afterCommitError)) {
			break
		}
		db.log.DebugContext(ctx, "transaction runs again", "attempt", attempt+1, "err", err)
		if attempt+1 < updateTries && db.pause(ctx, attempt) != nil {
			break
		}
	}
	return fault(ctx, err)
}

func (db *DB) update(ctx context.Context, fn func(*Tx) error) error {
	if db.writes != nil {
		db.writes.prepare(ctx)
	}
	tx, err := db.write.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // no effect after the commit
	t := &Tx{db: db, tx: tx, ready: db.writes}
	if err := fn(t); err != nil {
		return err
	}
	if err := t.flushAudit(ctx); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, fn := range t.after {
		if err := fn(); err != nil {
			return afterCommitError{err}
		}
	}
	return nil
}

// afterCommitError is an error after the commit: the transaction must not run
// again.
type afterCommitError struct{ err error }

func (e afterCommitError) Error() string { return "after the commit: " + e.err.Error() }
func (e afterCommitError) Unwrap() error { return e.err }

// View runs fn in a read-only transaction that sees one state of the database.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	return fault(ctx, db.view(ctx, fn))
}

func (db *DB) view(ctx context.Context, fn func(*Tx) error) error {
	o := &sql.TxOptions{}
	if db.dialect == PostgreSQL {
		o = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	if db.reads != nil {
		db.reads.prepare(ctx)
	}
	tx, err := db.read.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	return fn(&Tx{db: db, tx: tx, readOnly: true, ready: db.reads})
}

// Now is the time by the database's clock, in UTC and whole microseconds. It
// is read once a transaction.
func (t *Tx) Now(ctx context.Context) (time.Time, error) {
	switch {
	case !t.now.IsZero():
	case t.db.clock != nil:
		t.now = fromMicros(t.db.clock().UnixMicro())
	case t.db.dialect == SQLite:
		t.now = fromMicros(time.Now().UnixMicro())
	default:
		var us int64
		err := t.tx.QueryRowContext(ctx, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).Scan(&us)
		if err != nil {
			return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
		}
		t.now = fromMicros(us)
	}
	return t.now, nil
}

// micros is how a time is kept: 0 for the zero time.
func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// stamp reads a time kept by micros.
type stamp struct{ at *time.Time }

func (s stamp) Scan(v any) error {
	us, ok := v.(int64)
	if !ok {
		return fmt.Errorf("want a time in microseconds, got %T", v)
	}
	*s.at = fromMicros(us)
	return nil
}

// exec runs a statement and gives the number of rows it touched.
func (t *Tx) exec(ctx context.Context, what, query string, args ...any) (int64, error) {
	if t.readOnly {
		return 0, fmt.Errorf("%s: %w", what, errReadOnly)
	}
	result, err := t.statement(ctx, query).ExecContext(ctx, args...)
	if uniqueViolation(err) {
		return 0, fmt.Errorf("%s: %w: %w", what, ErrExists, err)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return n, nil
}

// insert runs an INSERT ... ON CONFLICT DO NOTHING: ErrExists where nothing
// was inserted.
func (t *Tx) insert(ctx context.Context, what, query string, args ...any) error {
	n, err := t.exec(ctx, what, query, args...)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: %w", what, ErrExists)
	}
	return err
}

// change runs a statement that must touch a row: ErrNotFound where it doesn't.
func (t *Tx) change(ctx context.Context, what, query string, args ...any) error {
	n, err := t.exec(ctx, what, query, args...)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	return err
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// one reads the one row of a query: ErrNotFound where there is none.
func one[T any](ctx context.Context, t *Tx, what string, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	v, err := scan(t.statement(ctx, query).QueryRowContext(ctx, args...))
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}

// lock reads the one row of a query and keeps others from changing it until
// the transaction ends: ErrNotFound where there is none. On SQLite a
// transaction of Update has the whole database.
func lock[T any](ctx context.Context, t *Tx, what string, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	if t.readOnly {
		var none T
		return none, fmt.Errorf("%s: %w", what, errReadOnly)
	}
	if t.db.dialect == PostgreSQL {
		query += ` FOR UPDATE`
	}
	return one(ctx, t, what, scan, query, args...)
}

// many reads all rows of a query.
func many[T any](ctx context.Context, t *Tx, what string, scan func(scanner) (T, error), query string, args ...any) (_ []T, err error) {
	rows, err := t.statement(ctx, query).QueryContext(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return out, nil
}
