package liveness

import (
	"time"

	"latchkey/internal/face"
)

// CheckTiming holds the frames' times, by the page's clock, against the windows,
// by the service's, and counts them. It needs no picture. Steps are fixed in
// order, each before the next is told; a frame is taken within its window; the
// frames of a step span it.
func CheckTiming(p Policy, c face.Challenge, e face.Evidence) face.Reason {
	n := len(c.Steps)
	if n == 0 || len(e.Windows) != n {
		return face.BadTiming
	}
	for i, w := range e.Windows {
		held := w.Fixed.Sub(w.Told)
		length := c.Steps[i].Length
		if held < time.Duration(p.MinHold*float64(length)) || held > length+p.MaxOverrun {
			return face.BadTiming
		}
		if i > 0 && w.Told.Before(e.Windows[i-1].Fixed) {
			return face.BadTiming
		}
	}
	if e.Windows[n-1].Fixed.Sub(e.Windows[0].Told) > p.MaxScan {
		return face.BadTiming
	}
	first, last := make([]time.Duration, n), make([]time.Duration, n)
	count := make([]int, n)
	step := 0
	for _, f := range e.Frames {
		if f.Step < step || f.Step >= n || f.At < 0 {
			return face.BadTiming
		}
		step = f.Step
		w := e.Windows[step]
		if count[step] > 0 && f.At <= last[step] || f.At > w.Fixed.Sub(w.Told) {
			return face.BadTiming
		}
		if count[step] == 0 {
			first[step] = f.At
		}
		last[step] = f.At
		count[step]++
	}
	for i, s := range c.Steps {
		least, most := p.MinStepFrames, p.MaxStepFrames
		if s.Turn != face.TurnNone {
			least, most = p.MinTurnFrames, 2*p.MaxStepFrames
		}
		if count[i] > most {
			return face.BadTiming
		}
		if count[i] < least || last[i]-first[i] < time.Duration(p.MinSpan*float64(s.Length)) {
			return face.TooFewShots
		}
	}
	return face.Verified
}
