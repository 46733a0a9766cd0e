package simulate

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"time"

	"latchkey/internal/face"
)

// tones turns linear light into sRGB values, 0 to 255.
type tones []float32

func newTones() tones {
	t := make(tones, 4097)
	for i := range t {
		c := float64(i) / 4096
		if c <= 0.0031308 {
			c *= 12.92
		} else {
			c = 1.055*math.Pow(c, 1/2.4) - 0.055
		}
		t[i] = float32(255 * c)
	}
	return t
}

func (t tones) of(light float32) float32 {
	return t[int(min(max(light, 0), 1)*4096)]
}

// network is one way between the page and the service.
func network(r *rand.Rand) time.Duration {
	return 15*time.Millisecond + time.Duration(r.ExpFloat64()*float64(25*time.Millisecond))
}

// Scan plays a whole scan and gives what the service gets. r decides everything
// that is left to chance.
func Scan(r *rand.Rand, c face.Challenge, sub Subject, room Room, cam Camera) (face.Evidence, error) {
	sub, room = usual(sub, room)
	begin := time.Date(2030, 1, 2, 9, 0, 0, 0, time.UTC)
	var e face.Evidence
	shown := make([]time.Duration, len(c.Steps)) // on the page, since begin
	now := time.Duration(0)
	for i, s := range c.Steps {
		told := now
		shown[i] = told + network(r)
		fixed := shown[i] + s.Length + network(r)
		e.Windows = append(e.Windows, face.Window{Told: begin.Add(told), Fixed: begin.Add(fixed)})
		now = fixed + 2*time.Millisecond
	}
	m := newMovie(r, c, sub, room, cam, shown)
	phase := r.Float64() / cam.Rate
	for i, s := range c.Steps {
		want := 4
		if s.Turn != face.TurnNone {
			want = 8
		}
		before := -1.0
		for k := range want {
			at := shown[i] + s.Length*time.Duration(2*k+1)/time.Duration(2*want)
			// The page has the newest frame of the camera, which has its own beat.
			taken := math.Floor((at.Seconds()-phase)*cam.Rate)/cam.Rate + phase
			if taken == before {
				continue
			}
			before = taken
			data, err := m.frame(r, i, time.Duration(taken*float64(time.Second)))
			if err != nil {
				return e, err
			}
			e.Frames = append(e.Frames, face.Frame{Step: i, At: (at - shown[i]).Round(time.Millisecond), JPEG: data})
		}
	}
	return e, nil
}

// usual fills in what was left out.
func usual(sub Subject, room Room) (Subject, Room) {
	if sub.Skin == ([3]float64{}) {
		sub.Skin = [3]float64{1, 1, 1}
	}
	if room.Tint == ([3]float64{}) {
		room.Tint = [3]float64{1, 1, 1}
	}
	return sub, room
}

// movie is a scan that is being filmed.
type movie struct {
	c     face.Challenge
	sub   Subject
	room  Room
	cam   Camera
	shown []time.Duration
	lit   lights // on the face
	real  lights // of the screen
	sway  sway
	tones tones
	noise []float32
	frm   canvas
	gain  float64 // of the exposure
	last  time.Duration
}

func newMovie(r *rand.Rand, c face.Challenge, sub Subject, room Room, cam Camera, shown []time.Duration) *movie {
	m := &movie{c: c, sub: sub, room: room, cam: cam, shown: shown, tones: newTones(), gain: 1, last: -1}
	m.real = newLights(c.Steps, shown)
	if sub.Lit != nil {
		m.lit = newLights(sub.Lit, shown[:len(sub.Lit)])
	}
	for i := range m.sway.phase {
		m.sway.phase[i] = r.Float64() * 2 * math.Pi
	}
	m.noise = make([]float32, 1<<15)
	for i := range m.noise {
		m.noise[i] = float32(r.NormFloat64() * cam.Noise)
	}
	m.frm = canvas{w: cam.Width, h: cam.Height, light: make([]float32, 3*cam.Width*cam.Height), near: make([]float32, cam.Width*cam.Height), wall: wall(cam.Width, cam.Height)}
	return m
}

// frame renders what the page has at a time, and compresses it.
func (m *movie) frame(r *rand.Rand, step int, at time.Duration) ([]byte, error) {
	seen := at - m.cam.Lag
	exposure := time.Duration(float64(time.Second) / max(m.cam.Rate, 30))
	s := shine{room: m.room, face: m.lit.at(seen, exposure)}
	s.screen = m.real.at(seen, exposure)
	if m.sub.Injected { // the room is in the picture too
		s.screen = s.face
	}
	for k, v := range s.screen {
		s.veil[k] = v * m.sub.Veil
	}
	head := m.sub.Head
	if m.sub.After != nil && step >= m.sub.From {
		head = m.sub.After
	}
	p := m.sway.at(seen.Seconds(), m.sub.Sway)
	p.yaw += m.turn(seen)
	m.frm.background(s)
	if m.sub.Second != nil {
		m.frm.draw(m.sub.Second, &m.sub, m.sway.at(seen.Seconds()+100, 1), s, m.cam, 0.30)
		m.frm.draw(head, &m.sub, p, s, m.cam, -0.16)
	} else {
		m.frm.draw(head, &m.sub, p, s, m.cam, m.cam.Across)
	}
	if m.cam.Auto {
		m.expose(head, s, at)
	}
	return m.develop(r)
}

// turn is the angle at a time: there after a moment, and back when the first
// colour is seen.
func (m *movie) turn(at time.Duration) float64 {
	angle := 0.0
	for i, s := range m.c.Steps {
		side := 1.0
		switch s.Turn {
		case face.TurnNone:
			continue
		case face.TurnRight:
			side = -1
		}
		const takes = 0.45 // seconds
		there := ease((at - m.shown[i] - m.sub.Reaction).Seconds() / takes)
		back := 0.0
		if i+1 < len(m.shown) {
			back = ease((at - m.shown[i+1] - m.sub.Reaction*3/4).Seconds() / takes)
		}
		angle += side * m.sub.Turn * (there - back)
	}
	return angle
}

// expose lets the exposure follow the mean light of the picture.
func (m *movie) expose(h *Head, s shine, at time.Duration) {
	light := 0.0
	for k := range 3 {
		skin := h.Skin[k] * m.sub.Skin[k] * (m.room.Ambient + m.room.Gain/usualLight*s.face[k])
		wall := m.room.Wall * (m.room.Ambient + m.room.Gain/usualLight*m.room.Back*s.screen[k])
		light += (0.4*skin + 0.6*wall) / 3
	}
	want := min(4, max(0.25, 0.25/max(light, 1e-6)))
	if m.last < 0 {
		m.gain = want
	} else {
		m.gain += (want - m.gain) * (1 - math.Exp(-(at-m.last).Seconds()/0.5))
	}
	m.last = at
}

// develop adds noise and makes a JPEG.
func (m *movie) develop(r *rand.Rand) ([]byte, error) {
	c := &m.frm
	img := image.NewRGBA(image.Rect(0, 0, c.w, c.h))
	gain := float32(m.gain)
	for y := range c.h {
		n := r.IntN(len(m.noise))
		for x := range c.w {
			i, o := 3*(y*c.w+x), img.PixOffset(x, y)
			for k := range 3 {
				n = (n + 1) & (len(m.noise) - 1)
				v := m.tones.of(gain*c.light[i+k]) + m.noise[n] + 0.5
				img.Pix[o+k] = byte(min(max(v, 0), 255))
			}
			img.Pix[o+3] = 255
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: m.cam.Quality}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
