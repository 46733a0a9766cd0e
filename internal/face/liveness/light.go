package liveness

import (
	"math"
	"time"

	"latchkey/internal/face"
)

// Sample is the skin's light in one frame: each channel over the background's,
// so that an automatic exposure cancels.
type Sample struct {
	Step  int
	At    time.Duration
	Value [3]float64
}

// Light is how well the skin follows the screen.
type Light struct {
	Lag     time.Duration // at which it follows best
	Channel [3]float64    // correlations at that lag
	Mean    float64       // of the channels
	Gain    float64       // change of the skin for full screen light, share of its brightness
	Swing   float64       // change of the skin from any cause, share of its brightness
}

// ramp is how long a screen and an exposure take from one colour to the next.
const ramp = 60 * time.Millisecond

// linear is the light of an sRGB value (IEC 61966-2-1).
func linear(v uint8) float64 {
	c := float64(v) / 255
	if c <= 0.04045 {
		return c / 12.92
	}
	return math.Pow((c+0.055)/1.055, 2.4)
}

// screen is what the screen showed, by the time since the first step.
type screen struct {
	from   []time.Duration // when each step was shown, not decreasing
	colour [][3]float64
}

func newScreen(c face.Challenge, w []face.Window) screen {
	var s screen
	for i, step := range c.Steps {
		s.from = append(s.from, w[i].Told.Sub(w[0].Told))
		s.colour = append(s.colour, [3]float64{linear(step.Colour.R), linear(step.Colour.G), linear(step.Colour.B)})
	}
	return s
}

// at gives the light of the screen as a frame shows it.
func (s screen) at(t time.Duration) [3]float64 {
	i := len(s.from) - 1
	for i > 0 && s.from[i] > t {
		i--
	}
	if since := t - s.from[i]; i > 0 && since < ramp {
		share := float64(since) / float64(ramp)
		var mixed [3]float64
		for c := range mixed {
			mixed[c] = share*s.colour[i][c] + (1-share)*s.colour[i-1][c]
		}
		return mixed
	}
	return s.colour[i]
}

// MeasureLight compares samples with the screen at every lag of the policy and
// gives the best. Samples are of colour steps; windows one for each step.
func MeasureLight(p Policy, c face.Challenge, w []face.Window, samples []Sample) Light {
	var best Light
	if len(w) != len(c.Steps) || len(samples) < 4 {
		return best
	}
	s := newScreen(c, w)
	at := make([]float64, len(samples))
	var values, flat [3][]float64
	for i, x := range samples {
		at[i] = (s.from[x.Step] + x.At).Seconds()
		for ch, v := range x.Value {
			values[ch] = append(values[ch], v)
		}
	}
	for ch := range values {
		flat[ch] = straighten(at, values[ch])
		if m := mean(values[ch]); m > 0 {
			best.Swing += spread(flat[ch]) / m / 3
		}
	}
	best.Mean = -1
	shown := make([]float64, len(samples))
	for lag := time.Duration(0); lag <= p.LagSearch; lag += max(p.LagStep, time.Millisecond) {
		l := Light{Lag: lag, Swing: best.Swing}
		for ch := range values {
			for i, x := range samples {
				shown[i] = s.at(s.from[x.Step] + x.At - lag)[ch]
			}
			r, slope := correlate(straighten(at, shown), flat[ch])
			l.Channel[ch] = r
			l.Mean += r / 3
			if m := mean(values[ch]); m > 0 {
				l.Gain += slope / m / 3
			}
		}
		if l.Mean > best.Mean {
			best = l
		}
	}
	return best
}

// weakest gives the smallest correlation.
func (l Light) weakest() float64 { return min(l.Channel[0], l.Channel[1], l.Channel[2]) }

// dim keeps a black background from dividing by nothing. Linear light.
const dim = 0.02

// exposure gives for each shot by how much its channels are brighter than in
// the mean of the shots, seen by the background.
func exposure(shots []*Shot) [][3]float64 {
	var m [3]float64
	for _, s := range shots {
		for ch := range m {
			m[ch] += s.Back.RGB[ch] / float64(len(shots))
		}
	}
	out := make([][3]float64, len(shots))
	for i, s := range shots {
		for ch := range m {
			out[i][ch] = (s.Back.RGB[ch] + dim) / (m[ch] + dim)
		}
	}
	return out
}

// skinSamples gives the light of the face in shots: of each cell its change over
// its own mean, and of those the median, so that an eye that blinks or an edge
// that moves in and out of a cell does not count.
func skinSamples(shots []*Shot) []Sample {
	e := exposure(shots)
	out := make([]Sample, len(shots))
	for i, s := range shots {
		out[i] = Sample{Step: s.Step, At: s.At}
	}
	cells := commonCells(shots, onSkin)
	if len(cells) == 0 {
		return nil
	}
	for ch := range 3 {
		usual := make([]float64, len(cells))
		for k, j := range cells {
			for i, s := range shots {
				usual[k] += s.Cells[j].RGB[ch] / e[i][ch] / float64(len(shots))
			}
		}
		change := make([]float64, len(cells))
		for i, s := range shots {
			for k, j := range cells {
				change[k] = s.Cells[j].RGB[ch] / e[i][ch] / max(usual[k], 1e-4)
			}
			out[i].Value[ch] = median(change)
		}
	}
	return out
}

// commonCells are the cells of a kind that all shots show.
func commonCells(shots []*Shot, kind func(Place) bool) []int {
	var out []int
	for j := range Rows * Columns {
		if !kind(cellPlace(j)) {
			continue
		}
		seen := true
		for _, s := range shots {
			seen = seen && s.Cells[j].Pixels > 0
		}
		if seen {
			out = append(out, j)
		}
	}
	return out
}

// LightTable is the light of the 256 sRGB values.
func LightTable() (table [256]float64) {
	for i := range table {
		table[i] = linear(uint8(i))
	}
	return table
}
