// Package tflitetest writes small TensorFlow Lite models for tests.
package tflitetest

import (
	"encoding/binary"
	"math"

	"latchkey/internal/face/convert/tflite"
)

// Model is a model of one graph.
type Model struct {
	Tensors         []Tensor
	Operators       []Operator
	Inputs, Outputs []int
}

// Tensor is a constant where it has values. Type is the schema's TensorType.
type Tensor struct {
	Name   string
	Shape  []int
	Values []float32
	Type   int
}

// Operator is one step. Stride, Multiplier, Dilation (0 is 1) and Valid are of
// convolutions.
type Operator struct {
	Op                                       tflite.Op
	Inputs                                   []int
	Output                                   int
	Activation, Stride, Multiplier, Dilation int
	Valid                                    bool // without padding
}

// field is the content of a table's field: bytes as they are, or what they
// point to.
type field struct {
	plain []byte
	to    func(w *writer) int // writes it and gives where it begins
}

// writer writes front to back: a table is followed by what it points to.
type writer struct{ b []byte }

func u32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// table writes a vtable, the table and what its fields point to.
func (w *writer) table(fields ...field) int {
	w.align()
	v := len(w.b)
	size := 4
	head := make([]byte, 4)
	for _, f := range fields {
		at := 0
		if f.plain != nil || f.to != nil {
			at = size
			size += 4 // each has its own four bytes, whatever it needs
		}
		head = binary.LittleEndian.AppendUint16(head, uint16(at))
	}
	binary.LittleEndian.PutUint16(head, uint16(len(head)))
	binary.LittleEndian.PutUint16(head[2:], uint16(size))
	w.b = append(w.b, head...)
	w.align()
	t := len(w.b)
	w.b = append(w.b, u32(t-v)...)
	for _, f := range fields {
		if f.plain != nil {
			w.b = append(w.b, append(append([]byte(nil), f.plain...), 0, 0, 0)[:4]...)
		} else if f.to != nil {
			w.b = append(w.b, 0, 0, 0, 0)
		}
	}
	at := t + 4
	for _, f := range fields {
		if f.to != nil {
			w.point(at, f.to)
		}
		if f.plain != nil || f.to != nil {
			at += 4
		}
	}
	return t
}

func (w *writer) point(at int, to func(*writer) int) {
	begin := to(w) // may move w.b
	binary.LittleEndian.PutUint32(w.b[at:], uint32(begin-at))
}

func (w *writer) align() {
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

// number is of four bytes; fields of one byte are read from its first.
func number(v int) field { return field{plain: u32(v)} }

func blob(b []byte) field {
	return field{to: func(w *writer) int {
		w.align()
		at := len(w.b)
		w.b = append(append(w.b, u32(len(b))...), b...)
		return at
	}}
}

func ints(v []int) field {
	return field{to: func(w *writer) int {
		w.align()
		at := len(w.b)
		w.b = append(w.b, u32(len(v))...)
		for _, i := range v {
			w.b = append(w.b, u32(i)...)
		}
		return at
	}}
}

func tables(n int, each func(w *writer, i int) int) field {
	return field{to: func(w *writer) int {
		w.align()
		at := len(w.b)
		w.b = append(append(w.b, u32(n)...), make([]byte, 4*n)...)
		for i := range n {
			w.point(at+4+4*i, func(w *writer) int { return each(w, i) })
		}
		return at
	}}
}

// Bytes is the model's file. Buffer 0 is empty, as the format wants it, and
// tensor i has buffer i+1.
func (m Model) Bytes() []byte {
	w := &writer{b: []byte("\x00\x00\x00\x00TFL3")}
	var kinds []tflite.Op
	index := map[tflite.Op]int{}
	for _, o := range m.Operators {
		if _, ok := index[o.Op]; !ok {
			index[o.Op] = len(kinds)
			kinds = append(kinds, o.Op)
		}
	}
	graph := func(w *writer, _ int) int {
		return w.table(
			tables(len(m.Tensors), func(w *writer, i int) int {
				t := m.Tensors[i]
				return w.table(ints(t.Shape), number(t.Type), number(i+1), blob([]byte(t.Name)))
			}),
			ints(m.Inputs), ints(m.Outputs),
			tables(len(m.Operators), func(w *writer, i int) int { return m.Operators[i].write(w, index) }))
	}
	root := w.table(number(3),
		tables(len(kinds), func(w *writer, i int) int { return w.table(field{plain: []byte{byte(kinds[i])}}) }),
		tables(1, graph), field{},
		tables(len(m.Tensors)+1, func(w *writer, i int) int {
			if i == 0 || m.Tensors[i-1].Values == nil {
				return w.table()
			}
			var raw []byte
			for _, v := range m.Tensors[i-1].Values {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
			}
			return w.table(blob(raw))
		}))
	binary.LittleEndian.PutUint32(w.b, uint32(root))
	return w.b
}

func (o Operator) write(w *writer, index map[tflite.Op]int) int {
	padding, dilation := 0, max(o.Dilation, 1)
	if o.Valid {
		padding = 1
	}
	options := []field{number(o.Activation)}
	switch o.Op {
	case tflite.Conv:
		options = []field{number(padding), number(o.Stride), number(o.Stride), number(o.Activation), number(dilation), number(dilation)}
	case tflite.DepthwiseConv:
		options = []field{number(padding), number(o.Stride), number(o.Stride), number(o.Multiplier), number(o.Activation), number(dilation), number(dilation)}
	}
	table := field{to: func(w *writer) int { return w.table(options...) }}
	return w.table(number(index[o.Op]), ints(o.Inputs), ints([]int{o.Output}), field{}, table)
}
