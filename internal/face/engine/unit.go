package engine

import (
	"fmt"
	"math"

	"latchkey/internal/face"
)

// addUnit adds a vector, made of unit length, and says whether it has one.
func addUnit(to, v []float32) bool {
	var square float64
	for _, x := range v {
		square += float64(x) * float64(x)
	}
	length := math.Sqrt(square)
	if !(length > 1e-12) || math.IsInf(length, 0) {
		return false
	}
	for i, x := range v {
		to[i] += float32(float64(x) / length)
	}
	return true
}

// whole checks that a picture is what it says.
func whole(p *face.Picture) error {
	if p == nil || p.W < 1 || p.H < 1 || p.W > math.MaxInt32/3/p.H || len(p.RGB) != 3*p.W*p.H {
		return fmt.Errorf("engine: not a whole picture")
	}
	return nil
}
