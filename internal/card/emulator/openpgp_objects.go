package emulator

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1" // fingerprints of RFC 4880 section 12.2
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"

	"latchkey/internal/card/apdu"
)

// openpgpHistory is the historical bytes (section 6.2): command chaining,
// extended length, application operational.
func openpgpHistory() []byte {
	return []byte{0x00, 0x73, 0x00, 0x00, 0xE0, 0x05, 0x90, 0x00}
}

// get is GET DATA (section 7.2.6).
func (o *openpgp) get(cmd command) ([]byte, uint16) {
	s := o.s.OpenPGP
	tag := uint32(cmd.p1)<<8 | uint32(cmd.p2)
	var value []byte
	switch tag {
	case 0x4F:
		return o.aid(), swOK
	case 0x5F52:
		return openpgpHistory(), swOK
	case 0xC4:
		return o.status(), swOK
	case 0x65:
		value = join(tlv(0x5B, s.Objects["5B"]), tlv(0x5F2D, s.Objects["5F2D"]), tlv(0x5F35, s.Objects["5F35"]))
	case 0x6E:
		value = o.application()
	case 0x7A:
		value = tlv(0x93, binary.BigEndian.AppendUint32(nil, s.Signatures)[1:])
	case 0xD6, 0xD7, 0xD8: // touch is never asked for
		return []byte{0x00, 0x20}, swOK
	case 0xD9: // of a YubiKey's attestation key
		if !o.s.YubiKey {
			return nil, swReference
		}
		return []byte{0x00, 0x20}, swOK
	case 0x7F21:
		if o.occurrence != 0 {
			return nil, swOK
		}
		return s.Objects["7F21"], swOK
	case 0xF9:
		if kdf, ok := s.Objects["F9"]; ok {
			return kdf, swOK
		}
		return tlv(0x81, []byte{0}), swOK
	case 0x0103:
		if !o.other {
			return nil, swSecurity
		}
		return s.Objects["103"], swOK
	case 0x0104:
		if !o.admin {
			return nil, swSecurity
		}
		return s.Objects["104"], swOK
	case 0x5E, 0x5F50, 0x0101, 0x0102:
		return s.Objects[fmt.Sprintf("%X", tag)], swOK
	default:
		return nil, swReference
	}
	if o.s.YubiKey { // it repeats the tag of a constructed object, other cards don't
		value = tlv(tag, value)
	}
	return value, swOK
}

// selectData is SELECT DATA (section 7.2.5) of the certificate, of which there
// is one for each key.
func (o *openpgp) selectData(cmd command) uint16 {
	if cmd.p2 != 0x04 || cmd.p1 > 2 || !bytes.Equal(cmd.data, []byte{0x60, 0x04, 0x5C, 0x02, 0x7F, 0x21}) {
		return swWrongData
	}
	o.occurrence = cmd.p1
	return swOK
}

// status is the PW status bytes.
func (o *openpgp) status() []byte {
	s := o.s.OpenPGP
	const mode = 0 // PW1 is good for one signature
	return []byte{mode, pgpMax, pgpMax, pgpMax, byte(s.PINTries), byte(s.CodeTries), byte(s.AdminTries)}
}

// application is the application related data (section 4.4.3.1).
func (o *openpgp) application() []byte {
	s := o.s.OpenPGP
	// GET CHALLENGE, changeable PW status, private objects, KDF; certificates of
	// 2048 bytes, special objects of 255.
	extended := []byte{0x59, 0x00, 0x00, 0xFF, 0x08, 0x00, 0x00, 0xFF, 0x00, 0x00}
	var prints, times []byte
	for _, slot := range []string{"SIG", "DEC", "AUT"} {
		k, ok := findKey(s.Keys, slot)
		when := uint32(0)
		print := make([]byte, 20)
		if ok {
			when = uint32(s.Created)
			print = k.fingerprint(when)
		}
		prints, times = append(prints, print...), binary.BigEndian.AppendUint32(times, when)
	}
	return join(tlv(0x4F, o.aid()), tlv(0x5F52, openpgpHistory()), tlv(0x7F66, tlv(0x02, []byte{0x08, 0x00}), tlv(0x02, []byte{0x08, 0x00})),
		tlv(0x73, tlv(0xC0, extended), tlv(0xC1, o.attributes("SIG")), tlv(0xC2, o.attributes("DEC")), tlv(0xC3, o.attributes("AUT")),
			tlv(0xC4, o.status()), tlv(0xC5, prints), tlv(0xC6, make([]byte, 60)), tlv(0xCD, times),
			tlv(0xDE, []byte{1, 1, 2, 0, 3, 1})))
}

// attributes are the algorithm attributes of a key; an empty slot says RSA 2048.
func (o *openpgp) attributes(slot string) []byte {
	k, _ := findKey(o.s.OpenPGP.Keys, slot)
	switch k.algorithm {
	case algP256:
		return []byte("\x13\x2A\x86\x48\xCE\x3D\x03\x01\x07")
	case algP384:
		return []byte("\x13\x2B\x81\x04\x00\x22")
	case algEd25519:
		return []byte("\x16\x2B\x06\x01\x04\x01\xDA\x47\x0F\x01")
	}
	return []byte{0x01, 0x08, 0x00, 0x00, 0x20, 0x00}
}

// fingerprint is that of a version 4 public key packet.
func (k privateKey) fingerprint(created uint32) []byte {
	body := binary.BigEndian.AppendUint32([]byte{4}, created)
	switch p := k.signer.Public().(type) {
	case *rsa.PublicKey:
		body = join(body, []byte{1}, mpi(p.N.Bytes()), mpi(big.NewInt(int64(p.E)).Bytes()))
	case *ecdsa.PublicKey:
		oid := []byte("\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07")
		if k.algorithm == algP384 {
			oid = []byte("\x05\x2B\x81\x04\x00\x22")
		}
		point, _ := p.Bytes() // a key that was made here is on its curve
		body = join(body, []byte{19}, oid, mpi(point))
	case ed25519.PublicKey:
		body = join(body, []byte{22}, []byte("\x09\x2B\x06\x01\x04\x01\xDA\x47\x0F\x01"), mpi(append([]byte{0x40}, p...)))
	}
	sum := sha1.Sum(join([]byte{0x99, byte(len(body) >> 8), byte(len(body))}, body))
	return sum[:]
}

// mpi is a number of RFC 4880 section 3.2.
func mpi(b []byte) []byte {
	n := 8*(len(b)-1) + bits.Len8(b[0])
	return append([]byte{byte(n >> 8), byte(n)}, b...)
}

// put is PUT DATA (section 7.2.8). Keys are never rewritten: the card is issued.
func (o *openpgp) put(cmd command) uint16 {
	tag := uint32(cmd.p1)<<8 | uint32(cmd.p2)
	allowed := o.admin
	if tag == 0x0101 || tag == 0x0103 {
		allowed = o.other
	}
	if !allowed {
		return swSecurity
	}
	switch tag {
	case 0xD3:
		return o.putCode(cmd.data)
	case 0xF9:
		return o.putKDF(cmd.data)
	case 0xC4:
		return swOK // signatures are asked for one by one all the same
	case 0x7F21:
		if o.occurrence != 0 {
			return swSecurity
		}
		fallthrough
	case 0x5B, 0x5E, 0x5F2D, 0x5F35, 0x5F50, 0x0101, 0x0102, 0x0103, 0x0104:
		o.s.OpenPGP.Objects[fmt.Sprintf("%X", tag)] = bytes.Clone(cmd.data)
		return swOK
	}
	return swSecurity
}

// putCode sets the resetting code, or takes it away.
func (o *openpgp) putCode(value []byte) uint16 {
	s := o.s.OpenPGP
	switch {
	case len(value) == 0:
		s.ResettingCode, s.CodeTries = nil, 0
	case !fits(value, pgpMinKey):
		return swWrongLength
	default:
		s.ResettingCode, s.CodeTries = bytes.Clone(value), s.KeyTotal
	}
	return swOK
}

// putKDF sets how PINs are derived; the object brings the PINs that go with it.
func (o *openpgp) putKDF(value []byte) uint16 {
	s := o.s.OpenPGP
	list, err := apdu.ParseTLV(value)
	if err != nil {
		return swWrongData
	}
	alg, _ := apdu.Find(list, 0x81)
	pin, hasPIN := apdu.Find(list, 0x87)
	admin, hasAdmin := apdu.Find(list, 0x88)
	switch {
	case len(alg) != 1:
		return swWrongData
	case alg[0] != 0 && (!hasPIN || !hasAdmin || !fits(pin, pgpMinPIN) || !fits(admin, pgpMinKey)):
		return swWrongData
	case alg[0] == 0: // off: the PINs are those of the factory
		pin, admin = []byte("123456"), []byte("12345678")
	}
	s.PIN, s.AdminPIN, s.ResettingCode = bytes.Clone(pin), bytes.Clone(admin), nil
	s.PINTries, s.AdminTries, s.CodeTries = s.PINTotal, s.KeyTotal, 0
	s.Objects["F9"] = bytes.Clone(value)
	o.forget()
	return swOK
}

// sign is PERFORM SECURITY OPERATION: COMPUTE DIGITAL SIGNATURE (section 7.2.10).
func (o *openpgp) sign(cmd command) ([]byte, uint16) {
	if cmd.p1 != 0x9E || cmd.p2 != 0x9A {
		return nil, swWrongP1P2
	}
	if !o.signing {
		return nil, swSecurity
	}
	o.signing = false // good for one
	signature, sw := o.use("SIG", cmd.data)
	if sw == swOK {
		o.s.OpenPGP.Signatures++
	}
	return signature, sw
}

// authenticate is INTERNAL AUTHENTICATE (section 7.2.13).
func (o *openpgp) authenticate(cmd command) ([]byte, uint16) {
	if cmd.p1 != 0 || cmd.p2 != 0 {
		return nil, swWrongP1P2
	}
	if !o.other {
		return nil, swSecurity
	}
	return o.use("AUT", cmd.data)
}

func (o *openpgp) use(slot string, input []byte) ([]byte, uint16) {
	k, ok := findKey(o.s.OpenPGP.Keys, slot)
	if !ok {
		return nil, swReference
	}
	signature, ok := k.signPlain(input)
	if !ok {
		return nil, swWrongData
	}
	return signature, swOK
}

// publicKey is GENERATE ASYMMETRIC KEY PAIR (section 7.2.14), reading alone.
func (o *openpgp) publicKey(cmd command) ([]byte, uint16) {
	if cmd.p1 != 0x81 || len(cmd.data) == 0 {
		return nil, swSecurity
	}
	k, ok := findKey(o.s.OpenPGP.Keys, map[byte]string{0xB6: "SIG", 0xB8: "DEC", 0xA4: "AUT"}[cmd.data[0]])
	if !ok {
		return nil, swReference
	}
	return tlv(0x7F49, k.public()), swOK
}
