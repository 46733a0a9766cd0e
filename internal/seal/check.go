package seal

import (
	"context"
	"errors"
	"fmt"

	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// metaKey is where the database remembers which key it was made with.
const metaKey = "kek"

// Check makes sure that this is the key that the database was made with;
// a database that knows none yet takes this one. It runs inside an Update.
// Error: problem.KeyWrong.
func (k *Keyring) Check(ctx context.Context, tx *store.Tx) error {
	known, err := tx.Meta(ctx, metaKey)
	if errors.Is(err, store.ErrNotFound) {
		if err := tx.SetMeta(ctx, metaKey, []byte(k.ID())); !errors.Is(err, store.ErrExists) {
			return err
		}
		known, err = tx.Meta(ctx, metaKey) // another node was first
	}
	if err != nil {
		return fmt.Errorf("check the key-encryption key: %w", err)
	}
	if string(known) != k.ID() {
		return problem.Wrap(problem.KeyWrong, fmt.Errorf("the database was made with key %s, this is %s", known, k.ID()))
	}
	return nil
}
