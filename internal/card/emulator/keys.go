package emulator

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"

	"latchkey/internal/card/apdu"
)

// privateKey is a key of the card, ready for use.
type privateKey struct {
	algorithm byte // of PIV (SP 800-78-5 table 9); algEd25519 has none there
	signer    crypto.Signer
}

// Algorithm identifiers (SP 800-78-5 table 9; AES-192 and Ed25519 are Yubico's).
const (
	algTDES    = 0x03
	algRSA2048 = 0x07
	algAES192  = 0x0A
	algP256    = 0x11
	algP384    = 0x14
	algEd25519 = 0xE0
)

// findKey finds the key of a slot.
func findKey(keys []Key, slot string) (privateKey, bool) {
	for _, k := range keys {
		if k.Slot != slot {
			continue
		}
		parsed, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		if err != nil {
			return privateKey{}, false
		}
		switch p := parsed.(type) {
		case *rsa.PrivateKey:
			return privateKey{algRSA2048, p}, true
		case ed25519.PrivateKey:
			return privateKey{algEd25519, p}, true
		case *ecdsa.PrivateKey:
			if p.Curve == elliptic.P384() {
				return privateKey{algP384, p}, true
			}
			return privateKey{algP256, p}, true
		}
	}
	return privateKey{}, false
}

// generate makes a private key.
func generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("algorithm %q: use p256, p384, rsa2048 or, on an OpenPGP card, ed25519", algorithm)
}

// public is the public key as the inside of a template 7F49.
func (k privateKey) public() []byte {
	switch p := k.signer.Public().(type) {
	case *rsa.PublicKey:
		return join(tlv(0x81, p.N.Bytes()), tlv(0x82, big.NewInt(int64(p.E)).Bytes()))
	case *ecdsa.PublicKey:
		point, _ := p.Bytes() // a key that was made here is on its curve
		return tlv(0x86, point)
	case ed25519.PublicKey:
		return tlv(0x86, p)
	}
	return nil
}

// sign does what the card's key does with an input: the raw RSA operation,
// ECDSA over the bytes (its two numbers are given), Ed25519 over the message.
func (k privateKey) sign(input []byte) (rsaOrEd []byte, r, s *big.Int, ok bool) {
	switch p := k.signer.(type) {
	case *rsa.PrivateKey:
		m := new(big.Int).SetBytes(input)
		if len(input) != p.Size() || m.Cmp(p.N) >= 0 {
			return nil, nil, nil, false
		}
		return new(big.Int).Exp(m, p.D, p.N).FillBytes(make([]byte, p.Size())), nil, nil, true
	case *ecdsa.PrivateKey:
		if len(input) == 0 || len(input) > p.Params().BitSize/8 {
			return nil, nil, nil, false
		}
		r, s, err := ecdsa.Sign(rand.Reader, p, input)
		return nil, r, s, err == nil
	case ed25519.PrivateKey:
		return ed25519.Sign(p, input), nil, nil, true
	}
	return nil, nil, nil, false
}

// signDER is sign with the numbers of ECDSA in ASN.1, as PIV wants them.
func (k privateKey) signDER(input []byte) ([]byte, bool) {
	signature, r, s, ok := k.sign(input)
	if !ok || r == nil {
		return signature, ok
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	return der, err == nil
}

// signPlain is sign with the numbers of ECDSA behind each other, as OpenPGP
// wants them; an RSA input is a DigestInfo that the card pads.
func (k privateKey) signPlain(input []byte) ([]byte, bool) {
	switch p := k.signer.(type) {
	case *rsa.PrivateKey:
		if len(input) > p.Size()*4/10 { // section 7.2.10 of the OpenPGP card
			return nil, false
		}
		filler := bytes.Repeat([]byte{0xFF}, p.Size()-3-len(input))
		signature, _, _, ok := k.sign(join([]byte{0, 1}, filler, []byte{0}, input))
		return signature, ok
	case *ecdsa.PrivateKey:
		_, r, s, ok := k.sign(input)
		if !ok {
			return nil, false
		}
		half := (p.Params().BitSize + 7) / 8
		return join(r.FillBytes(make([]byte, half)), s.FillBytes(make([]byte, half))), true
	}
	signature, _, _, ok := k.sign(input)
	return signature, ok
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

func tlv(tag uint32, parts ...[]byte) []byte { return apdu.EncodeTLV(tag, parts...) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
