package card

import (
	"errors"
	"fmt"
)

// Faults of the reader and of the way to the card.
var (
	ErrNoService    = errors.New("no PC/SC service answers")
	ErrNoReader     = errors.New("no smartcard reader")
	ErrReaderGone   = errors.New("the reader was unplugged")
	ErrNoCard       = errors.New("no card in the reader")
	ErrMute         = errors.New("the card does not answer")
	ErrRemoved      = errors.New("the card was removed")
	ErrReset        = errors.New("the card was reset by another program")
	ErrBusy         = errors.New("another program is using the card")
	ErrUnrecognised = errors.New("the card is of no family known here")
)

// Faults that the card itself answers.
var (
	ErrNotSupported = errors.New("the card cannot do this")
	ErrRefusedPIN   = errors.New("the card does not accept this PIN")
	ErrRefusedKey   = errors.New("the card does not accept this new unlocking key")
	ErrMalformed    = errors.New("the card gave a malformed answer")
	// ErrNotAuthenticated: the authentication with the administration key was
	// not made, or a reset or another program has ended it.
	ErrNotAuthenticated = errors.New("the card has not been authenticated")
)

// Reference names what was presented to the card.
type Reference string

// What can be presented to a card.
const (
	ReferencePIN           Reference = "PIN"            // PIV 80, GIDS 80, OpenPGP PW1
	ReferencePUK           Reference = "PUK"            // PIV 81
	ReferenceAdminPIN      Reference = "admin PIN"      // OpenPGP PW3
	ReferenceResettingCode Reference = "resetting code" // OpenPGP
	ReferenceAdminKey      Reference = "administration key"
)

// WrongKeyError says that the card refused a PIN or key.
type WrongKeyError struct {
	Reference Reference
	// TriesLeft is at least 1, with none left the fault is BlockedError; -1
	// where the card counts no tries or does not tell them.
	TriesLeft int
}

func (e WrongKeyError) Error() string {
	if e.TriesLeft < 0 {
		return fmt.Sprintf("wrong %s", e.Reference)
	}
	return fmt.Sprintf("wrong %s, %d tries left", e.Reference, e.TriesLeft)
}

// BlockedError says that a PIN or PUK has no tries left (6983 or 63C0). Some
// cards also answer it for a wrong length or over the contactless interface:
// show it, never record it as final.
type BlockedError struct{ Reference Reference }

func (e BlockedError) Error() string { return string(e.Reference) + " is blocked" }

// DisabledError is a BlockedError whose cause is known: a program took the key
// out of use on purpose. The minidriver of YubiKeys blocks the PUK when it takes
// a key over ("PIN-only"). The PIN of such a card cannot be set with a PUK ever
// again, and nobody has tried to guess it.
type DisabledError struct{ Reference Reference }

func (e DisabledError) Error() string {
	return string(e.Reference) + " was put out of use by the program that manages the card"
}

// Unwrap makes it a BlockedError to those who need not know more.
func (e DisabledError) Unwrap() error { return BlockedError(e) }

// LastTryError says that the card was not asked, because it would have been
// the last try of an unlocking key.
type LastTryError struct{ Reference Reference }

func (e LastTryError) Error() string {
	return "one try of the " + string(e.Reference) + " is left, and it is not spent"
}

// StatusError is a status word that no other fault describes.
type StatusError struct {
	Command string // for example "RESET RETRY COUNTER"
	SW      uint16
}

func (e StatusError) Error() string {
	return fmt.Sprintf("%s: status %04X", e.Command, e.SW)
}
