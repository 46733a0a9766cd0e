// Package card says what a smartcard is to Latchkey: the connection that a
// reader gives us, the card of one family on top of it, and the typed faults
// that every layer below reports.
//
// It holds no APDU and no PC/SC call. Package pcsc implements Readers and
// Conn, package piv implements Card, package emulator is a card in software.
package card

import (
	"context"
	"time"
)

// Family names a card application standard (product.md calls it the card family).
type Family string

// FamilyPIV is NIST SP 800-73 (PIV, YubiKey PIV, the CAC PIV endpoint).
const FamilyPIV Family = "piv"

// Disposition says what happens to the card at the end of a transaction.
type Disposition int

const (
	// LeaveCard leaves the card's security state as it is.
	LeaveCard Disposition = iota
	// ResetCard resets the card, so that no verified PIN stays behind.
	ResetCard
)

// Conn is a connection to one card in one reader (PC/SC part 5). It is used by
// one goroutine at a time.
type Conn interface {
	// ATR is the card's answer to reset (ISO/IEC 7816-3 section 8.2).
	ATR() []byte
	// Transmit sends one command APDU and returns the response APDU: data
	// followed by the two status bytes. T=0 and T=1 differences are hidden;
	// 61xx, 6Cxx and chaining are the business of package apdu.
	// Errors: ErrRemoved, ErrReset, ErrReaderGone, ErrNoService, ErrBusy.
	Transmit(ctx context.Context, command []byte) ([]byte, error)
	// Begin starts an exclusive transaction. While another program holds the
	// card it waits until ctx ends, then returns ErrBusy. After ErrReset the
	// caller reconnects and selects its application again.
	Begin(ctx context.Context) error
	// End ends the exclusive transaction.
	End(d Disposition) error
	// Reconnect takes up the connection again after ErrReset.
	Reconnect(ctx context.Context) error
	// Close gives the connection up, leaving the card powered.
	Close() error
}

// Presence is what one reader sees.
type Presence int

const (
	// Empty: no card in the reader.
	Empty Presence = iota
	// Present: a card is in the reader and answers.
	Present
	// Mute: a card is in the reader but does not answer (upside down, broken).
	Mute
	// InUse: another program holds the card exclusively.
	InUse
)

// Reader is one reader as the PC/SC service sees it at one moment.
type Reader struct {
	Name     string // data from outside: escape it
	Presence Presence
	ATR      []byte // only when Present
	// Insertions counts cards put in since the watch began, so that a card
	// taken out and put back is noticed even between two looks.
	Insertions int
}

// Snapshot is what all readers see at one moment. Err is ErrNoService where no
// PC/SC service answers, ErrNoReader where it knows of no reader.
type Snapshot struct {
	Readers []Reader
	Err     error
}

// Readers is the PC/SC service of a workstation.
type Readers interface {
	// Watch sends a Snapshot at once and after each change, until ctx ends;
	// then it closes the channel. It survives the service's restart, blocks in
	// the service's own wait, and never connects to a card. A receiver that is
	// slow gets the newest snapshot, not each one.
	Watch(ctx context.Context) <-chan Snapshot
	// Connect opens a shared connection to the card in a reader.
	Connect(ctx context.Context, reader string) (Conn, error)
}

// Identity is how a card is known to the service.
type Identity struct {
	Family Family
	// ID is the family's unique identifier, lower-case hex without separators.
	// PIV: the 16-byte GUID of the CHUID (SP 800-73-4 part 1 section 3.1.2).
	ID string
	// Serial is the maker's serial number in decimal, empty where the card has none.
	Serial string
	// Model is a name for people, for example "YubiKey 5.4.3" or "PIV card".
	Model string
}

// Certificate is one certificate on a card, uncompressed.
type Certificate struct {
	Slot string // PIV key reference in upper-case hex: "9A", "9C", "9D", "9E"
	DER  []byte
}

// Counter is a try counter as far as the card tells it.
type Counter struct {
	Known bool // false: the card does not say
	Left  int  // tries left; 0 = blocked
	Total int  // 0 where unknown
}

// Blocked says whether the card itself says that no try is left.
func (c Counter) Blocked() bool { return c.Known && c.Left == 0 }

// State is what the card says of its PIN and its unlocking key. Reading it
// spends no try.
type State struct {
	PIN Counter
	PUK Counter // Known only where the card has metadata (YubiKey 5.3 and later)
}

// PINRules is what the card family itself asks of a PIN.
type PINRules struct {
	MinLength, MaxLength int
	DigitsOnly           bool
}

// Card is a recognised card of one family with its application selected.
// Its methods may be called inside or outside a transaction; whoever calls
// Unblock, Rotate or Change holds one (see Conn.Begin). PINs and PUKs are text
// as typed; padding is the family's business. No method prints or keeps them.
type Card interface {
	Family() Family
	// Select selects the application again, after a reset.
	Select(ctx context.Context) error
	Identity(ctx context.Context) (Identity, error)
	Certificates(ctx context.Context) ([]Certificate, error)
	State(ctx context.Context) (State, error)
	PINRules() PINRules
	// KeepAlive sends a harmless command, so that Windows does not reset an
	// idle transaction (after 5 s; call it every 2 s).
	KeepAlive(ctx context.Context) error
	// Prove signs a SHA-256 digest with the card authentication key, which
	// needs no PIN (PIV 9E). The signature is PKCS #1 v1.5 for RSA, ASN.1 DER
	// for ECDSA. ErrNotSupported where the card has no such key.
	Prove(ctx context.Context, digest [32]byte) (Proof, error)
	// ProveVerified does the same with the authentication key, which needs a
	// verified PIN (PIV 9A).
	ProveVerified(ctx context.Context, digest [32]byte) (Proof, error)
	// Unblock sets a new PIN with the PUK (RESET RETRY COUNTER, SP 800-73-4
	// part 2 section 3.2.3). It does not verify the PIN.
	// Errors: WrongKeyError, BlockedError (of the PUK), ErrRefusedPIN.
	Unblock(ctx context.Context, puk, newPIN string) error
	// Rotate changes the PUK (CHANGE REFERENCE DATA).
	// Errors: WrongKeyError, BlockedError, ErrRefusedKey.
	Rotate(ctx context.Context, puk, newPUK string) error
	// Verify presents the PIN. Errors: WrongKeyError, BlockedError.
	Verify(ctx context.Context, pin string) error
	// Change changes the PIN knowing the old one.
	// Errors: WrongKeyError, BlockedError, ErrRefusedPIN.
	Change(ctx context.Context, oldPIN, newPIN string) error
}

// Proof is a signature made by a key on the card.
type Proof struct {
	Slot      string // the key reference that signed, "9E" or "9A"
	Signature []byte
}

// BusyWait is how long the callers of Conn.Begin wait for another program.
const BusyWait = 15 * time.Second
