//go:build cgo

package engine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"latchkey/internal/face/facetest"
)

// Each benchmark is one thread's work on one picture of 640 x 480 or so.

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		e, err := Open(Options{Threads: 1})
		if err != nil {
			b.Fatal(err)
		}
		e.Close()
	}
	b.ReportMetric(resident(b), "MB-resident")
}

func BenchmarkDetect(b *testing.B) {
	e, p := opened(b), decode(b, facetest.Sample(b, 1))
	l := <-e.lanes
	defer func() { e.lanes <- l }()
	m := e.manifest.Detector.whole(p)
	for b.Loop() {
		e.manifest.Detector.fill(l.detector.in, p, m)
		if err := e.detector.run(l.detector); err != nil {
			b.Fatal(err)
		}
		if len(e.manifest.Detector.faces(l.detector.out[0], l.detector.out[1], m)) == 0 {
			b.Fatal("no face")
		}
	}
}

func BenchmarkLandmarks(b *testing.B) {
	e, p := opened(b), decode(b, facetest.Sample(b, 1))
	found, err := e.Find(b.Context(), p)
	if err != nil {
		b.Fatal(err)
	}
	l := <-e.lanes
	defer func() { e.lanes <- l }()
	for b.Loop() {
		if err := e.mark(l, p, &found[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEmbed aligns the face and describes it.
func BenchmarkEmbed(b *testing.B) {
	e, p := opened(b), decode(b, facetest.Sample(b, 1))
	found, err := e.Find(b.Context(), p)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Describe(b.Context(), p, found[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func opened(b *testing.B) *engine { return open(b, Options{Threads: 1}).(*engine) }

// resident is the memory of this process in megabytes.
func resident(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0 // not Linux
	}
	var kB float64
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		b.Fatal(err)
	}
	return kB / 1024
}
