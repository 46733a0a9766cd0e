package tflite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrMalformed: the file is not a whole TensorFlow Lite model.
var ErrMalformed = errors.New("not a TensorFlow Lite model")

// flat reads FlatBuffers: little endian, tables found by offsets. Its first
// fault stays, and what is read after it is zero, so that a caller checks once.
// Vectors together may have as many bytes as the file: offsets can point to the
// same place again and again, and a small file would be read as a huge one.
type flat struct {
	data []byte
	left int // bytes that vectors may still have
	err  error
}

// table is the position of a table; 0 where there is none.
type table int

func (f *flat) fail(at int) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: offset %d", ErrMalformed, at)
	}
}

// bytes gives n bytes at a place, or nil.
func (f *flat) bytes(at, n int) []byte {
	if f.err != nil || at < 0 || n < 0 || at > len(f.data) || n > len(f.data)-at {
		f.fail(at)
		return nil
	}
	return f.data[at : at+n]
}

func (f *flat) u32(at int) int {
	b := f.bytes(at, 4)
	if b == nil {
		return 0
	}
	v := binary.LittleEndian.Uint32(b)
	if v > math.MaxInt32 {
		f.fail(at)
		return 0
	}
	return int(v)
}

// root is the outermost table.
func (f *flat) root() table { return table(f.u32(0)) }

// field is the place of a table's field, 0 where it is left out.
func (f *flat) field(t table, number int) int {
	if t == 0 {
		return 0
	}
	b := f.bytes(int(t), 4)
	if b == nil {
		return 0
	}
	v := int(t) - int(int32(binary.LittleEndian.Uint32(b))) // of its vtable
	head := f.bytes(v, 4)
	if head == nil {
		return 0
	}
	slot := 4 + 2*number
	if slot+2 > int(binary.LittleEndian.Uint16(head)) {
		return 0
	}
	s := f.bytes(v+slot, 2)
	if s == nil {
		return 0
	}
	if o := int(binary.LittleEndian.Uint16(s)); o != 0 {
		return int(t) + o
	}
	return 0
}

// number is a field of four bytes, or what it is where left out.
func (f *flat) number(t table, field, otherwise int) int {
	if at := f.field(t, field); at != 0 {
		return f.u32(at)
	}
	return otherwise
}

// small is a field of one byte.
func (f *flat) small(t table, field int) int {
	if at := f.field(t, field); at != 0 {
		if b := f.bytes(at, 1); b != nil {
			return int(b[0])
		}
	}
	return 0
}

// table is a field that is a table.
func (f *flat) table(t table, field int) table {
	at := f.field(t, field)
	if at == 0 {
		return 0
	}
	return table(at + f.u32(at))
}

// vector is a field that is a vector of things of a size: its first byte, and
// how many there are.
func (f *flat) vector(t table, field, size int) (start, n int) {
	at := f.field(t, field)
	if at == 0 {
		return 0, 0
	}
	at += f.u32(at)
	n = f.u32(at)
	if f.bytes(at+4, n*size) == nil {
		return 0, 0
	}
	if f.left -= n * size; f.left < 0 {
		f.fail(at)
		return 0, 0
	}
	return at + 4, n
}

// tables is a field that is a vector of tables.
func (f *flat) tables(t table, field int) []table {
	at, n := f.vector(t, field, 4)
	all := make([]table, n)
	for i := range all {
		all[i] = table(at + 4*i + f.u32(at+4*i))
	}
	return all
}

// ints is a field that is a vector of int32.
func (f *flat) ints(t table, field int) []int {
	at, n := f.vector(t, field, 4)
	all := make([]int, n)
	for i := range all {
		if b := f.bytes(at+4*i, 4); b != nil {
			all[i] = int(int32(binary.LittleEndian.Uint32(b)))
		}
	}
	return all
}

// blob is a field that is a vector of bytes or a string.
func (f *flat) blob(t table, field int) []byte {
	at, n := f.vector(t, field, 1)
	return f.bytes(at, n)
}
