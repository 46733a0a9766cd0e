// Package onnx writes neural networks as ONNX models: nodes and constants in
// the order that they were added, so that the same network always gives the
// same bytes. The layout is that of onnx/onnx.proto3.
package onnx

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Versions that are written: of the file's layout and of the operators.
const (
	irVersion    = 7
	opsetVersion = 13
)

// Kinds of data and of attributes, by the standard.
const (
	float   = 1
	attrInt = 2
	attrs   = 7
)

// Batch is a size that is known only when the network runs.
const Batch = -1

// Graph is a network that is being written. Names are the caller's; each is
// given once.
type Graph struct {
	name             string
	nodes, constants []byte
	inputs, outputs  []byte
	known            map[string]bool // constants
}

// New begins a network.
func New(name string) *Graph {
	return &Graph{name: name, known: map[string]bool{}}
}

// Attribute is a setting of a node: one integer, or several.
type Attribute struct {
	Name string
	Int  int
	Ints []int
}

// Node adds an operator and gives its output's name, which is the node's.
func (g *Graph) Node(op, name string, inputs []string, attributes ...Attribute) string {
	var n []byte
	for _, in := range inputs {
		n = text(n, 1, in)
	}
	n = text(n, 2, name)
	n = text(n, 3, name)
	n = text(n, 4, op)
	for _, a := range attributes {
		n = message(n, 5, a.encode())
	}
	g.nodes = message(g.nodes, 1, n)
	return name
}

func (a Attribute) encode() []byte {
	b := text(nil, 1, a.Name)
	if a.Ints == nil {
		return number(number(b, 3, a.Int), 20, attrInt)
	}
	for _, i := range a.Ints {
		b = number(b, 8, i)
	}
	return number(b, 20, attrs)
}

// Floats adds a constant, with subnormal numbers as zero: they mean nothing and
// can slow a network eightfold.
func (g *Graph) Floats(name string, shape []int, values []float32) string {
	if g.known[name] { // used by several nodes
		return name
	}
	g.known[name] = true
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		bits := math.Float32bits(v)
		if bits&0x7f800000 == 0 {
			bits &= 0x80000000
		}
		raw = binary.LittleEndian.AppendUint32(raw, bits)
	}
	var t []byte
	for _, d := range shape {
		t = number(t, 1, d)
	}
	t = number(t, 2, float)
	t = text(t, 8, name)
	t = message(t, 9, raw)
	g.constants = message(g.constants, 5, t)
	return name
}

// Input names what the network is given.
func (g *Graph) Input(name string, shape ...int) {
	g.inputs = message(g.inputs, 11, value(name, shape))
}

// Output names a node's output that the network gives.
func (g *Graph) Output(name string, shape ...int) {
	g.outputs = message(g.outputs, 12, value(name, shape))
}

// Bytes is the model's file.
func (g *Graph) Bytes() []byte {
	graph := append([]byte(nil), g.nodes...)
	graph = text(graph, 2, g.name)
	graph = append(graph, g.constants...)
	graph = append(graph, g.inputs...)
	graph = append(graph, g.outputs...)
	m := number(nil, 1, irVersion)
	m = text(m, 2, "latchkey")
	m = message(m, 7, graph)
	return message(m, 8, number(text(nil, 1, ""), 2, opsetVersion))
}

func value(name string, shape []int) []byte {
	var dims []byte
	for _, d := range shape {
		if d == Batch {
			dims = message(dims, 1, text(nil, 2, "n"))
		} else {
			dims = message(dims, 1, number(nil, 1, d))
		}
	}
	tensor := message(number(nil, 1, float), 2, dims)
	return message(text(nil, 1, name), 2, message(nil, 1, tensor))
}

func text(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func message(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}

func number(b []byte, field protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(n))
}
