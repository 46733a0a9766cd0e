package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// newKey gives the row of a card's current key, not kept yet.
func newKey(cardID, kind, by string, epoch int64, now time.Time) store.Key {
	return store.Key{ID: store.NewID(), CardID: cardID, Kind: kind, State: store.KeyCurrent, CreatedBy: by, CreatedAt: now, Epoch: epoch}
}

// insertKey seals a card's unlocking key and makes it the current one.
func (d *Directory) insertKey(ctx context.Context, tx *store.Tx, c *store.Card, kind string, key []byte) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	k := newKey(c.ID, kind, "import", c.Epoch, now)
	if err := cardkey.Add(ctx, tx, d.keys, &k, key); err != nil {
		return err
	}
	return cardkey.Save(ctx, tx, d.keys, c)
}

// insertDerived notes that a card's unlocking key comes from a master key.
func (d *Directory) insertDerived(ctx context.Context, tx *store.Tx, c *store.Card, kind, masterID string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	k := newKey(c.ID, kind, "import", c.Epoch, now)
	k.MasterID = masterID
	if err := tx.InsertKey(ctx, k); err != nil {
		return err
	}
	return cardkey.Save(ctx, tx, d.keys, c)
}

// Reissue replaces the unlocking key of a card that was issued again: the
// Registration Authority has set a new one on it, of the kind that the card had,
// or of its family's first. The keys before stay as
// history; the card's epoch grows, so that late reports about them change
// nothing. Errors: problem.ImportLine for an identifier or key that is none,
// problem.CardNotKnown.
func (d *Directory) Reissue(ctx context.Context, tx *store.Tx, family, identifier, key string) error {
	id, err := normaliseIdentifier(family, identifier)
	if err != nil {
		return unquoted(err)
	}
	c, err := tx.CardByIdentifier(ctx, family, id)
	if errors.Is(err, store.ErrNotFound) {
		return problem.Wrap(problem.CardNotKnown, err)
	}
	if err != nil {
		return err
	}
	if c, err = tx.LockCard(ctx, c.ID); err != nil {
		return err
	}
	if err := d.CheckCard(ctx, tx, c); err != nil {
		return err
	}
	kind, err := parseKind(family, "")
	if err != nil {
		return unquoted(err)
	}
	keys, err := tx.CardKeys(ctx, c.ID)
	if err != nil {
		return err
	}
	if len(keys) > 0 {
		kind = keys[0].Kind
	}
	plain, err := cardkey.Parse(kind, key)
	if err != nil {
		return unquoted(badLine(problem.ImportLine, "The unlocking key cannot be used: %v.", err))
	}
	return d.replaceKey(ctx, tx, c, keys, kind, plain)
}

// unquoted is the problem of a line, where there is no file.
func unquoted(err error) error {
	var bad *lineError
	if errors.As(err, &bad) {
		return bad.problem
	}
	return err
}

func (d *Directory) replaceKey(ctx context.Context, tx *store.Tx, c store.Card, keys []store.Key, kind string, key []byte) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := tx.SetKeyState(ctx, k.ID, store.KeyRetired, now); err != nil {
			return err
		}
	}
	c.Epoch++
	c.PendingFirst, c.OpenAttempt, c.TriesOut, c.TriesLeft = false, "", 0, store.TriesUnknown
	k := newKey(c.ID, kind, "reissue", c.Epoch, now)
	if err := cardkey.Add(ctx, tx, d.keys, &k, key); err != nil {
		return err
	}
	if d.recorder != nil { // the card has it already
		if err := d.recorder.Record(ctx, tx, c, c.KeysVersion+1, cardkey.Plain{Row: k, Value: key}, nil); err != nil {
			return err
		}
	}
	if err := cardkey.Save(ctx, tx, d.keys, &c); err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.CardReissued, CardID: c.ID, Holder: c.HolderID,
		Details: map[string]string{"epoch": fmt.Sprint(c.Epoch)}})
}
