package engine

import "latchkey/internal/face"

// similarity is the affine without shear that takes points nearest to others,
// by least squares: turn, size and place.
func similarity(from [5][2]float32, to [5]face.Point) affine {
	var mx, my, mu, mv float64
	for i := range from {
		mx += float64(from[i][0]) / 5
		my += float64(from[i][1]) / 5
		mu += float64(to[i].X) / 5
		mv += float64(to[i].Y) / 5
	}
	var n, along, across float64
	for i := range from {
		x, y := float64(from[i][0])-mx, float64(from[i][1])-my
		u, v := float64(to[i].X)-mu, float64(to[i].Y)-mv
		n += x*x + y*y
		along += x*u + y*v
		across += x*v - y*u
	}
	a, b := along/n, across/n
	return affine{a: float32(a), b: float32(-b), c: float32(mu - a*mx + b*my),
		d: float32(b), e: float32(a), f: float32(mv - b*mx - a*my)}
}

// five are the points by which a face is aligned.
func five(marks *[68]face.Point) [5]face.Point {
	return [5]face.Point{mean(marks[36:42]), mean(marks[42:48]), marks[30], marks[48], marks[54]}
}

func mean(points []face.Point) (m face.Point) {
	for _, p := range points {
		m.X += p.X / float32(len(points))
		m.Y += p.Y / float32(len(points))
	}
	return m
}
