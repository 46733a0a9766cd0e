// Package face verifies that the person before the camera is live and is the
// one on the profile photo.
//
// It promises: frames stay in memory and are dropped with the call; what leaves
// it is one Decision with its scores; a Challenge is drawn from crypto/rand.
// What is and is not defeated by it is in docs/face.md.
package face

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable: this build or machine has no engine, or the provider is away.
var ErrUnavailable = errors.New("face verification is not available")

// Colour is what the screen shows, sRGB.
type Colour struct{ R, G, B uint8 }

// Turn is a small movement of the head, as the person sees it.
type Turn string

// The turns.
const (
	TurnNone  Turn = ""
	TurnLeft  Turn = "left"
	TurnRight Turn = "right"
)

// Step is one part of a scan: a turn of the head (with a neutral light screen),
// or a colour with the head straight.
type Step struct {
	Turn   Turn
	Colour Colour
	Length time.Duration
}

// Challenge is what one scan asks for. It is used once.
type Challenge struct {
	Steps   []Step
	Session string // an outside provider's identifier of the scan
	Page    string // an outside provider's page that does the scan
}

// Frame is one picture of the camera.
type Frame struct {
	Step int           // index into Challenge.Steps
	At   time.Duration // since the step was shown, by the page's clock
	JPEG []byte
}

// Window is when a step was told and when its frames were fixed, by the
// service's clock. The frames were fixed before the next step was told.
type Window struct{ Told, Fixed time.Time }

// Evidence is what came of a challenge.
type Evidence struct {
	Frames  []Frame
	Windows []Window // one for each step
}

// Profile is what the Registration Authority holds of a person.
type Profile struct {
	Photo    []byte   // JPEG or PNG as enrolled
	Template Template // of the photo, by Checker.Model
}

// Template is a face as numbers, of unit length. Cosine similarity compares two.
type Template []float32

// Reason is why a person was not verified, for advice and the audit trail.
type Reason string

// The reasons. Those before NotLive are about the picture: the person can mend
// them. NotLive and OtherPerson are told apart in the audit trail alone.
const (
	Verified    Reason = ""
	NoFace      Reason = "no face"
	ManyFaces   Reason = "several faces"
	TooFar      Reason = "too far"
	TooClose    Reason = "too close"
	OffCentre   Reason = "not in the middle"
	TooDark     Reason = "too dark"
	TooBright   Reason = "too bright"
	Blurred     Reason = "blurred"
	Glare       Reason = "glare"
	NotFrontal  Reason = "not looking straight"
	LightWeak   Reason = "screen light not seen" // strong light in the room
	NoTurn      Reason = "head not turned"
	TooFewShots Reason = "too few frames"
	BadTiming   Reason = "timing"
	NotLive     Reason = "not live"
	OtherPerson Reason = "other person"
)

// Mendable says whether better light or another position can help.
func (r Reason) Mendable() bool {
	return r != Verified && r != NotLive && r != OtherPerson
}

// Decision is the outcome of a scan.
type Decision struct {
	Reason Reason // Verified or why not
	// Scores by name, for the audit trail: "similarity", "light", "depth",
	// "texture", "same person", ... Numbers only.
	Scores map[string]float64
}

// Checker draws scans and decides them: our own, or an outside provider.
type Checker interface {
	// Model names what templates are made with; one of another model is made
	// anew from the photo. "" where the provider compares photos itself.
	Model() string
	// Photo says whether a picture is a good profile photo, and its template.
	Photo(ctx context.Context, picture []byte) (Template, Reason, error)
	// Draw draws a challenge.
	Draw(ctx context.Context) (Challenge, error)
	// Decide decides a scan. profile is nil where there is nobody to compare
	// with: the same work is done, and nobody is verified.
	Decide(ctx context.Context, c Challenge, e Evidence, profile *Profile) (Decision, error)
}

// Rect is a box in pixels.
type Rect struct{ X, Y, W, H float32 }

// Point is a place in pixels.
type Point struct{ X, Y float32 }

// Found is a face in a picture.
type Found struct {
	Box       Rect
	Score     float32   // 0 to 1
	Landmarks [68]Point // in iBUG 300-W order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67
}

// Picture is a decoded picture: 8-bit sRGB, rows of RGB triples, upright.
type Picture struct {
	W, H int
	RGB  []byte // 3*W*H
}

// Engine finds and describes faces. It is safe for use by many goroutines.
type Engine interface {
	Model() string
	// Find gives the faces of a picture, largest first, each with landmarks.
	Find(ctx context.Context, p *Picture) ([]Found, error)
	// Describe gives the template of one face.
	Describe(ctx context.Context, p *Picture, f Found) (Template, error)
	Close() error
}
