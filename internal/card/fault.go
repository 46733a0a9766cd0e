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
)

// Reference names what was presented to the card.
type Reference string

// The references of a PIV card (SP 800-73-4 part 1 table 4).
const (
	ReferencePIN Reference = "PIN" // key reference 80
	ReferencePUK Reference = "PUK" // key reference 81
)

// WrongKeyError says that the card refused a PIN or PUK (63Cx).
type WrongKeyError struct {
	Reference Reference
	TriesLeft int // at least 1; with none left the fault is BlockedError
}

func (e WrongKeyError) Error() string {
	return fmt.Sprintf("wrong %s, %d tries left", e.Reference, e.TriesLeft)
}

// BlockedError says that a PIN or PUK has no tries left (6983 or 63C0). Some
// cards also answer it for a wrong length or over the contactless interface:
// show it, never record it as final.
type BlockedError struct{ Reference Reference }

func (e BlockedError) Error() string { return string(e.Reference) + " is blocked" }

// StatusError is a status word that no other fault describes.
type StatusError struct {
	Command string // for example "RESET RETRY COUNTER"
	SW      uint16
}

func (e StatusError) Error() string {
	return fmt.Sprintf("%s: status %04X", e.Command, e.SW)
}
