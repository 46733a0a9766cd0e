package apdu

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bin reads hex with spaces.
func bin(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// equal compares long lists faster than go-cmp does.
func equal(a, b []TLV) bool {
	return slices.EqualFunc(a, b, func(x, y TLV) bool { return x.Tag == y.Tag && bytes.Equal(x.Value, y.Value) })
}

func TestParseTLV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     []TLV
	}{
		{"nothing", "", nil},
		{"empty value", "FE 00", []TLV{{0xFE, []byte{}}}},
		{"two objects", "30 01 AA 34 02 BBCC", []TLV{{0x30, []byte{0xAA}}, {0x34, []byte{0xBB, 0xCC}}}},
		{"tag of two bytes", "5F2F 02 4010", []TLV{{0x5F2F, []byte{0x40, 0x10}}}},
		{"tag of three bytes", "5FC102 01 00", []TLV{{0x5FC102, []byte{0}}}},
		{"tag of four bytes", "5F818203 01 07", []TLV{{0x5F818203, []byte{7}}}},
		{"length in two bytes", "53 81 01 09", []TLV{{0x53, []byte{9}}}},
		{"length in three bytes", "53 82 0001 09", []TLV{{0x53, []byte{9}}}},
		{"length in four bytes", "53 83 000001 09", []TLV{{0x53, []byte{9}}}},
		{"same tag twice", "01 01 02 01 01 03", []TLV{{1, []byte{2}}, {1, []byte{3}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseTLV(bin(t, c.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseTLVRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"a tag alone":               "53",
		"half a tag":                "5F",
		"a tag that goes on":        "5F C1",
		"a tag of five bytes":       "5F 81 81 81 01 00",
		"a value cut off":           "53 02 00",
		"a length cut off":          "53 82 01",
		"a length without end":      "53 80 00 00",
		"a length of four bytes":    "53 84 00000001 00",
		"more than any card holds":  "53 83 010001",
		"rubbish behind an object":  "53 01 00 53",
		"a length beyond all bytes": "53 83 FFFFFF 00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := ParseTLV(bin(t, in)); !errors.Is(err, ErrTLV) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestFindTLV(t *testing.T) {
	t.Parallel()
	list := bin(t, "30 01 AA 34 00 34 01 BB")
	if v, ok := FindTLV(list, 0x34); !ok || len(v) != 0 {
		t.Errorf("the first of two: %X, %v", v, ok)
	}
	if v, ok := FindTLV(list, 0x35); ok {
		t.Errorf("one that is not there: %X", v)
	}
	if v, ok := FindTLV(list[:len(list)-1], 0x30); ok {
		t.Errorf("in a list that is cut off: %X", v)
	}
}

func TestEncodeTLV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag  uint32
		n    int
		want string // of what stands before the value
	}{
		{0x00, 0, "00 00"},
		{0x5C, 3, "5C 03"},
		{0x53, 0x7F, "53 7F"},
		{0x53, 0x80, "53 81 80"},
		{0x53, 0xFF, "53 81 FF"},
		{0x53, 0x100, "53 82 0100"},
		{0x53, 0xFFFF, "53 82 FFFF"},
		{0x53, 0x10000, "53 83 010000"},
		{0x5FC102, 1, "5FC102 01"},
		{0x7F49, 0, "7F49 00"},
	} {
		half := c.n / 2
		got := EncodeTLV(c.tag, make([]byte, half), make([]byte, c.n-half))
		if want := append(bin(t, c.want), make([]byte, c.n)...); !bytes.Equal(got, want) {
			t.Errorf("tag %X, %d bytes: begins %X, want %s", c.tag, c.n, got[:min(len(got), 8)], c.want)
		}
	}
}

func TestWhatIsEncodedIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var want []TLV
		var raw []byte
		for range rapid.IntRange(0, 5).Draw(t, "objects") {
			tag := rapid.SampledFrom([]uint32{0, 1, 0x53, 0x7C, 0x5F2F, 0x7F49, 0x5FC102, 0x5F818203}).Draw(t, "tag")
			n := rapid.SampledFrom([]int{0, 1, 0x7F, 0x80, 0xFF, 0x100, 3000, 0xFFFF, 0x10000}).Draw(t, "length")
			value := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, n)
			want, raw = append(want, TLV{tag, value}), append(raw, EncodeTLV(tag, value)...)
		}
		got, err := ParseTLV(raw)
		if err != nil || !equal(want, got) {
			t.Fatalf("%d objects came back as %d, %v", len(want), len(got), err)
		}
	})
}

func FuzzTLV(f *testing.F) {
	for _, seed := range []string{"", "53 00", "5F2F 02 4010", "53 82 0100", "53 83 FFFFFF 00", "5F C1", "53 80 0000",
		"61 11 4F 06 000010000100 79 07 4F 05 A000000308", "7C 12 82 00 81 04 01020304", "1F 00 00"} {
		f.Add(bin(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseTLV(b)
		if err != nil {
			if list != nil || !errors.Is(err, ErrTLV) {
				t.Fatalf("%v with %d objects", err, len(list))
			}
			return
		}
		var again []byte
		for _, o := range list {
			again = append(again, EncodeTLV(o.Tag, o.Value)...)
		}
		if len(again) > len(b) {
			t.Fatalf("%X grew to %X", b, again)
		}
		second, err := ParseTLV(again)
		if err != nil || !equal(list, second) {
			t.Fatalf("%X read back differs: %v", again, err)
		}
	})
}

func BenchmarkTLV(b *testing.B) {
	object := EncodeTLV(0x53, EncodeTLV(0x70, make([]byte, 1500)), EncodeTLV(0x71, []byte{0}), EncodeTLV(0xFE))
	b.ReportAllocs()
	for b.Loop() {
		outer, _, err := ReadTLV(object)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := FindTLV(outer.Value, 0x70); !ok {
			b.Fatal("the certificate was not found")
		}
	}
}
