package seal

import (
	"bytes"
	"path/filepath"
	"testing"

	"latchkey/internal/problem"
	"latchkey/internal/store"
)

func TestCheckNoticesAnotherKey(t *testing.T) {
	ctx := t.Context()
	db, err := store.Open(ctx, filepath.Join(t.TempDir(), "test.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	right, wrong := newKeyring(bytes.Repeat([]byte{1}, keySize)), newKeyring(bytes.Repeat([]byte{2}, keySize))
	check := func(k *Keyring) error {
		return db.Update(ctx, func(tx *store.Tx) error { return k.Check(ctx, tx) })
	}
	for range 2 {
		if err := check(right); err != nil {
			t.Fatal(err)
		}
		if err := check(wrong); problem.CodeOf(err) != problem.KeyWrong {
			t.Fatalf("wrong key: %v", err)
		}
	}
}
