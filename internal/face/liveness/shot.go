package liveness

import (
	"math"
	"time"

	"latchkey/internal/face"
)

// A face is measured on a grid that moves with it: Columns cells from GridLeft
// to -GridLeft, Rows from GridTop down, in eye distances from the middle
// between the eyes.
const (
	Columns  = 12
	Rows     = 12
	GridLeft = -1.2
	GridTop  = -0.8
	GridStep = 0.2
)

// Cell is what one cell of the grid or one region looks like: linear light of
// the channels, and how many pixels that is the mean of.
type Cell struct {
	RGB    [3]float64
	Pixels int
}

// Shot is what is measured in one frame.
type Shot struct {
	Step      int
	At        time.Duration // since the step was shown
	Faces     int           // 0: nothing else is measured
	Width     float64       // of the frame in pixels
	Height    float64
	Landmarks [68]face.Point
	Cells     [Rows * Columns]Cell
	Back      Cell    // what is left and right of the head
	Frame     float64 // mean light of the whole frame
	Clipped   float64 // share of the face that is white
	Sharp     float64 // mean change from pixel to pixel over brightness
	Texture   float64 // decibels (Texture); NaN where the frame is too small for it
}

// Eyes gives the middles of the eyes in the order in which they are in the
// picture, and the distance between them in pixels.
func Eyes(l *[68]face.Point) (left, right face.Point, apart float64) {
	left, right = middle(l[36:42]), middle(l[42:48])
	return left, right, math.Hypot(float64(right.X-left.X), float64(right.Y-left.Y))
}

// Place is a place on the face in eye distances from the middle between the
// eyes: x along the eyes, y down the face.
type Place struct{ X, Y float64 }

// Axes turns pixels into places on one face.
type Axes struct {
	x0, y0 float64 // pixels
	cx, cy float64 // one pixel right, in eye distances
}

// FaceAxes gives the axes of a face; false where the eyes are not apart.
func FaceAxes(l *[68]face.Point) (Axes, bool) {
	a, b, d := Eyes(l)
	if !(d > 4) || math.IsInf(d, 0) {
		return Axes{}, false
	}
	return Axes{
		x0: float64(a.X+b.X) / 2, y0: float64(a.Y+b.Y) / 2,
		cx: float64(b.X-a.X) / (d * d), cy: float64(b.Y-a.Y) / (d * d),
	}, true
}

// Place gives the place of a pixel.
func (a Axes) Place(x, y float64) Place {
	dx, dy := x-a.x0, y-a.y0
	return Place{X: dx*a.cx + dy*a.cy, Y: dy*a.cx - dx*a.cy}
}

// Pixel gives the pixel of a place.
func (a Axes) Pixel(p Place) (x, y float64) {
	n := a.cx*a.cx + a.cy*a.cy
	return a.x0 + (p.X*a.cx-p.Y*a.cy)/n, a.y0 + (p.X*a.cy+p.Y*a.cx)/n
}

// CellAt gives the cell of a place, -1 outside the grid.
func CellAt(p Place) int {
	c, r := math.Floor((p.X-GridLeft)/GridStep), math.Floor((p.Y-GridTop)/GridStep)
	if !(c >= 0 && c < Columns && r >= 0 && r < Rows) {
		return -1
	}
	return int(r)*Columns + int(c)
}

// cellPlace is the middle of a cell.
func cellPlace(i int) Place {
	return Place{X: GridLeft + GridStep*(float64(i%Columns)+0.5), Y: GridTop + GridStep*(float64(i/Columns)+0.5)}
}

// onFace keeps to the face: an oval that leaves out most hair and the collar.
func onFace(p Place) bool { return oval(p, 1.05, 1.15) }

// onSkin keeps to its middle.
func onSkin(p Place) bool { return oval(p, 0.85, 0.95) }

func oval(p Place, across, down float64) bool {
	x, y := p.X/across, (p.Y-0.4)/down
	return x*x+y*y < 1
}

// shape gives the 51 landmarks of brows, nose, eyes and mouth as places. The
// jaw is left out: on a turned head it is where the outline is, not one place.
func (s *Shot) shape() ([]Place, bool) {
	axes, ok := FaceAxes(&s.Landmarks)
	if !ok {
		return nil, false
	}
	out := make([]Place, 0, 51)
	for _, l := range s.Landmarks[17:] {
		p := axes.Place(float64(l.X), float64(l.Y))
		if !finite(p.X) || !finite(p.Y) {
			return nil, false
		}
		out = append(out, p)
	}
	return out, true
}

func middle(ps []face.Point) face.Point {
	var m face.Point
	for _, p := range ps {
		m.X += p.X
		m.Y += p.Y
	}
	n := float32(len(ps))
	return face.Point{X: m.X / n, Y: m.Y / n}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
