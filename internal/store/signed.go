package store

import "context"

// The ...SignedOtherwise methods give rows, limit of them at most, whose MAC
// begins with something else than a prefix, after an id and ordered by it. They
// keep others from changing the rows until the transaction ends.

// HoldersSignedOtherwise gives holders.
func (t *Tx) HoldersSignedOtherwise(ctx context.Context, prefix []byte, after string, limit int) ([]Holder, error) {
	return many(ctx, t, "holders to sign again", scanHolder, t.locking(`SELECT `+holderColumns+` FROM holders
		WHERE id > $2 AND substr(mac, 1, `+macPrefix+`) <> $1 ORDER BY id LIMIT $3`), prefix, after, limit)
}

// ContactsSignedOtherwise gives contacts.
func (t *Tx) ContactsSignedOtherwise(ctx context.Context, prefix []byte, after string, limit int) ([]Contact, error) {
	return many(ctx, t, "contacts to sign again", scanContact, t.locking(`SELECT `+contactColumns+` FROM contacts
		WHERE id > $2 AND substr(mac, 1, `+macPrefix+`) <> $1 ORDER BY id LIMIT $3`), prefix, after, limit)
}

// CardsSignedOtherwise gives cards of which either MAC does.
func (t *Tx) CardsSignedOtherwise(ctx context.Context, prefix []byte, after string, limit int) ([]Card, error) {
	return many(ctx, t, "cards to sign again", scanCard, t.locking(`SELECT `+cardColumns+` FROM cards
		WHERE id > $2 AND (substr(mac, 1, `+macPrefix+`) <> $1 OR substr(keys_mac, 1, `+macPrefix+`) <> $1) ORDER BY id LIMIT $3`),
		prefix, after, limit)
}

// PhotosSignedOtherwise gives photos.
func (t *Tx) PhotosSignedOtherwise(ctx context.Context, prefix []byte, after string, limit int) ([]Photo, error) {
	return many(ctx, t, "photos to seal again", scanPhoto, t.locking(`SELECT `+photoColumns+` FROM photos
		WHERE holder_id > $2 AND substr(mac, 1, `+macPrefix+`) <> $1 ORDER BY holder_id LIMIT $3`), prefix, after, limit)
}

// macPrefix is how many bytes of a MAC name its key (package seal).
const macPrefix = "8"

func (t *Tx) locking(query string) string {
	if t.db.dialect == PostgreSQL && !t.readOnly {
		query += ` FOR UPDATE`
	}
	return query
}

// SetHolderMAC replaces a holder's MAC alone.
func (t *Tx) SetHolderMAC(ctx context.Context, id string, mac []byte) error {
	return t.change(ctx, "sign holder", `UPDATE holders SET mac = $2 WHERE id = $1`, id, mac)
}

// SetContactMAC replaces a contact's MAC alone.
func (t *Tx) SetContactMAC(ctx context.Context, id string, mac []byte) error {
	return t.change(ctx, "sign contact", `UPDATE contacts SET mac = $2 WHERE id = $1`, id, mac)
}

// SetCardMACs replaces a card's MACs alone.
func (t *Tx) SetCardMACs(ctx context.Context, id string, record, keys []byte) error {
	return t.change(ctx, "sign card", `UPDATE cards SET mac = $2, keys_mac = $3 WHERE id = $1`, id, record, keys)
}
