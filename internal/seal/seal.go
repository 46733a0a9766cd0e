// Package seal keeps secrets at rest unreadable and records unforgeable. All
// of it hangs on one 32-byte key, the key-encryption key, which lives in a
// file outside the database (see Create and Load).
//
// It promises:
//   - what Seal makes can be read only with the same key, under the same kind
//     and for the same row: a sealed value copied to another row does not open
//     (AES-256-GCM, NIST SP 800-38D, with a random 96-bit nonce);
//   - Hash and MAC are HMAC-SHA-256 (RFC 2104) under keys of their own, one
//     for each purpose or kind (HKDF-SHA-256, RFC 5869), so that a value made
//     for one purpose is of no use for another;
//   - neither the key nor a plaintext is ever part of an error.
//
// A random nonce allows 2^32 values of one kind under one key (SP 800-38D
// section 8.3): a million cards unlocked every month for three centuries.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	keySize = 32
	idSize  = 8
	// version1 is the first byte of a sealed value: version, key id, nonce,
	// ciphertext, tag.
	version1 = 1
)

// ErrSealed says that a sealed value is damaged or belongs to another kind or
// row.
var ErrSealed = errors.New("the sealed value is damaged or belongs to another row")

// ErrOtherKey says that a value was sealed with another key-encryption key.
var ErrOtherKey = errors.New("the value was sealed with another key-encryption key")

// Keyring is the key-encryption key and all that is derived from it. It is
// safe for use by many goroutines at once.
type Keyring struct {
	master [keySize]byte
	id     [idSize]byte
}

// newKeyring takes a master secret of keySize bytes.
func newKeyring(secret []byte) *Keyring {
	k := &Keyring{}
	copy(k.master[:], secret)
	copy(k.id[:], k.derive("key id", ""))
	return k
}

// ID is the key's public fingerprint, 16 hexadecimal digits. It tells nothing
// of the key.
func (k *Keyring) ID() string { return hex.EncodeToString(k.id[:]) }

// String keeps the key out of logs.
func (k *Keyring) String() string { return "key-encryption key " + k.ID() }

// GoString keeps the key out of %#v.
func (k *Keyring) GoString() string { return k.String() }

// derive gives the 32-byte key of one use and one name (RFC 5869; the master
// secret is uniformly random, so there is no salt).
func (k *Keyring) derive(use, name string) []byte {
	key, err := hkdf.Key(sha256.New, k.master[:], nil, "latchkey "+use+" v1\x00"+name, keySize)
	if err != nil {
		panic("seal: HKDF: " + err.Error()) // only for a length that SHA-256 cannot give
	}
	return key
}

// Seal encrypts plaintext for one row of one kind.
func (k *Keyring) Seal(kind string, row []string, plaintext []byte) ([]byte, error) {
	aead, err := k.aead(kind)
	if err != nil {
		return nil, err
	}
	header := k.header()
	return aead.Seal(header, nil, plaintext, additional(header, kind, row)), nil
}

// Open decrypts what Seal made for the same row and kind. Errors: ErrOtherKey,
// ErrSealed.
func (k *Keyring) Open(kind string, row []string, sealed []byte) ([]byte, error) {
	const headerSize = 1 + idSize
	if len(sealed) < headerSize || sealed[0] != version1 {
		return nil, ErrSealed
	}
	header := k.header()
	if string(sealed[:headerSize]) != string(header) {
		return nil, ErrOtherKey
	}
	aead, err := k.aead(kind)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed[headerSize:], additional(header, kind, row))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// header is the version and the key's id. Each call gives a slice of its own.
func (k *Keyring) header() []byte { return append([]byte{version1}, k.id[:]...) }

func (k *Keyring) aead(kind string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.derive("seal", kind))
	if err != nil {
		return nil, fmt.Errorf("set up AES-256: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("set up AES-256-GCM: %w", err)
	}
	return aead, nil
}

// additional is the additional data of a sealed value: header, kind and row.
func additional(header []byte, kind string, row []string) []byte {
	out := appendField(append([]byte(nil), header...), kind)
	for _, f := range row {
		out = appendField(out, f)
	}
	return out
}

// Hash is a keyed hash for one purpose, 32 bytes. Different lists of parts
// never give the same input.
func (k *Keyring) Hash(purpose string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, k.derive("hash", purpose))
	var buf []byte
	for _, p := range parts {
		buf = appendField(buf, p)
	}
	h.Write(buf)
	return h.Sum(nil)
}

// MAC authenticates the fields of a record of one kind, 32 bytes.
func (k *Keyring) MAC(kind string, fields ...string) []byte {
	h := hmac.New(sha256.New, k.derive("mac", kind))
	var buf []byte
	for _, f := range fields {
		buf = appendField(buf, f)
	}
	h.Write(buf)
	return h.Sum(nil)
}

// CheckMAC says, in constant time, whether mac is that of the fields.
func (k *Keyring) CheckMAC(mac []byte, kind string, fields ...string) bool {
	return hmac.Equal(mac, k.MAC(kind, fields...))
}

// appendField adds a field behind its length in four bytes.
func appendField[T string | []byte](out []byte, f T) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
	return append(out, f...)
}

// KindCardKey is the kind of a card's sealed unlocking key.
const KindCardKey = "card-key"

// CardKeyRow is the row that an unlocking key is sealed to: its own id, its
// card's id and what it is ("puk").
func CardKeyRow(keyID, cardID, kind string) []string { return []string{keyID, cardID, kind} }
