package app

import (
	"context"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/problem"
)

// Engine is the journey as the pages see it: one for the application, shown
// by any number of tabs. Its errors are problems of package problem.
type Engine interface {
	// Watch sends what the readers see at once and after each change, until ctx
	// ends. Reading spends no try of a card.
	Watch(ctx context.Context) <-chan Status
	// View is where the journey stands.
	View() View
	// Changed is closed at the next change of View.
	Changed() <-chan struct{}
	// Start begins an unlock session for the card in a reader. One that is
	// under way is given up first.
	Start(ctx context.Context, purpose api.Purpose, reader string) error
	// SendCode asks the service for a security code at an address.
	SendCode(ctx context.Context, method api.Method, address string) error
	// CheckCode presents a security code.
	CheckCode(ctx context.Context, code string) error
	// AskFace notes the mobile number that face verification is asked for with.
	AskFace(ctx context.Context, number string) error
	// AgreeFace notes that the person has agreed to the scan.
	AgreeFace(ctx context.Context) error
	// BeginFace begins a scan; one that is under way is given up.
	BeginFace(ctx context.Context) (journey.Scan, error)
	// FaceStep fixes the frames of a step and gives the next one. With Number 0
	// FinishFace follows.
	FaceStep(ctx context.Context, scan string, number int, frames []api.FaceFrame) (api.FaceStep, error)
	// FinishFace has a scan decided.
	FinishFace(ctx context.Context, scan string) error
	// StopFace gives a scan up; why may be nil.
	StopFace(ctx context.Context, why *problem.Problem) error
	// SetPasscode checks the passcode against the rules, and then unlocks the
	// card with it in the background. View tells the progress.
	SetPasscode(ctx context.Context, passcode string) error
	// Change changes the passcode of the card in a reader, knowing the old one.
	Change(ctx context.Context, reader, old, passcode string) error
	// Abandon gives the session up. Without one it does nothing.
	Abandon(ctx context.Context) error
	// Service is what the service said of itself last; its zero value where it
	// has not been reached.
	Service() api.Service
	// Rules are the rules for a new passcode in words.
	Rules() []string
}

// What the pages show is the journey's.
type (
	Status    = journey.Status
	Card      = journey.Card
	CardState = journey.CardState
	Step      = journey.Step
	View      = journey.View
	Progress  = journey.Progress
)

// The journey's steps and states.
const (
	CardReading   = journey.CardReading
	CardLocked    = journey.CardLocked
	CardNotLocked = journey.CardNotLocked
	CardUnclear   = journey.CardUnclear
	CardUnusable  = journey.CardUnusable

	StepNone     = journey.StepNone
	StepMethod   = journey.StepMethod
	StepCode     = journey.StepCode
	StepFace     = journey.StepFace
	StepPasscode = journey.StepPasscode
	StepWorking  = journey.StepWorking
	StepDone     = journey.StepDone
	StepEnded    = journey.StepEnded

	ProgressRelease = journey.ProgressRelease
	ProgressCard    = journey.ProgressCard
	ProgressReport  = journey.ProgressReport
)

var _ Engine = (*journey.Engine)(nil)
