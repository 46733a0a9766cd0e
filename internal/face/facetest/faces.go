package facetest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"sync"
	"testing"

	"latchkey/internal/face"
)

// Face is one person's face, cut out of a sample.
type Face struct {
	Name string
	// Photo is a JPEG of 480 x 640 pixels like a profile photo: the face is half
	// as high as the picture. Found are its box and landmarks.
	Photo []byte
	Found face.Found
	// Frame is a JPEG of 640 x 480 pixels as a camera sees the same face before
	// a grey wall. FrameFound are its box and landmarks there.
	Frame      []byte
	FrameFound face.Found
}

// place says where a face is in a sample.
type place struct {
	name   string
	sample int
	x, y   float64 // centre in pixels
	height float64 // in pixels
	roll   float64 // in degrees, clockwise, that the crop is turned by
}

// places are eleven persons; Again is a second picture of the first.
var places = [...]place{
	{"ash", 3, 1186, 354, 292, 10},
	{"birch", 3, 690, 461, 289, 0},
	{"cedar", 3, 1593, 435, 265, -4},
	{"elm", 5, 1499, 520, 277, -8},
	{"fir", 5, 463, 1026, 278, -7},
	{"gorse", 5, 1196, 320, 223, 0},
	{"hazel", 5, 872, 216, 208, 8},
	{"ivy", 6, 1588, 413, 292, 12},
	{"juniper", 6, 364, 619, 276, -6},
	{"larch", 6, 759, 472, 290, -5},
	{"maple", 6, 1268, 439, 276, 0},
	{Again, 1, 1577, 325, 250, 45},
}

// Again names the second picture of the first person, taken elsewhere and on
// another day.
const Again = "ash again"

// Names are the persons that have a Face, each another one.
func Names() []string {
	var all []string
	for _, p := range places {
		if p.name != Again {
			all = append(all, p.name)
		}
	}
	return all
}

// found holds the boxes and landmarks on photos; the test keeps it true.
//
//go:embed found.json
var found []byte

// marks is what found.json says of one face: left, top, width and height of its
// box, and the landmarks.
type marks struct {
	Box       [4]float32     `json:"box"`
	Landmarks [68][2]float32 `json:"landmarks"`
}

// ReadFace gives a person's face.
func ReadFace(name string) (*Face, error) {
	for _, p := range places {
		if p.name != name {
			continue
		}
		sample, err := ReadSample(p.sample)
		if err != nil {
			return nil, err
		}
		m, err := jpeg.Decode(bytes.NewReader(sample))
		if err != nil {
			return nil, err
		}
		f := &Face{Name: name}
		if f.Photo, err = encode(p.photo(m)); err != nil {
			return nil, err
		}
		if f.Frame, err = encode(p.frame(m)); err != nil {
			return nil, err
		}
		all := map[string]marks{}
		if err := json.Unmarshal(found, &all); err != nil {
			return nil, err
		}
		f.Found, f.FrameFound = all[name].found(1, 0), all[name].found(frameHeight/float32(photoHeight), (frameWidth-portion)/2)
		return f, nil
	}
	return nil, fmt.Errorf("facetest: there is no face of %q", name)
}

// read keeps the faces that tests have asked for: cutting one out takes time.
var read sync.Map

// Named is ReadFace for tests. Its content must not be changed.
func Named(t testing.TB, name string) *Face {
	t.Helper()
	if f, ok := read.Load(name); ok {
		return f.(*Face)
	}
	f, err := ReadFace(name)
	if err != nil {
		t.Fatal(err)
	}
	read.Store(name, f)
	return f
}

func (m marks) found(scale, shift float32) face.Found {
	f := face.Found{Score: 1, Box: face.Rect{X: m.Box[0]*scale + shift, Y: m.Box[1] * scale, W: m.Box[2] * scale, H: m.Box[3] * scale}}
	for i, p := range m.Landmarks {
		f.Landmarks[i] = face.Point{X: p[0]*scale + shift, Y: p[1] * scale}
	}
	return f
}

// Sizes in pixels. The face is a frame's middle portion, whose borders fade
// into the wall.
const (
	photoWidth, photoHeight = 480, 640
	frameWidth, frameHeight = 640, 480
	portion, fade           = 360, 40
)

func (p place) photo(m image.Image) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, photoWidth, photoHeight))
	at := p.sampler(m, photoWidth, photoHeight)
	for y := range photoHeight {
		for x := range photoWidth {
			out.SetRGBA(x, y, at(float64(x), float64(y)))
		}
	}
	return out
}

func (p place) frame(m image.Image) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, frameWidth, frameHeight))
	at := p.sampler(m, portion, frameHeight)
	for y := range frameHeight {
		for x := range frameWidth {
			wall := 150 - 30*float64(y)/frameHeight
			edge := math.Min(float64(x-(frameWidth-portion)/2), float64((frameWidth+portion)/2-1-x))
			w := math.Min(math.Max(edge/fade, 0), 1)
			c := color.RGBA{A: 255}
			if w > 0 {
				c = at(float64(x-(frameWidth-portion)/2), float64(y))
			}
			mix := func(v uint8) uint8 { return uint8(w*float64(v) + (1-w)*wall + 0.5) }
			out.SetRGBA(x, y, color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255})
		}
	}
	return out
}

// sampler gives the colours of a crop of some size: upright, the face half as
// high as it.
func (p place) sampler(m image.Image, width, height int) func(x, y float64) color.RGBA {
	s := 2 * p.height / float64(height)
	sin, cos := math.Sincos(p.roll * math.Pi / 180)
	b := m.Bounds()
	return func(x, y float64) color.RGBA {
		x, y = s*(x-float64(width-1)/2), s*(y-float64(height-1)/2)
		u := min(max(p.x+cos*x-sin*y, 0), float64(b.Dx()-2))
		v := min(max(p.y+sin*x+cos*y, 0), float64(b.Dy()-2))
		x0, y0 := int(u), int(v)
		fu, fv := u-float64(x0), v-float64(y0)
		var sum [3]float64
		for j, wy := range [2]float64{1 - fv, fv} {
			for i, wx := range [2]float64{1 - fu, fu} {
				r, g, b, _ := m.At(x0+i, y0+j).RGBA()
				sum[0] += wx * wy * float64(r>>8)
				sum[1] += wx * wy * float64(g>>8)
				sum[2] += wx * wy * float64(b>>8)
			}
		}
		return color.RGBA{uint8(sum[0] + 0.5), uint8(sum[1] + 0.5), uint8(sum[2] + 0.5), 255}
	}
}

func encode(m image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95})
	return b.Bytes(), err
}
