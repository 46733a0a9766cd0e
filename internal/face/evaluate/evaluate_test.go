package evaluate

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"latchkey/internal/face"
	"latchkey/internal/face/picture"
)

func TestReadPairs(t *testing.T) {
	t.Parallel()
	pairs, err := ReadPairs(strings.NewReader("# ours\n\na.jpg b.jpg 1\r\na b.jpg\tc d.jpg\t0\n  e.jpg   f.jpg 0"))
	want := []Pair{{"a.jpg", "b.jpg", true}, {"a b.jpg", "c d.jpg", false}, {"e.jpg", "f.jpg", false}}
	if err != nil || !slices.Equal(pairs, want) {
		t.Errorf("%v, %v", pairs, err)
	}
	for text, line := range map[string]int{
		"": 0, "a b 1\n": 0, "a b 0\n": 0, "a b 1\na b 0\na b\n": 3, "a b 1 0\n": 1, "\na b yes\n": 2, "a b c\t1\n": 1,
		"a b 1\n" + strings.Repeat("x", longestLine+1): 2,
	} {
		_, err := ReadPairs(strings.NewReader(text))
		var wrong *LineError
		if !errors.As(err, &wrong) || wrong.Line != line || wrong.Error() == "" {
			t.Errorf("%.20q: %v, want line %d", text, err, line)
		}
	}
}

func FuzzReadPairs(f *testing.F) {
	f.Add("a b 1\nc\td\t0\n")
	f.Fuzz(func(t *testing.T, text string) {
		pairs, err := ReadPairs(strings.NewReader(text))
		if (err == nil) != (len(pairs) >= 2) {
			t.Errorf("%d pairs, %v", len(pairs), err)
		}
	})
}

func TestCurve(t *testing.T) {
	t.Parallel()
	var impostor []float64
	for i := range 100 {
		impostor = append(impostor, float64(i)/200) // 0 to 0.495
	}
	c := NewCurve([]float64{0.9, 0.2, 0.6, 0.48, Missing}, impostor)
	for _, want := range []struct {
		fmr, tar  float64
		impostors int
		above, to float64 // where the threshold is
	}{
		{0, 0.4, 0, 0.495, 0.6}, {0.001, 0.4, 0, 0.495, 0.6}, {0.01, 0.4, 1, 0.49, 0.495}, {0.05, 0.6, 5, 0.47, 0.48}, {0.5, 0.6, 50, 0.245, 0.25}, {1, 0.8, 100, -1, -1},
	} {
		p := c.At(want.fmr)
		if p.TAR != want.tar || p.Impostors != want.impostors || p.Threshold < want.above || p.Threshold > want.to || p.Threshold == want.above && want.above != want.to {
			t.Errorf("at %v: %+v, want %+v", want.fmr, p, want)
		}
		if p.Allowed != want.fmr*100 || p.Supported() != (want.fmr >= 0.3) {
			t.Errorf("at %v: stands on %v, supported %v", want.fmr, p.Allowed, p.Supported())
		}
		if !(p.Low < p.TAR && p.TAR < p.High && p.Low >= 0 && p.High <= 1) {
			t.Errorf("at %v: interval %v to %v of %v", want.fmr, p.Low, p.High, p.TAR)
		}
	}
	if rate, p := c.EqualError(); math.Abs(rate-0.4) > 0.1 || math.Abs(1-p.TAR-p.FMR) > 0.21 {
		t.Errorf("equal error %v at %+v", rate, p)
	}
	// Known interval: 8 of 10 is 49.0 % to 94.3 %.
	if low, high := wilson(8, 10); math.Abs(low-0.490) > 0.001 || math.Abs(high-0.943) > 0.001 {
		t.Errorf("wilson %v to %v", low, high)
	}
}

// TestCurveHolds: whatever the numbers, no more impostors match than may, a
// stricter rate never lets in more, and a lower threshold would let in too many.
func TestCurveHolds(t *testing.T) {
	t.Parallel()
	scores := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(-50, 50).Draw(t, "score")) / 50 }), 1, 60)
	rapid.Check(t, func(t *rapid.T) {
		c := NewCurve(scores.Draw(t, "genuine"), scores.Draw(t, "impostor"))
		a := rapid.Float64Range(0, 1).Draw(t, "rate")
		b := rapid.Float64Range(0, a).Draw(t, "stricter")
		p, q := c.At(a), c.At(b)
		if p.FMR > a+1e-9 || q.FMR > b+1e-9 || q.TAR > p.TAR || q.Threshold < p.Threshold {
			t.Fatalf("%+v and %+v", p, q)
		}
		if lower := math.Nextafter(p.Threshold, -2); p.Threshold > -1 && c.Threshold(lower).FMR <= a {
			t.Fatalf("%v would do as well as %v", lower, p.Threshold)
		}
	})
}

func TestSVG(t *testing.T) {
	t.Parallel()
	for _, c := range []*Curve{NewCurve([]float64{0.9, 0.8, 0.3}, []float64{0.4, 0.1, 0.1, 0, -0.2}), NewCurve([]float64{1}, []float64{Missing}), NewCurve([]float64{0}, []float64{0})} {
		var b strings.Builder
		if err := c.SVG(&b, `ours & <"theirs">`); err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(strings.NewReader(b.String()))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, b.String())
			}
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") || !strings.Contains(b.String(), "ours &amp; &lt;") {
			t.Error(b.String())
		}
	}
	if err := NewCurve([]float64{1}, []float64{0}).SVG(broken{}, ""); err == nil {
		t.Error("a full disk went unnoticed")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

// byWidth is an engine whose faces are as similar as pictures are wide: the
// template turns with the width. Pictures of width 1 have no face; those of
// width 2 have two, of which the second is in the middle.
type byWidth struct{ face.Engine }

var errBroken = errors.New("broken")

func (byWidth) Find(_ context.Context, p *face.Picture) ([]face.Found, error) {
	w := float32(p.W)
	switch p.W {
	case 1:
		return nil, nil
	case 2:
		return []face.Found{{Box: face.Rect{X: 0, W: 0.5, H: 1}, Score: 99}, {Box: face.Rect{X: 0.8, W: 0.45, H: 0.9}, Score: 2}}, nil
	case 13:
		return nil, errBroken
	}
	return []face.Found{{Box: face.Rect{W: w, H: w}, Score: w}}, nil
}

func (byWidth) Describe(_ context.Context, _ *face.Picture, f face.Found) (face.Template, error) {
	sin, cos := math.Sincos(float64(f.Score) / 10)
	return face.Template{float32(cos), float32(sin)}, nil
}

// read gives a PNG as wide as its name says.
func read(name string) ([]byte, error) {
	var w int
	if _, err := fmt.Sscan(name, &w); err != nil {
		return nil, fs.ErrNotExist
	}
	var b strings.Builder
	err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, 1)))
	if w == 99 {
		return []byte("text"), nil
	}
	return []byte(b.String()), err
}

func TestRun(t *testing.T) {
	t.Parallel()
	pairs := []Pair{{"5", "5", true}, {"5", "6", true}, {"2", "3", true}, {"1", "5", true}, {"5", "20", false}, {"20", "1", false}}
	told := 0
	r, err := Run(t.Context(), byWidth{}, pairs, Options{Read: read, Workers: 3, Progress: func(done, all int) {
		if told++; done != told || all != 6 {
			t.Errorf("told %d of %d, want %d of 6", done, all, told)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Pictures != 6 || r.NoFace != 1 || r.Same != 4 || r.Two != 2 || told != 6 {
		t.Errorf("%+v, told %d", r, told)
	}
	if p := r.Threshold(0.99); p.TAR != 0.75 || p.Impostors != 0 {
		t.Errorf("%+v: with the face in the middle three pairs match", p)
	}
	if p := r.Threshold(-1); p.TAR != 0.75 || p.Impostors != 1 {
		t.Errorf("%+v: a picture without a face matches nothing", p)
	}
}

func TestRunStops(t *testing.T) {
	t.Parallel()
	both := []Pair{{"5", "6", true}, {"5", "7", false}}
	for name, want := range map[string]error{"none.jpg": fs.ErrNotExist, "99": picture.ErrFormat, "13": errBroken} {
		_, err := Run(t.Context(), byWidth{}, append([]Pair{{"4", name, true}}, both...), Options{Read: read, Workers: 2})
		var unread *PictureError
		if !errors.Is(err, want) || errors.As(err, &unread) != (want != errBroken) || unread != nil && unread.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(gone, byWidth{}, both, Options{Read: read}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
