package journey

import (
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
)

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
	// Application names the one of the card's applications that all this is
	// about; "" where the card has one passcode only.
	Application string
	State       CardState
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
	StepFace     Step = "face"     // a face is to be verified; see View.Face
	StepPasscode Step = "passcode" // the person is verified
	StepWorking  Step = "working"  // the card is being unlocked
	StepDone     Step = "done"     // it is unlocked
	StepEnded    Step = "ended"    // see View.Problem
)

// View is where the journey stands.
type View struct {
	Step    Step
	Purpose api.Purpose
	// Application names the application of the card whose passcode is to be set,
	// where the card has several with a passcode each; else it is "".
	Application string
	Methods     []api.MethodStatus
	// Ends is when the session ends, by this computer's clock.
	Ends time.Time
	// Method is the way that the person has chosen last; "" before the first.
	Method api.Method
	// Address is where the last code was asked for, or the mobile number that
	// face verification was asked for with.
	Address string
	// Face is where face verification stands while Step is StepFace.
	Face Face
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
