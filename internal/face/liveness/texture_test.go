package liveness

import (
	"math"
	"math/rand/v2"
	"testing"
)

// patch is a square of grey values with noise of 2, as of skin.
func patch(pattern func(x, y float64) float64) []float64 {
	r := rand.New(rand.NewPCG(3, 4))
	out := make([]float64, 0, Patch*Patch)
	for y := range Patch {
		for x := range Patch {
			out = append(out, 120+pattern(float64(x), float64(y))+2*r.NormFloat64())
		}
	}
	return out
}

// grid is a wave of a period in pixels, at an angle.
func grid(depth, period, angle float64) func(x, y float64) float64 {
	sin, cos := math.Sincos(angle)
	return func(x, y float64) float64 { return depth * math.Sin(2*math.Pi*(x*cos+y*sin)/period) }
}

// TestTexture checks what stands out of skin and what does not, by the policy.
func TestTexture(t *testing.T) {
	limit := Default().MaxTexture
	for _, c := range []struct {
		name string
		grey []float64
		seen bool
	}{
		{"skin", patch(func(_, _ float64) float64 { return 0 }), false},
		{"one grey", plain(80), false},
		{"light from one side", patch(func(x, _ float64) float64 { return x / 2 }), false},
		{"edge of a shadow", patch(func(x, y float64) float64 { return 10 * math.Tanh((x-y)/6) }), false},
		{"fine grid", patch(grid(6, 3, 0.5)), true},
		{"coarse grid", patch(grid(6, 6, 1)), true},
		{"upright grid", patch(grid(6, 2.9, 0)), true},
		{"level grid", patch(grid(6, 2.9, math.Pi/2)), true},
		{"blocks of a JPEG", patch(grid(6, 8, 0)), false},
		{"half blocks of a JPEG", patch(grid(6, 4, math.Pi/2)), false},
		{"hardly a grid", patch(grid(0.1, 3, 0.5)), false},
	} {
		if got := Texture(c.grey); math.IsNaN(got) || (got > limit) != c.seen {
			t.Errorf("%s: %.1f dB, limit %.1f, want seen %t", c.name, got, limit, c.seen)
		}
	}
}

// TestNoTexture checks squares that cannot be measured.
func TestNoTexture(t *testing.T) {
	for name, grey := range map[string][]float64{
		"nothing": nil, "too little": plain(80)[1:], "too much": append(plain(80), 1), "black": plain(0),
		"unknown": plain(math.NaN()), "infinite": plain(math.Inf(1)), "negative": plain(-1),
	} {
		if got := Texture(grey); !math.IsNaN(got) {
			t.Errorf("%s: %v, want NaN", name, got)
		}
	}
}

// TestTransform checks the transform against its definition, at some places.
func TestTransform(t *testing.T) {
	grey := patch(grid(6, 5, 1))
	f := make([]complex128, len(grey))
	for i, v := range grey {
		f[i] = complex(v, 0)
	}
	transform(f)
	for _, at := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {7, 13}, {31, 32}, {63, 63}} {
		var want complex128
		for i, v := range grey {
			sin, cos := math.Sincos(-2 * math.Pi * float64(at[0]*(i%Patch)+at[1]*(i/Patch)) / Patch)
			want += complex(v*cos, v*sin)
		}
		if d := f[at[1]*Patch+at[0]] - want; math.Hypot(real(d), imag(d)) > 1e-6 {
			t.Errorf("at %v: %v off", at, d)
		}
	}
}

// plain is a square of one grey.
func plain(v float64) []float64 {
	out := make([]float64, Patch*Patch)
	for i := range out {
		out[i] = v
	}
	return out
}
