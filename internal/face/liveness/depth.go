package liveness

import (
	"cmp"
	"slices"

	"latchkey/internal/face"
)

// Turned is what a turn of the head did to the face, in the three frames that
// show most of it.
type Turned struct {
	Depth   float64 // towards the side asked for: sine of the angle that a head's depth explains; a flat picture has little
	Other   float64 // the same towards the other side
	Squeeze float64 // narrowing of the eyes' distance against the height of the face
}

// Excess is how much narrower the face got than the turn of a head makes it. A
// sheet that looks like a turned head has to be turned much farther.
func (t Turned) Excess() float64 { return t.Squeeze - t.Depth*t.Depth/2 }

// Solid is how much more the turn looks like a head's than like a sheet's: a
// bent sheet that shows some depth shows excess as well.
func (t Turned) Solid() float64 { return t.Depth - t.Excess() }

// depths is how far the landmarks 17 to 67 of a usual head are before its eyes,
// in eye distances.
func depths() []float64 {
	return []float64{
		-0.25, -0.02, 0.10, 0.15, 0.17, 0.17, 0.15, 0.10, -0.02, -0.25, // brows
		0.15, 0.27, 0.40, 0.52, // bridge to tip
		0.22, 0.29, 0.33, 0.29, 0.22, // nostrils
		-0.20, 0.03, 0.04, 0, 0.04, 0.02, // eyes
		0, 0.04, 0.03, -0.20, 0.02, 0.04,
		0.08, 0.20, 0.28, 0.30, 0.28, 0.20, 0.08, // lips, outside
		0.14, 0.22, 0.25, 0.22, 0.14,
		0.10, 0.24, 0.26, 0.24, 0.10, 0.22, 0.23, 0.22, // inside
	}
}

// turnOf explains the way from the straight to the turned shape by whatever a
// sheet of paper can do, flat, tilted or bent in any direction (a quadratic in
// the places), and by depth, which a turn moves sideways. It gives the share of
// depth: the sine of the angle, positive where the nose goes right in the
// picture.
func turnOf(straight, turned []Place) (float64, bool) {
	z := depths()
	rows, dx := make([][]float64, len(z)), make([]float64, len(z))
	for i, p := range straight {
		rows[i] = []float64{1, p.X, p.Y, p.X * p.X, p.X * p.Y, p.Y * p.Y, z[i]}
		dx[i] = turned[i].X - p.X
	}
	k, ok := fit(rows, dx)
	if !ok {
		return 0, false
	}
	return k[6], true
}

// height is from the eyes to the mouth, in eye distances: it grows as a face
// narrows.
func height(s []Place) float64 {
	sum := 0.0
	for _, p := range s[31:] { // the mouth
		sum += p.Y / float64(len(s)-31)
	}
	return sum
}

// straightShape is the median of the shapes of shots: the face looking ahead.
func straightShape(shots []*Shot) ([]Place, bool) {
	var xs, ys [51][]float64
	for _, s := range shots {
		shape, ok := s.shape()
		if !ok {
			continue
		}
		for i, p := range shape {
			xs[i] = append(xs[i], p.X)
			ys[i] = append(ys[i], p.Y)
		}
	}
	if len(xs[0]) == 0 {
		return nil, false
	}
	out := make([]Place, 51)
	for i := range out {
		out[i] = Place{X: median(xs[i]), Y: median(ys[i])}
	}
	return out, true
}

// MeasureTurn compares the shots of a turn with those of the head straight. The
// picture is not mirrored: the nose of a person who turns to their left goes
// right in it.
func MeasureTurn(turn face.Turn, straight, turned []*Shot) Turned {
	base, ok := straightShape(straight)
	if !ok {
		return Turned{}
	}
	side := 1.0
	if turn == face.TurnRight {
		side = -1
	}
	type frame struct{ depth, squeeze float64 }
	var found []frame
	for _, s := range turned {
		shape, ok := s.shape()
		if !ok {
			continue
		}
		k, ok := turnOf(base, shape)
		if h := height(shape); ok && h > 0 {
			found = append(found, frame{side * k, 1 - height(base)/h})
		}
	}
	slices.SortFunc(found, func(a, b frame) int { return cmp.Compare(a.depth, b.depth) })
	var out Turned
	n := min(3, len(found))
	for i := range n {
		f := found[len(found)-1-i]
		out.Depth += f.depth / float64(n)
		out.Squeeze += f.squeeze / float64(n)
		out.Other -= found[i].depth / float64(n)
	}
	return out
}
