package picture

import (
	"bytes"
	"encoding/binary"

	"latchkey/internal/face"
)

// jpegOrientation finds the orientation in a JPEG's EXIF segment: 1 to 8, and 1
// where there is none or it makes no sense.
func jpegOrientation(data []byte) int {
	for at := 2; at+4 <= len(data) && data[at] == 0xff; {
		marker := data[at+1]
		if marker == 0xff { // filling
			at++
			continue
		}
		size := int(binary.BigEndian.Uint16(data[at+2:]))
		if marker == 0xda || size < 2 || at+2+size > len(data) { // the picture itself begins
			break
		}
		if tiff, ok := bytes.CutPrefix(data[at+4:at+2+size], []byte("Exif\x00\x00")); ok && marker == 0xe1 {
			return tiffOrientation(tiff)
		}
		at += 2 + size
	}
	return 1
}

// pngOrientation finds it in a PNG's eXIf chunk.
func pngOrientation(data []byte) int {
	for at := 8; at+12 <= len(data); {
		size := int64(binary.BigEndian.Uint32(data[at:]))
		if size > int64(len(data)-at-12) {
			break
		}
		if string(data[at+4:at+8]) == "eXIf" {
			return tiffOrientation(data[at+8 : at+8+int(size)])
		}
		at += 12 + int(size)
	}
	return 1
}

// tiffOrientation reads tag 0x0112 of the first directory of a TIFF structure.
func tiffOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := int64(order.Uint32(tiff[4:]))
	if at < 8 || at+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return 1
		}
		if order.Uint16(entries) == 0x0112 {
			o := int(order.Uint16(entries[8:]))
			if order.Uint16(entries[2:]) == 3 && order.Uint32(entries[4:]) == 1 && o >= 1 && o <= 8 {
				return o
			}
			return 1
		}
		entries = entries[12:]
	}
	return 1
}

// upright turns and mirrors a picture as its orientation says.
func upright(p *face.Picture, orientation int) *face.Picture {
	if orientation <= 1 || orientation > 8 {
		return p
	}
	out := &face.Picture{W: p.W, H: p.H, RGB: make([]byte, len(p.RGB))}
	if orientation >= 5 {
		out.W, out.H = p.H, p.W
	}
	for y := range out.H {
		for x := range out.W {
			u, v := x, y // in the picture as it is stored
			if orientation >= 5 {
				u, v = y, x
			}
			switch orientation {
			case 2, 3, 7, 8:
				u = p.W - 1 - u
			}
			switch orientation {
			case 3, 4, 6, 7:
				v = p.H - 1 - v
			}
			copy(out.RGB[3*(y*out.W+x):3*(y*out.W+x)+3], p.RGB[3*(v*p.W+u):3*(v*p.W+u)+3])
		}
	}
	return out
}
