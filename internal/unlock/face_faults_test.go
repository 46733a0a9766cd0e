package unlock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/store/storetest"
	"latchkey/internal/unlock/unlocktest"
)

// TestWhileDeciding: whatever becomes of the session while a scan is decided,
// the decision is in the trail, and it has an effect only where it is waited for.
func TestWhileDeciding(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		for name, k := range map[string]struct {
			meanwhile func(x *unlocktest.Installation, v *visitor)
			code      problem.Code
			state     api.State
		}{
			"abandoned": {func(x *unlocktest.Installation, v *visitor) {
				v.must(x.Sessions.Abandon(context.Background(), v.who))
			}, problem.SessionFinished, api.StateAbandoned},
			"expired": {func(x *unlocktest.Installation, v *visitor) {
				x.Advance(15 * time.Minute)
			}, problem.SessionExpired, api.StateExpired},
			"expired and seen": {func(x *unlocktest.Installation, v *visitor) {
				x.Advance(15 * time.Minute)
				_ = v.state()
			}, problem.SessionExpired, api.StateExpired},
			"verified by code": {func(x *unlocktest.Installation, v *visitor) {
				_, err := v.send(unlocktest.Email)
				v.must(err)
				v.must(v.check(x.CodeOf(v.t, v.who.ID)))
			}, problem.SessionState, api.StateVerified},
			"photo removed": {func(x *unlocktest.Installation, v *visitor) {
				v.must(x.DB.Update(context.Background(), func(tx *store.Tx) error { return x.Dir.RemovePhoto(context.Background(), tx, "1001") }))
			}, problem.FaceScanOver, api.StateIdentified},
			"number changed": {func(x *unlocktest.Installation, v *visitor) {
				x.Import(v.t, "staff_number,name,mobile\n1001,Sam Taylor,+447700900555\n", "")
			}, problem.FaceNotVerified, api.StateIdentified},
			"another scan begun": {func(x *unlocktest.Installation, v *visitor) {
				_, err := v.begin(mobile)
				v.must(err)
			}, "", api.StateVerified},
		} {
			if database != "" {
				database = storetest.PostgreSQL(t) // each has keys of its own
			}
			x, checker, c := faced(t, database, nil)
			v := identified(t, x, c)
			scan, frames := v.ready(mobile, "sam")
			checker.Wait(func(context.Context) { k.meanwhile(x, v) })
			_, err := v.sendFrames(scan.Scan, frames)
			if problem.CodeOf(err) != k.code {
				t.Errorf("%s: %v, want %q", name, err, k.code)
			}
			if got := v.state(); got != k.state {
				t.Errorf("%s: the session is %s, want %s", name, got, k.state)
			}
			if n := len(events(t, x, audit.FaceDecided)); n != 1 {
				t.Errorf("%s: %d decisions in the trail", name, n)
			}
		}
	})
}

// TestSupersededWhileDeciding: the one that is verified later takes over.
func TestSupersededWhileDeciding(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	v, w := identified(t, x, c), identified(t, x, c)
	scan, frames := v.ready(mobile, "sam")
	theirs, same := w.ready(mobile, "sam")
	checker.Wait(func(context.Context) {
		checker.Wait(nil)
		_, err := w.sendFrames(theirs.Scan, same)
		w.must(err)
	})
	_, err := v.sendFrames(scan.Scan, frames)
	v.must(err)
	if a, b := v.state(), w.state(); a != api.StateVerified || b != api.StateSuperseded {
		t.Errorf("%s and %s", a, b)
	}
}

// TestTwoScansOfOneSessionAtOnce: the first to be decided verifies; the other is
// in the trail and changes nothing.
func TestTwoScansOfOneSessionAtOnce(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	v := identified(t, x, c)
	scan, frames := v.ready(mobile, "sam")
	checker.Wait(func(context.Context) {
		checker.Wait(nil)
		_, err := v.sendFrames(scan.Scan, frames) // the very same
		wantCode(t, err, problem.FaceScanOver)
		_, err = v.look(mobile, "sam") // and a newer one
		v.must(err)
	})
	_, err := v.sendFrames(scan.Scan, frames)
	wantCode(t, err, problem.SessionState)
	if got := v.state(); got != api.StateVerified {
		t.Errorf("the session is %s", got)
	}
	if n := len(events(t, x, audit.FaceDecided)); n != 2 {
		t.Errorf("%d decisions in the trail", n)
	}
}

// TestKilledWhileDeciding: the scan is used up, and the person starts another
// with the service that comes back.
func TestKilledWhileDeciding(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, checker, c := faced(t, database, nil)
		v := identified(t, x, c)
		scan, frames := v.ready(mobile, "sam")
		inside, never, ended := make(chan struct{}), make(chan struct{}), make(chan error)
		checker.Wait(func(context.Context) { close(inside); <-never })
		go func() {
			_, err := v.sendFrames(scan.Scan, frames)
			ended <- err
		}()
		<-inside // and nothing more comes of it
		checker.Wait(nil)
		x.Sessions = x.Restarted()
		_, err := v.sendFrames(scan.Scan, frames)
		wantCode(t, err, problem.FaceScanOver)
		_, err = v.look(mobile, "sam")
		v.must(err)
		_, _, err = v.release(1)
		v.must(err)
		close(never)
		wantCode(t, <-ended, problem.SessionState) // had it lived on after all
	})
}

// TestProviderAway: a clear problem, and nothing counts.
func TestProviderAway(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	away := fmt.Errorf("call the provider: %w", face.ErrUnavailable)
	v := identified(t, x, c)
	checker.Fail("draw", away)
	for range 30 { // more than a session may have
		_, err := v.begin(mobile)
		wantCode(t, err, problem.FaceAway)
	}
	checker.Fail("draw", nil)
	for fault, code := range map[error]problem.Code{away: problem.FaceAway, errors.New("strange"): problem.Internal,
		context.DeadlineExceeded: problem.FaceAway} {
		for range 4 {
			v := identified(t, x, c)
			scan, frames := v.ready(mobile, "sam")
			checker.Fail("decide", fault)
			_, err := v.sendFrames(scan.Scan, frames)
			wantCode(t, err, code)
			checker.Fail("decide", nil)
		}
	}
	if n := len(events(t, x, audit.FaceUndecided)); n != 30+12 {
		t.Errorf("%d times in the trail", n)
	}
	_, err := v.send(unlocktest.Email) // another way is open in the same session
	v.must(err)
	_, err = v.look(mobile, "sam")
	v.must(err)
}

// TestCheckerPanics: a picture that breaks the checker is an unforeseen fault of
// ours, and the next one is looked at.
func TestCheckerPanics(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	v := identified(t, x, c)
	for range 7 {
		scan, frames := v.ready(mobile, "sam")
		checker.Wait(func(context.Context) { panic("index out of range") })
		_, err := v.sendFrames(scan.Scan, frames)
		wantCode(t, err, problem.Internal)
		checker.Wait(nil)
	}
	_, err := v.look(mobile, "sam")
	v.must(err)
}

// TestModelChanges: a template of another model is made anew when it is needed.
func TestModelChanges(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	checker.SetModel("model-2")
	_, _, _, before := checker.Counts()
	for range 2 {
		_, err := identified(t, x, c).look(mobile, "sam")
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, _, after := checker.Counts(); after != before+1 {
		t.Errorf("the photo was looked at %d times", after-before)
	}
	again := events(t, x, audit.PhotoRecomputed)
	if len(again) != 1 || again[0].Actor != audit.ActorService || again[0].Details["model"] != "model-2" || again[0].Details["was"] != "model-1" {
		t.Errorf("%+v", again)
	}
	checker.SetModel("model-3")
	checker.Fail("photo", face.ErrUnavailable)
	_, err := identified(t, x, c).look(mobile, "sam")
	wantCode(t, err, problem.FaceAway)
}

// TestPhotoOfAnother: a photo that is copied to another holder in the database
// counts as none.
func TestPhotoOfAnother(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	x.Import(t, "staff_number,name,email\n2002,Eve,eve@example.org\n", "")
	x.EnrolPhoto(t, checker, "2002", "eve")
	const change = `UPDATE photos SET picture = (SELECT picture FROM photos WHERE holder_id <> p.h), template = (SELECT template FROM photos WHERE holder_id <> p.h) FROM (SELECT holder_id AS h FROM cards LIMIT 1) AS p WHERE holder_id = p.h`
	if _, err := x.DB.SQL().ExecContext(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	_, err := identified(t, x, c).look(mobile, "eve")
	wantCode(t, err, problem.FaceNotVerified)
	if len(events(t, x, audit.RecordTampered)) != 1 {
		t.Error("nothing is said of it in the trail")
	}
}
