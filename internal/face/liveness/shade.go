package liveness

import (
	"math"
	"time"

	"latchkey/internal/face"
)

// Shade is how the parts of a face answer to the light of the screen.
type Shade struct {
	// Shading is the answer of the middle of the face over that of its edges,
	// each over its own brightness: a sheet of paper has 1, a head more, since
	// its edges look away from the screen.
	Shading float64
	// Veil is the share of the answer that is the same on dark and on light
	// parts: skin has none, the mirror of a glossy screen has nothing else.
	Veil float64
}

// MeasureShade fits each cell's light with the screen's at a lag.
func MeasureShade(c face.Challenge, w []face.Window, shots []*Shot, lag time.Duration) Shade {
	if len(w) != len(c.Steps) || len(shots) < 4 {
		return Shade{}
	}
	s, e := newScreen(c, w), exposure(shots)
	at := make([]float64, len(shots))
	var shown [3][]float64
	for i, x := range shots {
		at[i] = (s.from[x.Step] + x.At).Seconds()
		light := s.at(s.from[x.Step] + x.At - lag)
		for ch := range shown {
			shown[ch] = append(shown[ch], light[ch])
		}
	}
	for ch := range shown {
		shown[ch] = straighten(at, shown[ch])
	}

	var bright, answer []float64 // of cells
	var inner, outer [2]float64  // answer and brightness
	values := make([]float64, len(shots))
	for j := range shots[0].Cells {
		place := cellPlace(j)
		if !onFace(place) {
			continue
		}
		var b, a float64
		seen := true
		for ch := range shown {
			for i, x := range shots {
				seen = seen && x.Cells[j].Pixels > 0
				values[i] = x.Cells[j].RGB[ch] / e[i][ch]
			}
			_, slope := correlate(shown[ch], straighten(at, values))
			a += slope
			b += mean(values)
		}
		if !seen || !finite(a) || !finite(b) {
			continue
		}
		bright, answer = append(bright, b), append(answer, a)
		switch r := math.Abs(place.X); {
		case r < 0.55:
			inner[0] += a
			inner[1] += b
		case r > 0.75:
			outer[0] += a
			outer[1] += b
		}
	}
	var out Shade
	if outer[0] > 0 && inner[1] > 0 && outer[1] > 0 {
		out.Shading = min(10, max(0, inner[0]/inner[1]/(outer[0]/outer[1])))
	} else if inner[0] > 0 {
		out.Shading = 10
	}
	rows := make([][]float64, len(bright))
	for i, b := range bright {
		rows[i] = []float64{1, b}
	}
	if k, ok := fit(rows, answer); ok && mean(answer) > 0 {
		out.Veil = max(-10, min(10, k[0]/mean(answer)))
	}
	return out
}

// onFace keeps to the face itself: an oval that leaves out hair and collar.
func onFace(p Place) bool {
	x, y := p.X/1.05, (p.Y-0.4)/1.15
	return x*x+y*y < 1
}
