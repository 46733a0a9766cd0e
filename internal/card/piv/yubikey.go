package piv

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// objectAdminData is where Yubico's programs note how they manage a key
// (their "PIN-only" modes): tag 80 with flags in 81, a salt in 82, a time in 83.
const objectAdminData = 0x5FFF00

// flagPUKBlocked of tag 81 says that the PUK was blocked on purpose.
const flagPUKBlocked = 0x01

// hasMetadata: GET METADATA came with firmware 5.3. Before it the tries of the
// PUK cannot be read, nor a key's algorithm without its certificate.
func (c *Card) hasMetadata() bool {
	return len(c.version) == 3 && (c.version[0] > 5 || c.version[0] == 5 && c.version[1] >= 3)
}

// pukDisabled reads whether a program has blocked the PUK on purpose.
func (c *Card) pukDisabled(ctx context.Context) (bool, error) {
	if c.version == nil {
		return false, nil
	}
	object, err := c.getData(ctx, objectAdminData)
	if errors.Is(err, errNoObject) {
		return false, nil
	}
	return ParseAdminData(object), err
}

// ParseAdminData reads the flag that says that the PUK was blocked on purpose.
// An object that cannot be read says nothing.
func ParseAdminData(object []byte) bool {
	data, ok := apdu.FindTLV(object, 0x80)
	if !ok {
		return false
	}
	flags, ok := apdu.FindTLV(data, 0x81)
	return ok && len(flags) == 1 && flags[0]&flagPUKBlocked != 0
}

// explain says more of a PUK that is blocked, where the card knows more.
func (c *Card) explain(ctx context.Context, err error) error {
	var blocked card.BlockedError
	if !errors.As(err, &blocked) || blocked.Reference != card.ReferencePUK {
		return err
	}
	if disabled, readErr := c.pukDisabled(ctx); readErr == nil && disabled {
		return card.DisabledError(blocked)
	}
	return err
}

// metadataKey reads the public key of a slot from its metadata: firmware 5.3
// and later tell it without a certificate.
func (c *Card) metadataKey(ctx context.Context, slot byte) (crypto.PublicKey, error) {
	missing := fmt.Errorf("slot %02X has no certificate: %w", slot, card.ErrNotSupported)
	if !c.hasMetadata() {
		return nil, missing
	}
	r, err := c.send(ctx, apdu.Command{Name: "GET METADATA", INS: insGetMetadata, P2: slot, Answer: true})
	if err != nil {
		return nil, err
	}
	if r.SW != apdu.OK {
		return nil, missing
	}
	public, ok := ParseMetadataKey(r.Data)
	if !ok {
		return nil, missing
	}
	return public, nil
}

// ParseMetadataKey reads the algorithm (tag 01) and the public key (tag 04: 81
// modulus and 82 exponent, or 86 point) of a slot's metadata.
func ParseMetadataKey(data []byte) (crypto.PublicKey, bool) {
	list, err := apdu.ParseTLV(data)
	if err != nil {
		return nil, false
	}
	alg, _ := apdu.Find(list, 0x01)
	key, ok := apdu.Find(list, 0x04)
	if !ok || len(alg) != 1 {
		return nil, false
	}
	switch alg[0] {
	case algP256, algP384:
		curve := elliptic.P256()
		if alg[0] == algP384 {
			curve = elliptic.P384()
		}
		point, ok := apdu.FindTLV(key, 0x86)
		if !ok {
			return nil, false
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
		return public, err == nil
	case algRSA2048, algRSA3072:
		n, hasN := apdu.FindTLV(key, 0x81)
		e, hasE := apdu.FindTLV(key, 0x82)
		if !hasN || !hasE || len(e) > 4 || len(e) == 0 {
			return nil, false
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		return public, public.Size() >= 256 && public.E > 1
	}
	return nil, false
}
