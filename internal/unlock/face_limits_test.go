package unlock_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

// waits makes sure of how long a holder must wait.
func waits(t testing.TB, err error, want time.Duration) {
	t.Helper()
	wantCode(t, err, problem.FaceWait)
	if p := problem.From(err); p.RetryAfter == nil || *p.RetryAfter != int(want/time.Second)+1 {
		t.Errorf("to wait: %v seconds, want %v", p.RetryAfter, want)
	}
}

// TestFaceFailures: after five failures in a row there are delays that grow, at
// fifty it ends (NIST SP 800-63B-4 section 3.2.3), whatever is restarted.
func TestFaceFailures(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, _, c := faced(t, database, func(c *unlock.Config) { c.Face.Limits.PerCard = 1000 })
		fail := func() {
			t.Helper()
			_, err := identified(t, x, c).look(mobile, "eve")
			wantCode(t, err, problem.FaceNotVerified)
		}
		for range 4 {
			fail()
		}
		for n, wait := 5, 30*time.Second; n < 50; n, wait = n+1, min(2*wait, time.Hour) {
			fail()
			v := identified(t, x, c)
			_, err := v.begin(mobile)
			waits(t, err, wait)
			if n == 5 {
				_, err := x.Restarted().StartFace(t.Context(), v.who, api.FaceRequest{Address: "+447700900999", Consent: true})
				waits(t, err, wait) // whatever the number
			}
			x.Advance(wait - time.Microsecond)
			_, err = identified(t, x, c).begin(mobile)
			wantCode(t, err, problem.FaceWait)
			x.Advance(time.Microsecond)
		}
		fail() // the fiftieth
		x.Advance(30 * 24 * time.Hour)
		v := identified(t, x, c)
		_, err := v.begin(mobile)
		wantCode(t, err, problem.FaceHeld)
		s, err := x.Sessions.Get(t.Context(), v.who)
		v.must(err)
		if s.Methods[2].Available || s.Methods[2].Notice == "" || !s.Methods[0].Available {
			t.Errorf("%+v", s.Methods)
		}
		_, err = v.send(unlocktest.Email) // another way is open
		v.must(err)
		v.must(v.check(x.Code(t)))
		_, err = identified(t, x, c).begin(mobile) // a code is not a face
		wantCode(t, err, problem.FaceHeld)
		if n := len(events(t, x, audit.LimitReached)); n != 1 {
			t.Errorf("the limit is in the trail %d times", n)
		}

		v.must(x.Sessions.Forgive(t.Context(), "1001"))
		v = identified(t, x, c)
		_, err = v.look(mobile, "sam")
		v.must(err)
	})
}

// TestFaceSuccessResets: failures count in a row alone.
func TestFaceSuccessResets(t *testing.T) {
	x, _, c := faced(t, "", nil)
	for range 3 {
		for range 4 {
			_, err := identified(t, x, c).look(mobile, "eve")
			wantCode(t, err, problem.FaceNotVerified)
		}
		_, err := identified(t, x, c).look(mobile, "sam")
		if err != nil {
			t.Fatal(err)
		}
		x.Advance(time.Hour)
	}
}

// TestFaceMendableKeepsTheCount: what can be mended neither counts nor resets,
// and does not make anybody wait.
func TestFaceMendableKeepsTheCount(t *testing.T) {
	x, _, c := faced(t, "", nil)
	for range 4 {
		_, err := identified(t, x, c).look(mobile, "eve")
		wantCode(t, err, problem.FaceNotVerified)
		_, err = identified(t, x, c).look(mobile, "reason:glare")
		wantCode(t, err, problem.FaceGlare)
	}
	_, err := identified(t, x, c).look(mobile, "reason:glare")
	wantCode(t, err, problem.FaceGlare)
	_, err = identified(t, x, c).look(mobile, "eve")
	wantCode(t, err, problem.FaceNotVerified)
	_, err = identified(t, x, c).begin(mobile)
	waits(t, err, 30*time.Second)
}

// TestScansOfADay: scans that are given up count for the day, however slowly
// they are begun.
func TestScansOfADay(t *testing.T) {
	x, _, c := faced(t, "", nil)
	for n := range 100 {
		if n%20 == 0 {
			x.Advance(time.Hour)
		}
		_, err := identified(t, x, c).begin(mobile)
		if err != nil {
			t.Fatalf("scan %d: %v", n+1, err)
		}
	}
	x.Advance(time.Hour)
	_, err := identified(t, x, c).begin(mobile)
	wantCode(t, err, problem.FaceScanLimit)
	x.Advance(19 * time.Hour)
	_, err = identified(t, x, c).look(mobile, "sam")
	if err != nil {
		t.Error(err)
	}
}

// TestFaceBucketsApart: what is used up with a card that has not proven itself
// is not used up for one that has.
func TestFaceBucketsApart(t *testing.T) {
	x, _, c := faced(t, "", func(c *unlock.Config) { c.Face.AllowUnproven = true })
	bare := newCard(t, emulator.Options{})
	state := bare.State()
	state.Keys = nil // it can prove nothing
	csv, err := state.ExportCSV("1001", true)
	if err != nil {
		t.Fatal(err)
	}
	x.Import(t, "", csv) // the same holder's
	unproven := func() *visitor {
		v := visit(t, x, bare)
		_, err := x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{})
		v.must(err)
		return v
	}
	for range 5 {
		_, err := unproven().look(mobile, "eve")
		wantCode(t, err, problem.FaceNotVerified)
	}
	_, err = unproven().begin(mobile)
	waits(t, err, 30*time.Second)
	_, err = identified(t, x, c).look(mobile, "sam")
	if err != nil {
		t.Error(err)
	}
	_, err = unproven().begin(mobile) // nor is it forgiven with it
	wantCode(t, err, problem.FaceWait)
}

// TestFacesAtOnce: tries at the same moment are not more than may be.
func TestFacesAtOnce(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, checker, c := faced(t, database, nil)
		for range 4 {
			_, err := identified(t, x, c).look(mobile, "eve")
			wantCode(t, err, problem.FaceNotVerified)
		}
		// Ten scans are ready before the fifth failure.
		type scanned struct {
			*visitor
			scan   string
			frames []api.FaceFrame
		}
		var all []scanned
		for range 10 {
			v := identified(t, x, c)
			scan, frames := v.ready(mobile, "eve")
			all = append(all, scanned{v, scan.Scan, frames})
		}
		_, before, _, _ := checker.Counts()
		codes := make([]problem.Code, len(all))
		var group sync.WaitGroup
		for i, s := range all {
			group.Go(func() {
				_, err := x.Sessions.SendFaces(t.Context(), s.who, api.FaceFrames{Scan: s.scan, Frames: s.frames})
				codes[i] = problem.CodeOf(err)
			})
		}
		group.Wait()
		decided := map[problem.Code]int{}
		for _, c := range codes {
			decided[c]++
		}
		if _, after, _, _ := checker.Counts(); after != before+1 || decided[problem.FaceNotVerified] != 1 || decided[problem.FaceWait] != 9 {
			t.Errorf("%d decisions; %v", after-before, decided)
		}
	})
}

// TestFaceGoesOnWithoutThePerson: who hangs up before the answer has had the try
// all the same.
func TestFaceGoesOnWithoutThePerson(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	v := identified(t, x, c)
	scan, frames := v.ready(mobile, "eve")
	ctx, hangUp := context.WithCancel(t.Context())
	checker.Wait(func(inside context.Context) {
		hangUp()
		if inside.Err() != nil {
			t.Error("the decision is cut off")
		}
	})
	_, err := x.Sessions.SendFaces(ctx, v.who, api.FaceFrames{Scan: scan.Scan, Frames: frames})
	wantCode(t, err, problem.FaceNotVerified)
	if n := len(events(t, x, audit.FaceDecided)); n != 1 {
		t.Errorf("%d decisions in the trail", n)
	}
	v.must(x.DB.View(t.Context(), func(tx *store.Tx) error {
		scan, err := tx.FaceScan(t.Context(), v.who.ID)
		if !scan.Used {
			t.Error("the scan is not used up")
		}
		return err
	}))
}
