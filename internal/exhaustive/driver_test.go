package exhaustive

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"sync"
	"time"
)

// gate stands between the service and its database.
type gate struct {
	mu         sync.Mutex
	off        bool // the test itself is at the database
	dead       bool // the service was killed
	goneUntil  time.Time
	statements int
	commits    int
	seen       []event // what the statements were
	armed      *fault
	committed  func() // after each commit; nil: nobody asks
}

// event is what a statement is.
type event int8

const (
	eventBegin event = iota
	eventStatement
	eventCommit
)

// errGone is what a driver says of a database that cannot be reached.
func errGone() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: errors.New("the database is gone")}
}

// away is how long what is away for a time stays away: longer than the client
// goes on trying.
const away = 10 * time.Second

// pass counts a statement and says whether it reaches the database.
func (g *gate) pass(e event) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.off:
		return nil
	case g.dead:
		return errGone()
	}
	g.statements++
	g.seen = append(g.seen, e)
	if g.armed.is(databaseGone, g.statements) {
		g.goneUntil = time.Now().Add(away)
	}
	if time.Now().Before(g.goneUntil) {
		return errGone()
	}
	return nil
}

// commit commits, or not, and says whether the service hears of it.
func (g *gate) commit(tx driver.Tx) error {
	if err := g.pass(eventCommit); err != nil {
		_ = tx.Rollback() // as the database does that loses its client
		return err
	}
	g.mu.Lock()
	off, f, committed := g.off, g.armed, g.committed
	if !off {
		g.commits++
	}
	n := g.commits
	g.mu.Unlock()
	switch {
	case off:
		return tx.Commit()
	case f.is(serviceKilledBefore, n):
		g.kill()
		_ = tx.Rollback()
		return errGone()
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if committed != nil {
		committed()
	}
	switch {
	case f.is(serviceKilledAfter, n):
		g.kill()
		return errGone()
	case f.is(commitUnheard, n):
		return errGone()
	}
	return nil
}

func (g *gate) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
}

func (g *gate) killed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dead
}

// aside runs what the test itself does at the database.
func (g *gate) aside(f func()) {
	g.mu.Lock()
	was := g.off
	g.off = true
	g.mu.Unlock()
	f()
	g.mu.Lock()
	g.off = was
	g.mu.Unlock()
}

// reset begins to count anew, with a fault to come.
func (g *gate) reset(f *fault, committed func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.off, g.dead, g.goneUntil, g.statements, g.commits, g.seen, g.armed, g.committed = false, false, time.Time{}, 0, 0, nil, f, committed
}

// stop lets everything pass.
func (g *gate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.off, g.armed, g.committed = true, nil, nil
}

// wrap puts the gate before a driver.
func (g *gate) wrap(d driver.Driver) driver.Driver { return gatedDriver{d, g} }

type gatedDriver struct {
	driver.Driver
	gate *gate
}

func (d gatedDriver) Open(dsn string) (driver.Conn, error) {
	c, err := d.Driver.Open(dsn)
	if err != nil {
		return nil, err
	}
	return gatedConn{c.(sqliteConn), d.gate}, nil
}

// sqliteConn is what the driver's connections can do and database/sql uses.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type gatedConn struct {
	sqliteConn
	gate *gate
}

func (c gatedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.gate.pass(eventBegin); err != nil {
		return nil, err
	}
	tx, err := c.sqliteConn.BeginTx(ctx, o)
	return gatedTx{tx, c.gate}, err
}

func (c gatedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.gate.pass(eventStatement); err != nil {
		return nil, err
	}
	return c.sqliteConn.ExecContext(ctx, query, args)
}

func (c gatedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.gate.pass(eventStatement); err != nil {
		return nil, err
	}
	return c.sqliteConn.QueryContext(ctx, query, args)
}

// PrepareContext is not counted: the store prepares a statement when it has
// met it.
func (c gatedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return gatedStmt{s.(sqliteStmt), c.gate}, nil
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type gatedStmt struct {
	sqliteStmt
	gate *gate
}

func (s gatedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.gate.pass(eventStatement); err != nil {
		return nil, err
	}
	return s.sqliteStmt.ExecContext(ctx, args)
}

func (s gatedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.gate.pass(eventStatement); err != nil {
		return nil, err
	}
	return s.sqliteStmt.QueryContext(ctx, args)
}

type gatedTx struct {
	driver.Tx
	gate *gate
}

func (t gatedTx) Commit() error { return t.gate.commit(t.Tx) }
