package liveness

import (
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

// Skin is how much more the answer is a head's than a mirror's. Shading and veil
// are noisy where the screen adds little light, but no mirror has the one
// without the other.
func (s Shade) Skin() float64 { return s.Shading - s.Veil }

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
	values := make([]float64, len(shots))
	parts := faceParts(shots)
	var inner, outer [2]float64 // answer and brightness
	for _, j := range commonCells(shots, onFace) {
		var b, a float64
		for ch := range shown {
			for i, x := range shots {
				values[i] = x.Cells[j].RGB[ch] / e[i][ch]
			}
			_, slope := correlate(shown[ch], straighten(at, values))
			a += slope
			b += mean(values)
		}
		if !finite(a) || !finite(b) {
			continue
		}
		bright, answer = append(bright, b), append(answer, a)
		switch parts[j] {
		case middlePart:
			inner[0] += a
			inner[1] += b
		case edgePart:
			outer[0] += a
			outer[1] += b
		}
	}
	var out Shade
	switch {
	case inner[0] > 0 && outer[0] > 0:
		out.Shading = min(10, inner[0]/inner[1]/(outer[0]/outer[1]))
	case inner[0] > 0 && outer[1] > 0: // edges without an answer
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

// Parts of a face.
const (
	middlePart = 1 + iota
	edgePart
)

// faceParts sorts cells by the landmarks: the edges are just within the outline
// from the ears to the corners of the jaw, the middle is around the nose.
func faceParts(shots []*Shot) map[int]int {
	parts := map[int]int{}
	for _, s := range shots {
		axes, ok := FaceAxes(&s.Landmarks)
		if !ok {
			continue
		}
		nose := axes.Place(float64(s.Landmarks[30].X), float64(s.Landmarks[30].Y))
		for _, i := range []int{1, 2, 3, 4, 12, 13, 14, 15} {
			jaw := axes.Place(float64(s.Landmarks[i].X), float64(s.Landmarks[i].Y))
			for _, on := range []struct {
				share float64 // of the way from the jaw to the nose
				part  int
			}{{0.12, edgePart}, {0.20, edgePart}, {0.7, middlePart}, {0.9, middlePart}} {
				at := Place{X: jaw.X + on.share*(nose.X-jaw.X), Y: jaw.Y + on.share*(nose.Y-jaw.Y)}
				parts[CellAt(at)] = on.part
			}
		}
	}
	return parts
}
