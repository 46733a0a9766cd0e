package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"latchkey/internal/problem"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found")

// ErrExists says that a row with the same unique value is there already.
var ErrExists = errors.New("exists already")

// errReadOnly is a write in View: a mistake of the caller.
var errReadOnly = errors.New("write in a read-only transaction")

// PostgreSQL's codes that we act on (PostgreSQL manual, appendix A).
const (
	pgSerializationFailure = "40001"
	pgDeadlock             = "40P01"
	pgLockNotAvailable     = "55P03"
	pgQueryCanceled        = "57014"
	pgUniqueViolation      = "23505"
	pgReadOnly             = "25006"
	pgDiskFull             = "53100"
	pgClassConnection      = "08"
	pgClassResources       = "53" // too many connections, out of memory
	pgClassOperator        = "57" // shut down, starting up, crashed
	pgClassAuthorization   = "28"
	pgNoDatabase           = "3D000"
)

// retryable says whether running the transaction again may help: another
// transaction was in the way and this one left nothing behind.
func retryable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgSerializationFailure || pg.Code == pgDeadlock || pg.Code == pgLockNotAvailable
	}
	switch sqliteCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return true
	}
	return false
}

// sqliteCode is the primary result code of SQLite in err, 0 where there is none.
func sqliteCode(err error) int {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() & 0xff
	}
	return 0
}

// uniqueViolation says whether err is about a unique constraint.
func uniqueViolation(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgUniqueViolation
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) &&
		(lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// fault turns a failure of the database itself into a problem, a deadline that
// passed meanwhile among them. Everything else, errors of the caller's own and
// a cancelled context, comes back as it is.
func fault(ctx context.Context, err error) error {
	var p *problem.Problem
	if err == nil || errors.As(err, &p) && p.Code != problem.Internal {
		return err
	}
	if cause := ctx.Err(); cause != nil {
		// What the drivers make of it differs: "interrupted", a broken connection.
		err = fmt.Errorf("%w: %w", cause, err)
		if errors.Is(cause, context.DeadlineExceeded) {
			return problem.Wrap(problem.DatabaseBusy, err)
		}
		return err
	}
	if code := faultCode(err); code != "" {
		return problem.Wrap(code, err)
	}
	return err
}

// faultCode is the problem that a failure of the database is, "" for others.
func faultCode(err error) problem.Code {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return postgresFault(pg.Code)
	}
	if code := sqliteCode(err); code != 0 {
		return sqliteFault(code)
	}
	var connect *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return problem.DatabaseGone
	}
	return ""
}

func postgresFault(code string) problem.Code {
	switch code {
	case pgSerializationFailure, pgDeadlock, pgLockNotAvailable, pgQueryCanceled:
		return problem.DatabaseBusy
	case pgReadOnly:
		return problem.DatabaseReadOnly
	case pgDiskFull:
		return problem.DiskFull
	case pgNoDatabase:
		return problem.DatabaseGone
	}
	switch code[:min(2, len(code))] {
	case pgClassConnection, pgClassOperator, pgClassAuthorization, pgClassResources:
		return problem.DatabaseGone
	}
	return ""
}

func sqliteFault(code int) problem.Code {
	switch code {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return problem.DatabaseBusy
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return problem.DatabaseReadOnly
	case sqlite3.SQLITE_FULL:
		return problem.DiskFull
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR:
		return problem.DatabaseGone
	case sqlite3.SQLITE_NOTADB:
		return problem.ConfigInvalid // another kind of file
	}
	return ""
}
