package onnx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// record is a message as it lies on the wire: each field's values in order,
// integers as uint64 and everything else as []byte.
type record map[protowire.Number][]any

func parse(t *testing.T, b []byte) record {
	t.Helper()
	r := record{}
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatalf("a tag: %v", protowire.ParseError(n))
		}
		b = b[n:]
		var v any
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v, n = protowire.ConsumeBytes(b)
		default:
			t.Fatalf("field %d is of kind %d", field, kind)
		}
		if n < 0 {
			t.Fatalf("field %d: %v", field, protowire.ParseError(n))
		}
		b = b[n:]
		r[field] = append(r[field], v)
	}
	return r
}

// only checks that a message has these fields and no others.
func (r record) only(t *testing.T, what string, fields ...protowire.Number) {
	t.Helper()
	for f := range r {
		if !slices.Contains(fields, f) {
			t.Errorf("%s has a field %d", what, f)
		}
	}
}

func (r record) texts(f protowire.Number) []string {
	var all []string
	for _, v := range r[f] {
		all = append(all, string(v.([]byte)))
	}
	return all
}

func (r record) text(f protowire.Number) string {
	if len(r[f]) != 1 {
		return fmt.Sprintf("%d values of field %d", len(r[f]), f)
	}
	return r.texts(f)[0]
}

func (r record) numbers(f protowire.Number) []int64 {
	var all []int64
	for _, v := range r[f] {
		all = append(all, int64(v.(uint64)))
	}
	return all
}

func (r record) messages(t *testing.T, f protowire.Number) []record {
	t.Helper()
	var all []record
	for _, v := range r[f] {
		all = append(all, parse(t, v.([]byte)))
	}
	return all
}

func graph() *Graph {
	g := New("g")
	g.Input("x", Batch, 3)
	w := g.Floats("w", []int{2, 2}, []float32{1, -2.5, math.Float32frombits(0x80000003), math.Float32frombits(0x007fffff)})
	g.Floats("w", []int{1}, []float32{7}) // named before: adds nothing
	i := g.Floats("i", []int{1}, []float32{3})
	g.Node("Mul", "m", []string{"x", w}, Attribute{Name: "axis", Int: -1}, Attribute{Name: "pads", Ints: []int{0, 300}})
	g.Node("Add", "y", []string{"m", i})
	g.Output("y", Batch, 300)
	return g
}

// TestBytes reads a model with the numbers of onnx.proto3.
func TestBytes(t *testing.T) {
	t.Parallel()
	data := graph().Bytes()
	g := graph()
	if first, again := g.Bytes(), g.Bytes(); !bytes.Equal(data, first) || !bytes.Equal(data, again) {
		t.Error("the same network gives other bytes")
	}
	model := parse(t, data)
	model.only(t, "the model", 1, 2, 7, 8)
	if v := model.numbers(1); !slices.Equal(v, []int64{7}) {
		t.Errorf("ir_version %v", v)
	}
	set := model.messages(t, 8)
	if len(set) != 1 || set[0].text(1) != "" || !slices.Equal(set[0].numbers(2), []int64{13}) {
		t.Errorf("opset_import %v", set)
	}
	graphs := model.messages(t, 7)
	if len(graphs) != 1 || graphs[0].text(2) != "g" {
		t.Fatalf("graph %v", graphs)
	}
	graphs[0].only(t, "the graph", 1, 2, 5, 11, 12)
	testNodes(t, graphs[0].messages(t, 1))
	testConstants(t, graphs[0].messages(t, 5))
	for field, want := range map[protowire.Number]struct {
		name string
		size int64
	}{11: {"x", 3}, 12: {"y", 300}} {
		values := graphs[0].messages(t, field)
		if len(values) != 1 || values[0].text(1) != want.name {
			t.Fatalf("field %d: %v", field, values)
		}
		tensor := values[0].messages(t, 2)[0].messages(t, 1)[0]
		dims := tensor.messages(t, 2)[0].messages(t, 1)
		if !slices.Equal(tensor.numbers(1), []int64{1}) || len(dims) != 2 || len(dims[0][1]) != 0 || dims[0].text(2) == "" ||
			!slices.Equal(dims[1].numbers(1), []int64{want.size}) {
			t.Errorf("%s: type %v, sizes %v", want.name, tensor, dims)
		}
	}
}

func testNodes(t *testing.T, nodes []record) {
	t.Helper()
	if len(nodes) != 2 {
		t.Fatalf("%d nodes", len(nodes))
	}
	mul, add := nodes[0], nodes[1]
	for i, want := range []struct {
		op, output string
		inputs     []string
	}{{"Mul", "m", []string{"x", "w"}}, {"Add", "y", []string{"m", "i"}}} {
		n := nodes[i]
		n.only(t, want.op, 1, 2, 3, 4, 5)
		if n.text(4) != want.op || n.text(2) != want.output || n.text(3) != want.output || !slices.Equal(n.texts(1), want.inputs) {
			t.Errorf("node %d: %q", i, n)
		}
	}
	if len(add[5]) != 0 {
		t.Errorf("Add has attributes: %v", add[5])
	}
	attributes := mul.messages(t, 5)
	if len(attributes) != 2 {
		t.Fatalf("%d attributes", len(attributes))
	}
	axis, pads := attributes[0], attributes[1]
	axis.only(t, "axis", 1, 3, 20)
	pads.only(t, "pads", 1, 8, 20)
	if axis.text(1) != "axis" || !slices.Equal(axis.numbers(3), []int64{-1}) || !slices.Equal(axis.numbers(20), []int64{2}) {
		t.Errorf("axis: %v", axis)
	}
	if pads.text(1) != "pads" || !slices.Equal(pads.numbers(8), []int64{0, 300}) || !slices.Equal(pads.numbers(20), []int64{7}) {
		t.Errorf("pads: %v", pads)
	}
}

func testConstants(t *testing.T, constants []record) {
	t.Helper()
	if len(constants) != 2 {
		t.Fatalf("%d constants", len(constants))
	}
	w, i := constants[0], constants[1]
	w.only(t, "w", 1, 2, 8, 9)
	if w.text(8) != "w" || !slices.Equal(w.numbers(1), []int64{2, 2}) || !slices.Equal(w.numbers(2), []int64{1}) {
		t.Errorf("w: %v", w)
	}
	var raw []byte
	for _, v := range []float32{1, -2.5, float32(math.Copysign(0, -1)), 0} { // what is subnormal is zero
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	if w.text(9) != string(raw) {
		t.Errorf("w's numbers: %x, want %x", w[9], raw)
	}
	raw = binary.LittleEndian.AppendUint32(nil, math.Float32bits(3))
	if i.text(8) != "i" || !slices.Equal(i.numbers(1), []int64{1}) || !slices.Equal(i.numbers(2), []int64{1}) || i.text(9) != string(raw) {
		t.Errorf("i: %v", i)
	}
}
