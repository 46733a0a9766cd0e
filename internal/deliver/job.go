package deliver

import "time"

// CodeJob is one security code on its way. Nothing secret is in clear in the
// queue.
type CodeJob struct {
	SessionID string    `json:"session_id"`
	Method    string    `json:"method"`
	Address   string    `json:"address"` // normalised, as typed; may be nobody's
	Sealed    []byte    `json:"sealed"`  // the code, sealed (package seal)
	SentAt    time.Time `json:"sent_at"` // of the code: a newer one replaces it
}

// Kinds of notices.
const (
	NoticeReleased = "released" // the unlocking key was released
	NoticeUnlocked = "unlocked" // the card is unlocked
)

// Notice has a holder told, at every address, what happens to their card.
type Notice struct {
	HolderID    string    `json:"holder_id"`
	SessionID   string    `json:"session_id"`
	Event       string    `json:"event"` // NoticeReleased or NoticeUnlocked
	Workstation string    `json:"workstation"`
	At          time.Time `json:"at"`
	// Address is the one address that this job is for; "" is all of them.
	Address string `json:"address,omitempty"`
}

// CodeMail is what the message with a security code says.
type CodeMail struct {
	To          string
	Name        string // of the holder
	Code        string
	Workstation string // as claimed: from outside
	AskedAt     time.Time
	ValidUntil  time.Time
}

// NoticeMail is what a notice says to one address.
type NoticeMail struct {
	To          string
	Name        string
	Kind        string
	Workstation string
	At          time.Time
}
