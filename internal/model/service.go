package model

// release mirrors escrow.Release: plan, reorder and addPending. False: nothing
// is released.
func (s *State) release(r Rules) bool {
	s.act(Act{What: Asked})
	v := &s.S
	if s.lastTry() {
		return false
	}
	neverTaken := v.neverTaken()
	if v.N == 0 && v.Open > Ours && v.Pending != None {
		v.PendingFirst = v.reorder(r, neverTaken)
	}
	step, ok := v.plan(neverTaken, r)
	if !ok || int(v.N) == len(v.Steps) {
		return false
	}
	if step.Next == fresh {
		step.Next = v.Made
		v.Made++
		if !r.StoreLater {
			v.Pending, v.Doubt = step.Next, false
		}
	}
	step.Epoch = v.Epoch
	v.Steps[v.N] = step
	v.N++
	v.Open, v.OpenSecond = Ours, v.N > 1 && step.Next == None
	return true
}

// fresh stands for a key that is to be made.
const fresh = 127

// lastTry mirrors the escrow's: a card that tells is believed, of another what
// it has signed is remembered.
func (s *State) lastTry() bool {
	if s.Proof == Tells {
		return s.Tries <= 1
	}
	return s.S.Left != None && s.S.Left <= 1
}

// reorder mirrors escrow.reorder.
func (v *Service) reorder(r Rules, neverTaken bool) bool {
	switch {
	case neverTaken:
		return false
	case v.Gone:
		return true
	case v.OpenSecond, r.NeverFlips:
		return v.PendingFirst
	}
	return !v.PendingFirst
}

// plan mirrors escrow.plan.
func (v *Service) plan(neverTaken bool, r Rules) (Step, bool) {
	first := func(key int8) Step {
		if key != v.Current {
			return Step{Key: key, Next: None}
		}
		next := v.Pending
		if next == None || r.ThirdKey {
			next = fresh
		}
		return Step{Key: key, Next: next}
	}
	if v.N == 0 {
		if v.PendingFirst && v.Pending != None && !neverTaken {
			return first(v.Pending), true
		}
		return first(v.Current), true
	}
	last := v.Steps[v.N-1]
	switch {
	case last.Rotate:
	case last.Outcome == Refused:
		for _, key := range []int8{v.Current, v.Pending} {
			if key == None || key == v.Pending && neverTaken || v.refused(key) {
				continue
			}
			return Step{Key: key, Next: None}, true
		}
	case last.Outcome == Failed:
		for _, key := range []int8{v.Current, v.Pending} {
			if key == None || key == v.Pending && neverTaken || v.tried(key) {
				continue
			}
			return Step{Key: key, Next: None}, true
		}
	case last.Outcome == Unlocked && last.Proven && last.Next == None && last.Key == v.Current:
		next := v.Pending
		if next == None {
			next = fresh
		}
		return Step{Key: v.Current, Next: next, Rotate: true}, true
	}
	return Step{}, false
}

func (v *Service) refused(key int8) bool {
	for _, step := range v.Steps[:v.N] {
		if step.Key == key && step.Outcome == Refused {
			return true
		}
	}
	return false
}

func (v *Service) tried(key int8) bool {
	for _, step := range v.Steps[:v.N] {
		if step.Key == key {
			return true
		}
	}
	return false
}

// ask mirrors escrow.again: the same step, the same answer.
func (s *State) ask(r Rules) {
	s.act(Act{What: AskedAgain})
	step := &s.S.Steps[s.S.N-1]
	step.Again = true
	if r.FreshAnswer && step.Next != None {
		step.Next = s.S.Made
		s.S.Made++
		s.S.Pending = step.Next
	}
}

// report mirrors escrow.Report, take and learn. own: it is of this attempt.
func (s *State) report(t Report, own bool, r Rules) {
	what := ToldLate
	if own {
		what = Told
	}
	s.act(Act{what, t})
	v := &s.S
	if own {
		step := &v.Steps[t.Step]
		step.Outcome, step.Proven = t.Outcome, t.Proven
	}
	if t.Epoch != v.Epoch && !r.TakesOldReports {
		return
	}
	if r.StoreLater && t.Outcome == Unlocked && t.Next != None {
		v.Pending, v.Doubt = t.Next, true
	}
	isPending := v.Pending != None && t.Holds == v.Pending
	if r.TakesOldReports && t.Epoch != v.Epoch && v.Pending != None && t.Holds == t.Next {
		isPending = true
	}
	switch t.Outcome {
	case Unlocked:
		if (t.Proven || r.UnprovenCounts) && isPending {
			v.Current, v.Pending, v.PendingFirst, v.Gone = v.Pending, None, false, false
			v.Epoch++
		} else if t.Holds != None {
			v.PendingFirst = isPending
		}
		if t.Proven {
			v.Left = None
		}
	case Refused:
		if !t.Rotate && v.Pending != None {
			v.PendingFirst = v.Gone || t.Key == v.Current
		}
		if t.Proven {
			v.Gone = v.Gone || t.Key == v.Current
			if t.Left != None {
				v.Left = t.Left
			}
		}
		if r.DropOnRefusal && t.Key == v.Current {
			v.Pending = None
		}
	}
	whose := Earlier
	if own {
		whose = Ours
	}
	if v.Open == whose && (t.Outcome == Refused || t.Holds != None) {
		v.Open = Closed
	}
}

// neverTaken mirrors store.NeverTaken: each time that the card was to take the
// pending key the application asked once, and the card has signed that it
// refuses the key before it.
func (v *Service) neverTaken() bool { return v.Pending != None && !v.Doubt && !v.doubts() }

func (v *Service) doubts() bool {
	for _, step := range v.Steps[:v.N] {
		if step.Next != None && step.Next == v.Pending && !(step.Outcome == Refused && step.Proven && !step.Again) {
			return true
		}
	}
	return false
}
