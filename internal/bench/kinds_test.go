package bench

import (
	"crypto/sha256"
	"encoding/hex"

	"latchkey/internal/card/apdu"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/gids"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/card/openpgp"
)

// kind is a kind of card.
type kind struct {
	name     string
	options  emulator.Options
	pin, key func(emulator.State) string
	proves   bool   // the outcome: one key is left then
	rotates  bool   // its key is replaced
	other    string // key that the bare commands give it
	bare     func(emulator.State) []command
}

// command is made once the answer to the one before is known.
type command func(last []byte) apdu.Command

func fixed(c apdu.Command) command { return func([]byte) apdu.Command { return c } }

func selects(aid []byte) command {
	return fixed(apdu.Command{Name: "select", INS: 0xA4, P1: 0x04, Data: aid, Answer: true})
}

const otherKey = "19283746"

// kinds are a YubiKey, another PIV card, and one of each other family, with the
// fewest commands that unlock it: select, read the identity, prove it where it
// can, unblock, change the key, verify, sign the outcome where it can.
func kinds() []kind {
	piv := kind{name: "YubiKey", proves: true, rotates: true, other: otherKey, bare: barePIV,
		pin: func(s emulator.State) string { return s.PIN }, key: func(s emulator.State) string { return s.PUK }}
	plain := piv
	plain.name, plain.options = "plain", emulator.Options{Plain: true}
	return []kind{piv, plain,
		{name: "GIDS", options: emulator.Options{Family: emulator.FamilyGIDS}, proves: true, bare: bareGIDS,
			pin: func(s emulator.State) string { return s.GIDS.PIN },
			key: func(s emulator.State) string { return string(unhex(s.GIDS.AdminKey)) }},
		{name: "OpenPGP", options: emulator.Options{Family: emulator.FamilyOpenPGP}, proves: true, rotates: true, other: otherKey, bare: bareOpenPGP,
			pin: func(s emulator.State) string { return s.OpenPGP.PIN.String() },
			key: func(s emulator.State) string { return s.OpenPGP.AdminPIN.String() }},
		{name: "ISO7816", options: emulator.Options{Family: emulator.FamilyISO7816}, rotates: true, other: otherKey, bare: bareISO,
			pin: func(s emulator.State) string { return s.ISO.PIN }, key: func(s emulator.State) string { return s.ISO.PUK }},
	}
}

func unhex(s string) []byte {
	raw, err := hex.DecodeString(s)
	if err != nil {
		panic(err) // a card in software has hexadecimal there
	}
	return raw
}

// padded is eight bytes.
func padded(s string, pad byte) []byte {
	out := []byte(s)
	for len(out) < 8 {
		out = append(out, pad)
	}
	return out
}

func barePIV(s emulator.State) []command {
	digest := sha256.Sum256([]byte("any"))
	known, next, pin := padded(s.PUK, 0xFF), padded(otherKey, 0xFF), padded(fresh, 0xFF)
	sign := fixed(apdu.Command{Name: "sign", INS: 0x87, P1: 0x11, P2: 0x9E, Answer: true,
		Data: apdu.EncodeTLV(0x7C, apdu.EncodeTLV(0x82), apdu.EncodeTLV(0x81, digest[:]))})
	return []command{
		selects([]byte{0xA0, 0x00, 0x00, 0x03, 0x08}),
		fixed(apdu.Command{Name: "identity", INS: 0xCB, P1: 0x3F, P2: 0xFF, Data: apdu.EncodeTLV(0x5C, []byte{0x5F, 0xC1, 0x02}), Answer: true}),
		sign,
		fixed(apdu.Command{Name: "unblock", INS: 0x2C, P2: 0x80, Data: append(known, pin...)}),
		fixed(apdu.Command{Name: "change", INS: 0x24, P2: 0x81, Data: append(known, next...)}),
		fixed(apdu.Command{Name: "verify", INS: 0x20, P2: 0x80, Data: pin}),
		sign,
	}
}

func bareGIDS(s emulator.State) []command {
	key, r1, z1 := unhex(s.GIDS.AdminKey), make([]byte, gidskey.NonceLength), make([]byte, 7)
	authenticate := func(tag uint32, value []byte) apdu.Command {
		return apdu.Command{Name: "authenticate", INS: 0x87, Data: apdu.EncodeTLV(0x7C, apdu.EncodeTLV(tag, value)), Answer: true}
	}
	return []command{
		selects(gids.AID[:]),
		fixed(apdu.Command{Name: "identity", INS: 0xCB, P1: 0xA0, P2: 0x12, Data: apdu.EncodeTLV(0x5C, []byte{0xDF, 0x20}), Answer: true}),
		fixed(apdu.Command{Name: "choose the key", INS: 0x22, P1: 0xC1, P2: 0xA4, Data: []byte{0x83, 0x01, 0x80}}),
		fixed(authenticate(0x81, r1)),
		func(last []byte) apdu.Command {
			r2, err := gids.ParseAuthentication(last, 0x81)
			if err != nil {
				return authenticate(0x82, nil) // which the card refuses
			}
			answer, err := gidskey.Mutual(key, r1, r2, z1)
			if err != nil {
				return authenticate(0x82, nil)
			}
			return authenticate(0x82, answer)
		},
		fixed(apdu.Command{Name: "unblock", INS: 0x2C, P1: 0x02, P2: 0x80, Data: []byte(fresh)}),
		fixed(apdu.Command{Name: "verify", INS: 0x20, P2: 0x80, Data: []byte(fresh)}),
	}
}

func bareOpenPGP(s emulator.State) []command {
	digest := sha256.Sum256([]byte("any"))
	known := s.OpenPGP.AdminPIN.String()
	return []command{
		selects(openpgp.AID[:]),
		fixed(apdu.Command{Name: "identity", INS: 0xCA, P2: 0x4F, Answer: true}),
		fixed(apdu.Command{Name: "admin PIN", INS: 0x20, P2: 0x83, Data: []byte(known)}),
		fixed(apdu.Command{Name: "unblock", INS: 0x2C, P1: 0x02, P2: 0x81, Data: []byte(fresh)}),
		fixed(apdu.Command{Name: "change", INS: 0x24, P2: 0x83, Data: []byte(known + otherKey)}),
		fixed(apdu.Command{Name: "verify", INS: 0x20, P2: 0x82, Data: []byte(fresh)}),
		fixed(apdu.Command{Name: "sign", INS: 0x88, Data: digest[:], Answer: true}),
	}
}

func bareISO(s emulator.State) []command {
	known, next, pin := padded(s.ISO.PUK, 0), padded(otherKey, 0), padded(fresh, 0)
	return []command{
		selects([]byte{0xA0, 0x00, 0x00, 0x00, 0x63, 'P', 'K', 'C', 'S', '-', '1', '5'}),
		fixed(apdu.Command{Name: "unblock", INS: 0x2C, P2: 0x01, Data: append(known, pin...)}),
		fixed(apdu.Command{Name: "change", INS: 0x24, P2: 0x02, Data: append(known, next...)}),
		fixed(apdu.Command{Name: "verify", INS: 0x20, P2: 0x01, Data: pin}),
	}
}
