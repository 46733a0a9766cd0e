package evaluate

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"latchkey/internal/face"
	"latchkey/internal/face/picture"
)

// Result is what came of a list of pairs.
type Result struct {
	*Curve
	Pictures  int // different ones
	NoFace    int // of them without a face
	Same, Two int // pairs
}

// Options of Run.
type Options struct {
	Read     func(name string) ([]byte, error) // gives a picture's file
	Workers  int                               // pictures worked on at once
	Progress func(done, all int)               // told after each picture, one call at a time
}

// PictureError says which picture can't be used.
type PictureError struct {
	Name string
	Err  error
}

func (e *PictureError) Error() string { return fmt.Sprintf("%s: %v", e.Name, e.Err) }
func (e *PictureError) Unwrap() error { return e.Err }

// Run describes every picture once, by its main face, and compares the
// pairs. Its error is a *PictureError, or the engine's.
func Run(ctx context.Context, e face.Engine, pairs []Pair, o Options) (*Result, error) {
	templates := map[string]face.Template{}
	var names []string
	for _, p := range pairs {
		for _, n := range []string{p.A, p.B} {
			if _, ok := templates[n]; !ok {
				templates[n] = nil
				names = append(names, n)
			}
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	var lock sync.Mutex
	next := make(chan string)
	done := 0
	for range max(o.Workers, 1) {
		wait.Go(func() {
			for name := range next {
				t, err := describe(ctx, e, name, o.Read)
				lock.Lock()
				if err != nil {
					cancel(err)
				}
				templates[name] = t
				if done++; o.Progress != nil {
					o.Progress(done, len(names))
				}
				lock.Unlock()
			}
		})
	}
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		next <- name
	}
	close(next)
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	r := &Result{Pictures: len(names)}
	for _, t := range templates {
		if t == nil {
			r.NoFace++
		}
	}
	var genuine, impostor []float64
	for _, p := range pairs {
		s := float64(Missing)
		if a, b := templates[p.A], templates[p.B]; a != nil && b != nil {
			s = a.Similarity(b)
		}
		if p.Same {
			genuine = append(genuine, s)
		} else {
			impostor = append(impostor, s)
		}
	}
	r.Same, r.Two = len(genuine), len(impostor)
	r.Curve = NewCurve(genuine, impostor)
	return r, nil
}

// describe gives the template of a picture's main face, nil where there is none.
func describe(ctx context.Context, e face.Engine, name string, read func(string) ([]byte, error)) (face.Template, error) {
	data, err := read(name)
	if err != nil {
		return nil, &PictureError{name, err}
	}
	p, err := picture.Decode(data)
	if err != nil {
		return nil, &PictureError{name, err}
	}
	found, err := e.Find(ctx, p)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return e.Describe(ctx, p, subject(p, found))
}

// subject is the face that a picture is of: large and in the middle. Collections
// of pictures have people in the background.
func subject(p *face.Picture, found []face.Found) face.Found {
	return slices.MaxFunc(found, func(a, b face.Found) int { return cmp.Compare(prominence(p, a), prominence(p, b)) })
}

func prominence(p *face.Picture, f face.Found) float64 {
	x := (f.Box.X+f.Box.W/2)/float32(p.W) - 0.5
	y := (f.Box.Y+f.Box.H/2)/float32(p.H) - 0.5
	return math.Sqrt(float64(f.Box.W*f.Box.H)) * (1 - math.Hypot(float64(x), float64(y)))
}
