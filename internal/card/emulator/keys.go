package emulator

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/des"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"

	"latchkey/internal/card/apdu"
)

// Algorithm identifiers (SP 800-78-5 table 9).
const (
	algTDES    = 0x03
	algRSA2048 = 0x07
	algP256    = 0x11
	algP384    = 0x14
)

// privateKey is a key of the card, ready for use.
type privateKey struct {
	algorithm byte
	signer    crypto.Signer
}

// key finds the key of a slot.
func (c *Card) key(slot byte) (privateKey, bool) {
	for _, k := range c.state.Keys {
		if k.Slot != fmt.Sprintf("%02X", slot) {
			continue
		}
		parsed, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		if err != nil {
			return privateKey{}, false
		}
		switch p := parsed.(type) {
		case *rsa.PrivateKey:
			return privateKey{algRSA2048, p}, true
		case *ecdsa.PrivateKey:
			if p.Curve == elliptic.P384() {
				return privateKey{algP384, p}, true
			}
			return privateKey{algP256, p}, true
		}
	}
	return privateKey{}, false
}

// public is the public key as metadata shows it.
func (k privateKey) public() []byte {
	switch p := k.signer.Public().(type) {
	case *rsa.PublicKey:
		return join(tlv(0x81, p.N.Bytes()), tlv(0x82, big.NewInt(int64(p.E)).Bytes()))
	case *ecdsa.PublicKey:
		point, _ := p.Bytes() // a key that was made here is on its curve
		return tlv(0x86, point)
	}
	return nil
}

func (c *Card) certificate(slot string) ([]byte, uint16) {
	for _, k := range c.state.Keys {
		if k.Slot != slot {
			continue
		}
		der, info := k.Certificate, byte(0)
		if c.state.GzipCerts {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, _ = w.Write(der) // to memory
			_ = w.Close()
			der, info = z.Bytes(), 1
		}
		return tlv(0x53, tlv(0x70, der), tlv(0x71, []byte{info}), tlv(0xFE)), swOK
	}
	return nil, swNotFound
}

// authenticate is GENERAL AUTHENTICATE (SP 800-73-4 part 2 section 3.2.4).
func (c *Card) authenticate(cmd command) ([]byte, uint16) {
	template, ok := apdu.FindTLV(cmd.data, 0x7C)
	if !ok {
		return nil, swWrongData
	}
	if cmd.p2 == slotManagement {
		return c.authenticateManagement(cmd.p1, template)
	}
	k, ok := c.key(cmd.p2)
	if !ok || k.algorithm != cmd.p1 {
		return nil, swWrongData
	}
	if cmd.p2 != slotCardAuth && !c.pinVerified {
		return nil, swSecurity
	}
	input, ok := apdu.FindTLV(template, 0x81)
	if !ok {
		return nil, swWrongData
	}
	signature, ok := k.sign(input)
	if !ok {
		return nil, swWrongData
	}
	return tlv(0x7C, tlv(0x82, signature)), swOK
}

// sign does what the card's key does with an input: the raw RSA operation, or
// ECDSA over the bytes.
func (k privateKey) sign(input []byte) ([]byte, bool) {
	switch p := k.signer.(type) {
	case *rsa.PrivateKey:
		m := new(big.Int).SetBytes(input)
		if len(input) != p.Size() || m.Cmp(p.N) >= 0 {
			return nil, false
		}
		return new(big.Int).Exp(m, p.D, p.N).FillBytes(make([]byte, p.Size())), true
	case *ecdsa.PrivateKey:
		if len(input) == 0 || len(input) > p.Params().BitSize/8 {
			return nil, false
		}
		r, s, err := ecdsa.Sign(rand.Reader, p, input)
		if err != nil {
			return nil, false
		}
		signature, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		return signature, err == nil
	}
	return nil, false
}

// authenticateManagement is the challenge and response, single or mutual, of
// the card management key.
func (c *Card) authenticateManagement(alg byte, template []byte) ([]byte, uint16) {
	key, err := hex.DecodeString(c.state.Management)
	if err != nil || alg != algTDES && alg != 0 {
		return nil, swWrongData
	}
	block, err := des.NewTripleDESCipher(key)
	if err != nil {
		return nil, swWrongData
	}
	list, err := apdu.ParseTLV(template)
	if err != nil {
		return nil, swWrongData
	}
	witness, hasWitness := apdu.Find(list, 0x80)
	challenge, hasChallenge := apdu.Find(list, 0x81)
	response, hasResponse := apdu.Find(list, 0x82)
	out := make([]byte, 8)
	switch {
	case hasWitness && len(witness) == 0: // mutual, step 1: the card's witness, enciphered
		c.challenge = random(8)
		block.Encrypt(out, c.challenge)
		return tlv(0x7C, tlv(0x80, out)), swOK
	case hasWitness && hasChallenge: // mutual, step 2
		if !bytes.Equal(witness, c.challenge) || len(challenge) != 8 {
			return nil, swSecurity
		}
		c.managed, c.challenge = true, nil
		block.Encrypt(out, challenge)
		return tlv(0x7C, tlv(0x82, out)), swOK
	case hasChallenge && len(challenge) == 0: // single, step 1
		c.challenge = random(8)
		return tlv(0x7C, tlv(0x81, c.challenge)), swOK
	case hasResponse && len(c.challenge) == 8: // single, step 2
		block.Encrypt(out, c.challenge)
		c.challenge = nil
		if c.managed = bytes.Equal(response, out); !c.managed {
			return nil, swSecurity
		}
		return nil, swOK
	}
	return nil, swWrongData
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

func tlv(tag uint32, parts ...[]byte) []byte { return apdu.EncodeTLV(tag, parts...) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
