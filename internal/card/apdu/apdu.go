// Package apdu builds commands and reads answers of smartcards
// (ISO/IEC 7816-4 section 5) and carries them over a reader: GET RESPONSE on
// 61xx, the same command again with the right length on 6Cxx, and command
// chaining for long data. It knows no card family.
package apdu

import (
	"context"
	"fmt"

	"latchkey/internal/card"
)

// Status words (ISO/IEC 7816-4 section 5.1.3).
const (
	OK                  uint16 = 0x9000
	SecurityStatus      uint16 = 0x6982
	Blocked             uint16 = 0x6983
	WrongLength         uint16 = 0x6700
	ConditionsNotMet    uint16 = 0x6985
	WrongData           uint16 = 0x6A80
	FunctionUnsupported uint16 = 0x6A81
	NotFound            uint16 = 0x6A82
	NoSpace             uint16 = 0x6A84
	WrongP1P2           uint16 = 0x6A86
	ReferenceNotFound   uint16 = 0x6A88
	WrongP1P2Alone      uint16 = 0x6B00
	InsUnsupported      uint16 = 0x6D00
	ClaUnsupported      uint16 = 0x6E00
)

const (
	insGetResponse = 0xC0
	claChaining    = 0x10
	chunk          = 255     // largest data field of a short command
	maxAnswer      = 1 << 16 // a card that sends more is broken or hostile
	maxRounds      = 300     // as is one that never ends
)

// Command is one command APDU. Data longer than 255 bytes is sent by command
// chaining. Answer asks for response data (Le = 00).
type Command struct {
	Name             string // the standard's name, for errors: "VERIFY"
	CLA, INS, P1, P2 byte
	Data             []byte
	Answer           bool
}

// Response is the data and the status word of an answer.
type Response struct {
	Data []byte
	SW   uint16
}

// Transmitter carries one APDU; card.Conn is one.
type Transmitter interface {
	Transmit(ctx context.Context, command []byte) ([]byte, error)
}

// Send sends a command and collects its whole answer. Status words are for
// the caller to judge; the error is a fault of the way (card.ErrRemoved and
// its like) or card.ErrMalformed.
func Send(ctx context.Context, t Transmitter, c Command) (Response, error) {
	data := c.Data
	for len(data) > chunk {
		part := encode(c.CLA|claChaining, c, data[:chunk], false)
		r, err := exchange(ctx, t, part)
		clear(part)
		if err != nil {
			return Response{}, fmt.Errorf("%s: %w", c.Name, err)
		}
		if r.SW != OK {
			return r, nil
		}
		data = data[chunk:]
	}
	last := encode(c.CLA, c, data, c.Answer)
	defer clear(last) // it may hold a PIN
	r, err := exchange(ctx, t, last)
	if err != nil {
		return Response{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	return r, nil
}

// exchange sends one short APDU and follows 61xx and 6Cxx.
func exchange(ctx context.Context, t Transmitter, command []byte) (Response, error) {
	r, err := transmit(ctx, t, command)
	if err == nil && r.SW>>8 == 0x6C {
		again := withLe(command, byte(r.SW))
		r, err = transmit(ctx, t, again)
		clear(again) // like the command itself
	}
	if err != nil {
		return Response{}, err
	}
	all := append([]byte(nil), r.Data...)
	for round := 0; r.SW>>8 == 0x61; round++ {
		get := []byte{command[0] &^ claChaining, insGetResponse, 0, 0, byte(r.SW)}
		if r, err = transmit(ctx, t, get); err != nil {
			return Response{}, err
		}
		if r.SW>>8 == 0x6C {
			get[4] = byte(r.SW)
			if r, err = transmit(ctx, t, get); err != nil {
				return Response{}, err
			}
		}
		if all = append(all, r.Data...); len(all) > maxAnswer || round > maxRounds {
			return Response{}, card.ErrMalformed
		}
	}
	return Response{Data: all, SW: r.SW}, nil
}

func transmit(ctx context.Context, t Transmitter, command []byte) (Response, error) {
	raw, err := t.Transmit(ctx, command)
	if err != nil {
		return Response{}, err
	}
	return ParseResponse(raw)
}

// ParseResponse splits a response APDU into data and status word.
func ParseResponse(raw []byte) (Response, error) {
	if len(raw) < 2 || len(raw) > maxAnswer+2 {
		return Response{}, card.ErrMalformed
	}
	n := len(raw) - 2
	return Response{Data: raw[:n], SW: uint16(raw[n])<<8 | uint16(raw[n+1])}, nil
}

// encode builds a short APDU of case 1 to 4 (ISO/IEC 7816-4 section 5.1).
func encode(cla byte, c Command, data []byte, le bool) []byte {
	out := make([]byte, 0, 6+len(data))
	out = append(out, cla, c.INS, c.P1, c.P2)
	if len(data) > 0 {
		out = append(append(out, byte(len(data))), data...)
	}
	if le {
		out = append(out, 0)
	}
	return out
}

// withLe is the command with another Le (the card said which).
func withLe(command []byte, le byte) []byte {
	body := command
	if len(command) > 5 {
		body = command[:5+int(command[4])]
	} else {
		body = command[:4]
	}
	return append(append([]byte(nil), body...), le)
}
