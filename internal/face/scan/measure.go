package scan

import (
	"math"

	"latchkey/internal/face"
	"latchkey/internal/face/liveness"
)

// A second face counts from this share of the first one's width: smaller ones
// are pictures on a wall.
const beside = 0.35

// white is the grey value from which a pixel may have been brighter than the
// camera tells.
const white = 250

// measure measures a frame. table is the light of the 256 sRGB values.
func measure(p *face.Picture, found []face.Found, table *[256]float64) liveness.Shot {
	s := liveness.Shot{Width: float64(p.W), Height: float64(p.H), Texture: math.NaN(), Frame: frameLight(p, table)}
	if len(found) == 0 {
		return s
	}
	axes, ok := liveness.FaceAxes(&found[0].Landmarks)
	if !ok {
		return s
	}
	s.Faces = 1
	for _, f := range found[1:] {
		if f.Box.W >= beside*found[0].Box.W {
			s.Faces++
		}
	}
	s.Landmarks = found[0].Landmarks
	measureFace(&s, p, axes, table)
	measureBack(&s, p, axes, table)
	if x, y := axes.Pixel(liveness.Place{X: 0, Y: 0.5}); finite(x) && finite(y) {
		s.Texture = texture(p, int(x)-liveness.Patch/2, int(y)-liveness.Patch/2)
	}
	return s
}

// frameLight is the mean light of every fourth pixel.
func frameLight(p *face.Picture, table *[256]float64) float64 {
	sum, n := 0.0, 0
	for i := 0; i+2 < len(p.RGB); i += 12 {
		sum += table[p.RGB[i]] + table[p.RGB[i+1]] + table[p.RGB[i+2]]
		n += 3
	}
	return sum / float64(max(n, 1))
}

// measureFace fills in the cells and what is measured along with them.
func measureFace(s *liveness.Shot, p *face.Picture, axes liveness.Axes, table *[256]float64) {
	x0, x1, y0, y1 := frameOf(axes, p)
	bright, all, change, grey := 0, 0, 0.0, 0.0
	for y := y0; y < y1; y++ {
		before := -1
		for x := x0; x < x1; x++ {
			j := liveness.CellAt(axes.Place(float64(x), float64(y)))
			if j < 0 {
				before = -1
				continue
			}
			at := 3 * (y*p.W + x)
			r, g, b := p.RGB[at], p.RGB[at+1], p.RGB[at+2]
			c := &s.Cells[j]
			c.RGB[0] += table[r]
			c.RGB[1] += table[g]
			c.RGB[2] += table[b]
			c.Pixels++
			v := (int(r) + 2*int(g) + int(b)) / 4
			if v >= white {
				bright++
			}
			if before >= 0 {
				change += math.Abs(float64(v - before))
			}
			before = v
			grey += float64(v)
			all++
		}
	}
	for j := range s.Cells {
		for ch := range s.Cells[j].RGB {
			s.Cells[j].RGB[ch] /= float64(max(s.Cells[j].Pixels, 1))
		}
	}
	s.Clipped = float64(bright) / float64(max(all, 1))
	s.Sharp = change / max(grey, 1)
}

// frameOf is the part of the picture in which the grid lies.
func frameOf(axes liveness.Axes, p *face.Picture) (x0, x1, y0, y1 int) {
	lowX, lowY, highX, highY := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, r := range []float64{liveness.GridTop, liveness.GridTop + liveness.Rows*liveness.GridStep} {
		for _, c := range []float64{liveness.GridLeft, -liveness.GridLeft} {
			x, y := axes.Pixel(liveness.Place{X: c, Y: r})
			lowX, highX = min(lowX, x), max(highX, x)
			lowY, highY = min(lowY, y), max(highY, y)
		}
	}
	whole := func(v float64, most int) int {
		if !(v > 0) {
			return 0
		}
		return int(min(v, float64(most)))
	}
	return whole(lowX, p.W), whole(highX+1, p.W), whole(lowY, p.H), whole(highY+1, p.H)
}

// measureBack measures what is beside the head, down to the shoulders.
func measureBack(s *liveness.Shot, p *face.Picture, axes liveness.Axes, table *[256]float64) {
	c := &s.Back
	for y := 0; y < p.H; y += 3 {
		for x := 0; x < p.W; x += 3 {
			at := axes.Place(float64(x), float64(y))
			if at.Y > 1 || math.Abs(at.X) < 1.9 {
				continue
			}
			i := 3 * (y*p.W + x)
			for ch := range c.RGB {
				c.RGB[ch] += table[p.RGB[i+ch]]
			}
			c.Pixels++
		}
	}
	for ch := range c.RGB {
		c.RGB[ch] /= float64(max(c.Pixels, 1))
	}
}

// texture measures the square whose corner is at x, y; NaN where it is not
// wholly in the picture.
func texture(p *face.Picture, x, y int) float64 {
	if x < 0 || y < 0 || x+liveness.Patch > p.W || y+liveness.Patch > p.H {
		return math.NaN()
	}
	grey := make([]float64, 0, liveness.Patch*liveness.Patch)
	for j := range liveness.Patch {
		for i := range liveness.Patch {
			at := 3 * ((y+j)*p.W + x + i)
			grey = append(grey, (float64(p.RGB[at])+2*float64(p.RGB[at+1])+float64(p.RGB[at+2]))/4)
		}
	}
	return liveness.Texture(grey)
}

func finite(v float64) bool { return math.Abs(v) < 1e6 }
