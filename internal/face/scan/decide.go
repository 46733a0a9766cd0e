package scan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"latchkey/internal/face"
	"latchkey/internal/face/liveness"
	"latchkey/internal/face/picture"
)

// ScoreSimilarity is the score of the comparison with the profile photo.
const ScoreSimilarity = "similarity"

// groups is into how many parts in time a scan is divided to compare one frame,
// drawn when all are fixed, of each: the turn with the way back, and every two
// colours.
const groups = 5

// limits of a frame. A page's canvas makes JPEGs of one pass; those of many
// would take several times as long, and take them from others.
var limits = picture.Limits{Bytes: 150 << 10, Pixels: 1280 * 1280, Passes: 10}

// Decide decides a scan. Its error is ErrBusy, the context's, or the engine's.
func (c *Checker) Decide(ctx context.Context, ch face.Challenge, e face.Evidence, profile *face.Profile) (face.Decision, error) {
	if r := liveness.CheckTiming(c.o.Policy, ch, e); r != face.Verified {
		return face.Decision{Reason: r, Scores: map[string]float64{liveness.ScoreFrames: float64(len(e.Frames))}}, nil
	}
	if err := c.enter(ctx); err != nil {
		return face.Decision{}, err
	}
	defer c.leave()
	shots, found, err := c.look(ctx, e.Frames)
	if err != nil {
		return face.Decision{}, err
	}
	if r := liveness.CheckPictures(c.o.Policy, shots); r != face.Verified {
		return face.Decision{Reason: r, Scores: map[string]float64{liveness.ScoreFrames: float64(len(shots))}}, nil
	}
	templates, err := c.describe(ctx, ch, e.Frames, found)
	if err != nil {
		return face.Decision{}, err
	}
	d := liveness.Judge(c.o.Policy, ch, e.Windows, shots, leastSame(templates))
	similarity, err := likeness(templates, profile)
	if err != nil {
		return face.Decision{}, err
	}
	if profile != nil {
		d.Scores[ScoreSimilarity] = similarity
	}
	if d.Reason == face.Verified && (profile == nil || !(similarity >= c.o.Similarity)) {
		d.Reason = face.OtherPerson
	}
	return d, nil
}

// marker is an engine that finds the landmarks of a face whose place is known,
// several times as fast as it finds faces.
type marker interface {
	Mark(ctx context.Context, p *face.Picture, box face.Rect) (face.Found, error)
}

// known is for how many frames of one step the place of a face holds.
const known = 4

// errStop ends the work on the frames that are left.
var errStop = errors.New("decided")

// look measures every frame, several at once. Of the frames of one step the
// first is searched for faces, and every fourth. It stops at a second face: no
// frame after it changes the decision.
func (c *Checker) look(ctx context.Context, frames []face.Frame) ([]liveness.Shot, []face.Found, error) {
	shots, found := make([]liveness.Shot, len(frames)), make([]face.Found, len(frames))
	done := make([]bool, len(frames))
	runs := split(frames)
	err := c.each(ctx, len(runs), func(ctx context.Context, k int) error {
		var place face.Rect
		for i := runs[k].from; i < runs[k].to; i++ {
			shot, f, err := c.shot(ctx, frames[i], place)
			if err != nil {
				return err
			}
			shots[i], found[i], place = shot, f, f.Box
			done[i] = true
			if shot.Faces > 1 {
				return errStop
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, nil, err
	}
	if err != nil {
		var only []liveness.Shot
		for i, s := range shots {
			if done[i] {
				only = append(only, s)
			}
		}
		return only, nil, nil
	}
	return shots, found, nil
}

// run is a part of the frames: from, and before to.
type run struct{ from, to int }

// split divides frames into runs of one step.
func split(frames []face.Frame) []run {
	var out []run
	for i, f := range frames {
		if n := len(out); n == 0 || frames[out[n-1].from].Step != f.Step || i-out[n-1].from == known {
			out = append(out, run{i, i + 1})
			continue
		}
		out[len(out)-1].to = i + 1
	}
	return out
}

// shot measures one frame. With a place the face is taken to be there still.
func (c *Checker) shot(ctx context.Context, f face.Frame, place face.Rect) (liveness.Shot, face.Found, error) {
	none := liveness.Shot{Step: f.Step, At: f.At, Texture: math.NaN()}
	if err := ctx.Err(); err != nil {
		return none, face.Found{}, err
	}
	p, err := picture.DecodeWithin(f.JPEG, limits)
	if err != nil { // no picture, no face
		return none, face.Found{}, nil
	}
	var all []face.Found
	if m, ok := c.engine.(marker); ok && place.W > 0 {
		all = make([]face.Found, 1)
		all[0], err = m.Mark(ctx, p, place)
	} else {
		all, err = c.engine.Find(ctx, p)
	}
	if err != nil {
		return none, face.Found{}, fmt.Errorf("find the face of a frame: %w", err)
	}
	s := measure(p, all, &c.table)
	s.Step, s.At = f.Step, f.At
	if s.Faces == 0 {
		return s, face.Found{}, nil
	}
	return s, all[0], nil
}

// each calls work for 0 to n-1, on the processors of one decision, until one
// fails. It gives that error.
func (c *Checker) each(parent context.Context, n int, work func(context.Context, int) error) error {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(c.o.Processors, n) {
		wg.Go(func() {
			for i := range next {
				if err := work(ctx, i); err != nil {
					stop(err)
				}
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// describe makes the template of one random frame of each group that has a face
// in it. The frames are decoded again: so few are needed that keeping all of
// them is not worth the memory.
func (c *Checker) describe(ctx context.Context, ch face.Challenge, frames []face.Frame, found []face.Found) ([]face.Template, error) {
	var sets [groups][]int
	for i, f := range frames {
		if found[i].Box.W > 0 {
			g := group(ch, f.Step)
			sets[g] = append(sets[g], i)
		}
	}
	var chosen []int
	for _, s := range sets {
		if len(s) == 0 {
			continue
		}
		k, err := pick(c.o.Random, len(s))
		if err != nil {
			return nil, fmt.Errorf("draw a frame: %w", err)
		}
		chosen = append(chosen, s[k])
	}
	if len(chosen) < groups { // a part of the scan without a face
		return nil, nil
	}
	templates := make([]face.Template, len(chosen))
	err := c.each(ctx, len(chosen), func(ctx context.Context, k int) error {
		p, err := picture.DecodeWithin(frames[chosen[k]].JPEG, limits)
		if err != nil {
			return fmt.Errorf("decode a frame: %w", err)
		}
		t, err := c.engine.Describe(ctx, p, found[chosen[k]])
		if err != nil {
			return fmt.Errorf("describe the face of a frame: %w", err)
		}
		templates[k] = t
		return nil
	})
	return templates, err
}

// group is the part of the scan that a step belongs to.
func group(ch face.Challenge, step int) int { return step * groups / len(ch.Steps) }

// leastSame is the smallest similarity between any two templates; -1 of none.
func leastSame(ts []face.Template) float64 {
	if len(ts) == 0 {
		return -1
	}
	least := 1.0
	for i := range ts {
		for j := range i {
			least = min(least, cosine(ts[i], ts[j]))
		}
	}
	return least
}

// likeness is the mean similarity of templates with the profile's, -1 where it
// is no number. Without a profile the same sums are made with a template of
// nobody.
func likeness(ts []face.Template, profile *face.Profile) (float64, error) {
	if len(ts) == 0 {
		return -1, nil
	}
	other := make(face.Template, len(ts[0]))
	if profile != nil {
		other = profile.Template
	}
	sum := 0.0
	for _, t := range ts {
		if len(t) != len(other) {
			return 0, fmt.Errorf("the profile's template has %d numbers, the engine's %d", len(other), len(t))
		}
		sum += cosine(t, other) / float64(len(ts))
	}
	if !finite(sum) {
		return -1, nil
	}
	return sum, nil
}

func cosine(a, b face.Template) float64 {
	sum := 0.0
	for i := range min(len(a), len(b)) {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}
