//go:build cgo

package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"latchkey/internal/face"
)

// engine runs the networks. A session may be run by many at once; a lane holds
// the inputs and outputs of one of them.
type engine struct {
	manifest                      Manifest
	detector, landmarks, embedder *session
	lanes                         chan *lane
	closing                       sync.Once
}

// start loads the networks into the runtime.
func start(s *set, l library, threads int) (Engine, error) {
	if err := l.load(); err != nil {
		return nil, err
	}
	e := &engine{manifest: s.Manifest, lanes: make(chan *lane, threads)}
	err := e.open(s, threads)
	if err != nil {
		e.destroy()
		return nil, err
	}
	return e, nil
}

func (e *engine) open(s *set, threads int) (err error) {
	if e.detector, err = openSession(s.detector, s.Detector.Network, 2, 4); err != nil {
		return &ModelError{"detector", err}
	}
	if e.landmarks, err = openSession(s.landmarks, s.Landmarks.Network, 2*68); err != nil {
		return &ModelError{"landmarks", err}
	}
	if e.embedder, err = openSession(s.embedder, s.Embedder.Network, anyWidth); err != nil {
		return &ModelError{"embedder", err}
	}
	for range threads {
		l := &lane{}
		e.lanes <- l
		if l.detector, err = e.detector.buffers(); err != nil {
			return &ModelError{"detector", err}
		}
		if l.landmarks, err = e.landmarks.buffers(); err != nil {
			return &ModelError{"landmarks", err}
		}
		if l.embedder, err = e.embedder.buffers(); err != nil {
			return &ModelError{"embedder", err}
		}
	}
	return nil
}

func (e *engine) Model() string { return e.manifest.Name }

func (e *engine) Manifest() Manifest { return e.manifest }

// take waits for a lane.
func (e *engine) take(ctx context.Context) (*lane, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case l, ok := <-e.lanes:
		if !ok {
			return nil, fmt.Errorf("%w: it is closed", face.ErrUnavailable)
		}
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *engine) Find(ctx context.Context, p *face.Picture) ([]face.Found, error) {
	if err := whole(p); err != nil {
		return nil, err
	}
	l, err := e.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { e.lanes <- l }()
	m := e.manifest.Detector.whole(p)
	e.manifest.Detector.fill(l.detector.in, p, m)
	if err := e.detector.run(l.detector); err != nil {
		return nil, err
	}
	found := e.manifest.Detector.faces(l.detector.out[0], l.detector.out[1], m)
	for i := range found {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := e.mark(l, p, &found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// mark finds a face's landmarks.
func (e *engine) mark(l *lane, p *face.Picture, f *face.Found) error {
	side := max(f.Box.W, f.Box.H)
	centre := face.Point{X: f.Box.X + f.Box.W/2, Y: f.Box.Y + f.Box.H/2 + side*e.manifest.Landmarks.Shift}
	m := e.manifest.Landmarks.square(centre, side*e.manifest.Landmarks.Grow)
	e.manifest.Landmarks.fill(l.landmarks.in, p, m)
	if err := e.landmarks.run(l.landmarks); err != nil {
		return err
	}
	for i := range f.Landmarks {
		x, y := l.landmarks.out[0][2*i], l.landmarks.out[0][2*i+1]
		f.Landmarks[i] = m.apply(x*float32(e.manifest.Landmarks.Width)-0.5, y*float32(e.manifest.Landmarks.Height)-0.5)
	}
	return nil
}

func (e *engine) Describe(ctx context.Context, p *face.Picture, f face.Found) (face.Template, error) {
	if err := whole(p); err != nil {
		return nil, err
	}
	l, err := e.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { e.lanes <- l }()
	m := similarity(e.manifest.Embedder.Template, five(&f.Landmarks))
	t := make(face.Template, len(l.embedder.out[0]))
	for pass := range 2 {
		if pass == 1 {
			if !e.manifest.Embedder.Mirror {
				break
			}
			last := float32(e.manifest.Embedder.Width - 1)
			m = affine{a: -m.a, b: m.b, c: m.c + m.a*last, d: -m.d, e: m.e, f: m.f + m.d*last}
		}
		e.manifest.Embedder.fill(l.embedder.in, p, m)
		if err := e.embedder.run(l.embedder); err != nil {
			return nil, err
		}
		if !addUnit(t, l.embedder.out[0]) {
			return nil, errors.New("the embedder gave no direction")
		}
	}
	u := make(face.Template, len(t))
	if !addUnit(u, t) {
		return nil, errors.New("the embedder gave no direction")
	}
	return u, nil
}

// Close waits for what is going on and gives the models' memory back. The
// runtime library stays: a process has one.
func (e *engine) Close() error {
	e.closing.Do(func() {
		for range cap(e.lanes) {
			(<-e.lanes).destroy()
		}
		close(e.lanes)
		e.destroy()
	})
	return nil
}

// destroy gives back what open has made.
func (e *engine) destroy() {
	for len(e.lanes) > 0 {
		(<-e.lanes).destroy()
	}
	for _, s := range []*session{e.detector, e.landmarks, e.embedder} {
		if s != nil {
			s.destroy()
		}
	}
}

// lane is the memory of one who runs the networks.
type lane struct{ detector, landmarks, embedder *buffers }

func (l *lane) destroy() {
	for _, b := range []*buffers{l.detector, l.landmarks, l.embedder} {
		if b != nil {
			b.destroy()
		}
	}
}
