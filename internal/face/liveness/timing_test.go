package liveness

import (
	"slices"
	"testing"
	"time"

	"latchkey/internal/face"
)

// evidence is a scan in time: as many frames as must be, evenly over each step.
func evidence(p Policy, c face.Challenge) face.Evidence {
	e := face.Evidence{Windows: windows(c)}
	for i, s := range c.Steps {
		n := p.MinStepFrames
		if s.Turn != face.TurnNone {
			n = p.MinTurnFrames
		}
		e.Frames = append(e.Frames, frames(i, n, s.Length/10, s.Length*9/10)...)
	}
	return e
}

// frames are n of a step, the first and the last at given times.
func frames(step, n int, first, last time.Duration) []face.Frame {
	out := make([]face.Frame, n)
	for k := range out {
		out[k] = face.Frame{Step: step, At: first}
		if n > 1 {
			out[k].At += (last - first) * time.Duration(k) / time.Duration(n-1)
		}
	}
	return out
}

// with puts other frames in place of a step's.
func with(e *face.Evidence, step int, fs []face.Frame) {
	at := slices.IndexFunc(e.Frames, func(f face.Frame) bool { return f.Step == step })
	e.Frames = slices.DeleteFunc(e.Frames, func(f face.Frame) bool { return f.Step == step })
	e.Frames = slices.Insert(e.Frames, at, fs...)
}

// later moves everything from a step on.
func later(e *face.Evidence, from int, d time.Duration) {
	for i := from; i < len(e.Windows); i++ {
		e.Windows[i].Told, e.Windows[i].Fixed = e.Windows[i].Told.Add(d), e.Windows[i].Fixed.Add(d)
	}
}

// TestTiming holds times just inside and just outside what the policy allows.
func TestTiming(t *testing.T) {
	p := Default()
	c := challenge(face.TurnLeft)
	const colour, tick = 4, time.Nanosecond
	length := c.Steps[colour].Length
	share := func(part float64) time.Duration { return time.Duration(part * float64(length)) }
	hold := func(d time.Duration) func(*face.Evidence) {
		return func(e *face.Evidence) {
			with(e, colour, frames(colour, p.MinStepFrames, 0, share(p.MinSpan)))
			e.Windows[colour].Fixed = e.Windows[colour].Told.Add(d)
			later(e, colour+1, max(0, d-length))
		}
	}
	total := windows(c)[len(c.Steps)-1].Fixed.Sub(begun)
	// whole spreads what is missing of a time over pauses between the steps.
	whole := func(d time.Duration) func(*face.Evidence) {
		return func(e *face.Evidence) { later(e, colour, d-total) }
	}
	put := func(step int, fs []face.Frame) func(*face.Evidence) {
		return func(e *face.Evidence) { with(e, step, fs) }
	}
	last := length * 9 / 10
	for _, x := range []struct {
		name    string
		in, out func(*face.Evidence)
		want    face.Reason
	}{
		{"held too short", hold(share(p.MinHold)), hold(share(p.MinHold) - tick), face.BadTiming},
		{"fixed too late", hold(length + p.MaxOverrun), hold(length + p.MaxOverrun + tick), face.BadTiming},
		{"scan too long", whole(p.MaxScan), whole(p.MaxScan + tick), face.BadTiming},
		{
			"told before the last was fixed", func(e *face.Evidence) { later(e, colour, 0) },
			func(e *face.Evidence) { later(e, colour, -tick) }, face.BadTiming,
		},
		{"frame after its step", put(colour, frames(colour, 2, 0, length)), put(colour, frames(colour, 2, 0, length+tick)), face.BadTiming},
		{"frame before its step", put(colour, frames(colour, 2, 0, last)), put(colour, frames(colour, 2, -tick, last)), face.BadTiming},
		{"two at once", put(colour, frames(colour, 3, 0, last)), put(colour, frames(colour, 2, 0, 0)), face.BadTiming},
		{
			"too many of a colour", put(colour, frames(colour, p.MaxStepFrames, 0, last)),
			put(colour, frames(colour, p.MaxStepFrames+1, 0, last)), face.BadTiming,
		}, {
			"too many of a turn", put(0, frames(0, 2*p.MaxStepFrames, 0, c.Steps[0].Length)),
			put(0, frames(0, 2*p.MaxStepFrames+1, 0, c.Steps[0].Length)), face.BadTiming,
		}, {
			"too few of a colour", put(colour, frames(colour, p.MinStepFrames, 0, last)),
			put(colour, frames(colour, p.MinStepFrames-1, 0, last)), face.TooFewShots,
		}, {
			"too few of a turn", put(0, frames(0, p.MinTurnFrames, 0, c.Steps[0].Length)),
			put(0, frames(0, p.MinTurnFrames-1, 0, c.Steps[0].Length)), face.TooFewShots,
		}, {
			"all at one end of the step", put(colour, frames(colour, 3, last-share(p.MinSpan), last)),
			put(colour, frames(colour, 3, last-share(p.MinSpan)+tick, last)), face.TooFewShots,
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			for want, change := range map[face.Reason]func(*face.Evidence){face.Verified: x.in, x.want: x.out} {
				e := evidence(p, c)
				change(&e)
				if got := CheckTiming(p, c, e); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
		})
	}
}

// TestTimingShape checks evidence that is no scan at all.
func TestTimingShape(t *testing.T) {
	p := Default()
	c := challenge(face.TurnRight)
	for _, x := range []struct {
		name   string
		change func(e *face.Evidence)
		want   face.Reason
	}{
		{"as it should be", func(*face.Evidence) {}, face.Verified},
		{"no frames", func(e *face.Evidence) { e.Frames = nil }, face.TooFewShots},
		{"no windows", func(e *face.Evidence) { e.Windows = nil }, face.BadTiming},
		{"a window less", func(e *face.Evidence) { e.Windows = e.Windows[1:] }, face.BadTiming},
		{"a window more", func(e *face.Evidence) { e.Windows = append(e.Windows, e.Windows[0]) }, face.BadTiming},
		{"windows without times", func(e *face.Evidence) { clear(e.Windows) }, face.BadTiming},
		{"windows in another order", func(e *face.Evidence) { slices.Reverse(e.Windows) }, face.BadTiming},
		{"frames in another order", func(e *face.Evidence) { slices.Reverse(e.Frames) }, face.BadTiming},
		{"frames twice", func(e *face.Evidence) { e.Frames = append(e.Frames, e.Frames...) }, face.BadTiming},
		{"a step left out", func(e *face.Evidence) { with(e, 3, nil) }, face.TooFewShots},
		{"a frame of no step", func(e *face.Evidence) { e.Frames[0].Step = -1 }, face.BadTiming},
		{"a frame of a step too many", func(e *face.Evidence) { e.Frames[len(e.Frames)-1].Step = len(c.Steps) }, face.BadTiming},
	} {
		e := evidence(p, c)
		x.change(&e)
		if got := CheckTiming(p, c, e); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
	if got := CheckTiming(p, face.Challenge{}, face.Evidence{}); got != face.BadTiming {
		t.Errorf("no challenge: %q", got)
	}
}
