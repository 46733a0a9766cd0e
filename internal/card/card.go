// Package card says what a smartcard is to Latchkey: the connection that a
// reader gives us, the card of one family on top of it, the ways to unblock it,
// and the typed faults that every layer below reports.
//
// It holds no APDU and no PC/SC call. Package pcsc implements Readers and
// Conn, packages piv, gids and openpgp implement Card, package emulator is a
// card in software.
package card

import (
	"context"
	"time"
)

// Family names a card application standard (product.md calls it the card family).
type Family string

const (
	// FamilyPIV is NIST SP 800-73 (PIV, YubiKey PIV, the CAC PIV endpoint).
	FamilyPIV Family = "piv"
	// FamilyGIDS is the Generic Identity Device Specification 2.0.
	FamilyGIDS Family = "gids"
	// FamilyOpenPGP is the OpenPGP application on ISO smart cards 2.0 to 3.4.
	FamilyOpenPGP Family = "openpgp"
	// FamilyISO7816 is any card with a PUK that a profile describes.
	FamilyISO7816 Family = "iso7816"
)

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

// BusyWait is how long the callers of Conn.Begin wait for another program.
const BusyWait = 15 * time.Second
