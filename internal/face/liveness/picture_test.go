package liveness

import (
	"math"
	"testing"

	"latchkey/internal/face"
)

// TestPictures holds pictures just inside and just outside what the policy
// allows.
func TestPictures(t *testing.T) {
	p := Default()
	const little = 1e-3
	eyes := func(share float64) func(*scene) { // distance of the eyes by the width of the frame
		return func(x *scene) { x.width = x.eyes / share }
	}
	// off moves the middle of the face sideways, as it is measured: the foot of
	// the nose is as far off as the eyes.
	off := func(share float64) func(*scene) { return func(x *scene) { x.off = share * x.width } }
	// luma sets the mean of the cells that are on the face.
	luma := func(want float64) func(*scene) {
		return func(x *scene) {
			x.gain = 0
			_, _, shots := x.shots()
			x.luma *= want / shots[0].brightness()
		}
	}
	_, _, all := usual().shots()
	most := int(p.MaxMissing * float64(len(all)))
	for _, c := range []struct {
		name    string
		in, out func(*scene)
		want    face.Reason
	}{
		{"far away", eyes(p.MinFace * (1 + little)), eyes(p.MinFace * (1 - little)), face.TooFar},
		{"close", eyes(p.MaxFace * (1 - little)), eyes(p.MaxFace * (1 + little)), face.TooClose},
		{"off to the right", off(p.MaxOff * (1 - little)), off(p.MaxOff * (1 + little)), face.OffCentre},
		{"off to the left", off(-p.MaxOff * (1 - little)), off(-p.MaxOff * (1 + little)), face.OffCentre},
		{"dark", luma(p.MinLuma * (1 + little)), luma(p.MinLuma * (1 - little)), face.TooDark},
		{"bright", luma(p.MaxLuma * (1 - little)), luma(p.MaxLuma * (1 + little)), face.TooBright},
		{"glare", func(x *scene) { x.clipped = p.MaxClipped }, func(x *scene) { x.clipped = p.MaxClipped + little }, face.Glare},
		{"blurred", func(x *scene) { x.sharp = p.MinSharp }, func(x *scene) { x.sharp = p.MinSharp * (1 - little) }, face.Blurred},
		{"nobody there", func(x *scene) { x.missing = most }, func(x *scene) { x.missing = most + 1 }, face.NoFace},
		{
			"nobody to be seen in the dark", func(x *scene) { x.missing = most },
			func(x *scene) { luma(p.MinLuma / 2)(x); x.missing = len(all) / 2 }, face.TooDark,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for want, change := range map[face.Reason]func(*scene){face.Verified: c.in, c.want: c.out} {
				x := usual()
				change(&x)
				_, _, shots := x.shots()
				if got := CheckPictures(p, shots); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
		})
	}
}

// TestOddFrame checks that one bad frame is forgiven, but for a second face.
func TestOddFrame(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *Shot)
		want   face.Reason
	}{
		{"far away", func(s *Shot) { s.Width *= 20 }, face.Verified},
		{"blurred", func(s *Shot) { s.Sharp = 0 }, face.Verified},
		{"white", func(s *Shot) { s.Clipped = 1 }, face.Verified},
		{"unknown", func(s *Shot) { s.Sharp, s.Clipped, s.Width = math.NaN(), math.NaN(), math.NaN() }, face.Verified},
		{"without a face", func(s *Shot) { *s = Shot{Step: s.Step, At: s.At} }, face.Verified},
		{"with two faces", func(s *Shot) { s.Faces = 2 }, face.ManyFaces},
	} {
		_, _, shots := usual().shots()
		c.change(&shots[len(shots)/2])
		if got := CheckPictures(Default(), shots); got != c.want {
			t.Errorf("one frame %s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := CheckPictures(Default(), nil); got != face.TooFewShots {
		t.Errorf("no frames: %q", got)
	}
}
