package picture

import (
	"math"
	"testing"

	"latchkey/internal/face"
	"latchkey/internal/face/facetest"
)

// scene is a picture and the faces on it.
type scene struct {
	p     *face.Picture
	found []face.Found
}

func photoOf(t testing.TB, name string) scene {
	t.Helper()
	f := facetest.Named(t, name)
	p, err := Decode(f.Photo)
	if err != nil {
		t.Fatal(err)
	}
	return scene{p, []face.Found{f.Found}}
}

// each gives the scene with every channel of every pixel changed.
func (s scene) each(change func(v float64) float64) scene {
	out := &face.Picture{W: s.p.W, H: s.p.H, RGB: make([]byte, len(s.p.RGB))}
	for i, v := range s.p.RGB {
		out.RGB[i] = byte(math.Min(math.Max(change(float64(v)), 0), 255))
	}
	return scene{out, s.found}
}

// moved gives the scene with its faces' places changed: the picture is as it
// was, which tells Quality's geometry from its light.
func (s scene) moved(change func(q face.Point) face.Point) scene {
	out := scene{p: s.p}
	for _, f := range s.found {
		a := change(face.Point{X: f.Box.X, Y: f.Box.Y})
		b := change(face.Point{X: f.Box.X + f.Box.W, Y: f.Box.Y + f.Box.H})
		f.Box = face.Rect{X: a.X, Y: a.Y, W: b.X - a.X, H: b.Y - a.Y}
		for i, q := range f.Landmarks {
			f.Landmarks[i] = change(q)
		}
		out.found = append(out.found, f)
	}
	return out
}

// mean gives the scene with each pixel the mean of those around it.
func (s scene) mean(radius int) scene {
	out := &face.Picture{W: s.p.W, H: s.p.H, RGB: make([]byte, len(s.p.RGB))}
	for y := range s.p.H {
		for x := range s.p.W {
			var sum [3]int
			n := 0
			for v := max(y-radius, 0); v <= min(y+radius, s.p.H-1); v++ {
				for u := max(x-radius, 0); u <= min(x+radius, s.p.W-1); u++ {
					for c := range 3 {
						sum[c] += int(s.p.RGB[3*(v*s.p.W+u)+c])
					}
					n++
				}
			}
			for c := range 3 {
				out.RGB[3*(y*s.p.W+x)+c] = byte(sum[c] / n)
			}
		}
	}
	return scene{out, s.found}
}

func TestGood(t *testing.T) {
	t.Parallel()
	for _, name := range append(facetest.Names(), facetest.Again) {
		s := photoOf(t, name)
		if reason, m := Quality(s.p, s.found); reason != face.Verified {
			t.Errorf("%s: %s, %+v", name, reason, m)
		}
	}
}

func TestNotGood(t *testing.T) {
	t.Parallel()
	s := photoOf(t, "juniper")
	w, h := float32(s.p.W), float32(s.p.H)
	scaled := func(k float32) func(face.Point) face.Point {
		return func(q face.Point) face.Point { return face.Point{X: w/2 + k*(q.X-w/2), Y: h/2 + k*(q.Y-h/2)} }
	}
	second := s.found[0]
	second.Box.H *= 0.6
	turned := scene{s.p, []face.Found{s.found[0]}}
	turned.found[0].Landmarks[30].X += 60
	down := scene{s.p, []face.Found{s.found[0]}}
	down.found[0].Landmarks[30].Y += 40
	up := scene{s.p, []face.Found{s.found[0]}}
	up.found[0].Landmarks[30].Y -= 60
	rolled := s.moved(func(q face.Point) face.Point {
		sin, cos := math.Sincos(0.6)
		x, y := float64(q.X-w/2), float64(q.Y-h/2)
		return face.Point{X: w/2 + float32(cos*x-sin*y), Y: h/2 + float32(sin*x+cos*y)}
	})
	rolled.found[0].Box = s.found[0].Box
	for name, c := range map[string]struct {
		scene
		want face.Reason
	}{
		"nobody":         {scene{s.p, nil}, face.NoFace},
		"two":            {scene{s.p, []face.Found{s.found[0], second}}, face.ManyFaces},
		"far":            {s.moved(scaled(0.3)), face.TooFar},
		"close":          {s.moved(scaled(1.8)), face.TooClose},
		"left":           {s.moved(func(q face.Point) face.Point { return face.Point{X: q.X - w*0.3, Y: q.Y} }), face.OffCentre},
		"low":            {s.moved(func(q face.Point) face.Point { return face.Point{X: q.X, Y: q.Y + h*0.33} }), face.OffCentre},
		"dark":           {s.each(func(v float64) float64 { return v * 0.2 }), face.TooDark},
		"bright":         {s.each(func(v float64) float64 { return v*0.2 + 200 }), face.TooBright},
		"glaring":        {s.each(func(v float64) float64 { return 255 * math.Min(v/160, 1) }), face.Glare},
		"blurred":        {s.mean(9), face.Blurred},
		"flat":           {s.each(func(float64) float64 { return 120 }), face.Blurred},
		"turned":         {turned, face.NotFrontal},
		"looking down":   {down, face.NotFrontal},
		"looking up":     {up, face.NotFrontal},
		"head to a side": {rolled, face.NotFrontal},
	} {
		if reason, m := Quality(c.p, c.found); reason != c.want {
			t.Errorf("%s: %q, want %q; %+v", name, reason, c.want, m)
		}
	}
	// Someone small behind does not matter.
	second.Box.H = 0.45 * s.found[0].Box.H
	if reason, _ := Quality(s.p, []face.Found{s.found[0], second}); reason != face.Verified {
		t.Errorf("someone behind: %s", reason)
	}
}

// TestLightIsFair: bounds hold for the darkest and the lightest of the faces by
// a wide margin.
func TestLightIsFair(t *testing.T) {
	t.Parallel()
	for _, name := range facetest.Names() {
		s := photoOf(t, name)
		if _, m := Quality(s.p, s.found); m.Light < darkest*1.3 || m.Light > brightest*0.8 {
			t.Errorf("%s: light %.0f is near the bounds %d and %d", name, m.Light, darkest, brightest)
		}
	}
}

// TestOutside: landmarks beyond the picture, or none at all, are measured
// without a fault.
func TestOutside(t *testing.T) {
	t.Parallel()
	s := photoOf(t, "birch")
	for name, change := range map[string]func(face.Point) face.Point{
		"beyond":   func(q face.Point) face.Point { return face.Point{X: q.X + 5000, Y: q.Y - 5000} },
		"a point":  func(face.Point) face.Point { return face.Point{X: 10, Y: 10} },
		"vast":     func(q face.Point) face.Point { return face.Point{X: q.X * 1000, Y: q.Y * 1000} },
		"infinite": func(q face.Point) face.Point { return face.Point{X: q.X * 1e30, Y: q.Y * 1e30} },
		"nowhere":  func(face.Point) face.Point { return face.Point{X: float32(math.NaN()), Y: float32(math.NaN())} },
	} {
		c := s.moved(change)
		if reason, _ := Quality(c.p, c.found); reason == face.Verified {
			t.Errorf("%s: good", name)
		}
	}
}
