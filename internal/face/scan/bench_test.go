//go:build cgo

package scan_test

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"latchkey/internal/face"
	"latchkey/internal/face/attacks"
	"latchkey/internal/face/engine"
	"latchkey/internal/face/scan"
	"latchkey/internal/face/simulate"
)

// benchFrames is how many frames a scan has here: eight of the turn, two of the
// way back, two or three of each colour.
const benchFrames = 30

// thinned leaves out frames of the fullest steps until benchFrames are left.
func thinned(e face.Evidence) face.Evidence {
	of := map[int]int{}
	for _, f := range e.Frames {
		of[f.Step]++
	}
	for len(e.Frames) > benchFrames {
		most := 1
		for step := range of {
			if step > 0 && (of[step] > of[most] || of[step] == of[most] && step > most) {
				most = step
			}
		}
		for i, f := range e.Frames { // the second one: the first and the last span the step
			if i > 0 && f.Step == most && e.Frames[i-1].Step == most {
				e.Frames = append(e.Frames[:i:i], e.Frames[i+1:]...)
				of[most]--
				break
			}
		}
	}
	return e
}

// benchScan is a scan that passes, by a simulated camera.
func benchScan(b *testing.B, e face.Engine) (face.Challenge, face.Evidence, *face.Profile) {
	b.Helper()
	people, err := attacks.Cast(b.Context(), e)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	c, err := scan.DrawFrom(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		b.Fatal(err)
	}
	k := attacks.Scenarios()[0].Make(r, people, c, c)
	k.Camera.Width, k.Camera.Height = 480, 360
	all, err := simulate.Scan(r, c, k.Subject, k.Room, k.Camera)
	if err != nil {
		b.Fatal(err)
	}
	return c, thinned(all), k.Profile
}

// BenchmarkDecide is one decision of a live face: alone, on all processors, and
// as many at once as there are processors.
func BenchmarkDecide(b *testing.B) {
	e, err := engine.Open(engine.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	c, ev, who := benchScan(b, e)
	if len(ev.Frames) != benchFrames {
		b.Fatalf("%d frames", len(ev.Frames))
	}
	decide := func(b *testing.B, k *scan.Checker) {
		d, err := k.Decide(b.Context(), c, ev, who)
		if err != nil || d.Reason != face.Verified {
			b.Errorf("%q, %v, %v", d.Reason, d.Scores, err)
		}
	}
	b.Run("serial", func(b *testing.B) {
		k := scan.New(e, scan.DefaultOptions())
		for b.Loop() {
			decide(b, k)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/verification")
	})
	b.Run("parallel", func(b *testing.B) {
		o := scan.DefaultOptions()
		o.Processors, o.AtOnce, o.Wait = 1, runtime.GOMAXPROCS(0), time.Hour
		k := scan.New(e, o)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				decide(b, k)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verifications/s")
	})
}
