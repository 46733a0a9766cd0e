// Package attacks lets simulated people and attackers through whole scans, with
// the real engine and real pixels, and counts who is verified. Its table in
// docs/face.md is written by internal/face/attacks/table.
package attacks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"

	"latchkey/internal/face"
	"latchkey/internal/face/facetest"
	"latchkey/internal/face/liveness"
	"latchkey/internal/face/picture"
	"latchkey/internal/face/simulate"
)

// Person is somebody to scan, and what is held of them.
type Person struct {
	Head    *simulate.Head
	Profile face.Profile
}

// smallest is the least distance of the eyes in pixels of a picture that a head
// is made of.
const smallest = 45

// Cast takes the people who look ahead out of the sample pictures, and makes
// their profile photos of the same pictures: how alike a person is to their own
// photo is too good therefore, how unlike two people are is not.
func Cast(ctx context.Context, engine face.Engine) ([]Person, error) {
	var people []Person
	for n := 1; n <= facetest.Samples; n++ {
		data, err := facetest.ReadSample(n)
		if err != nil {
			return nil, err
		}
		p, err := picture.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("sample %d: %w", n, err)
		}
		found, err := engine.Find(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("sample %d: %w", n, err)
		}
		for _, f := range found {
			if !ahead(&f.Landmarks) {
				continue
			}
			person, err := cast(ctx, engine, p, f)
			if err != nil {
				return nil, fmt.Errorf("sample %d: %w", n, err)
			}
			people = append(people, person)
		}
	}
	if len(people) < 4 {
		return nil, fmt.Errorf("%d people in the sample pictures, at least 4 are needed", len(people))
	}
	return people, nil
}

// ahead says whether a face is large enough and looks into the camera.
func ahead(l *[68]face.Point) bool {
	axes, ok := liveness.FaceAxes(l)
	if _, _, apart := liveness.Eyes(l); !ok || apart < smallest {
		return false
	}
	nose := axes.Place(float64(l[30].X), float64(l[30].Y))
	ears := axes.Place(float64(l[0].X), float64(l[0].Y)).X + axes.Place(float64(l[16].X), float64(l[16].Y)).X
	return math.Abs(nose.X) < 0.14 && math.Abs(ears) < 0.42
}

func cast(ctx context.Context, engine face.Engine, p *face.Picture, f face.Found) (Person, error) {
	head, err := simulate.NewHead(p, &f.Landmarks)
	if err != nil {
		return Person{}, err
	}
	photo, err := encode(head.Straight(400), 400)
	if err != nil {
		return Person{}, err
	}
	straight, err := picture.Decode(photo)
	if err != nil {
		return Person{}, err
	}
	found, err := engine.Find(ctx, straight)
	if err != nil {
		return Person{}, err
	}
	if len(found) == 0 {
		return Person{}, errors.New("no face on a profile photo")
	}
	t, err := engine.Describe(ctx, straight, found[0])
	if err != nil {
		return Person{}, err
	}
	return Person{Head: head, Profile: face.Profile{Photo: photo, Template: t}}, nil
}

func encode(rgb []byte, side int) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		img.Set(i%side, i/side, color.RGBA{rgb[3*i], rgb[3*i+1], rgb[3*i+2], 255})
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 92}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
