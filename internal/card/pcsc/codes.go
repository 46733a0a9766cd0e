package pcsc

import (
	"fmt"

	"latchkey/internal/card"
)

// code is a result of the PC/SC interface (winerror.h, pcsclite.h).
type code uint32

// The codes that have a meaning here.
const (
	success              code = 0
	eCancelled           code = 0x80100002
	eInvalidHandle       code = 0x80100003
	eUnknownReader       code = 0x80100009
	eTimeout             code = 0x8010000A
	eSharingViolation    code = 0x8010000B
	eNoSmartcard         code = 0x8010000C
	eProtoMismatch       code = 0x8010000F
	eNotReady            code = 0x80100010
	fCommError           code = 0x80100013
	eNotTransacted       code = 0x80100016
	eReaderUnavailable   code = 0x80100017
	eNoService           code = 0x8010001D
	eServiceStopped      code = 0x8010001E
	eNoReadersAvailable  code = 0x8010002E
	eCommDataLost        code = 0x8010002F
	wUnsupportedCard     code = 0x80100065
	wUnresponsiveCard    code = 0x80100066
	wUnpoweredCard       code = 0x80100067
	wResetCard           code = 0x80100068
	wRemovedCard         code = 0x80100069
	errorInvalidFunction code = 0x00000001 // Windows: the reader has gone
	errorBrokenPipe      code = 0x00000109 // Windows: the service has gone
)

// faults says what each code is to us. A command whose answer got lost counts
// as a card that was removed: whoever asks looks at the reader again.
func faults() map[code]error {
	return map[code]error{
		eNoService: card.ErrNoService, eServiceStopped: card.ErrNoService, eInvalidHandle: card.ErrNoService,
		errorBrokenPipe:     card.ErrNoService,
		eNoReadersAvailable: card.ErrNoReader,
		eUnknownReader:      card.ErrReaderGone, eReaderUnavailable: card.ErrReaderGone, errorInvalidFunction: card.ErrReaderGone,
		eNoSmartcard: card.ErrNoCard,
		wRemovedCard: card.ErrRemoved, fCommError: card.ErrRemoved, eCommDataLost: card.ErrRemoved, eNotTransacted: card.ErrRemoved,
		wResetCard:        card.ErrReset,
		wUnresponsiveCard: card.ErrMute, wUnpoweredCard: card.ErrMute, wUnsupportedCard: card.ErrMute, eProtoMismatch: card.ErrMute,
		eSharingViolation: card.ErrBusy, eNotReady: card.ErrBusy, eTimeout: card.ErrBusy,
	}
}

// fault is the error of a code, with the code in its text.
func (c code) fault() error {
	if err, ok := faults()[c]; ok {
		return fmt.Errorf("%w (PC/SC %08X)", err, uint32(c))
	}
	return fmt.Errorf("PC/SC error %08X", uint32(c))
}
