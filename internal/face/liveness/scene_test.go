package liveness

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"latchkey/internal/face"
)

// begun is when every scan here begins.
var begun = time.Date(2030, 1, 2, 9, 0, 0, 0, time.UTC)

// challenge is a turn, the way back, and eight colours whose channels differ.
func challenge(turn face.Turn) face.Challenge {
	grey := face.Colour{R: 0xd0, G: 0xd0, B: 0xd0}
	c := face.Challenge{Steps: []face.Step{
		{Turn: turn, Colour: grey, Length: 1500 * time.Millisecond},
		{Colour: grey, Length: 800 * time.Millisecond},
	}}
	for _, set := range []uint8{1, 6, 3, 4, 7, 0, 5, 2} {
		channel := func(bit uint8) uint8 { return 0x20 + 0xdf*(set>>bit&1) }
		c.Steps = append(c.Steps, face.Step{
			Colour: face.Colour{R: channel(0), G: channel(1), B: channel(2)}, Length: 500 * time.Millisecond,
		})
	}
	return c
}

// windows tells each step as soon as the one before is over.
func windows(c face.Challenge) []face.Window {
	var w []face.Window
	now := begun
	for _, s := range c.Steps {
		w = append(w, face.Window{Told: now, Fixed: now.Add(s.Length)})
		now = now.Add(s.Length)
	}
	return w
}

// scene is a head before a screen, as it would be measured by a camera without
// noise. Every check has something here that makes it fail.
type scene struct {
	turn  face.Turn
	lag   time.Duration
	gain  float64    // what the screen adds to the middle of the face, share of its brightness
	edge  float64    // the same of the edges, over that of the middle
	noise [3]float64 // share of each channel's light that has nothing to do with the screen
	veil  float64    // share of the answer that is the same on dark and light parts

	sine    float64 // of the angle of the turn; negative: to the other side
	flat    bool    // a sheet of paper
	squeeze float64 // narrowing in the turn beyond the angle's

	luma, clipped, sharp, texture float64
	jump                          float64 // change of shape in the last frame
	same                          float64
	eyes                          float64 // pixels apart
	off                           float64 // pixels from the middle of the frame
	missing                       int     // frames without a face
	width                         float64 // of the frame
}

// usual is a live head that is far within every threshold.
func usual() scene {
	return scene{
		turn: face.TurnLeft, lag: 100 * time.Millisecond, gain: 0.1, edge: 0.7, sine: 0.4,
		luma: 0.3, sharp: 0.05, texture: 8, same: 0.9, eyes: 90, width: 480,
	}
}

// light is what each channel of the skin gets at a moment, 0 to 1.
func (x scene) light(s screen, at time.Duration, r *rand.Rand) [3]float64 {
	l := s.at(at - x.lag)
	for ch := range l {
		l[ch] = (1-x.noise[ch])*l[ch] + x.noise[ch]*r.Float64()
	}
	return l
}

// shots measures the scene: eight frames of a turn, four of every other step.
func (x scene) shots() (face.Challenge, []face.Window, []Shot) {
	c := challenge(x.turn)
	w := windows(c)
	s, r := newScreen(c, w), rand.New(rand.NewPCG(1, 2))
	var out []Shot
	for i, step := range c.Steps {
		frames := 4
		if step.Turn != face.TurnNone {
			frames = 8
		}
		for k := range frames {
			at := step.Length * time.Duration(2*k+1) / time.Duration(2*frames)
			sine := 0.0
			if step.Turn != face.TurnNone {
				sine = x.sine
			}
			last := i == len(c.Steps)-1 && k == frames-1
			out = append(out, x.shot(i, at, x.light(s, s.from[i]+at, r), sine, last))
		}
	}
	for i := range x.missing {
		out[len(out)-1-2*i] = Shot{Step: out[len(out)-1-2*i].Step, At: out[len(out)-1-2*i].At, Frame: x.luma, Texture: math.NaN()}
	}
	return c, w, out
}

// shot is one frame; sine is the head's angle in it.
func (x scene) shot(step int, at time.Duration, light [3]float64, sine float64, last bool) Shot {
	s := Shot{
		Step: step, At: at, Faces: 1, Width: x.width, Height: 360,
		Back: Cell{RGB: [3]float64{0.2, 0.2, 0.2}, Pixels: 100}, Frame: x.luma,
		Clipped: x.clipped, Sharp: x.sharp, Texture: x.texture,
	}
	jump := 0.0
	if last {
		jump = x.jump
	}
	s.Landmarks = x.landmarks(sine, jump)
	for j := range s.Cells {
		p := cellPlace(j)
		bright := x.luma * (1 + 0.3*math.Sin(7*p.X+3*p.Y)) // brows, lips, cheeks
		answer := x.gain
		if math.Hypot(p.X/1.05, (p.Y-0.5)/1.15) > 0.6 {
			answer *= x.edge
		}
		for ch, l := range light {
			s.Cells[j].RGB[ch] = bright + answer*l*((1-x.veil)*bright+x.veil*x.luma)
		}
		s.Cells[j].Pixels = 20
	}
	return s
}

// landmarks are those of a usual head, turned.
func (x scene) landmarks(sine, jump float64) [68]face.Point {
	var out [68]face.Point
	cos, z := math.Sqrt(1-sine*sine), depths()
	if x.turn == face.TurnRight {
		sine = -sine
	}
	for i, p := range headPlaces() {
		depth := -0.5 // of the jaw, which is not looked at
		if i >= 17 {
			depth = z[i-17]
		}
		if x.flat {
			depth = 0
		}
		px := p.X*cos + depth*sine
		if sine != 0 {
			px *= 1 - x.squeeze
		}
		py := p.Y
		if i < 36 || i >= 48 { // all but the eyes
			py += jump
		}
		out[i] = face.Point{
			X: float32(x.width/2 + x.off + x.eyes*px),
			Y: float32(180 + x.eyes*(py-0.7)), // the foot of the nose in the middle
		}
	}
	return out
}

// headPlaces are the landmarks of a face that looks straight ahead, in eye
// distances from the middle between the eyes.
func headPlaces() [68]Place {
	var out [68]Place
	ring := func(from, to int, x, y, across, down float64) {
		for i := from; i < to; i++ {
			sin, cos := math.Sincos(2 * math.Pi * float64(i-from) / float64(to-from))
			out[i] = Place{X: x - across*cos, Y: y - down*sin}
		}
	}
	for i := range 17 {
		sin, cos := math.Sincos(math.Pi * float64(i) / 16)
		out[i] = Place{X: -0.98 * cos, Y: 0.1 + 1.4*sin}
	}
	for i := range 5 {
		x, y := 0.25+0.15*float64(i), -0.3-0.04*float64(i%4)
		out[21-i], out[22+i] = Place{X: -x, Y: y}, Place{X: x, Y: y}
		out[31+i] = Place{X: -0.24 + 0.12*float64(i), Y: 0.7}
	}
	for i := range 4 {
		out[27+i] = Place{Y: 0.05 + 0.16*float64(i)}
	}
	ring(36, 42, -0.5, 0, 0.16, 0.06)
	ring(42, 48, 0.5, 0, 0.16, 0.06)
	ring(48, 60, 0, 1.1, 0.4, 0.18)
	ring(60, 68, 0, 1.1, 0.28, 0.06)
	return out
}

// judge lets a scene through all checks of pictures.
func (x scene) judge(p Policy) face.Decision {
	c, w, shots := x.shots()
	return Judge(p, c, w, shots, x.same)
}

func TestUsual(t *testing.T) {
	for _, turn := range []face.Turn{face.TurnLeft, face.TurnRight} {
		x := usual()
		x.turn = turn
		if d := x.judge(Default()); d.Reason != face.Verified {
			t.Errorf("turned %s: %q, %v", turn, d.Reason, d.Scores)
		}
	}
}
