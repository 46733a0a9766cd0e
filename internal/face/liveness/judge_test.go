package liveness

import (
	"math"
	"testing"
	"time"

	"latchkey/internal/face"
)

// score reads one score of a decision.
func score(name string) func(face.Decision) float64 {
	return func(d face.Decision) float64 { return d.Scores[name] }
}

// TestThresholds moves one thing in a scene that passes until it fails, and
// checks that it fails where the policy says: the last scene that passes and
// the first that does not lie on both sides of the threshold.
func TestThresholds(t *testing.T) {
	squeezed := func(x *scene, v float64) { x.squeeze = v }
	for _, c := range []struct {
		name      string
		begin     func(x *scene, p Policy) // nil: the usual scene
		move      func(x *scene, v float64)
		good, bad float64 // from here, which passes, to here
		score     func(face.Decision) float64
		limit     func(p *Policy) *float64
		least     bool // the limit is the least allowed
		want      face.Reason
	}{
		{
			name: "light fits, all channels", move: func(x *scene, v float64) { x.noise = [3]float64{v, v, v} }, bad: 1,
			score: score(ScoreLight), limit: func(p *Policy) *float64 { return &p.MinLight }, least: true, want: face.NotLive,
		}, {
			name: "light fits, one channel", move: func(x *scene, v float64) { x.noise[2] = v }, bad: 1,
			score: score(ScoreChannel), limit: func(p *Policy) *float64 { return &p.MinChannel }, least: true, want: face.NotLive,
		}, {
			name: "light comes back", move: func(x *scene, v float64) { x.gain = v }, good: 0.1, bad: 1e-4,
			score: score(ScoreGain), limit: func(p *Policy) *float64 { return &p.MinGain }, least: true, want: face.LightWeak,
		}, {
			name: "turned far enough", move: func(x *scene, v float64) { x.sine, x.squeeze = v, 0 }, good: 0.4, bad: 0,
			score: score(ScoreDepth), limit: func(p *Policy) *float64 { p.MinSolid = 0; return &p.MinDepth }, least: true, want: face.NoTurn,
		}, {
			name: "turned too far", move: func(x *scene, v float64) { x.sine = v }, good: 0.4, bad: 0.75,
			score: score(ScoreDepth), limit: func(p *Policy) *float64 { p.MaxExcess = 1; return &p.MaxDepth }, want: face.NotLive,
		}, {
			name: "narrower than a head that turns", move: squeezed, bad: 0.3,
			score: score(ScoreExcess), limit: func(p *Policy) *float64 { return &p.MaxExcess }, want: face.NotLive,
		}, {
			name: "more a sheet than a head", move: squeezed, bad: 0.3,
			begin: func(x *scene, p Policy) { x.sine = p.MinSolid + p.MaxExcess/2 },
			score: func(d face.Decision) float64 { return d.Scores[ScoreDepth] - d.Scores[ScoreExcess] },
			limit: func(p *Policy) *float64 { return &p.MinSolid }, least: true, want: face.NotLive,
		}, {
			name: "edges answer less", move: func(x *scene, v float64) { x.edge = v }, good: 0.7, bad: 8,
			score: score(ScoreShading), limit: func(p *Policy) *float64 { p.MinSkin = -1; return &p.MinShading }, least: true, want: face.NotLive,
		}, {
			name: "light parts answer more", move: func(x *scene, v float64) { x.edge, x.veil = 1, v }, bad: 1,
			score: func(d face.Decision) float64 { return d.Scores[ScoreShading] - d.Scores[ScoreVeil] },
			limit: func(p *Policy) *float64 { return &p.MinSkin }, least: true, want: face.NotLive,
		}, {
			name: "all parts answer alike", move: func(x *scene, v float64) { x.edge, x.veil = 0.4, v }, bad: 1.5,
			score: score(ScoreVeil), limit: func(p *Policy) *float64 { return &p.MaxVeil }, want: face.NotLive,
		}, {
			name: "grid of a screen", move: func(x *scene, v float64) { x.texture = v }, bad: 90,
			score: score(ScoreTexture), limit: func(p *Policy) *float64 { return &p.MaxTexture }, want: face.NotLive,
		}, {
			name: "shape jumps", move: func(x *scene, v float64) { x.jump = v }, bad: 2,
			score: score(ScoreJump), limit: func(p *Policy) *float64 { return &p.MaxJump }, want: face.NotLive,
		}, {
			name: "same person", move: func(x *scene, v float64) { x.same = v }, good: 1, bad: -1,
			score: score(ScoreSame), limit: func(p *Policy) *float64 { return &p.MinSame }, least: true, want: face.NotLive,
		},
	} {
		for _, strict := range []bool{false, true} {
			name := c.name
			if strict {
				name += ", stricter policy"
			}
			t.Run(name, func(t *testing.T) {
				p := Default()
				limit := c.limit(&p)
				switch {
				case strict && c.least:
					*limit *= 1.1
				case strict:
					*limit /= 1.1
				}
				at := func(v float64) face.Decision {
					x := usual()
					if c.begin != nil {
						c.begin(&x, p)
					}
					c.move(&x, v)
					return x.judge(p)
				}
				in, out := at(c.good), at(c.bad)
				if in.Reason != face.Verified || out.Reason == face.Verified {
					t.Fatalf("from %q %v to %q %v", in.Reason, in.Scores, out.Reason, out.Scores)
				}
				good, bad := c.good, c.bad
				for range 50 {
					v := (good + bad) / 2
					if d := at(v); d.Reason == face.Verified {
						good, in = v, d
					} else {
						bad, out = v, d
					}
				}
				if out.Reason != c.want {
					t.Errorf("just outside: %q, want %q: %v", out.Reason, c.want, out.Scores)
				}
				inside, outside := c.score(in), c.score(out)
				if !c.least {
					inside, outside = -inside, -outside
				}
				border := *limit
				if !c.least {
					border = -border
				}
				if inside < border || outside >= border || math.Abs(inside-outside) > 0.02*math.Abs(border) {
					t.Errorf("passes at %v, fails at %v; the policy's limit is %v", c.score(in), c.score(out), *limit)
				}
			})
		}
	}
}

// TestLag checks the time from the screen to the frame: any up to the policy's
// is taken, a later light is told apart from none.
func TestLag(t *testing.T) {
	p := Default()
	for _, c := range []struct {
		name string
		lag  time.Duration
		want face.Reason
	}{
		{"none", 0, face.Verified},
		{"some", p.MaxLag / 2 / p.LagStep * p.LagStep, face.Verified},
		{"as much as may be", p.MaxLag, face.Verified},
		{"one step more", p.MaxLag + p.LagStep, face.BadTiming},
		{"as much as is looked for", p.LagSearch, face.BadTiming},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := usual()
			x.lag = c.lag
			d := x.judge(p)
			if d.Reason != c.want || d.Scores[ScoreLag] != float64(c.lag.Milliseconds()) {
				t.Errorf("%q with a lag of %v ms, want %q with %v", d.Reason, d.Scores[ScoreLag], c.want, c.lag)
			}
		})
	}
}

// TestLightNotSeen checks that too much light in the room, which can be mended,
// is told apart from the wrong light.
func TestLightNotSeen(t *testing.T) {
	p := Default()
	at := func(gain float64) face.Decision {
		x := usual()
		x.gain, x.noise = gain, [3]float64{1, 1, 1}
		return x.judge(p)
	}
	per := at(0.01).Scores[ScoreSwing] / 0.01 // nearly linear while small
	for _, c := range []struct {
		name string
		gain float64
		want face.Reason
	}{
		{"hardly any", 0.95 * p.MinSwing / per, face.LightWeak},
		{"enough, and wrong", 1.05 * p.MinSwing / per, face.NotLive},
	} {
		if d := at(c.gain); d.Reason != c.want {
			t.Errorf("%s: %q, want %q: %v", c.name, d.Reason, c.want, d.Scores)
		}
	}
}

// TestTurn checks what a turn that is not one is called.
func TestTurn(t *testing.T) {
	p := Default()
	angle := func(narrower float64) float64 { return math.Sqrt(1 - (1-narrower)*(1-narrower)) } // sine
	for _, c := range []struct {
		name   string
		change func(x *scene)
		want   face.Reason
	}{
		{"head held straight", func(x *scene) { x.sine = 0 }, face.NoTurn},
		{"head turned to the other side", func(x *scene) { x.sine = -x.sine }, face.NoTurn},
		{"sheet held straight", func(x *scene) { x.flat, x.sine = true, 0 }, face.NoTurn},
		{"sheet hardly turned", func(x *scene) { x.flat, x.sine = true, angle(0.9*p.MinSqueeze) }, face.NoTurn},
		{"sheet turned enough to narrow", func(x *scene) { x.flat, x.sine = true, angle(1.1*p.MinSqueeze) }, face.NotLive},
		{"sheet turned far", func(x *scene) { x.flat, x.sine = true, 0.7 }, face.NotLive},
		{"nothing to turn", func(x *scene) { x.turn, x.sine = face.TurnNone, 0 }, face.Verified},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := usual()
			c.change(&x)
			if d := x.judge(p); d.Reason != c.want {
				t.Errorf("%q, want %q: %v", d.Reason, c.want, d.Scores)
			}
		})
	}
}

// TestHiddenSteps checks that no part of a scan can be left out by frames that
// have no face, few as they are.
func TestHiddenSteps(t *testing.T) {
	p := Default()
	for step := range challenge(face.TurnLeft).Steps {
		c, w, shots := usual().shots()
		hidden := 0
		for i := range shots {
			if shots[i].Step == step {
				shots[i] = Shot{Step: step, At: shots[i].At, Frame: shots[i].Frame, Texture: math.NaN()}
				hidden++
			}
		}
		if r := CheckPictures(p, shots); r != face.Verified {
			t.Fatalf("step %d: %q; %d of %d frames without a face should be few enough", step, r, hidden, len(shots))
		}
		want := face.NoFace
		if step == 1 { // on the way back nothing is looked at
			want = face.Verified
		}
		if d := Judge(p, c, w, shots, 1); d.Reason != want {
			t.Errorf("nobody in the frames of step %d: %q, want %q", step, d.Reason, want)
		}
	}
}

// TestTextureUnknown checks that frames too small to look for a grid in are not
// taken for frames without one.
func TestTextureUnknown(t *testing.T) {
	p := Default()
	for _, c := range []struct {
		name  string
		known func(i int) bool
		want  face.Reason
	}{
		{"in all", func(int) bool { return true }, face.Verified},
		{"in two of three", func(i int) bool { return i%3 > 0 }, face.Verified},
		{"in one of three", func(i int) bool { return i%3 == 0 }, face.NotLive},
		{"in none", func(int) bool { return false }, face.NotLive},
	} {
		ch, w, shots := usual().shots()
		for i := range shots {
			if !c.known(i) {
				shots[i].Texture = math.NaN()
			}
		}
		if d := Judge(p, ch, w, shots, 1); d.Reason != c.want {
			t.Errorf("texture known %s: %q, want %q", c.name, d.Reason, c.want)
		}
	}
}
