package store

import (
	"context"
	"database/sql"
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

// statement gives what runs a query. The second time it is prepared, and lives
// until the transaction ends.
func (t *Tx) statement(ctx context.Context, query string) querier {
	direct := text{t.tx, query}
	if t.db.dialect != SQLite {
		return direct
	}
	s, again := t.prepared[query]
	if s != nil {
		return s
	}
	if again {
		var err error
		if s, err = t.tx.PrepareContext(ctx, query); err != nil {
			return direct // which gives the same error, with its context
		}
	}
	if t.prepared == nil {
		t.prepared = make(map[string]*sql.Stmt)
	}
	t.prepared[query] = s
	if s == nil {
		return direct
	}
	return s
}
