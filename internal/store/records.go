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
	// Mutual says that the card has proven itself by mutual authentication with
	// its administration key, so nothing less is taken from it.
	Mutual bool
	// KeysVersion grows each time that any of this, or a key's state, changes;
	// KeysMAC is over it (package cardkey). Zero and nil: not changed since
	// there are versions.
	KeysVersion int64
	KeysMAC     []byte
}

// TriesUnknown is a count of tries that nobody has told.
const TriesUnknown = -1

// KeyState is where an unlocking key stands. At most one key of a card is
// current and at most one is pending; those two are the candidates. After the
// database was restored a key journal may have put back more: spare ones.
type KeyState string

// States of unlocking keys. A retired key stays as history.
const (
	KeyCurrent KeyState = "current"
	KeyPending KeyState = "pending"
	KeySpare   KeyState = "spare"
	KeyRetired KeyState = "retired"
)

// Key is one unlocking key of one card, sealed.
type Key struct {
	ID        string
	CardID    string
	Kind      string // of package cardkey, such as "puk"
	State     KeyState
	Sealed    []byte // by package cardkey, bound to ID, CardID, Kind and Epoch; empty where it is derived
	CreatedBy string // session, or "import", "reissue", "reconcile", "adopt", "adopt-known"
	CreatedAt time.Time
	RetiredAt time.Time // zero while a candidate
	Epoch     int64     // the card's when the key was made; 0: from before keys had one
	SealedBy  string    // ID of the data key; empty: not noted, or derived
	MasterID  string    // the master key that it is derived from; empty: it is stored
	Restored  bool      // put back from a key journal: what is known of it may be lost
}

// DataKey is a key that seals, wrapped by a provider's key-encryption key.
type DataKey struct {
	ID        string // fingerprint, 16 hexadecimal digits
	Number    int64  // from 1; the highest seals
	Provider  string
	Version   string // of the key-encryption key
	Wrapped   []byte
	Hashes    bool // the newest of these is the one of keyed hashes
	CreatedAt time.Time
}

// MasterKey gives the keys of cards by their identifiers.
type MasterKey struct {
	ID        string
	Number    int64  // from 1
	Method    string // of package cardkey
	Label     string // part of the derivation
	Sealed    []byte
	SealedBy  string
	CreatedAt time.Time
}

// KeyJournal is how far the database has come with a node's key journal.
type KeyJournal struct {
	ID        string // of the file
	Node      string
	Line      int64 // of the last entry whose transaction is in the database
	Hash      []byte
	Lost      bool  // an operator has said that the file is gone
	Checked   int64 // the last generation of ReleaseControl that it was reconciled in
	CreatedAt time.Time
}

// ReleaseState says whether unlocking keys may be released.
type ReleaseState string

// States of ReleaseControl.
const (
	ReleasesRunning  ReleaseState = "running"
	ReleasesStopped  ReleaseState = "stopped"   // by an operator
	ReleasesTripped  ReleaseState = "tripped"   // too many in a short while
	ReleasesHalfOpen ReleaseState = "half-open" // tripped a while ago: a few are let through
	ReleasesBehind   ReleaseState = "behind"    // the database lacks what a key journal has
)

// ReleaseControl is the one row about all releases.
type ReleaseControl struct {
	State      ReleaseState
	Reason     string
	Actor      string
	ChangedAt  time.Time
	ReopensAt  time.Time // zero: when an operator says so
	Generation int64     // grows each time that a journal is found ahead
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
	Challenge  []byte // of the card, that was answered; nil where a key was given out
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
