// Package gids speaks to cards of the Generic Identity Device Specification
// 2.0 (GIDS), the cards of Windows' own minidriver: identifier, PIN and the
// administration key. The names of files come from the Windows minidriver
// specification 7.07; how the files lie in data objects is known from cards.
//
// Reading identity, state and certificates spends no try. The administration
// key is never here: the service answers the card's challenge
// (see package gidskey).
package gids

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

var _ card.ChallengeUnblocker = (*Card)(nil)

// AID is the GIDS application's identifier without its version.
var AID = [...]byte{0xA0, 0x00, 0x00, 0x03, 0x97, 0x42, 0x54, 0x46, 0x59}

// Instructions.
const (
	insVerify            = 0x20
	insManageSecurity    = 0x22
	insChangeReference   = 0x24
	insSign              = 0x2A
	insResetRetryCounter = 0x2C
	insAuthenticate      = 0x87
	insSelect            = 0xA4
	insGetData           = 0xCB
	insPutData           = 0xDB
)

// References.
const (
	refPIN = 0x80
	refEnd = 0x82 // VERIFY of it forgets every authentication
)

// Data objects, and the files that they are in.
const (
	fileApplication = 0x3FFF
	fileDirectory   = 0xA000
	fileCardID      = 0xA012
	objectPINStatus = 0x7F71
	objectDirectory = 0xDF1F
	objectCardID    = 0xDF20
)

// Card is a GIDS card whose application is selected. It implements
// card.ChallengeUnblocker.
type Card struct {
	conn apdu.Transmitter
	list []file // the file directory, once it was read
}

// Open selects the GIDS application. card.ErrUnrecognised means that the card
// has none; a card that answers "fine" to any SELECT does not pass.
func Open(ctx context.Context, conn apdu.Transmitter) (*Card, error) {
	c := &Card{conn: conn}
	if err := c.Select(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Family is card.FamilyGIDS.
func (c *Card) Family() card.Family { return card.FamilyGIDS }

// PINRules: 4 to 16 bytes of any kind.
func (c *Card) PINRules() card.PINRules { return card.PINRules{MinLength: 4, MaxLength: 16} }

// Select selects the application. Its answer names the application in the
// template 61 or 6F; where a card answers nothing, the PIN status tells.
func (c *Card) Select(ctx context.Context) error {
	c.list = nil
	r, err := c.send(ctx, apdu.Command{Name: "SELECT", INS: insSelect, P1: 0x04, Data: AID[:], Answer: true})
	if err != nil {
		return err
	}
	if r.SW != apdu.OK {
		return card.ErrUnrecognised
	}
	if len(r.Data) > 0 {
		if !namesGIDS(r.Data) {
			return card.ErrUnrecognised
		}
		return nil
	}
	if _, err := c.getData(ctx, fileApplication, objectPINStatus); err != nil {
		var status card.StatusError
		if errors.Is(err, errNoObject) || errors.Is(err, card.ErrMalformed) || errors.As(err, &status) {
			return card.ErrUnrecognised
		}
		return err
	}
	return nil
}

// namesGIDS looks for the application's name in the answer to SELECT: 4F in the
// template 61, 84 in the template 6F.
func namesGIDS(data []byte) bool {
	for _, place := range [...][2]uint32{{0x61, 0x4F}, {0x6F, 0x84}} {
		template, ok := apdu.FindTLV(data, place[0])
		if !ok {
			continue
		}
		if aid, ok := apdu.FindTLV(template, place[1]); ok && len(aid) >= len(AID) && string(aid[:len(AID)]) == string(AID[:]) {
			return true
		}
	}
	return false
}

// KeepAlive reads the PIN status: cheap and without effect.
func (c *Card) KeepAlive(ctx context.Context) error {
	_, err := c.getData(ctx, fileApplication, objectPINStatus)
	if errors.Is(err, errNoObject) {
		return nil
	}
	return err
}

// idLength is the length of a card identifier in bytes.
const idLength = 16

// Identity reads the card identifier (file cardid).
func (c *Card) Identity(ctx context.Context) (card.Identity, error) {
	object, err := c.getData(ctx, fileCardID, objectCardID)
	if errors.Is(err, errNoObject) {
		return card.Identity{}, fmt.Errorf("%w: it has no identifier", card.ErrUnrecognised)
	}
	if err != nil {
		return card.Identity{}, err
	}
	if len(object) != idLength || string(object) == string(make([]byte, idLength)) {
		return card.Identity{}, fmt.Errorf("card identifier: %w", card.ErrMalformed)
	}
	return card.Identity{Family: card.FamilyGIDS, ID: hex.EncodeToString(object), Model: "GIDS card"}, nil
}

// State reads the PIN's tries from the PIN status, or where the card has none
// by an empty VERIFY, which on a GIDS card spends nothing. Nothing tells the
// tries of the administration key.
func (c *Card) State(ctx context.Context) (card.State, error) {
	state := card.State{Keys: map[card.KeyKind]card.Counter{card.KeyAdministration: {}}}
	object, err := c.getData(ctx, fileApplication, objectPINStatus)
	switch {
	case err == nil:
		if state.PIN = ParsePINStatus(object); state.PIN.Known {
			return state, nil
		}
	case !errors.Is(err, errNoObject):
		return card.State{}, err
	}
	r, err := c.send(ctx, apdu.Command{Name: "VERIFY", INS: insVerify, P2: refPIN})
	if err != nil {
		return card.State{}, err
	}
	switch {
	case r.SW == apdu.OK: // verified already: not locked, count not told
	case r.SW&0xFFF0 == 0x63C0:
		state.PIN = card.Counter{Known: true, Left: int(r.SW & 0x0F)}
	case r.SW == apdu.Blocked:
		state.PIN = card.Counter{Known: true}
	default:
		return card.State{}, card.StatusError{Command: "VERIFY (empty)", SW: r.SW}
	}
	return state, nil
}

// ParsePINStatus reads the tries left (tag 97, on older cards 9F17) and the
// tries in all (tag 93) of a PIN status object.
func ParsePINStatus(object []byte) card.Counter {
	list, err := apdu.ParseTLV(object)
	if err != nil {
		return card.Counter{}
	}
	left, ok := apdu.Find(list, 0x97)
	if !ok {
		left, ok = apdu.Find(list, 0x9F17)
	}
	if !ok || len(left) != 1 {
		return card.Counter{}
	}
	counter := card.Counter{Known: true, Left: int(left[0])}
	if total, ok := apdu.Find(list, 0x93); ok && len(total) == 1 && total[0] >= left[0] {
		counter.Total = int(total[0])
	}
	return counter
}

// Prove: a GIDS card proves itself by mutual authentication alone, which
// authorises it too: see card.ChallengeUnblocker.
func (c *Card) Prove(context.Context, [32]byte) (card.Proof, error) {
	return card.Proof{}, fmt.Errorf("sign without a PIN: %w", card.ErrNotSupported)
}

var errNoObject = errors.New("no such data object")

// getData reads one data object of a file without its tag.
func (c *Card) getData(ctx context.Context, file, object uint16) ([]byte, error) {
	r, err := c.send(ctx, apdu.Command{Name: "GET DATA", INS: insGetData, P1: byte(file >> 8), P2: byte(file),
		Data: apdu.EncodeTLV(0x5C, []byte{byte(object >> 8), byte(object)}), Answer: true})
	if err != nil {
		return nil, err
	}
	switch r.SW {
	case apdu.OK:
	case apdu.NotFound, apdu.ReferenceNotFound, apdu.WrongData, apdu.SecurityStatus, apdu.FunctionUnsupported, apdu.WrongP1P2:
		return nil, errNoObject
	default:
		return nil, card.StatusError{Command: "GET DATA", SW: r.SW}
	}
	outer, _, err := apdu.ReadTLV(r.Data)
	if err != nil || outer.Tag != uint32(object) {
		return nil, fmt.Errorf("GET DATA %04X: %w", object, card.ErrMalformed)
	}
	return outer.Value, nil
}

func (c *Card) send(ctx context.Context, command apdu.Command) (apdu.Response, error) {
	return apdu.Send(ctx, c.conn, command)
}
