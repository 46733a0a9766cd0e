package engine

import (
	"cmp"
	"slices"

	"latchkey/internal/face"
)

// most bounds the faces of a picture: the largest are given.
const most = 20

// faces reads the detector's output: boxes with enough score, without those
// that overlap a better one, in the picture's pixels (whole numbers are their centres), largest first.
func (d Detector) faces(scores, boxes []float32, m affine) []face.Found {
	var all []face.Found
	for i := range len(scores) / 2 {
		score := scores[2*i+1]
		if !(score >= d.Threshold) {
			continue
		}
		b := boxes[4*i : 4*i+4]
		from := m.apply(b[0]*float32(d.Width)-0.5, b[1]*float32(d.Height)-0.5)
		to := m.apply(b[2]*float32(d.Width)-0.5, b[3]*float32(d.Height)-0.5)
		box := face.Rect{X: from.X, Y: from.Y, W: to.X - from.X, H: to.Y - from.Y}
		if box.W > 1 && box.H > 1 {
			all = append(all, face.Found{Box: box, Score: score})
		}
	}
	slices.SortStableFunc(all, func(a, b face.Found) int { return cmp.Compare(b.Score, a.Score) })
	var kept []face.Found
	for _, f := range all {
		if !slices.ContainsFunc(kept, func(k face.Found) bool { return overlap(k.Box, f.Box) > d.Overlap }) {
			kept = append(kept, f)
		}
	}
	slices.SortStableFunc(kept, func(a, b face.Found) int { return cmp.Compare(b.Box.W*b.Box.H, a.Box.W*a.Box.H) })
	return kept[:min(len(kept), most)]
}

// overlap is the intersection of two boxes over their union.
func overlap(a, b face.Rect) float32 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.W*a.H + b.W*b.H - w*h)
}
