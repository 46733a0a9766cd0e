// Package gidskey is what the holder of a GIDS administration key computes:
// the service, or the machine that keeps the key for it. It knows no card and
// no reader.
//
// Two ways (Generic Identity Device Specification 2.0, "General Authenticate"
// with the administration key, a 3DES key of 24 bytes):
//
//   - External: the card's challenge of 8 bytes, enciphered (Answer).
//   - Mutual: R1 goes to the card, R2 comes back, then the enciphered
//     R2 | R1 | Z1 | 80 (Mutual), and the card replies with the enciphered
//     R1 | R2 | Z2 | 80 (CheckMutual).
//
// Either answer authorises the card to have its PIN set. Worse, the first block
// of a mutual answer is the external answer to the first 8 bytes of R2, which
// the workstation names. So an answer of either kind is an unlocking key for
// one use: it is never computed before the person is verified, and each is
// counted as a release. The card counts no tries of this key, on some cards:
// whoever answers must limit how often.
package gidskey

import (
	"bytes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"errors"
	"io"
)

// Lengths in bytes.
const (
	KeyLength       = 24 // a 3DES key with three parts
	ChallengeLength = 8  // of external authentication
	NonceLength     = 16 // R1, R2
	SecretLength    = 7  // Z1, Z2: halves of a session key, which nothing here uses
	MutualLength    = 2*NonceLength + SecretLength + 1
)

// padding ends a message (ISO/IEC 9797-1 method 2).
const padding = 0x80

var (
	// ErrKey says that a key is not 24 bytes, or is single DES in disguise.
	ErrKey = errors.New("not a 3DES administration key")
	// ErrLength says that a challenge, nonce or secret has another length.
	ErrLength = errors.New("a value of the authentication has a wrong length")
	// ErrReflected says that the card's nonce is our own. The answer would then
	// be the reply as well, and prove nothing.
	ErrReflected = errors.New("the card sent our own nonce back")
	// ErrNotProven says that the reply was not made with the key.
	ErrNotProven = errors.New("the card does not hold the administration key")
)

// Check says whether a key is one to use: 24 bytes, and its first and second
// part, its second and third part differ in more than the parity bits
// (SP 800-67 revision 2 section 3.3.2; equal parts cancel each other).
func Check(key []byte) error {
	if len(key) != KeyLength || sameDES(key[:8], key[8:16]) || sameDES(key[8:16], key[16:]) {
		return ErrKey
	}
	return nil
}

// sameDES compares two DES keys without their parity bits.
func sameDES(a, b []byte) bool {
	var differ byte
	for i := range a {
		differ |= (a[i] ^ b[i]) &^ 1
	}
	return differ == 0
}

// New draws a key.
func New(random io.Reader) ([]byte, error) {
	key := make([]byte, KeyLength)
	for {
		if _, err := io.ReadFull(random, key); err != nil {
			return nil, err
		}
		if Check(key) == nil {
			return key, nil
		}
	}
}

// Answer is the answer to a challenge of external authentication.
// Errors: ErrKey, ErrLength.
func Answer(key, challenge []byte) ([]byte, error) {
	block, err := newBlock(key)
	if err != nil {
		return nil, err
	}
	if len(challenge) != ChallengeLength {
		return nil, ErrLength
	}
	out := make([]byte, ChallengeLength)
	block.Encrypt(out, challenge)
	return out, nil
}

// Mutual is the message of 40 bytes that answers the card's nonce r2: r1 is
// what the card was sent, z1 a fresh secret.
// Errors: ErrKey, ErrLength, ErrReflected.
func Mutual(key, r1, r2, z1 []byte) ([]byte, error) {
	block, err := newBlock(key)
	if err != nil {
		return nil, err
	}
	if len(r1) != NonceLength || len(r2) != NonceLength || len(z1) != SecretLength {
		return nil, ErrLength
	}
	if bytes.Equal(r1, r2) {
		return nil, ErrReflected
	}
	message := bytes.Join([][]byte{r2, r1, z1, {padding}}, nil)
	cipher.NewCBCEncrypter(block, make([]byte, des.BlockSize)).CryptBlocks(message, message)
	return message, nil
}

// CheckMutual checks the card's reply to Mutual: the card holds the key, and
// replies to this r1 and r2. Errors: ErrKey, ErrLength, ErrReflected,
// ErrNotProven.
func CheckMutual(key, r1, r2, reply []byte) error {
	block, err := newBlock(key)
	if err != nil {
		return err
	}
	if len(r1) != NonceLength || len(r2) != NonceLength {
		return ErrLength
	}
	if bytes.Equal(r1, r2) {
		return ErrReflected
	}
	if len(reply) != MutualLength {
		return ErrNotProven
	}
	plain := make([]byte, MutualLength)
	cipher.NewCBCDecrypter(block, make([]byte, des.BlockSize)).CryptBlocks(plain, reply)
	defer clear(plain)
	want := append(append([]byte(nil), r1...), r2...)
	right := subtle.ConstantTimeCompare(plain[:2*NonceLength], want) & subtle.ConstantTimeByteEq(plain[MutualLength-1], padding)
	if right != 1 {
		return ErrNotProven
	}
	return nil
}

func newBlock(key []byte) (cipher.Block, error) {
	if len(key) != KeyLength {
		return nil, ErrKey
	}
	// A weak key is the card's business: a factory key may be one.
	return des.NewTripleDESCipher(key)
}
