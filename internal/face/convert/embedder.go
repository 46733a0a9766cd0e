package main

import (
	"fmt"
	"slices"

	"latchkey/internal/face/convert/onnx"
	"latchkey/internal/face/convert/tflite"
)

// embedder converts MobileFaceNet from TensorFlow Lite: convolutions,
// each followed by a PReLU that the file spells out as relu(x) + a/2 (x - |x|),
// sums, and a reshape at the end. The batch size becomes free, the layout
// channels first.
func embedder(data []byte) ([]byte, error) {
	m, err := tflite.Read(data)
	if err != nil {
		return nil, err
	}
	if len(m.Inputs) != 1 || len(m.Outputs) != 1 {
		return nil, fmt.Errorf("%d inputs and %d outputs", len(m.Inputs), len(m.Outputs))
	}
	in := m.Tensors[m.Inputs[0]].Shape
	if len(in) != 4 || in[1] < 1 || in[2] != in[1] || in[3] < 1 {
		return nil, fmt.Errorf("input of shape %v", in)
	}
	e := &embedding{Model: m, g: onnx.New("embedder"), names: map[int]string{m.Inputs[0]: "input"}, users: map[int]int{}, left: len(data)}
	e.g.Input("input", onnx.Batch, in[3], in[1], in[2])
	for _, o := range m.Operators {
		for _, i := range o.Inputs {
			e.users[i]++
		}
	}
	for i := 0; i < len(m.Operators); i++ {
		taken, err := e.step(m.Operators[i:])
		if err != nil {
			return nil, fmt.Errorf("operator %d: %w", i, err)
		}
		i += taken - 1
	}
	out := m.Tensors[m.Outputs[0]].Shape
	if e.names[m.Outputs[0]] != "output" || out[1] < 1 {
		return nil, fmt.Errorf("the last operator does not make the output")
	}
	e.g.Output("output", onnx.Batch, out[len(out)-1])
	return e.g.Bytes(), nil
}

type embedding struct {
	*tflite.Model
	g     *onnx.Graph
	names map[int]string // of the tensors that were made
	users map[int]int    // how many operators read a tensor
	left  int            // bytes of constants that may still be taken
}

// floats gives a constant's numbers. All that are taken have no more bytes than
// the file: operators that share a constant could make it a huge model.
func (e *embedding) floats(tensor int) ([]float32, error) {
	if tensor < 0 {
		return nil, fmt.Errorf("a constant is left out")
	}
	t := e.Tensors[tensor]
	if e.left -= len(t.Data); e.left < 0 {
		return nil, fmt.Errorf("constants are used again and again")
	}
	return t.Floats()
}

// step converts the operators that come first and says how many.
func (e *embedding) step(ops []tflite.Operator) (int, error) {
	o := ops[0]
	if len(o.Inputs) == 0 || len(o.Outputs) != 1 || o.Activation != 0 {
		return 0, fmt.Errorf("an unexpected operator of kind %d", o.Op)
	}
	out := o.Outputs[0]
	if e.names[out] != "" {
		return 0, fmt.Errorf("a tensor is made twice")
	}
	switch o.Op {
	case tflite.Conv, tflite.DepthwiseConv:
		name, err := e.convolution(o)
		e.names[out] = name
		return 1, err
	case tflite.Relu:
		return e.prelu(ops)
	case tflite.Add:
		if len(o.Inputs) != 2 || e.names[o.Inputs[0]] == "" || e.names[o.Inputs[1]] == "" {
			return 0, fmt.Errorf("a sum of what is not there")
		}
		e.names[out] = e.g.Node("Add", e.next(out), []string{e.names[o.Inputs[0]], e.names[o.Inputs[1]]})
		return 1, nil
	case tflite.Reshape:
		if out != e.Outputs[0] || len(e.Tensors[out].Shape) != 2 || e.names[o.Inputs[0]] == "" {
			return 0, fmt.Errorf("a reshape before the end")
		}
		if in := e.Tensors[o.Inputs[0]].Shape; len(in) != 4 || in[1] != 1 || in[2] != 1 {
			return 0, fmt.Errorf("a reshape of %v: another layout has another order then", in)
		}
		e.names[out] = e.g.Node("Flatten", "output", []string{e.names[o.Inputs[0]]}, onnx.Attribute{Name: "axis", Int: 1})
		return 1, nil
	}
	return 0, fmt.Errorf("unknown kind %d", o.Op)
}

func (e *embedding) next(tensor int) string { return fmt.Sprintf("t%d", tensor) }

func (e *embedding) convolution(o tflite.Operator) (string, error) {
	if len(o.Inputs) != 3 || e.names[o.Inputs[0]] == "" {
		return "", fmt.Errorf("a convolution of what is not there")
	}
	weights, err := e.floats(o.Inputs[1])
	if err != nil {
		return "", err
	}
	bias, err := e.floats(o.Inputs[2])
	if err != nil {
		return "", err
	}
	w, in := e.Tensors[o.Inputs[1]], e.Tensors[o.Inputs[0]].Shape
	if len(w.Shape) != 4 || len(in) != 4 || in[1] != in[2] || o.StrideH != o.StrideW || o.StrideH < 1 {
		return "", fmt.Errorf("a convolution of shape %v over %v", w.Shape, in)
	}
	c := convolution{kernel: w.Shape[1], stride: o.StrideH, groups: 1, out: w.Shape[0], in: w.Shape[3]}
	if w.Shape[2] != c.kernel {
		return "", fmt.Errorf("a kernel of shape %v", w.Shape)
	}
	if o.Same {
		c.pads = same(in[1], c.kernel, c.stride)
	}
	if o.Op == tflite.DepthwiseConv {
		if o.Multiplier != 1 || w.Shape[0] != 1 {
			return "", fmt.Errorf("a depthwise convolution with multiplier %d", o.Multiplier)
		}
		c.groups, c.out, c.in = w.Shape[3], w.Shape[3], 1
		weights = turn(weights, c.kernel*c.kernel, c.out) // [place][channel]
	} else {
		weights = turn(weights, c.kernel*c.kernel, c.in) // [out][place][in]
	}
	return c.add(e.g, e.next(o.Outputs[0]), e.names[o.Inputs[0]], weights, bias)
}

// prelu takes the five operators relu, abs, sub, mul and add for what they are.
func (e *embedding) prelu(ops []tflite.Operator) (int, error) {
	kinds := []tflite.Op{tflite.Relu, tflite.Abs, tflite.Sub, tflite.Mul, tflite.Add}
	if len(ops) < len(kinds) {
		return 0, fmt.Errorf("a relu that is not part of a PReLU")
	}
	relu, abs, sub, mul, add := ops[0], ops[1], ops[2], ops[3], ops[4]
	for i, k := range kinds {
		if ops[i].Op != k || ops[i].Activation != 0 || len(ops[i].Outputs) != 1 {
			return 0, fmt.Errorf("a relu that is not part of a PReLU")
		}
	}
	x := relu.Inputs[0]
	if !slices.Equal(abs.Inputs, []int{x}) || !slices.Equal(sub.Inputs, []int{x, abs.Outputs[0]}) ||
		len(mul.Inputs) != 2 || mul.Inputs[1] != sub.Outputs[0] ||
		!slices.Equal(add.Inputs, []int{relu.Outputs[0], mul.Outputs[0]}) || e.users[x] != 3 || e.names[x] == "" {
		return 0, fmt.Errorf("a relu that is not part of a PReLU")
	}
	slope, err := e.floats(mul.Inputs[0])
	if err != nil {
		return 0, err
	}
	for i := range slope {
		slope[i] *= 2 // below zero x - |x| is 2x
	}
	out := add.Outputs[0]
	if e.names[out] != "" {
		return 0, fmt.Errorf("a tensor is made twice")
	}
	name := e.next(out)
	e.names[out] = e.g.Node("PRelu", name, []string{e.names[x], e.g.Floats(name+".slope", []int{len(slope), 1, 1}, slope)})
	return len(kinds), nil
}
