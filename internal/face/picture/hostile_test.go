package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"latchkey/internal/face"
)

// drawn is a JPEG of one colour, written by hand: encoders at hand write neither
// passes nor inks.
type drawn struct {
	w, h   int
	colour []byte // as it is stored, a byte for each component
	adobe  int    // transform that the Adobe segment names; -1 where there is none
	passes int    // 0: not progressive
}

func (d drawn) bytes() []byte {
	b := []byte{0xff, 0xd8}
	segment := func(marker byte, content ...byte) {
		b = binary.BigEndian.AppendUint16(append(b, 0xff, marker), uint16(2+len(content)))
		b = append(b, content...)
	}
	if d.adobe >= 0 {
		segment(0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), byte(d.adobe))...)
	}
	segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)
	// Codes are of four bits: how many bits a difference has, and what AC
	// coefficients there are: none in this block, or in this and 16,383 after.
	lengths := []byte{0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	segment(0xc4, slices.Concat([]byte{0x00}, lengths, []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})...)
	lengths[3] = 2
	segment(0xc4, slices.Concat([]byte{0x10}, lengths, []byte{0x00, 0xe0})...)
	n := len(d.colour)
	frame := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{8}, uint16(d.h)), uint16(d.w))
	frame = append(frame, byte(n))
	scan := []byte{byte(n)}
	for i := range d.colour {
		frame = append(frame, byte(i+1), 0x11, 0)
		scan = append(scan, byte(i+1), 0)
	}
	blocks := ((d.w + 7) / 8) * ((d.h + 7) / 8)
	if d.passes == 0 {
		segment(0xc0, frame...)
		segment(0xda, append(scan, 0, 63, 0)...)
		return append(append(b, d.blocks(blocks, true)...), 0xff, 0xd9)
	}
	segment(0xc2, frame...)
	segment(0xda, append(scan, 0, 0, 0)...)
	b = append(b, d.blocks(blocks, false)...)
	var none stream
	for range (blocks + 1<<14 - 1) >> 14 {
		none.put(4, 1)
		none.put(14, 0)
	}
	for i := 1; i < d.passes; i++ {
		b = append(b, 0xff) // filling is allowed
		segment(0xda, 1, byte(1+i%n), 0, 1, 63, 0)
		b = append(b, none.end()...)
	}
	return append(b, 0xff, 0xd9)
}

// blocks codes the differences of the blocks' means, with their ends or not.
func (d drawn) blocks(n int, ends bool) []byte {
	var s stream
	for i := range n {
		for _, c := range d.colour {
			v := 8 * (int(c) - 128) // the mean of 64, by the transform's scale
			if i > 0 {
				v = 0 // as the block before
			}
			size := bits.Len(uint(max(v, -v)))
			s.put(4, size)
			if v < 0 {
				v += 1<<size - 1
			}
			s.put(size, v)
			if ends {
				s.put(4, 0)
			}
		}
	}
	return s.end()
}

// stream is bits, of which a byte 0xff is followed by 0.
type stream struct {
	b    []byte
	left uint32
	n    int
}

func (s *stream) put(n, v int) {
	s.left, s.n = s.left<<n|uint32(v), s.n+n
	for ; s.n >= 8; s.n -= 8 {
		c := byte(s.left >> (s.n - 8))
		if s.b = append(s.b, c); c == 0xff {
			s.b = append(s.b, 0)
		}
	}
}

func (s stream) end() []byte {
	s.b = slices.Clone(s.b)
	s.put(7, 0x7f)
	return s.b
}

// TestColours: every kind of JPEG that cameras, scanners and print shops make
// comes out in its colours, whatever its size.
func TestColours(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 1}, {8, 8}, {17, 3}, {1, 300}, {2561, 1}} {
		for _, passes := range []int{0, 1, 5, mostScans} {
			for name, c := range map[string]struct {
				stored []byte
				adobe  int
				want   [3]byte
			}{
				"grey":                {[]byte{77}, -1, [3]byte{77, 77, 77}},
				"luma and chroma":     {[]byte{76, 85, 255}, -1, [3]byte{254, 0, 0}},
				"red, green and blue": {[]byte{200, 100, 50}, 0, [3]byte{200, 100, 50}},
				"white paper":         {[]byte{255, 255, 255, 255}, 0, [3]byte{255, 255, 255}}, // inks are stored the other way round
				"cyan ink":            {[]byte{0, 255, 255, 255}, 0, [3]byte{0, 255, 255}},
				"black ink":           {[]byte{255, 255, 255, 0}, 0, [3]byte{0, 0, 0}},
				"inks by chroma":      {[]byte{76, 85, 255, 255}, 2, [3]byte{1, 255, 255}}, // much red stands for much cyan
			} {
				data := drawn{size[0], size[1], c.stored, c.adobe, passes}.bytes()
				p, err := Decode(data)
				if err != nil {
					t.Fatalf("%s, %v, %d passes: %v", name, size, passes, err)
				}
				if size[0] <= longestSide && (p.W != size[0] || p.H != size[1]) {
					t.Errorf("%s, %v, %d passes: %d x %d", name, size, passes, p.W, p.H)
				}
				for i, v := range p.RGB {
					if d := int(v) - int(c.want[i%3]); d < -1 || d > 1 {
						t.Fatalf("%s, %v, %d passes: %v, want %v", name, size, passes, p.RGB[:3], c.want)
					}
				}
			}
		}
	}
	if _, err := Decode(drawn{8, 8, []byte{1, 2, 3, 4}, -1, 0}.bytes()); !errors.Is(err, ErrFormat) {
		t.Errorf("four components of no known meaning: %v", err)
	}
}

// TestPasses: more passes than any encoder makes are refused, and only those.
func TestPasses(t *testing.T) {
	t.Parallel()
	d := drawn{16, 16, []byte{76, 85, 255}, -1, mostScans}
	most := d.bytes()
	d.passes++
	if _, err := Decode(d.bytes()); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d passes: %v", d.passes, err)
	}
	d.passes = 10
	frame := Limits{Bytes: 1 << 20, Pixels: 256, Passes: 10}
	if _, err := DecodeWithin(d.bytes(), frame); err != nil {
		t.Errorf("%d passes of %d: %v", d.passes, frame.Passes, err)
	}
	d.passes++
	if _, err := DecodeWithin(d.bytes(), frame); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d passes of %d: %v", d.passes, frame.Passes, err)
	}
	for _, n := range []int{0, 1, 7, mostScans, mostScans + 1, 1000} {
		if got := scans(drawn{16, 16, []byte{76}, -1, n}.bytes()); got != max(n, 1) {
			t.Errorf("%d passes of %d", got, n)
		}
	}
	// A film behind the picture has the marker's bytes again and again.
	film := make([]byte, 1<<20)
	r := rand.NewChaCha8([32]byte{})
	if _, err := r.Read(film); err != nil {
		t.Fatal(err)
	}
	film = append(film, bytes.Repeat([]byte{0xff, 0xda}, 1000)...)
	if p, err := Decode(append(slices.Clone(most), film...)); err != nil || p.W != 16 {
		t.Errorf("with a film behind it: %v", err)
	}
	// So may a note in front of it.
	note := append([]byte{0xff, 0xd8, 0xff, 0xfe, 0x10, 0x02}, bytes.Repeat([]byte{0xff, 0xda}, 0x800)...)
	if p, err := Decode(append(note, most[2:]...)); err != nil || p.W != 16 {
		t.Errorf("with a note: %v", err)
	}
}

// chunked is a PNG of 8-bit grey with its pixels' stream as given.
func chunked(w, h uint32, stream []byte, more ...[]byte) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(content []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(content)-4))
		b = binary.BigEndian.AppendUint32(append(b, content...), crc32.ChecksumIEEE(content))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("IHDR"), w), h)
	chunk(append(head, 8, 0, 0, 0, 0))
	for _, m := range more {
		chunk(m)
	}
	chunk(append([]byte("IDAT"), stream...))
	chunk([]byte("IEND"))
	return b
}

// deflated packs a number of zeros.
func deflated(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for n > 0 {
		part := zeros[:min(n, len(zeros))]
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
		n -= len(part)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestBombs: small files that promise or unpack to much take little memory.
func TestBombs(t *testing.T) { // not parallel: it counts the memory taken
	bomb := deflated(t, 16<<20)
	note := append([]byte("zTXtnote\x00\x00"), bomb...)
	profile := append([]byte("iCCPmine\x00\x00"), bomb...)
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"more pixels than the picture has", chunked(1, 1, bomb), ErrFormat},
		{"a note that unpacks", chunked(1, 1, deflated(t, 2), note), nil},
		{"a colour profile that unpacks", chunked(1, 1, deflated(t, 2), profile), nil},
		{"a long PNG", chunked(1<<31-1, 1, bomb), ErrTooLarge},
		{"a high PNG", chunked(1, 1<<31-1, bomb), ErrTooLarge},
		{"the largest PNG", chunked(1<<31-1, 1<<31-1, bomb), ErrFormat},
		{"a PNG beyond numbers", chunked(1<<32-1, 1<<32-1, bomb), ErrFormat},
		{"no pixels", chunked(0, 0, nil), ErrFormat},
		{"a line of no pixels", chunked(0, 1<<30, nil), ErrFormat},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(c.data)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
			t.Errorf("%s: %d bytes of memory", c.name, took)
		}
	}
}

// TestTiny: whatever was found on a picture of a pixel or a line, it is judged
// without a fault.
func TestTiny(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 1}, {1, 2560}, {2560, 1}, {2, 2}} {
		p := &face.Picture{W: size[0], H: size[1], RGB: make([]byte, 3*size[0]*size[1])}
		found := photoOf(t, "birch").found
		found[0].Box = face.Rect{X: -100, Y: -100, W: 300, H: 300}
		if reason, m := Quality(p, found); reason == face.Verified {
			t.Errorf("%s: good, %+v", fmt.Sprint(size), m)
		}
	}
}
