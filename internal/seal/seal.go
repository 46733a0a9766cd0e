// Package seal keeps secrets at rest unreadable and records unforgeable. All
// of it hangs on data keys of 32 bytes, which lie in the database wrapped by a
// key-encryption key that never does: a Provider holds that one (a file, see
// Create; an HSM; HashiCorp Vault). The newest data key seals, every one that
// is in use opens; see Open.
//
// It promises:
//   - what Seal makes names its data key, and can be read only with that, under
//     the same kind and for the same row: a sealed value copied to another row
//     does not open (AES-256-GCM, NIST SP 800-38D, with a random 96-bit nonce);
//   - Hash and MAC are HMAC-SHA-256 (RFC 2104) under keys of their own, one
//     for each purpose or kind (HKDF-SHA-256, RFC 5869), so that a value made
//     for one purpose is of no use for another;
//   - a data key that this node has not met is looked for in the database once
//     more before it counts as another's;
//   - neither a key nor a plaintext is ever part of an error.
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
	"sync"
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

// ErrOtherKey says that a value was sealed with a key that is not known here.
var ErrOtherKey = errors.New("the value was sealed with a key that is not known here")

// root is a data key and its public fingerprint.
type root struct {
	secret [keySize]byte
	id     [idSize]byte
}

func newRoot(secret []byte) *root {
	r := &root{}
	copy(r.secret[:], secret)
	copy(r.id[:], r.derive("key id", ""))
	return r
}

// derive gives the 32-byte key of one use and one name (RFC 5869; the secret
// is uniformly random, so there is no salt).
func (r *root) derive(use, name string) []byte {
	key, err := hkdf.Key(sha256.New, r.secret[:], nil, "latchkey "+use+" v1\x00"+name, keySize)
	if err != nil {
		panic("seal: HKDF: " + err.Error()) // only for a length that SHA-256 cannot give
	}
	return key
}

// Keyring is the data keys and all that is derived from them. It is safe for
// use by many goroutines at once.
type Keyring struct {
	mu     sync.RWMutex
	roots  map[[idSize]byte]*root
	newest *root // seals and signs
	hashes *root // of Hash
	// find looks for keys that were made since; nil: there are no others.
	find func(id string) error
	// kept says that the data keys are rows of a database.
	kept bool
}

// newKeyring takes secrets of keySize bytes, the newest last.
func newKeyring(secrets ...[]byte) *Keyring {
	k := &Keyring{roots: make(map[[idSize]byte]*root)}
	for _, secret := range secrets {
		k.newest = k.add(secret)
	}
	k.hashes = k.newest
	return k
}

func (k *Keyring) add(secret []byte) *root {
	r := newRoot(secret)
	k.roots[r.id] = r
	return r
}

// ID is the newest key's public fingerprint, 16 hexadecimal digits. It tells
// nothing of the key.
func (k *Keyring) ID() string {
	r := k.current()
	return hex.EncodeToString(r.id[:])
}

// Kept says whether the keys of this ring are rows of a database, as those of
// Open are.
func (k *Keyring) Kept() bool { return k.kept }

// String keeps the keys out of logs.
func (k *Keyring) String() string { return "keyring of " + k.ID() }

// GoString keeps the keys out of %#v.
func (k *Keyring) GoString() string { return k.String() }

func (k *Keyring) current() *root {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.newest
}

// root gives the key with an id, nil where there is none.
func (k *Keyring) root(id []byte) *root {
	look := func() *root {
		k.mu.RLock()
		defer k.mu.RUnlock()
		return k.roots[[idSize]byte(id)]
	}
	r := look()
	if r == nil && k.find != nil && k.find(hex.EncodeToString(id)) == nil {
		r = look()
	}
	return r
}

// Seal encrypts plaintext for one row of one kind with the newest key.
func (k *Keyring) Seal(kind string, row []string, plaintext []byte) ([]byte, error) {
	r := k.current()
	aead, err := r.aead(kind)
	if err != nil {
		return nil, err
	}
	header := r.header()
	return aead.Seal(header, nil, plaintext, additional(header, kind, row)), nil
}

const headerSize = 1 + idSize

// KeyOf is the ID of the key that a value was sealed with, "" for what Seal
// has not made.
func KeyOf(sealed []byte) string {
	if len(sealed) < headerSize || sealed[0] != version1 {
		return ""
	}
	return hex.EncodeToString(sealed[1:headerSize])
}

// Open decrypts what Seal made for the same row and kind. Errors: ErrOtherKey,
// ErrSealed.
func (k *Keyring) Open(kind string, row []string, sealed []byte) ([]byte, error) {
	if KeyOf(sealed) == "" {
		return nil, ErrSealed
	}
	r := k.root(sealed[1:headerSize])
	if r == nil {
		return nil, ErrOtherKey
	}
	aead, err := r.aead(kind)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed[headerSize:], additional(r.header(), kind, row))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// header is the version and the key's id. Each call gives a slice of its own.
func (r *root) header() []byte { return append([]byte{version1}, r.id[:]...) }

func (r *root) aead(kind string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(r.derive("seal", kind))
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
// never give the same input. Its key stays the same when a newer data key
// takes over, so that what is kept under a hash is found again.
func (k *Keyring) Hash(purpose string, parts ...[]byte) []byte {
	k.mu.RLock()
	r := k.hashes
	k.mu.RUnlock()
	h := hmac.New(sha256.New, r.derive("hash", purpose))
	var buf []byte
	for _, p := range parts {
		buf = appendField(buf, p)
	}
	h.Write(buf)
	return h.Sum(nil)
}

// Derive gives 32 bytes for one use that need not be kept, from the key with
// an ID. Error: ErrOtherKey.
func (k *Keyring) Derive(id, use string) ([]byte, error) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != idSize {
		return nil, ErrOtherKey
	}
	r := k.root(raw)
	if r == nil {
		return nil, ErrOtherKey
	}
	return r.derive("use", use), nil
}

// MAC authenticates the fields of a record of one kind: the newest key's id
// and 32 bytes.
func (k *Keyring) MAC(kind string, fields ...string) []byte {
	r := k.current()
	return append(r.id[:len(r.id):len(r.id)], r.mac(kind, fields)...)
}

func (r *root) mac(kind string, fields []string) []byte {
	h := hmac.New(sha256.New, r.derive("mac", kind))
	var buf []byte
	for _, f := range fields {
		buf = appendField(buf, f)
	}
	h.Write(buf)
	return h.Sum(nil)
}

// CheckMAC says, in constant time, whether mac is that of the fields, by any
// key of the ring.
func (k *Keyring) CheckMAC(mac []byte, kind string, fields ...string) bool {
	if len(mac) == sha256.Size { // before data keys there was one key and no id
		k.mu.RLock()
		defer k.mu.RUnlock()
		ok := false
		for _, r := range k.roots {
			ok = hmac.Equal(mac, r.mac(kind, fields)) || ok
		}
		return ok
	}
	if len(mac) != idSize+sha256.Size {
		return false
	}
	r := k.root(mac[:idSize])
	return r != nil && hmac.Equal(mac[idSize:], r.mac(kind, fields))
}

// appendField adds a field behind its length in four bytes.
func appendField[T string | []byte](out []byte, f T) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(f)))
	return append(out, f...)
}
