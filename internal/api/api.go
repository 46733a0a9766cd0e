// Package api is the wire between the application and the service: the request
// and answer types, what is signed and how, and the one client.
//
// JSON over HTTPS. Byte strings are standard base64. Times are RFC 3339 in
// UTC. Every failure is an RFC 9457 problem with a code of package problem.
// openapi.yaml beside this file describes the same calls.
package api

import "time"

// Version is the version of this interface. An application whose version the
// service does not serve is refused with problem.OldApplication.
const Version = 1

// Paths of the calls. {id} is the session's identifier.
const (
	PathService   = "/v1/service"                  // GET  -> Service
	PathSessions  = "/v1/sessions"                 // POST StartRequest -> Session (201)
	PathSession   = "/v1/sessions/{id}"            // GET -> Session; DELETE abandons (204)
	PathProof     = "/v1/sessions/{id}/card-proof" // POST ProofRequest -> Session
	PathCode      = "/v1/sessions/{id}/code"       // POST CodeRequest -> CodeSent (202)
	PathCodeCheck = "/v1/sessions/{id}/code/check" // POST CodeCheck -> Session
	PathRelease   = "/v1/sessions/{id}/release"    // POST ReleaseRequest -> Envelope
	PathReport    = "/v1/sessions/{id}/report"     // POST Report -> Reported
	PathReceipts  = "/v1/receipts/{provider}"      // POST by a provider of text messages (204)
)

// MaxBody is the largest request body in bytes that the service reads.
const MaxBody = 64 << 10

// State is where an unlock session stands (unlocking.md, The session).
type State string

// The states. The last four are final, as is StateUnlocked.
const (
	StateStarted    State = "started"
	StateIdentified State = "identified"
	StateVerified   State = "verified"
	StateReleasing  State = "releasing"
	StateUnlocked   State = "unlocked"
	StateExpired    State = "expired"
	StateFailed     State = "failed"
	StateAbandoned  State = "abandoned"
	StateSuperseded State = "superseded"
)

// Final says whether nothing can follow.
func (s State) Final() bool {
	switch s {
	case StateUnlocked, StateExpired, StateFailed, StateAbandoned, StateSuperseded:
		return true
	}
	return false
}

// Method is a way to prove who you are.
type Method string

// The methods of product.md line 3.
const (
	MethodEmail Method = "email"
	MethodSMS   Method = "sms"
	MethodFace  Method = "face"
)

// MethodStatus says whether a method can be used and, if not, why.
type MethodStatus struct {
	Method    Method `json:"method"`
	Available bool   `json:"available"`
	// Notice is what the operator wrote, or the reason in plain words.
	// May be set on an available method too.
	Notice string `json:"notice,omitempty"`
}

// PasscodeRules is what the organisation asks of a passcode. The card's own
// rules apply as well.
type PasscodeRules struct {
	MinLength  int  `json:"min_length"`
	MaxLength  int  `json:"max_length"`
	DigitsOnly bool `json:"digits_only"`
}

// Contact is how to reach the Registration Authority.
type Contact struct {
	Name  string `json:"name"`            // "Registration Authority, St Example's Hospital"
	Phone string `json:"phone,omitempty"` // as people dial it
	Email string `json:"email,omitempty"`
	Hours string `json:"hours,omitempty"` // "Monday to Friday, 8am to 6pm"
}

// Service is what the service says of itself to anyone.
type Service struct {
	Name           string         `json:"name"`         // stable name, part of what cards sign
	Organisation   string         `json:"organisation"` // for people
	APIVersion     int            `json:"api_version"`
	MinApplication string         `json:"min_application"` // oldest application version served, "1.2.3"
	UpdateURL      string         `json:"update_url,omitempty"`
	SigningKey     []byte         `json:"signing_key"` // Ed25519 public key that the application pins
	Time           time.Time      `json:"time"`        // the database's clock
	Contact        Contact        `json:"contact"`
	Methods        []MethodStatus `json:"methods"` // the organisation's state only (R4)
	PasscodeRules  PasscodeRules  `json:"passcode_rules"`
}

// Purpose says why a holder came.
type Purpose string

// The purposes of product.md. Changing a known passcode needs no service.
const (
	PurposeLocked    Purpose = "locked"
	PurposeForgotten Purpose = "forgotten"
)

// Card is what the application read from the card. All of it is a claim.
type Card struct {
	Family       string         `json:"family"`           // card.Family
	ID           string         `json:"id"`               // card.Identity.ID
	Serial       string         `json:"serial,omitempty"` // card.Identity.Serial
	Model        string         `json:"model,omitempty"`
	PINTriesLeft *int           `json:"pin_tries_left,omitempty"`
	KeyTriesLeft map[string]int `json:"key_tries_left,omitempty"` // of each kind of unlocking key that the card tells
	Certificates []Certificate  `json:"certificates,omitempty"`
}

// Certificate is a certificate read from the card.
type Certificate struct {
	Slot string `json:"slot"` // "9A", "9E", ...
	DER  []byte `json:"der"`
}

// StartRequest starts an unlock session.
type StartRequest struct {
	Application string  `json:"application"` // the application's version, "1.2.3"
	APIVersion  int     `json:"api_version"`
	Purpose     Purpose `json:"purpose"`
	Workstation string  `json:"workstation,omitempty"` // host name, shown to the holder and in the audit trail
	Card        Card    `json:"card"`
	PublicKey   []byte  `json:"public_key"` // HPKE public key of this session, X25519, 32 bytes
}

// Session is the state of an unlock session. Token and Nonce come with the
// answer to StartRequest only.
type Session struct {
	ID            string         `json:"id"`
	Token         string         `json:"token,omitempty"` // bearer token, 256 bits
	Nonce         []byte         `json:"nonce,omitempty"` // 32 bytes; part of every card proof
	State         State          `json:"state"`
	ExpiresAt     time.Time      `json:"expires_at"`
	SecondsLeft   int            `json:"seconds_left"` // by the service's clock
	Proven        bool           `json:"proven"`       // the card has proven itself
	Methods       []MethodStatus `json:"methods"`
	PasscodeRules PasscodeRules  `json:"passcode_rules"`
}

// ProofRequest carries the card's proof (ProofDigest with PurposeCardProof),
// or an empty signature where the card has no card authentication key. Whether
// that is enough is decided by the service's record of the card alone.
type ProofRequest struct {
	Slot      string `json:"slot,omitempty"`
	Signature []byte `json:"signature,omitempty"`
	// Certificate (DER) of the key that signed. It counts only where the
	// service has none on record and it chains to a configured root.
	Certificate []byte `json:"certificate,omitempty"`
}

// CodeRequest asks for a security code at an address. The answer is the same
// for any address (R4).
type CodeRequest struct {
	Method  Method `json:"method"`
	Address string `json:"address"`
}

// CodeSent says when the next code may be asked for and until when the code
// can be used (the session's end).
type CodeSent struct {
	ResendAfterSeconds int `json:"resend_after_seconds"`
	SecondsLeft        int `json:"seconds_left"`
	SendsLeft          int `json:"sends_left"`
}

// CodeCheck presents a code.
type CodeCheck struct {
	Code string `json:"code"`
}

// ReleaseRequest asks for the unlocking keys of one step, starting with 1. It
// is idempotent: asked again, the same Envelope comes back. Card is read again
// inside the card's transaction and the proof is repeated there
// (ProofDigest with PurposeRelease and the step).
type ReleaseRequest struct {
	Step         int            `json:"step"`
	CardID       string         `json:"card_id"`
	Serial       string         `json:"serial,omitempty"`
	KeyTriesLeft map[string]int `json:"key_tries_left,omitempty"` // by kind, where the card can tell
	// Challenge is the card's, for one that is unblocked by the answer to it: 16
	// bytes after MutualNonce, or 8 of external authentication. A step answers
	// one challenge.
	Challenge []byte `json:"challenge,omitempty"`
	Slot      string `json:"slot,omitempty"`
	Signature []byte `json:"signature,omitempty"`
}

// Envelope is a sealed and signed Release. Sealed is HPKE base mode
// (RFC 9180: DHKEM X25519 HKDF-SHA256, HKDF-SHA256, AES-256-GCM) to the
// session's public key with ReleaseInfo as info: encapsulated key, then
// ciphertext. Signature is Ed25519 over ReleaseInfo and Sealed by the service's key.
type Envelope struct {
	Step      int    `json:"step"`
	Epoch     int64  `json:"epoch"`
	CardID    string `json:"card_id"`
	Sealed    []byte `json:"sealed"`
	Signature []byte `json:"signature"`
}

// Action is what a released step asks of the application.
type Action string

const (
	// ActionUnblock: set the new passcode with Key; then, if Next is not
	// empty, change the key to Next.
	ActionUnblock Action = "unblock"
	// ActionAnswer: present Key to the card as the answer to its challenge, then set the new passcode.
	ActionAnswer Action = "answer"
	// ActionRotate: the card is unlocked; change the key from Key to Next.
	ActionRotate Action = "rotate"
)

// Release is what an Envelope seals.
type Release struct {
	Action Action `json:"action"`
	Kind   string `json:"kind"`           // of the keys: "puk", "admin-pin", "resetting-code", "administration-key-3des"
	Key    string `json:"key"`            // the key to present; with ActionAnswer the answer in hex: 40 bytes, or 8
	Next   string `json:"next,omitempty"` // the key to set, already in the escrow
}

// Outcome is what became of a released step.
type Outcome string

const (
	// OutcomeUnlocked: the new passcode was verified on the card, or, after
	// ActionRotate, the key was changed.
	OutcomeUnlocked Outcome = "unlocked"
	// OutcomeRefused: the card refused the key (63Cx). Reported before the
	// next key is tried.
	OutcomeRefused Outcome = "refused"
	// OutcomeBlocked: the card says that its unlocking key is blocked.
	OutcomeBlocked Outcome = "blocked"
	// OutcomeFailed: nothing certain is known (card pulled, reader gone).
	OutcomeFailed Outcome = "failed"
)

// Holds says which key the card holds after a step.
type Holds string

// What the card holds.
const (
	HoldsKey     Holds = "key"  // the released Key
	HoldsNext    Holds = "next" // the released Next
	HoldsUnknown Holds = "unknown"
)

// Report tells the outcome of a step. It is taken after the session's end too
// and may be sent again. With a Signature over OutcomeDigest by 9E or 9A of
// the card on record it is proven.
type Report struct {
	Step      int     `json:"step"`
	Epoch     int64   `json:"epoch"`
	Outcome   Outcome `json:"outcome"`
	Holds     Holds   `json:"holds"`
	TriesLeft *int    `json:"tries_left,omitempty"`
	Slot      string  `json:"slot,omitempty"`
	Signature []byte  `json:"signature,omitempty"`
	// Reply is what the card answered to a mutual ActionAnswer: it shows that
	// the card holds its administration key.
	Reply []byte `json:"reply,omitempty"`
}

// Reported answers a Report: the session's state, whether the report counted
// as proven, and the step that may be asked for next (0: none).
type Reported struct {
	State    State `json:"state"`
	Proven   bool  `json:"proven"`
	NextStep int   `json:"next_step,omitempty"`
}
