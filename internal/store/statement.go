package store

import (
	"context"
	"database/sql"
	"sync"
)

// querier runs SQL: the transaction, or a prepared statement of it.
type querier interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

// text is a querier of SQL that is not prepared.
type text struct {
	tx    *sql.Tx
	query string
}

func (q text) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return q.tx.ExecContext(ctx, q.query, args...)
}

func (q text) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return q.tx.QueryContext(ctx, q.query, args...)
}

func (q text) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return q.tx.QueryRowContext(ctx, q.query, args...)
}

// statement gives what runs a query.
func (t *Tx) statement(ctx context.Context, query string) querier {
	if t.ready == nil {
		return text{t.tx, query}
	}
	if s := t.used[query]; s != nil {
		return s
	}
	prepared := t.ready.find(query)
	if prepared == nil {
		return text{t.tx, query}
	}
	s := t.tx.StmtContext(ctx, prepared)
	if t.used == nil {
		t.used = make(map[string]*sql.Stmt)
	}
	t.used[query] = s
	return s
}

// maxPrepared bounds the statements that are kept. The program's own are some
// seventy; those of many rows have a text for each number of rows.
const maxPrepared = 300

// statements are the prepared statements of a pool of SQLite, which would read
// and plan the text each time otherwise: a quarter of an unlock's work. pgx
// keeps its own for PostgreSQL.
//
// A statement is prepared between transactions, on the pool: one that is
// prepared inside a transaction ends with it, and to prepare on the pool
// meanwhile would wait for the only connection that writes. So a query runs as
// text until the transaction in which it is first met has ended.
type statements struct {
	pool *sql.DB
	mu   sync.Mutex
	made map[string]*sql.Stmt // nil: met and not prepared yet
	met  []string             // those
}

func newStatements(pool *sql.DB) *statements {
	return &statements{pool: pool, made: make(map[string]*sql.Stmt)}
}

// find gives a prepared statement, nil where there is none yet.
func (s *statements) find(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	made, known := s.made[query]
	if !known && len(s.made) < maxPrepared {
		s.made[query] = nil
		s.met = append(s.met, query)
	}
	return made
}

// prepare prepares what has been met since. A statement that cannot be
// prepared runs as text and gives its error there.
func (s *statements) prepare(ctx context.Context) {
	s.mu.Lock()
	met := s.met
	s.met = nil
	s.mu.Unlock()
	for _, query := range met {
		made, err := s.pool.PrepareContext(ctx, query)
		s.mu.Lock()
		if err == nil {
			s.made[query] = made
		} else {
			delete(s.made, query) // the next to meet it tries again
		}
		s.mu.Unlock()
	}
}

// close gives the statements up.
func (s *statements) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, made := range s.made {
		if made != nil {
			_ = made.Close() // the pool closes next, and says what is wrong
		}
	}
	s.made, s.met = make(map[string]*sql.Stmt), nil
}
