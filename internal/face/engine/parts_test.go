package engine

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"latchkey/internal/face"
)

// TestSimilarity: points that were turned, scaled and moved give back by how
// much.
func TestSimilarity(t *testing.T) {
	t.Parallel()
	template := [5][2]float32{{38, 52}, {74, 51}, {56, 72}, {42, 92}, {71, 92}}
	rapid.Check(t, func(t *rapid.T) {
		angle := rapid.Float64Range(-math.Pi, math.Pi).Draw(t, "angle")
		scale := rapid.Float64Range(0.1, 20).Draw(t, "scale")
		x, y := rapid.Float64Range(-2000, 2000).Draw(t, "x"), rapid.Float64Range(-2000, 2000).Draw(t, "y")
		a, b := scale*math.Cos(angle), scale*math.Sin(angle)
		var to [5]face.Point
		for i, p := range template {
			u, v := float64(p[0]), float64(p[1])
			to[i] = face.Point{X: float32(a*u - b*v + x), Y: float32(b*u + a*v + y)}
		}
		m := similarity(template, to)
		if got := float64(m.scale()); math.Abs(got-scale) > 0.01*scale+0.01 {
			t.Fatalf("scale %v, want %v", got, scale)
		}
		for i, p := range template {
			if q := m.apply(p[0], p[1]); math.Hypot(float64(q.X-to[i].X), float64(q.Y-to[i].Y)) > 0.05 {
				t.Fatalf("point %d comes to %v, want %v", i, q, to[i])
			}
		}
	})
}

func TestFaces(t *testing.T) {
	t.Parallel()
	d := Detector{Network: Network{Width: 320, Height: 240}, Threshold: 0.7, Overlap: 0.3}
	p := &face.Picture{W: 640, H: 640} // seen 240 wide, in the middle of 320
	scores := []float32{0.1, 0.9, 0.05, 0.95, 0.8, 0.2, 0.25, 0.75, 0, float32(math.NaN()), 0, 0.9}
	boxes := []float32{
		0.5, 0.25, 0.75, 0.5, // kept? no: less sure than the next, of the same face
		0.5, 0.25, 0.74, 0.51,
		0.1, 0.1, 0.9, 0.9, // not sure enough
		0.125, 0, 0.225, 0.2, // smaller, in the corner
		0, 0, 1, 1, // no score at all
		0.5, 0.5, 0.4, 0.4, // inside out
	}
	found := d.faces(scores, boxes, d.whole(p))
	if len(found) != 2 {
		t.Fatalf("%d faces: %v", len(found), found)
	}
	if found[0].Score != 0.95 || found[1].Score != 0.75 {
		t.Errorf("scores %v and %v", found[0].Score, found[1].Score)
	}
	if b := found[1].Box; math.Abs(float64(b.X)+0.5) > 0.01 || math.Abs(float64(b.Y)+0.5) > 0.01 || math.Abs(float64(b.H)-128) > 0.01 {
		t.Errorf("the one in the corner is at %v", b)
	}
	many := make([]float32, 0, 2*100)
	places := make([]float32, 0, 4*100)
	for i := range 100 {
		x := float32(i) / 100
		many, places = append(many, 0, 0.9), append(places, x, x, x+0.009, x+0.009)
	}
	if n := len(d.faces(many, places, d.whole(p))); n != most {
		t.Errorf("of 100 faces %d are given", n)
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	a := face.Rect{W: 10, H: 10}
	for b, want := range map[face.Rect]float32{a: 1, {X: 5, W: 10, H: 10}: 1. / 3, {X: 10, W: 10, H: 10}: 0, {X: 20, Y: 20, W: 1, H: 1}: 0, {X: 2, Y: 2, W: 5, H: 5}: 0.25} {
		if got := overlap(a, b); math.Abs(float64(got-want)) > 1e-6 {
			t.Errorf("overlap with %v is %v, want %v", b, got, want)
		}
	}
}

// TestFill: what a network sees is the picture's colour, less the mean, by the
// scale, in its own order of channels; and nothing where there is no picture.
func TestFill(t *testing.T) {
	t.Parallel()
	p := &face.Picture{W: 64, H: 32}
	for range p.W * p.H {
		p.RGB = append(p.RGB, 10, 20, 30)
	}
	for _, order := range []string{"", "rgb", "bgr"} {
		n := Network{Width: 16, Height: 16, Mean: [3]float32{1, 2, 3}, Scale: 2, Order: order}
		dst := make([]float32, 3*16*16)
		n.fill(dst, p, n.whole(p)) // 16 x 8 in the middle
		want := [3]float32{4.5, 9, 13.5}
		if order == "bgr" {
			want[0], want[2] = want[2], want[0]
		}
		for c := range 3 {
			for y := range 16 {
				for x := range 16 {
					w := want[c]
					if y < 4 || y > 11 {
						w = 0
					}
					if got := dst[c*256+y*16+x]; math.Abs(float64(got-w)) > 1e-4 {
						t.Fatalf("order %q, channel %d at %d, %d: %v, want %v", order, c, x, y, got, w)
					}
				}
			}
		}
	}
}

// TestFillIsAMean: a finer picture than the network sees loses nothing: stripes
// of one pixel become grey.
func TestFillIsAMean(t *testing.T) {
	t.Parallel()
	p := &face.Picture{W: 128, H: 128, RGB: make([]byte, 3*128*128)}
	for i := range p.RGB {
		if i/3%2 == 0 {
			p.RGB[i] = 200
		}
	}
	n := Network{Width: 32, Height: 32, Scale: 1}
	dst := make([]float32, 3*32*32)
	n.fill(dst, p, n.whole(p))
	for i, v := range dst {
		if math.Abs(float64(v)-100) > 1 {
			t.Fatalf("place %d is %v", i, v)
		}
	}
}

func TestThreshold(t *testing.T) {
	t.Parallel()
	m := Manifest{Thresholds: []Threshold{{0.01, 0.3}, {0.001, 0.4}, {0.0001, 0.5}}}
	for fmr, want := range map[float64]Threshold{1: {0.01, 0.3}, 0.01: {0.01, 0.3}, 0.005: {0.001, 0.4}, 0.0001: {0.0001, 0.5}} {
		if got, ok := m.Threshold(fmr); !ok || got != want {
			t.Errorf("for %v: %v, %v, want %v", fmr, got, ok, want)
		}
	}
	if got, ok := m.Threshold(1e-6); ok || got.FMR != 0.0001 {
		t.Errorf("stricter than any: %v, %v", got, ok)
	}
}

// TestEdge: the last place before a picture's edge has its last pixel's colour,
// however the numbers are rounded there.
func TestEdge(t *testing.T) {
	t.Parallel()
	n := Network{Width: 16, Height: 16, Scale: 1}
	for _, size := range []int{1, 2, 3, 64, 100, 1024, 2048, 2560} {
		p := &face.Picture{W: size, H: size, RGB: make([]byte, 3*size*size)}
		copy(p.RGB[len(p.RGB)-3:], []byte{10, 20, 30})
		edge := math.Nextafter32(float32(size), 0)
		var sum [3]float32
		n.add(&sum, p, face.Point{X: edge, Y: edge})
		for c, want := range []float32{10, 20, 30} {
			if math.Abs(float64(sum[c]-want)) > 0.01 {
				t.Errorf("%d pixels wide: %v", size, sum)
				break
			}
		}
		first := math.Nextafter32(-1, 0)
		n.add(&sum, p, face.Point{X: first, Y: first}) // ends
	}
}
