package pcsc

import (
	"encoding/binary"
	"runtime"
	"unsafe"
)

// layout is how the platform lays SCARD_READERSTATE out in memory, in bytes:
// two pointers, three DWORDs, the ATR. All platforms of ours are 64-bit and
// little-endian.
type layout struct {
	dword  int // size of a DWORD
	stride int // size of one state
	maxATR int
}

const pointers = 16 // szReader and pvUserData

func (l layout) dwordAt(raw []byte, i, field int) []byte {
	return raw[i*l.stride+pointers+field*l.dword:]
}

// encode lays states out for the call. names are what the name pointers point
// to: they must be kept alive until the call is over.
func (l layout) encode(states []readerState, names []unsafe.Pointer) []byte {
	raw := make([]byte, l.stride*len(states))
	for i, s := range states {
		binary.NativeEndian.PutUint64(raw[i*l.stride:], uint64(uintptr(names[i])))
		binary.NativeEndian.PutUint32(l.dwordAt(raw, i, 0), s.current)
	}
	runtime.KeepAlive(names)
	return raw
}

// decode reads the events and ATRs out of what the call left.
func (l layout) decode(raw []byte, states []readerState) {
	for i := range states {
		states[i].event = binary.NativeEndian.Uint32(l.dwordAt(raw, i, 1))
		n := min(int(binary.NativeEndian.Uint32(l.dwordAt(raw, i, 2))), l.maxATR)
		atr := l.dwordAt(raw, i, 3)
		states[i].atr = append([]byte(nil), atr[:n]...)
	}
}

// splitMulti splits a multi-string: texts that each end in a zero, then a zero.
func splitMulti[T byte | uint16](raw []T, text func([]T) string) []string {
	var out []string
	for start, i := 0, 0; i < len(raw); i++ {
		if raw[i] != 0 {
			continue
		}
		if i == start {
			break
		}
		out = append(out, text(raw[start:i]))
		start = i + 1
	}
	return out
}
