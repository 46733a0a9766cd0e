package store

import (
	"context"
	"time"
)

const sessionColumns = `id, token_hash, card_id, family, identifier, serial, purpose, state, proven, verified_by,
	holder_id, nonce, public_key, workstation, network, application, started_at, expires_at, ended_at,
	wrong_codes, sends, mac`

func scanSession(r scanner) (s Session, err error) {
	err = r.Scan(&s.ID, &s.TokenHash, &s.CardID, &s.Family, &s.Identifier, &s.Serial, &s.Purpose, &s.State, &s.Proven,
		&s.VerifiedBy, &s.HolderID, &s.Nonce, &s.PublicKey, &s.Workstation, &s.Network, &s.Application,
		stamp{&s.StartedAt}, stamp{&s.ExpiresAt}, stamp{&s.EndedAt}, &s.WrongCodes, &s.Sends, &s.MAC)
	return s, err
}

// InsertSession adds a session: ErrExists where the id is taken.
func (t *Tx) InsertSession(ctx context.Context, s Session) error {
	return t.insert(ctx, "insert session",
		`INSERT INTO sessions (`+sessionColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
		ON CONFLICT DO NOTHING`,
		s.ID, s.TokenHash, s.CardID, s.Family, s.Identifier, s.Serial, s.Purpose, s.State, s.Proven,
		s.VerifiedBy, s.HolderID, s.Nonce, s.PublicKey, s.Workstation, s.Network, s.Application,
		micros(s.StartedAt), micros(s.ExpiresAt), micros(s.EndedAt), s.WrongCodes, s.Sends, s.MAC)
}

// SessionByID reads a session.
func (t *Tx) SessionByID(ctx context.Context, id string) (Session, error) {
	return one(ctx, t, "session", scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE id = $1`, id)
}

// LockSession reads a session and keeps others from changing it until the
// transaction ends.
func (t *Tx) LockSession(ctx context.Context, id string) (Session, error) {
	return lock(ctx, t, "lock session", scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE id = $1`, id)
}

// SaveSession replaces what changes in a session's life. What was claimed at
// its start, its token, keys and start stay as they are.
func (t *Tx) SaveSession(ctx context.Context, s Session) error {
	return t.change(ctx, "save session",
		`UPDATE sessions SET card_id = $2, state = $3, proven = $4, verified_by = $5, holder_id = $6, expires_at = $7,
		ended_at = $8, wrong_codes = $9, sends = $10, mac = $11 WHERE id = $1`,
		s.ID, s.CardID, s.State, s.Proven, s.VerifiedBy, s.HolderID, micros(s.ExpiresAt),
		micros(s.EndedAt), s.WrongCodes, s.Sends, s.MAC)
}

// LiveSessionsOfCard gives the sessions of a card that are verified or
// releasing, the oldest first. Their time may have run out.
func (t *Tx) LiveSessionsOfCard(ctx context.Context, cardID string) ([]Session, error) {
	return many(ctx, t, "live sessions", scanSession,
		`SELECT `+sessionColumns+` FROM sessions
		WHERE card_id = $1 AND state IN ('verified', 'releasing') ORDER BY started_at, id`, cardID)
}

// DeleteSessionsBefore removes sessions, with their codes and releases, whose
// time ran out before at. A session that a card still waits to hear of stays,
// and so does one that tells something of a card's present keys.
func (t *Tx) DeleteSessionsBefore(ctx context.Context, at time.Time) (int64, error) {
	return t.exec(ctx, "delete old sessions",
		`DELETE FROM sessions WHERE expires_at < $1
		AND NOT EXISTS (SELECT 1 FROM cards WHERE cards.open_attempt = sessions.id AND cards.open_attempt <> '')
		AND NOT EXISTS (SELECT 1 FROM releases JOIN cards ON cards.id = releases.card_id AND cards.epoch = releases.epoch
			WHERE releases.session_id = sessions.id)`,
		micros(at))
}

// PutCode keeps the newest security code of a session in place of any before.
func (t *Tx) PutCode(ctx context.Context, c OneTimeCode) error {
	return t.change(ctx, "put code",
		`INSERT INTO one_time_codes (session_id, hash, method, address, sent_at, used) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (session_id) DO UPDATE SET hash = excluded.hash, method = excluded.method,
		address = excluded.address, sent_at = excluded.sent_at, used = excluded.used`,
		c.SessionID, c.Hash, c.Method, c.Address, micros(c.SentAt), c.Used)
}

// Code reads the newest code of a session.
func (t *Tx) Code(ctx context.Context, sessionID string) (OneTimeCode, error) {
	return one(ctx, t, "code", func(r scanner) (c OneTimeCode, err error) {
		err = r.Scan(&c.SessionID, &c.Hash, &c.Method, &c.Address, stamp{&c.SentAt}, &c.Used)
		return c, err
	}, `SELECT session_id, hash, method, address, sent_at, used FROM one_time_codes WHERE session_id = $1`, sessionID)
}

// MarkCodeUsed uses a session's code up. False: there is none, or it was used
// already.
func (t *Tx) MarkCodeUsed(ctx context.Context, sessionID string) (bool, error) {
	n, err := t.exec(ctx, "use code",
		`UPDATE one_time_codes SET used = TRUE WHERE session_id = $1 AND used = FALSE`, sessionID)
	return n == 1, err
}
