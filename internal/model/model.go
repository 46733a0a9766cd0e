// Package model is the protocol of an unlock as a small machine, with every
// fault between any two of its steps, to be explored exhaustively. It is for
// tests and no part of the programs.
//
// It covers cards that are unblocked by presenting a key: the card and its
// tries, the application, the service with its two candidates, the reports and
// what gets lost on the way. One application at a time works on one card;
// attempts follow each other. Restores of the database are not in it: tests of
// internal/escrow try each of them with the code itself.
//
// The service's rules mirror internal/escrow: release mirrors Release, plan and
// reorder; report mirrors Report and learn. A test of internal/escrow takes both
// along the same paths and compares them after every act.
package model

import "fmt"

// None stands for no key and no attempt.
const None = -1

// Full is the tries of a card's key.
const Full = 3

// Proof is what a card can show of itself.
type Proof int8

// What cards can show.
const (
	Tells   Proof = iota // its tries, and signs the outcome (YubiKey)
	Signs                // signs the outcome (PIV with 9E)
	Nothing              // neither
)

// Outcomes of a step.
const (
	Unknown int8 = iota
	Unlocked
	Refused
	Failed // nothing is known
)

// Step is a released step.
type Step struct {
	Key, Next int8 // Next None: the key stays
	Rotate    bool // the card is unlocked already
	Outcome   int8
	Proven    bool
	Again     bool // asked for more than once
	Epoch     int8 // in which it was released
}

// Report is what is told of a step.
type Report struct {
	Sent    bool // there is one on the way
	Epoch   int8
	Step    int8
	Key     int8
	Next    int8
	Rotate  bool
	Outcome int8
	Holds   int8 // key that the card is said to hold; None: not told
	Proven  bool
	Left    int8 // tries left, None: not told
}

// Service is what the database has, mirrored from internal/escrow.
type Service struct {
	Current, Pending int8
	Made             int8 // keys made so far
	PendingFirst     bool
	Epoch            int8
	Open             Whose // attempt that has not told its end
	OpenSecond       bool  // its last step was a second one whose key was not to be changed
	Left             int8  // tries left that the card has signed, None
	Gone             bool  // the card has signed in this epoch that it refuses the current key
	Doubt            bool  // some attempt may have had the card take the pending key
	Steps            [4]Step
	N                int8 // steps of this attempt
}

// Whose attempt is open.
type Whose int8

// Attempts.
const (
	Closed  Whose = iota // none
	Ours                 // this one
	Earlier              // the one whose report is late
	Another              // one before
)

// State is everything.
type State struct {
	Proof  Proof
	Card   int8 // key that is on it
	Tries  int8
	S      Service
	PC     PC
	Last   Report // that the application is about to deliver
	Late   Report // of this attempt or an earlier one, not delivered yet
	Lately bool   // it is of this one
	Faults int8   // of this attempt
	InRow  int8   // attempts in a row that had a fault
	Faulty bool   // this one had
	Won    bool   // this attempt has unlocked the card
	// acts are what this move has asked of the service so far; none between moves.
	acts [3]Act
	done int8
}

// Act is one thing that is asked of the service.
type Act struct {
	What   What
	Report Report // of Told and ToldLate
}

// What is asked.
type What int8

// What can be asked of the service.
const (
	Asked      What = iota + 1 // for the next step
	AskedAgain                 // for the step before
	Told                       // the outcome of a step of this attempt
	ToldLate                   // that of an attempt before
	Begun                      // another attempt, with a session of its own
)

func (s *State) act(a Act) {
	s.acts[s.done] = a
	s.done++
}

// bare is the state without how it came about.
func (s State) bare() State {
	s.acts, s.done = [3]Act{}, 0
	return s
}

// PC is where the application is.
type PC int8

// Places.
const (
	Begin PC = iota
	AskRelease
	Present
	Change
	Tell
	Over
)

// New is a card whose key the escrow has.
func New(p Proof) State {
	return State{Proof: p, Tries: Full, S: Service{Pending: None, Made: 1, Left: None, Epoch: 1}}
}

// Rules are the ways in which a service or an application can be wrong. None
// is right.
type Rules struct {
	StoreLater      bool // the next key is stored when it is reported, not before
	DropOnRefusal   bool // a refusal of the current key deletes the pending one
	UnprovenCounts  bool // a claim makes the pending key the current one
	NeverFlips      bool // the order stays after an attempt without an end
	ThirdKey        bool // an attempt makes a fresh key though one is pending
	TryAgain        bool // a refused key is presented again before the refusal is told
	FreshAnswer     bool // a step that is asked for again has another next key
	TakesOldReports bool // a report counts in any epoch
	PresentsAgain   bool // a key whose answer was lost is presented again, though there is another
}

// Move is one thing that happens.
type Move struct {
	Name string
	To   State
	Acts []Act
	// Fault says that something went wrong in it.
	Fault bool
}

// Broken is a property that does not hold.
type Broken struct {
	Property string // R2, R3, R5, R7
	What     string
}

func (b Broken) Error() string { return b.Property + ": " + b.What }

// Safe looks for what must hold in every state, whatever goes wrong: the key is
// not lost, and of a card that tells its tries the last is kept.
func Safe(s State) error {
	if !s.candidate(s.Card) {
		return Broken{"R2", fmt.Sprintf("the card holds key %d, which is no candidate", s.Card)}
	}
	if s.Tries < 1 && s.Proof == Tells {
		return Broken{"R3", "the last try of the card's key is spent"}
	}
	return nil
}

// Check looks for what must hold in every state within the bounds of R7.
func Check(s State) error {
	if s.Tries < 1 {
		return Broken{"R3", "the last try of the card's key is spent"}
	}
	return Safe(s)
}

func (s State) candidate(key int8) bool {
	return key == s.S.Current || key == s.S.Pending
}
