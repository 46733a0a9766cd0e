package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"latchkey/internal/face/convert/onnx"
	"latchkey/internal/face/convert/tflite"
	"latchkey/internal/face/convert/tflite/tflitetest"
)

// TestEmbedderRefused: what is not understood is refused, not guessed.
func TestEmbedderRefused(t *testing.T) {
	t.Parallel()
	type model = tflitetest.Model
	const conv, relu, abs, sub, mul, add, deep, sum, point, last, reshape = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	for name, c := range map[string]struct {
		change func(m *model)
		want   string
	}{
		"two inputs":                  {func(m *model) { m.Inputs = []int{0, 1} }, "inputs"},
		"no output":                   {func(m *model) { m.Outputs = nil }, "outputs"},
		"a flat input":                {func(m *model) { m.Tensors[0].Shape = []int{2, 8} }, "input of shape"},
		"an input of any size":        {func(m *model) { m.Tensors[0].Shape = []int{2, -1, -1, 2} }, "input of shape"},
		"an input that is not square": {func(m *model) { m.Tensors[0].Shape = []int{2, 8, 9, 2} }, "input of shape"},
		"an unknown operator":         {func(m *model) { m.Operators[sum].Op = 55 }, "unknown kind 55"},
		"a lone absolute value":       {func(m *model) { m.Operators = m.Operators[abs:] }, "unknown kind 101"},
		"an activation":               {func(m *model) { m.Operators[sum].Activation = 1 }, "unexpected"},
		"half a PReLU":                {func(m *model) { m.Operators = m.Operators[:sub] }, "PReLU"},
		"another order":               {func(m *model) { m.Operators[sub].Inputs = []int{6, 3} }, "PReLU"},
		"another number's magnitude":  {func(m *model) { m.Operators[abs].Inputs = []int{0} }, "PReLU"},
		"an activation in a PReLU":    {func(m *model) { m.Operators[mul].Activation = 1 }, "PReLU"},
		"a slope that is left out":    {func(m *model) { m.Operators[mul].Inputs = []int{-1, 7} }, "left out"},
		"a slope that is computed":    {func(m *model) { m.Operators[mul].Inputs = []int{3, 7} }, "PReLU"},
		"a slope without values":      {func(m *model) { m.Tensors[4].Values = nil }, "half"},
		"a sum with what is not made": {func(m *model) { m.Operators[sum].Inputs = []int{12, 8} }, "a sum"},
		"a sum with a constant":       {func(m *model) { m.Operators[sum].Inputs = []int{12, 11} }, "a sum"},
		"a sum of one":                {func(m *model) { m.Operators[sum].Inputs = []int{12} }, "a sum"},
		"a sum of three":              {func(m *model) { m.Operators[sum].Inputs = []int{12, 9, 9} }, "a sum"},
		"a sum with what is left out": {func(m *model) { m.Operators[sum].Inputs = []int{12, -1} }, "a sum"},
		"an operator of nothing":      {func(m *model) { m.Operators[sum].Inputs = nil }, "unexpected"},
		"weights without values":      {func(m *model) { m.Tensors[1].Values = nil }, "w0"},
		"weights of other types":      {func(m *model) { m.Tensors[1].Type = 1 }, "not made of floats"},
		"weights of another shape":    {func(m *model) { m.Tensors[14].Shape = []int{2, 2, 1, 4} }, "kernel"},
		"weights in a row":            {func(m *model) { m.Tensors[14].Shape = []int{16} }, "a convolution of shape"},
		"weights that are huge":       {func(m *model) { m.Tensors[14].Shape = []int{math.MaxInt32, math.MaxInt32, 4, 1} }, "w2"},
		"weights that are left out":   {func(m *model) { m.Operators[point].Inputs[1] = -1 }, "left out"},
		"no bias":                     {func(m *model) { m.Operators[conv].Inputs = []int{0, 1} }, "not there"},
		"a bias that is left out":     {func(m *model) { m.Operators[conv].Inputs = []int{0, 1, -1} }, "left out"},
		"a bias of another size": {func(m *model) {
			m.Tensors[2] = tflitetest.Tensor{Name: "b0", Shape: []int{3}, Values: []float32{1, 2, 3}}
		}, "3 biases"},
		"a picture that is not there": {func(m *model) { m.Operators[point].Inputs[0] = -1 }, "not there"},
		"a picture that is long":      {func(m *model) { m.Tensors[13].Shape = []int{2, 4, 5, 4} }, "a convolution of shape"},
		"a depth multiplier":          {func(m *model) { m.Operators[deep].Multiplier = 2 }, "multiplier 2"},
		"no stride":                   {func(m *model) { m.Operators[conv].Stride = 0 }, "a convolution of shape"},
		"no end":                      {func(m *model) { m.Operators = m.Operators[:reshape] }, "does not make the output"},
		"another end":                 {func(m *model) { m.Outputs = []int{18} }, "before the end"},
		"a reshape of nothing":        {func(m *model) { m.Operators[reshape].Inputs = []int{21} }, "before the end"},
		"a reshape of a picture":      {func(m *model) { m.Operators[reshape].Inputs = []int{16, 21} }, "order"},
		"an output of any size":       {func(m *model) { m.Tensors[19].Shape = []int{2, -1} }, "does not make the output"},
		"a tensor that is made twice": {func(m *model) { m.Operators[sum].Output = 9 }, "twice"},
		"a PReLU that is made twice":  {func(m *model) { m.Operators[add].Output = 3 }, "twice"},
		"an input that is made":       {func(m *model) { m.Operators[sum].Output = 0 }, "twice"},
	} {
		m := smallEmbedder()
		c.change(&m)
		data, err := embedder(m.Bytes())
		if err == nil || data != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := embedder([]byte("text")); !errors.Is(err, tflite.ErrMalformed) {
		t.Errorf("text: %v", err)
	}
}

// TestSharedWeights: a small file whose convolutions share their weights would
// be a huge model.
func TestSharedWeights(t *testing.T) {
	t.Parallel()
	const channels, many = 40, 2000
	tensors := []tflitetest.Tensor{
		{Name: "in", Shape: []int{1, 1, 1, channels}},
		{Name: "w", Shape: []int{channels, 1, 1, channels}, Values: make([]float32, channels*channels)},
		{Name: "b", Shape: []int{channels}, Values: make([]float32, channels)},
	}
	m := tflitetest.Model{Inputs: []int{0}, Tensors: tensors}
	for i := range many {
		m.Tensors = append(m.Tensors, tensors[0])
		m.Operators = append(m.Operators, tflitetest.Operator{Op: tflite.Conv, Inputs: []int{2 + i, 1, 2}, Output: 3 + i, Stride: 1})
	}
	m.Operators[0].Inputs[0] = 0
	m.Outputs = []int{2 + many}
	if _, err := embedder(m.Bytes()); err == nil || !strings.Contains(err.Error(), "again and again") {
		t.Errorf("12 megabytes of weights in a small file: %v", err)
	}
}

func TestLandmarksRefused(t *testing.T) {
	t.Parallel()
	reshaped := func(name string, shape ...int) func([]entry) {
		return func(all []entry) {
			all[slices.IndexFunc(all, func(e entry) bool { return e.Name == name })].Shape = shape
		}
	}
	for name, c := range map[string]struct {
		change func([]entry)
		want   string
	}{
		"another type":           {func(all []entry) { all[0].Quantization["dtype"] = "float16" }, "float16"},
		"no type":                {func(all []entry) { all[0].Quantization = nil }, "type"},
		"a weight of other name": {func(all []entry) { all[3].Name = "dense0/conv1/other" }, "dense0/conv1/pointwise_filter"},
		"no first weight":        {func(all []entry) { all[0].Name = "other" }, "dense0/conv0/filters"},
		"no last weight":         {func(all []entry) { all[len(all)-1].Name = "other" }, "fc/bias"},
		"fewer dimensions":       {reshaped("dense0/conv1/pointwise_filter", 4), "dense0/conv1/pointwise_filter"},
		"no width":               {reshaped("dense0/conv1/bias", 0), "dense0/conv1/bias"},
		"a negative size":        {reshaped("fc/bias", -136), "fc/bias"},
		"too large a size":       {reshaped("fc/bias", math.MaxInt), "fc/bias"},
		"sizes that overflow":    {reshaped("fc/bias", 1<<32, 1<<32), "fc/bias"},
		// Each size is within the file's.
		"sizes that overflow together": {reshaped("fc/bias", 128, 128, 128, 128, 128, 128, 128, 128, 128, 128), "fc/bias"},
		"a kernel in a row":            {reshaped("dense1/conv1/depthwise_filter", 1, 9, 3, 1), "dense1/conv1"},
		"a kernel of two rows":         {reshaped("dense0/conv0/filters", 9, 1, 3, 2), "dense0/conv0"},
		"a multiplier":                 {reshaped("dense1/conv1/depthwise_filter", 3, 1, 3, 3), "dense1/conv1"},
		"places for channels":          {reshaped("dense1/conv1/pointwise_filter", 3, 1, 1, 3), "dense1/conv1"},
	} {
		entries, data := smallLandmarks()
		c.change(entries)
		if model, err := landmarks(manifestOf(t, entries), data); err == nil || model != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	entries, data := smallLandmarks()
	manifest := manifestOf(t, entries)
	for name, files := range map[string][2][]byte{
		"a byte less": {manifest, data[1:]}, "a byte more": {manifest, append(slices.Clone(data), 0)}, "no bytes": {manifest, nil},
		"no manifest": {nil, data}, "an empty manifest": {[]byte("[]"), nil}, "an object": {[]byte("{}"), data}, "half a manifest": {manifest[:len(manifest)/2], data},
	} {
		if model, err := landmarks(files[0], files[1]); err == nil || model != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTurn(t *testing.T) {
	t.Parallel()
	got := turn([]float32{1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16}, 2, 3)
	if want := []float32{1, 4, 2, 5, 3, 6, 11, 14, 12, 15, 13, 16}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := turn(nil, 0, 3); len(got) != 0 { // ends
		t.Errorf("nothing becomes %v", got)
	}
}

// TestSame: sizes and strides of TensorFlow's own examples of "SAME".
func TestSame(t *testing.T) {
	t.Parallel()
	for in, want := range map[[3]int][2]int{{112, 3, 2}: {0, 1}, {13, 6, 5}: {1, 2}, {5, 3, 1}: {1, 1}, {4, 1, 1}: {0, 0}, {4, 1, 3}: {0, 0}, {7, 7, 7}: {0, 0}} {
		if got := same(in[0], in[1], in[2]); got != want {
			t.Errorf("size %d, kernel %d, stride %d: %v, want %v", in[0], in[1], in[2], got, want)
		}
	}
}

func TestConvolutionRefused(t *testing.T) {
	t.Parallel()
	c := convolution{kernel: 3, stride: 1, groups: 1, in: 2, out: 2}
	for name, v := range map[string]struct {
		c             convolution
		weights, bias []float32
	}{
		"fewer weights": {c, make([]float32, 35), nil}, "fewer biases": {c, make([]float32, 36), make([]float32, 1)}, "no biases": {c, make([]float32, 36), []float32{}},
		"nothing": {convolution{}, nil, nil},
	} {
		if _, err := v.c.add(onnx.New("g"), "n", "x", v.weights, v.bias); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	entries, data := smallLandmarks()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, content := range map[string][]byte{"l.bin": data, "l.json": manifestOf(t, entries), "e.tflite": smallEmbedder().Bytes(), "text": []byte("text")} {
		if err := os.WriteFile(path(name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := func(bin, manifest, faces, out string) []string {
		return []string{"--landmarks", path(bin), "--landmarks-manifest", path(manifest), "--embedder", path(faces), "--out", path(out)}
	}
	if err := run(args("l.bin", "l.json", "e.tflite", ""), io.Discard); err != nil {
		t.Fatal(err)
	}
	for name, convert := range map[string]func() ([]byte, error){
		"landmarks.onnx": func() ([]byte, error) { return landmarks(manifestOf(t, entries), data) },
		"embedder.onnx":  func() ([]byte, error) { return embedder(smallEmbedder().Bytes()) },
	} {
		want, err := convert()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path(name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d; %v", name, len(got), len(want), err)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"an unknown flag": {[]string{"--nope"}, "nope"}, "no flags": {nil, "open"},
		"text for landmarks":   {args("text", "l.json", "e.tflite", ""), "landmarks: "},
		"text for a manifest":  {args("l.bin", "text", "e.tflite", ""), "landmarks: the manifest"},
		"text for an embedder": {args("l.bin", "l.json", "text", ""), "embedder: "},
	} {
		if err := run(c.args, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for _, missing := range [][]string{args("none", "l.json", "e.tflite", ""), args("l.bin", "none", "e.tflite", ""), args("l.bin", "l.json", "none", ""), args("l.bin", "l.json", "e.tflite", "none")} {
		if err := run(missing, io.Discard); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: %v", missing, err)
		}
	}
}

// FuzzEmbedder: whatever the file, the conversion ends, with a model of some
// size or an error.
func FuzzEmbedder(f *testing.F) {
	small := smallEmbedder()
	f.Add(small.Bytes())
	for i := range small.Operators {
		m := small
		m.Operators = slices.Clone(small.Operators)
		m.Operators[i].Inputs = m.Operators[i].Inputs[:1]
		f.Add(m.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		model, err := embedder(data)
		if (err == nil) != (len(model) > 0) || len(model) > 4096+100*len(data) {
			t.Errorf("%d bytes of a model from %d, %v", len(model), len(data), err)
		}
	})
}

// FuzzLandmarks is the same for the network of landmarks.
func FuzzLandmarks(f *testing.F) {
	entries, data := smallLandmarks()
	f.Add(manifestOf(f, entries), data)
	f.Add(manifestOf(f, entries[1:]), data[len(data)-100:])
	f.Add([]byte(`[{"weights":[{"name":"fc/bias","shape":[16,16,16,16,16,16,16,16],"quantization":{"dtype":"uint8"}}]}]`), make([]byte, 16))
	f.Fuzz(func(t *testing.T, manifest, data []byte) {
		model, err := landmarks(manifest, data)
		if (err == nil) != (len(model) > 0) || len(model) > 16384+4*len(data) {
			t.Errorf("%d bytes of a model from %d, %v", len(model), len(data), err)
		}
	})
}
