package liveness

import (
	"math"

	"latchkey/internal/face"
)

// Names of the scores.
const (
	ScoreLight   = "light"
	ScoreChannel = "light of the weakest channel"
	ScoreGain    = "light gain"
	ScoreSwing   = "light swing"
	ScoreLag     = "lag in milliseconds"
	ScoreDepth   = "depth"
	ScoreSqueeze = "squeeze"
	ScoreExcess  = "squeeze beyond the turn"
	ScoreShading = "shading"
	ScoreVeil    = "veil"
	ScoreTexture = "texture"
	ScoreJump    = "jump"
	ScoreSame    = "same person"
	ScoreFrames  = "frames"
)

// Judge decides what the shots of a scan show; CheckTiming has passed. same is
// the smallest similarity between any two of the frames that were compared.
// Verified means a live head, not yet whose.
func Judge(p Policy, c face.Challenge, w []face.Window, shots []Shot, same float64) face.Decision {
	d := face.Decision{Scores: map[string]float64{ScoreFrames: float64(len(shots)), ScoreSame: same}}
	if d.Reason = CheckPictures(p, shots); d.Reason != face.Verified {
		return clean(d)
	}
	if hidden(c, shots) {
		d.Reason = face.NoFace
		return clean(d)
	}
	turn, turned, lit := divide(c, shots)
	light := MeasureLight(p, c, w, skinSamples(lit))
	moved := MeasureTurn(turn, lit, turned)
	shade := MeasureShade(c, w, lit, light.Lag)
	texture, jump := pattern(lit), largestJump(lit)

	d.Scores[ScoreLight], d.Scores[ScoreChannel] = light.Mean, light.weakest()
	d.Scores[ScoreGain], d.Scores[ScoreSwing] = light.Gain, light.Swing
	d.Scores[ScoreLag] = float64(light.Lag.Milliseconds())
	d.Scores[ScoreDepth], d.Scores[ScoreSqueeze] = moved.Depth, moved.Squeeze
	d.Scores[ScoreExcess] = moved.Excess()
	d.Scores[ScoreShading], d.Scores[ScoreVeil] = shade.Shading, shade.Veil
	d.Scores[ScoreTexture], d.Scores[ScoreJump] = texture, jump

	asked := turn != face.TurnNone
	seen := light.Mean >= p.MinLight && light.weakest() >= p.MinChannel
	switch {
	// What another light or another try can mend.
	case !seen && light.Swing < p.MinSwing, seen && light.Gain < p.MinGain:
		d.Reason = face.LightWeak
	case seen && light.Lag > p.MaxLag:
		d.Reason = face.BadTiming
	case seen && asked && moved.Depth < p.MinDepth && (moved.Squeeze < p.MinSqueeze || moved.Other >= p.MinDepth):
		d.Reason = face.NoTurn
	// What it can't.
	case !seen,
		asked && !(moved.Depth >= p.MinDepth && moved.Depth <= p.MaxDepth),
		asked && !(moved.Excess() <= p.MaxExcess && moved.Solid() >= p.MinSolid),
		!(shade.Shading >= p.MinShading),
		!(shade.Skin() >= p.MinSkin),
		!(shade.Veil <= p.MaxVeil),
		!(texture <= p.MaxTexture),
		!(jump <= p.MaxJump),
		!(same >= p.MinSame):
		d.Reason = face.NotLive
	}
	return clean(d)
}

// divide sorts the shots that have a face: those of the turn, and those of the
// colours. The step after the turn, in which the head comes back, is neither.
func divide(c face.Challenge, shots []Shot) (turn face.Turn, turned, lit []*Shot) {
	for i := range shots {
		s := &shots[i]
		if s.Faces == 0 || s.Step < 0 || s.Step >= len(c.Steps) {
			continue
		}
		switch t := c.Steps[s.Step].Turn; {
		case t != face.TurnNone:
			turn = t
			turned = append(turned, s)
		case !isBack(c, s.Step):
			lit = append(lit, s)
		}
	}
	return turn, turned, lit
}

// isBack says whether the head comes back in a step.
func isBack(c face.Challenge, step int) bool {
	return step > 0 && c.Steps[step].Turn == face.TurnNone && c.Steps[step-1].Turn != face.TurnNone
}

// hidden says whether a turn or a colour has no frame with a face: the frames
// that may have none are enough to leave out the turn, or colours that do not
// fit.
func hidden(c face.Challenge, shots []Shot) bool {
	seen := make([]bool, len(c.Steps))
	for i := range shots {
		if s := &shots[i]; s.Faces > 0 && s.Step >= 0 && s.Step < len(seen) {
			seen[s.Step] = true
		}
	}
	for i := range seen {
		if !seen[i] && !isBack(c, i) {
			return true
		}
	}
	return false
}

// pattern is the usual texture of the shots; infinite where it could not be
// measured in most of them, so that small frames do not pass for clean ones.
func pattern(shots []*Shot) float64 {
	var v []float64
	for _, s := range shots {
		if finite(s.Texture) {
			v = append(v, s.Texture)
		} else {
			v = append(v, math.Inf(1))
		}
	}
	return median(v)
}

// largestJump is the largest change of shape from one shot to the next.
func largestJump(shots []*Shot) float64 {
	most := 0.0
	var before []Place
	for _, s := range shots {
		shape, ok := s.shape()
		if !ok {
			return math.Inf(1)
		}
		if before != nil {
			sum := 0.0
			for i := range shape {
				dx, dy := shape[i].X-before[i].X, shape[i].Y-before[i].Y
				sum += dx*dx + dy*dy
			}
			most = max(most, math.Sqrt(sum/float64(len(shape))))
		}
		before = shape
	}
	return most
}

// clean keeps the scores numbers that JSON and a database can hold.
func clean(d face.Decision) face.Decision {
	for k, v := range d.Scores {
		if !finite(v) {
			d.Scores[k] = -1
		}
	}
	return d
}
