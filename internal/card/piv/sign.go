package piv

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// maxCertificate bounds a certificate after decompression, in bytes.
const maxCertificate = 32 << 10

// Certificates reads the certificates of slots 9A, 9E, 9C and 9D.
func (c *Card) Certificates(ctx context.Context) ([]card.Certificate, error) {
	var list []card.Certificate
	for _, o := range certificateObjects() {
		der, err := c.certificate(ctx, o.Tag)
		if errors.Is(err, errNoObject) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, card.Certificate{Slot: fmt.Sprintf("%02X", o.Slot), DER: der})
	}
	return list, nil
}

func (c *Card) certificate(ctx context.Context, tag uint32) ([]byte, error) {
	object, err := c.getData(ctx, tag)
	if err != nil {
		return nil, err
	}
	if len(object) == 0 {
		return nil, errNoObject
	}
	return ParseCertificate(object)
}

// ParseCertificate reads a certificate object (SP 800-73-4 part 1 appendix A,
// tag 70; tag 71 bit 0 says gzip, bit 7 on cards older than SP 800-73-3) and returns it uncompressed.
func ParseCertificate(object []byte) ([]byte, error) {
	list, err := apdu.ParseTLV(object)
	if err != nil {
		return nil, fmt.Errorf("certificate object: %w", card.ErrMalformed)
	}
	der, ok := apdu.Find(list, 0x70)
	if !ok || len(der) == 0 {
		return nil, errNoObject
	}
	info, _ := apdu.Find(list, 0x71)
	if len(info) != 1 || info[0]&0x81 == 0 {
		return der, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(der))
	if err != nil {
		return nil, fmt.Errorf("compressed certificate: %w", card.ErrMalformed)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxCertificate+1))
	if err != nil || len(plain) > maxCertificate {
		return nil, fmt.Errorf("compressed certificate: %w", card.ErrMalformed)
	}
	return plain, nil
}

// Prove signs with the Card Authentication key 9E, which needs no PIN.
func (c *Card) Prove(ctx context.Context, digest [32]byte) (card.Proof, error) {
	return c.sign(ctx, slotCardAuth, digest)
}

// ProveVerified signs with the PIV Authentication key 9A after a VERIFY.
func (c *Card) ProveVerified(ctx context.Context, digest [32]byte) (card.Proof, error) {
	return c.sign(ctx, slotPIVAuth, digest)
}

// sign is GENERAL AUTHENTICATE (SP 800-73-4 part 2 section 3.2.4) with the
// algorithm of the slot's certificate.
func (c *Card) sign(ctx context.Context, slot byte, digest [32]byte) (card.Proof, error) {
	alg, input, err := c.signInput(ctx, slot, digest)
	if err != nil {
		return card.Proof{}, err
	}
	r, err := c.send(ctx, apdu.Command{Name: "GENERAL AUTHENTICATE", INS: insAuthenticate, P1: alg, P2: slot, Answer: true,
		Data: apdu.EncodeTLV(0x7C, apdu.EncodeTLV(0x82), apdu.EncodeTLV(0x81, input))})
	if err != nil {
		return card.Proof{}, err
	}
	switch r.SW {
	case apdu.OK:
	case apdu.WrongData, apdu.WrongP1P2, apdu.NotFound, apdu.ReferenceNotFound, apdu.FunctionUnsupported, apdu.InsUnsupported:
		return card.Proof{}, fmt.Errorf("GENERAL AUTHENTICATE: status %04X: %w", r.SW, card.ErrNotSupported)
	default:
		return card.Proof{}, card.StatusError{Command: "GENERAL AUTHENTICATE", SW: r.SW}
	}
	signature, err := parseSignature(r.Data)
	if err != nil {
		return card.Proof{}, err
	}
	return card.Proof{Slot: fmt.Sprintf("%02X", slot), Signature: signature}, nil
}

func parseSignature(data []byte) ([]byte, error) {
	template, ok := apdu.FindTLV(data, 0x7C)
	if !ok {
		return nil, fmt.Errorf("GENERAL AUTHENTICATE: %w", card.ErrMalformed)
	}
	signature, ok := apdu.FindTLV(template, 0x82)
	if !ok || len(signature) == 0 {
		return nil, fmt.Errorf("GENERAL AUTHENTICATE: %w", card.ErrMalformed)
	}
	return append([]byte(nil), signature...), nil
}

// signInput gives the algorithm of a slot and what it is to sign.
func (c *Card) signInput(ctx context.Context, slot byte, digest [32]byte) (byte, []byte, error) {
	public, err := c.publicKey(ctx, slot)
	if err != nil {
		return 0, nil, err
	}
	switch k := public.(type) {
	case *rsa.PublicKey:
		switch k.Size() {
		case 256:
			return algRSA2048, padPKCS1(digest, k.Size()), nil
		case 384:
			return algRSA3072, padPKCS1(digest, k.Size()), nil
		}
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return algP256, digest[:], nil
		case elliptic.P384():
			return algP384, append(make([]byte, 16), digest[:]...), nil // same number, 48 bytes
		}
	}
	return 0, nil, fmt.Errorf("key of slot %02X: %w", slot, card.ErrNotSupported)
}

func (c *Card) publicKey(ctx context.Context, slot byte) (any, error) {
	if known, ok := c.public[slot]; ok {
		return known, nil
	}
	for _, o := range certificateObjects() {
		if o.Slot != slot {
			continue
		}
		der, err := c.certificate(ctx, o.Tag)
		var public any
		if errors.Is(err, errNoObject) {
			public, err = c.metadataKey(ctx, slot)
		} else if err == nil {
			public, err = certified(slot, der)
		}
		if err != nil {
			return nil, err
		}
		if c.public == nil {
			c.public = make(map[byte]any)
		}
		c.public[slot] = public
		return public, nil
	}
	return nil, card.ErrNotSupported
}

// certified is the public key of a slot's certificate.
func certified(slot byte, der []byte) (any, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of slot %02X: %w", slot, card.ErrMalformed)
	}
	return cert.PublicKey, nil
}

// padPKCS1 is EMSA-PKCS1-v1_5 for SHA-256 (RFC 8017 section 9.2) with the
// block filled to size bytes, which is what an RSA key of the card signs.
func padPKCS1(digest [32]byte, size int) []byte {
	info := apdu.DigestInfo(digest)
	block := append([]byte{0x00, 0x01}, bytes.Repeat([]byte{0xFF}, size-3-len(info))...)
	return append(append(block, 0x00), info...)
}
