package unlock_test

import (
	"slices"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/emulator"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/unlock/unlocktest"
)

func TestReleaseOnlyToAVerifiedSessionOfThisCard(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, c := enrolled(t, unlocktest.Options{Database: database})
		other := newCard(t, emulator.Options{})
		x.Enrol(t, other)
		for name, test := range map[string]struct {
			visit  func(testing.TB, *unlocktest.Installation, *emulator.Card) *visitor
			change func(*visitor, *api.ReleaseRequest)
			code   problem.Code
		}{
			"started":           {visit, nil, problem.SessionState},
			"identified":        {identified, nil, problem.SessionState},
			"swapped card":      {verified, func(v *visitor, r *api.ReleaseRequest) { v.card = other.State(); *r = v.releaseRequest(1) }, problem.ReleaseMismatch},
			"other card's sign": {verified, func(v *visitor, r *api.ReleaseRequest) { v.card.Keys = other.State().Keys; *r = v.releaseRequest(1) }, problem.ProofWrong},
			"no proof":          {verified, func(_ *visitor, r *api.ReleaseRequest) { r.Signature = nil }, problem.ProofWrong},
			"first proof again": {verified, func(v *visitor, r *api.ReleaseRequest) { r.Signature = v.proof("9E", v.nonce).Signature }, problem.ProofWrong},
			"another step":      {verified, func(v *visitor, r *api.ReleaseRequest) { *r = v.releaseRequest(2) }, problem.ReleaseMismatch},
			"step 0":            {verified, func(v *visitor, r *api.ReleaseRequest) { *r = v.releaseRequest(0) }, problem.ReleaseMismatch},
		} {
			v := test.visit(t, x, c)
			r := v.releaseRequest(1)
			if test.change != nil {
				test.change(v, &r)
			}
			if _, err := x.Sessions.Release(t.Context(), v.who, r); problem.CodeOf(err) != test.code {
				t.Errorf("%s: %v, want %s", name, err, test.code)
			}
		}
		if keys := x.Candidates(t, c); len(keys) != 1 {
			t.Errorf("a refused release made a key: %v", keys)
		}
	})
}

// TestSuspendedInBetween: what the Registration Authority does counts at once.
func TestSuspendedInBetween(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	v := verified(t, x, c)
	x.Import(t, "staff_number,name,email,state\n1001,Sam Taylor,"+unlocktest.Email+",suspended\n", "")
	_, _, err := v.release(1)
	wantCode(t, err, problem.HolderSuspended)
}

func TestSessionsAreTheCallersOwn(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	v, stranger := verified(t, x, c), visit(t, x, c)
	right := v.who
	for name, token := range map[string]string{"another's": stranger.who.Token, "none": "", "longer": right.Token + "a"} {
		v.who.Token = token
		_, _, err := v.release(1)
		wantCode(t, err, problem.SessionUnknown)
		if _, err := x.Sessions.Get(t.Context(), v.who); problem.CodeOf(err) != problem.SessionUnknown {
			t.Errorf("%s: %v", name, err)
		}
		if err := x.Sessions.Abandon(t.Context(), v.who); problem.CodeOf(err) != problem.SessionUnknown {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, id := range []string{"", "nope", "\x00", "\xff", stranger.who.ID} {
		v.who = right
		v.who.ID = id
		if _, err := x.Sessions.Get(t.Context(), v.who); problem.CodeOf(err) != problem.SessionUnknown {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

// TestTamperedSession: one who can write to the database, but has not the key,
// moves no session on.
func TestTamperedSession(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, c := enrolled(t, unlocktest.Options{Database: database})
		for column, value := range map[string]string{"state": "'verified'", "holder_id": "'somebody'", "proven": "false",
			"expires_at": "expires_at + 3600000000", "wrong_codes": "-5"} {
			v := identified(t, x, c)
			if _, err := x.DB.SQL().ExecContext(t.Context(), "UPDATE sessions SET "+column+" = "+value+" WHERE id = '"+v.who.ID+"'"); err != nil {
				t.Fatal(column, err)
			}
			_, err := v.send(unlocktest.Email)
			wantCode(t, err, problem.SessionUnknown)
			if !slices.Contains(v.actions(), audit.RecordTampered) {
				t.Errorf("%s: the audit trail says nothing: %v", column, v.actions())
			}
		}
	})
}

// TestReports goes through what may come after a release: true, forged, late,
// doubled and unproven reports.
func TestReports(t *testing.T) {
	unlocked := api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}
	for name, test := range map[string]struct {
		send func(v *visitor) (api.Reported, error)
		code problem.Code
		want api.Reported
		keys int // candidates afterwards
	}{
		"proven":   {func(v *visitor) (api.Reported, error) { return v.report(v.signed("9E", unlocked)) }, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"by 9A":    {func(v *visitor) (api.Reported, error) { return v.report(v.signed("9A", unlocked)) }, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"unproven": {func(v *visitor) (api.Reported, error) { return v.report(unlocked) }, "", api.Reported{State: api.StateUnlocked}, 2},
		"forged": {func(v *visitor) (api.Reported, error) {
			r := v.signed("9E", unlocked)
			r.Signature[len(r.Signature)-1] ^= 1
			return v.report(r)
		}, problem.ProofWrong, api.Reported{}, 2},
		"for another outcome": {func(v *visitor) (api.Reported, error) {
			r := v.signed("9E", api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeFailed, Holds: api.HoldsUnknown})
			r.Outcome, r.Holds = api.OutcomeUnlocked, api.HoldsNext
			return v.report(r)
		}, problem.ProofWrong, api.Reported{}, 2},
		"another epoch": {func(v *visitor) (api.Reported, error) {
			r := unlocked
			r.Epoch = 2
			return v.report(v.signed("9E", r))
		}, problem.ReportMismatch, api.Reported{}, 2},
		"a step never released": {func(v *visitor) (api.Reported, error) {
			r := unlocked
			r.Step = 2
			return v.report(v.signed("9E", r))
		}, problem.ReportMismatch, api.Reported{}, 2},
		"rubbish": {func(v *visitor) (api.Reported, error) {
			return v.report(api.Report{Step: 1, Epoch: 1, Outcome: "great"})
		},
			problem.RequestMalformed, api.Reported{}, 2},
		"doubled": {func(v *visitor) (api.Reported, error) {
			_, err := v.report(v.signed("9E", unlocked))
			v.must(err)
			return v.report(v.signed("9E", unlocked))
		}, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"proof after none": {func(v *visitor) (api.Reported, error) {
			_, err := v.report(unlocked)
			v.must(err)
			return v.report(v.signed("9E", unlocked))
		}, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"a lie after the truth": {func(v *visitor) (api.Reported, error) {
			_, err := v.report(v.signed("9E", unlocked))
			v.must(err)
			return v.report(api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeBlocked, Holds: api.HoldsUnknown})
		}, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"after the end": {func(v *visitor) (api.Reported, error) {
			v.Advance(2 * time.Hour)
			return v.report(v.signed("9E", unlocked))
		}, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"nothing known": {func(v *visitor) (api.Reported, error) {
			return v.report(v.signed("9E", api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeFailed, Holds: api.HoldsUnknown}))
		}, "", api.Reported{State: api.StateReleasing, Proven: true, NextStep: 2}, 2},
		"key refused": {func(v *visitor) (api.Reported, error) {
			return v.report(v.signed("9E", api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown}))
		}, "", api.Reported{State: api.StateFailed, Proven: true}, 2}, // it was never told to take the other one
		"key refused, asked for twice": {func(v *visitor) (api.Reported, error) {
			_, _, err := v.release(1)
			v.must(err)
			return v.report(v.signed("9E", api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown}))
		}, "", api.Reported{State: api.StateReleasing, Proven: true, NextStep: 2}, 2},
		"key blocked": {func(v *visitor) (api.Reported, error) {
			return v.report(v.signed("9E", api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeBlocked, Holds: api.HoldsUnknown}))
		}, "", api.Reported{State: api.StateFailed, Proven: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, c := enrolled(t, unlocktest.Options{Clock: true})
			v := verified(t, x, c)
			_, _, err := v.release(1)
			v.must(err)
			got, err := test.send(v)
			if problem.CodeOf(err) != test.code || err == nil && got != test.want {
				t.Errorf("%+v %v, want %+v %s", got, err, test.want, test.code)
			}
			if keys := x.Candidates(t, c); len(keys) != test.keys {
				t.Errorf("%d candidates, want %d", len(keys), test.keys)
			}
		})
	}
}

// TestReportOfAnotherSession: its own token does not make a report mine.
func TestReportOfAnotherSession(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	v := verified(t, x, c)
	_, _, err := v.release(1)
	v.must(err)
	other := identified(t, x, c)
	_, err = other.report(other.signed("9E", api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}))
	wantCode(t, err, problem.ReportMismatch)
	if keys := x.Candidates(t, c); len(keys) != 2 {
		t.Errorf("%d candidates", len(keys))
	}
}

// TestUnprovenSessionsMakeNoThirdKey: however often somebody with no more than
// a serial number gets this far, a card has two candidates.
func TestUnprovenSessionsMakeNoThirdKey(t *testing.T) {
	x := unlocktest.New(t, unlocktest.Options{})
	c := newCard(t, emulator.Options{Plain: true, NoCardAuth: true})
	x.EnrolBare(t, c)
	var keys []string
	for i := range 4 {
		v := verified(t, x, c)
		_, e, err := v.release(1)
		v.must(err)
		if i%2 == 0 {
			_, err = v.report(api.Report{Step: 1, Epoch: e.Epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext})
			v.must(err)
		}
		now := x.Candidates(t, c)
		if len(now) != 2 || keys != nil && !slices.Equal(keys, now) {
			t.Fatalf("candidates %v after %v", now, keys)
		}
		keys = now
	}
}

// TestRefusedThenOther: the second step has the other key, alone.
func TestRefusedThenOther(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	v := verified(t, x, c)
	_, _, err := v.release(1) // an attempt that ended nobody knows where
	v.must(err)
	first, e, err := v.release(1)
	v.must(err)
	_, err = v.report(v.signed("9E", api.Report{Step: 1, Epoch: e.Epoch, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown}))
	v.must(err)
	second, e, err := v.release(2)
	v.must(err)
	if want := (api.Release{Action: api.ActionUnblock, Kind: cardkey.PUK, Key: first.Next}); second != want {
		t.Errorf("%+v, want %+v", second, want)
	}
	done, err := v.report(v.signed("9E", api.Report{Step: 2, Epoch: e.Epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsKey}))
	v.must(err)
	if want := (api.Reported{State: api.StateUnlocked, Proven: true, NextStep: 3}); done != want {
		t.Errorf("%+v", done)
	}
	third, e, err := v.release(3)
	v.must(err)
	if third.Action != api.ActionRotate || third.Key != first.Next || third.Next == first.Key || third.Next == first.Next || third.Next == "" {
		t.Errorf("then %+v", third)
	}
	done, err = v.report(v.signed("9E", api.Report{Step: 3, Epoch: e.Epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}))
	v.must(err)
	if done.NextStep != 0 || !slices.Equal(x.Candidates(t, c), []string{third.Next}) {
		t.Errorf("%+v, candidates %v", done, x.Candidates(t, c))
	}
}

// TestLastTry: once a card has signed that one try is left, no key is released
// for it any more until the Registration Authority has issued it again (R3).
// What nobody has signed stops nothing.
func TestLastTry(t *testing.T) {
	for name, test := range map[string]struct {
		signed bool
		left   int
		code   problem.Code
	}{
		"two left":            {true, 2, ""},
		"one left":            {true, 1, problem.PUKLastTry},
		"one left, says who?": {false, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x, c := enrolled(t, unlocktest.Options{})
			v := verified(t, x, c)
			_, e, err := v.release(1)
			v.must(err)
			r := api.Report{Step: 1, Epoch: e.Epoch, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown, TriesLeft: &test.left}
			if test.signed {
				r = v.signed("9E", r)
			}
			_, err = v.report(r)
			v.must(err)
			_, _, err = verified(t, x, c).release(1)
			if test.code == "" {
				v.must(err)
			} else {
				wantCode(t, err, test.code)
			}
			v.must(x.DB.Update(t.Context(), func(tx *store.Tx) error {
				return x.Dir.Reissue(t.Context(), tx, "piv", v.card.GUID, "73519265")
			}))
			got, _, err := verified(t, x, c).release(1)
			v.must(err)
			if got.Key != "73519265" {
				t.Errorf("released %+v", got)
			}
		})
	}
}

// TestForgedReports tell nothing of a card, and fill no trail.
func TestForgedReports(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	forged := api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext, Slot: "9E", Signature: []byte{1}}
	v := visit(t, x, c)
	_, err := v.report(forged)
	wantCode(t, err, problem.ReportMismatch) // as for a card that nobody knows
	v = verified(t, x, c)
	_, _, err = v.release(1)
	v.must(err)
	for range 20 {
		_, err = v.report(forged)
		wantCode(t, err, problem.ProofWrong)
	}
	n := 0
	for _, a := range v.actions() {
		if a == audit.CardProofWrong {
			n++
		}
	}
	if n != 5 {
		t.Errorf("%d entries", n)
	}
}
