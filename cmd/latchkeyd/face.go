package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"latchkey/internal/face"
	"latchkey/internal/face/engine"
	"latchkey/internal/face/evaluate"
	"latchkey/internal/face/picture"
	"latchkey/internal/problem"
)

type faceCommand struct {
	Check         faceCheck    `cmd:"" help:"Say whether pictures are good profile photos."`
	Compare       faceCompare  `cmd:"" help:"Say how similar the faces on two pictures are."`
	Evaluate      faceEvaluate `cmd:"" help:"Measure how well faces are told apart, over pairs of pictures of your own."`
	photoCommands `embed:""`
}

// engine opens the face models that the configuration names.
func (s shared) engine() (engine.Engine, error) {
	c, err := s.load()
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(engine.Options{Folder: c.FaceModels, Runtime: c.FaceRuntime})
	var wrong *engine.ModelError
	switch {
	case errors.Is(err, face.ErrUnavailable):
		return nil, problem.Wrap(problem.FaceUnavailable, err)
	case errors.As(err, &wrong):
		return nil, problem.Wrap(problem.FaceModels, err)
	}
	return e, err
}

// look is what was found on a picture.
type look struct {
	picture *face.Picture
	found   []face.Found
}

// lookAt reads a picture and finds its faces.
func lookAt(ctx context.Context, e face.Engine, name string) (look, error) {
	data, err := readPicture(name)
	if err != nil {
		return look{}, problem.Wrap(problem.FaceFile, err)
	}
	p, err := picture.Decode(data)
	if err != nil {
		return look{}, problem.Wrap(problem.FacePicture, fmt.Errorf("%s: %w", name, err))
	}
	found, err := e.Find(ctx, p)
	return look{p, found}, err
}

// readPicture reads no more of a file than a picture may have.
func readPicture(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, picture.MostBytes+1))
}

type faceCheck struct {
	Files []string `arg:"" help:"Pictures (JPEG or PNG)."`
}

// Run checks all pictures, whatever is the matter with one of them.
func (c faceCheck) Run(ctx context.Context, s shared) error {
	e, err := s.engine()
	if err != nil {
		return err
	}
	defer e.Close()
	bad := 0
	for _, name := range c.Files {
		l, err := lookAt(ctx, e, name)
		if p := problem.From(err); err != nil && p.Code != problem.Internal {
			bad++
			fmt.Fprintf(s.out, "%s: %s %s (%v)\n", name, p.Code, p.Title, p.Cause)
			continue
		} else if err != nil {
			return err
		}
		reason, m := picture.Quality(l.picture, l.found)
		if reason != face.Verified {
			bad++
			fmt.Fprintf(s.out, "%s: %s. %s\n", name, reason, advice[reason])
		} else {
			fmt.Fprintf(s.out, "%s: good\n", name)
		}
		if m.Faces > 0 {
			fmt.Fprintf(s.out, "  eyes %.0f pixels apart, light %.0f of 255, white %.0f %%, detail %.2f, tilted %.0f degrees, turned %.2f, nodding %.2f\n",
				m.Eyes, m.Light, 100*m.Glare, m.Sharp, m.Roll, m.Yaw, m.Pitch)
		}
	}
	if bad > 0 {
		p := problem.New(problem.FaceNotGood)
		p.Detail = fmt.Sprintf("%d of %d pictures are not good profile photos.", bad, len(c.Files))
		return p
	}
	return nil
}

// advice says how to take a better picture.
var advice = map[face.Reason]string{
	face.NoFace:     "Take a picture of the face from the front.",
	face.ManyFaces:  "Take one of this person alone.",
	face.TooFar:     "Take it from nearer, or in a higher resolution.",
	face.TooClose:   "Take it from further away, so that the whole head is on it.",
	face.OffCentre:  "Take it with the face in the middle.",
	face.TooDark:    "Take it with more light from the front.",
	face.TooBright:  "Take it with less light.",
	face.Blurred:    "Take it with a steady camera and the face in focus.",
	face.Glare:      "Take it without a lamp or window that shines on the face or its glasses.",
	face.NotFrontal: "Take it with the head straight, looking into the camera.",
}

type faceCompare struct {
	A   string  `arg:"" help:"A picture (JPEG or PNG)."`
	B   string  `arg:"" help:"Another."`
	FMR float64 `name:"fmr" default:"0.0001" help:"How often two people may match: ${default} is 1 in 10,000."`
}

func (c faceCompare) Run(ctx context.Context, s shared) error {
	e, err := s.engine()
	if err != nil {
		return err
	}
	defer e.Close()
	var t [2]face.Template
	for i, name := range []string{c.A, c.B} {
		l, err := lookAt(ctx, e, name)
		if err != nil {
			return err
		}
		if len(l.found) == 0 {
			p := problem.New(problem.FaceNone)
			p.Detail = "No face was found on " + name + "."
			return p
		}
		if len(l.found) > 1 {
			fmt.Fprintf(s.err, "%s has %d faces: the largest is compared.\n", name, len(l.found))
		}
		if t[i], err = e.Describe(ctx, l.picture, l.found[0]); err != nil {
			return err
		}
	}
	similarity := t[0].Similarity(t[1])
	fmt.Fprintf(s.out, "Similarity: %.3f (-1 to 1)\n", similarity)
	reached := "more than " + oneIn(e.Manifest().Thresholds[0].FMR)
	for _, t := range e.Manifest().Thresholds {
		if similarity >= float64(t.Similarity) {
			reached = "fewer than " + oneIn(t.FMR)
		}
	}
	fmt.Fprintf(s.out, "Two different people are this similar in %s pairs of pictures.\n", reached)
	limit, ok := e.Manifest().Threshold(c.FMR)
	if !ok {
		fmt.Fprintf(s.err, "These models have no threshold for %s: the strictest is taken.\n", oneIn(c.FMR))
	}
	verdict := "Not the same person"
	if similarity >= float64(limit.Similarity) {
		verdict = "The same person"
	}
	_, err = fmt.Fprintf(s.out, "%s, by the threshold %.3f (%s).\n", verdict, limit.Similarity, oneIn(limit.FMR))
	return err
}

// oneIn says a small rate in words: 1 in 10,000.
func oneIn(rate float64) string {
	if !(rate > 0) {
		return "none"
	}
	digits := fmt.Sprintf("%.0f", 1/rate)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return "1 in " + digits
}

type faceEvaluate struct {
	Pairs  string  `arg:"" help:"List of pairs, one a line: two names of pictures, then 1 for the same person or 0 for two people."`
	Images string  `required:"" placeholder:"DIR" help:"Folder of the pictures."`
	SVG    string  `name:"svg" placeholder:"FILE" help:"Draw the curve into this file."`
	FMR    float64 `name:"fmr" default:"0.0001" help:"False match rate to give the threshold for."`
}

func (c faceEvaluate) Run(ctx context.Context, s shared) error {
	if !(c.FMR > 0 && c.FMR < 1) {
		return problem.Wrap(problem.FacePairs, errors.New("--fmr is between 0 and 1"))
	}
	list, err := os.Open(c.Pairs)
	if err != nil {
		return problem.Wrap(problem.FaceFile, err)
	}
	defer list.Close()
	pairs, err := evaluate.ReadPairs(list)
	if err != nil {
		return problem.Wrap(problem.FacePairs, err)
	}
	e, err := s.engine()
	if err != nil {
		return err
	}
	defer e.Close()
	last := time.Now()
	began := last
	r, err := evaluate.Run(ctx, e, pairs, evaluate.Options{
		Read: func(name string) ([]byte, error) {
			return readPicture(filepath.Join(c.Images, filepath.FromSlash(name)))
		},
		Workers: runtime.GOMAXPROCS(0),
		Progress: func(done, all int) {
			if now := time.Now(); now.Sub(last) > 2*time.Second && done < all {
				last = now
				fmt.Fprintf(s.err, "%d of %d pictures, about %v to go\n", done, all,
					(now.Sub(began) * time.Duration(all-done) / time.Duration(done)).Round(time.Second))
			}
		}})
	var unread *evaluate.PictureError
	if errors.As(err, &unread) {
		code := problem.FaceFile
		if errors.Is(err, picture.ErrFormat) || errors.Is(err, picture.ErrTooLarge) {
			code = problem.FacePicture
		}
		return problem.Wrap(code, err)
	}
	if err != nil {
		return err
	}
	if c.SVG != "" {
		var drawing bytes.Buffer
		if err := r.SVG(&drawing, "Faces told apart by "+e.Model()); err != nil {
			return err
		}
		if err := os.WriteFile(c.SVG, drawing.Bytes(), 0o644); err != nil {
			return problem.Wrap(problem.FaceFile, err)
		}
	}
	_, err = io.WriteString(s.out, c.report(e.Model(), r))
	return err
}

// report is what came of an evaluation.
func (c faceEvaluate) report(model string, r *evaluate.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Models: %s\nPictures: %d, of them %d without a face (their pairs match at no threshold)\nPairs: %d of the same person, %d of two people\n",
		model, r.Pictures, r.NoFace, r.Same, r.Two)
	rate, _ := r.EqualError()
	fmt.Fprintf(&b, "Equal error rate: %.2f %%\n\nFalse match   True accept rate          Threshold   Pairs of two people that match\n", 100*rate)
	rates := []float64{0.01, 0.001, 0.0001}
	if c.FMR != 0.01 && c.FMR != 0.001 && c.FMR != 0.0001 {
		rates = append(rates, c.FMR)
	}
	for _, fmr := range rates {
		p := r.At(fmr)
		fmt.Fprintf(&b, "%-13s %6.2f %% (%.1f to %.1f)   %8.3f   %d of %d%s\n", fmt.Sprintf("%.4g %%", 100*fmr),
			100*p.TAR, 100*p.Low, 100*p.High, p.Threshold, p.Impostors, r.Two, tooFew(p))
	}
	p := r.At(c.FMR)
	fmt.Fprintf(&b, "\nFor a false match rate of %s the threshold is %.3f. It stands on %.4g pairs of two people that match", oneIn(c.FMR), p.Threshold, p.Allowed)
	if p.Supported() {
		b.WriteString(".\n")
	} else {
		fmt.Fprintf(&b, ": too few.\nWith fewer than 30 the true rate can be far from this. %.0f pairs of two people are needed.\n", 30/c.FMR)
	}
	return b.String()
}

func tooFew(p evaluate.Point) string {
	if p.Supported() {
		return ""
	}
	return "  too few to tell"
}
