package scan

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"runtime"
	"sync"
	"testing"
	"weak"

	"latchkey/internal/face"
)

// keeper is an engine that counts the pictures that are still in memory each
// time it is given one.
type keeper struct {
	fake
	mu   sync.Mutex
	seen []weak.Pointer[byte]
	most int
}

func (k *keeper) count(p *face.Picture) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p != nil {
		k.seen = append(k.seen, weak.Make(&p.RGB[0]))
	}
	runtime.GC()
	live := 0
	for _, w := range k.seen {
		if w.Value() != nil {
			live++
		}
	}
	k.most = max(k.most, live)
	if p == nil {
		k.most = live
	}
}

func (k *keeper) Find(ctx context.Context, p *face.Picture) ([]face.Found, error) {
	k.count(p)
	return k.fake.Find(ctx, p)
}

func (k *keeper) Describe(ctx context.Context, p *face.Picture, f face.Found) (face.Template, error) {
	k.count(p)
	return k.fake.Describe(ctx, p, f)
}

// TestOneFrameAProcessor checks that decoded pictures are dropped one by one,
// and that none outlives the decision.
func TestOneFrameAProcessor(t *testing.T) {
	c, e := honest(t)
	for _, processors := range []int{1, 3} {
		k := &keeper{}
		o := DefaultOptions()
		o.Processors = processors
		if d, err := New(k, o).Decide(t.Context(), c, e, profile(1)); err != nil || d.Reason != face.Verified {
			t.Fatalf("%q, %v", d.Reason, err)
		}
		if k.most > processors {
			t.Errorf("%d pictures in memory, at most %d may be", k.most, processors)
		}
		if k.count(nil); k.most != 0 {
			t.Errorf("%d of %d pictures are left", k.most, len(k.seen))
		}
	}
}

// TestFrameMemory bounds what the largest frames take: a few bytes a pixel,
// whatever they are made of.
func TestFrameMemory(t *testing.T) {
	const side, most = 1280, 16 // bytes a pixel
	bounds := image.Rect(0, 0, side, side)
	rgb := image.NewYCbCr(bounds, image.YCbCrSubsampleRatio444)
	deep := image.NewNRGBA64(bounds)
	deep.Set(1, 1, color.NRGBA64{1, 2, 3, 4})
	for name, encode := range map[string]func(*bytes.Buffer) error{
		"JPEG, grey":    func(b *bytes.Buffer) error { return jpeg.Encode(b, image.NewGray(bounds), nil) },
		"JPEG, colours": func(b *bytes.Buffer) error { return jpeg.Encode(b, rgb, nil) },
		"PNG, deep":     func(b *bytes.Buffer) error { return png.Encode(b, deep) },
	} {
		var b bytes.Buffer
		if err := encode(&b); err != nil {
			t.Fatal(err)
		}
		if b.Len() > limits.Bytes {
			t.Fatalf("%s: %d bytes are too many to try", name, b.Len())
		}
		k := checker(&fake{}, 1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := k.shot(t.Context(), face.Frame{JPEG: b.Bytes()}, face.Rect{}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > most*side*side || got < 3*side*side {
			t.Errorf("%s: %d bytes a pixel", name, got/(side*side))
		}
	}
}
