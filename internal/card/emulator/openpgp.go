package emulator

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// OpenPGP is what the OpenPGP application holds.
type OpenPGP struct {
	Manufacturer  uint16            `json:"manufacturer"`
	Number        uint32            `json:"number"` // serial number
	PIN           Secret            `json:"pin"`    // PW1
	AdminPIN      Secret            `json:"admin_pin"`
	ResettingCode Secret            `json:"resetting_code"` // empty: none is set
	PINTries      int               `json:"pin_tries"`
	CodeTries     int               `json:"resetting_code_tries"`
	AdminTries    int               `json:"admin_pin_tries"`
	PINTotal      int               `json:"pin_tries_total"`
	KeyTotal      int               `json:"key_tries_total"`   // of PW3 and the resetting code
	Answers       string            `json:"answers,omitempty"` // what it says to a wrong PIN
	Created       int64             `json:"keys_created"`      // Unix seconds
	Signatures    uint32            `json:"signatures"`
	Keys          []Key             `json:"keys"`    // slots "SIG", "AUT"
	Objects       map[string][]byte `json:"objects"` // what can be written, by tag in hex
}

// What a card answers to a wrong PIN, and to one that is blocked. The standard
// allows all of them.
const (
	AnswerSecurity = ""      // 6982, and 6983 when blocked
	AnswerCount    = "count" // 63Cx, and 6983 when blocked
	AnswerAlike    = "alike" // 6982 for both
)

// Secret is a PIN or code as it crosses the interface: text, or a hash where
// the card derives its PINs. In a state file a hash is written as hex: and its
// digits.
type Secret []byte

const hexPrefix = "hex:"

// MarshalText writes it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the text, or the hash in hexadecimal.
func (s Secret) String() string {
	for _, b := range s {
		if b < 0x20 || b > 0x7E {
			return hexPrefix + hex.EncodeToString(s)
		}
	}
	return string(s)
}

// UnmarshalText reads it.
func (s *Secret) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), hexPrefix)
	if !ok {
		*s = bytes.Clone(text)
		return nil
	}
	raw, err := hex.DecodeString(digits)
	*s = raw
	return err
}

// Lengths of PINs and codes in bytes.
const (
	pgpMinPIN = 6
	pgpMinKey = 8
	pgpMax    = 127
)

func (o *OpenPGP) check() error {
	if len(o.PIN) < pgpMinPIN || len(o.AdminPIN) < pgpMinKey || len(o.PIN) > pgpMax || len(o.AdminPIN) > pgpMax ||
		len(o.ResettingCode) > pgpMax || len(o.ResettingCode) > 0 && len(o.ResettingCode) < pgpMinKey {
		return errors.New("an OpenPGP card's PIN has at least 6 characters, its admin PIN and resetting code at least 8")
	}
	if o.PINTries < 0 || o.CodeTries < 0 || o.AdminTries < 0 {
		return errBelowZero
	}
	switch o.Answers {
	case AnswerSecurity, AnswerCount, AnswerAlike:
		return nil
	}
	return fmt.Errorf("answers %q: use count, alike or nothing", o.Answers)
}

// Identifier is manufacturer and serial number in hexadecimal.
func (o *OpenPGP) Identifier() string { return hex.EncodeToString(o.aid()[8:14]) }

// aid is the application's whole identifier (section 4.2.1): version 3.4, maker
// and serial number.
func (o *OpenPGP) aid() []byte {
	aid := []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01, 0x03, 0x04}
	aid = binary.BigEndian.AppendUint16(aid, o.Manufacturer)
	return append(binary.BigEndian.AppendUint32(aid, o.Number), 0, 0)
}

// Manufacturers.
const (
	manufacturerYubico = 0x0006
	manufacturerTest   = 0xFF00 // "unmanaged S/N range"
)

func newOpenPGP(o Options) (*OpenPGP, error) {
	p := &OpenPGP{Manufacturer: manufacturerTest, Number: o.Serial, PIN: Secret(o.PIN), AdminPIN: Secret(or(o.AdminPIN, "12345678")),
		ResettingCode: Secret(o.ResettingCode), PINTries: o.PINTries, PINTotal: o.PINTries, AdminTries: o.PUKTries, KeyTotal: o.PUKTries,
		Answers: o.Answers, Created: o.Now.Unix(), Objects: map[string][]byte{
			"5B": []byte("Demonstration<<Latchkey"), "5F2D": []byte("en"), "5F35": []byte("9"), "5F50": {}, "5E": {}}}
	if o.ResettingCode != "" {
		p.CodeTries = o.PUKTries
	}
	if o.Family == FamilyYubiKey { // its decimal serial number in the digits of the hexadecimal one
		n, err := strconv.ParseUint(strconv.FormatUint(uint64(o.Serial), 10), 16, 32)
		if err != nil {
			return nil, fmt.Errorf("serial number %d of a YubiKey: %w", o.Serial, err)
		}
		p.Manufacturer, p.Number = manufacturerYubico, uint32(n)
	}
	for i, slot := range []string{"SIG", "AUT"} {
		k, err := newKey(slot, o, o.Algorithm, 8+i, nil)
		if err != nil {
			return nil, err
		}
		p.Keys = append(p.Keys, k)
	}
	p.Objects["7F21"] = p.Keys[1].Certificate
	if o.KDF {
		p.derive()
	}
	return p, p.check()
}

// derive has the card keep hashes, as "gpg --edit-card, kdf-setup" does.
func (o *OpenPGP) derive() {
	const count = 1 << 20
	salts := [][]byte{random(8), random(8), random(8)}
	for i, secret := range []*Secret{&o.PIN, &o.ResettingCode, &o.AdminPIN} {
		if len(*secret) > 0 {
			*secret = iterated(salts[i], *secret, count)
		}
	}
	o.Objects["F9"] = join(tlv(0x81, []byte{3}), tlv(0x82, []byte{8}), tlv(0x83, binary.BigEndian.AppendUint32(nil, count)),
		tlv(0x84, salts[0]), tlv(0x85, salts[1]), tlv(0x86, salts[2]), tlv(0x87, o.PIN), tlv(0x88, o.AdminPIN))
}

// iterated is the iterated and salted S2K of RFC 4880 section 3.7.1.3 with
// SHA-256, the plain way: the text is repeated and cut.
func iterated(salt, text []byte, count int) []byte {
	unit := join(salt, text)
	count = max(count, len(unit))
	sum := sha256.Sum256(bytes.Repeat(unit, count/len(unit)+1)[:count])
	return sum[:]
}

// openpgp is the OpenPGP application.
type openpgp struct {
	s *State

	signing, other, admin bool // verified: PW1 for signatures, PW1 for the rest, PW3
	occurrence            byte // of the certificate, by SELECT DATA: 0 is that of the authentication key
}

func (o *openpgp) aid() []byte { return o.s.OpenPGP.aid() }

func (o *openpgp) forget() { *o = openpgp{s: o.s} }

// selected gives the application's name, on a YubiKey nothing.
func (o *openpgp) selected(bool) []byte {
	o.forget()
	if o.s.YubiKey {
		return nil
	}
	return tlv(0x6F, tlv(0x84, o.aid()))
}

func (o *openpgp) answer(cmd command) ([]byte, uint16) {
	switch cmd.ins {
	case insSelect:
		return nil, swNotFound
	case insSelectData:
		return nil, o.selectData(cmd)
	case insGetDataSimple:
		return o.get(cmd)
	case insPutDataSimple:
		return nil, o.put(cmd)
	case insVerify:
		return nil, o.verify(cmd)
	case insChangeReference:
		return nil, o.change(cmd)
	case insResetRetryCounter:
		return nil, o.unblock(cmd)
	case insSign:
		return o.sign(cmd)
	case insInternalAuth:
		return o.authenticate(cmd)
	case insGenerate:
		return o.publicKey(cmd)
	case insChallenge:
		return random(min(max(cmd.le, 1), 255)), swOK
	case insOpenPGPVersion:
		if o.s.YubiKey {
			return bcd(o.s.firmware()), swOK
		}
	}
	return nil, swNoINS
}

// bcd writes numbers below 100 as two decimal digits.
func bcd(b []byte) []byte {
	out := make([]byte, len(b))
	for i, x := range b {
		out[i] = x/10<<4 | x%10
	}
	return out
}

// pw is one of the card's secrets with its counter.
type pw struct {
	value       *Secret
	tries       *int
	total, less int // less: its least length
}

func (o *openpgp) pin() pw {
	return pw{&o.s.OpenPGP.PIN, &o.s.OpenPGP.PINTries, o.s.OpenPGP.PINTotal, pgpMinPIN}
}

func (o *openpgp) adminPIN() pw {
	return pw{&o.s.OpenPGP.AdminPIN, &o.s.OpenPGP.AdminTries, o.s.OpenPGP.KeyTotal, pgpMinKey}
}

func (o *openpgp) code() pw {
	return pw{&o.s.OpenPGP.ResettingCode, &o.s.OpenPGP.CodeTries, o.s.OpenPGP.KeyTotal, pgpMinKey}
}

// blocked and wrong are this card's answers.
func (o *openpgp) blocked() uint16 {
	if o.s.OpenPGP.Answers == AnswerAlike {
		return swSecurity
	}
	return swBlocked
}

func (o *openpgp) wrong(left int) uint16 {
	if o.s.OpenPGP.Answers == AnswerCount {
		return 0x63C0 | uint16(min(left, 15))
	}
	return swSecurity
}

// present compares a secret and keeps its counter.
func (o *openpgp) present(p pw, value []byte) uint16 {
	if *p.tries == 0 {
		return o.blocked()
	}
	if len(*p.value) == 0 || subtle.ConstantTimeCompare(value, *p.value) != 1 {
		*p.tries--
		return o.wrong(*p.tries)
	}
	*p.tries = p.total
	return swOK
}

// verify is VERIFY (section 7.2.2).
func (o *openpgp) verify(cmd command) uint16 {
	mode := map[byte]*bool{0x81: &o.signing, 0x82: &o.other, 0x83: &o.admin}[cmd.p2]
	if mode == nil {
		return swReference
	}
	p := o.pin()
	if cmd.p2 == 0x83 {
		p = o.adminPIN()
	}
	switch {
	case cmd.p1 == 0xFF && len(cmd.data) == 0:
		*mode = false
		return swOK
	case cmd.p1 != 0:
		return swWrongP1P2
	case len(cmd.data) == 0 && *mode:
		return swOK
	case len(cmd.data) == 0 && *p.tries == 0:
		return o.blocked()
	case len(cmd.data) == 0:
		return 0x63C0 | uint16(min(*p.tries, 15))
	}
	sw := o.present(p, cmd.data)
	*mode = sw == swOK
	return sw
}

// change is CHANGE REFERENCE DATA (section 7.2.3).
func (o *openpgp) change(cmd command) uint16 {
	p := o.pin()
	switch {
	case cmd.p1 != 0:
		return swWrongP1P2
	case cmd.p2 == 0x83:
		p = o.adminPIN()
	case cmd.p2 != 0x81:
		return swReference
	}
	n := min(len(*p.value), len(cmd.data))
	if sw := o.present(p, cmd.data[:n]); sw != swOK {
		return sw
	}
	if !fits(cmd.data[n:], p.less) {
		return swWrongLength
	}
	*p.value = bytes.Clone(cmd.data[n:])
	return swOK
}

func fits(value []byte, less int) bool { return len(value) >= less && len(value) <= pgpMax }

// unblock is RESET RETRY COUNTER (section 7.2.4).
func (o *openpgp) unblock(cmd command) uint16 {
	if cmd.p2 != 0x81 {
		return swWrongP1P2
	}
	fresh, p := cmd.data, o.pin()
	switch cmd.p1 {
	case 0x00:
		code := o.code()
		n := min(len(*code.value), len(cmd.data))
		if sw := o.present(code, cmd.data[:n]); sw != swOK {
			return sw
		}
		fresh = cmd.data[n:]
	case 0x02:
		if !o.admin {
			return swSecurity
		}
	default:
		return swWrongP1P2
	}
	if !fits(fresh, p.less) {
		return swWrongLength
	}
	*p.value, *p.tries = bytes.Clone(fresh), p.total
	o.signing, o.other = false, false
	return swOK
}
