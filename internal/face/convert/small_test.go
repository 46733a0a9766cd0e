package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"latchkey/internal/face/convert/tflite"
	"latchkey/internal/face/convert/tflite/tflitetest"
)

// smallEmbedder is a network of every kind of operator that the embedder has,
// on 8 x 8 pixels of two channels, giving four numbers.
func smallEmbedder() tflitetest.Model {
	r := rand.New(rand.NewPCG(1, 2))
	m := tflitetest.Model{Inputs: []int{0}, Outputs: []int{19}, Tensors: []tflitetest.Tensor{
		0:  {Name: "in", Shape: []int{2, 8, 8, 2}},
		1:  {Name: "w0", Shape: []int{4, 3, 3, 2}, Values: noise(r, 4*3*3*2)},
		2:  {Name: "b0", Shape: []int{4}, Values: noise(r, 4)},
		3:  {Name: "c0", Shape: []int{2, 4, 4, 4}},
		4:  {Name: "half", Shape: []int{1, 1, 4}, Values: noise(r, 4)},
		5:  {Name: "relu"},
		6:  {Name: "abs"},
		7:  {Name: "sub"},
		8:  {Name: "mul"},
		9:  {Name: "add", Shape: []int{2, 4, 4, 4}},
		10: {Name: "w1", Shape: []int{1, 3, 3, 4}, Values: noise(r, 3*3*4)},
		11: {Name: "b1", Shape: []int{4}, Values: noise(r, 4)},
		12: {Name: "c1", Shape: []int{2, 4, 4, 4}},
		13: {Name: "sum", Shape: []int{2, 4, 4, 4}},
		14: {Name: "w2", Shape: []int{4, 1, 1, 4}, Values: noise(r, 4*4)},
		15: {Name: "b2", Shape: []int{4}, Values: noise(r, 4)},
		16: {Name: "c2", Shape: []int{2, 4, 4, 4}},
		17: {Name: "w3", Shape: []int{1, 4, 4, 4}, Values: noise(r, 4*4*4)},
		18: {Name: "c3", Shape: []int{2, 1, 1, 4}},
		19: {Name: "out", Shape: []int{2, 4}},
		20: {Name: "b3", Shape: []int{4}, Values: noise(r, 4)},
		21: {Name: "shape"},
	}}
	op := func(k tflite.Op, out int, in ...int) tflitetest.Operator {
		return tflitetest.Operator{Op: k, Inputs: in, Output: out, Stride: 1, Multiplier: 1}
	}
	first, last := op(tflite.Conv, 3, 0, 1, 2), op(tflite.DepthwiseConv, 18, 16, 17, 20)
	first.Stride, last.Valid = 2, true
	m.Operators = []tflitetest.Operator{first,
		op(tflite.Relu, 5, 3), op(tflite.Abs, 6, 3), op(tflite.Sub, 7, 3, 6), op(tflite.Mul, 8, 4, 7), op(tflite.Add, 9, 5, 8),
		op(tflite.DepthwiseConv, 12, 9, 10, 11), op(tflite.Add, 13, 12, 9), op(tflite.Conv, 16, 13, 14, 15), last, op(tflite.Reshape, 19, 18, 21)}
	return m
}

// entry is a tensor in a manifest.
type entry struct {
	Name         string         `json:"name"`
	Shape        []int          `json:"shape"`
	Quantization map[string]any `json:"quantization"`
}

// smallLandmarks is a network of landmarks with few channels: its tensors and
// its bytes.
func smallLandmarks() (entries []entry, data []byte) {
	r := rand.New(rand.NewPCG(3, 4))
	add := func(name string, shape ...int) {
		entries = append(entries, entry{name, shape, map[string]any{"dtype": "uint8", "scale": 0.004 + r.Float64()*0.001, "min": -0.55 - r.Float64()*0.05}})
		n := 1
		for _, d := range shape {
			n *= d
		}
		for range n {
			data = append(data, byte(r.IntN(256)))
		}
	}
	in := 3
	for block := range 4 {
		out := 2 + block
		for i := range 4 {
			name := fmt.Sprintf("dense%d/conv%d", block, i)
			if block == 0 && i == 0 {
				add(name+"/filters", 3, 3, in, out)
			} else {
				add(name+"/depthwise_filter", 3, 3, in, 1)
				add(name+"/pointwise_filter", 1, 1, in, out)
			}
			add(name+"/bias", out)
			in = out
		}
	}
	add("fc/weights", in, 136)
	add("fc/bias", 136)
	return entries, data
}

func manifestOf(t testing.TB, entries []entry) []byte {
	t.Helper()
	text, err := json.Marshal([]map[string]any{{"paths": []string{"x.bin"}, "weights": entries}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
