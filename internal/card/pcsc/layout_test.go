//go:build linux || darwin

package pcsc

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// layouts are those of Linux, macOS and Windows.
func layouts() map[string]layout {
	return map[string]layout{
		"linux":   {dword: 8, stride: 80, maxATR: 33},
		"darwin":  {dword: 4, stride: 61, maxATR: 33},
		"windows": {dword: 4, stride: 64, maxATR: 36},
	}
}

func TestReaderStatesInMemory(t *testing.T) {
	t.Parallel()
	if stateLayout().stride == 0 {
		t.Fatal("no layout for this platform")
	}
	for name, l := range layouts() {
		states := []readerState{{current: 0x11223344}, {current: 0x00050022}}
		names := []unsafe.Pointer{terminated("A"), terminated("B")}
		raw := l.encode(states, names)
		if len(raw) != 2*l.stride {
			t.Fatalf("%s: %d bytes", name, len(raw))
		}
		for i := range states {
			at := raw[i*l.stride:]
			if p := binary.NativeEndian.Uint64(at); p != uint64(uintptr(names[i])) {
				t.Errorf("%s: name %d at %X", name, i, p)
			}
			if c := binary.NativeEndian.Uint32(at[16:]); c != states[i].current {
				t.Errorf("%s: state %d is %X", name, i, c)
			}
			// What the service writes: event, length of the ATR, ATR.
			binary.NativeEndian.PutUint32(at[16+l.dword:], uint32(0x22+i))
			binary.NativeEndian.PutUint32(at[16+2*l.dword:], uint32(2+100*i))
			at[16+3*l.dword] = 0x3B
		}
		l.decode(raw, states)
		for i, length := range []int{2, l.maxATR} { // a length beyond the field is cut
			if s := states[i]; s.event != uint32(0x22+i) || len(s.atr) != length || s.atr[0] != 0x3B {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

func TestSplitMulti(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"":                nil,
		"\x00":            nil,
		"A\x00\x00":       {"A"},
		"A\x00BC\x00\x00": {"A", "BC"},
		"A\x00\x00B\x00":  {"A"},
		"A\x00B":          {"A"},
	} {
		got := splitMulti([]byte(in), func(b []byte) string { return string(b) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.StringMatching(`[a-zé ]{1,9}`)).Draw(t, "names")
		var raw []byte
		for _, n := range names {
			raw = append(append(raw, n...), 0)
		}
		got := splitMulti(append(raw, 0, 'x'), func(b []byte) string { return string(b) })
		if len(got) != len(names) || len(names) > 0 && !cmp.Equal(got, names) {
			t.Fatalf("%q became %q", names, got)
		}
	})
}
