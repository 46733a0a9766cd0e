package iso7816

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// Instructions (ISO/IEC 7816-4 section 5.4.2).
const (
	insVerify            = 0x20
	insChangeReference   = 0x24
	insResetRetryCounter = 0x2C
	insSelect            = 0xA4
	insReadBinary        = 0xB0
	insGetData           = 0xCA
)

// Conn is what a card is reached through; card.Conn is one.
type Conn interface {
	apdu.Transmitter
	ATR() []byte
}

// Card is a card of one profile. It implements card.KeyUnblocker.
type Card struct {
	conn    Conn
	profile Profile
}

var _ card.KeyUnblocker = (*Card)(nil)

// Open compares a card with a profile and selects its application.
// card.ErrUnrecognised: it is another kind of card. A card that does not fit by
// its ATR is not sent anything.
func Open(ctx context.Context, conn Conn, p Profile) (*Card, error) {
	if !p.FitsATR(conn.ATR()) {
		return nil, card.ErrUnrecognised
	}
	c := &Card{conn: conn, profile: p}
	if err := c.Select(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Family is card.FamilyISO7816.
func (c *Card) Family() card.Family { return card.FamilyISO7816 }

// PINRules are the profile's.
func (c *Card) PINRules() card.PINRules { return c.profile.Rules() }

// masterFile is the root of a card's files (ISO/IEC 7816-4 section 7.2.1).
const masterFile = "3F00"

// Select selects the profile's application, or the master file where it has none
// (ISO/IEC 7816-4 section 11.2.2). Unless the ATR has told the card already, the answer must
// name the application: many cards answer "fine" to any name.
func (c *Card) Select(ctx context.Context) error {
	aid, err := hex.DecodeString(c.profile.Recognise.AID)
	if err != nil {
		return err // a profile that was never checked
	}
	if len(aid) == 0 {
		return c.selectFile(ctx, masterFile)
	}
	p2 := c.profile.Recognise.SelectP2.value(0)
	r, err := c.send(ctx, apdu.Command{Name: "SELECT", INS: insSelect, P1: 0x04, P2: p2, Data: aid, Answer: p2 == 0})
	if err != nil {
		return err
	}
	if r.SW != apdu.OK || len(c.profile.Recognise.ATR) == 0 && !ParseName(r.Data, aid) {
		return card.ErrUnrecognised
	}
	return nil
}

// ParseName says whether the answer to SELECT, control information of a file
// (templates 6F, 62, 64; ISO/IEC 7816-4 section 7.4) or an application template
// (61), names an application: by tag 84 or 4F.
func ParseName(data, aid []byte) bool {
	for _, template := range []uint32{0x6F, 0x62, 0x64, 0x61} {
		inside, ok := apdu.FindTLV(data, template)
		if !ok {
			continue
		}
		list, err := apdu.ParseTLV(inside)
		if err != nil {
			return false
		}
		for _, t := range list {
			if (t.Tag == 0x84 || t.Tag == 0x4F) && len(t.Value) >= len(aid) && string(t.Value[:len(aid)]) == string(aid) {
				return true
			}
		}
	}
	return false
}

// KeepAlive selects the application again. The card may forget a verified PIN.
func (c *Card) KeepAlive(ctx context.Context) error { return c.Select(ctx) }

// Identity reads the identifier as the profile says and selects the application
// again. A card without one is card.ErrUnrecognised: it cannot be told from
// others of its kind.
func (c *Card) Identity(ctx context.Context) (card.Identity, error) {
	raw, err := c.read(ctx)
	if len(c.profile.Identifier.Files) > 0 && err == nil {
		err = c.Select(ctx)
	}
	if err != nil {
		return card.Identity{}, err
	}
	id, printed, err := c.profile.Identifier.parse(raw)
	if err != nil {
		return card.Identity{}, err
	}
	return card.Identity{Family: card.FamilyISO7816, ID: id, Serial: printed, Model: c.profile.Title}, nil
}

// parse takes the identifier out of what was read.
func (i Identifier) parse(raw []byte) (id, printed string, err error) {
	if tag, decodeErr := hex.DecodeString(i.Tag); decodeErr == nil && len(tag) > 0 {
		var ok bool
		if raw, ok = find(raw, number(tag)); !ok {
			return "", "", fmt.Errorf("identifier without its tag %s: %w", i.Tag, card.ErrMalformed)
		}
	}
	if i.Offset+i.Length > len(raw) {
		return "", "", fmt.Errorf("identifier of %d bytes: %w", len(raw), card.ErrMalformed)
	}
	raw = raw[i.Offset:]
	if i.Length > 0 {
		raw = raw[:i.Length]
	}
	id, printed, ok := i.number(raw)
	if !ok {
		return "", "", fmt.Errorf("%w: its identifier is no number", card.ErrUnrecognised)
	}
	return id, printed, nil
}

// find gives the value of a data object at the beginning of b. What follows it
// is of no matter: a file is often longer than what is in it.
func find(b []byte, tag uint32) ([]byte, bool) {
	for len(b) > 0 {
		t, rest, err := apdu.ReadTLV(b)
		if err != nil {
			return nil, false
		}
		if t.Tag == tag {
			return t.Value, true
		}
		b = rest
	}
	return nil, false
}

func number(b []byte) (n uint32) {
	for _, x := range b {
		n = n<<8 | uint32(x)
	}
	return n
}

// read reads what the identifier is in.
func (c *Card) read(ctx context.Context) ([]byte, error) {
	i := c.profile.Identifier
	command := apdu.Command{Name: "READ BINARY", INS: insReadBinary, Answer: true}
	switch {
	case i.Object != "":
		tag, err := hex.DecodeString(i.Object)
		if err != nil {
			return nil, err
		}
		command.Name, command.INS = "GET DATA", insGetData
		command.P1, command.P2 = byte(number(tag)>>8), byte(number(tag))
	case i.SFI != "":
		command.P1 = 0x80 | i.SFI.value(0)
	default:
		for _, name := range i.Files {
			if err := c.selectFile(ctx, name); err != nil {
				return nil, err
			}
		}
	}
	r, err := c.send(ctx, command)
	if err != nil {
		return nil, err
	}
	// 6282: the end of the file came before what was asked for.
	if r.SW != apdu.OK && r.SW != 0x6282 {
		return nil, unidentified(command.Name, r.SW)
	}
	return r.Data, nil
}

func (c *Card) selectFile(ctx context.Context, name string) error {
	id, err := hex.DecodeString(name)
	if err != nil {
		return err
	}
	r, err := c.send(ctx, apdu.Command{Name: "SELECT", INS: insSelect, P2: 0x0C, Data: id})
	if err == nil && r.SW != apdu.OK {
		err = unidentified("SELECT "+name, r.SW)
	}
	return err
}

// unidentified is a card that has no such file or object: it is of another kind.
func unidentified(command string, sw uint16) error {
	return fmt.Errorf("%w: it has no identifier (%w)", card.ErrUnrecognised, card.StatusError{Command: command, SW: sw})
}

// Certificates: a profile does not say where they are.
func (c *Card) Certificates(context.Context) ([]card.Certificate, error) { return nil, nil }

// Prove is card.ErrNotSupported: a profile knows of no key.
func (c *Card) Prove(context.Context, [32]byte) (card.Proof, error) {
	return card.Proof{}, fmt.Errorf("a card of a profile: %w", card.ErrNotSupported)
}

// ProveVerified is card.ErrNotSupported.
func (c *Card) ProveVerified(ctx context.Context, digest [32]byte) (card.Proof, error) {
	return c.Prove(ctx, digest)
}

func (c *Card) send(ctx context.Context, command apdu.Command) (apdu.Response, error) {
	return apdu.Send(ctx, c.conn, command)
}

var errLength = errors.New("it cannot be right by its length or characters")
