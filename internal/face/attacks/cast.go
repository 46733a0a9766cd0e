// Package attacks lets simulated people and attackers through whole scans, with
// the real engine and real pixels, and counts who is verified. Its table in
// docs/face.md is written by internal/face/attacks/report.
package attacks

import (
	"context"
	"errors"
	"fmt"

	"latchkey/internal/face"
	"latchkey/internal/face/facetest"
	"latchkey/internal/face/liveness"
	"latchkey/internal/face/picture"
	"latchkey/internal/face/simulate"
)

// Person is somebody to scan, and what is held of them.
type Person struct {
	Name    string
	Head    *simulate.Head
	Profile face.Profile
}

// Cast takes the people who look ahead out of the sample pictures. Their profile
// photo is the same picture: how alike a person is to their own photo is too
// good therefore, how unlike two people are is not.
func Cast(ctx context.Context, engine face.Engine) ([]Person, error) {
	var people []Person
	for _, name := range facetest.Names() {
		f, err := facetest.ReadFace(name)
		if err != nil {
			return nil, err
		}
		p, err := cast(ctx, engine, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if p != nil {
			people = append(people, *p)
		}
	}
	if len(people) < 4 {
		return nil, fmt.Errorf("%d people look ahead in the sample pictures, at least 4 are needed", len(people))
	}
	return people, nil
}

// cast makes a person of a face, nil where it does not look ahead.
func cast(ctx context.Context, engine face.Engine, f *facetest.Face) (*Person, error) {
	photo, err := picture.Decode(f.Photo)
	if err != nil {
		return nil, err
	}
	found, err := engine.Find(ctx, photo)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("no face on the photo")
	}
	if !ahead(&found[0].Landmarks) {
		return nil, nil
	}
	t, err := engine.Describe(ctx, photo, found[0])
	if err != nil {
		return nil, err
	}
	head, err := simulate.NewHead(photo, &found[0].Landmarks)
	if err != nil {
		return nil, err
	}
	return &Person{Name: f.Name, Head: head, Profile: face.Profile{Photo: f.Photo, Template: t}}, nil
}

// ahead says whether a face looks into the camera, within about ten degrees: its
// nose is in the middle between the eyes, and so are they between the ears.
func ahead(l *[68]face.Point) bool {
	axes, ok := liveness.FaceAxes(l)
	if !ok {
		return false
	}
	place := func(i int) float64 { return axes.Place(float64(l[i].X), float64(l[i].Y)).X }
	nose, ears := place(30), place(0)+place(16)
	return -0.14 < nose && nose < 0.14 && -0.42 < ears && ears < 0.42
}
