package liveness

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/internal/face"
)

// number is any number: usual ones, and those that break sums.
func number() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.Float64Range(0, 1), rapid.Float64(),
		rapid.SampledFrom([]float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}),
	)
}

func duration() *rapid.Generator[time.Duration] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond
		}),
		rapid.SampledFrom([]time.Duration{-1, math.MinInt64, math.MaxInt64}),
	)
}

func anyChallenge() *rapid.Generator[face.Challenge] {
	return rapid.Custom(func(t *rapid.T) face.Challenge {
		c := challenge(rapid.SampledFrom([]face.Turn{face.TurnLeft, face.TurnRight, face.TurnNone, "about"}).Draw(t, "turn"))
		return face.Challenge{Steps: c.Steps[:rapid.IntRange(0, len(c.Steps)).Draw(t, "steps")]}
	})
}

// anyShots are the usual scene's, some of them with anything in it.
func anyShots() *rapid.Generator[[]Shot] {
	return rapid.Custom(func(t *rapid.T) []Shot {
		_, _, shots := usual().shots()
		for range rapid.IntRange(0, 12).Draw(t, "changes") {
			s := &shots[rapid.IntRange(0, len(shots)-1).Draw(t, "shot")]
			v := number().Draw(t, "value")
			switch what := rapid.IntRange(0, 9).Draw(t, "what"); what {
			case 0:
				s.Width, s.Height = v, -v
			case 1:
				s.Faces = rapid.IntRange(-1, 3).Draw(t, "faces")
			case 2:
				s.Step = rapid.IntRange(-2, 12).Draw(t, "step")
			case 3:
				s.At = duration().Draw(t, "at")
			case 4:
				s.Back.RGB[rapid.IntRange(0, 2).Draw(t, "channel")] = v
			case 5:
				s.Frame, s.Clipped, s.Sharp, s.Texture = v, v, v, v
			case 6:
				for j := range s.Cells {
					s.Cells[j].RGB[j%3] = v
				}
			case 7:
				for j := range s.Cells {
					s.Cells[j].Pixels = rapid.IntRange(-1, 1).Draw(t, "pixels")
				}
			default:
				from := rapid.SampledFrom([]int{0, 17, 36, 42, 67}).Draw(t, "from")
				for i := from; i < min(from+rapid.IntRange(1, 68).Draw(t, "points"), 68); i++ {
					s.Landmarks[i] = face.Point{X: float32(v), Y: float32(v) * float32(what-8)}
				}
			}
		}
		return shots[:rapid.IntRange(0, len(shots)).Draw(t, "number")]
	})
}

// reasons are those that a scan's pictures can have.
func reasons() []face.Reason {
	return []face.Reason{
		face.Verified, face.NoFace, face.ManyFaces, face.TooFar, face.TooClose, face.OffCentre, face.TooDark, face.TooBright,
		face.Blurred, face.Glare, face.LightWeak, face.NoTurn, face.TooFewShots, face.BadTiming, face.NotLive,
	}
}

// TestAnyMeasurement checks that whatever was measured there is one decision:
// one of the reasons, with scores that JSON can hold, the same each time.
func TestAnyMeasurement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, shots, same := anyChallenge().Draw(t, "challenge"), anyShots().Draw(t, "shots"), number().Draw(t, "same")
		w := windows(c)
		for i := range w {
			if rapid.IntRange(0, 20).Draw(t, "move") == 0 {
				w[i].Told = w[i].Told.Add(duration().Draw(t, "by"))
			}
		}
		w = w[:rapid.IntRange(0, len(w)).Draw(t, "windows")]
		d := Judge(Default(), c, w, shots, same)
		if !slices.Contains(reasons(), d.Reason) {
			t.Errorf("%q is no reason", d.Reason)
		}
		first, err := json.Marshal(d)
		if err != nil {
			t.Errorf("%v: %v", d.Scores, err)
		}
		if again, _ := json.Marshal(Judge(Default(), c, w, shots, same)); string(again) != string(first) {
			t.Errorf("decided %s, then %s", first, again)
		}
		if CheckPictures(Default(), shots) != face.Verified && d.Reason == face.Verified {
			t.Error("pictures that are no good were taken")
		}
	})
}

// TestUnknownIsRefused checks that no score which is not a number, or none that
// could be, is taken for a good one.
func TestUnknownIsRefused(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for name, spoil := range map[string]func(s *Shot){
			"width":    func(s *Shot) { s.Width = bad },
			"sharp":    func(s *Shot) { s.Sharp = -math.Abs(bad) },
			"texture":  func(s *Shot) { s.Texture = bad },
			"back":     func(s *Shot) { s.Back.RGB = [3]float64{bad, bad, bad} },
			"one back": func(s *Shot) { s.Back.RGB[1] = bad },
			"eyes":     func(s *Shot) { s.Landmarks[36].X = float32(bad) },
			"mouth":    func(s *Shot) { s.Landmarks[60].Y = float32(bad) },
			"cells": func(s *Shot) {
				for j := range s.Cells {
					s.Cells[j].RGB = [3]float64{bad, bad, bad}
				}
			},
			"red of the cells": func(s *Shot) {
				for j := range s.Cells {
					s.Cells[j].RGB[0] = bad
				}
			},
		} {
			c, w, shots := usual().shots()
			for i := range shots {
				spoil(&shots[i])
			}
			if d := Judge(Default(), c, w, shots, 1); d.Reason == face.Verified {
				t.Errorf("verified with %s %v: %v", name, bad, d.Scores)
			}
		}
		if d := func() face.Decision { x := usual(); x.same = bad; return x.judge(Default()) }(); d.Reason == face.Verified && !(bad > 1) {
			t.Errorf("verified with a similarity of %v", bad)
		}
	}
}

// TestAnyTiming checks that any times give one answer, and that frames in time
// are the only ones that pass.
func TestAnyTiming(t *testing.T) {
	p := Default()
	rapid.Check(t, func(t *rapid.T) {
		c := anyChallenge().Draw(t, "challenge")
		e := evidence(p, c)
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			if len(e.Frames) > 0 {
				f := &e.Frames[rapid.IntRange(0, len(e.Frames)-1).Draw(t, "frame")]
				f.Step, f.At = f.Step+rapid.IntRange(-1, 1).Draw(t, "step"), duration().Draw(t, "at")
			}
			if len(e.Windows) > 0 {
				w := &e.Windows[rapid.IntRange(0, len(e.Windows)-1).Draw(t, "window")]
				w.Fixed = w.Told.Add(duration().Draw(t, "held"))
			}
		}
		got := CheckTiming(p, c, e)
		if got != face.Verified {
			if got != face.BadTiming && got != face.TooFewShots {
				t.Errorf("%q", got)
			}
			return
		}
		before := face.Frame{At: -1}
		for _, f := range e.Frames {
			w := e.Windows[f.Step]
			if f.Step < before.Step || f.Step == before.Step && f.At <= before.At || w.Told.Add(f.At).After(w.Fixed) {
				t.Errorf("a frame %v into step %d after one %v into step %d passed", f.At, f.Step, before.At, before.Step)
			}
			before = f
		}
	})
}

// TestAnyTexture checks that any grey values give decibels or NaN.
func TestAnyTexture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grey := patch(func(_, _ float64) float64 { return 0 })
		for range rapid.IntRange(0, 5).Draw(t, "changes") {
			grey[rapid.IntRange(0, len(grey)-1).Draw(t, "at")] = number().Draw(t, "value")
		}
		if got := Texture(grey); got < 0 {
			t.Errorf("%v dB", got)
		}
	})
}

// TestPlaces checks that a pixel goes to its place on the face and back, and
// that each cell's middle is in it.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coordinate := rapid.Float64Range(-2000, 2000)
		var l [68]face.Point
		for i := range l {
			l[i] = face.Point{X: float32(coordinate.Draw(t, "x")), Y: float32(coordinate.Draw(t, "y"))}
		}
		axes, ok := FaceAxes(&l)
		if !ok {
			return
		}
		x, y := coordinate.Draw(t, "px"), coordinate.Draw(t, "py")
		bx, by := axes.Pixel(axes.Place(x, y))
		if math.Abs(bx-x) > 1e-3 || math.Abs(by-y) > 1e-3 {
			t.Errorf("%v, %v came back as %v, %v", x, y, bx, by)
		}
	})
	for j := range Rows * Columns {
		if got := CellAt(cellPlace(j)); got != j {
			t.Errorf("the middle of cell %d is in %d", j, got)
		}
	}
}
