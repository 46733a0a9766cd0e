package openpgp

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
)

// ErrKDF says that the card's PINs are derived in a way that is not known here.
var ErrKDF = fmt.Errorf("%w: it derives its PINs in a way that is not known here", card.ErrNotSupported)

// Hash is the hash of a derivation (RFC 4880 section 9.4).
type Hash byte

const (
	HashNone   Hash = 0 // PINs are presented as they are typed
	HashSHA256 Hash = 8
	HashSHA512 Hash = 10
)

// KDF says how PINs are derived before they are presented (DO F9, section
// 4.3.2): iterated and salted S2K (RFC 4880 section 3.7.1.3).
type KDF struct {
	Hash  Hash
	Count uint32 // bytes that go into the hash
	// Salts of PW1, the resetting code and PW3.
	PIN, ResettingCode, AdminPIN []byte
}

const (
	algNone         = 0x00
	algIteratedS2K  = 0x03
	saltLength      = 8
	maxDerivedFrom  = 127      // bytes of a PIN that is derived
	maxCount        = 65011712 // the largest count of RFC 4880
	lengthOfCount   = 4
	tagAlgorithm    = 0x81
	tagHash         = 0x82
	tagCount        = 0x83
	tagSaltPIN      = 0x84
	tagSaltCode     = 0x85
	tagSaltAdminPIN = 0x86
)

// readKDF reads DO F9. Cards of older versions have none.
func (c *Card) readKDF(ctx context.Context) error {
	c.kdf, c.kdfErr = KDF{}, nil
	object, err := c.getData(ctx, objectKDF)
	var status card.StatusError
	switch {
	case errors.Is(err, errNoObject):
	case errors.As(err, &status):
		c.kdfErr = fmt.Errorf("%w (%w)", ErrKDF, err)
	case err != nil:
		return err
	default:
		c.kdf, c.kdfErr = ParseKDF(object)
	}
	return nil
}

// ParseKDF reads the value of DO F9. Whatever is not understood in full is
// ErrKDF: a PIN that is derived wrongly costs a try.
func ParseKDF(object []byte) (KDF, error) {
	if len(object) == 0 {
		return KDF{}, nil
	}
	list, err := apdu.ParseTLV(object)
	if err != nil {
		return KDF{}, ErrKDF
	}
	alg, _ := apdu.Find(list, tagAlgorithm)
	if len(alg) == 1 && alg[0] == algNone {
		return KDF{}, nil
	}
	name, _ := apdu.Find(list, tagHash)
	count, _ := apdu.Find(list, tagCount)
	if len(alg) != 1 || alg[0] != algIteratedS2K || len(name) != 1 || len(count) != lengthOfCount {
		return KDF{}, ErrKDF
	}
	k := KDF{Hash: Hash(name[0]), Count: binary.BigEndian.Uint32(count)}
	if k.Hash != HashSHA256 && k.Hash != HashSHA512 || k.Count > maxCount {
		return KDF{}, ErrKDF
	}
	var ok bool
	if k.PIN, ok = apdu.Find(list, tagSaltPIN); !ok || len(k.PIN) != saltLength {
		return KDF{}, ErrKDF
	}
	// A card that has one salt uses it for all three.
	for tag, salt := range map[uint32]*[]byte{tagSaltCode: &k.ResettingCode, tagSaltAdminPIN: &k.AdminPIN} {
		*salt = k.PIN
		if own, ok := apdu.Find(list, tag); ok {
			if len(own) != saltLength {
				return KDF{}, ErrKDF
			}
			*salt = own
		}
	}
	return k, nil
}

// Derive gives what is presented to the card: the text itself without a KDF,
// else its hash.
func (k KDF) Derive(r card.Reference, text string) []byte {
	if k.Hash == HashNone {
		return []byte(text)
	}
	salt := k.PIN
	switch r {
	case card.ReferenceAdminPIN:
		salt = k.AdminPIN
	case card.ReferenceResettingCode:
		salt = k.ResettingCode
	}
	var h hash.Hash
	if h = sha256.New(); k.Hash == HashSHA512 {
		h = sha512.New()
	}
	unit := append(append([]byte(nil), salt...), text...)
	defer clear(unit)
	for left := max(int(k.Count), len(unit)); left > 0; left -= len(unit) {
		_, _ = h.Write(unit[:min(left, len(unit))]) // a hash never fails
	}
	return h.Sum(nil)
}
