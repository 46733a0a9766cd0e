package face

// Similarity is the cosine of two templates of the same model, -1 to 1. Those
// of different lengths are not similar at all: -1.
func (t Template) Similarity(u Template) float64 {
	if len(t) != len(u) {
		return -1
	}
	var sum float64
	for i := range t {
		sum += float64(t[i]) * float64(u[i])
	}
	return min(max(sum, -1), 1)
}
