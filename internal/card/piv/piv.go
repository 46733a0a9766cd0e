// Package piv speaks to PIV cards: NIST SP 800-73-4 part 2 (card commands),
// part 1 (data model), and the YubiKey extensions for metadata, serial number,
// version and "PIN-only" management where a card has them.
//
// Reading identity, state and certificates spends no try. A PIN or PUK that
// cannot be right by its length is never sent.
package piv

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

var _ card.KeyUnblocker = (*Card)(nil)

// ErrGlobalPIN says that the card's primary PIN is its Global PIN, which the
// PIV application's PUK does not reset (SP 800-73-4 part 1 section 3.3.2).
var ErrGlobalPIN = fmt.Errorf("%w: its primary PIN is the Global PIN", card.ErrNotSupported)

// Card is a PIV card whose application is selected. It implements
// card.KeyUnblocker.
type Card struct {
	conn    apdu.Transmitter
	version []byte // YubiKey firmware; nil on other cards
	// What was read since the application was selected, and stays as it is
	// until it is selected again: nothing here writes a card's objects.
	primaryPIN bool         // the PIN of the application is the primary one
	public     map[byte]any // public keys by slot
}

// Open selects the PIV application. card.ErrUnrecognised means that the card
// has none; a card that answers "fine" to any SELECT does not pass.
func Open(ctx context.Context, conn apdu.Transmitter) (*Card, error) {
	c := &Card{conn: conn}
	if err := c.Select(ctx); err != nil {
		return nil, err
	}
	r, err := c.send(ctx, apdu.Command{Name: "GET VERSION", INS: insGetVersion, Answer: true})
	if err != nil {
		return nil, err
	}
	if r.SW == apdu.OK && len(r.Data) == 3 {
		c.version = r.Data
	}
	return c, nil
}

// Family is card.FamilyPIV.
func (c *Card) Family() card.Family { return card.FamilyPIV }

// PINRules are those of SP 800-73-4 part 2 section 2.4.3.
func (c *Card) PINRules() card.PINRules {
	return card.PINRules{MinLength: 6, MaxLength: 8, DigitsOnly: true}
}

// Select selects the PIV application (SP 800-73-4 part 2 section 3.1.1) and
// checks that the answer's application property template is PIV's.
func (c *Card) Select(ctx context.Context) error {
	c.primaryPIN, c.public = false, nil
	r, err := c.send(ctx, apdu.Command{Name: "SELECT", INS: insSelect, P1: 0x04, Data: AID[:5], Answer: true})
	if err != nil {
		return err
	}
	if r.SW != apdu.OK || !isPIVTemplate(r.Data) {
		return card.ErrUnrecognised
	}
	return nil
}

// isPIVTemplate looks for the PIV application in the template 61: its tag 4F
// holds the AID, or the part of it behind the registered identifier.
func isPIVTemplate(data []byte) bool {
	template, ok := apdu.FindTLV(data, 0x61)
	if !ok {
		return false
	}
	aid, ok := apdu.FindTLV(template, 0x4F)
	if !ok {
		return false
	}
	return hasPrefix(aid, AID[:5]) || hasPrefix(aid, AID[5:9])
}

func hasPrefix(b, prefix []byte) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == string(prefix)
}

// KeepAlive reads the discovery object's header: cheap and without effect.
func (c *Card) KeepAlive(ctx context.Context) error {
	_, err := c.getData(ctx, objectDiscovery)
	if errors.Is(err, errNoObject) {
		return nil
	}
	return err
}

// Identity reads the GUID of the CHUID, and the serial number of a YubiKey.
func (c *Card) Identity(ctx context.Context) (card.Identity, error) {
	object, err := c.getData(ctx, objectCHUID)
	if errors.Is(err, errNoObject) {
		return card.Identity{}, fmt.Errorf("%w: it has no CHUID", card.ErrUnrecognised)
	}
	if err != nil {
		return card.Identity{}, err
	}
	guid, err := ParseCHUID(object)
	if err != nil {
		return card.Identity{}, err
	}
	id := card.Identity{Family: card.FamilyPIV, ID: hex.EncodeToString(guid[:]), Model: "PIV card"}
	if c.version == nil {
		return id, nil
	}
	id.Model = fmt.Sprintf("YubiKey %d.%d.%d", c.version[0], c.version[1], c.version[2])
	r, err := c.send(ctx, apdu.Command{Name: "GET SERIAL", INS: insGetSerial, Answer: true})
	if err != nil {
		return card.Identity{}, err
	}
	if r.SW == apdu.OK && len(r.Data) == 4 {
		id.Serial = fmt.Sprint(binary.BigEndian.Uint32(r.Data))
	}
	return id, nil
}

// ParseCHUID reads the GUID (tag 34) of a Card Holder Unique Identifier
// (SP 800-73-4 part 1 section 3.1.2). A GUID of zeros identifies nothing.
func ParseCHUID(object []byte) ([16]byte, error) {
	var guid [16]byte
	value, ok := apdu.FindTLV(object, 0x34)
	if !ok || len(value) != len(guid) {
		return guid, fmt.Errorf("CHUID: %w", card.ErrMalformed)
	}
	copy(guid[:], value)
	if guid == ([16]byte{}) {
		return guid, fmt.Errorf("CHUID without a GUID: %w", card.ErrMalformed)
	}
	return guid, nil
}

var errNoObject = errors.New("no such data object")

// getData reads a data object (SP 800-73-4 part 2 section 3.1.2) without its
// outer tag 53; the discovery object has none.
func (c *Card) getData(ctx context.Context, tag uint32) ([]byte, error) {
	name := []byte{byte(tag >> 16), byte(tag >> 8), byte(tag)}
	if tag < 0x100 {
		name = []byte{byte(tag)}
	}
	r, err := c.send(ctx, apdu.Command{Name: "GET DATA", INS: insGetData, P1: 0x3F, P2: 0xFF,
		Data: apdu.EncodeTLV(0x5C, name), Answer: true})
	if err != nil {
		return nil, err
	}
	switch r.SW {
	case apdu.OK:
	case apdu.NotFound, apdu.ReferenceNotFound, apdu.WrongData, apdu.SecurityStatus, apdu.FunctionUnsupported:
		return nil, errNoObject
	default:
		return nil, card.StatusError{Command: "GET DATA", SW: r.SW}
	}
	outer, _, err := apdu.ReadTLV(r.Data)
	if err != nil || (outer.Tag != 0x53 && outer.Tag != tag) {
		return nil, fmt.Errorf("GET DATA %X: %w", tag, card.ErrMalformed)
	}
	return outer.Value, nil
}

func (c *Card) send(ctx context.Context, command apdu.Command) (apdu.Response, error) {
	return apdu.Send(ctx, c.conn, command)
}
