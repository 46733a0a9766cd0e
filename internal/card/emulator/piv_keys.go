package emulator

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/hex"
	"fmt"

	"latchkey/internal/card/apdu"
)

// key finds the key of a slot.
func (c *piv) key(slot byte) (privateKey, bool) { return findKey(c.s.Keys, fmt.Sprintf("%02X", slot)) }

func (c *piv) certificate(slot string) ([]byte, uint16) {
	for _, k := range c.s.Keys {
		if k.Slot != slot || len(k.Certificate) == 0 {
			continue
		}
		der, info := k.Certificate, byte(0)
		if c.s.GzipCerts {
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
func (c *piv) authenticate(cmd command) ([]byte, uint16) {
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
	signature, ok := k.signDER(input)
	if !ok {
		return nil, swWrongData
	}
	return tlv(0x7C, tlv(0x82, signature)), swOK
}

// authenticateManagement is the challenge and response, single or mutual, of
// the card management key.
func (c *piv) authenticateManagement(alg byte, template []byte) ([]byte, uint16) {
	block, err := c.management(alg)
	if err != nil {
		return nil, swWrongData
	}
	size := block.BlockSize()
	list, err := apdu.ParseTLV(template)
	if err != nil {
		return nil, swWrongData
	}
	witness, hasWitness := apdu.Find(list, 0x80)
	challenge, hasChallenge := apdu.Find(list, 0x81)
	response, hasResponse := apdu.Find(list, 0x82)
	out := make([]byte, size)
	switch {
	case hasWitness && len(witness) == 0: // mutual, step 1: the card's witness, enciphered
		c.challenge = random(size)
		block.Encrypt(out, c.challenge)
		return tlv(0x7C, tlv(0x80, out)), swOK
	case hasWitness && hasChallenge: // mutual, step 2
		if !bytes.Equal(witness, c.challenge) || len(challenge) != size {
			return nil, swSecurity
		}
		c.managed, c.challenge = true, nil
		block.Encrypt(out, challenge)
		return tlv(0x7C, tlv(0x82, out)), swOK
	case hasChallenge && len(challenge) == 0: // single, step 1
		c.challenge = random(size)
		return tlv(0x7C, tlv(0x81, c.challenge)), swOK
	case hasResponse && len(c.challenge) == size: // single, step 2
		block.Encrypt(out, c.challenge)
		c.challenge = nil
		if c.managed = bytes.Equal(response, out); !c.managed {
			return nil, swSecurity
		}
		return nil, swOK
	}
	return nil, swWrongData
}

// management is the cipher of the management key, if it is of an algorithm.
func (c *piv) management(alg byte) (cipher.Block, error) {
	key, err := hex.DecodeString(c.s.Management)
	if err != nil {
		return nil, err
	}
	want := c.s.managementAlgorithm()
	switch {
	case want == algAES192 && alg == algAES192:
		return aes.NewCipher(key)
	case want == algTDES && (alg == algTDES || alg == 0):
		return des.NewTripleDESCipher(key)
	}
	return nil, fmt.Errorf("algorithm %02X", alg)
}
