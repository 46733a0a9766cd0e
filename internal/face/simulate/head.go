// Package simulate is a camera before a screen, in software: whole frames, as
// JPEG, of a head or of an attack in the changing light of a scan. It is for
// tests and for the attack runs of docs/face.md, and no part of the programs.
//
// What it is not: people. A head is one picture on a usual head's depth, its
// skin reflects evenly in all directions, its face does not move. Where it had
// to guess it guesses for the attacker: a printed photo is cut out, reflects as
// skin does and is turned by hand as asked; a replay begins at the right moment
// and turns to the right side.
package simulate

import (
	"errors"
	"math"
	"slices"

	"latchkey/internal/face"
	"latchkey/internal/face/liveness"
)

// Lengths are in eye distances, x to the right in the picture, y down, z towards
// the camera, from the middle between the eyes.
const (
	meshLeft, meshRight  = -1.65, 1.65
	meshTop, meshBottom  = -1.75, 2.15
	meshColumns, meshRow = 30, 36
)

// Head is one person's picture with a usual head's depth.
type Head struct {
	width, height int
	light         []float32 // linear RGB
	axes          liveness.Axes
	depth         []float64 // of each corner of the mesh
	normal        [][3]float64
	Skin          [3]float64 // median light of nose and cheeks
}

// NewHead takes the head around the landmarks out of a picture. The face must
// look ahead.
func NewHead(p *face.Picture, landmarks *[68]face.Point) (*Head, error) {
	axes, ok := liveness.FaceAxes(landmarks)
	if !ok {
		return nil, errors.New("no eyes in the picture")
	}
	h := &Head{}
	marks := h.cut(p, axes, *landmarks)
	h.axes, _ = liveness.FaceAxes(&marks)
	h.model(&marks)
	var light [3][]float64
	for x := -0.6; x <= 0.6; x += 0.05 {
		for y := 0.2; y <= 0.9; y += 0.05 {
			px, py := h.axes.Pixel(liveness.Place{X: x, Y: y})
			for k, v := range h.sample(px, py) {
				light[k] = append(light[k], float64(v))
			}
		}
	}
	for k := range h.Skin {
		slices.Sort(light[k])
		h.Skin[k] = light[k][len(light[k])/2]
	}
	return h, nil
}

// cut keeps the part of the picture with the head on it, and gives the landmarks
// in that part.
func (h *Head) cut(p *face.Picture, axes liveness.Axes, marks [68]face.Point) [68]face.Point {
	x0, y0, x1, y1 := p.W, p.H, 0, 0
	for _, at := range []liveness.Place{{X: -2, Y: -2.1}, {X: 2, Y: -2.1}, {X: -2, Y: 2.5}, {X: 2, Y: 2.5}} {
		x, y := axes.Pixel(at)
		x0, y0 = min(x0, max(0, int(x))), min(y0, max(0, int(y)))
		x1, y1 = max(x1, min(p.W, int(x)+1)), max(y1, min(p.H, int(y)+1))
	}
	h.width, h.height = x1-x0, y1-y0
	h.light = make([]float32, 0, 3*h.width*h.height)
	table := toLinear()
	for y := y0; y < y1; y++ {
		for _, v := range p.RGB[3*(y*p.W+x0) : 3*(y*p.W+x1)] {
			h.light = append(h.light, table[v])
		}
	}
	for i := range marks {
		marks[i].X -= float32(x0)
		marks[i].Y -= float32(y0)
	}
	return marks
}

// anchor is a place of known depth.
type anchor struct{ x, y, z float64 }

// model gives each corner of the mesh the depth of the landmarks near it.
func (h *Head) model(landmarks *[68]face.Point) {
	known := []anchor{ // forehead, top, sides: no landmarks there
		{0, -0.8, 0.12}, {-0.6, -0.75, -0.08}, {0.6, -0.75, -0.08}, {-1, -0.7, -0.55}, {1, -0.7, -0.55},
		{0, -1.3, -0.25}, {-0.8, -1.3, -0.6}, {0.8, -1.3, -0.6}, {0, -1.75, -0.9},
		{-1.5, -0.6, -1.5}, {1.5, -0.6, -1.5}, {-1.5, 0.3, -1.6}, {1.5, 0.3, -1.6}, {-1.4, 1.3, -1.4}, {1.4, 1.3, -1.4},
		{0, 2.15, -0.5}, {-0.55, 0.55, 0.02}, {0.55, 0.55, 0.02}, {-0.75, 0.75, -0.2}, {0.75, 0.75, -0.2},
	}
	z := usualDepths()
	for i, l := range landmarks {
		p := h.axes.Place(float64(l.X), float64(l.Y))
		known = append(known, anchor{p.X, p.Y, z[i]})
	}
	h.depth = make([]float64, (meshColumns+1)*(meshRow+1))
	for i := range h.depth {
		p := corner(i)
		sum, weight := 0.0, 0.0
		for _, k := range known {
			d := (p.X-k.x)*(p.X-k.x) + (p.Y-k.y)*(p.Y-k.y)
			w := math.Exp(-d/(2*0.14*0.14)) + 2e-4/(d+0.02)
			sum += w * k.z
			weight += w
		}
		h.depth[i] = sum / weight
	}
	h.normal = normals(h.depth)
}

// usualDepths is how far the 68 landmarks are before the eyes.
func usualDepths() [68]float64 {
	return [68]float64{
		-1.20, -1.10, -0.95, -0.75, -0.50, -0.25, -0.05, 0.08, 0.12, 0.08, -0.05, -0.25, -0.50, -0.75, -0.95, -1.10, -1.20,
		-0.25, -0.02, 0.10, 0.15, 0.17, 0.17, 0.15, 0.10, -0.02, -0.25,
		0.15, 0.27, 0.40, 0.52, 0.22, 0.29, 0.33, 0.29, 0.22,
		-0.20, 0.03, 0.04, 0, 0.04, 0.02, 0, 0.04, 0.03, -0.20, 0.02, 0.04,
		0.08, 0.20, 0.28, 0.30, 0.28, 0.20, 0.08, 0.14, 0.22, 0.25, 0.22, 0.14,
		0.10, 0.24, 0.26, 0.24, 0.10, 0.22, 0.23, 0.22,
	}
}

// corner is the place of a corner of the mesh.
func corner(i int) liveness.Place {
	c, r := i%(meshColumns+1), i/(meshColumns+1)
	return liveness.Place{
		X: meshLeft + (meshRight-meshLeft)*float64(c)/meshColumns,
		Y: meshTop + (meshBottom-meshTop)*float64(r)/meshRow,
	}
}

// normals are the directions in which the corners of a surface look.
func normals(depth []float64) [][3]float64 {
	out := make([][3]float64, len(depth))
	for i := range out {
		c, r := i%(meshColumns+1), i/(meshColumns+1)
		c0, c1 := max(c-1, 0), min(c+1, meshColumns)
		r0, r1 := max(r-1, 0), min(r+1, meshRow)
		row := func(r, c int) float64 { return depth[r*(meshColumns+1)+c] }
		dx := (row(r, c1) - row(r, c0)) / (float64(c1-c0) * (meshRight - meshLeft) / meshColumns)
		dy := (row(r1, c) - row(r0, c)) / (float64(r1-r0) * (meshBottom - meshTop) / meshRow)
		l := math.Sqrt(dx*dx + dy*dy + 1)
		out[i] = [3]float64{-dx / l, -dy / l, 1 / l}
	}
	return out
}

// cover is how much of the background a place of the head hides: 1 inside, 0
// outside, soft between.
func cover(p liveness.Place) float64 {
	x, y := p.X/1.42, (p.Y-0.18)/1.8
	d := math.Sqrt(x*x + y*y)
	return min(1, max(0, (1-d)/0.10))
}

// sample is the light at a pixel of the picture, between pixels evenly.
func (h *Head) sample(x, y float64) [3]float32 {
	x = min(max(x, 0), float64(h.width)-1.001)
	y = min(max(y, 0), float64(h.height)-1.001)
	ix, iy := int(x), int(y)
	fx, fy := float32(x-float64(ix)), float32(y-float64(iy))
	a := h.light[3*(iy*h.width+ix):]
	b := h.light[3*((iy+1)*h.width+ix):]
	var out [3]float32
	for k := range out {
		top := a[k] + fx*(a[3+k]-a[k])
		low := b[k] + fx*(b[3+k]-b[k])
		out[k] = top + fy*(low-top)
	}
	return out
}

// toLinear is the light of the 256 sRGB values.
func toLinear() (table [256]float32) {
	for i := range table {
		c := float64(i) / 255
		if c <= 0.04045 {
			table[i] = float32(c / 12.92)
		} else {
			table[i] = float32(math.Pow((c+0.055)/1.055, 2.4))
		}
	}
	return table
}

// Toned gives the factors that make the skin of the head a wanted one, linear.
func (h *Head) Toned(light [3]float64) [3]float64 {
	var f [3]float64
	for k := range f {
		f[k] = light[k] / max(h.Skin[k], 0.01)
	}
	return f
}
