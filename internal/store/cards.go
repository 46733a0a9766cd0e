package store

import "context"

const cardColumns = `id, family, identifier, serial, holder_id, state, expires_at, card_auth_cert, piv_auth_cert,
	created_at, mac, epoch, pending_first, open_attempt, tries_out, tries_left, keys_version, keys_mac, mutual`

func scanCard(r scanner) (c Card, err error) {
	err = r.Scan(&c.ID, &c.Family, &c.Identifier, &c.Serial, &c.HolderID, &c.State, stamp{&c.ExpiresAt},
		&c.CardAuthCert, &c.PIVAuthCert, stamp{&c.CreatedAt}, &c.MAC,
		&c.Epoch, &c.PendingFirst, &c.OpenAttempt, &c.TriesOut, &c.TriesLeft, &c.KeysVersion, &c.KeysMAC, &c.Mutual)
	return c, err
}

// InsertCard adds a card: ErrExists where the id, or the identifier or the
// serial within the family, is taken.
func (t *Tx) InsertCard(ctx context.Context, c Card) error {
	return t.insert(ctx, "insert card",
		`INSERT INTO cards (`+cardColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT DO NOTHING`,
		c.ID, c.Family, c.Identifier, c.Serial, c.HolderID, c.State, micros(c.ExpiresAt), c.CardAuthCert, c.PIVAuthCert,
		micros(c.CreatedAt), c.MAC, c.Epoch, c.PendingFirst, c.OpenAttempt, c.TriesOut, c.TriesLeft, c.KeysVersion, c.KeysMAC, c.Mutual)
}

// UpdateCardRecord replaces what the Registration Authority says of a card:
// serial, holder, state, expiry, certificates, MAC. Where the keys stand stays
// as it is. ErrExists where the serial is taken.
func (t *Tx) UpdateCardRecord(ctx context.Context, c Card) error {
	return t.change(ctx, "update card",
		`UPDATE cards SET serial = $2, holder_id = $3, state = $4, expires_at = $5, card_auth_cert = $6,
		piv_auth_cert = $7, mac = $8 WHERE id = $1`,
		c.ID, c.Serial, c.HolderID, c.State, micros(c.ExpiresAt), c.CardAuthCert, c.PIVAuthCert, c.MAC)
}

// SaveCardKeys replaces where a card's keys stand: epoch, order, open attempt,
// tries given out and left, mutual, version and MAC. See cardkey.Save.
func (t *Tx) SaveCardKeys(ctx context.Context, c Card) error {
	return t.change(ctx, "save where the card's keys stand",
		`UPDATE cards SET epoch = $2, pending_first = $3, open_attempt = $4, tries_out = $5, tries_left = $6,
		keys_version = $7, keys_mac = $8, mutual = $9 WHERE id = $1`,
		c.ID, c.Epoch, c.PendingFirst, c.OpenAttempt, c.TriesOut, c.TriesLeft, c.KeysVersion, c.KeysMAC, c.Mutual)
}

// Card reads a card.
func (t *Tx) Card(ctx context.Context, id string) (Card, error) {
	return one(ctx, t, "card", scanCard, `SELECT `+cardColumns+` FROM cards WHERE id = $1`, id)
}

// CardByIdentifier finds a card by its family's own identifier.
func (t *Tx) CardByIdentifier(ctx context.Context, family, identifier string) (Card, error) {
	return one(ctx, t, "card", scanCard,
		`SELECT `+cardColumns+` FROM cards WHERE family = $1 AND identifier = $2`, family, identifier)
}

// CardBySerial finds a card by its maker's serial number. Cards without one
// are never found.
func (t *Tx) CardBySerial(ctx context.Context, family, serial string) (Card, error) {
	return one(ctx, t, "card", scanCard,
		`SELECT `+cardColumns+` FROM cards WHERE family = $1 AND serial = $2 AND serial <> ''`, family, serial)
}

// CardsOfHolder gives the cards of a holder, the oldest first.
func (t *Tx) CardsOfHolder(ctx context.Context, holderID string) ([]Card, error) {
	return many(ctx, t, "cards of holder", scanCard,
		`SELECT `+cardColumns+` FROM cards WHERE holder_id = $1 ORDER BY created_at, id`, holderID)
}

// LockCard reads a card and keeps others from changing it until the
// transaction ends.
func (t *Tx) LockCard(ctx context.Context, id string) (Card, error) {
	return lock(ctx, t, "lock card", scanCard, `SELECT `+cardColumns+` FROM cards WHERE id = $1`, id)
}

// LockCardOfSession does the same for the card of a session: ErrNotFound where
// there is no such session, or it has no card.
func (t *Tx) LockCardOfSession(ctx context.Context, sessionID string) (Card, error) {
	return lock(ctx, t, "lock the session's card", scanCard,
		`SELECT `+cardColumns+` FROM cards WHERE id = (SELECT card_id FROM sessions WHERE id = $1)`, sessionID)
}
