package picture

import (
	"math"

	"latchkey/internal/face"
)

// Measures are what Quality judges a picture by.
type Measures struct {
	Faces int     // faces that count: those not much smaller than the largest
	Eyes  float64 // between the eyes' centres, in pixels
	Part  float64 // height of the face, by the picture's
	X, Y  float64 // from the picture's middle to the face's, by its width and height
	Light float64 // mean luma of the face, 0 to 255
	Glare float64 // part of the face that is white, 0 to 1
	Sharp float64 // detail by contrast, at the size the embedder sees
	Roll  float64 // degrees that the head is tilted, clockwise in the picture
	Yaw   float64 // nose's tip to the right of the eyes' middle, by Eyes; 0 looks straight
	Pitch float64 // nose's tip between the eyes (0) and the mouth (1)
}

// The bounds of a good picture. docs/face.md says how they were chosen.
const (
	// alsoThere is the height of a second face, by the first's, from which it
	// counts: smaller ones are passers-by and pictures on the wall.
	alsoThere = 0.5
	// fewestPixels between the eyes: the embedder sees 35; with fewer it is
	// given less than it was made for.
	fewestPixels = 36
	// largestPart of the picture's height: beyond it the chin or the forehead
	// is cut off, and lenses distort.
	largestPart = 0.85
	// offX and offY are how far the face's middle may be from the picture's.
	offX, offY = 0.25, 0.3
	// darkest and brightest mean. Dark skin in good light is at 60 and above,
	// light skin in strong light at 210 and below: the bounds are beyond both.
	darkest, brightest = 40, 225
	// mostGlare is the part of the face that may be white: glasses and a shiny
	// forehead are less.
	mostGlare = 0.06
	// softest is the least detail.
	softest = 0.15
	// mostRoll, mostYaw, leastPitch and mostPitch bound how the head is held.
	mostRoll              = 25
	mostYaw               = 0.4
	leastPitch, mostPitch = 0.25, 0.9
)

// Quality says whether the faces that were found on a picture are one good
// face, or the first thing that the person can mend. Found is as Engine.Find
// gives it.
func Quality(p *face.Picture, found []face.Found) (face.Reason, Measures) {
	if len(found) == 0 {
		return face.NoFace, Measures{}
	}
	m := Measure(p, found)
	switch {
	case m.Faces > 1:
		return face.ManyFaces, m
	case m.Eyes < fewestPixels:
		return face.TooFar, m
	case m.Part > largestPart:
		return face.TooClose, m
	case math.Abs(m.X) > offX || math.Abs(m.Y) > offY:
		return face.OffCentre, m
	case m.Light < darkest:
		return face.TooDark, m
	case m.Light > brightest:
		return face.TooBright, m
	case m.Glare > mostGlare:
		return face.Glare, m
	case m.Sharp < softest:
		return face.Blurred, m
	case math.Abs(m.Roll) > mostRoll || math.Abs(m.Yaw) > mostYaw || m.Pitch < leastPitch || m.Pitch > mostPitch:
		return face.NotFrontal, m
	}
	return face.Verified, m
}

// Measure measures the first of the faces.
func Measure(p *face.Picture, found []face.Found) Measures {
	f := found[0]
	m := Measures{Faces: 1}
	for _, other := range found[1:] {
		if other.Box.H >= alsoThere*f.Box.H {
			m.Faces++
		}
	}
	left, right := centre(f.Landmarks[36:42]), centre(f.Landmarks[42:48])
	mouth := centre([]face.Point{f.Landmarks[48], f.Landmarks[54]})
	dx, dy := float64(right.X-left.X), float64(right.Y-left.Y)
	m.Eyes = math.Hypot(dx, dy)
	m.Part = float64(f.Box.H) / float64(p.H)
	m.X = (float64(f.Box.X+f.Box.W/2) - float64(p.W)/2) / float64(p.W)
	m.Y = (float64(f.Box.Y+f.Box.H/2) - float64(p.H)/2) / float64(p.H)
	m.Roll = math.Atan2(dy, dx) * 180 / math.Pi
	if !(m.Eyes >= 1 && m.Eyes < 1e6) { // not a face: own models may give anything
		m.Eyes = 0
		return m
	}
	// In the head's own directions: u from eye to eye, v from eyes to mouth.
	ux, uy := dx/m.Eyes, dy/m.Eyes
	middle := centre([]face.Point{left, right})
	along := func(q face.Point) (u, v float64) {
		x, y := float64(q.X-middle.X), float64(q.Y-middle.Y)
		return x*ux + y*uy, y*ux - x*uy
	}
	nu, nv := along(f.Landmarks[30])
	_, mv := along(mouth)
	m.Yaw = nu / m.Eyes
	m.Pitch = nv / math.Max(mv, 1)
	m.Light, m.Glare = light(p, f)
	m.Sharp = sharp(p, middle, ux, uy, m.Eyes)
	return m
}

func centre(points []face.Point) (c face.Point) {
	for _, q := range points {
		c.X += q.X / float32(len(points))
		c.Y += q.Y / float32(len(points))
	}
	return c
}

// white is the luma from which a place is glare.
const white = 250

// light gives the mean luma and the white part of what is between the brows and
// the jaw, at places of a grid.
func light(p *face.Picture, f face.Found) (mean, glare float64) {
	outline := append([]face.Point(nil), f.Landmarks[:17]...)
	for i := 26; i >= 17; i-- {
		outline = append(outline, f.Landmarks[i])
	}
	lo, hi := outline[0], outline[0]
	for _, q := range outline {
		lo.X, lo.Y = min(lo.X, q.X), min(lo.Y, q.Y)
		hi.X, hi.Y = max(hi.X, q.X), max(hi.Y, q.Y)
	}
	const steps = 64
	n := 0
	for j := range steps {
		y := lo.Y + (hi.Y-lo.Y)*(float32(j)+0.5)/steps
		for i := range steps {
			x := lo.X + (hi.X-lo.X)*(float32(i)+0.5)/steps
			if !inside(outline, x, y) || x < 0 || y < 0 || x >= float32(p.W) || y >= float32(p.H) {
				continue
			}
			l := luma(p, int(x), int(y))
			mean += l
			if l >= white {
				glare++
			}
			n++
		}
	}
	if n == 0 {
		return 0, 0
	}
	return mean / float64(n), glare / float64(n)
}

// inside says whether a point is within an outline, by how often a line to the
// left of it crosses.
func inside(outline []face.Point, x, y float32) bool {
	in := false
	for i, a := range outline {
		b := outline[(i+1)%len(outline)]
		if (a.Y > y) != (b.Y > y) && x > a.X+(y-a.Y)*(b.X-a.X)/(b.Y-a.Y) {
			in = !in
		}
	}
	return in
}

// luma is that of BT.601 of one pixel.
func luma(p *face.Picture, x, y int) float64 {
	at := 3 * (y*p.W + x)
	return 0.299*float64(p.RGB[at]) + 0.587*float64(p.RGB[at+1]) + 0.114*float64(p.RGB[at+2])
}

// finest bounds the places that are looked at for one, in one direction. No face
// that fits into a picture has its eyes as far apart as needs more.
const finest = 32

// sharp is the root mean square of the second derivative by that of the
// contrast, around eyes, nose and mouth, where the eyes are 35 pixels apart.
func sharp(p *face.Picture, middle face.Point, ux, uy, eyes float64) float64 {
	const eyesApart, width, height, above = 35.0, 64, 64, 16
	s := eyes / eyesApart
	k := min(max(int(s+0.5), 1), finest) // a coarser place is the mean of k x k
	var grey [height][width]float64
	for j := range height {
		for i := range width {
			for b := range k {
				for a := range k {
					x := s * (float64(i) - width/2 + (float64(a)+0.5)/float64(k))
					y := s * (float64(j) - above + (float64(b)+0.5)/float64(k))
					grey[j][i] += between(p, float64(middle.X)+x*ux-y*uy, float64(middle.Y)+x*uy+y*ux) / float64(k*k)
				}
			}
		}
	}
	var sum, square, detail float64
	const n = (width - 2) * (height - 2)
	for j := 1; j < height-1; j++ {
		for i := 1; i < width-1; i++ {
			g := grey[j][i]
			sum += g / n
			square += g * g / n
			d := grey[j-1][i] + grey[j+1][i] + grey[j][i-1] + grey[j][i+1] - 4*g
			detail += d * d / n
		}
	}
	if contrast := square - sum*sum; contrast > 1 {
		return math.Sqrt(detail / contrast)
	}
	return 0
}

// between is the luma at a place, between the four pixels around it; outside of
// the picture that of its edge.
func between(p *face.Picture, x, y float64) float64 {
	x, y = min(max(x, 0), float64(p.W-1)), min(max(y, 0), float64(p.H-1))
	x0, y0 := int(x), int(y)
	x1, y1 := min(x0+1, p.W-1), min(y0+1, p.H-1)
	fx, fy := x-float64(x0), y-float64(y0)
	return (luma(p, x0, y0)*(1-fx)+luma(p, x1, y0)*fx)*(1-fy) + (luma(p, x0, y1)*(1-fx)+luma(p, x1, y1)*fx)*fy
}
