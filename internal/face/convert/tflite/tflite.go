// Package tflite reads models of TensorFlow Lite as far as the converter needs
// it: one graph of tensors and operators, weights of 32-bit floats. The layout
// is that of tensorflow/lite/schema/schema.fbs, version 3.
//
// Any fault of the file is ErrMalformed; nothing in it makes Read panic or take
// more memory than some dozen times the file's size.
package tflite

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Op is the kind of an operator, by the schema's BuiltinOperator.
type Op int

// The operators that the converter knows.
const (
	Add           Op = 0
	Conv          Op = 3
	DepthwiseConv Op = 4
	Mul           Op = 18
	Relu          Op = 19
	Reshape       Op = 22
	Sub           Op = 41
	Abs           Op = 101
)

// Tensor is a tensor of the graph.
type Tensor struct {
	Name  string
	Shape []int
	Type  int    // by the schema's TensorType: 0 is 32-bit float, 2 is 32-bit integer
	Data  []byte // of a constant; empty for what is computed
}

// Floats gives a constant's numbers.
func (t Tensor) Floats() ([]float32, error) {
	n := 1
	for _, d := range t.Shape {
		if d < 1 || n > len(t.Data)/d {
			return nil, fmt.Errorf("%w: tensor %s", ErrMalformed, t.Name)
		}
		n *= d
	}
	if t.Type != 0 || len(t.Data) != 4*n {
		return nil, fmt.Errorf("%w: tensor %s is not made of floats", ErrMalformed, t.Name)
	}
	all := make([]float32, n)
	for i := range all {
		all[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return all, nil
}

// Operator is one step of the graph.
type Operator struct {
	Op              Op
	Inputs, Outputs []int // indices into Model.Tensors; an input that is left out is -1
	Same            bool  // convolutions: padded so that the size is kept
	StrideW         int
	StrideH         int
	Multiplier      int // depthwise convolutions
	Activation      int // fused; by the schema's ActivationFunctionType, 0 is none
}

// Model is a model's first graph.
type Model struct {
	Tensors         []Tensor
	Operators       []Operator
	Inputs, Outputs []int // indices into Tensors
}

// Read reads a model.
func Read(data []byte) (*Model, error) {
	f := &flat{data: data, left: len(data)}
	if len(data) < 8 || string(data[4:8]) != "TFL3" {
		return nil, ErrMalformed
	}
	root := f.root()
	buffers := f.tables(root, 4)
	var kinds []Op
	for _, t := range f.tables(root, 1) {
		kinds = append(kinds, Op(max(f.small(t, 0), f.number(t, 3, 0))))
	}
	graphs := f.tables(root, 2)
	if f.err != nil || len(graphs) == 0 {
		return nil, ErrMalformed
	}
	m := &Model{Inputs: f.ints(graphs[0], 1), Outputs: f.ints(graphs[0], 2)}
	for _, t := range f.tables(graphs[0], 0) {
		tensor := Tensor{Name: string(f.blob(t, 3)), Shape: f.ints(t, 0), Type: f.small(t, 1)}
		if b := f.number(t, 2, 0); b < len(buffers) {
			tensor.Data = f.blob(buffers[b], 0)
		} else {
			f.fail(int(t))
		}
		m.Tensors = append(m.Tensors, tensor)
	}
	for _, t := range f.tables(graphs[0], 3) {
		m.Operators = append(m.Operators, f.operator(t, kinds, len(m.Tensors)))
	}
	f.known(m.Inputs, 0, len(m.Tensors))
	f.known(m.Outputs, 0, len(m.Tensors))
	if f.err != nil {
		return nil, f.err
	}
	return m, nil
}

func (f *flat) operator(t table, kinds []Op, tensors int) Operator {
	o := Operator{Inputs: f.ints(t, 1), Outputs: f.ints(t, 2)}
	if k := f.number(t, 0, 0); k < len(kinds) {
		o.Op = kinds[k]
	} else {
		f.fail(int(t))
	}
	f.known(o.Inputs, -1, tensors)
	f.known(o.Outputs, 0, tensors)
	options := f.table(t, 4)
	switch o.Op {
	case Conv, DepthwiseConv:
		o.Same = f.small(options, 0) == 0
		o.StrideW, o.StrideH = f.number(options, 1, 0), f.number(options, 2, 0)
		after := 3
		if o.Op == DepthwiseConv {
			o.Multiplier = f.number(options, 3, 0)
			after = 4
		}
		o.Activation = f.small(options, after)
		if f.number(options, after+1, 1) != 1 || f.number(options, after+2, 1) != 1 {
			f.fail(int(t)) // dilated: the converter has no such case
		}
	case Add, Mul, Sub:
		o.Activation = f.small(options, 0)
	}
	return o
}

// known checks that indices point at tensors, or are the lowest that is allowed.
func (f *flat) known(indices []int, lowest, tensors int) {
	for _, i := range indices {
		if i < lowest || i >= tensors {
			f.fail(i)
		}
	}
}
