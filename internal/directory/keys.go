package directory

import (
	"context"
	"errors"
	"fmt"

	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// keyPUK is the kind of unlocking key of the PUK families.
const keyPUK = "puk"

// insertKey seals a card's unlocking key and makes it the current one.
func (d *Directory) insertKey(ctx context.Context, tx *store.Tx, cardID, puk, by string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	k := store.Key{ID: store.NewID(), CardID: cardID, Kind: keyPUK, State: store.KeyCurrent, CreatedBy: by, CreatedAt: now}
	if k.Sealed, err = d.keys.Seal(seal.KindCardKey, seal.CardKeyRow(k.ID, cardID, keyPUK), []byte(puk)); err != nil {
		return fmt.Errorf("seal the unlocking key: %w", err)
	}
	return tx.InsertKey(ctx, k)
}

func (d *Directory) openKey(k store.Key) (string, error) {
	puk, err := d.keys.Open(seal.KindCardKey, seal.CardKeyRow(k.ID, k.CardID, k.Kind), k.Sealed)
	return string(puk), err
}

// Reissue replaces the unlocking key of a card that was issued again: the
// Registration Authority has set a new PUK on it. The keys before stay as
// history; the card's epoch grows, so that late reports about them change
// nothing. Errors: problem.ImportLine for an identifier or PUK that is none,
// problem.CardNotKnown.
func (d *Directory) Reissue(ctx context.Context, tx *store.Tx, family, identifier, puk string) error {
	id, err := normaliseIdentifier(family, identifier)
	if err == nil && !validPUK(puk) {
		err = badLine(problem.ImportLine, "The PUK is not 6 to 8 characters.")
	}
	var bad *lineError
	if errors.As(err, &bad) {
		return bad.problem
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
	return d.replaceKey(ctx, tx, c, puk)
}

func (d *Directory) replaceKey(ctx context.Context, tx *store.Tx, c store.Card, puk string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	keys, err := tx.CardKeys(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := tx.SetKeyState(ctx, k.ID, store.KeyRetired, now); err != nil {
			return err
		}
	}
	if err := d.insertKey(ctx, tx, c.ID, puk, "reissue"); err != nil {
		return err
	}
	c.Epoch++
	c.PendingFirst, c.OpenAttempt, c.TriesOut, c.TriesLeft = false, "", 0, store.TriesUnknown
	if err := tx.SaveCardKeys(ctx, c); err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.CardReissued, CardID: c.ID, Holder: c.HolderID,
		Details: map[string]string{"epoch": fmt.Sprint(c.Epoch)}})
}
