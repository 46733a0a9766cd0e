package escrow

import (
	"context"
	"fmt"

	"latchkey/internal/audit"
	"latchkey/internal/store"
)

// Reasons of an Alert.
const (
	// AlertRefused: the card refuses every key that the escrow holds for it.
	AlertRefused = "refused"
	// AlertBlocked: the card says that its unlocking key is blocked.
	AlertBlocked = "blocked"
	// AlertRecord: where the card's keys stand is older than the key journal
	// knows, or was not written by the service.
	AlertRecord = "record"
)

// Reasons gives every reason.
func Reasons() []string { return []string{AlertRefused, AlertBlocked, AlertRecord} }

// Alert says that a card and the escrow disagree: the Registration Authority
// should look at the card. The trail has the same (audit.CardDisagrees).
type Alert struct {
	Reason  string
	CardID  string
	Session string
	Proven  bool // the card has signed it
}

// WithAlerts has fn told of cards that disagree with the escrow, after the
// transaction has committed.
func WithAlerts(fn func(Alert)) Option { return func(e *Escrow) { e.alerts = fn } }

// disagrees puts an alert into the trail, and tells it with the commit.
func (e *Escrow) disagrees(ctx context.Context, tx *store.Tx, c store.Card, a Alert) error {
	a.CardID = c.ID
	if e.alerts != nil {
		tx.AfterCommit(func() error { e.alerts(a); return nil })
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.CardDisagrees, Session: a.Session, CardID: c.ID,
		Holder: c.HolderID, Details: map[string]string{"reason": a.Reason, "proven": fmt.Sprint(a.Proven), "epoch": fmt.Sprint(c.Epoch)}})
}
