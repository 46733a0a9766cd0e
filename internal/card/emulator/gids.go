package emulator

import (
	"bytes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"latchkey/internal/card/apdu"
)

// GIDS is what the GIDS application holds.
type GIDS struct {
	Initialised bool              `json:"initialised"` // until then anything may be written
	PIN         string            `json:"pin"`
	PINTries    int               `json:"pin_tries"`
	PINTotal    int               `json:"pin_tries_total"`
	AdminKey    string            `json:"administration_key"` // 24 bytes in hex
	External    bool              `json:"external_only,omitempty"`
	Files       map[string]access `json:"files"`   // by identifier in hex: "A010"
	Objects     map[string][]byte `json:"objects"` // by file and tag in hex: "A010/DF21"
	Keys        []Key             `json:"keys"`    // slots "81" and on
}

// access says who may write and read the objects of a file: a byte of the GIDS
// specification's security attributes each.
type access struct {
	Write byte `json:"write"`
	Read  byte `json:"read"`
}

// Access conditions.
const (
	accessAlways = 0x00
	accessUser   = 0x10
	accessAdmin  = 0x20
	accessNever  = 0xFF
)

// Lengths of a PIN in bytes.
const (
	gidsMinPIN = 4
	gidsMaxPIN = 16
)

func (g *GIDS) check() error {
	key, err := hex.DecodeString(g.AdminKey)
	if err != nil || len(key) != 24 && len(key) != 0 || g.Initialised && len(key) == 0 {
		return errors.New("the administration key is not 24 bytes")
	}
	if g.Initialised && (len(g.PIN) < gidsMinPIN || len(g.PIN) > gidsMaxPIN) {
		return fmt.Errorf("a GIDS card's PIN has %d to %d characters", gidsMinPIN, gidsMaxPIN)
	}
	if g.PINTries < 0 {
		return errBelowZero
	}
	return nil
}

// Identifier is the card identifier in hexadecimal.
func (g *GIDS) Identifier() string { return hex.EncodeToString(g.Objects["A012/DF20"]) }

// gids is the GIDS application.
type gids struct {
	s *GIDS

	file     string // the file selected last, in hex
	verified bool
	admin    bool   // authenticated with the administration key
	chosen   bool   // the administration key, by MANAGE SECURITY ENVIRONMENT
	ours     []byte // the card's open challenge
	theirs   []byte // R1 of a mutual authentication
	signing  byte   // key reference for signatures
	padded   bool   // the card pads what it signs
}

func (g *gids) aid() []byte {
	return []byte{0xA0, 0, 0, 0x03, 0x97, 0x42, 0x54, 0x46, 0x59, 0x02, 0x01}
}

// selected gives the application template: identifier and cryptographic
// mechanisms.
func (g *gids) selected(bool) []byte {
	g.forget()
	return tlv(0x61, tlv(0x4F, g.aid()), tlv(0x73, tlv(0x40, []byte{0xC0})))
}

func (g *gids) forget() { *g = gids{s: g.s} }

func (g *gids) answer(cmd command) ([]byte, uint16) {
	switch cmd.ins {
	case insSelect:
		return nil, g.selectFile(cmd)
	case insVerify:
		return nil, g.verify(cmd)
	case insChangeReference:
		return nil, g.change(cmd)
	case insResetRetryCounter:
		return nil, g.unblock(cmd)
	case insManageSecurity:
		return nil, g.choose(cmd)
	case insAuthenticate:
		return g.authenticate(cmd)
	case insSign:
		return g.sign(cmd)
	case insGetData:
		return g.get(cmd)
	case insPutData:
		return nil, g.put(cmd)
	case insCreate:
		return nil, g.create(cmd)
	case insActivate:
		return nil, g.activate()
	}
	return nil, swNoINS
}

// allowed judges an access condition. Before it is initialised a card allows
// everything.
func (g *gids) allowed(condition byte) bool {
	switch {
	case !g.s.Initialised, condition == accessAlways:
		return true
	case condition == accessNever:
		return false
	}
	return condition&accessUser != 0 && g.verified || condition&accessAdmin != 0 && g.admin
}

func (g *gids) verify(cmd command) uint16 {
	switch {
	case cmd.p1 != 0:
		return swWrongP1P2
	case cmd.p2 == 0x82: // forgets every authentication
		g.forget()
		return swOK
	case cmd.p2 != 0x80 && cmd.p2 != 0x00:
		return swReference
	case g.s.PINTries == 0:
		return swBlocked
	case len(cmd.data) == 0 && !g.s.Initialised:
		return swOK
	case len(cmd.data) == 0, len(cmd.data) < gidsMinPIN, len(cmd.data) > gidsMaxPIN: // spends nothing
		return refused(g.s.PINTries)
	}
	return g.present(cmd.data)
}

// present compares a PIN and keeps its counter.
func (g *gids) present(value []byte) uint16 {
	if subtle.ConstantTimeCompare(value, []byte(g.s.PIN)) != 1 {
		g.verified = false
		g.s.PINTries--
		return 0x63C0 | uint16(min(g.s.PINTries, 15))
	}
	g.s.PINTries, g.verified = g.s.PINTotal, true
	return swOK
}

// change is CHANGE REFERENCE DATA: P1 = 01 sets a PIN without the old one.
func (g *gids) change(cmd command) uint16 {
	if cmd.p2 != 0x80 && cmd.p2 != 0x00 {
		return swReference
	}
	switch cmd.p1 {
	case 0x01:
		if len(cmd.data) < gidsMinPIN || len(cmd.data) > gidsMaxPIN {
			return swWrongLength
		}
		if g.s.Initialised && !g.verified {
			return swSecurity
		}
		g.s.PIN, g.s.PINTries = string(cmd.data), g.s.PINTotal
		return swOK
	case 0x00:
		n := min(len(g.s.PIN), len(cmd.data))
		if len(cmd.data) < 2*gidsMinPIN || len(cmd.data) > 2*gidsMaxPIN {
			return refused(g.s.PINTries)
		}
		if g.s.PINTries == 0 {
			return swBlocked
		}
		if sw := g.present(cmd.data[:n]); sw != swOK {
			return sw
		}
		fresh := cmd.data[n:]
		if len(fresh) < gidsMinPIN || len(fresh) > gidsMaxPIN {
			return swWrongLength
		}
		g.s.PIN = string(fresh)
		return swOK
	}
	return swWrongP1P2
}

// unblock is RESET RETRY COUNTER. It ends the authentication.
func (g *gids) unblock(cmd command) uint16 {
	switch {
	case !g.s.Initialised:
		return swNotAllowed
	case cmd.p1 != 0x02:
		return swWrongP1P2
	case cmd.p2 != 0x80:
		return swReference
	case !g.admin:
		return swSecurity
	case len(cmd.data) < gidsMinPIN || len(cmd.data) > gidsMaxPIN:
		return swWrongLength
	}
	g.s.PIN, g.s.PINTries = string(cmd.data), g.s.PINTotal
	g.forget()
	return swOK
}

// choose is MANAGE SECURITY ENVIRONMENT.
func (g *gids) choose(cmd command) uint16 {
	list, err := apdu.ParseTLV(cmd.data)
	if err != nil {
		return swWrongData
	}
	switch {
	case cmd.p1 == 0xC1 && cmd.p2 == 0xA4:
		ref, _ := apdu.Find(list, 0x83)
		if !bytes.Equal(ref, []byte{0x80}) {
			return swReference
		}
		g.chosen = true
		return swOK
	case cmd.p1 == 0x41 && cmd.p2 == 0xB6:
		alg, _ := apdu.Find(list, 0x80)
		ref, ok := apdu.Find(list, 0x84)
		if !ok {
			ref, _ = apdu.Find(list, 0x83)
		}
		if len(ref) != 1 || len(alg) != 1 || alg[0]&0x0F != 0x07 {
			return swWrongData
		}
		if _, ok := findKey(g.s.Keys, fmt.Sprintf("%02X", ref[0])); !ok {
			return swReference
		}
		g.signing, g.padded = ref[0], alg[0]&0xF0 == 0x50
		return swOK
	}
	return swWrongP1P2
}

// authenticate is GENERAL AUTHENTICATE with the administration key.
func (g *gids) authenticate(cmd command) ([]byte, uint16) {
	template, ok := apdu.FindTLV(cmd.data, 0x7C)
	switch {
	case !g.s.Initialised:
		return nil, swNotAllowed
	case cmd.p1 != 0 || cmd.p2 != 0:
		return nil, swWrongP1P2
	case !ok:
		return nil, swWrongData
	case !g.chosen:
		return nil, swConditions
	}
	if challenge, ok := apdu.FindTLV(template, 0x81); ok {
		return g.open(challenge)
	}
	if response, ok := apdu.FindTLV(template, 0x82); ok {
		return g.respond(response)
	}
	return nil, swWrongData
}

// open begins an authentication: mutual with 16 bytes, external with none.
func (g *gids) open(challenge []byte) ([]byte, uint16) {
	g.admin, g.ours, g.theirs = false, nil, nil
	switch {
	case len(challenge) == 0:
		g.ours = random(8)
	case len(challenge) == 16 && !g.s.External:
		g.ours, g.theirs = random(16), bytes.Clone(challenge)
	default:
		return nil, swWrongData
	}
	return tlv(0x7C, tlv(0x81, g.ours)), swOK
}

// respond checks the answer to the open challenge, which is good for one.
func (g *gids) respond(response []byte) ([]byte, uint16) {
	ours, theirs := g.ours, g.theirs
	g.ours, g.theirs = nil, nil
	key, err := hex.DecodeString(g.s.AdminKey)
	if err != nil || ours == nil {
		return nil, swConditions
	}
	block, err := des.NewTripleDESCipher(key)
	if err != nil {
		return nil, swConditions
	}
	want := len(ours)
	if theirs != nil {
		want = 40
	}
	if len(response) != want {
		return nil, swSecurity
	}
	plain := make([]byte, want)
	cipher.NewCBCDecrypter(block, make([]byte, 8)).CryptBlocks(plain, response)
	if theirs == nil {
		if g.admin = bytes.Equal(plain, ours); !g.admin {
			return nil, swSecurity
		}
		return nil, swOK
	}
	if !bytes.Equal(plain[:16], ours) || !bytes.Equal(plain[16:32], theirs) || plain[39] != 0x80 {
		return nil, swSecurity
	}
	g.admin = true
	reply := join(theirs, ours, random(7), []byte{0x80})
	cipher.NewCBCEncrypter(block, make([]byte, 8)).CryptBlocks(reply, reply)
	return tlv(0x7C, tlv(0x82, reply)), swOK
}

// sign is PERFORM SECURITY OPERATION: COMPUTE DIGITAL SIGNATURE.
func (g *gids) sign(cmd command) ([]byte, uint16) {
	if cmd.p1 != 0x9E || cmd.p2 != 0x9A {
		return nil, swWrongP1P2
	}
	k, ok := findKey(g.s.Keys, fmt.Sprintf("%02X", g.signing))
	if !ok {
		return nil, swConditions
	}
	if !g.allowed(accessUser) {
		return nil, swSecurity
	}
	sign := k.signDER
	if g.padded {
		sign = k.signPlain
	}
	signature, ok := sign(cmd.data)
	if !ok {
		return nil, swWrongData
	}
	return signature, swOK
}
