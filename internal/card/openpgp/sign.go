package openpgp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// slotAuthentication names the authentication key.
const slotAuthentication = "AUT"

// Algorithm is what a key of the card signs with.
type Algorithm int

const (
	AlgorithmUnknown Algorithm = iota
	AlgorithmRSA
	AlgorithmP256
	AlgorithmP384
	AlgorithmEd25519
)

// Public key algorithms (RFC 4880 section 9.1, RFC 6637, RFC 9580).
const (
	idRSA   = 0x01
	idECDSA = 0x13
	idEdDSA = 0x16
)

// ParseAlgorithm reads algorithm attributes (DO C1 to C3, section 4.4.3.9): an
// algorithm, then for RSA the length of the modulus in bits, else the OID of a
// curve.
func ParseAlgorithm(attributes []byte) Algorithm {
	if len(attributes) < 3 {
		return AlgorithmUnknown
	}
	oid := bytes.TrimSuffix(attributes[1:], []byte{0xFF}) // "with the public key" when importing
	switch attributes[0] {
	case idRSA:
		if bits := int(attributes[1])<<8 | int(attributes[2]); bits >= 2048 && bits <= 4096 {
			return AlgorithmRSA
		}
	case idECDSA:
		switch string(oid) {
		case "\x2A\x86\x48\xCE\x3D\x03\x01\x07":
			return AlgorithmP256
		case "\x2B\x81\x04\x00\x22":
			return AlgorithmP384
		}
	case idEdDSA:
		switch string(oid) {
		case "\x2B\x06\x01\x04\x01\xDA\x47\x0F\x01", "\x2B\x65\x70":
			return AlgorithmEd25519
		}
	}
	return AlgorithmUnknown
}

// ProveVerified is INTERNAL AUTHENTICATE (section 7.2.13) with the
// authentication key, after Verify.
func (c *Card) ProveVerified(ctx context.Context, digest [32]byte) (card.Proof, error) {
	alg := ParseAlgorithm(c.algorithm)
	var input []byte
	switch alg {
	case AlgorithmRSA:
		input = apdu.DigestInfo(digest)
	case AlgorithmP256, AlgorithmEd25519:
		input = digest[:]
	case AlgorithmP384:
		input = append(make([]byte, 16), digest[:]...) // same number, 48 bytes
	default:
		return card.Proof{}, fmt.Errorf("authentication key of algorithm %X: %w", c.algorithm, card.ErrNotSupported)
	}
	const name = "INTERNAL AUTHENTICATE"
	r, err := c.send(ctx, apdu.Command{Name: name, INS: insInternalAuthenticate, Data: input, Answer: true})
	if err != nil {
		return card.Proof{}, err
	}
	if err := judge(name, r.SW, card.ErrNotSupported); err != nil { // no key: 6A88, 6985
		return card.Proof{}, err
	}
	signature, err := ParseSignature(alg, r.Data)
	if err != nil {
		return card.Proof{}, fmt.Errorf("%s: %w", name, err)
	}
	return card.Proof{Slot: slotAuthentication, Signature: signature}, nil
}

// ParseSignature turns what the card gives (for ECDSA the two numbers behind
// each other) into what the rest of the world expects.
func ParseSignature(alg Algorithm, raw []byte) ([]byte, error) {
	switch alg {
	case AlgorithmRSA:
		if len(raw) >= 256 && len(raw) <= 512 {
			return append([]byte(nil), raw...), nil
		}
	case AlgorithmEd25519:
		if len(raw) == ed25519.SignatureSize {
			return append([]byte(nil), raw...), nil
		}
	case AlgorithmP256, AlgorithmP384:
		half := 32
		if alg == AlgorithmP384 {
			half = 48
		}
		if len(raw) == 2*half {
			return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
		}
	}
	return nil, card.ErrMalformed
}

// AuthenticationKey reads the public key of the authentication key (GENERATE
// ASYMMETRIC KEY PAIR with P1 = 81, section 7.2.14). ErrNotSupported where the
// card has none.
func (c *Card) AuthenticationKey(ctx context.Context) (crypto.PublicKey, error) {
	const name = "GENERATE ASYMMETRIC KEY PAIR"
	r, err := c.send(ctx, apdu.Command{Name: name, INS: insGenerate, P1: 0x81, Data: []byte{0xA4, 0x00}, Answer: true})
	if err != nil {
		return nil, err
	}
	if err := judge(name, r.SW, card.ErrNotSupported); err != nil {
		return nil, err
	}
	return ParsePublicKey(ParseAlgorithm(c.algorithm), r.Data)
}

// ParsePublicKey reads the template 7F49: modulus 81 and exponent 82, or point 86.
func ParsePublicKey(alg Algorithm, data []byte) (crypto.PublicKey, error) {
	malformed := fmt.Errorf("public key: %w", card.ErrMalformed)
	template, ok := apdu.FindTLV(data, 0x7F49)
	if !ok {
		return nil, malformed
	}
	point, _ := apdu.FindTLV(template, 0x86)
	switch alg {
	case AlgorithmRSA:
		n, _ := apdu.FindTLV(template, 0x81)
		e, _ := apdu.FindTLV(template, 0x82)
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e[:min(len(e), 4)]).Int64())}
		if key.Size() < 256 || len(e) > 4 || key.E < 3 {
			return nil, malformed
		}
		return key, nil
	case AlgorithmEd25519:
		if len(point) == ed25519.PublicKeySize+1 && point[0] == 0x40 { // the prefix of RFC 9580 section 9.2
			point = point[1:]
		}
		if len(point) != ed25519.PublicKeySize {
			return nil, malformed
		}
		return ed25519.PublicKey(append([]byte(nil), point...)), nil
	case AlgorithmP256, AlgorithmP384:
		curve := elliptic.P256()
		if alg == AlgorithmP384 {
			curve = elliptic.P384()
		}
		key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
		if err != nil {
			return nil, malformed
		}
		return key, nil
	}
	return nil, fmt.Errorf("public key: %w", card.ErrNotSupported)
}
