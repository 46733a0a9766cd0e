package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/directory"
	"latchkey/internal/face"
	"latchkey/internal/face/attacks"
	"latchkey/internal/face/engine"
	"latchkey/internal/face/scan"
	"latchkey/internal/face/simulate"
	"latchkey/internal/unlock/unlocktest"
)

// BenchmarkScan is how long a person waits for the decision of a scan: from the
// end of the last colour until the service has answered over HTTP, frames sent
// and photo on record included. The scan itself goes by the clock. decide-ms is
// the same decision without the service.
func BenchmarkScan(b *testing.B) {
	e, err := engine.Open(engine.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	people, err := attacks.Cast(b.Context(), e)
	if err != nil {
		b.Fatal(err)
	}
	film := &film{Checker: scan.New(e, scan.DefaultOptions()), people: people[:1], random: rand.New(rand.NewPCG(1, 1))}
	x := unlocktest.New(b, unlocktest.Options{Face: film})
	c := newScanner(b, x, film, people[0].Profile.Photo)
	var waits, decisions []time.Duration
	for b.Loop() {
		wait, err := c.scan(b.Context(), film)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if _, err := film.Decide(b.Context(), film.challenge, film.evidence, &people[0].Profile); err != nil {
			b.Fatal(err)
		}
		waits, decisions = append(waits, wait), append(decisions, time.Since(began))
	}
	report(b, "wait", waits, "decide", decisions)
}

// film is a checker that has a person filmed as soon as a scan is drawn.
type film struct {
	*scan.Checker
	people    []attacks.Person
	random    *rand.Rand
	challenge face.Challenge
	evidence  face.Evidence
}

func (f *film) Draw(ctx context.Context) (face.Challenge, error) {
	c, err := f.Checker.Draw(ctx)
	if err != nil {
		return c, err
	}
	k := attacks.Scenarios()[0].Make(f.random, f.people, c, c)
	f.challenge = c
	f.evidence, err = simulate.Scan(f.random, c, k.Subject, k.Room, k.Camera)
	return c, err
}

// newScanner is a client whose holder has a photo on record.
func newScanner(b *testing.B, x *unlocktest.Installation, checker directory.PhotoChecker, photo []byte) *client {
	c := newClient(b, x, 0)
	folder := b.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "1001.jpg"), photo, 0o600); err != nil {
		b.Fatal(err)
	}
	refused := directory.EnrolOptions{Refused: func(r directory.RefusedPhoto) { b.Error(r.Problem.What()) }}
	if _, err := x.Dir.EnrolPhotos(b.Context(), x.DB, checker, folder, refused); err != nil {
		b.Fatal(err)
	}
	return c
}

// scan goes through a session until the holder is verified, and gives the time
// from the end of the last colour on.
func (c *client) scan(ctx context.Context, f *film) (time.Duration, error) {
	_, started, err := c.start(ctx)
	if err != nil {
		return 0, err
	}
	who := api.Credentials{ID: started.ID, Token: started.Token}
	s, err := c.api.StartFace(ctx, who, api.FaceRequest{Address: unlocktest.Mobile, Consent: true})
	if err != nil {
		return 0, err
	}
	var frames []api.FaceFrame
	for _, x := range f.evidence.Frames {
		frames = append(frames, api.FaceFrame{Step: x.Step + 1, Milliseconds: int(x.At.Milliseconds()), JPEG: x.JPEG})
	}
	var ended time.Time
	for step := s.Step; step.Number > 0; {
		time.Sleep(time.Duration(step.Milliseconds) * time.Millisecond)
		ended = time.Now()
		var of []api.FaceFrame
		for _, x := range frames {
			if x.Step == step.Number {
				of = append(of, x)
			}
		}
		if step, err = c.api.FaceStep(ctx, who, api.FaceStepDone{Scan: s.Scan, Number: step.Number, Digest: api.FramesDigest(of)}); err != nil {
			return 0, err
		}
	}
	session, err := c.api.SendFaces(ctx, who, api.FaceFrames{Scan: s.Scan, Frames: frames})
	took := time.Since(ended)
	if err == nil && session.State != api.StateVerified {
		err = fmt.Errorf("not verified: %+v", session)
	}
	return took, err
}
