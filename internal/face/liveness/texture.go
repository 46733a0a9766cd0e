package liveness

import (
	"math"
	"math/cmplx"
	"slices"
)

// Patch is the side in pixels of the square that Texture looks at.
const Patch = 64

// Texture gives how far the strongest regular pattern in a square of Patch x
// Patch grey values stands out of what is usual at its frequency, in decibels.
// Skin has no pattern that repeats over its whole area; the grid of a screen
// that was photographed, and the moire of its grid with the camera's, do. JPEG
// has patterns of its own at multiples of 1/8: they are left out, and so are
// the lowest frequencies, which are the face itself.
func Texture(grey []float64) float64 {
	if len(grey) != Patch*Patch {
		return math.NaN()
	}
	m := mean(grey)
	if !(m > 0) || !finite(m) {
		return math.NaN()
	}
	f := make([]complex128, Patch*Patch)
	for y := range Patch {
		for x := range Patch {
			f[y*Patch+x] = complex((grey[y*Patch+x]/m-1)*window(x)*window(y), 0)
		}
	}
	transform(f)
	const rings = Patch / 2
	var power [rings + 1][]float64
	var places [rings + 1][]int
	for y := range Patch {
		for x := range Patch / 2 {
			if i := ring(x, y); i >= Patch/8 && i <= rings && !blocky(x, y) {
				v := cmplx.Abs(f[y*Patch+x])
				power[i] = append(power[i], v*v)
				places[i] = append(places[i], y*Patch+x)
			}
		}
	}
	best := 0.0
	for i := range power {
		if len(power[i]) < 8 {
			continue
		}
		// The floor keeps a picture without any detail from being all peaks.
		usual := median(power[i]) + 1e-4
		best = max(best, 10*math.Log10(slices.Max(power[i])/usual))
	}
	return best
}

// ring is the frequency in cycles for the patch, rounded.
func ring(x, y int) int {
	if y > Patch/2 {
		y -= Patch
	}
	return int(math.Round(math.Hypot(float64(x), float64(y))))
}

// blocky says whether a frequency is one of JPEG's blocks: on a multiple of 1/8
// in one direction and about nought in the other, or within one of it.
func blocky(x, y int) bool {
	if y > Patch/2 {
		y = Patch - y
	}
	near := func(v int) bool { r := v % (Patch / 8); return r <= 1 || r >= Patch/8-1 }
	return (x <= 2 && near(y)) || (y <= 2 && near(x)) || (near(x) && near(y))
}

// window is Hann's.
func window(i int) float64 { return 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/Patch) }

// transform is the two-dimensional Fourier transform of Patch x Patch values.
func transform(f []complex128) {
	line := make([]complex128, Patch)
	for y := range Patch {
		fourier(f[y*Patch : (y+1)*Patch])
	}
	for x := range Patch {
		for y := range Patch {
			line[y] = f[y*Patch+x]
		}
		fourier(line)
		for y := range Patch {
			f[y*Patch+x] = line[y]
		}
	}
}

// fourier transforms a power of two of values in place (Cooley and Tukey).
func fourier(v []complex128) {
	n := len(v)
	for i, j := 1, 0; i < n; i++ {
		bit := n >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		if j ^= bit; i < j {
			v[i], v[j] = v[j], v[i]
		}
	}
	for size := 2; size <= n; size <<= 1 {
		turn := cmplx.Rect(1, -2*math.Pi/float64(size))
		for i := 0; i < n; i += size {
			w := complex(1, 0)
			for k := i; k < i+size/2; k++ {
				a, b := v[k], w*v[k+size/2]
				v[k], v[k+size/2] = a+b, a-b
				w *= turn
			}
		}
	}
}
