package simulate_test

import (
	"bytes"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/internal/face"
	"latchkey/internal/face/liveness"
	"latchkey/internal/face/picture"
	"latchkey/internal/face/scan"
	"latchkey/internal/face/simulate"
)

// head is a painted one: even skin, eyes 40 pixels apart in the middle.
func head(t testing.TB) *simulate.Head {
	t.Helper()
	const side, apart = 200, 40
	p := &face.Picture{W: side, H: side, RGB: make([]byte, 3*side*side)}
	for i := range side * side {
		p.RGB[3*i], p.RGB[3*i+1], p.RGB[3*i+2] = 190, 170, 160
	}
	var l [68]face.Point
	for i := range l { // anywhere on the face; the eyes are where they must be
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / 68)
		l[i] = face.Point{X: float32(side/2 + apart*cos), Y: float32(side/2 + apart*(0.5+sin))}
	}
	for i := range 12 {
		l[36+i] = face.Point{X: side/2 - apart/2 + float32(i/6)*apart, Y: side / 2}
	}
	h, err := simulate.NewHead(p, &l)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// set is a scan to film: no noise, nobody moves.
type set struct {
	challenge face.Challenge
	subject   simulate.Subject
	room      simulate.Room
	camera    simulate.Camera
}

func quiet(t testing.TB) set {
	t.Helper()
	c, err := scan.DrawFrom(rand.NewChaCha8([32]byte{7}))
	if err != nil {
		t.Fatal(err)
	}
	return set{
		challenge: c,
		subject:   simulate.Subject{Head: head(t), Lit: c.Steps},
		room:      simulate.Room{Ambient: 0.6, Gain: 0.10, Wall: 0.3, Back: 0.2},
		camera:    simulate.Camera{Width: 96, Height: 72, Rate: 30, Lag: 100 * time.Millisecond, Quality: 90, Eyes: 0.2},
	}
}

func (s set) film(t interface{ Fatal(...any) }, seed uint64) face.Evidence {
	e, err := simulate.Scan(rand.New(rand.NewPCG(seed, 1)), s.challenge, s.subject, s.room, s.camera)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// samples are the light of the middle of the face in the frames of colours.
func samples(t testing.TB, e face.Evidence) []liveness.Sample {
	t.Helper()
	table := liveness.LightTable()
	var out []liveness.Sample
	for _, f := range e.Frames {
		if f.Step < 2 {
			continue
		}
		p := decode(t, f.JPEG)
		s := liveness.Sample{Step: f.Step, At: f.At}
		const part = 10 // pixels
		for y := p.H/2 - part/2; y < p.H/2+part/2; y++ {
			for x := p.W/2 - part/2; x < p.W/2+part/2; x++ {
				for ch := range s.Value {
					s.Value[ch] += table[p.RGB[3*(y*p.W+x)+ch]] / part / part
				}
			}
		}
		out = append(out, s)
	}
	return out
}

func decode(t testing.TB, data []byte) *face.Picture {
	t.Helper()
	p, err := picture.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSameSeed(t *testing.T) {
	s := quiet(t)
	s.subject.Sway, s.subject.Turn, s.camera.Noise, s.camera.Auto = 1, 0.4, 2, true
	if !reflect.DeepEqual(s.film(t, 1), s.film(t, 1)) {
		t.Error("the same seed gives another film")
	}
	a, b := s.film(t, 1), s.film(t, 2)
	for i := range min(len(a.Frames), len(b.Frames)) {
		if bytes.Equal(a.Frames[i].JPEG, b.Frames[i].JPEG) {
			t.Errorf("frame %d is the same for another seed", i)
		}
	}
}

// TestTimes checks that any film by a usual camera is in time, as one from a
// page would be.
func TestTimes(t *testing.T) {
	s := quiet(t)
	s.camera.Width, s.camera.Height = 24, 18
	rapid.Check(t, func(t *rapid.T) {
		s := s
		s.camera.Rate = rapid.Float64Range(15, 120).Draw(t, "rate")
		s.camera.Lag = time.Duration(rapid.IntRange(0, 1000).Draw(t, "lag")) * time.Millisecond
		e := s.film(t, rapid.Uint64().Draw(t, "seed"))
		if r := liveness.CheckTiming(liveness.Default(), s.challenge, e); r != face.Verified {
			t.Errorf("%q", r)
		}
	})
}

// TestRate checks that a camera gives no more pictures than it takes, and a fast
// one as many as the page wants.
func TestRate(t *testing.T) {
	s := quiet(t)
	for _, x := range []struct{ rate, turn, colour float64 }{ // most frames of a step
		{2, 4, 2}, {4, 7, 3}, {15, 8, 4}, {30, 8, 4}, {120, 8, 4},
	} {
		s.camera.Rate = x.rate
		for seed := range uint64(3) {
			of := map[int]float64{}
			for _, f := range s.film(t, seed).Frames {
				of[f.Step]++
			}
			for i, step := range s.challenge.Steps {
				most := x.colour
				switch {
				case step.Turn != face.TurnNone:
					most = x.turn
				case i == 1: // the way back is longer
					most = min(4, math.Ceil(x.rate*step.Length.Seconds())+1)
				}
				if of[i] > most || x.rate >= 15 && of[i] != most {
					t.Errorf("%v frames a second: %v of step %d, at most %v", x.rate, of[i], i, most)
				}
			}
		}
	}
}

// TestLag checks that the light is seen as late as the camera is, as well as
// frames can tell: no sooner than its lag less the time between two frames, and
// no later than that, a frame's age and the exposure.
func TestLag(t *testing.T) {
	p := liveness.Default()
	for _, ms := range []int{0, 60, 160, 280, 500} {
		for _, rate := range []float64{15, 30, 60} {
			s := quiet(t)
			s.camera.Lag, s.camera.Rate = time.Duration(ms)*time.Millisecond, rate
			e := s.film(t, 5)
			l := liveness.MeasureLight(p, s.challenge, e.Windows, samples(t, e))
			// The page tells a step a little after the service did, and that is seen as lag.
			const network, gap = 120 * time.Millisecond, scan.ColourLength / 4
			late := time.Duration(float64(time.Second)/rate) + time.Second/30 + network
			if l.Mean < 0.9 || l.Lag < s.camera.Lag-gap || l.Lag > s.camera.Lag+late {
				t.Errorf("a lag of %d ms at %v frames a second is seen as %v, correlation %.2f", ms, rate, l.Lag, l.Mean)
			}
		}
	}
}

// TestLit checks that a face follows the light on it and nothing else.
func TestLit(t *testing.T) {
	other, err := scan.DrawFrom(rand.NewChaCha8([32]byte{8}))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name   string
		change func(*set)
		follow bool
	}{
		{"the screen", func(*set) {}, true},
		{"another screen", func(s *set) { s.subject.Lit = other.Steps }, false},
		{"the room alone", func(s *set) { s.subject.Lit, s.room.Back = nil, 0 }, false},
		{"too little of the screen", func(s *set) { s.room.Gain = 0 }, false},
		{"the screen in a mirror", func(s *set) { s.subject.Lit, s.subject.Veil = nil, 0.05 }, true},
	} {
		s := quiet(t)
		x.change(&s)
		e := s.film(t, 5)
		if l := liveness.MeasureLight(liveness.Default(), s.challenge, e.Windows, samples(t, e)); (l.Mean > 0.9) != x.follow {
			t.Errorf("lit by %s: correlation %.2f", x.name, l.Mean)
		}
	}
}

// TestQuality checks that better pictures are larger, and of the size asked for.
func TestQuality(t *testing.T) {
	s := quiet(t)
	s.camera.Noise = 2
	before := 0
	for _, quality := range []int{20, 50, 80, 95} {
		s.camera.Quality = quality
		size := 0
		for _, f := range s.film(t, 5).Frames {
			c, err := jpeg.DecodeConfig(bytes.NewReader(f.JPEG))
			if err != nil || c.Width != s.camera.Width || c.Height != s.camera.Height {
				t.Fatalf("%d x %d, %v", c.Width, c.Height, err)
			}
			size += len(f.JPEG)
		}
		if size <= before {
			t.Errorf("%d bytes with quality %d, %d with less", size, quality, before)
		}
		before = size
	}
}

// TestNoise checks that the noise is as strong as asked for, in grey levels: the
// same film twice, with another beginning of the noise.
func TestNoise(t *testing.T) {
	for _, want := range []float64{0, 2, 5} {
		s := quiet(t)
		s.room.Gain, s.camera.Noise, s.camera.Quality = 0, want, 100
		fs := s.film(t, 5).Frames
		a, b := decode(t, fs[len(fs)-1].JPEG), decode(t, fs[len(fs)-2].JPEG)
		sum := 0.0
		for i := 1; i < len(a.RGB); i += 3 { // green: colours are coarser in a JPEG
			d := float64(a.RGB[i]) - float64(b.RGB[i])
			sum += d * d
		}
		got := math.Sqrt(sum / float64(len(a.RGB)/3) / 2)
		if got < 0.6*want || got > 1.2*want+0.5 { // a JPEG keeps the grey of each pixel, and half of its colour
			t.Errorf("noise of %.2f levels, want %v", got, want)
		}
	}
}

// TestExposure checks that an automatic exposure lets a dark room look brighter
// and a bright one darker.
func TestExposure(t *testing.T) {
	mean := func(ambient float64, auto bool) float64 {
		s := quiet(t)
		s.room.Ambient, s.camera.Auto = ambient, auto
		fs := s.film(t, 5).Frames
		p, sum := decode(t, fs[len(fs)-1].JPEG), 0.0
		for _, v := range p.RGB {
			sum += float64(v)
		}
		return sum / float64(len(p.RGB))
	}
	if fixed, auto := mean(0.1, false), mean(0.1, true); auto <= fixed {
		t.Errorf("a dark room: mean %.0f, with automatic exposure %.0f", fixed, auto)
	}
	if fixed, auto := mean(2, false), mean(2, true); auto >= fixed {
		t.Errorf("a bright room: mean %.0f, with automatic exposure %.0f", fixed, auto)
	}
}

// TestNoEyes checks that a picture without eyes makes no head.
func TestNoEyes(t *testing.T) {
	p := &face.Picture{W: 10, H: 10, RGB: make([]byte, 300)}
	if _, err := simulate.NewHead(p, new([68]face.Point)); err == nil {
		t.Error("a head without eyes")
	}
}
