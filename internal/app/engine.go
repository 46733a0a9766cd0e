package app

import (
	"context"
	"time"

	"latchkey/internal/api"
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

// Status is what the readers see.
type Status struct {
	// Problem is set where there is nothing to choose from: no reader service,
	// no reader, no card.
	Problem *problem.Problem
	Cards   []Card // one for each reader with a card in it
}

// Card is a card in a reader.
type Card struct {
	Reader string
	Model  string
	State  CardState
	// Problem says what is wrong with a card that cannot be used.
	Problem   *problem.Problem
	TriesLeft *int // of the passcode, where the card tells
}

// CardState is what a card says of its passcode.
type CardState string

// The states of a card.
const (
	CardReading   CardState = "reading" // has just been put in
	CardLocked    CardState = "locked"
	CardNotLocked CardState = "not locked"
	CardUnclear   CardState = "unclear"  // does not tell
	CardUnusable  CardState = "unusable" // see Problem
)

// Step is where the journey stands.
type Step string

// The steps of the journey.
const (
	StepNone     Step = ""         // no session
	StepMethod   Step = "method"   // started; no code sent yet
	StepCode     Step = "code"     // a code was asked for
	StepPasscode Step = "passcode" // the person is verified
	StepWorking  Step = "working"  // the card is being unlocked
	StepDone     Step = "done"     // it is unlocked
	StepEnded    Step = "ended"    // see View.Problem
)

// View is where the journey stands.
type View struct {
	Step    Step
	Purpose api.Purpose
	Methods []api.MethodStatus
	// Ends is when the session ends, by this computer's clock.
	Ends time.Time
	// Address is where the last code was asked for.
	Address string
	// ResendAt is when another code can be asked for; SendsLeft how often.
	ResendAt  time.Time
	SendsLeft int
	// TriesLeft is how many wrong codes are left, where known.
	TriesLeft *int
	// Progress is what is being done while Step is StepWorking.
	Progress Progress
	// Waiting is what the work waits for: the card that was pulled, the reader.
	Waiting *problem.Problem
	// Refused is why the passcode was not taken, when Step has gone back to
	// StepPasscode.
	Refused *problem.Problem
	// Problem is why the session ended.
	Problem *problem.Problem
}

// Progress is what is being done.
type Progress int

// The progress of an unlock.
const (
	ProgressRelease Progress = iota // asking the service for the unlocking key
	ProgressCard                    // setting the passcode on the card
	ProgressReport                  // telling the service
)
