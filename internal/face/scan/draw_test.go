package scan

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/internal/face"
	"latchkey/internal/face/liveness"
)

// seeded reads random bytes, the same for the same seed.
type seeded struct{ r *rand.Rand }

func (s seeded) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(s.r.Uint32())
	}
	return len(b), nil
}

func source(seed uint64) seeded { return seeded{rand.New(rand.NewPCG(seed, 0))} }

// draw draws from a source that does not fail.
func draw(t interface{ Fatal(...any) }, random io.Reader) face.Challenge {
	c, err := DrawFrom(random)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// light is a colour's channels, linear.
func light(c face.Colour) [3]float64 {
	table := liveness.LightTable()
	return [3]float64{table[c.R], table[c.G], table[c.B]}
}

// luminance is WCAG 2.2's relative luminance.
func luminance(c face.Colour) float64 {
	l := light(c)
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

func TestDraw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t, source(rapid.Uint64().Draw(t, "seed")))
		if len(c.Steps) != 2+Colours || c.Session != "" || c.Page != "" {
			t.Fatalf("%d steps, session %q, page %q", len(c.Steps), c.Session, c.Page)
		}
		turn, back, colours := c.Steps[0], c.Steps[1], c.Steps[2:]
		if turn.Turn != face.TurnLeft && turn.Turn != face.TurnRight || turn.Length != TurnLength {
			t.Errorf("it begins with %+v", turn)
		}
		if back != (face.Step{Colour: neutral, Length: BackLength}) {
			t.Errorf("it goes on with %+v", back)
		}
		var on [3][Colours]bool
		for i, s := range colours {
			if s.Turn != face.TurnNone || s.Length != ColourLength {
				t.Errorf("colour %d is %+v", i, s)
			}
			if i > 0 && s.Colour == colours[i-1].Colour {
				t.Errorf("colours %d and %d are the same", i-1, i)
			}
			for ch, v := range light(s.Colour) {
				on[ch][i] = v > 0.5
			}
		}
		for ch, row := range on {
			lit, apart := 0, 0
			for i, v := range row {
				if v {
					lit++
				}
				if v != on[(ch+1)%3][i] {
					apart++
				}
			}
			if lit < 2 || lit > Colours-2 {
				t.Errorf("channel %d is on in %d of %d colours", ch, lit, Colours)
			}
			if apart < 2 {
				t.Errorf("channels %d and %d differ in %d colours", ch, (ch+1)%3, apart)
			}
		}
	})
}

// TestFlashes holds what is drawn against WCAG 2.2, 2.3.1: a flash is a pair of
// opposing changes of the luminance by a tenth or more whose darker state is
// below 0.8, or of a saturated red. Three are allowed in a second, one is
// promised.
func TestFlashes(t *testing.T) {
	for set, c := range palette {
		l := light(c)
		if sum := l[0] + l[1] + l[2]; l[0]/sum >= 0.8 {
			t.Errorf("colour %d is a saturated red: %.2f", set, l[0]/sum)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t, source(rapid.Uint64().Draw(t, "seed")))
		type change struct {
			at time.Duration
			up bool
		}
		var changes []change
		now := time.Duration(0)
		for i, s := range c.Steps {
			if i > 0 {
				a, b := luminance(c.Steps[i-1].Colour), luminance(s.Colour)
				if math.Abs(a-b) >= 0.1 && min(a, b) < 0.8 {
					changes = append(changes, change{now, b > a})
				}
			}
			now += s.Length
		}
		for i, first := range changes {
			flashes, open := 0, true
			for k := i + 1; k < len(changes) && changes[k].at < first.at+time.Second; k++ {
				if open && changes[k].up != changes[k-1].up {
					flashes, open = flashes+1, false
				} else {
					open = true
				}
			}
			if flashes > 1 {
				t.Errorf("%d flashes in the second from %v on", flashes, first.at)
			}
		}
	})
}

// TestEntropy counts what can be drawn: an attacker who prepares one film must
// choose among all of them, each as likely as any other.
func TestEntropy(t *testing.T) {
	rows := 0
	for bits := range uint32(1) << (3*Colours - 1) { // the other half are the same, on and off exchanged
		var sets [Colours]uint8
		for i := range sets {
			sets[i] = uint8(bits >> (3 * i) & 7)
		}
		if varied(sets) {
			rows += 2
		}
	}
	bits := math.Log2(float64(2 * rows))
	t.Logf("%d rows of colours, %.1f bits with the side", rows, bits)
	if bits < 20 {
		t.Errorf("%.1f bits, want at least 20", bits)
	}
}

// TestEven checks that no colour is likelier at one place than at another, and
// that both sides are.
func TestEven(t *testing.T) {
	const draws = 20_000
	random := source(3)
	left := 0
	var seen [Colours]map[face.Colour]int
	for i := range seen {
		seen[i] = map[face.Colour]int{}
	}
	for range draws {
		c := draw(t, random)
		if c.Steps[0].Turn == face.TurnLeft {
			left++
		}
		for i, s := range c.Steps[2:] {
			seen[i][s.Colour]++
		}
	}
	// Five standard deviations.
	if off := math.Abs(float64(left) - draws/2); off > 5*math.Sqrt(draws/4) {
		t.Errorf("%d of %d turns are to the left", left, draws)
	}
	for i := range Colours / 2 { // the rules are the same read backwards, and for light and dark
		for set, c := range palette {
			for _, d := range []struct {
				place  int
				colour face.Colour
			}{{Colours - 1 - i, c}, {i, palette[7-set]}} {
				a, b := seen[i][c], seen[d.place][d.colour]
				if math.Abs(float64(a-b)) > 5*math.Sqrt(float64(a+b)) {
					t.Errorf("%v is at %d in %d draws, %v at %d in %d", c, i, a, d.colour, d.place, b)
				}
			}
		}
	}
}

// TestDrawFails checks that a source that ends gives no challenge.
func TestDrawFails(t *testing.T) {
	for n := range 4 {
		c, err := DrawFrom(bytes.NewReader(make([]byte, n)))
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || len(c.Steps) > 0 {
			t.Errorf("of %d bytes: %v, %v", n, c, err)
		}
	}
}

// film gives the skin's light while another challenge is shown: a face without
// noise, so that nothing but the colours tells it apart.
func film(shown face.Challenge, lag time.Duration, frames func(step int) int) []liveness.Sample {
	var from []time.Duration
	now := time.Duration(0)
	for _, s := range shown.Steps {
		from = append(from, now)
		now += s.Length
	}
	var out []liveness.Sample
	for step := 2; step < len(shown.Steps); step++ {
		n := frames(step)
		for k := range n {
			at := shown.Steps[step].Length * time.Duration(2*k+1) / time.Duration(2*n)
			i := step
			for i > 0 && from[i] > from[step]+at-lag {
				i--
			}
			s := liveness.Sample{Step: step, At: at}
			for ch, v := range light(shown.Steps[i].Colour) {
				s.Value[ch] = 0.3 + 0.03*v
			}
			out = append(out, s)
		}
	}
	return out
}

// followed says whether the light of a film passes for a challenge's.
func followed(p liveness.Policy, asked face.Challenge, samples []liveness.Sample) bool {
	var w []face.Window
	now := time.Time{}
	for _, s := range asked.Steps {
		w = append(w, face.Window{Told: now, Fixed: now.Add(s.Length)})
		now = now.Add(s.Length)
	}
	l := liveness.MeasureLight(p, asked, w, samples)
	return l.Mean >= p.MinLight && min(l.Channel[0], l.Channel[1], l.Channel[2]) >= p.MinChannel && l.Lag <= p.MaxLag
}

func four(int) int { return 4 }

// TestBlindGuess counts how often a film of one scan passes for another's by its
// colours alone: less than once in a thousand times (5 of 12,000 with this seed).
func TestBlindGuess(t *testing.T) {
	const tries = 4_000
	p := liveness.Default()
	random := source(11)
	passed := 0
	for i := range tries {
		asked, shown := draw(t, random), draw(t, random)
		lag := time.Duration(i%16) * 20 * time.Millisecond
		if followed(p, asked, film(shown, lag, four)) {
			passed++
		}
		if i%100 == 0 && lag <= p.MaxLag && !followed(p, asked, film(asked, lag, four)) {
			t.Errorf("the right colours were refused, with a lag of %v", lag)
		}
	}
	t.Logf("%d of %d blind guesses passed", passed, tries)
	if passed > tries/1000 {
		t.Errorf("%d of %d blind guesses passed", passed, tries)
	}
}
