package cardkey

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Methods of derivation: the pseudorandom function of the counter-mode KDF of
// NIST SP 800-108 revision 1 section 4.1, with a counter of 32 bits before the
// fixed data Label || 00 || Context || L.
const (
	MethodHMAC = "sp800-108-hmac-sha256"
	MethodCMAC = "sp800-108-cmac-aes" // CMAC: NIST SP 800-38B
)

// ErrMaster says that a master key's form does not fit its method.
var ErrMaster = errors.New("the master key does not fit the method: 16 to 64 bytes for HMAC, 16, 24 or 32 for CMAC")

// CheckMaster makes sure that a master key can be used with a method.
func CheckMaster(method string, key []byte) error {
	switch n := len(key); {
	case method == MethodHMAC && n >= 16 && n <= 64, method == MethodCMAC && (n == 16 || n == 24 || n == 32):
		return nil
	}
	return ErrMaster
}

// Derive gives the key of a kind for a card. label is the master key's; the
// kind and the card's family are part of it, so that no two cards or kinds
// share a key. identifier is the context: its bytes where it is hexadecimal.
func Derive(method string, master []byte, label, kind, family, identifier string) ([]byte, error) {
	if err := CheckMaster(method, master); err != nil {
		return nil, err
	}
	context, err := hex.DecodeString(identifier)
	if err != nil || strings.ToLower(identifier) != identifier {
		context = []byte(identifier)
	}
	full := []byte(strings.Join([]string{label, family, kind}, "/"))
	if n, ok := sizes[kind]; ok {
		for tries := 0; ; tries++ {
			key, err := counterKDF(method, master, full, context, n)
			if err != nil || kind != Admin3DES {
				return key, err
			}
			if oddParity(key); !weak(key) {
				return key, nil
			}
			full = append(full, '+') // never happens: 2^-54 a card
		}
	}
	if _, ok := lengths[kind]; !ok {
		return nil, fmt.Errorf("%w: %.40q", ErrKind, kind)
	}
	// 16 bytes as a number, modulo 10^8: no digit is likelier than another by
	// more than 2^-101.
	raw, err := counterKDF(method, master, full, context, 16)
	if err != nil {
		return nil, err
	}
	n := new(big.Int).Mod(new(big.Int).SetBytes(raw), big.NewInt(100_000_000))
	return fmt.Appendf(nil, "%08d", n), nil
}

// counterKDF is SP 800-108 revision 1 section 4.1 for n bytes.
func counterKDF(method string, master, label, context []byte, n int) ([]byte, error) {
	fixed := append(append(append([]byte(nil), label...), 0), context...)
	fixed = binary.BigEndian.AppendUint32(fixed, uint32(8*n)) // L, in bits
	var out []byte
	for i := uint32(1); len(out) < n; i++ {
		block, err := prf(method, master, append(binary.BigEndian.AppendUint32(nil, i), fixed...))
		if err != nil {
			return nil, err
		}
		out = append(out, block...)
	}
	return out[:n], nil
}

func prf(method string, key, data []byte) ([]byte, error) {
	if method == MethodCMAC {
		return cmac(key, data)
	}
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil), nil
}

// cmac is AES-CMAC (SP 800-38B section 6.2).
func cmac(key, data []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	const size = aes.BlockSize
	var l [size]byte
	block.Encrypt(l[:], l[:])
	subkey := double(l)
	tail := data[max(0, (len(data)-1)/size*size):]
	var last [size]byte
	copy(last[:], tail)
	if len(tail) < size {
		last[len(tail)] = 0x80
		subkey = double(subkey)
	}
	var x [size]byte
	for rest := data[:len(data)-len(tail)]; len(rest) > 0; rest = rest[size:] {
		xor(&x, rest[:size])
		block.Encrypt(x[:], x[:])
	}
	xor(&x, last[:])
	xor(&x, subkey[:])
	block.Encrypt(x[:], x[:])
	return x[:], nil
}

func xor(x *[aes.BlockSize]byte, with []byte) {
	for i := range x {
		x[i] ^= with[i]
	}
}

// double multiplies by x in GF(2^128) (SP 800-38B section 5.3).
func double(in [aes.BlockSize]byte) (out [aes.BlockSize]byte) {
	carry := byte(0)
	for i := len(in) - 1; i >= 0; i-- {
		out[i], carry = in[i]<<1|carry, in[i]>>7
	}
	out[len(out)-1] ^= 0x87 * carry
	return out
}
