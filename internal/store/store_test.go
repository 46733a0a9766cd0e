package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"latchkey/internal/store/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// backend opens databases of one dialect. Each call to fresh names another,
// empty database; open may be called many times with the same name.
type backend struct {
	fresh func(t testing.TB) string
}

func (b backend) open(t testing.TB, url string, o Options) *DB {
	t.Helper()
	db, err := Open(context.Background(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func TestSQLite(t *testing.T) {
	conformance(t, backend{func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test db?#.sqlite") }})
}

func TestPostgreSQL(t *testing.T) {
	conformance(t, backend{pgtest.URL})
}

func TestConcurrency(t *testing.T) {
	for name, b := range backends() {
		t.Run(name, func(t *testing.T) { concurrent(t, b) })
	}
}
