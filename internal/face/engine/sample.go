package engine

import (
	"math"

	"latchkey/internal/face"
)

// affine takes a place in a network's input to one in a picture:
// x' = a x + b y + c, y' = d x + e y + f. Whole numbers are pixels' centres.
type affine struct{ a, b, c, d, e, f float32 }

func (m affine) apply(x, y float32) face.Point {
	return face.Point{X: m.a*x + m.b*y + m.c, Y: m.d*x + m.e*y + m.f}
}

// scale is how many of the picture's pixels one pixel of the input stands for,
// in one direction.
func (m affine) scale() float32 {
	return float32(math.Sqrt(math.Abs(float64(m.a*m.e - m.b*m.d))))
}

// finest bounds the places that are looked at for one pixel of the input, in
// one direction.
const finest = 12

// fill fills a network's input with what it sees of a picture. Where the input
// is coarser than the picture, each of its pixels is the mean of a grid of
// places. Outside the picture there is the mean colour.
func (n Network) fill(dst []float32, p *face.Picture, m affine) {
	plane := n.Width * n.Height
	red, green, blue := dst[:plane], dst[plane:2*plane], dst[2*plane:3*plane]
	if n.Order == "bgr" {
		red, blue = blue, red
	}
	k := min(max(int(m.scale()+0.5), 1), finest)
	inv := 1 / (float32(k*k) * n.Scale)
	shift := [3]float32{n.Mean[0] / n.Scale, n.Mean[1] / n.Scale, n.Mean[2] / n.Scale}
	step := 1 / float32(k)
	first := -0.5 + step/2
	for y := range n.Height {
		for x := range n.Width {
			var sum [3]float32
			for j := range k {
				for i := range k {
					at := m.apply(float32(x)+first+step*float32(i), float32(y)+first+step*float32(j))
					n.add(&sum, p, at)
				}
			}
			i := y*n.Width + x
			red[i] = sum[0]*inv - shift[0]
			green[i] = sum[1]*inv - shift[1]
			blue[i] = sum[2]*inv - shift[2]
		}
	}
}

// add adds the colour at a place, between the four pixels around it.
func (n Network) add(sum *[3]float32, p *face.Picture, at face.Point) {
	if !(at.X > -1 && at.Y > -1 && at.X < float32(p.W) && at.Y < float32(p.H)) {
		sum[0] += n.Mean[0]
		sum[1] += n.Mean[1]
		sum[2] += n.Mean[2]
		return
	}
	x0, y0 := int(at.X+1)-1, int(at.Y+1)-1 // rounded down, for -1 too
	fx, fy := at.X-float32(x0), at.Y-float32(y0)
	x1, y1 := min(x0+1, p.W-1), min(y0+1, p.H-1)
	x0, y0 = min(max(x0, 0), p.W-1), min(max(y0, 0), p.H-1) // just before the edge, at.X+1 may be rounded beyond it
	top, bottom := p.RGB[3*y0*p.W:3*(y0+1)*p.W], p.RGB[3*y1*p.W:3*(y1+1)*p.W]
	l, r := 3*x0, 3*x1
	w00, w10, w01, w11 := (1-fx)*(1-fy), fx*(1-fy), (1-fx)*fy, fx*fy
	for c := range 3 {
		sum[c] += w00*float32(top[l+c]) + w10*float32(top[r+c]) + w01*float32(bottom[l+c]) + w11*float32(bottom[r+c])
	}
}

// whole looks at a whole picture, in the middle of the input and as large as
// fits.
func (n Network) whole(p *face.Picture) affine {
	s := max(float32(p.W)/float32(n.Width), float32(p.H)/float32(n.Height))
	return affine{a: s, e: s,
		c: float32(p.W-1)/2 - s*float32(n.Width-1)/2,
		f: float32(p.H-1)/2 - s*float32(n.Height-1)/2}
}

// square looks at an upright square of a picture.
func (n Network) square(centre face.Point, side float32) affine {
	a, e := side/float32(n.Width), side/float32(n.Height)
	return affine{a: a, e: e, c: centre.X - a*float32(n.Width-1)/2, f: centre.Y - e*float32(n.Height-1)/2}
}
