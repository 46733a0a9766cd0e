// Package picture decodes JPEG and PNG pictures for face verification and says
// whether a face on one is good enough.
//
// It promises: whatever the data, decoding ends within bounds of time and
// memory that Limits give; what comes out is upright (EXIF 2.32, tag 0x0112).
// Colour profiles are not applied: the networks don't mind.
package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"

	"latchkey/internal/face"
)

// Errors of Decode.
var (
	ErrFormat   = errors.New("not a JPEG or PNG picture")
	ErrTooLarge = errors.New("the picture is too large")
)

// Limits bound what is decoded.
type Limits struct {
	Bytes  int // of the file
	Pixels int // width times height
	Passes int // of a progressive JPEG; 0: 100. Each goes over the whole picture, however few bytes it has
}

// Bounds of profile photos: a camera's or phone's as it comes.
const (
	MostBytes  = 16 << 20
	MostPixels = 25_000_000
)

// longestSide is what a decoded picture has at most, in pixels: larger ones are
// halved, or divided by three, and so on. A face of interest has hundreds then.
const longestSide = 2560

// mostScans bounds the passes of a photo. Encoders make about ten.
const mostScans = 100

// Decode decodes a profile photo of up to 16 MiB and 25 million pixels. Its
// error is ErrFormat or ErrTooLarge.
func Decode(data []byte) (*face.Picture, error) {
	return DecodeWithin(data, Limits{Bytes: MostBytes, Pixels: MostPixels})
}

// DecodeWithin is Decode with other limits.
func DecodeWithin(data []byte, l Limits) (*face.Picture, error) {
	if l.Passes == 0 {
		l.Passes = mostScans
	}
	if len(data) > l.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, len(data), l.Bytes)
	}
	var decode func([]byte) (image.Image, error)
	var config image.Config
	var err error
	orientation := 1
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		if scans(data) > l.Passes {
			return nil, fmt.Errorf("%w: more than %d passes", ErrTooLarge, l.Passes)
		}
		decode = func(b []byte) (image.Image, error) { return jpeg.Decode(bytes.NewReader(b)) }
		config, err = jpeg.DecodeConfig(bytes.NewReader(data))
		orientation = jpegOrientation(data)
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		decode = func(b []byte) (image.Image, error) { return png.Decode(bytes.NewReader(b)) }
		config, err = png.DecodeConfig(bytes.NewReader(data))
		orientation = pngOrientation(data)
	default:
		return nil, ErrFormat
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if config.Width < 1 || config.Height < 1 {
		return nil, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	if config.Width > l.Pixels/config.Height {
		return nil, fmt.Errorf("%w: %d x %d pixels, at most %d million are read", ErrTooLarge, config.Width, config.Height, l.Pixels/1_000_000)
	}
	m, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return upright(reduce(m), orientation), nil
}

// scans counts a JPEG's passes, as the decoder comes to them: up to the end of
// the picture. Phones append films, in which anything may lie.
func scans(data []byte) (n int) {
	for at := 2; at+4 <= len(data); {
		switch marker := data[at+1]; {
		case data[at] != 0xff || marker == 0xff: // of a pass, or filling
			at++
		case marker == 0 || marker >= 0xd0 && marker <= 0xd7: // of a pass too
			at += 2
		case marker == 0xd9:
			return n
		default:
			if marker == 0xda {
				n++
			}
			at += 2 + int(binary.BigEndian.Uint16(data[at+2:]))
		}
	}
	return n
}

// reduce gives a decoded picture's colours, its size divided so that no side is
// longer than longestSide.
func reduce(m image.Image) *face.Picture {
	b := m.Bounds()
	k := (max(b.Dx(), b.Dy()) + longestSide - 1) / longestSide
	row := rows(m)
	p := &face.Picture{W: max(b.Dx()/k, 1), H: max(b.Dy()/k, 1)}
	p.RGB = make([]byte, 3*p.W*p.H)
	line := make([]byte, 3*b.Dx())
	if k == 1 {
		for y := range p.H {
			row(b.Min.Y+y, p.RGB[3*y*p.W:3*(y+1)*p.W])
		}
		return p
	}
	sum := make([]int, 3*p.W)
	for y := range p.H {
		clear(sum)
		across, down := min(k, b.Dx()), min(k, b.Dy())
		for j := range down {
			row(b.Min.Y+y*k+j, line)
			for x := range p.W {
				for i := range across {
					at := 3 * (x*k + i)
					sum[3*x] += int(line[at])
					sum[3*x+1] += int(line[at+1])
					sum[3*x+2] += int(line[at+2])
				}
			}
		}
		for i, s := range sum {
			p.RGB[3*y*p.W+i] = byte((s + across*down/2) / (across * down))
		}
	}
	return p
}

// rows gives a function that writes the colours of one row of a picture.
func rows(m image.Image) func(y int, rgb []byte) {
	b := m.Bounds()
	switch m := m.(type) {
	case *image.YCbCr:
		return func(y int, rgb []byte) {
			for x := range b.Dx() {
				at := m.COffset(b.Min.X+x, y)
				rgb[3*x], rgb[3*x+1], rgb[3*x+2] = color.YCbCrToRGB(m.Y[m.YOffset(b.Min.X+x, y)], m.Cb[at], m.Cr[at])
			}
		}
	case *image.Gray:
		return func(y int, rgb []byte) {
			from := m.Pix[m.PixOffset(b.Min.X, y):]
			for x := range b.Dx() {
				rgb[3*x], rgb[3*x+1], rgb[3*x+2] = from[x], from[x], from[x]
			}
		}
	}
	// Anything else, transparent pictures on white.
	line := image.NewRGBA(image.Rect(0, 0, b.Dx(), 1))
	return func(y int, rgb []byte) {
		draw.Draw(line, line.Bounds(), image.White, image.Point{}, draw.Src)
		draw.Draw(line, line.Bounds(), m, image.Point{X: b.Min.X, Y: y}, draw.Over)
		for x := range b.Dx() {
			copy(rgb[3*x:3*x+3], line.Pix[4*x:4*x+3])
		}
	}
}
