// Package liveness decides from measurements, not pictures, whether a scan shows
// one live head before the screen: the light of the screen comes back in time,
// the head has depth, the picture is no screen, and one person is there
// throughout.
//
// It promises: pure functions, no clock, no randomness; any measurement, NaN
// and infinities among them, gives a decision and never a panic. What a check is
// worth is counted in docs/face.md.
package liveness

import "time"

// Policy holds every threshold of a scan. The defaults were chosen from the
// distributions in docs/face.md. Lengths of a face are in eye distances: from
// the middle of one eye to that of the other. Light is linear, 1 is the
// brightest that the camera tells apart.
type Policy struct {
	// Light.
	MaxLag     time.Duration // from the screen's change to the frame that shows it
	LagSearch  time.Duration // lags tried; one that fits best above MaxLag is refused
	LagStep    time.Duration
	MinLight   float64 // correlation, mean of the three channels
	MinChannel float64 // correlation, weakest channel
	MinGain    float64 // screen light that comes back from the skin, share of its brightness
	MinSwing   float64 // change of the skin against the background, below which no light was seen

	// Depth.
	MinDepth   float64 // turn explained by a head's depth: sine of the angle
	MaxDepth   float64 // beyond it the landmarks are not to be trusted
	MaxExcess  float64 // narrowing of the face beyond what such a turn of a head gives
	MinSolid   float64 // depth less that excess
	MinSqueeze float64 // narrowing without depth that makes it a flat picture; less is no turn

	// Shading and texture.
	MinShading float64 // response of the middle of the face over that of its edges
	MinSkin    float64 // shading less the veil: the share of the response that does not depend on how light the skin is
	MaxVeil    float64 // that share itself: a mirror's, however much more the middle answers
	MaxTexture float64 // strongest regular pattern over what is usual at its frequency, in decibels

	// One person throughout.
	MinSame float64 // cosine similarity between any two of the compared frames
	MaxJump float64 // change of the face's shape from one frame to the next, root mean square, eye distances

	// Time and number.
	MinStepFrames int           // of each colour step
	MaxStepFrames int           // of each colour step; twice as many of a turn
	MinTurnFrames int           //
	MinSpan       float64       // share of a step that its frames must span
	MinHold       float64       // share of a step's length that must pass before its frames are fixed
	MaxOverrun    time.Duration // from a step's end to the moment its frames are fixed
	MaxScan       time.Duration // from the first step to the last
	MaxMissing    float64       // share of frames that may have no face

	// Picture.
	MinFace    float64 // eye distance over the width of the frame
	MaxFace    float64
	MaxOff     float64 // middle of the face from the middle of the frame, share of its width
	MinLuma    float64 // mean of the face, linear
	MaxLuma    float64
	MaxClipped float64 // share of the face's pixels that are white
	MinSharp   float64 // detail of the face: mean change from pixel to pixel over brightness
}

// Default is the policy that the figures in docs/face.md were counted with.
func Default() Policy {
	return Policy{
		MaxLag: 300 * time.Millisecond, LagSearch: 900 * time.Millisecond, LagStep: 20 * time.Millisecond,
		MinLight: 0.75, MinChannel: 0.50, MinGain: 0.008, MinSwing: 0.010,
		MinDepth: 0.18, MaxDepth: 0.80, MaxExcess: 0.10, MinSolid: 0.20, MinSqueeze: 0.05,
		MinShading: 0.50, MinSkin: 0.15, MaxVeil: 1, MaxTexture: 20.6,
		MinSame: 0.55, MaxJump: 0.20,
		MinStepFrames: 2, MaxStepFrames: 6, MinTurnFrames: 4,
		MinSpan: 0.4, MinHold: 0.9, MaxOverrun: 2 * time.Second, MaxScan: 30 * time.Second, MaxMissing: 0.2,
		MinFace: 0.08, MaxFace: 0.40, MaxOff: 0.25,
		MinLuma: 0.02, MaxLuma: 0.80, MaxClipped: 0.25, MinSharp: 0.004,
	}
}
