package deliver

import "time"

// Methods by which messages go: those of package api.
const (
	methodEmail = "email"
	methodSMS   = "sms"
)

// CodeJob is one security code on its way. Nothing secret is in clear in the
// queue.
type CodeJob struct {
	SessionID string    `json:"session_id"`
	Method    string    `json:"method"`
	Address   string    `json:"address"` // normalised, as typed; may be nobody's
	Sealed    []byte    `json:"sealed"`  // the code, sealed (package seal)
	SentAt    time.Time `json:"sent_at"` // of the code: a newer one replaces it
	// Pseudonym stands for the address in the records of messages.
	Pseudonym string `json:"pseudonym"`
	// Reference names the message in the records. The queue gives it.
	Reference string `json:"reference"`
}

// Kinds of notices.
const (
	NoticeReleased = "released" // the unlocking key was released
	NoticeUnlocked = "unlocked" // the card is unlocked
)

// kindCode is the kind of a message with a security code.
const kindCode = "code"

// Notice has a holder told, at every address, what happens to their card.
type Notice struct {
	HolderID    string    `json:"holder_id"`
	SessionID   string    `json:"session_id"`
	Event       string    `json:"event"` // NoticeReleased or NoticeUnlocked
	Workstation string    `json:"workstation"`
	At          time.Time `json:"at"`
	// Address is the one address that this job is for; "" is all of them.
	Address string `json:"address,omitempty"`
	// Reference names the message in the records. The queue gives it.
	Reference string `json:"reference"`
}

// To is where a message goes.
type To struct {
	Method    string // "email" or "sms"
	Address   string // normalised
	Country   string // of a number: ISO 3166-1 alpha-2, "001" or ""
	Pseudonym string // stands for the address in the records
}

// CodeMessage is what the message with a security code says.
type CodeMessage struct {
	To          To
	Name        string // of the holder
	Code        string
	Workstation string // as claimed: from outside
	AskedAt     time.Time
	ValidUntil  time.Time
}

// NoticeMessage is what a notice says to one address.
type NoticeMessage struct {
	To          To
	Name        string
	Kind        string
	Workstation string
	At          time.Time
}
