package tflite_test

import (
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"latchkey/internal/face/convert/tflite"
	"latchkey/internal/face/convert/tflite/tflitetest"
)

// example has both kinds of convolution, a step without options of interest,
// and an input that is left out.
func example() tflitetest.Model {
	return tflitetest.Model{
		Inputs: []int{0}, Outputs: []int{6},
		Tensors: []tflitetest.Tensor{
			{Name: "input", Shape: []int{1, 4, 4, 2}},
			{Name: "w", Shape: []int{3, 1, 1, 2}, Values: []float32{1, 2, 3, 4, 5, 6}},
			{Name: "b", Shape: []int{3}, Values: []float32{-1, 0, 1}},
			{Name: "conv", Shape: []int{1, 2, 2, 3}},
			{Name: "places", Shape: []int{1}, Values: []float32{1}, Type: 2},
			{Name: "deep", Shape: []int{1, 2, 2, 3}},
			{Name: "output", Shape: []int{1, 12}},
		},
		Operators: []tflitetest.Operator{
			{Op: tflite.Conv, Inputs: []int{0, 1, 2}, Output: 3, Stride: 2, Valid: true},
			{Op: tflite.DepthwiseConv, Inputs: []int{3, 1, -1}, Output: 5, Stride: 1, Multiplier: 7, Activation: 3},
			{Op: tflite.Reshape, Inputs: []int{5, 4}, Output: 6},
			{Op: tflite.Add, Inputs: []int{5, 5}, Output: 6, Activation: 1},
		},
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	m, err := tflite.Read(example().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Inputs, []int{0}) || !slices.Equal(m.Outputs, []int{6}) {
		t.Errorf("from %v to %v", m.Inputs, m.Outputs)
	}
	want := example()
	if len(m.Tensors) != len(want.Tensors) || len(m.Operators) != len(want.Operators) {
		t.Fatalf("%d tensors, %d operators", len(m.Tensors), len(m.Operators))
	}
	for i, w := range want.Tensors {
		got := m.Tensors[i]
		if got.Name != w.Name || !slices.Equal(got.Shape, w.Shape) || got.Type != w.Type || len(got.Data) != 4*len(w.Values) {
			t.Errorf("tensor %d is %+v, want %+v", i, got, w)
		}
		v, err := got.Floats()
		if constant := w.Values != nil && w.Type == 0; constant && (err != nil || !slices.Equal(v, w.Values)) {
			t.Errorf("tensor %d: %v, %v", i, v, err)
		} else if !constant && !errors.Is(err, tflite.ErrMalformed) {
			t.Errorf("tensor %d, no constant of floats: %v, %v", i, v, err)
		}
	}
	for i, w := range want.Operators {
		got := m.Operators[i]
		if got.Op != w.Op || !slices.Equal(got.Inputs, w.Inputs) || !slices.Equal(got.Outputs, []int{w.Output}) ||
			got.StrideH != w.Stride || got.StrideW != w.Stride || got.Multiplier != w.Multiplier || got.Activation != w.Activation {
			t.Errorf("operator %d is %+v, want %+v", i, got, w)
		}
	}
	if m.Operators[0].Same || !m.Operators[1].Same {
		t.Error("padding is not as it was written")
	}
}

// TestShapes: what a shape says is there only if the bytes are.
func TestShapes(t *testing.T) {
	t.Parallel()
	tensor := tflite.Tensor{Data: make([]byte, 24)}
	for _, shape := range [][]int{{6}, {2, 3}, {1, 6, 1, 1}} {
		tensor.Shape = shape
		if v, err := tensor.Floats(); err != nil || len(v) != 6 {
			t.Errorf("shape %v: %v, %v", shape, v, err)
		}
	}
	for _, shape := range [][]int{nil, {7}, {5}, {24}, {-6}, {-2, -3}, {0}, {math.MaxInt32, math.MaxInt32, 4}, {1 << 32, 1 << 32}, {math.MaxInt, 2}} {
		tensor.Shape = shape
		if _, err := tensor.Floats(); !errors.Is(err, tflite.ErrMalformed) {
			t.Errorf("shape %v: %v", shape, err)
		}
	}
}

// TestTruncated: a file that was cut off anywhere is not taken.
func TestTruncated(t *testing.T) {
	t.Parallel()
	whole := example().Bytes()
	for n := range whole {
		if _, err := tflite.Read(whole[:n]); !errors.Is(err, tflite.ErrMalformed) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

// TestCorrupt: whatever number is put anywhere, the model that is read is whole
// or the fault has its type.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	whole := example().Bytes()
	refused := 0
	for at := range len(whole) - 3 {
		for _, v := range []uint32{0, 1, 0x7f, 0xffff, uint32(len(whole)), math.MaxInt32, 1 << 31, math.MaxUint32} {
			bad := slices.Clone(whole)
			binary.LittleEndian.PutUint32(bad[at:], v)
			if !readsWhole(t, bad) {
				refused++
			}
		}
	}
	if refused < len(whole) {
		t.Errorf("%d files of %d were refused", refused, 8*len(whole))
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(m *tflitetest.Model){
		"an input beyond the tensors":    func(m *tflitetest.Model) { m.Inputs = []int{7} },
		"an input that is left out":      func(m *tflitetest.Model) { m.Inputs = []int{-1} },
		"an output that is left out":     func(m *tflitetest.Model) { m.Outputs = []int{-1} },
		"a step from beyond the tensors": func(m *tflitetest.Model) { m.Operators[0].Inputs = []int{0, 7, 2} },
		"a step from before the tensors": func(m *tflitetest.Model) { m.Operators[0].Inputs = []int{0, -2, 2} },
		"a step that makes nothing":      func(m *tflitetest.Model) { m.Operators[3].Output = -1 },
		"a convolution with gaps":        func(m *tflitetest.Model) { m.Operators[0].Dilation = 2 },
		"a deep convolution with gaps":   func(m *tflitetest.Model) { m.Operators[1].Dilation = 3 },
		"a convolution that walks back":  func(m *tflitetest.Model) { m.Operators[0].Stride = -1 },
	} {
		m := example()
		change(&m)
		if _, err := tflite.Read(m.Bytes()); !errors.Is(err, tflite.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := example().Bytes()
	copy(other[4:], "TFL2")
	for _, data := range [][]byte{nil, other, []byte("TFL3TFL3"), []byte("\x00\x00\x00\x00TFL3"), []byte("\xff\xff\xff\xffTFL3"), []byte("\x08\x00\x00\x00TFL3\x00\x00\x00\x80")} {
		if _, err := tflite.Read(data); !errors.Is(err, tflite.ErrMalformed) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// TestSharedParts: a file whose tensors all have the same long shape would be
// gigabytes when read. It is refused before that.
func TestSharedParts(t *testing.T) {
	const many = 5000
	m := tflitetest.Model{Tensors: make([]tflitetest.Tensor, many), Inputs: []int{0}, Outputs: []int{0}}
	m.Tensors[many-1] = tflitetest.Tensor{Name: "long", Shape: make([]int, many)}
	data := m.Bytes()
	if _, err := tflite.Read(data); err != nil {
		t.Fatalf("each with its own: %v", err)
	}
	// Each tensor but the first becomes the last: its offset is as much longer
	// as its place is earlier.
	first := tensorsOf(data)
	last := first + 4*(many-1)
	at := last + int(binary.LittleEndian.Uint32(data[last:]))
	for place := first; place < last; place += 4 {
		binary.LittleEndian.PutUint32(data[place:], uint32(at-place))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := tflite.Read(data)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, tflite.ErrMalformed) {
		t.Error(err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 40*uint64(len(data)) {
		t.Errorf("%d bytes of memory for %d of the file", took, len(data))
	}
}

// tensorsOf is the place of the first offset of the vector of tensors.
func tensorsOf(data []byte) int {
	follow := func(at int) int { return at + int(binary.LittleEndian.Uint32(data[at:])) }
	field := func(table, number int) int {
		vtable := table - int(int32(binary.LittleEndian.Uint32(data[table:])))
		return table + int(binary.LittleEndian.Uint16(data[vtable+4+2*number:]))
	}
	graphs := follow(field(follow(0), 2))
	return follow(field(follow(graphs+4), 0)) + 4
}

func FuzzParse(f *testing.F) {
	f.Add(example().Bytes())
	f.Add((&tflitetest.Model{}).Bytes())
	f.Add(example().Bytes()[:100])
	for _, op := range []tflite.Op{tflite.Conv, tflite.DepthwiseConv, tflite.Relu, tflite.Sub, tflite.Abs} {
		m := example()
		m.Operators = []tflitetest.Operator{{Op: op, Inputs: []int{0, 1, 2}, Output: 6, Stride: 1, Multiplier: 1}}
		f.Add(m.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) { readsWhole(t, data) })
}

// readsWhole reads a file and checks what promises hold for any.
func readsWhole(t *testing.T, data []byte) bool {
	t.Helper()
	m, err := tflite.Read(data)
	if err != nil {
		if !errors.Is(err, tflite.ErrMalformed) || m != nil {
			t.Errorf("%v with the error %v", m, err)
		}
		return false
	}
	within := func(lowest int, indices ...[]int) {
		for _, i := range slices.Concat(indices...) {
			if i < lowest || i >= len(m.Tensors) {
				t.Errorf("tensor %d of %d", i, len(m.Tensors))
			}
		}
	}
	within(0, m.Inputs, m.Outputs)
	read := 0
	for _, o := range m.Operators {
		within(-1, o.Inputs)
		within(0, o.Outputs)
		read += 4 * (len(o.Inputs) + len(o.Outputs))
	}
	for _, tensor := range m.Tensors {
		read += 4*len(tensor.Shape) + len(tensor.Name) + len(tensor.Data)
		if v, err := tensor.Floats(); err == nil && len(v)*4 != len(tensor.Data) || err != nil && !errors.Is(err, tflite.ErrMalformed) {
			t.Errorf("%d numbers of %d bytes, %v", len(v), len(tensor.Data), err)
		}
	}
	if read > len(data) {
		t.Errorf("%d bytes were read of a file of %d", read, len(data))
	}
	return true
}
