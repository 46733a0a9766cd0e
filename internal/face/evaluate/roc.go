package evaluate

import (
	"math"
	"slices"
)

// Missing is the similarity of a pair of which a picture has no face: it
// matches at no threshold.
const Missing = -2

// Curve is how often pairs reach a similarity.
type Curve struct {
	genuine, impostor []float64 // highest first
}

// NewCurve takes the similarities of pairs of one person and of two. Each has
// at least one.
func NewCurve(genuine, impostor []float64) *Curve {
	c := &Curve{slices.Clone(genuine), slices.Clone(impostor)}
	for _, s := range [][]float64{c.genuine, c.impostor} {
		slices.Sort(s)
		slices.Reverse(s)
	}
	return c
}

// Point is one place on a curve.
type Point struct {
	FMR       float64 // false match rate: part of the pairs of two people that match
	TAR       float64 // true accept rate: part of the pairs of one person that match
	Threshold float64 // similarity from which pairs match
	Low, High float64 // of TAR, 95 % confidence (Wilson)
	Impostors int     // pairs of two people that match
	Allowed   float64 // that may match at the wanted rate: fmr times their number
}

// enough is how many errors a measured rate should stand on: with 30 the true
// one is within 30 % of it nine times in ten (Doddington's rule).
const enough = 30

// Supported says whether there are enough impostor pairs for the wanted rate to
// mean something.
func (p Point) Supported() bool { return p.Allowed >= enough }

// At gives the lowest threshold at which no more than a part fmr of the pairs
// of two people match.
func (c *Curve) At(fmr float64) Point {
	allowed := fmr * float64(len(c.impostor))
	k := min(int(allowed+1e-9), len(c.impostor)) // that many may match
	threshold := -1.0
	if k < len(c.impostor) {
		threshold = max(math.Nextafter(c.impostor[k], 2), -1) // just above the next
	}
	p := c.Threshold(threshold)
	p.Allowed = allowed
	return p
}

// Threshold gives the place on the curve at a similarity.
func (c *Curve) Threshold(t float64) Point {
	matches, impostors := reach(c.genuine, t), reach(c.impostor, t)
	p := Point{Threshold: t, Impostors: impostors, Allowed: float64(impostors),
		TAR: float64(matches) / float64(len(c.genuine)), FMR: float64(impostors) / float64(len(c.impostor))}
	p.Low, p.High = wilson(matches, len(c.genuine))
	return p
}

// reach is how many of the numbers, highest first, are at least t.
func reach(s []float64, t float64) int {
	n, _ := slices.BinarySearchFunc(s, t, func(v, t float64) int {
		if v >= t {
			return -1
		}
		return 1
	})
	return n
}

// EqualError is where as many pairs of one person fail as pairs of two match,
// as nearly as the pairs allow, and the mean of the two rates there.
func (c *Curve) EqualError() (rate float64, at Point) {
	best := math.Inf(1)
	for _, t := range append(slices.Clone(c.genuine), c.impostor...) {
		if p := c.Threshold(t); math.Abs(1-p.TAR-p.FMR) < best {
			best, rate, at = math.Abs(1-p.TAR-p.FMR), (1-p.TAR+p.FMR)/2, p
		}
	}
	return rate, at
}

// wilson is the 95 % interval of a rate of k in n.
func wilson(k, n int) (low, high float64) {
	const z = 1.959964
	p, m := float64(k)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m)) / (1 + z*z/m)
	return max(middle-half, 0), min(middle+half, 1)
}
