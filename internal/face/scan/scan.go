// Package scan draws scans of a face and decides them with an engine: our own
// face.Checker.
//
// What the page must do. It fills its whole window with a step's colour and
// nothing else, at full brightness. Where the camera lets it, it locks
// exposure, white balance and focus after the first second of the neutral
// screen. What it shows of the camera is mirrored; what it sends is not. It
// takes up to six frames of a colour step, twice as many of a turn, evenly over
// the step's length and not all at its beginning: light needs up to 300 ms from
// the screen into a frame. Milliseconds are counted from the moment the colour
// was painted, each frame's from when it was taken off the camera, growing
// within a step. 480 x 360 pixels are enough, the eyes an eighth to a quarter of
// the width apart; JPEG quality 80. It keeps a step's colour until the next is
// told, and ends a step no earlier than its length.
//
// It promises: one frame in memory for each processor and running decision; a
// decision that cannot begin within Options.Wait fails with ErrBusy; the same
// work whether there is somebody to compare with or not.
package scan

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"latchkey/internal/face"
	"latchkey/internal/face/liveness"
	"latchkey/internal/face/picture"
)

// ErrBusy: too many scans are being decided. It is face.ErrUnavailable too.
var ErrBusy = fmt.Errorf("%w at the moment: too many scans at once", face.ErrUnavailable)

// Options of a checker.
type Options struct {
	// Similarity is the least cosine similarity with the profile photo. 0:
	// 0.539, at which one pair in 10,000 of two people was taken for one (FMR
	// 0.01 %, Labeled Faces in the Wild).
	Similarity float64
	Policy     liveness.Policy
	AtOnce     int           // decisions at once; 0: one for every two processors
	Wait       time.Duration // most for a decision to begin; 0: 5 s
	Processors int           // for one decision; 0: all
	Random     io.Reader     // nil: crypto/rand. Safe for concurrent use
}

// DefaultOptions are those that docs/face.md was counted with.
func DefaultOptions() Options {
	return Options{Similarity: 0.539, Policy: liveness.Default(), Wait: 5 * time.Second}
}

// Checker draws and decides scans.
type Checker struct {
	engine face.Engine
	o      Options
	slots  chan struct{}
	table  [256]float64
}

var _ face.Checker = (*Checker)(nil)

// New makes a checker. The engine remains the caller's to close.
func New(engine face.Engine, o Options) *Checker {
	if o.Similarity == 0 {
		o.Similarity = DefaultOptions().Similarity
	}
	if o.Wait == 0 {
		o.Wait = DefaultOptions().Wait
	}
	if o.Policy == (liveness.Policy{}) {
		o.Policy = liveness.Default()
	}
	if o.Processors < 1 {
		o.Processors = runtime.GOMAXPROCS(0)
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.AtOnce < 1 {
		o.AtOnce = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Checker{engine: engine, o: o, slots: make(chan struct{}, o.AtOnce), table: liveness.LightTable()}
}

// Model names the engine's embedder.
func (c *Checker) Model() string { return c.engine.Model() }

// Draw draws a turn of the head and eight colours.
func (c *Checker) Draw(context.Context) (face.Challenge, error) { return DrawFrom(c.o.Random) }

// Photo says whether a picture is a good profile photo, and its template.
func (c *Checker) Photo(ctx context.Context, data []byte) (face.Template, face.Reason, error) {
	p, err := picture.Decode(data)
	if err != nil {
		return nil, face.NoFace, err
	}
	found, err := c.engine.Find(ctx, p)
	if err != nil {
		return nil, face.NoFace, fmt.Errorf("find the face of a photo: %w", err)
	}
	if reason, _ := picture.Quality(p, found); reason != face.Verified {
		return nil, reason, nil
	}
	t, err := c.engine.Describe(ctx, p, found[0])
	if err != nil {
		return nil, face.NoFace, fmt.Errorf("describe the face of a photo: %w", err)
	}
	return t, face.Verified, nil
}

// enter waits for a slot.
func (c *Checker) enter(ctx context.Context) error {
	wait, cancel := context.WithTimeoutCause(ctx, c.o.Wait, ErrBusy)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-wait.Done():
		if err := context.Cause(wait); errors.Is(err, ErrBusy) {
			return ErrBusy
		}
		return ctx.Err()
	}
}

func (c *Checker) leave() { <-c.slots }
