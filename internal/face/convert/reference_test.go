package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"latchkey/internal/face/convert/tflite"
)

// picture is numbers [row][column][channel], as TensorFlow lays them out.
type picture struct {
	size, channels int // rows and columns
	v              []float32
}

func blank(size, channels int) picture {
	return picture{size, channels, make([]float32, size*size*channels)}
}

func noise(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func noisy(r *rand.Rand, size, channels int) picture {
	return picture{size, channels, noise(r, size*size*channels)}
}

// channelsFirst gives [channel][row][column].
func (p picture) channelsFirst() []float32 {
	out := make([]float32, 0, len(p.v))
	for c := range p.channels {
		for i := c; i < len(p.v); i += p.channels {
			out = append(out, p.v[i])
		}
	}
	return out
}

// filter is a convolution by TensorFlow's definition: padded so that the size
// is that of the picture by the stride, rounded up, or not at all. The weight of
// a place (row by row), an input and an output is at the sum of each by its step.
type filter struct {
	kernel, stride, out   int
	valid                 bool // not padded
	deep                  bool // each output is of its own input alone
	weights, bias         []float32
	place, input, outputs int // steps
}

// apply is exempt from the race detector's bookkeeping, in which it would take
// most of the time of all tests; it shares nothing.
//
//go:norace
func (f filter) apply(p picture) picture {
	size, before := (p.size+f.stride-1)/f.stride, 0
	if f.valid {
		size = (p.size-f.kernel)/f.stride + 1
	} else {
		before = max((size-1)*f.stride+f.kernel-p.size, 0) / 2
	}
	q := blank(size, f.out)
	sums := make([]float64, f.out)
	for at := range size * size {
		clear(sums)
		for place := range f.kernel * f.kernel {
			y, x := at/size*f.stride+place/f.kernel-before, at%size*f.stride+place%f.kernel-before
			if y < 0 || x < 0 || y >= p.size || x >= p.size {
				continue
			}
			in := p.v[(y*p.size+x)*p.channels:][:p.channels]
			weights := f.weights[place*f.place:]
			for o := range sums {
				if f.deep {
					sums[o] += float64(in[o] * weights[o*f.outputs])
					continue
				}
				w := weights[o*f.outputs:]
				for i, v := range in {
					sums[o] += float64(v * w[i*f.input])
				}
			}
		}
		for o, s := range sums {
			if f.bias != nil {
				s += float64(f.bias[o])
			}
			q.v[at*f.out+o] = float32(s)
		}
	}
	return q
}

// with gives a picture of what comes of each number and the one of another
// picture, or of its channel.
func (p picture) with(q []float32, f func(a, b float32) float32) picture {
	r := blank(p.size, p.channels)
	for i := range r.v {
		r.v[i] = f(p.v[i], q[i%len(q)])
	}
	return r
}

func plus(a, b float32) float32      { return a + b }
func relu(a, _ float32) float32      { return max(a, 0) }
func (p picture) relu() picture      { return p.with(p.v, relu) }
func magnitude(a, _ float32) float32 { return float32(math.Abs(float64(a))) }

// interpret runs a model, step by step, on one picture.
func interpret(t *testing.T, m *tflite.Model, in picture) []float32 {
	t.Helper()
	made := map[int]picture{m.Inputs[0]: in}
	constant := func(i int) []float32 {
		v, err := m.Tensors[i].Floats()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, o := range m.Operators {
		var out picture
		a, other := made[o.Inputs[0]], func(i int) []float32 {
			if p, ok := made[o.Inputs[i]]; ok {
				return p.v
			}
			return constant(o.Inputs[i])
		}
		switch o.Op {
		case tflite.Conv, tflite.DepthwiseConv:
			shape := m.Tensors[o.Inputs[1]].Shape
			f := filter{kernel: shape[1], stride: o.StrideH, out: shape[0], valid: !o.Same, weights: constant(o.Inputs[1]), bias: constant(o.Inputs[2]),
				place: shape[3], input: 1, outputs: shape[1] * shape[2] * shape[3]}
			if o.Op == tflite.DepthwiseConv {
				f.deep, f.out, f.outputs = true, shape[3], 1
			}
			out = f.apply(a)
		case tflite.Relu:
			out = a.relu()
		case tflite.Abs:
			out = a.with(a.v, magnitude)
		case tflite.Sub:
			out = a.with(other(1), func(a, b float32) float32 { return a - b })
		case tflite.Mul: // the constant comes first
			out = made[o.Inputs[1]].with(other(0), func(a, b float32) float32 { return a * b })
		case tflite.Add:
			out = a.with(other(1), plus)
		case tflite.Reshape:
			out = a
		default:
			t.Fatalf("an operator of kind %d", o.Op)
		}
		made[o.Outputs[0]] = out
	}
	return made[m.Outputs[0]].v
}

// points runs the network of landmarks by its description, on one picture.
func (all weights) points(p picture) []float32 {
	separable := func(name string, p picture, stride int) picture {
		d, w := all[name+"/depthwise_filter"], all[name+"/pointwise_filter"]
		p = filter{kernel: d.shape[0], stride: stride, out: p.channels, deep: true, weights: d.values, place: p.channels, outputs: 1}.apply(p)
		out := w.shape[3]
		return filter{kernel: 1, stride: 1, out: out, weights: w.values, input: out, outputs: 1, bias: all[name+"/bias"].values}.apply(p)
	}
	for _, block := range []string{"dense0", "dense1", "dense2", "dense3"} {
		var a picture
		if w, ok := all[block+"/conv0/filters"]; ok {
			out := w.shape[3]
			a = filter{kernel: w.shape[0], stride: 2, out: out, weights: w.values, place: p.channels * out, input: out, outputs: 1, bias: all[block+"/conv0/bias"].values}.apply(p)
		} else {
			a = separable(block+"/conv0", p, 2)
		}
		a = a.relu()
		b := separable(block+"/conv1", a, 1)
		c := separable(block+"/conv2", a.with(b.v, plus).relu(), 1)
		d := separable(block+"/conv3", a.with(b.v, plus).with(c.v, plus).relu(), 1)
		p = a.with(b.v, plus).with(c.v, plus).with(d.v, plus).relu()
	}
	mean := make([]float64, p.channels)
	for i, v := range p.v {
		mean[i%p.channels] += float64(v) / float64(p.size*p.size)
	}
	w, out := all["fc/weights"], append([]float32(nil), all["fc/bias"].values...)
	for o := range out {
		for i, v := range mean {
			out[o] += float32(v) * w.values[i*len(out)+o]
		}
	}
	return out
}
