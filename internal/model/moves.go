package model

import "slices"

// Moves are all things that can happen next within bounds.
func Moves(s State, r Rules, b Bounds) []Move {
	var out []Move
	add := func(name string, fault bool, to State) {
		if fault {
			if !b.allows(to) {
				return
			}
			to.Faults++
			to.InRow += truth(!to.Faulty)
			to.Faulty = true
		}
		out = append(out, Move{name, to.bare(), slices.Clone(to.acts[:to.done]), fault})
	}
	if s.Late.Sent {
		late := s
		late.report(late.Late, false, r)
		late.Late, late.Lately = Report{}, false
		add("a late report arrives", false, late)
	}
	if s.Proof == Nothing && s.S.N > 0 && s.PC != Over { // whoever can prove nothing can claim anything
		lie := s
		step := lie.S.Steps[lie.S.N-1]
		if step.Next != None && step.Outcome == Unknown {
			lie.report(Report{Epoch: step.Epoch, Step: lie.S.N - 1, Key: step.Key, Next: step.Next, Outcome: Unlocked, Holds: step.Next, Left: None}, true, r)
			add("a false claim that the card holds the next key, then gone", true, lie.crash())
		}
	}
	switch s.PC {
	case Begin, AskRelease:
		s.asks(r, add)
	case Present:
		s.presents(r, add)
	case Change:
		s.changes(r, add)
	case Tell:
		s.tells(r, add)
	case Over:
		add("another attempt", false, s.again())
	}
	return out
}

// Bounds are how much may go wrong.
type Bounds struct {
	Attempts int8 // in all
	InRow    int8 // attempts in a row that have a fault
	Each     int8 // faults of one attempt
}

func (b Bounds) allows(s State) bool {
	return s.Faults < b.Each && (s.Faulty || s.InRow < b.InRow)
}

func truth(b bool) int8 {
	if b {
		return 1
	}
	return 0
}

type adder func(name string, fault bool, to State)

func (s State) asks(r Rules, add adder) {
	add("the request is lost, the application ends", true, s.crash())
	if !s.release(r) {
		add("nothing is released", false, s.end())
		return
	}
	s.PC = Present
	if s.S.Steps[s.S.N-1].Rotate {
		s.PC = Change
	}
	add("released", false, s)
	add("released, the answer is lost and the application ends", true, s.crash())
	s.ask(r)
	add("released, the answer is lost and asked for again", true, s)
}

func (s State) presents(r Rules, add adder) {
	step := s.S.Steps[s.S.N-1]
	if s.Proof == Tells && s.Tries <= 1 {
		add("the last try is spared", false, s.end())
		return
	}
	add("torn out before the key is presented", true, s.crash())
	add("torn out before the key is presented and put back", true, s.unheard(r))
	if step.Key != s.Card {
		s.Tries--
		add("the key is refused and the card is torn out", true, s.crash())
		add("the refusal is lost, the card is put back", true, s.unheard(r))
		if r.TryAgain {
			add("the key is refused and presented again", false, s)
		}
		s.PC, s.Last = Tell, s.about(step, Refused, None)
		add("the key is refused", false, s)
		return
	}
	s.Tries = Full
	add("unblocked, then torn out", true, s.crash())
	again := s
	again.ask(r)
	add("unblocked, the card is torn out and put back", true, again)
	s.PC = Change
	if step.Next == None {
		s.PC, s.Last = Tell, s.about(step, Unlocked, step.Key)
	}
	add("unblocked", false, s)
}

// unheard is what follows where nobody knows what a card said to a key and its
// passcode is still blocked: the service is told so, and gives the other key
// where there is one; else the same is presented again.
func (s State) unheard(r Rules) State {
	if r.PresentsAgain {
		s.ask(r)
		return s
	}
	s.report(s.about(s.S.Steps[s.S.N-1], Failed, None), true, r)
	if _, other := s.S.plan(s.S.neverTaken(), r); other {
		s.PC = AskRelease
		return s
	}
	s.ask(r)
	return s
}

func (s State) changes(r Rules, add adder) {
	step := s.S.Steps[s.S.N-1]
	add("torn out before the key is changed", true, s.crash())
	s.Card = step.Next
	add("the key is changed, then torn out", true, s.crash())
	if !step.Rotate { // asked again for the same step, it presents the old key
		again := s
		again.ask(r)
		again.PC = Present
		add("the key is changed, the card is torn out and put back", true, again)
	}
	s.PC, s.Last = Tell, s.about(step, Unlocked, step.Next)
	add("the key is changed", false, s)
}

func (s State) tells(r Rules, add adder) {
	t := s.Last
	s.Last = Report{}
	won := s
	won.Won = won.Won || t.Outcome == Unlocked
	add("the report is lost for good", true, won.crash())
	if t.Outcome == Unlocked {
		late := won
		late.Late, late.Lately = t, true
		if late.S.Open == Earlier {
			late.S.Open = Another
		}
		add("the report is late", true, late.end())
	}
	won.report(t, true, r)
	twice := won
	twice.report(t, true, r)
	if twice.bare() != won.bare() {
		add("the report comes twice", true, twice.end())
	}
	if _, more := won.S.plan(won.S.neverTaken(), r); more {
		won.PC = AskRelease
		add("reported, another step follows", false, won)
		return
	}
	add("reported", false, won.end())
}

// about is the report of a step, signed where the card can.
func (s State) about(step Step, o, holds int8) Report {
	t := Report{Sent: true, Epoch: step.Epoch, Step: s.S.N - 1, Key: step.Key, Next: step.Next, Rotate: step.Rotate, Outcome: o, Holds: holds,
		Proven: s.Proof != Nothing, Left: None}
	if o == Refused {
		t.Left = s.Tries
	}
	return t
}

// crash is the end of an attempt of which nothing more is heard.
func (s State) crash() State { return s.end() }

func (s State) end() State {
	s.PC, s.Last = Over, Report{}
	return s
}

// again is the next attempt, with a session of its own.
func (s State) again() State {
	if !s.Faulty {
		s.InRow = 0
	}
	s.Faults = 0
	s.Faulty, s.Won, s.PC = false, false, Begin
	v := &s.S
	v.Doubt = v.Pending != None && (v.Doubt || v.doubts())
	if v.Open == Ours {
		v.Open = Another
		if s.Lately {
			v.Open = Earlier
		}
	}
	s.Lately = false
	v.Steps, v.N = [4]Step{}, 0
	s.act(Act{What: Begun})
	return s
}
