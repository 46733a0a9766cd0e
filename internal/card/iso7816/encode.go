package iso7816

import (
	"bytes"
	"encoding/hex"
	"strings"
)

// Block is a PIN or PUK as it crosses the interface; false where it cannot be
// right by its length or characters. Whoever gets it clears it.
func (r Reference) Block(value string) ([]byte, bool) {
	if len(value) < r.Min || len(value) > r.Max || r.DigitsOnly && strings.Trim(value, "0123456789") != "" {
		return nil, false
	}
	out := make([]byte, 0, maxBlock)
	switch r.Encoding {
	case encodingBCD:
		out = packed(out, value, r.Pad.value(0xFF)&0x0F)
	case encodingBlock: // ISO 9564-1 section 9.3.3: control 2, length, digits, F
		out = packed(append(out, 0x20|byte(len(value))), value, 0x0F)
		return append(out, bytes.Repeat([]byte{0xFF}, 8-len(out))...), true
	default:
		out = append(out, value...)
	}
	for len(out) < r.Length {
		out = append(out, r.Pad.value(0xFF))
	}
	return out, true
}

// packed adds digits, two a byte, an odd one beside filler.
func packed(out []byte, digits string, filler byte) []byte {
	for i := 0; i < len(digits); i += 2 {
		low := filler
		if i+1 < len(digits) {
			low = digits[i+1] - '0'
		}
		out = append(out, (digits[i]-'0')<<4|low)
	}
	return out
}

// maxIdentifier bounds an identifier, in bytes.
const maxIdentifier = 32

// number gives the identifier of a card, lower-case hex, and the number that is
// printed on it: without zeros in front, as the service keeps it; none where it
// is printed in hexadecimal, which the identifier is already. An empty one, or one of zeros or FF alone, identifies nothing.
func (i Identifier) number(raw []byte) (id, printed string, ok bool) {
	if len(raw) == 0 || len(raw) > maxIdentifier || same(raw, 0x00) || same(raw, 0xFF) {
		return "", "", false
	}
	id = hex.EncodeToString(raw)
	switch i.Encoding {
	case encodingBCD:
		printed = strings.TrimLeft(strings.TrimRight(id, "f"), "0")
		ok = printed != "" && strings.Trim(printed, "0123456789") == ""
	case encodingASCII:
		printed = strings.TrimLeft(strings.Trim(string(raw), " \x00"), "0")
		ok = printable(printed, maxIdentifier)
	default:
		ok = true
	}
	return id, printed, ok
}

func same(raw []byte, b byte) bool { return bytes.Count(raw, []byte{b}) == len(raw) }
