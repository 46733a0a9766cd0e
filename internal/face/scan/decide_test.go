package scan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/face"
)

// checker has a fake engine and draws frames by a seed.
func checker(engine *fake, processors int) *Checker {
	o := DefaultOptions()
	o.Processors, o.AtOnce, o.Random = processors, 1, source(5)
	return New(engine, o)
}

// honest is a challenge and a scan of person 1 that passes.
func honest(t testing.TB) (face.Challenge, face.Evidence) {
	t.Helper()
	c := draw(t, source(1))
	return c, filmed(t, c, c, nil)
}

// TestDecide checks what scans of painted faces come to.
func TestDecide(t *testing.T) {
	c, good := honest(t)
	other := draw(t, source(2))
	film := func(lit face.Challenge, change func(step, frame int, p *pose)) face.Evidence {
		return filmed(t, c, lit, change)
	}
	frames := func(change func([]face.Frame) []face.Frame) face.Evidence {
		return face.Evidence{Windows: good.Windows, Frames: change(slices.Clone(good.Frames))}
	}
	pictures := func(change func(i int, f face.Frame) []byte) face.Evidence {
		return frames(func(fs []face.Frame) []face.Frame {
			for i := range fs {
				fs[i].JPEG = change(i, fs[i])
			}
			return fs
		})
	}
	for _, x := range []struct {
		name    string
		scan    face.Evidence
		profile *face.Profile
		want    face.Reason
	}{
		{"the holder", good, profile(1), face.Verified},
		{"somebody else", good, profile(2), face.OtherPerson},
		{"nobody to compare with", good, nil, face.OtherPerson},
		{"film of another scan", film(other, nil), profile(1), face.NotLive},
		{
			"somebody else from the middle on",
			film(c, func(step, _ int, p *pose) { p.person = 1 + step/5 }), profile(1), face.NotLive,
		},
		{"somebody else in the turn", film(c, func(step, _ int, p *pose) {
			if step < 2 {
				p.person = 2
			}
		}), profile(1), face.NotLive},
		{"two faces in one frame", film(c, func(step, frame int, p *pose) {
			if step == 4 && frame == 0 {
				p.faces = 2
			}
		}), profile(1), face.ManyFaces},
		{"nobody", film(c, func(_, _ int, p *pose) { p.faces = 0 }), profile(1), face.NoFace},
		{"nobody in the turn", film(c, func(step, _ int, p *pose) {
			if step == 0 {
				p.faces = 0
			}
		}), profile(1), face.NoFace},
		{"nobody in one colour", film(c, func(step, _ int, p *pose) {
			if step == 6 {
				p.faces = 0
			}
		}), profile(1), face.NoFace},
		{"no turn", film(c, func(_, _ int, p *pose) { p.sine = 0 }), profile(1), face.NoTurn},
		{"turn to the other side", film(c, func(_, _ int, p *pose) { p.sine = -p.sine }), profile(1), face.NoTurn},

		{"one picture throughout", pictures(func(int, face.Frame) []byte { return good.Frames[20].JPEG }), profile(1), face.LightWeak},
		{"the colours' pictures in another order", pictures(func(i int, f face.Frame) []byte {
			if f.Step < 2 {
				return f.JPEG
			}
			return good.Frames[len(good.Frames)-1-(i-12)].JPEG
		}), profile(1), face.NotLive},
		{"frames in another order", frames(func(fs []face.Frame) []face.Frame { slices.Reverse(fs); return fs }), profile(1), face.BadTiming},
		{"two frames exchanged", frames(func(fs []face.Frame) []face.Frame { fs[20], fs[21] = fs[21], fs[20]; return fs }), profile(1), face.BadTiming},
		{"a frame twice", frames(func(fs []face.Frame) []face.Frame { return slices.Insert(fs, 20, fs[20]) }), profile(1), face.BadTiming},
		{"all frames twice", frames(func(fs []face.Frame) []face.Frame { return append(fs, fs...) }), profile(1), face.BadTiming},
		{"one frame missing", frames(func(fs []face.Frame) []face.Frame { return slices.Delete(fs, 20, 21) }), profile(1), face.Verified},
		{"a colour missing", frames(func(fs []face.Frame) []face.Frame { return slices.Delete(fs, 20, 24) }), profile(1), face.TooFewShots},
		{"no frames", frames(func([]face.Frame) []face.Frame { return nil }), profile(1), face.TooFewShots},
		{"no evidence", face.Evidence{}, profile(1), face.BadTiming},
		{"no pictures in the frames", pictures(func(int, face.Frame) []byte { return nil }), profile(1), face.TooDark},
		{"pictures cut off", pictures(func(_ int, f face.Frame) []byte { return f.JPEG[:len(f.JPEG)/4] }), profile(1), face.TooDark},
		{"one picture broken", pictures(func(i int, f face.Frame) []byte {
			if i == 20 {
				return []byte("\xff\xd8\xff broken")
			}
			return f.JPEG
		}), profile(1), face.Verified},
	} {
		t.Run(x.name, func(t *testing.T) {
			var first face.Decision
			for _, processors := range []int{1, 4} {
				d, err := checker(&fake{}, processors).Decide(t.Context(), c, x.scan, x.profile)
				if err != nil || d.Reason != x.want {
					t.Fatalf("%d processors: %q, want %q: %v, %v", processors, d.Reason, x.want, d.Scores, err)
				}
				if processors == 1 {
					first = d
				} else if d.Reason != face.ManyFaces && !mapsEqual(first.Scores, d.Scores) {
					t.Errorf("scores depend on the processors: %v, %v", first.Scores, d.Scores)
				}
			}
			if _, has := first.Scores[ScoreSimilarity]; has && x.profile == nil {
				t.Errorf("similar to nobody: %v", first.Scores)
			}
		})
	}
}

func mapsEqual(a, b map[string]float64) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// TestThreshold checks similarities on both sides of the option's.
func TestThreshold(t *testing.T) {
	c, e := honest(t)
	for _, x := range []struct {
		name string
		add  float64
		want face.Reason
	}{
		{"just enough", 1e-6, face.Verified}, {"hardly too little", -1e-6, face.OtherPerson},
		{"not a number", math.NaN(), face.OtherPerson}, {"infinitely little", math.Inf(-1), face.OtherPerson},
	} {
		k := checker(&fake{}, 1)
		p := &face.Profile{Template: make(face.Template, 8)}
		p.Template[1] = float32(k.o.Similarity + x.add)
		d, err := k.Decide(t.Context(), c, e, p)
		if err != nil || d.Reason != x.want {
			t.Errorf("%s: %q, want %q: %v, %v", x.name, d.Reason, x.want, d.Scores, err)
		}
		if _, err := json.Marshal(d.Scores); err != nil {
			t.Errorf("%s: the audit trail cannot hold the scores: %v", x.name, err)
		}
	}
}

// TestSameWork checks that the engine is asked the same whether there is
// somebody to compare with or not.
func TestSameWork(t *testing.T) {
	c, e := honest(t)
	var finds, describes [2]int64
	for i, p := range []*face.Profile{nil, profile(1)} {
		f := &fake{}
		if _, err := checker(f, 2).Decide(t.Context(), c, e, p); err != nil {
			t.Fatal(err)
		}
		finds[i], describes[i] = f.finds.Load(), f.describes.Load()
	}
	if finds[0] != finds[1] || describes[0] != describes[1] || describes[0] != groups {
		t.Errorf("searched %v frames, described %v", finds, describes)
	}
}

// TestEngineFails checks that an engine's fault is an error, no decision.
func TestEngineFails(t *testing.T) {
	c, e := honest(t)
	fault := errors.New("no engine")
	fail := func(context.Context) error { return fault }
	for name, x := range map[string]struct {
		engine  *fake
		profile *face.Profile
		want    error
	}{
		"find":     {&fake{find: fail}, profile(1), fault},
		"describe": {&fake{describe: fail}, profile(1), fault},
		"template": {&fake{}, &face.Profile{Template: make(face.Template, 5)}, nil},
	} {
		d, err := checker(x.engine, 2).Decide(t.Context(), c, e, x.profile)
		if err == nil || x.want != nil && !errors.Is(err, x.want) || d.Scores != nil {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
}

// TestBusy lets one decision hang in the engine: the next waits as long as the
// options say and is told, and gets its turn where the first ends in time.
func TestBusy(t *testing.T) {
	c, e := honest(t)
	for _, x := range []struct {
		name string
		took func(wait time.Duration) time.Duration // of the first
		want error
	}{
		{"too long", func(wait time.Duration) time.Duration { return wait + 1 }, ErrBusy},
		{"in time", func(wait time.Duration) time.Duration { return wait - 1 }, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang := make(chan struct{})
				f := &fake{find: func(context.Context) error { <-hang; return nil }}
				k := checker(f, 1)
				var wg sync.WaitGroup
				wg.Go(func() {
					if d, err := k.Decide(t.Context(), c, e, profile(1)); err != nil || d.Reason != face.Verified {
						t.Errorf("the first: %q, %v", d.Reason, err)
					}
				})
				synctest.Wait()
				time.AfterFunc(x.took(k.o.Wait), func() { close(hang) })
				begun := time.Now()
				_, err := k.Decide(t.Context(), c, e, profile(1))
				if !errors.Is(err, x.want) || x.want != nil && !errors.Is(err, face.ErrUnavailable) {
					t.Errorf("the second: %v, want %v", err, x.want)
				}
				if x.want != nil && time.Since(begun) != k.o.Wait {
					t.Errorf("told after %v, want %v", time.Since(begun), k.o.Wait)
				}
				wg.Wait()
				if len(k.slots) != 0 {
					t.Errorf("%d slots are taken", len(k.slots))
				}
			})
		})
	}
}

// TestBadTimingIsFree checks that a scan whose times are wrong needs no slot.
func TestBadTimingIsFree(t *testing.T) {
	c, e := honest(t)
	f := &fake{}
	k := checker(f, 1)
	k.slots <- struct{}{}
	e.Frames[5].At = -1
	d, err := k.Decide(t.Context(), c, e, profile(1))
	if err != nil || d.Reason != face.BadTiming || f.finds.Load() != 0 {
		t.Errorf("%q, %v, %d frames searched", d.Reason, err, f.finds.Load())
	}
}

// TestCancelled gives up a decision at each of its calls of the engine: it ends
// with the context's error, soon, and leaves its slot.
func TestCancelled(t *testing.T) {
	c, e := honest(t)
	whole := &fake{}
	if _, err := checker(whole, 1).Decide(t.Context(), c, e, profile(1)); err != nil {
		t.Fatal(err)
	}
	calls := int(whole.finds.Load() + whole.describes.Load())
	for _, processors := range []int{1, 3} {
		for at := range calls {
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			n := 0
			count := func(ctx context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				if n++; n == at+1 {
					cancel()
				}
				return ctx.Err()
			}
			k := checker(&fake{find: count, describe: count}, processors)
			d, err := k.Decide(ctx, c, e, profile(1))
			if !errors.Is(err, context.Canceled) || d.Scores != nil {
				t.Errorf("given up at call %d: %v, %v", at, d, err)
			}
			if len(k.slots) != 0 || n > at+processors {
				t.Errorf("given up at call %d: %d slots taken, %d calls", at, len(k.slots), n)
			}
			cancel()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := checker(&fake{}, 1).Decide(ctx, c, e, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("given up before: %v", err)
	}
}

// TestManyAtOnce decides scans of two people at once: none gets the other's
// answer, and no more than the options say are under way.
func TestManyAtOnce(t *testing.T) {
	c, e := honest(t)
	theirs := filmed(t, c, c, func(_, _ int, p *pose) { p.person = 2 })
	var mu sync.Mutex
	running, most := 0, 0
	f := &fake{find: func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		running++
		most = max(most, running)
		return nil
	}, describe: func(context.Context) error { return nil }}
	o := DefaultOptions()
	o.Processors, o.AtOnce, o.Wait = 2, 2, time.Hour
	k := New(&leaving{f, func() { mu.Lock(); running--; mu.Unlock() }}, o)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			scan, holder := e, 1
			if i%2 == 1 {
				scan, holder = theirs, 2
			}
			want, who := face.Verified, profile(holder)
			if i%4 > 1 {
				want, who = face.OtherPerson, profile(3-holder)
			}
			if d, err := k.Decide(t.Context(), c, scan, who); err != nil || d.Reason != want {
				t.Errorf("scan %d: %q, want %q: %v", i, d.Reason, want, err)
			}
		})
	}
	wg.Wait()
	if most > o.Processors*o.AtOnce {
		t.Errorf("%d frames were searched at once, at most %d may be", most, o.Processors*o.AtOnce)
	}
}

// leaving tells when a search is over.
type leaving struct {
	*fake
	left func()
}

func (l *leaving) Find(ctx context.Context, p *face.Picture) ([]face.Found, error) {
	defer l.left()
	return l.fake.Find(ctx, p)
}

// TestLargeFrames checks that a frame beyond the limits is not decoded.
func TestLargeFrames(t *testing.T) {
	encoded := func(encode func(*bytes.Buffer, image.Image) error, w, h int) []byte {
		var b bytes.Buffer
		if err := encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	asJPEG := func(b *bytes.Buffer, m image.Image) error { return jpeg.Encode(b, m, nil) }
	asPNG := func(b *bytes.Buffer, m image.Image) error { return png.Encode(b, m) }
	side := 1280
	if side*side != limits.Pixels || limits.Passes != 10 {
		t.Fatal("the limit is another")
	}
	small := encoded(asJPEG, 64, 64)
	for _, x := range []struct {
		name    string
		data    []byte
		decoded bool
	}{
		{"JPEG, just small enough", encoded(asJPEG, side, side), true},
		{"JPEG, a row too many", encoded(asJPEG, side, side+1), false},
		{"PNG, a row too many", encoded(asPNG, side, side+1), false},
		{"just short enough", append(small, make([]byte, limits.Bytes-len(small))...), true},
		{"a byte too many", append(small, make([]byte, limits.Bytes-len(small)+1)...), false},
	} {
		f := &fake{}
		s, _, err := checker(f, 1).shot(t.Context(), face.Frame{Step: 3, JPEG: x.data}, face.Rect{})
		if err != nil || s.Step != 3 || s.Faces != 0 || (f.finds.Load() == 1) != x.decoded {
			t.Errorf("%s: step %d, %d faces, searched %d times, %v", x.name, s.Step, s.Faces, f.finds.Load(), err)
		}
	}
}

// TestSplit checks that runs cover all frames in order, within one step and no
// longer than a face's place holds.
func TestSplit(t *testing.T) {
	var frames []face.Frame
	for step, n := range []int{1, known, known + 1, 3 * known, 2} {
		for range n {
			frames = append(frames, face.Frame{Step: step})
		}
	}
	next := 0
	for _, r := range split(frames) {
		if r.from != next || r.to <= r.from || r.to-r.from > known || frames[r.from].Step != frames[r.to-1].Step {
			t.Errorf("run %v after %d", r, next)
		}
		next = r.to
	}
	if next != len(frames) {
		t.Errorf("runs end at %d of %d", next, len(frames))
	}
}
