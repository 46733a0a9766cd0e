// Package openpgp speaks to cards with the OpenPGP application: "Functional
// Specification of the OpenPGP application on ISO Smart Card Operating Systems",
// version 3.4.1, and the older 2.x and 3.x.
//
// Such a card has a PIN (PW1), an admin PIN (PW3), which can set it, and
// optionally a resetting code, which can do that too. The tries of all three
// are read from the PW status bytes (DO C4) before anything is presented and
// after every refusal: the status words alone don't tell a wrong key from a
// blocked one on every card. A card whose PINs are derived (KDF, DO F9) in a
// way that is not known here is never presented anything.
package openpgp

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

var (
	_ card.KeyUnblocker        = (*Card)(nil)
	_ card.ResettingCodeSetter = (*Card)(nil)
)

// AID is the application's identifier without version, maker and serial number
// (section 4.2.1).
var AID = [...]byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01}

// Instructions (section 7.1).
const (
	insVerify               = 0x20
	insChangeReference      = 0x24
	insResetRetryCounter    = 0x2C
	insGenerate             = 0x47
	insInternalAuthenticate = 0x88
	insSelect               = 0xA4
	insGetData              = 0xCA
	insPutData              = 0xDA
)

// Data objects (section 4.4).
const (
	objectAID           = 0x4F
	objectApplication   = 0x6E
	objectDiscretionary = 0x73
	objectResettingCode = 0xD3
	objectAlgorithm     = 0xC3 // of the authentication key
	objectPWStatus      = 0xC4
	objectKDF           = 0xF9
	objectCertificate   = 0x7F21
)

// References of VERIFY (section 7.2.2).
const (
	refPW1Other = 0x82 // PW1 for everything but signatures
	refPW1      = 0x81
	refPW3      = 0x83
)

// Card is an OpenPGP card whose application is selected. It implements
// card.KeyUnblocker and card.ResettingCodeSetter.
type Card struct {
	conn apdu.Transmitter
	// What was read when the application was selected.
	aid       [16]byte
	status    Status
	algorithm []byte // attributes of the authentication key
	kdf       KDF
	kdfErr    error // why no PIN can be presented
}

// Open selects the OpenPGP application. card.ErrUnrecognised means that the
// card has none; a card that answers "fine" to any SELECT does not pass.
func Open(ctx context.Context, conn apdu.Transmitter) (*Card, error) {
	c := &Card{conn: conn}
	if err := c.Select(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Family is card.FamilyOpenPGP.
func (c *Card) Family() card.Family { return card.FamilyOpenPGP }

// minPIN and minKey are the least lengths (section 4.3.1), in bytes.
const (
	minPIN = 6
	minKey = 8
)

// PINRules: at least 6 bytes, at most what the card says. A derived PIN is as
// long as its hash, so any length that can be typed will do.
func (c *Card) PINRules() card.PINRules {
	rules := card.PINRules{MinLength: minPIN, MaxLength: c.status.MaxPIN}
	if c.kdf.Hash != HashNone {
		rules.MaxLength = maxDerivedFrom
	}
	return rules
}

// Select selects the application (section 7.2.1) and reads what stays as it is
// until the next SELECT. Many cards answer SELECT with nothing, so it is the
// AID that tells whether this is such a card.
func (c *Card) Select(ctx context.Context) error {
	r, err := c.send(ctx, apdu.Command{Name: "SELECT", INS: insSelect, P1: 0x04, Data: AID[:], Answer: true})
	if err != nil {
		return err
	}
	if r.SW != apdu.OK {
		return card.ErrUnrecognised
	}
	aid, err := c.getData(ctx, objectAID)
	var status card.StatusError
	switch {
	case errors.Is(err, errNoObject), errors.As(err, &status):
		return card.ErrUnrecognised
	case err != nil:
		return err
	case len(aid) != len(c.aid) || string(aid[:len(AID)]) != string(AID[:]):
		return card.ErrUnrecognised
	}
	copy(c.aid[:], aid)
	if err := c.readApplication(ctx); err != nil {
		return err
	}
	return c.readKDF(ctx)
}

// readApplication reads the application related data (section 4.4.3.1).
func (c *Card) readApplication(ctx context.Context) error {
	object, err := c.getData(ctx, objectApplication)
	if err != nil {
		return fmt.Errorf("application related data: %w", unreadable(err))
	}
	a, err := ParseApplication(object)
	if err != nil {
		return err
	}
	c.status, c.algorithm = a.Status, a.Authentication
	return nil
}

// unreadable: what every card of the family has, this one has not.
func unreadable(err error) error {
	if errors.Is(err, errNoObject) {
		return card.ErrMalformed
	}
	return err
}

// KeepAlive reads the AID: cheap and without effect.
func (c *Card) KeepAlive(ctx context.Context) error {
	_, err := c.getData(ctx, objectAID)
	return err
}

// Identity is in the AID: version, manufacturer and serial number.
func (c *Card) Identity(context.Context) (card.Identity, error) {
	return ParseAID(c.aid), nil
}

// yubico is a manufacturer that writes its decimal serial numbers into the
// number's hexadecimal digits.
const yubico = "0006"

// ParseAID reads the identity of a card (section 4.2.1): bytes 7 and 8 are the
// version, 9 and 10 the manufacturer, 11 to 14 the serial number.
func ParseAID(aid [16]byte) card.Identity {
	id := card.Identity{Family: card.FamilyOpenPGP, ID: hex.EncodeToString(aid[8:14]),
		Serial: strings.ToUpper(hex.EncodeToString(aid[10:14])), Model: fmt.Sprintf("OpenPGP card %X.%X", aid[6], aid[7])}
	if id.ID[:4] == yubico && strings.Trim(id.Serial, "0123456789") == "" {
		id.Serial, id.Model = strings.TrimLeft(id.Serial, "0"), "YubiKey, "+id.Model
	}
	return id
}

// Certificates reads the certificate of the authentication key (DO 7F21).
func (c *Card) Certificates(ctx context.Context) ([]card.Certificate, error) {
	der, err := c.getData(ctx, objectCertificate)
	if errors.Is(err, errNoObject) || err == nil && len(der) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []card.Certificate{{Slot: slotAuthentication, DER: der}}, nil
}

// State reads the PW status bytes.
func (c *Card) State(ctx context.Context) (card.State, error) {
	s, err := c.readStatus(ctx)
	if err != nil {
		return card.State{}, err
	}
	return card.State{PIN: counter(s.PIN), Keys: map[card.KeyKind]card.Counter{
		card.KeyAdminPIN: counter(s.AdminPIN), card.KeyResettingCode: counter(s.ResettingCode)}}, nil
}

func counter(left int) card.Counter { return card.Counter{Known: true, Left: left} }

// readStatus reads DO C4, or where a card does not give it alone, as a part of
// the application related data.
func (c *Card) readStatus(ctx context.Context) (Status, error) {
	object, err := c.getData(ctx, objectPWStatus)
	if errors.Is(err, errNoObject) {
		if err := c.readApplication(ctx); err != nil {
			return Status{}, err
		}
		return c.status, nil
	}
	if err != nil {
		return Status{}, err
	}
	return ParseStatus(object)
}

// Prove: every key of such a card needs the PIN.
func (c *Card) Prove(context.Context, [32]byte) (card.Proof, error) {
	return card.Proof{}, fmt.Errorf("sign without a PIN: %w", card.ErrNotSupported)
}

var errNoObject = errors.New("no such data object")

// getData reads a data object (section 7.2.6) without its tag, which some cards
// repeat in front of constructed objects.
func (c *Card) getData(ctx context.Context, tag uint16) ([]byte, error) {
	r, err := c.send(ctx, apdu.Command{Name: "GET DATA", INS: insGetData, P1: byte(tag >> 8), P2: byte(tag), Answer: true})
	if err != nil {
		return nil, err
	}
	switch r.SW {
	case apdu.OK:
	case apdu.ReferenceNotFound, apdu.NotFound, apdu.WrongP1P2, apdu.WrongP1P2Alone, apdu.FunctionUnsupported, apdu.InsUnsupported:
		return nil, errNoObject
	default:
		return nil, card.StatusError{Command: "GET DATA", SW: r.SW}
	}
	if outer, rest, err := apdu.ReadTLV(r.Data); err == nil && outer.Tag == uint32(tag) && len(rest) == 0 {
		return outer.Value, nil
	}
	return r.Data, nil
}

func (c *Card) send(ctx context.Context, command apdu.Command) (apdu.Response, error) {
	return apdu.Send(ctx, c.conn, command)
}
