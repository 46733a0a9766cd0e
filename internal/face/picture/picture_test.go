package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"latchkey/internal/face"
	"latchkey/internal/face/facetest"
)

// quarters is a picture whose corners are red, green, blue and white, in
// reading order, taller than wide.
func quarters() *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, 32, 48))
	for y := range 48 {
		for x := range 32 {
			c := color.NRGBA{255, 0, 0, 255}
			switch {
			case x >= 16 && y < 24:
				c = color.NRGBA{0, 255, 0, 255}
			case x < 16 && y >= 24:
				c = color.NRGBA{0, 0, 255, 255}
			case x >= 16:
				c = color.NRGBA{255, 255, 255, 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

// corners names the colours in the corners of a picture, in reading order.
func corners(p *face.Picture) string {
	var out strings.Builder
	for _, at := range [][2]int{{4, 4}, {p.W - 5, 4}, {4, p.H - 5}, {p.W - 5, p.H - 5}} {
		i := 3 * (at[1]*p.W + at[0])
		r, g, b := p.RGB[i] > 128, p.RGB[i+1] > 128, p.RGB[i+2] > 128
		switch {
		case r && g && b:
			out.WriteByte('w')
		case r && !g && !b:
			out.WriteByte('r')
		case g && !r && !b:
			out.WriteByte('g')
		case b && !r && !g:
			out.WriteByte('b')
		default:
			out.WriteByte('?')
		}
	}
	return out.String()
}

// tiff is an EXIF structure with an orientation behind another entry.
func tiff(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order == binary.BigEndian {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	for _, entry := range [][2]uint16{{0x010f, 0}, {0x0112, orientation}} {
		b = order.AppendUint16(b, entry[0])
		b = order.AppendUint16(b, 3)
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, entry[1])
		b = order.AppendUint16(b, 0)
	}
	return order.AppendUint32(b, 0)
}

func asJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withEXIF puts a structure into a JPEG or PNG, as the first segment or chunk.
func withEXIF(data, tiff []byte) []byte {
	if data[0] == 0xff {
		segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(8+len(tiff)))
		segment = append(append(segment, "Exif\x00\x00"...), tiff...)
		return append(append(append([]byte(nil), data[:2]...), segment...), data[2:]...)
	}
	const after = 8 + 25 // the signature and IHDR
	chunk := append([]byte("eXIf"), tiff...)
	sum := crc32.ChecksumIEEE(chunk)
	chunk = binary.BigEndian.AppendUint32(append(binary.BigEndian.AppendUint32(nil, uint32(len(tiff))), chunk...), sum)
	return append(append(append([]byte(nil), data[:after]...), chunk...), data[after:]...)
}

func TestOrientation(t *testing.T) {
	t.Parallel()
	// EXIF 2.32, tag 0x0112: what the stored picture has to be turned to.
	want := map[uint16]string{0: "rgbw", 1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb", 9: "rgbw"}
	for _, data := range [][]byte{asJPEG(t, quarters()), asPNG(t, quarters())} {
		for orientation, corner := range want {
			for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
				p, err := Decode(withEXIF(data, tiff(order, orientation)))
				if err != nil {
					t.Fatal(err)
				}
				w, h := 32, 48
				if orientation >= 5 && orientation <= 8 {
					w, h = h, w
				}
				if p.W != w || p.H != h || corners(p) != corner {
					t.Errorf("orientation %d (%v): %d x %d, %s, want %d x %d, %s", orientation, order, p.W, p.H, corners(p), w, h, corner)
				}
			}
		}
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	grey, paletted := image.NewGray(image.Rect(0, 0, 9, 7)), image.NewPaletted(image.Rect(0, 0, 9, 7), color.Palette{color.White, color.NRGBA{0, 0, 0, 0}})
	deep := image.NewNRGBA64(image.Rect(0, 0, 9, 7))
	for i := range grey.Pix {
		grey.Pix[i] = 77
	}
	for i := range deep.Pix {
		deep.Pix[i] = 77
	}
	for i := range paletted.Pix {
		paletted.Pix[i] = 1 // seen through: white
	}
	for name, is := range map[string]struct {
		data []byte
		want byte
	}{"grey JPEG": {asJPEG(t, grey), 77}, "grey PNG": {asPNG(t, grey), 77}, "transparent PNG": {asPNG(t, paletted), 255}, "deep PNG": {asPNG(t, deep), 0}} {
		p, err := Decode(is.data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.W != 9 || p.H != 7 || len(p.RGB) != 3*9*7 {
			t.Errorf("%s: %d x %d, %d bytes", name, p.W, p.H, len(p.RGB))
		}
		for i, v := range p.RGB {
			if is.want != 0 && v != is.want {
				t.Fatalf("%s: byte %d is %d, want %d", name, i, v, is.want)
			}
		}
	}
}

// TestReduced: what is larger than needed is made smaller, the same in all its
// parts.
func TestReduced(t *testing.T) {
	t.Parallel()
	m := image.NewGray(image.Rect(0, 0, 5200, 40))
	for x := range 5200 {
		for y := range 40 {
			m.SetGray(x, y, color.Gray{uint8(x / 52)})
		}
	}
	p, err := Decode(asPNG(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if p.W != 5200/3 || p.H != 13 {
		t.Fatalf("%d x %d", p.W, p.H)
	}
	for x := range p.W {
		if got, want := int(p.RGB[3*x]), 3*x/52; got < want-1 || got > want+1 {
			t.Fatalf("column %d is %d, want %d", x, got, want)
		}
	}
	if p, err = Decode(asPNG(t, image.NewGray(image.Rect(0, 0, 6000, 1)))); err != nil || p.W != 2000 || p.H != 1 {
		t.Errorf("a line came out as %+v, %v", p, err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	photo := asJPEG(t, quarters())
	// Dimensions that were never stored: a decompression bomb.
	bomb := asPNG(t, quarters())
	binary.BigEndian.PutUint32(bomb[16:], 5001)
	binary.BigEndian.PutUint32(bomb[20:], 5000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	huge := append([]byte(nil), photo...)
	at := bytes.Index(huge, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(huge[at+5:], 65535)
	binary.BigEndian.PutUint16(huge[at+7:], 65535)
	cases := []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, ErrFormat}, {"text", []byte("hello"), ErrFormat}, {"a GIF", []byte("GIF89a\x01\x00\x01\x00"), ErrFormat},
		{"a JPEG's head", photo[:40], ErrFormat}, {"half a JPEG", photo[:len(photo)/2], ErrFormat},
		{"a PNG's head", bomb[:20], ErrFormat}, {"a PNG of 25 million pixels and some", bomb, ErrTooLarge},
		{"a JPEG of 4 billion pixels", huge, ErrTooLarge},
		{"a long file", append(photo, make([]byte, MostBytes)...), ErrTooLarge},
	}
	for _, c := range cases {
		if _, err := Decode(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if _, err := DecodeWithin(photo, Limits{Bytes: len(photo) - 1, Pixels: 1 << 20}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := DecodeWithin(photo, Limits{Bytes: len(photo), Pixels: 32*48 - 1}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a pixel too many: %v", err)
	}
	if _, err := DecodeWithin(photo, Limits{Bytes: len(photo), Pixels: 32 * 48}); err != nil {
		t.Errorf("just small enough: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	photo, drawing := asJPEG(f, quarters()), asPNG(f, quarters())
	for _, seed := range [][]byte{photo, drawing, withEXIF(photo, tiff(binary.LittleEndian, 6)), withEXIF(drawing, tiff(binary.BigEndian, 8)),
		withEXIF(photo, []byte("II*\x00\xff\xff\xff\xff")), withEXIF(photo, []byte("MM\x00*\x00\x00\x00\x08\xff\xff")), photo[:300]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := Limits{Bytes: 1 << 20, Pixels: 1 << 16}
		p, err := DecodeWithin(data, l)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if p.W < 1 || p.H < 1 || p.W*p.H > l.Pixels || len(p.RGB) != 3*p.W*p.H {
			t.Errorf("%d x %d with %d bytes", p.W, p.H, len(p.RGB))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for name, data := range map[string][]byte{"frame640x480": facetest.Named(b, "maple").Frame, "photo1920x1537": facetest.Sample(b, 6)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
