package text

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// Encoding is how a message's characters travel.
type Encoding string

// The encodings of a text message (3GPP TS 23.038).
const (
	GSM7 Encoding = "GSM-7"
	UCS2 Encoding = "UCS-2"
)

// Size is what a message takes.
type Size struct {
	Encoding Encoding
	Units    int // septets of GSM-7, 16-bit units of UCS-2
	Parts    int // messages that are charged: 1 for an empty one
}

// What one message holds, alone and as a part of several: a part loses 6 octets
// to the header that puts the parts together (3GPP TS 23.040 section 9.2.3.24.1).
const (
	gsm7Alone, gsm7Part = 160, 153
	ucs2Alone, ucs2Part = 70, 67
)

// gsm7Basic is the default alphabet in the order of its codes (3GPP TS 23.038
// section 6.2.1). Code 0x1B is the escape to gsm7Extended: no character.
const gsm7Basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ" +
	" !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§" +
	"¿abcdefghijklmnopqrstuvwxyzäöñüà"

const (
	gsm7Escape      = 0x1b
	gsm7Extended    = "\f^{}\\[~]|€" // section 6.2.1.1
	gsm7ExtendedFor = "\x0a\x14\x28\x29\x2f\x3c\x3d\x3e\x40\x65"
)

// septets is r in the default alphabet: one code, or two behind an escape; nil
// where it has no place there.
//
// Of the Welsh letters à è ì ò ù é ä ö ü É Ä Ö Ü have one; â ê î ô û ŵ ŷ, the
// other accents on w and y, á í ó ú, ë ï, and À È Ì Ò Ù have none.
func septets(r rune) []byte {
	if r == gsm7Escape {
		return nil
	}
	code := 0
	for _, c := range gsm7Basic {
		if c == r {
			return []byte{byte(code)}
		}
		code++
	}
	code = 0
	for _, c := range gsm7Extended {
		if c == r {
			return []byte{gsm7Escape, gsm7ExtendedFor[code]}
		}
		code++
	}
	return nil
}

// Measure says how body travels and what it takes. One character outside GSM-7
// makes the whole message UCS-2 and costs more than half of its room; none is
// ever replaced by one that looks like it.
func Measure(body string) Size {
	encoding, parts := Encode(body)
	units := 0
	for _, p := range parts {
		units += len(p)
	}
	if encoding == UCS2 {
		units /= 2
	}
	return Size{Encoding: encoding, Units: units, Parts: len(parts)}
}

// Outside lists the characters of body that GSM-7 does not have, each once.
func Outside(body string) string {
	var out strings.Builder
	for _, r := range body {
		if septets(r) == nil && !strings.ContainsRune(out.String(), r) {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// Encode gives body as it travels, in parts that each fit one message: one
// octet for each septet of GSM-7 (not packed), or UTF-16 with the high octet
// first. Neither an escaped character nor a surrogate pair is cut in two.
func Encode(body string) (Encoding, [][]byte) {
	encoding, alone, part := GSM7, gsm7Alone, gsm7Part
	var units [][]byte // one for each character
	for _, r := range body {
		s := septets(r)
		if s == nil {
			encoding, alone, part = UCS2, 2*ucs2Alone, 2*ucs2Part
			units = wide(body)
			break
		}
		units = append(units, s)
	}
	total := 0
	for _, u := range units {
		total += len(u)
	}
	if total <= alone {
		part = alone
	}
	parts := [][]byte{{}}
	for _, u := range units {
		last := len(parts) - 1
		if len(parts[last])+len(u) > part {
			parts, last = append(parts, nil), last+1
		}
		parts[last] = append(parts[last], u...)
	}
	return encoding, parts
}

func wide(body string) [][]byte {
	var units [][]byte
	for _, r := range body {
		var u []byte
		for _, w := range utf16.AppendRune(nil, r) {
			u = binary.BigEndian.AppendUint16(u, w)
		}
		units = append(units, u)
	}
	return units
}
