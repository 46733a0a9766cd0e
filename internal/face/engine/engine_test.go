//go:build cgo

package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey/internal/face"
	"latchkey/internal/face/facetest"
	"latchkey/internal/face/models"
	"latchkey/internal/face/picture"
)

func open(t testing.TB, o Options) Engine {
	t.Helper()
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func decode(t testing.TB, data []byte) *face.Picture {
	t.Helper()
	p, err := picture.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// describe gives the template of a picture's one face.
func describe(t testing.TB, e face.Engine, p *face.Picture) face.Template {
	t.Helper()
	found, err := e.Find(t.Context(), p)
	if err != nil || len(found) != 1 {
		t.Fatalf("%d faces, %v", len(found), err)
	}
	template, err := e.Describe(t.Context(), p, found[0])
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// TestTellsApart: the same person on two pictures is above the threshold of one
// in 10,000, and so is every face as photo and as frame; two people are below.
func TestTellsApart(t *testing.T) {
	t.Parallel()
	e := open(t, Options{})
	limit, ok := e.Manifest().Threshold(0.0001)
	if !ok {
		t.Fatal("no threshold for one in 10,000")
	}
	templates := map[string]face.Template{}
	for _, name := range append(facetest.Names(), facetest.Again) {
		f := facetest.Named(t, name)
		templates[name] = describe(t, e, decode(t, f.Photo))
		if s := templates[name].Similarity(describe(t, e, decode(t, f.Frame))); s < 0.9 {
			t.Errorf("%s: photo and frame have the similarity %.3f", name, s)
		}
	}
	for a := range templates {
		for b := range templates {
			s := templates[a].Similarity(templates[b])
			same := a == b || a != facetest.Again && b == facetest.Again && a == facetest.Names()[0] ||
				b != facetest.Again && a == facetest.Again && b == facetest.Names()[0]
			if same != (s >= float64(limit.Similarity)) {
				t.Errorf("%s and %s have the similarity %.3f; the threshold is %.3f", a, b, s, limit.Similarity)
			}
		}
	}
}

// TestManyFaces: every face of the groups is found, largest first.
func TestManyFaces(t *testing.T) {
	t.Parallel()
	e := open(t, Options{})
	for i, want := range []int{3, 3, 3, 4, 5, 4} {
		found, err := e.Find(t.Context(), decode(t, facetest.Sample(t, i+1)))
		if err != nil || len(found) != want {
			t.Errorf("sample %d: %d faces, %v, want %d", i+1, len(found), err, want)
		}
		if !slices.IsSortedFunc(found, func(a, b face.Found) int { return int(b.Box.W*b.Box.H - a.Box.W*a.Box.H) }) {
			t.Errorf("sample %d: not the largest first", i+1)
		}
	}
	empty := &face.Picture{W: 640, H: 480, RGB: make([]byte, 3*640*480)}
	if found, err := e.Find(t.Context(), empty); err != nil || len(found) != 0 {
		t.Errorf("on nothing: %d faces, %v", len(found), err)
	}
}

// TestRepeatable: many at once get the same numbers as one alone, to the bit.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	e := open(t, Options{Threads: 3})
	pictures := []*face.Picture{decode(t, facetest.Named(t, "ivy").Frame), decode(t, facetest.Named(t, "elm").Frame)}
	want := []face.Template{describe(t, e, pictures[0]), describe(t, e, pictures[1])}
	var wait sync.WaitGroup
	for i := range 12 {
		wait.Go(func() {
			p := pictures[i%2]
			found, err := e.Find(t.Context(), p)
			if err != nil || len(found) != 1 {
				t.Errorf("%d faces, %v", len(found), err)
				return
			}
			if got, err := e.Describe(t.Context(), p, found[0]); err != nil || !slices.Equal(got, want[i%2]) {
				t.Errorf("another template, %v", err)
			}
		})
	}
	wait.Wait()
}

func TestUnitLength(t *testing.T) {
	t.Parallel()
	template := describe(t, open(t, Options{Threads: 1}), decode(t, facetest.Named(t, "larch").Frame))
	if s := template.Similarity(template); s < 0.9999 || s > 1 {
		t.Errorf("the length squared is %v", s)
	}
	if len(template) != 192 {
		t.Errorf("%d numbers", len(template))
	}
}

// TestStops: who is given up gets no lane and no work; a closed engine is not
// available.
func TestStops(t *testing.T) {
	t.Parallel()
	e := open(t, Options{Threads: 1})
	p := decode(t, facetest.Named(t, "fir").Frame)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Find(gone, p); !errors.Is(err, context.Canceled) {
		t.Errorf("Find: %v", err)
	}
	if _, err := e.Describe(gone, p, face.Found{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Describe: %v", err)
	}
	held := <-e.(*engine).lanes // someone else is at work
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() { _, err := e.Find(ctx, p); failed <- err }()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: %v", err)
	}
	e.(*engine).lanes <- held
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	if _, err := e.Find(t.Context(), p); !errors.Is(err, face.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}

func TestNotAPicture(t *testing.T) {
	t.Parallel()
	e := open(t, Options{Threads: 1})
	for _, p := range []*face.Picture{nil, {}, {W: 2, H: 2, RGB: make([]byte, 11)}, {W: -1, H: -1, RGB: make([]byte, 3)}, {W: 1 << 30, H: 1 << 30}} {
		if _, err := e.Find(t.Context(), p); err == nil {
			t.Errorf("Find takes %+v", p)
		}
		if _, err := e.Describe(t.Context(), p, face.Found{}); err == nil {
			t.Errorf("Describe takes %+v", p)
		}
	}
	// Landmarks that are no face give a template or an error, no fault.
	small := &face.Picture{W: 1, H: 1, RGB: []byte{1, 2, 3}}
	var all face.Found
	for i := range all.Landmarks {
		all.Landmarks[i] = face.Point{X: float32(i) * 1e30, Y: -1e30}
	}
	for _, f := range []face.Found{{}, all} {
		if template, err := e.Describe(t.Context(), small, f); err == nil && len(template) != 192 {
			t.Errorf("%d numbers", len(template))
		}
	}
}

// TestTinyPictures: a pixel, a line or a strip has no face, and none that is
// said to be there makes a fault.
func TestTinyPictures(t *testing.T) {
	t.Parallel()
	e := open(t, Options{Threads: 1})
	for _, size := range [][2]int{{1, 1}, {1, 2560}, {2560, 1}, {2, 3}, {2560, 16}, {16, 2560}} {
		p := &face.Picture{W: size[0], H: size[1], RGB: bytes.Repeat([]byte{200, 150, 120}, size[0]*size[1])}
		if found, err := e.Find(t.Context(), p); err != nil || len(found) != 0 {
			t.Errorf("%v: %d faces, %v", size, len(found), err)
		}
		for _, box := range []face.Rect{{W: 1, H: 1}, {X: -1e30, W: 1e38, H: 1e38}, {X: float32(math.NaN()), W: float32(math.Inf(1))}} {
			f, err := e.(*engine).Mark(t.Context(), p, box)
			if err != nil {
				t.Fatalf("%v, %v: %v", size, box, err)
			}
			if template, err := e.Describe(t.Context(), p, f); err == nil && len(template) != 192 {
				t.Errorf("%v, %v: %d numbers", size, box, len(template))
			}
		}
	}
}

// folder copies the program's models, with a change of the manifest.
func folder(t *testing.T, change func(m map[string]any)) string {
	t.Helper()
	from, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"detector.onnx", "landmarks.onnx", "embedder.onnx", "manifest.json"} {
		data, err := fs.ReadFile(from, name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "manifest.json" {
			m := map[string]any{}
			if err := json.Unmarshal(data, &m); err != nil {
				t.Fatal(err)
			}
			change(m)
			if data, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOwnModels(t *testing.T) {
	t.Parallel()
	dir := folder(t, func(m map[string]any) {
		m["name"] = "ours"
		m["embedder"].(map[string]any)["mirror"] = true
	})
	e, p := open(t, Options{Folder: dir, Threads: 1}), decode(t, facetest.Named(t, "cedar").Frame)
	if e.Model() != "ours" {
		t.Errorf("named %q", e.Model())
	}
	mirrored, plain := describe(t, e, p), describe(t, open(t, Options{Threads: 1}), p)
	if s := mirrored.Similarity(plain); s < 0.9 || s > 0.9999 {
		t.Errorf("with the mirrored face too the similarity is %.4f", s)
	}
	// The mirrored picture has the same template then, but for where exactly its
	// landmarks are found.
	back := &face.Picture{W: p.W, H: p.H, RGB: make([]byte, len(p.RGB))}
	for i := range p.W * p.H {
		y, x := i/p.W, i%p.W
		copy(back.RGB[3*i:3*i+3], p.RGB[3*(y*p.W+p.W-1-x):])
	}
	if s := mirrored.Similarity(describe(t, e, back)); s < 0.95 {
		t.Errorf("the mirrored picture has the similarity %.3f", s)
	}
}

func TestWrongModels(t *testing.T) {
	t.Parallel()
	part := func(m map[string]any, name string) map[string]any { return m[name].(map[string]any) }
	text := []byte("not a model")
	for _, c := range []struct {
		part, want string
		change     func(m map[string]any)
		file       string // that is text
	}{
		{"manifest", "name", func(m map[string]any) { delete(m, "name") }, ""},
		{"manifest", "unknown field", func(m map[string]any) { m["more"] = 1 }, ""},
		{"manifest", "threshold", func(m map[string]any) { part(m, "detector")["threshold"] = 1 }, ""},
		{"manifest", "overlap", func(m map[string]any) { part(m, "detector")["overlap"] = 0 }, ""},
		{"manifest", "grow", func(m map[string]any) { part(m, "landmarks")["grow"] = 0 }, ""},
		{"manifest", "template", func(m map[string]any) { part(m, "embedder")["template"].([]any)[2] = []int{200, 3} }, ""},
		{"manifest", "scale", func(m map[string]any) { part(m, "embedder")["scale"] = 0 }, ""},
		{"manifest", "width", func(m map[string]any) { part(m, "embedder")["width"] = 1 << 20 }, ""},
		{"manifest", "order", func(m map[string]any) { part(m, "embedder")["order"] = "hsv" }, ""},
		{"manifest", "file", func(m map[string]any) { part(m, "embedder")["file"] = "../../secret" }, ""},
		{"manifest", "thresholds", func(m map[string]any) { m["thresholds"] = []any{} }, ""},
		{"manifest", "thresholds", func(m map[string]any) { slices.Reverse(m["thresholds"].([]any)) }, ""},
		{"detector", "no such file", func(m map[string]any) { part(m, "detector")["file"] = "other.onnx" }, ""},
		{"landmarks", "SHA-256", func(m map[string]any) { part(m, "landmarks")["sha256"] = strings.Repeat("0", 64) }, ""},
		{"embedder", "112", func(m map[string]any) { part(m, "embedder")["width"] = 128 }, ""},
		{"detector", "last dimension is 2", func(m map[string]any) { m["detector"] = with(part(m, "landmarks"), "threshold", 0.5, "overlap", 0.5) }, ""},
		{"embedder", "", func(m map[string]any) { part(m, "embedder")["sha256"] = fmt.Sprintf("%x", sha256.Sum256(text)) }, "embedder.onnx"},
		{"manifest", "invalid character", func(map[string]any) {}, "manifest.json"},
	} {
		dir := folder(t, c.change)
		if c.file != "" {
			if err := os.WriteFile(filepath.Join(dir, c.file), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		e, err := Open(Options{Folder: dir, Threads: 1})
		var wrong *ModelError
		if !errors.As(err, &wrong) || wrong.Part != c.part || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: %v", c.part, c.want, err)
		}
		if err == nil {
			e.Close()
		}
	}
	if _, err := Open(Options{Folder: filepath.Join(t.TempDir(), "nowhere")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// with copies an object without what only landmarks have, and adds to it.
func with(m map[string]any, more ...any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if k != "grow" && k != "shift" {
			out[k] = v
		}
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}
