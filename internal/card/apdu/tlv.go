package apdu

import "errors"

// ErrTLV says that a data object is malformed or larger than any card's.
var ErrTLV = errors.New("malformed BER-TLV")

// maxValue bounds one value; the largest objects of PIV cards are about 3 kB.
const maxValue = 1 << 16

// TLV is one BER-TLV data object (ISO/IEC 7816-4 section 5.2.2). Tag holds the
// tag's bytes as a number, for example 0x53 or 0x7F49.
type TLV struct {
	Tag   uint32
	Value []byte
}

// ReadTLV reads the first data object of b and returns what follows it. The
// value is part of b, not a copy.
func ReadTLV(b []byte) (TLV, []byte, error) {
	tag, b, err := readTag(b)
	if err != nil {
		return TLV{}, nil, err
	}
	n, b, err := readLength(b)
	if err != nil || n > len(b) {
		return TLV{}, nil, ErrTLV
	}
	return TLV{Tag: tag, Value: b[:n]}, b[n:], nil
}

// ParseTLV reads a list of data objects that fills b.
func ParseTLV(b []byte) ([]TLV, error) {
	var list []TLV
	for len(b) > 0 {
		t, rest, err := ReadTLV(b)
		if err != nil {
			return nil, err
		}
		list, b = append(list, t), rest
	}
	return list, nil
}

// Find returns the value of the first object with a tag.
func Find(list []TLV, tag uint32) ([]byte, bool) {
	for _, t := range list {
		if t.Tag == tag {
			return t.Value, true
		}
	}
	return nil, false
}

// FindTLV returns the value of the first object with a tag in the list that b holds.
func FindTLV(b []byte, tag uint32) ([]byte, bool) {
	list, err := ParseTLV(b)
	if err != nil {
		return nil, false
	}
	return Find(list, tag)
}

// EncodeTLV builds one data object from a tag and the parts of its value.
func EncodeTLV(tag uint32, parts ...[]byte) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	var out []byte
	for shift := 24; shift >= 0; shift -= 8 {
		if b := byte(tag >> shift); b != 0 || shift == 0 || len(out) > 0 {
			out = append(out, b)
		}
	}
	switch {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	case n < 0x10000:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func readTag(b []byte) (uint32, []byte, error) {
	if len(b) == 0 {
		return 0, nil, ErrTLV
	}
	tag := uint32(b[0])
	if b[0]&0x1F != 0x1F {
		return tag, b[1:], nil
	}
	for i := 1; i < len(b) && i < 4; i++ {
		tag = tag<<8 | uint32(b[i])
		if b[i]&0x80 == 0 {
			return tag, b[i+1:], nil
		}
	}
	return 0, nil, ErrTLV
}

func readLength(b []byte) (int, []byte, error) {
	if len(b) == 0 {
		return 0, nil, ErrTLV
	}
	if b[0] < 0x80 {
		return int(b[0]), b[1:], nil
	}
	size := int(b[0] & 0x7F)
	if size == 0 || size > 3 || len(b) < 1+size {
		return 0, nil, ErrTLV
	}
	n := 0
	for _, x := range b[1 : 1+size] {
		n = n<<8 | int(x)
	}
	if n > maxValue {
		return 0, nil, ErrTLV
	}
	return n, b[1+size:], nil
}
