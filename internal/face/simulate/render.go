package simulate

import (
	"math"

	"latchkey/internal/face/liveness"
)

// distance is from the camera to the eyes, about 57 cm.
const distance = 9.0

// neck is how far behind the eyes a head turns.
const neck = -1.4

// usualLight is what a light skin reflects, linear.
const usualLight = 0.45

// canvas is a frame in linear light.
type canvas struct {
	w, h  int
	light []float32
	near  []float32
	wall  []float32
}

// shine is the light on the scene at one moment.
type shine struct {
	room   Room
	face   [3]float64 // of the screen, on the face; of another one's in a replay
	screen [3]float64 // of the screen, on the room
	veil   [3]float64
}

// point is a corner of the mesh in the frame.
type point struct {
	x, y, z        float32 // pixels; nearness
	u, v           float32 // pixels of the picture
	room, lit, hid float32
}

// wall gives the brightness of the background: lighter above, with a door.
func wall(w, h int) []float32 {
	out := make([]float32, 0, w*h)
	for y := range h {
		down := float64(y) / float64(h)
		for x := range w {
			across := float64(x) / float64(w)
			v := 1.15 - 0.3*down + 0.1*math.Sin(5*across+2*down)
			if across > 0.86 && down > 0.25 {
				v *= 0.7
			}
			out = append(out, float32(v))
		}
	}
	return out
}

// background fills the frame with the wall.
func (c *canvas) background(s shine) {
	var light [3]float32
	for k := range light {
		light[k] = float32(s.room.Wall * (s.room.Ambient*s.room.Tint[k] + s.room.Gain/usualLight*s.room.Back*s.screen[k]))
	}
	for i, v := range c.wall {
		c.light[3*i], c.light[3*i+1], c.light[3*i+2] = v*light[0], v*light[1], v*light[2]
	}
	for i := range c.near {
		c.near[i] = -1e9
	}
}

// draw puts a subject's face into the frame.
func (c *canvas) draw(h *Head, sub *Subject, p pose, s shine, cam Camera, across float64) {
	corners := make([]point, len(h.depth))
	sy, cy := math.Sincos(p.yaw)
	sp, cp := math.Sincos(p.pitch)
	sr, cr := math.Sincos(p.roll)
	scale := cam.Eyes * float64(cam.Width) * distance
	for i := range corners {
		at := corner(i)
		x, y, z := at.X, at.Y, h.depth[i]
		n := h.normal[i]
		own := 0.55 + 0.45*n[2] // the room's light that is in the picture already
		pivot := neck
		if sub.Flat {
			z, n, own, pivot = 0, [3]float64{0, 0, 1}, 1, 0
			if sub.Bend > 0 {
				x, y, z, n = bend(x, y, sub.Surface)
			}
		}
		turn := func(x, y, z float64) (float64, float64, float64) {
			x, z = x*cy+z*sy, z*cy-x*sy
			y, z = y*cp+z*sp, z*cp-y*sp
			return x*cr - y*sr, x*sr + y*cr, z
		}
		x, y, z = turn(x, y, z-pivot)
		z += pivot
		n[0], n[1], n[2] = turn(n[0], n[1], n[2])
		x, y = x+p.x, y+p.y
		f := scale / (distance - z)
		u, v := h.axes.Pixel(at)
		q := &corners[i]
		q.x = float32(float64(c.w)*(0.5+across) + f*x)
		q.y = float32(float64(c.h)*0.44 + f*y)
		q.z = float32(z)
		q.u, q.v = float32(u), float32(v)
		q.room = float32((0.55 + 0.45*max(0, n[2])) / own)
		// The screen is before the face, as wide as it: light falls in from a
		// broad direction and gets weaker with the distance squared.
		away := distance / (distance - z)
		q.lit = float32((0.1 + 0.9*max(0, n[2])) / own * away * away)
		q.hid = float32(cover(at))
	}
	for r := range meshRow {
		for col := range meshColumns {
			i := r*(meshColumns+1) + col
			a, b := &corners[i], &corners[i+1]
			d, e := &corners[i+meshColumns+1], &corners[i+meshColumns+2]
			c.triangle(h, sub, s, a, b, d)
			c.triangle(h, sub, s, b, e, d)
		}
	}
}

// bend lays a place of a sheet on a cylinder.
func bend(x, y float64, s Surface) (bx, by, z float64, n [3]float64) {
	sa, ca := math.Sincos(s.Along)
	u, v := x*ca+y*sa, y*ca-x*sa
	sin, cos := math.Sincos(u / s.Bend)
	u, z = s.Bend*sin, s.Bend*(cos-1)
	return u*ca - v*sa, u*sa + v*ca, z, [3]float64{sin * ca, sin * sa, cos}
}

// triangle fills the pixels between three corners.
func (c *canvas) triangle(h *Head, sub *Subject, s shine, p, q, r *point) {
	if p.hid == 0 && q.hid == 0 && r.hid == 0 {
		return
	}
	area := (q.x-p.x)*(r.y-p.y) - (r.x-p.x)*(q.y-p.y)
	if area <= 0 {
		return // seen from behind
	}
	x0, x1 := max(0, int(min(p.x, q.x, r.x))), min(c.w-1, int(max(p.x, q.x, r.x))+1)
	y0, y1 := max(0, int(min(p.y, q.y, r.y))), min(c.h-1, int(max(p.y, q.y, r.y))+1)
	gain := float32(s.room.Gain / usualLight)
	ambient := float32(s.room.Ambient)
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			fx, fy := float32(x), float32(y)
			a := ((q.x-fx)*(r.y-fy) - (r.x-fx)*(q.y-fy)) / area
			b := ((r.x-fx)*(p.y-fy) - (p.x-fx)*(r.y-fy)) / area
			d := 1 - a - b
			if a < 0 || b < 0 || d < 0 {
				continue
			}
			i := y*c.w + x
			z := a*p.z + b*q.z + d*r.z
			if z < c.near[i] {
				continue
			}
			hid := a*p.hid + b*q.hid + d*r.hid
			if hid <= 0 {
				continue
			}
			c.near[i] = z
			t := h.sample(float64(a*p.u+b*q.u+d*r.u), float64(a*p.v+b*q.v+d*r.v))
			room, lit := ambient*(a*p.room+b*q.room+d*r.room), gain*(a*p.lit+b*q.lit+d*r.lit)
			shade := float32(1)
			if sub.Pattern.Depth > 0 {
				shade = sub.Pattern.at(x, y)
			}
			for k := range 3 {
				v := shade*t[k]*float32(sub.Skin[k])*(room*float32(s.room.Tint[k])+lit*float32(s.face[k])) + float32(s.veil[k])
				o := &c.light[3*i+k]
				*o += hid * (v - *o)
			}
		}
	}
}

// at is the share of light that the grid lets through.
func (p Pattern) at(x, y int) float32 {
	s, c := math.Sincos(p.Angle)
	f := 2 * math.Pi / p.Period
	return float32(1 + p.Depth*(math.Sin(f*(float64(x)*c+float64(y)*s))+0.5*math.Sin(f*(float64(y)*c-float64(x)*s))))
}

// Straight renders nothing but the head as it is, for a profile photo: the cut
// of its own picture from hair to collar. Sides in pixels.
func (h *Head) Straight(side int) []byte {
	out := make([]byte, 0, 3*side*side)
	table := newTones()
	for y := range side {
		for x := range side {
			px, py := h.axes.Pixel(liveness.Place{
				X: -2 + 4*float64(x)/float64(side), Y: -1.6 + 4*float64(y)/float64(side),
			})
			for _, v := range h.sample(px, py) {
				out = append(out, byte(table.of(v)+0.5))
			}
		}
	}
	return out
}
