package facetest

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"testing"

	"latchkey/internal/face"
	"latchkey/internal/face/engine"
	"latchkey/internal/face/picture"
)

var update = flag.Bool("update", false, "rewrite found.json")

// TestFaces checks that each picture has one face, where Found says.
func TestFaces(t *testing.T) {
	e, err := engine.Open(engine.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	find := func(name string, data []byte, w, h int) face.Found {
		p, err := picture.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if p.W != w || p.H != h {
			t.Errorf("%s: %d x %d, want %d x %d", name, p.W, p.H, w, h)
		}
		all, err := e.Find(t.Context(), p)
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: %d faces, %v", name, len(all), err)
		}
		return all[0]
	}
	said := map[string]marks{}
	for _, p := range places {
		f := Named(t, p.name)
		got := find(p.name, f.Photo, photoWidth, photoHeight)
		m := marks{Box: [4]float32{tenth(got.Box.X), tenth(got.Box.Y), tenth(got.Box.W), tenth(got.Box.H)}}
		for i, q := range got.Landmarks {
			m.Landmarks[i] = [2]float32{tenth(q.X), tenth(q.Y)}
		}
		said[p.name] = m
		if *update {
			continue
		}
		near(t, p.name+" photo", got, f.Found, 1)
		near(t, p.name+" frame", find(p.name, f.Frame, frameWidth, frameHeight), f.FrameFound, 10)
	}
	if *update {
		data, err := json.Marshal(said)
		if err == nil {
			err = os.WriteFile("found.json", append(data, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func near(t *testing.T, name string, got, want face.Found, pixels float64) {
	t.Helper()
	for i := range got.Landmarks {
		g, w := got.Landmarks[i], want.Landmarks[i]
		if d := math.Hypot(float64(g.X-w.X), float64(g.Y-w.Y)); d > pixels {
			t.Errorf("%s: landmark %d is at %v, want %v", name, i, g, w)
		}
	}
}

func tenth(v float32) float32 { return float32(math.Round(float64(v)*10) / 10) }
