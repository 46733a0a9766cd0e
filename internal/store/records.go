package store

import "time"

// HolderState says whether a holder may help themselves.
type HolderState string

// CardState is a card's standing with the Registration Authority.
type CardState string

// States of holders and cards.
const (
	HolderActive    HolderState = "active"
	HolderSuspended HolderState = "suspended"
	CardActive      CardState   = "active"
	CardSuspended   CardState   = "suspended"
	CardRevoked     CardState   = "revoked"
)

// Holder is the person that cards belong to.
type Holder struct {
	ID          string // random
	StaffNumber string // unique; the organisation's own key
	Name        string
	State       HolderState
	CreatedAt   time.Time
	MAC         []byte // over HolderFields, by package seal
}

// Contact is one way to reach a holder.
type Contact struct {
	ID        string
	HolderID  string
	Kind      string // "email" or "sms"
	Value     string // normalised: lower-case address; E.164 number
	CreatedAt time.Time
	MAC       []byte
}

// Card is a registered card and where its unlocking keys stand.
type Card struct {
	ID         string // random
	Family     string // card.Family
	Identifier string // card.Identity.ID; unique within the family
	Serial     string // unique within the family where not empty
	HolderID   string
	State      CardState
	ExpiresAt  time.Time // zero: not known
	// CardAuthCert (9E) and PIVAuthCert (9A) are what the card must prove
	// itself with: DER, nil where none is on record.
	CardAuthCert []byte
	PIVAuthCert  []byte
	CreatedAt    time.Time
	MAC          []byte

	// Epoch grows each time the current unlocking key changes. Reports are
	// compare-and-swap on it.
	Epoch int64
	// PendingFirst says that the pending key is to be tried before the current one.
	PendingFirst bool
	// OpenAttempt is the session that was released keys and has not reported
	// an outcome yet; empty when none.
	OpenAttempt string
	// TriesOut counts tries given out by releases since the last proven success.
	TriesOut int
	// TriesLeft is how many tries of its unlocking key the card has signed
	// that it has left after it refused one, TriesUnknown where it has not, or
	// has taken a key since.
	TriesLeft int
}

// TriesUnknown is a count of tries that nobody has told.
const TriesUnknown = -1

// KeyState is where an unlocking key stands. At most one key of a card is
// current and at most one is pending; those two are the candidates.
type KeyState string

// States of unlocking keys. A retired key stays as history.
const (
	KeyCurrent KeyState = "current"
	KeyPending KeyState = "pending"
	KeyRetired KeyState = "retired"
)

// Key is one unlocking key of one card, sealed.
type Key struct {
	ID        string
	CardID    string
	Kind      string // "puk"
	State     KeyState
	Sealed    []byte // by package seal, bound to ID, CardID and Kind
	CreatedBy string // session, or "import", "reissue"
	CreatedAt time.Time
	RetiredAt time.Time // zero while a candidate
}

// Session is an unlock session. Its states are those of package api.
type Session struct {
	ID          string
	TokenHash   []byte // keyed hash of the bearer token
	CardID      string // empty: no registered card answers to what was claimed
	Family      string // as claimed
	Identifier  string // as claimed
	Serial      string // as claimed
	Purpose     string
	State       string
	Proven      bool   // the card has proven itself by our record
	VerifiedBy  string // the method that proved the person; empty before
	HolderID    string // of the card, once identified
	Nonce       []byte
	PublicKey   []byte // HPKE, X25519
	Workstation string // as claimed
	Network     string // the client's address as the service saw it
	Application string // version
	StartedAt   time.Time
	ExpiresAt   time.Time
	EndedAt     time.Time // zero while it lives
	WrongCodes  int
	Sends       int
	MAC         []byte
}

// OneTimeCode is the newest security code of a session; a new one replaces it.
type OneTimeCode struct {
	SessionID string
	Hash      []byte // keyed hash bound to the session
	Method    string
	Address   string // normalised, as typed
	SentAt    time.Time
	Used      bool
}

// Release is one released step of a session and what became of it.
type Release struct {
	SessionID  string
	Step       int
	CardID     string
	Epoch      int64
	Action     string // api.Action
	KeyID      string
	NextID     string // empty: no rotation
	Envelope   []byte // JSON of api.Envelope, sealed to the session
	ReleasedAt time.Time
	Asked      int    // how often the application asked for it
	Outcome    string // api.Outcome; empty before a report
	Holds      string
	Proven     bool
	ReportedAt time.Time
}

// AuditEvent is one entry of the audit trail. Node and At are filled in by
// Tx.AppendAudit; Seq, Prev and Hash when the transaction commits.
type AuditEvent struct {
	Node    string
	Seq     int64
	At      time.Time
	Actor   string // "holder", "operator", "service"
	Action  string // "session.started", "key.released", ...
	Session string
	CardID  string
	Holder  string
	Details map[string]string // never a secret
	Prev    []byte            // hash of the entry before, 32 bytes
	Hash    []byte            // SHA-256 over this entry and Prev
}
