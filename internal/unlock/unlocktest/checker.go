package unlocktest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/internal/directory"
	"latchkey/internal/face"
)

// jpegMagic begins every picture of tests, as it does JFIF files.
const jpegMagic = "\xff\xd8\xff\xe0"

// Picture is a picture that shows somebody, or "not live:" somebody, or, with
// "reason:", what is the matter with it.
func Picture(who string) []byte { return []byte(jpegMagic + who) }

// Checker is a face.Checker that looks at Pictures. Its own faults are set by
// tests. The zero value draws three steps.
type Checker struct {
	mu      sync.Mutex
	name    string
	faults  map[string]error // by method
	wait    func(ctx context.Context)
	page    string
	drawn   int
	decided int
	nobody  int // decisions with nobody to compare with
	photos  int
}

// Set changes a Checker under its lock.
func (c *Checker) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// SetModel changes the model.
func (c *Checker) SetModel(name string) { c.set(func() { c.name = name }) }

// SetPage makes it a provider with a page of its own.
func (c *Checker) SetPage(page string) { c.set(func() { c.page = page }) }

// Fail has "draw", "decide" or "photo" fail with an error; nil mends it.
func (c *Checker) Fail(what string, err error) {
	c.set(func() {
		if c.faults == nil {
			c.faults = map[string]error{}
		}
		c.faults[what] = err
	})
}

// Wait is called in each decision; nil: nothing is.
func (c *Checker) Wait(f func(ctx context.Context)) { c.set(func() { c.wait = f }) }

// Counts are how many scans were drawn and decided, those decided with nobody
// to compare with, and the photos that were looked at.
func (c *Checker) Counts() (drawn, decided, nobody, photos int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drawn, c.decided, c.nobody, c.photos
}

// Model implements face.Checker.
func (c *Checker) Model() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.name == "" {
		return "model-1"
	}
	return c.name
}

func (c *Checker) fault(what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults[what]
}

// Photo implements face.Checker.
func (c *Checker) Photo(_ context.Context, picture []byte) (face.Template, face.Reason, error) {
	c.set(func() { c.photos++ })
	if err := c.fault("photo"); err != nil {
		return nil, "", err
	}
	who := strings.TrimPrefix(string(picture), jpegMagic)
	if reason, bad := strings.CutPrefix(who, "reason:"); bad {
		return nil, face.Reason(reason), nil
	}
	return c.template(who), face.Verified, nil
}

// template is one of the model's own.
func (c *Checker) template(who string) face.Template {
	var t face.Template
	for _, b := range []byte(c.Model() + " " + who) {
		t = append(t, float32(b))
	}
	return t
}

// Draw implements face.Checker.
func (c *Checker) Draw(context.Context) (face.Challenge, error) {
	if err := c.fault("draw"); err != nil {
		return face.Challenge{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drawn++
	if c.page != "" {
		return face.Challenge{Session: fmt.Sprint("provider-", c.drawn), Page: c.page}, nil
	}
	return face.Challenge{Steps: []face.Step{
		{Turn: face.TurnLeft, Colour: face.Colour{R: 255, G: 255, B: 255}, Length: 1200 * time.Millisecond},
		{Colour: face.Colour{R: 255}, Length: 500 * time.Millisecond},
		{Colour: face.Colour{B: 255}, Length: 500 * time.Millisecond}}}, nil
}

// Decide implements face.Checker: the first frame says who is there.
func (c *Checker) Decide(ctx context.Context, _ face.Challenge, e face.Evidence, profile *face.Profile) (face.Decision, error) {
	var wait func(context.Context)
	c.set(func() {
		c.decided++
		if profile == nil {
			c.nobody++
		}
		wait = c.wait
	})
	if wait != nil {
		wait(ctx)
	}
	if err := c.fault("decide"); err != nil {
		return face.Decision{}, err
	}
	d := face.Decision{Scores: map[string]float64{"similarity": 0.25, "light": 0.9}}
	who := "nobody"
	if len(e.Frames) > 0 {
		who = strings.TrimPrefix(string(e.Frames[0].JPEG), jpegMagic)
	}
	if reason, bad := strings.CutPrefix(who, "reason:"); bad {
		d.Reason = face.Reason(reason)
		return d, nil
	}
	d.Reason = face.OtherPerson
	if profile != nil && (bytes.Equal(profile.Photo, Picture(who)) && fmt.Sprint(profile.Template) == fmt.Sprint(c.template(who))) {
		d.Reason, d.Scores["similarity"] = face.Verified, 0.75
	}
	return d, nil
}

// EnrolPhoto enrols a photo of whom for a holder.
func (x *Installation) EnrolPhoto(t testing.TB, c directory.PhotoChecker, staffNumber, who string) {
	t.Helper()
	folder := t.TempDir()
	check(t, os.WriteFile(filepath.Join(folder, staffNumber+".jpg"), Picture(who), 0o600))
	_, err := x.Dir.EnrolPhotos(t.Context(), x.DB, c, folder, directory.EnrolOptions{Replace: true, Refused: func(r directory.RefusedPhoto) {
		t.Errorf("%s: %s", r.File, r.Problem.What())
	}})
	check(t, err)
}
