package simulate

import (
	"math"
	"time"

	"latchkey/internal/face"
)

// Room is the light apart from the screen's.
type Room struct {
	Ambient float64 // 1: as on the head's picture
	// Gain is what the screen at its brightest adds to a light skin, linear, of
	// full scale; a darker skin gets less, as much as it reflects less.
	Gain float64
	Wall float64 // brightness of the background, linear
	Back float64 // share of the screen's light that reaches the background
	Tint [3]float64
}

// Surface is what carries the face.
type Surface struct {
	Flat  bool
	Bend  float64 // radius of the sheet in eye distances; 0: not bent
	Along float64 // direction in which it is bent, radians: 0 sideways
}

// Pattern is the grid of a screen as the camera sees it.
type Pattern struct {
	Depth  float64 // share of the light
	Period float64 // pixels of the frame
	Angle  float64 // radians
}

// Subject is a person or an attack.
type Subject struct {
	Head   *Head
	Skin   [3]float64 // the picture's light times this: darker or lighter skin; 0: as it is
	Second *Head      // someone beside
	After  *Head      // takes the place of Head
	From   int        // at this step
	Surface

	// Lit is what lights the face. nil: nothing but the room.
	Lit      []face.Step
	Injected bool // the whole picture is another scan's, its background too
	// Veil is the screen's light in the mirror of a glossy surface, linear.
	Veil    float64
	Pattern Pattern

	Turn     float64 // angle of the turn, radians, to the side asked for; negative: to the other
	Reaction time.Duration
	Sway     float64 // 1: as a person who sits still
}

// Camera is how frames are taken.
type Camera struct {
	Width, Height int
	Rate          float64 // frames a second
	Lag           time.Duration
	Noise         float64 // grey levels
	Quality       int     // JPEG
	Auto          bool    // exposure follows the light
	Eyes          float64 // distance of the eyes over the width of the frame
	Across        float64 // middle of the face from the middle of the frame, share of its width
}

// pose is where the surface is.
type pose struct {
	yaw, pitch, roll float64 // radians; yaw positive: the nose goes right in the picture
	x, y             float64 // eye distances
}

// sway is a slow movement that does not repeat within a scan.
type sway struct{ phase [10]float64 }

func (s sway) at(t, amount float64) pose {
	wave := func(i int, f float64) float64 {
		return math.Sin(2*math.Pi*(f*t)+s.phase[i]) + 0.5*math.Sin(2*math.Pi*f*2.3*t+s.phase[i+1])
	}
	return pose{
		yaw:   amount * 0.020 * wave(0, 0.31),
		pitch: amount * 0.015 * wave(2, 0.27),
		roll:  amount * 0.010 * wave(4, 0.23),
		x:     amount * 0.020 * wave(6, 0.19),
		y:     amount * (0.015*wave(8, 0.21) + 0.012*math.Sin(2*math.Pi*0.28*t)), // breath
	}
}

// ease goes from 0 to 1 smoothly.
func ease(v float64) float64 {
	v = min(1, max(0, v))
	return v * v * (3 - 2*v)
}

// lights is what a screen shows over time.
type lights struct {
	from   []time.Duration
	colour [][3]float64
}

func newLights(steps []face.Step, from []time.Duration) lights {
	table := toLinear()
	l := lights{from: from}
	for _, s := range steps {
		l.colour = append(l.colour, [3]float64{float64(table[s.Colour.R]), float64(table[s.Colour.G]), float64(table[s.Colour.B])})
	}
	return l
}

// at is the mean over an exposure, in the camera's channels, which each see a
// little of their neighbours' light.
func (l lights) at(t, exposure time.Duration) [3]float64 {
	var c [3]float64
	if len(l.colour) == 0 {
		return c
	}
	const parts = 4
	for k := range parts {
		at := t - exposure*time.Duration(k)/parts
		i := len(l.from) - 1
		for i > 0 && l.from[i] > at {
			i--
		}
		for ch := range c {
			c[ch] += l.colour[i][ch] / parts
		}
	}
	return [3]float64{
		0.90*c[0] + 0.09*c[1] + 0.01*c[2],
		0.06*c[0] + 0.86*c[1] + 0.08*c[2],
		0.02*c[0] + 0.10*c[1] + 0.88*c[2],
	}
}
