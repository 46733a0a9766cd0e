package liveness

import (
	"math"
	"slices"
)

// fit gives the coefficients of the least-squares fit of y by the columns of
// rows, false where they are not determined.
func fit(rows [][]float64, y []float64) ([]float64, bool) {
	if len(rows) == 0 || len(rows) < len(rows[0]) {
		return nil, false
	}
	n := len(rows[0])
	m := make([][]float64, n) // normal equations and right side
	for i := range m {
		m[i] = make([]float64, n+1)
	}
	for k, r := range rows {
		for i := range n {
			for j := range n {
				m[i][j] += r[i] * r[j]
			}
			m[i][n] += r[i] * y[k]
		}
	}
	for i := range n {
		p := i
		for j := i + 1; j < n; j++ {
			if math.Abs(m[j][i]) > math.Abs(m[p][i]) {
				p = j
			}
		}
		m[i], m[p] = m[p], m[i]
		if !(math.Abs(m[i][i]) > 1e-9) {
			return nil, false
		}
		for j := range n {
			if j == i {
				continue
			}
			f := m[j][i] / m[i][i]
			for k := i; k <= n; k++ {
				m[j][k] -= f * m[i][k]
			}
		}
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = m[i][n] / m[i][i]
		if !finite(out[i]) {
			return nil, false
		}
	}
	return out, true
}

// straighten takes the straight line over x out of y and leaves its mean out.
func straighten(x, y []float64) []float64 {
	out := make([]float64, len(y))
	mx, my := mean(x), mean(y)
	var xx, xy float64
	for i := range x {
		xx += (x[i] - mx) * (x[i] - mx)
		xy += (x[i] - mx) * (y[i] - my)
	}
	slope := 0.0
	if xx > 0 {
		slope = xy / xx
	}
	for i := range y {
		out[i] = y[i] - my - slope*(x[i]-mx)
	}
	return out
}

// correlate gives the correlation of two rows of mean nought, and the slope of
// y over x. Where one of them does not change both are 0.
func correlate(x, y []float64) (r, slope float64) {
	var xx, yy, xy float64
	for i := range x {
		xx += x[i] * x[i]
		yy += y[i] * y[i]
		xy += x[i] * y[i]
	}
	if !(xx > 1e-12) || !(yy > 1e-18) || !finite(xy) || math.IsInf(yy, 0) {
		return 0, 0
	}
	return xy / math.Sqrt(xx*yy), xy / xx
}

func mean(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func spread(v []float64) float64 {
	m, sum := mean(v), 0.0
	for _, x := range v {
		sum += (x - m) * (x - m)
	}
	return math.Sqrt(sum / float64(max(len(v), 1)))
}

// median sorts a copy; 0 of nothing.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
