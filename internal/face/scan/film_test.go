package scan

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/internal/face"
	"latchkey/internal/face/liveness"
)

// Frames here are small and painted: a face is a grid of cells that answers to
// the screen, and four marks in the corners tell the fake engine what it would
// have to find.
const (
	wide, high = 160, 120
	eyes       = 24 // pixels apart
	midX, midY = wide / 2, high/2 - 12
)

// pose is what is before the camera in one frame.
type pose struct {
	sine   float64 // of the angle of the head, positive where the nose goes right
	person int
	faces  int
}

// marks writes a pose as grey values of corners, far enough apart for JPEG.
func (p pose) marks() [3]uint8 {
	return [3]uint8{uint8(math.Round(128 + 120*p.sine)), uint8(20 + 40*p.person), uint8(20 + 40*p.faces)}
}

// readPose is the other way round; any picture has one.
func readPose(p *face.Picture) pose {
	if p.W < 24 || p.H < 8 {
		return pose{}
	}
	at := func(x int) float64 { return float64(p.RGB[3*(4*p.W+x)]) }
	return pose{
		sine:   max(-1, min(1, (at(4)-128)/120)),
		person: int(math.Round((at(12) - 20) / 40)), faces: int(math.Round((at(20) - 20) / 40)),
	}
}

// places are the landmarks of a face with a long nose, and how far they are
// before its eyes: half as far as that, in eye distances. The jaw is an oval.
func places() (at [68]liveness.Place, depth [68]float64) {
	ring := func(from, to int, x, y, across, down, z float64) {
		for i := from; i < to; i++ {
			sin, cos := math.Sincos(2 * math.Pi * float64(i-from) / float64(to-from))
			at[i], depth[i] = liveness.Place{X: x - across*cos, Y: y - down*sin}, z
		}
	}
	for i := range 17 {
		sin, cos := math.Sincos(math.Pi * float64(i) / 16)
		at[i], depth[i] = liveness.Place{X: -0.98 * cos, Y: 0.1 + 1.4*sin}, -0.5
	}
	for i := range 5 {
		x := 0.25 + 0.15*float64(i)
		at[21-i], at[22+i] = liveness.Place{X: -x, Y: -0.3}, liveness.Place{X: x, Y: -0.3}
		depth[21-i], depth[22+i] = 0.17-0.1*float64(i), 0.17-0.1*float64(i)
		at[31+i], depth[31+i] = liveness.Place{X: -0.24 + 0.12*float64(i), Y: 0.7}, 0.25
	}
	for i := range 4 {
		at[27+i], depth[27+i] = liveness.Place{Y: 0.05 + 0.16*float64(i)}, 0.15+0.12*float64(i)
	}
	ring(36, 42, -0.5, 0, 0.16, 0.06, 0)
	ring(42, 48, 0.5, 0, 0.16, 0.06, 0)
	ring(48, 60, 0, 1.1, 0.4, 0.18, 0.2)
	ring(60, 68, 0, 1.1, 0.28, 0.06, 0.22)
	return at, depth
}

// found is a face with a pose.
func (p pose) found() face.Found {
	f := face.Found{Box: face.Rect{X: midX - eyes, Y: midY - eyes/2, W: 2 * eyes, H: 2 * eyes}, Score: 1}
	at, depth := places()
	cos := math.Sqrt(1 - p.sine*p.sine)
	for i := range at {
		f.Landmarks[i] = face.Point{
			X: float32(midX + eyes*(at[i].X*cos+2*depth[i]*p.sine)), Y: float32(midY + eyes*at[i].Y),
		}
	}
	return f
}

// fake is an engine that reads the marks.
type fake struct {
	finds, describes atomic.Int64
	find, describe   func(ctx context.Context) error // before the work; nil: nothing
	template         func(person int) face.Template
}

func (f *fake) Model() string { return "fake" }
func (f *fake) Close() error  { return nil }

func (f *fake) Find(ctx context.Context, p *face.Picture) ([]face.Found, error) {
	f.finds.Add(1)
	if f.find != nil {
		if err := f.find(ctx); err != nil {
			return nil, err
		}
	}
	var out []face.Found
	at := readPose(p)
	for range at.faces {
		out = append(out, at.found())
	}
	return out, nil
}

func (f *fake) Describe(ctx context.Context, p *face.Picture, _ face.Found) (face.Template, error) {
	f.describes.Add(1)
	if f.describe != nil {
		if err := f.describe(ctx); err != nil {
			return nil, err
		}
	}
	if f.template != nil {
		return f.template(readPose(p).person), nil
	}
	return person(readPose(p).person), nil
}

// person is the template of one of eight.
func person(n int) face.Template {
	t := make(face.Template, 8)
	t[n&7] = 1
	return t
}

// profile is what is held of a person.
func profile(n int) *face.Profile { return &face.Profile{Template: person(n)} }

// paint makes a frame of a pose in the light of the screen.
func paint(t testing.TB, p pose, screen [3]float64) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, wide, high))
	r := rand.New(rand.NewPCG(uint64(p.person), 9)) // pores
	for y := range high {
		for x := range wide {
			grain := 6 * (r.Float64() - 0.5)
			px, py := float64(x-midX)/eyes, float64(y-midY)/eyes
			c := color.RGBA{110, 110, 110, 255}
			if d := math.Hypot(px/1.3, (py-0.4)/1.4); d < 1 {
				bright := 0.25 * (1 + 0.4*math.Sin(5*px+2*py))
				answer := 0.4 * (1 - 0.5*d*d) // edges look away
				skin := func(ch int) uint8 { return uint8(grey(bright*(1+answer*screen[ch])) + grain) }
				c = color.RGBA{skin(0), skin(1), skin(2), 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	for i, v := range p.marks() {
		for y := range 8 {
			for x := range 8 {
				m.SetRGBA(8*i+x, y, color.RGBA{v, v, v, 255})
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// grey is the sRGB value of a light.
func grey(light float64) float64 {
	c := 12.92 * light
	if light > 0.0031308 {
		c = 1.055*math.Pow(light, 1/2.4) - 0.055
	}
	return 255 * min(0.97, max(0.03, c))
}

// filmed is a scan of somebody: eight frames of the turn, four of each other
// step. lit is what lights the face. change may alter the pose in a frame.
func filmed(t testing.TB, c, lit face.Challenge, change func(step, frame int, p *pose)) face.Evidence {
	t.Helper()
	const lag = 100 * time.Millisecond
	var e face.Evidence
	now := time.Date(2030, 1, 2, 9, 0, 0, 0, time.UTC)
	for i, s := range c.Steps {
		e.Windows = append(e.Windows, face.Window{Told: now, Fixed: now.Add(s.Length)})
		now = now.Add(s.Length)
		frames, sine := 4, 0.0
		switch s.Turn {
		case face.TurnLeft:
			frames, sine = 8, 0.4
		case face.TurnRight:
			frames, sine = 8, -0.4
		}
		for k := range frames {
			at := s.Length * time.Duration(2*k+1) / time.Duration(2*frames)
			p := pose{sine: sine, person: 1, faces: 1}
			if change != nil {
				change(i, k, &p)
			}
			seen := i
			if at < lag && i > 0 {
				seen--
			}
			e.Frames = append(e.Frames, face.Frame{Step: i, At: at, JPEG: paint(t, p, light(lit.Steps[seen].Colour))})
		}
	}
	return e
}
