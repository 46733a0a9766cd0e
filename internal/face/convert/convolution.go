package main

import (
	"fmt"

	"latchkey/internal/face/convert/onnx"
)

// convolution is a square two-dimensional convolution.
type convolution struct {
	kernel, stride, groups int
	out, in                int    // channels; in: of one group
	pads                   [2]int // before and after, in both directions
}

// same is the padding that keeps a size, divided by the stride; where it is odd
// the larger half comes after, as TensorFlow does it.
func same(size, kernel, stride int) [2]int {
	total := max((size+stride-1)/stride*stride-stride+kernel-size, 0)
	return [2]int{total / 2, total - total/2}
}

// add adds the convolution to a graph. Weights are [out][in][row][column].
func (c convolution) add(g *onnx.Graph, name, input string, weights, bias []float32) (string, error) {
	if len(weights) == 0 || len(weights) != c.out*c.in*c.kernel*c.kernel || bias != nil && len(bias) != c.out {
		return "", fmt.Errorf("%s: %d weights and %d biases for %d to %d channels", name, len(weights), len(bias), c.in, c.out)
	}
	inputs := []string{input, g.Floats(name+".weights", []int{c.out, c.in, c.kernel, c.kernel}, weights)}
	if bias != nil {
		inputs = append(inputs, g.Floats(name+".bias", []int{c.out}, bias))
	}
	return g.Node("Conv", name, inputs,
		onnx.Attribute{Name: "group", Int: c.groups},
		onnx.Attribute{Name: "kernel_shape", Ints: []int{c.kernel, c.kernel}},
		onnx.Attribute{Name: "pads", Ints: []int{c.pads[0], c.pads[0], c.pads[1], c.pads[1]}},
		onnx.Attribute{Name: "strides", Ints: []int{c.stride, c.stride}}), nil
}

// turn makes [..][rows][columns] into [..][columns][rows].
func turn(v []float32, rows, columns int) []float32 {
	out := make([]float32, len(v))
	if rows < 1 || columns < 1 {
		return out
	}
	for start := 0; start+rows*columns <= len(v); start += rows * columns {
		for r := range rows {
			for c := range columns {
				out[start+c*rows+r] = v[start+r*columns+c]
			}
		}
	}
	return out
}
