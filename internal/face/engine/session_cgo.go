//go:build cgo

package engine

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// session is a network that is loaded.
type session struct {
	*ort.DynamicAdvancedSession
	in  ort.Shape
	out []ort.Shape
}

// anyWidth stands for any number of numbers of an output.
const anyWidth = -1

// openSession loads a network that takes a picture and gives outputs whose last
// dimensions have these widths. Each run is one thread's work: what runs at
// once are faces, not parts of one.
func openSession(model []byte, n Network, widths ...int64) (*session, error) {
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(model)
	if err != nil {
		return nil, err
	}
	s := &session{in: ort.NewShape(1, 3, int64(n.Height), int64(n.Width))}
	if len(inputs) != 1 || !fits(inputs[0], s.in) {
		return nil, fmt.Errorf("its input is not one picture of 1 x 3 x %d x %d floats", n.Height, n.Width)
	}
	var names []string
	for _, width := range widths {
		var o *ort.InputOutputInfo
		for i := range outputs {
			d := outputs[i].Dimensions
			if len(d) > 1 && d[len(d)-1] > 0 && (width == anyWidth || d[len(d)-1] == width) && outputs[i].DataType == ort.TensorElementDataTypeFloat {
				o = &outputs[i]
				break
			}
		}
		if o == nil {
			return nil, fmt.Errorf("it has no output of floats whose last dimension is %d", width)
		}
		shape := o.Dimensions.Clone()
		shape[0] = 1 // the batch
		if err := shape.Validate(); err != nil || shape.FlattenedSize() > 1<<24 {
			return nil, fmt.Errorf("its output %s has the shape %v", o.Name, o.Dimensions)
		}
		names = append(names, o.Name)
		s.out = append(s.out, shape)
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	err = errors.Join(options.SetIntraOpNumThreads(1), options.SetInterOpNumThreads(1),
		options.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll))
	if err != nil {
		return nil, err
	}
	s.DynamicAdvancedSession, err = ort.NewDynamicAdvancedSessionWithONNXData(model, []string{inputs[0].Name}, names, options)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// fits says whether an input takes a shape; a dimension below 0 is free.
func fits(info ort.InputOutputInfo, shape ort.Shape) bool {
	if info.DataType != ort.TensorElementDataTypeFloat || len(info.Dimensions) != len(shape) {
		return false
	}
	for i, d := range info.Dimensions {
		if d >= 0 && d != shape[i] {
			return false
		}
	}
	return true
}

func (s *session) destroy() { _ = s.DynamicAdvancedSession.Destroy() }

// buffers are one run's input and outputs, in and out their numbers.
type buffers struct {
	in      []float32
	out     [][]float32
	inputs  []ort.Value
	outputs []ort.Value
}

func (s *session) buffers() (*buffers, error) {
	b := &buffers{}
	in, err := ort.NewEmptyTensor[float32](s.in)
	if err != nil {
		return nil, err
	}
	b.in, b.inputs = in.GetData(), []ort.Value{in}
	for _, shape := range s.out {
		out, err := ort.NewEmptyTensor[float32](shape)
		if err != nil {
			b.destroy()
			return nil, err
		}
		b.out, b.outputs = append(b.out, out.GetData()), append(b.outputs, out)
	}
	return b, nil
}

func (s *session) run(b *buffers) error { return s.Run(b.inputs, b.outputs) }

func (b *buffers) destroy() {
	for _, v := range append(b.inputs, b.outputs...) {
		_ = v.Destroy()
	}
}
