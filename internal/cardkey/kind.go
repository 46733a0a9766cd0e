// Package cardkey knows what an unlocking key of a card is: its kinds and
// forms, how it is sealed, and how it comes from a master key.
//
// It promises:
//   - a stored key opens only for the card, id, kind and epoch that it was
//     sealed for (package seal);
//   - a derived key is not kept at all: it is made of its master key and the
//     card's identifier each time (NIST SP 800-108 revision 1, section 4.1);
//   - where a card's keys stand is signed and numbered with each change, so that
//     a row that was changed, or an older one that was put back, is noticed: the
//     first by its MAC, the second by a key journal that knows a higher number.
package cardkey

import (
	"crypto/des"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Kinds of unlocking keys.
const (
	PUK           = "puk"                       // PIV, YubiKey, ISO 7816
	ResettingCode = "resetting-code"            // OpenPGP card 3.4 section 4.3.4
	AdminPIN      = "admin-pin"                 // OpenPGP PW3
	Admin3DES     = "administration-key-3des"   // GIDS: 24 bytes
	AdminAES128   = "administration-key-aes128" // 16 bytes
	AdminAES192   = "administration-key-aes192" // 24 bytes
	AdminAES256   = "administration-key-aes256" // 32 bytes
)

// sizes are the bytes of the kinds that are keys and no digits.
var sizes = map[string]int{Admin3DES: 24, AdminAES128: 16, AdminAES192: 24, AdminAES256: 32}

// lengths are the fewest and the most characters of the kinds that are typed.
var lengths = map[string][2]int{PUK: {6, 8}, ResettingCode: {8, 127}, AdminPIN: {8, 127}}

// Kinds gives every kind, in a fixed order.
func Kinds() []string {
	return []string{PUK, ResettingCode, AdminPIN, Admin3DES, AdminAES128, AdminAES192, AdminAES256}
}

// ErrKind says that there is no such kind of key.
var ErrKind = errors.New("not a kind of unlocking key")

// FormError says what is wrong with a key's form, without the key.
type FormError struct{ Want string }

func (e FormError) Error() string { return "the key is not " + e.Want }

// Check makes sure that a key has the form of its kind. Errors: ErrKind,
// FormError.
func Check(kind string, key []byte) error {
	if n, ok := sizes[kind]; ok {
		if len(key) != n {
			return FormError{fmt.Sprintf("%d bytes", n)}
		}
		return nil
	}
	l, ok := lengths[kind]
	if !ok {
		return fmt.Errorf("%w: %.40q", ErrKind, kind)
	}
	if len(key) < l[0] || len(key) > l[1] || slices.ContainsFunc(key, func(b byte) bool { return b <= ' ' || b > '~' }) {
		return FormError{fmt.Sprintf("%d to %d characters", l[0], l[1])}
	}
	return nil
}

// Parse reads a key as it is written in files: text for what is typed, hex with
// or without separators for what is a key. Errors are those of Check.
func Parse(kind, text string) ([]byte, error) {
	n, binary := sizes[kind]
	if !binary {
		return []byte(text), Check(kind, []byte(text))
	}
	clean := strings.NewReplacer(" ", "", ":", "", "-", "").Replace(text)
	key, err := hex.DecodeString(clean)
	if err != nil || len(key) != n {
		return nil, FormError{fmt.Sprintf("%d hexadecimal digits", 2*n)} // the error of hex would quote it
	}
	return key, nil
}

// Leaves says whether a key of a kind may be handed to a workstation, which
// presents it to the card. An administration key never is: the service answers
// the card's challenge with it.
func Leaves(kind string) bool {
	_, typed := lengths[kind]
	return typed
}

// OnCard is what a key of a kind is to a card (card.KeyKind): there is one
// administration key, whatever its cipher.
func OnCard(kind string) string {
	if Leaves(kind) {
		return kind
	}
	return "administration-key"
}

// Rotates says whether a card that was told its key takes another one in its
// place. A resetting code stays: to change it takes the admin PIN (OpenPGP card
// 3.4 section 7.2.12 and DO D3).
func Rotates(kind string) bool { return kind == PUK || kind == AdminPIN }

// New makes a random key: 8 decimal digits for what is typed, because some cards
// refuse anything else, or all bytes of an administration key. Error: ErrKind.
func New(kind string) ([]byte, error) {
	if n, ok := sizes[kind]; ok {
		for {
			key := make([]byte, n)
			_, _ = rand.Read(key) // never fails: it ends the program instead (crypto/rand)
			if kind != Admin3DES {
				return key, nil
			}
			if oddParity(key); !weak(key) {
				return key, nil
			}
		}
	}
	if _, ok := lengths[kind]; !ok {
		return nil, fmt.Errorf("%w: %.40q", ErrKind, kind)
	}
	n, err := rand.Int(rand.Reader, big.NewInt(100_000_000))
	if err != nil {
		panic("cardkey: crypto/rand: " + err.Error()) // it ends the program itself instead
	}
	return fmt.Appendf(nil, "%08d", n), nil
}

// oddParity sets the parity bits of a DES key (FIPS 46-3: each byte has an odd
// number of ones).
func oddParity(key []byte) {
	for i, b := range key {
		ones := 0
		for bit := 1; bit < 8; bit++ {
			ones += int(b>>bit) & 1
		}
		key[i] = b&^1 | byte(1-ones&1)
	}
}

// weak says whether a 3DES key of three is really one of fewer.
func weak(key []byte) bool {
	const n = des.BlockSize
	a, b, c := string(key[:n]), string(key[n:2*n]), string(key[2*n:])
	return a == b || b == c || a == c
}
