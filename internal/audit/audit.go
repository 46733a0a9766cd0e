// Package audit is the trail of everything that happens to a card, a holder, a
// key or a setting. An event is written in the transaction of what it tells
// of, or not at all.
//
// Each node's entries form a chain: every entry holds SHA-256 over its own
// fields and the hash of the one before (store.AuditEvent.ChainHash), and the
// newest entry of each chain is kept apart. So any one change to the trail (an
// entry changed, removed, put in or moved, the end cut off) is found by Verify.
// Somebody who can rewrite a whole chain and its head is found only by
// comparing with an earlier Export: keep exports outside the database.
package audit

import (
	"context"

	"latchkey/internal/store"
)

// Event is one entry of the trail.
type Event = store.AuditEvent

// Actors.
const (
	ActorHolder   = "holder"   // through the application
	ActorOperator = "operator" // at latchkeyd's command line or console
	ActorService  = "service"  // on its own
)

// Actions.
const (
	SessionStarted    = "session.started"
	SessionIdentified = "session.identified" // the card has proven itself or need not
	SessionRefused    = "session.refused"
	SessionSuperseded = "session.superseded"
	SessionAbandoned  = "session.abandoned"
	SessionFailed     = "session.failed"
	SessionExpired    = "session.expired"
	SessionUnlocked   = "session.unlocked"
	CardProofWrong    = "card.proof_wrong"
	CardNotTrusted    = "card.not_trusted" // in the middle of a session, or that cannot be known
	CodeSent          = "code.sent"
	CodeWrong         = "code.wrong"
	CodeRight         = "code.right"
	CodeDelivered     = "code.delivered"
	CodeUndelivered   = "code.undelivered"
	FaceBegun         = "face.begun"   // with the person's consent
	FaceDecided       = "face.decided" // with its scores
	FaceUndecided     = "face.undecided"
	PhotoAdded        = "photo.added"
	PhotoReplaced     = "photo.replaced"
	PhotoRemoved      = "photo.removed"
	PhotoRecomputed   = "photo.recomputed" // its template, for another model
	LimitReached      = "limit.reached"
	KeyStored         = "key.stored"
	KeyReleased       = "key.released"
	KeyRotated        = "key.rotated"
	KeyRefused        = "key.refused"
	KeyBlocked        = "key.blocked"
	CardDisagrees     = "card.disagrees" // with the escrow: the RA should look at it
	KeyRestored       = "key.restored"   // from a key journal
	KeysReconciled    = "keys.reconciled"
	KeysRewrapped     = "keys.rewrapped"
	KeyRotatedKEK     = "keys.kek_rotated"
	DataKeyMade       = "keys.data_key_made"
	DataKeyForgotten  = "keys.data_key_forgotten"
	MasterAdded       = "keys.master_added"
	JournalAccepted   = "journal.accepted"
	JournalLost       = "journal.lost"
	ReleasesChanged   = "releases.changed"
	OutcomeReported   = "outcome.reported"
	HolderAdded       = "holder.added"
	HolderChanged     = "holder.changed"
	HolderForgiven    = "holder.forgiven" // wrong codes in a row no longer count
	HolderNotified    = "holder.notified"
	HolderNotNotified = "holder.not_notified"
	CardAdded         = "card.added"
	CardChanged       = "card.changed"
	CardReissued      = "card.reissued"
	CardAdopted       = "card.adopted" // it was given a key of ours, with who did it
	CardNotAdopted    = "card.not_adopted"
	RecordTampered    = "record.tampered"
	ImportStarted     = "import.started"
	ImportFinished    = "import.finished"
	ServiceStarted    = "service.started"
	ServiceStopped    = "service.stopped"
)

// Append writes an event with the transaction.
func Append(ctx context.Context, tx *store.Tx, e Event) error {
	_, err := tx.AppendAudit(ctx, e)
	return err
}
