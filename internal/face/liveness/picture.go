package liveness

import (
	"math"

	"latchkey/internal/face"
)

// CheckPictures says what is wrong with the pictures themselves, which better
// light or another position mends. One odd frame is forgiven, a second face is
// not.
func CheckPictures(p Policy, shots []Shot) face.Reason {
	if len(shots) == 0 {
		return face.TooFewShots
	}
	var near, off, light, frame, clipped, sharp []float64
	missing := 0
	for i := range shots {
		s := &shots[i]
		frame = append(frame, s.Frame)
		if s.Faces == 0 {
			missing++
			continue
		}
		if s.Faces > 1 {
			return face.ManyFaces
		}
		a, b, apart := Eyes(&s.Landmarks)
		near = append(near, apart/s.Width)
		nose := s.Landmarks[33]
		x := (float64(a.X+b.X)/2+float64(nose.X))/2 - s.Width/2
		y := float64(nose.Y) - s.Height/2
		off = append(off, math.Hypot(x, y)/s.Width)
		light = append(light, s.brightness())
		clipped = append(clipped, s.Clipped)
		sharp = append(sharp, s.Sharp)
	}
	if float64(missing) > p.MaxMissing*float64(len(shots)) {
		if median(frame) < p.MinLuma {
			return face.TooDark
		}
		return face.NoFace
	}
	switch m := median(near); {
	case !(m >= p.MinFace):
		return face.TooFar
	case m > p.MaxFace:
		return face.TooClose
	}
	switch m := median(light); {
	case !(median(off) <= p.MaxOff):
		return face.OffCentre
	case !(m >= p.MinLuma):
		return face.TooDark
	case m > p.MaxLuma:
		return face.TooBright
	}
	switch {
	case !(median(clipped) <= p.MaxClipped):
		return face.Glare
	case !(median(sharp) >= p.MinSharp):
		return face.Blurred
	}
	return face.Verified
}

// brightness is the mean light of the face's cells.
func (s *Shot) brightness() float64 {
	sum, n := 0.0, 0
	for j, c := range s.Cells {
		if c.Pixels > 0 && onFace(cellPlace(j)) {
			sum += (c.RGB[0] + c.RGB[1] + c.RGB[2]) / 3
			n++
		}
	}
	return sum / float64(max(n, 1))
}
