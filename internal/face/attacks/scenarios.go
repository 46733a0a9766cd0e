package attacks

import (
	"math"
	"math/rand/v2"
	"time"

	"latchkey/internal/face"
	"latchkey/internal/face/simulate"
)

// Case is one scan to play.
type Case struct {
	Subject simulate.Subject
	Room    simulate.Room
	Camera  simulate.Camera
	Profile *face.Profile
}

// Scenario is a kind of scan.
type Scenario struct {
	Group  string
	Name   string
	Expect Outcome
	// Make makes one for a challenge. other is a challenge drawn apart.
	Make func(r *rand.Rand, people []Person, c, other face.Challenge) Case
}

// Outcome is what is expected of the sessions of a scenario.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "accepted"
	Rejected Outcome = "rejected"
	Partly   Outcome = "rejected in part" // said in docs/face.md, not promised
)

// Groups of the table.
const (
	Alive   = "Live faces"
	Mend    = "Live faces that something is the matter with"
	Attack  = "Attacks"
	Trusted = "Attacks that only a trusted camera stops"
)

// between gives a random number.
func between(r *rand.Rand, low, high float64) float64 { return low + (high-low)*r.Float64() }

func ms(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }

// live is a person in an office who does what is asked.
func live(r *rand.Rand, people []Person, c face.Challenge) Case {
	p := &people[r.IntN(len(people))]
	return Case{
		Subject: simulate.Subject{
			Head: p.Head, Skin: p.Head.Toned(tones[r.IntN(4)].light), Lit: c.Steps,
			Turn: between(r, 0.30, 0.52), Reaction: ms(between(r, 250, 500)), Sway: 1,
		},
		Room: simulate.Room{
			Ambient: between(r, 0.6, 1.1), Gain: between(r, 0.04, 0.10),
			Wall: between(r, 0.15, 0.35), Back: between(r, 0.1, 0.35),
		},
		Camera: simulate.Camera{
			Width: 320, Height: 240, Rate: 30, Lag: ms(between(r, 60, 160)),
			Noise: 2, Quality: 80, Eyes: between(r, 0.15, 0.21), Across: between(r, -0.04, 0.04),
		},
		Profile: &p.Profile,
	}
}

// tones are skins from light to dark: linear light that comes back in an office.
var tones = []struct {
	name  string
	light [3]float64
}{
	{"1, lightest", [3]float64{0.58, 0.42, 0.35}},
	{"2", [3]float64{0.48, 0.33, 0.26}},
	{"3", [3]float64{0.36, 0.23, 0.17}},
	{"4", [3]float64{0.25, 0.15, 0.10}},
	{"5", [3]float64{0.15, 0.085, 0.055}},
	{"6, darkest", [3]float64{0.08, 0.045, 0.03}},
}

// vary is a live face with something changed.
func vary(group, name string, expect Outcome, change func(r *rand.Rand, people []Person, k *Case)) Scenario {
	return Scenario{group, name, expect, func(r *rand.Rand, people []Person, c, _ face.Challenge) Case {
		k := live(r, people, c)
		change(r, people, &k)
		return k
	}}
}

// Scenarios are all that are counted.
func Scenarios() []Scenario {
	s := []Scenario{vary(Alive, "office, any of the people, skin tones 1 to 4", Accepted, func(*rand.Rand, []Person, *Case) {})}
	s = append(s, cameras()...)
	s = append(s, rooms()...)
	s = append(s, mendable()...)
	s = append(s, photos()...)
	s = append(s, videos()...)
	return append(s, others()...)
}

func cameras() (s []Scenario) {
	for _, lag := range []struct {
		name string
		ms   float64
	}{{"50 ms", 50}, {"120 ms", 120}, {"200 ms", 200}, {"280 ms", 280}} {
		s = append(s, vary(Alive, "screen to frame "+lag.name, Accepted, func(_ *rand.Rand, _ []Person, k *Case) { k.Camera.Lag = ms(lag.ms) }))
	}
	for _, rate := range []struct {
		name string
		hz   float64
	}{{"15", 15}, {"24", 24}, {"60", 60}} {
		s = append(s, vary(Alive, rate.name+" frames a second", Accepted, func(_ *rand.Rand, _ []Person, k *Case) { k.Camera.Rate = rate.hz }))
	}
	for _, q := range []struct {
		name    string
		quality int
	}{{"50", 50}, {"65", 65}, {"95", 95}} {
		s = append(s, vary(Alive, "JPEG quality "+q.name, Accepted, func(_ *rand.Rand, _ []Person, k *Case) { k.Camera.Quality = q.quality }))
	}
	return append(s, vary(Alive, "automatic exposure", Accepted, func(_ *rand.Rand, _ []Person, k *Case) { k.Camera.Auto = true }))
}

func rooms() (s []Scenario) {
	for _, t := range tones {
		s = append(s, vary(Alive, "skin tone "+t.name, Accepted, func(_ *rand.Rand, _ []Person, k *Case) {
			k.Subject.Skin = k.Subject.Head.Toned(t.light)
		}))
	}
	return append(s,
		vary(Alive, "screen adds 3 % of full light to a light skin", Accepted, func(_ *rand.Rand, _ []Person, k *Case) { k.Room.Gain = 0.03 }),
		vary(Alive, "screen adds 12 %", Accepted, func(_ *rand.Rand, _ []Person, k *Case) { k.Room.Gain = 0.12 }),
		vary(Alive, "dim room", Accepted, func(r *rand.Rand, _ []Person, k *Case) { k.Room.Ambient = between(r, 0.25, 0.4) }),
	)
}

func mendable() []Scenario {
	return []Scenario{
		vary(Mend, "deep dark, weak screen", Rejected, func(r *rand.Rand, _ []Person, k *Case) {
			k.Room.Ambient, k.Room.Gain = between(r, 0.003, 0.015), between(r, 0.005, 0.02)
		}),
		vary(Mend, "strong light in the room, screen adds 0.3 %", Rejected, func(r *rand.Rand, _ []Person, k *Case) {
			k.Room.Ambient, k.Room.Gain = between(r, 1.2, 1.5), 0.003
		}),
		vary(Mend, "several faces", Rejected, func(r *rand.Rand, people []Person, k *Case) {
			k.Subject.Second = another(r, people, k.Subject.Head).Head
			k.Camera.Eyes = between(r, 0.11, 0.14)
		}),
		vary(Mend, "head not turned", Rejected, func(_ *rand.Rand, _ []Person, k *Case) { k.Subject.Turn = 0 }),
		vary(Mend, "head turned to the other side", Rejected, func(_ *rand.Rand, _ []Person, k *Case) { k.Subject.Turn = -k.Subject.Turn }),
	}
}

// another is somebody else.
func another(r *rand.Rand, people []Person, than *simulate.Head) *Person {
	for {
		if p := &people[r.IntN(len(people))]; p.Head != than {
			return p
		}
	}
}

// byHand makes the case a sheet that a hand turns as asked.
func byHand(r *rand.Rand, k *Case) {
	k.Subject.Flat = true
	k.Subject.Turn = between(r, 0.25, 0.75)
	k.Subject.Sway = between(r, 1, 2)
}

func photos() []Scenario {
	return []Scenario{
		vary(Attack, "printed photo, flat, cut out, reflects as skin does, turned by hand", Rejected, func(r *rand.Rand, _ []Person, k *Case) { byHand(r, k) }),
		vary(Attack, "the same, held still", Rejected, func(r *rand.Rand, _ []Person, k *Case) {
			byHand(r, k)
			k.Subject.Turn = 0
		}),
		vary(Attack, "printed photo bent sideways, as around a head", Partly, func(r *rand.Rand, _ []Person, k *Case) {
			byHand(r, k)
			k.Subject.Bend = between(r, 1.1, 2.5)
		}),
		vary(Attack, "printed photo bent in any direction", Partly, func(r *rand.Rand, _ []Person, k *Case) {
			byHand(r, k)
			k.Subject.Bend, k.Subject.Along = between(r, 1.3, 4), between(r, 0, math.Pi)
		}),
		vary(Attack, "photo on a screen, turned by hand", Rejected, func(r *rand.Rand, _ []Person, k *Case) {
			byHand(r, k)
			onScreen(r, k)
			k.Subject.Lit = nil
		}),
	}
}

// onScreen shows the case on a glossy screen that the camera films.
func onScreen(r *rand.Rand, k *Case) {
	k.Subject.Veil = between(r, 0.01, 0.06)
	k.Subject.Pattern = simulate.Pattern{Depth: between(r, 0.03, 0.10), Period: between(r, 2.2, 6), Angle: between(r, 0, math.Pi)}
}

func videos() []Scenario {
	replay := func(name string, change func(r *rand.Rand, k *Case, other face.Challenge)) Scenario {
		return Scenario{Attack, name, Rejected, func(r *rand.Rand, people []Person, c, other face.Challenge) Case {
			k := live(r, people, c)
			k.Subject.Lit = other.Steps
			change(r, &k, other)
			return k
		}}
	}
	return []Scenario{
		replay("video of a successful scan, injected, in time and turning to the right side", func(_ *rand.Rand, k *Case, _ face.Challenge) { k.Subject.Injected = true }),
		replay("video of a successful scan, on a glossy screen with a grid", func(r *rand.Rand, k *Case, _ face.Challenge) { onScreen(r, k) }),
		replay("video of a turning head without colours, on a glossy screen with a grid", func(r *rand.Rand, k *Case, _ face.Challenge) {
			onScreen(r, k)
			k.Subject.Lit = nil
		}),
		replay("the same, the grid too fine to see", func(r *rand.Rand, k *Case, _ face.Challenge) {
			onScreen(r, k)
			k.Subject.Lit, k.Subject.Pattern = nil, simulate.Pattern{}
		}),
		{Attack, "live head in the right colours but for four of eight", Partly, func(r *rand.Rand, people []Person, c, other face.Challenge) Case {
			k := live(r, people, c)
			k.Subject.Injected = true
			k.Subject.Lit = append([]face.Step(nil), c.Steps...)
			for _, i := range r.Perm(8)[:4] {
				wrong := other.Steps[2+i]
				if wrong == c.Steps[2+i] {
					wrong = other.Steps[2+(i+1)%8]
				}
				k.Subject.Lit[2+i] = wrong
			}
			return k
		}},
		vary(Attack, "right colours, 400 to 800 ms late", Rejected, func(r *rand.Rand, _ []Person, k *Case) {
			k.Camera.Lag, k.Subject.Injected = ms(between(r, 400, 800)), true
		}),
	}
}

func others() []Scenario {
	return []Scenario{
		vary(Attack, "live face of another person", Rejected, func(r *rand.Rand, people []Person, k *Case) {
			k.Profile = &another(r, people, k.Subject.Head).Profile
		}),
		vary(Attack, "holder first, another person from the middle on", Rejected, func(r *rand.Rand, people []Person, k *Case) {
			k.Subject.After, k.Subject.From = another(r, people, k.Subject.Head).Head, 5+r.IntN(2)
		}),
		vary(Attack, "another person first, holder from the middle on", Rejected, func(r *rand.Rand, people []Person, k *Case) {
			holder := another(r, people, k.Subject.Head)
			k.Subject.After, k.Subject.From, k.Profile = holder.Head, 5+r.IntN(2), &holder.Profile
		}),
		vary(Trusted, "picture made for the scan: right colours, right turn, injected as a camera", Accepted, func(_ *rand.Rand, _ []Person, k *Case) {
			k.Subject.Injected = true
		}),
	}
}
