package main

import (
	"encoding/json"
	"fmt"

	"latchkey/internal/face/convert/onnx"
)

// quantised is one entry of a TensorFlow.js weights manifest, stored as bytes:
// a number is min + scale * byte.
type quantised struct {
	Name         string `json:"name"`
	Shape        []int  `json:"shape"`
	Quantization struct {
		Type  string  `json:"dtype"`
		Scale float64 `json:"scale"`
		Min   float64 `json:"min"`
	} `json:"quantization"`
}

// weights are those of a network by name.
type weights map[string]struct {
	shape  []int
	values []float32
}

// readWeights reads a manifest and its file of bytes.
func readWeights(manifest, data []byte) (weights, error) {
	var groups []struct {
		Weights []quantised `json:"weights"`
	}
	if err := json.Unmarshal(manifest, &groups); err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	all := weights{}
	for _, group := range groups {
		for _, q := range group.Weights {
			n := 1
			for _, d := range q.Shape {
				if d < 1 || n > len(data)/d {
					return nil, fmt.Errorf("%s: shape %v, with %d bytes left", q.Name, q.Shape, len(data))
				}
				n *= d
			}
			if q.Quantization.Type != "uint8" || n > len(data) {
				return nil, fmt.Errorf("%s: %d numbers of type %q are not there", q.Name, n, q.Quantization.Type)
			}
			w := all[q.Name]
			w.shape, w.values = q.Shape, make([]float32, n)
			for i, b := range data[:n] {
				w.values[i] = float32(float64(b)*q.Quantization.Scale + q.Quantization.Min)
			}
			all[q.Name] = w
			data = data[n:]
		}
	}
	if len(data) != 0 {
		return nil, fmt.Errorf("%d bytes belong to no tensor", len(data))
	}
	return all, nil
}

// landmarks builds the network of 68 landmarks from its weights: four dense
// blocks of four separable convolutions, of which the first halves the size
// (the very first is a plain one), then a mean and a full layer. It takes
// 112 x 112 and gives x and y of each landmark as parts of the side.
func landmarks(manifest, data []byte) ([]byte, error) {
	all, err := readWeights(manifest, data)
	if err != nil {
		return nil, err
	}
	l := &landmarking{weights: all, g: onnx.New("landmarks"), size: 112}
	l.g.Input("input", onnx.Batch, 3, l.size, l.size)
	x := "input"
	for block := range 4 {
		x = l.block(fmt.Sprintf("dense%d", block), x, block == 0)
	}
	x = l.g.Node("GlobalAveragePool", "mean", []string{x})
	x = l.g.Node("Flatten", "flat", []string{x}, onnx.Attribute{Name: "axis", Int: 1})
	w, b := l.get("fc/weights", 2), l.get("fc/bias", 1)
	if l.err != nil {
		return nil, l.err
	}
	l.g.Node("Gemm", "output", []string{x, l.g.Floats("fc.weights", w.shape, w.values), l.g.Floats("fc.bias", b.shape, b.values)})
	l.g.Output("output", onnx.Batch, b.shape[0])
	return l.g.Bytes(), nil
}

type landmarking struct {
	weights
	g    *onnx.Graph
	size int // of a side, in front of the next block
	err  error
}

func (l *landmarking) get(name string, dimensions int) (w struct {
	shape  []int
	values []float32
}) {
	w, ok := l.weights[name]
	if !ok || len(w.shape) != dimensions {
		if l.err == nil {
			l.err = fmt.Errorf("%s: shape %v", name, w.shape)
		}
		w.shape = make([]int, dimensions)
	}
	return w
}

// must notes that a layer's weights are not of the shapes that it has.
func (l *landmarking) must(fits bool, name string) {
	if l.err == nil && !fits {
		l.err = fmt.Errorf("%s: its weights are of other shapes", name)
	}
}

// block is relu(a + b + c + d), where a is the relu of the first convolution
// and each of the others convolves the relu of the sum so far.
func (l *landmarking) block(name, x string, first bool) string {
	var sum string
	if first {
		sum = l.plain(name+"/conv0", x)
	} else {
		sum = l.separable(name+"/conv0", x, 2)
	}
	l.size = (l.size + 1) / 2
	sum = l.g.Node("Relu", name+"/relu0", []string{sum})
	in := sum
	for i := 1; i < 4; i++ {
		next := l.separable(fmt.Sprintf("%s/conv%d", name, i), in, 1)
		sum = l.g.Node("Add", fmt.Sprintf("%s/sum%d", name, i), []string{sum, next})
		in = l.g.Node("Relu", fmt.Sprintf("%s/relu%d", name, i), []string{sum})
	}
	return in
}

// plain is a convolution of stride 2 whose filters are [row][column][in][out].
func (l *landmarking) plain(name, x string) string {
	f, b := l.get(name+"/filters", 4), l.get(name+"/bias", 1)
	l.must(f.shape[1] == f.shape[0], name)
	c := convolution{kernel: f.shape[0], stride: 2, groups: 1, in: f.shape[2], out: f.shape[3], pads: same(l.size, f.shape[0], 2)}
	places := c.kernel * c.kernel
	return l.conv(c, name, x, turn(turn(f.values, places*c.in, c.out), places, c.in), b.values)
}

// separable is a convolution of each channel, [row][column][in][1], and one of
// all channels at each place, [1][1][in][out].
func (l *landmarking) separable(name, x string, stride int) string {
	d, p, b := l.get(name+"/depthwise_filter", 4), l.get(name+"/pointwise_filter", 4), l.get(name+"/bias", 1)
	l.must(d.shape[1] == d.shape[0] && d.shape[3] == 1 && p.shape[0] == 1 && p.shape[1] == 1 && p.shape[2] == d.shape[2], name)
	c := convolution{kernel: d.shape[0], stride: stride, groups: d.shape[2], in: 1, out: d.shape[2], pads: same(l.size, d.shape[0], stride)}
	x = l.conv(c, name+"/depthwise", x, turn(d.values, c.kernel*c.kernel, c.out), nil)
	return l.conv(convolution{kernel: 1, stride: 1, groups: 1, in: p.shape[2], out: p.shape[3]}, name, x, turn(p.values, p.shape[2], p.shape[3]), b.values)
}

func (l *landmarking) conv(c convolution, name, x string, w, b []float32) string {
	if l.err != nil {
		return x
	}
	out, err := c.add(l.g, name, x, w, b)
	l.err = err
	return out
}
