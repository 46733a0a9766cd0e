//go:build cgo

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"latchkey/internal/face/convert/onnx"
	"latchkey/internal/face/convert/tflite"
	"latchkey/internal/face/engine"
	"latchkey/internal/face/models"
)

// loadRuntime loads the runtime library as the engine does; it stays.
func loadRuntime(t *testing.T) {
	t.Helper()
	e, err := engine.Open(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// infer runs a model on one picture and gives its outputs, of this shape.
func infer(t *testing.T, model []byte, in picture, shape ...int64) []float32 {
	t.Helper()
	input, err := ort.NewTensor(ort.NewShape(1, int64(in.channels), int64(in.size), int64(in.size)), in.channelsFirst())
	if err != nil {
		t.Fatal(err)
	}
	defer input.Destroy()
	output, err := ort.NewEmptyTensor[float32](append(ort.Shape{1}, shape...))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Destroy()
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(model, []string{"input"}, []string{"output"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Destroy()
	if err := s.Run([]ort.Value{input}, []ort.Value{output}); err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), output.GetData()...)
}

// near checks numbers against others, by the largest of those.
func near(t *testing.T, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	var largest float64
	for _, w := range want {
		largest = max(largest, math.Abs(float64(w)))
	}
	if largest == 0 {
		t.Fatal("nothing to tell from nothing")
	}
	for i := range got {
		if !(math.Abs(float64(got[i]-want[i])) <= 1e-4*largest) {
			t.Fatalf("number %d is %v, want %v; the largest is %v", i, got[i], want[i], largest)
		}
	}
}

// TestConvolution: after its weights were laid out anew a convolution gives
// what it gives by definition, for every size, kernel and stride.
func TestConvolution(t *testing.T) {
	t.Parallel()
	loadRuntime(t)
	r := rand.New(rand.NewPCG(7, 8))
	const in = 3
	for _, size := range []int{5, 6, 9} {
		for kernel := 1; kernel <= 5; kernel++ {
			for stride := 1; stride <= 3; stride++ {
				for _, deep := range []bool{false, true} {
					for _, valid := range []bool{false, true} {
						t.Run(fmt.Sprintf("size %d kernel %d stride %d deep %v valid %v", size, kernel, stride, deep, valid), func(t *testing.T) {
							convolveBothWays(t, r, noisy(r, size, in), kernel, stride, deep, valid)
						})
					}
				}
			}
		}
	}
}

func convolveBothWays(t *testing.T, r *rand.Rand, p picture, kernel, stride int, deep, valid bool) {
	t.Helper()
	places := kernel * kernel
	c := convolution{kernel: kernel, stride: stride, groups: 1, in: p.channels, out: 2}
	f := filter{kernel: kernel, stride: stride, out: 2, valid: valid, place: p.channels * 2, input: 2, outputs: 1}
	f.weights, f.bias = noise(r, places*p.channels*2), noise(r, 2) // [place][in][out]
	weights := turn(turn(f.weights, places*p.channels, 2), places, p.channels)
	if deep {
		c.groups, c.in, c.out = p.channels, 1, p.channels
		f.deep, f.out, f.place, f.weights, f.bias = true, p.channels, p.channels, noise(r, places*p.channels), nil // [place][channel]
		weights = turn(f.weights, places, p.channels)
	}
	if !valid {
		c.pads = same(p.size, kernel, stride)
	}
	want := f.apply(p)
	g := onnx.New("convolution")
	g.Input("input", onnx.Batch, p.channels, p.size, p.size)
	if _, err := c.add(g, "output", "input", weights, f.bias); err != nil {
		t.Fatal(err)
	}
	g.Output("output", onnx.Batch, want.channels, want.size, want.size)
	got := infer(t, g.Bytes(), p, int64(want.channels), int64(want.size), int64(want.size))
	near(t, got, want.channelsFirst())
}

// TestEmbedder: a network gives after the conversion what it gives by the
// definition of its operators.
func TestEmbedder(t *testing.T) {
	t.Parallel()
	loadRuntime(t)
	data := smallEmbedder().Bytes()
	model, err := embedder(data)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := embedder(data); err != nil || !bytes.Equal(model, again) {
		t.Errorf("other bytes the second time, %v", err)
	}
	before, err := tflite.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(5) {
		in := noisy(rand.New(rand.NewPCG(seed, 1)), 8, 2)
		near(t, infer(t, model, in, 4), interpret(t, before, in))
	}
}

// TestLandmarks is the same for the network of landmarks.
func TestLandmarks(t *testing.T) {
	t.Parallel()
	loadRuntime(t)
	entries, data := smallLandmarks()
	manifest := manifestOf(t, entries)
	model, err := landmarks(manifest, data)
	if err != nil {
		t.Fatal(err)
	}
	before, err := readWeights(manifest, data)
	if err != nil {
		t.Fatal(err)
	}
	in := noisy(rand.New(rand.NewPCG(5, 6)), 112, 3)
	near(t, infer(t, model, in, 136), before.points(in))
}

// published is a file as its author published it; set-up keeps it.
func published(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("vendor", name))
	if err != nil {
		t.Fatalf("%v (run scripts/models.sh)", err)
	}
	return data
}

// TestPublished converts the files that the program's models are made from, as
// set-up does. It gives the very models, and they give what the files mean.
func TestPublished(t *testing.T) {
	t.Parallel()
	loadRuntime(t)
	out := t.TempDir()
	path := func(name string) string { return filepath.Join("vendor", name) }
	const points, manifest, faces = "face_landmark_68_model.bin", "face_landmark_68_model-weights_manifest.json", "MobileFaceNet.tflite"
	var stderr bytes.Buffer
	err := run([]string{"--landmarks", path(points), "--landmarks-manifest", path(manifest), "--embedder", path(faces), "--out", out}, &stderr)
	if err != nil || stderr.Len() != 0 {
		t.Fatalf("%v %s (scripts/models.sh fetches the files)", err, stderr.Bytes())
	}
	made := map[string][]byte{}
	for _, name := range []string{"landmarks.onnx", "embedder.onnx"} {
		if made[name], err = os.ReadFile(filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	testPinned(t, made)
	in := noisy(rand.New(rand.NewPCG(9, 10)), 112, 3)
	all, err := readWeights(published(t, manifest), published(t, points))
	if err != nil {
		t.Fatal(err)
	}
	near(t, infer(t, made["landmarks.onnx"], in, 136), all.points(in))
	before, err := tflite.Read(published(t, faces))
	if err != nil {
		t.Fatal(err)
	}
	near(t, infer(t, made["embedder.onnx"], in, 192), interpret(t, before, in))
}

// testPinned checks models against the manifest that the program has.
func testPinned(t *testing.T, made map[string][]byte) {
	t.Helper()
	folder, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := fs.ReadFile(folder, "manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range made {
		sum := sha256.Sum256(data)
		if !bytes.Contains(manifest, []byte(hex.EncodeToString(sum[:]))) {
			t.Errorf("%s has the SHA-256 %x, which is not the manifest's", name, sum)
		}
	}
}
