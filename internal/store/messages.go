package store

import (
	"context"
	"fmt"
	"time"
)

// MessageState is how far a message has come.
type MessageState string

// The states of a message. It goes forward alone, in this order; the last
// three are final but for MessageDelivered, which is true whenever it is said.
const (
	MessageQueued    MessageState = "queued"
	MessageSent      MessageState = "sent"      // a mail server or provider took it
	MessageFailed    MessageState = "failed"    // it will not arrive: the address, or a limit
	MessageDead      MessageState = "dead"      // we gave up
	MessageDelivered MessageState = "delivered" // the phone has it
)

// rank orders the states.
func (s MessageState) rank() int {
	switch s {
	case MessageSent:
		return 1
	case MessageFailed, MessageDead:
		return 2
	case MessageDelivered:
		return 3
	}
	return 0
}

// Message is what became of a message to a person.
type Message struct {
	ID         string // our reference
	Session    string
	Kind       string // "code", "released", "unlocked"
	Method     string // api.Method
	Address    string // keyed pseudonym
	State      MessageState
	Reason     string // of its state, without anything of address or text
	Provider   string // that took it, or was asked last
	ProviderID string // its identifier of the message
	Parts      int    // as charged; 0: not known
	Attempts   int    // how often somebody was asked to take it
	Open       int    // how many of these have no known outcome
	CreatedAt  time.Time
	SentAt     time.Time
	UpdatedAt  time.Time
}

const messageColumns = `id, session, kind, method, address, state, reason, provider, provider_id, parts, attempts, open,
	created_at, sent_at, updated_at`

func scanMessage(r scanner) (m Message, err error) {
	err = r.Scan(&m.ID, &m.Session, &m.Kind, &m.Method, &m.Address, &m.State, &m.Reason, &m.Provider, &m.ProviderID, &m.Parts,
		&m.Attempts, &m.Open, stamp{&m.CreatedAt}, stamp{&m.SentAt}, stamp{&m.UpdatedAt})
	return m, err
}

// QueueMessage notes a message that is to be sent. One that is there already
// stays as it is.
func (t *Tx) QueueMessage(ctx context.Context, m Message) error {
	now, err := t.Now(ctx)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "queue message",
		`INSERT INTO messages (`+messageColumns+`)
		VALUES ($1, $2, $3, $4, $5, 'queued', '', '', '', 0, 0, 0, $6, 0, $6) ON CONFLICT DO NOTHING`,
		m.ID, m.Session, m.Kind, m.Method, m.Address, micros(now))
	return err
}

// LockMessage reads a message and keeps others from changing it until the
// transaction ends.
func (t *Tx) LockMessage(ctx context.Context, id string) (Message, error) {
	return lock(ctx, t, "lock message", scanMessage, `SELECT `+messageColumns+` FROM messages WHERE id = $1`, id)
}

// Message reads a message.
func (t *Tx) Message(ctx context.Context, id string) (Message, error) {
	return one(ctx, t, "message", scanMessage, `SELECT `+messageColumns+` FROM messages WHERE id = $1`, id)
}

// LockMessageOfProvider finds a message by its provider's identifier, the
// newest where there are several, and locks it.
func (t *Tx) LockMessageOfProvider(ctx context.Context, provider, id string) (Message, error) {
	if id == "" {
		return Message{}, fmt.Errorf("message of provider: %w", ErrNotFound)
	}
	return lock(ctx, t, "message of provider", scanMessage, `SELECT `+messageColumns+` FROM messages
		WHERE provider = $1 AND provider_id = $2 AND provider_id <> '' ORDER BY created_at DESC LIMIT 1`, provider, id)
}

// SaveMessage replaces what changes in a message's life, and gives the message
// as it is then. Its state never goes back: where another has brought it
// further, state and reason stay.
func (t *Tx) SaveMessage(ctx context.Context, m Message) (Message, error) {
	now, err := t.Now(ctx)
	if err != nil {
		return m, err
	}
	have, err := t.LockMessage(ctx, m.ID)
	if err != nil {
		return m, err
	}
	if m.State.rank() < have.State.rank() || m.State.rank() == have.State.rank() && m.State != have.State {
		m.State, m.Reason = have.State, have.Reason
	}
	m.UpdatedAt = now
	return m, t.change(ctx, "save message",
		`UPDATE messages SET state = $2, reason = $3, provider = $4, provider_id = $5, parts = $6, attempts = $7, open = $8,
		sent_at = $9, updated_at = $10 WHERE id = $1`,
		m.ID, m.State, m.Reason, m.Provider, m.ProviderID, m.Parts, m.Attempts, m.Open, micros(m.SentAt), micros(now))
}

// MessageFilter says which messages are wanted; what is empty does not count.
type MessageFilter struct {
	State   MessageState
	Method  string
	Session string
	Since   time.Time
	Limit   int // the newest; 0 is all
}

// where gives the filter's condition with its arguments.
func (f MessageFilter) where() (string, []any) {
	condition, args := `created_at >= $1`, []any{micros(f.Since)}
	for _, c := range []struct{ column, value string }{{"state", string(f.State)}, {"method", f.Method}, {"session", f.Session}} {
		if c.value != "" {
			args = append(args, c.value)
			condition += fmt.Sprintf(` AND %s = $%d`, c.column, len(args))
		}
	}
	return condition, args
}

// Messages gives the messages that fit, the newest first.
func (t *Tx) Messages(ctx context.Context, f MessageFilter) ([]Message, error) {
	condition, args := f.where()
	query := `SELECT ` + messageColumns + ` FROM messages WHERE ` + condition + ` ORDER BY created_at DESC, id`
	if f.Limit > 0 {
		args = append(args, f.Limit)
		query += fmt.Sprintf(` LIMIT $%d`, len(args))
	}
	return many(ctx, t, "messages", scanMessage, query, args...)
}

// MessageCount is the number of messages of a method in a state.
type MessageCount struct {
	Method string
	State  MessageState
	Count  int
}

func scanMessageCount(r scanner) (c MessageCount, err error) {
	err = r.Scan(&c.Method, &c.State, &c.Count)
	return c, err
}

// CountMessages counts the messages that fit by method and state.
func (t *Tx) CountMessages(ctx context.Context, f MessageFilter) ([]MessageCount, error) {
	condition, args := f.where()
	return many(ctx, t, "count messages", scanMessageCount,
		`SELECT method, state, COUNT(*) FROM messages WHERE `+condition+` GROUP BY method, state ORDER BY method, state`, args...)
}

// WaitingMessages counts those that wait and those that were given up, by
// method: what is worth looking at all the time.
func (t *Tx) WaitingMessages(ctx context.Context) ([]MessageCount, error) {
	return many(ctx, t, "waiting messages", scanMessageCount,
		`SELECT method, state, COUNT(*) FROM messages WHERE state IN ('queued', 'dead') GROUP BY method, state ORDER BY method, state`)
}

// DeleteMessagesBefore removes messages that were made before at, and gives
// their number.
func (t *Tx) DeleteMessagesBefore(ctx context.Context, at time.Time) (int64, error) {
	return t.exec(ctx, "delete old messages", `DELETE FROM messages WHERE created_at < $1`, micros(at))
}
