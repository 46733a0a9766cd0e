// Package storetest gives tests databases whose tables are there already. To
// make the tables takes far longer than most tests, and the tests of package
// store do that often enough; here it is done once a process.
package storetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
)

// SQLite gives the path of a database of SQLite that lives as long as the test.
func SQLite(t testing.TB) string {
	t.Helper()
	raw, err := empty()
	if err != nil {
		t.Fatalf("make the tests' database: %v", err)
	}
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// PostgreSQL gives the URL of a database of PostgreSQL that lives as long as
// the test.
func PostgreSQL(t testing.TB) string {
	t.Helper()
	return pgtest.Prepared(t, prepare)
}

func prepare(url string) error {
	// Not a test's context: what is made outlives the test that is first.
	db, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		return err
	}
	return db.Close()
}

// empty is the file of a database with tables and no rows. It is kept in
// memory, where nothing has to be removed at the end.
var empty = sync.OnceValues(func() (raw []byte, err error) {
	folder, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "empty.db")
	if err := prepare(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})
