package unlock_test

import (
	"bytes"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/unlock/unlocktest"
)

// TestFaceStepsInOrder: a step is told only when the one before is fixed, once,
// and asked again with the same digest the answer is the same.
func TestFaceStepsInOrder(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, _, c := faced(t, database, nil)
		v := identified(t, x, c)
		scan, err := v.begin(mobile)
		v.must(err)
		frames, other := shots("sam", 3), shots("eve", 3)
		x.Advance(1300 * time.Millisecond)
		for _, n := range []int{-1, 0, 2, 3, 4} {
			_, err := v.step(scan.Scan, n, frames)
			wantCode(t, err, problem.SessionState)
		}
		_, err = v.sendFrames(scan.Scan, frames) // before they are fixed
		wantCode(t, err, problem.SessionState)
		second, err := v.step(scan.Scan, 1, frames)
		v.must(err)
		if second.Number != 2 || second.Colour != "#ff0000" || second.Turn != "" {
			t.Errorf("%+v", second)
		}
		again, err := v.step(scan.Scan, 1, frames)
		v.must(err)
		if again != second {
			t.Errorf("asked again: %+v, not %+v", again, second)
		}
		_, err = v.step(scan.Scan, 1, other) // other frames for a step that is fixed
		wantCode(t, err, problem.SessionState)
		x.Advance(500 * time.Millisecond)
		third, err := v.step(scan.Scan, 2, frames)
		v.must(err)
		_, err = v.step(scan.Scan, 1, frames) // long past
		wantCode(t, err, problem.SessionState)
		x.Advance(500 * time.Millisecond)
		last, err := v.step(scan.Scan, third.Number, frames)
		v.must(err)
		if last.Number != 0 {
			t.Errorf("after the last: %+v", last)
		}
		again, err = v.step(scan.Scan, 3, frames)
		v.must(err)
		if again != last {
			t.Errorf("asked again: %+v", again)
		}
		_, err = v.sendFrames(scan.Scan, frames)
		v.must(err)
	})
}

// TestFaceStepTimes: the service's clock says whether a step was shown.
func TestFaceStepTimes(t *testing.T) {
	x, _, c := faced(t, "", nil)
	for lasted, right := range map[time.Duration]bool{
		0:                         false,
		959 * time.Millisecond:    false, // of 1200
		960 * time.Millisecond:    true,
		7200 * time.Millisecond:   true,
		7201 * time.Millisecond:   false,
		9 * time.Minute:           false,
		1100 * time.Millisecond:   true,
		959999 * time.Microsecond: false,
	} {
		v := identified(t, x, c)
		scan, err := v.begin(mobile)
		v.must(err)
		x.Advance(lasted)
		_, err = v.step(scan.Scan, 1, nil)
		if right {
			v.must(err)
			continue
		}
		wantCode(t, err, problem.FaceTiming)
		x.Advance(time.Second)
		_, err = v.step(scan.Scan, 1, nil) // it is used up
		wantCode(t, err, problem.FaceScanOver)
	}
}

// TestFaceScanIsOnesOwn: a scan is of one session, for one use, and a new one
// takes its place.
func TestFaceScanIsOnesOwn(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	v, w := identified(t, x, c), identified(t, x, c)
	scan, frames := v.ready(mobile, "sam")
	theirs, err := w.begin(mobile)
	w.must(err)
	_, err = w.sendFrames(scan.Scan, frames) // replayed from another session
	wantCode(t, err, problem.FaceScanOver)
	_, err = w.step(scan.Scan, 1, frames)
	wantCode(t, err, problem.FaceScanOver)
	_, err = w.step("none", 1, frames)
	wantCode(t, err, problem.FaceScanOver)
	w.shown(theirs, frames)
	_, err = w.sendFrames(theirs.Scan, shots("sam ", 3)) // not those that were fixed
	wantCode(t, err, problem.RequestMalformed)

	newer, err := v.begin(mobile)
	v.must(err)
	_, err = v.sendFrames(scan.Scan, frames)
	wantCode(t, err, problem.FaceScanOver)
	v.shown(newer, shots("eve", 3))
	_, err = v.sendFrames(newer.Scan, shots("eve", 3))
	wantCode(t, err, problem.FaceNotVerified)
	_, err = v.sendFrames(newer.Scan, shots("eve", 3)) // used
	wantCode(t, err, problem.FaceScanOver)
	if _, decided, _, _ := checker.Counts(); decided != 1 {
		t.Errorf("%d decisions", decided)
	}

	// Everything before was without effect on what is honest.
	_, err = w.sendFrames(theirs.Scan, frames)
	w.must(err)
}

// TestFaceForgedFrames: what is not what was fixed, or not in order, or too
// much, is refused and leaves the scan as it was.
func TestFaceForgedFrames(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	v := identified(t, x, c)
	scan, frames := v.ready(mobile, "sam")
	change := func(f func([]api.FaceFrame) []api.FaceFrame) []api.FaceFrame {
		return f(append([]api.FaceFrame(nil), frames...))
	}
	for name, forged := range map[string][]api.FaceFrame{
		"none":        nil,
		"one less":    frames[:5],
		"one more":    append(change(func(f []api.FaceFrame) []api.FaceFrame { return f }), api.FaceFrame{Step: 3, Milliseconds: 900, JPEG: unlocktest.Picture("sam")}),
		"later":       change(func(f []api.FaceFrame) []api.FaceFrame { f[5].Milliseconds++; return f }),
		"earlier":     change(func(f []api.FaceFrame) []api.FaceFrame { f[0].Milliseconds = -1; return f }),
		"other way":   change(func(f []api.FaceFrame) []api.FaceFrame { f[4], f[5] = f[5], f[4]; return f }),
		"other steps": change(func(f []api.FaceFrame) []api.FaceFrame { f[1].Step = 2; return f }),
		"step 0":      change(func(f []api.FaceFrame) []api.FaceFrame { f[0].Step = 0; return f }),
		"step 4":      append(change(func(f []api.FaceFrame) []api.FaceFrame { return f }), api.FaceFrame{Step: 4, JPEG: unlocktest.Picture("sam")}),
		"no picture":  change(func(f []api.FaceFrame) []api.FaceFrame { f[0].JPEG = []byte("GIF89a"); return f }),
		"steps twice": append(change(func(f []api.FaceFrame) []api.FaceFrame { return f }), frames[0]),
	} {
		_, err := v.sendFrames(scan.Scan, forged)
		if problem.CodeOf(err) != problem.RequestMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, decided, _, _ := checker.Counts(); decided != 0 {
		t.Errorf("%d decisions", decided)
	}
	_, err := v.sendFrames(scan.Scan, frames)
	v.must(err)
}

// TestFaceTooManyFrames: even where they were fixed.
func TestFaceTooManyFrames(t *testing.T) {
	x, _, c := faced(t, "", nil)
	for name, k := range map[string]struct {
		step, count, size int
		code              problem.Code
	}{
		"of a turn, most":     {1, 12, 10, ""},
		"of a turn, too many": {1, 13, 10, problem.RequestMalformed},
		"of a colour, most":   {2, 6, 10, ""},
		"of a colour, more":   {2, 7, 10, problem.RequestMalformed},
		"largest":             {2, 1, api.MaxFrame, ""},
		"too large":           {2, 1, api.MaxFrame + 1, problem.RequestMalformed},
	} {
		v := identified(t, x, c)
		scan, err := v.begin(mobile)
		v.must(err)
		var frames []api.FaceFrame
		for n := 1; n <= 3; n++ {
			count, size := 1, 10
			if n == k.step {
				count, size = k.count, k.size
			}
			for ms := range count {
				jpeg := append(unlocktest.Picture("reason:blurred"), bytes.Repeat([]byte{' '}, size)...)[:max(size, 18)]
				frames = append(frames, api.FaceFrame{Step: n, Milliseconds: ms, JPEG: jpeg})
			}
		}
		v.shown(scan, frames)
		_, err = v.sendFrames(scan.Scan, frames)
		if k.code == "" { // it came as far as a decision
			k.code = problem.FaceNotVerified
			if problem.CodeOf(err) == problem.FaceBlurred {
				k.code = problem.FaceBlurred
			}
		}
		if problem.CodeOf(err) != k.code {
			t.Errorf("%s: %v", name, err)
		}
		x.Advance(time.Hour)
	}
}

// TestFaceScanChangedBehindOurBack: a scan that was written to the database by
// something else is not used.
func TestFaceScanChangedBehindOurBack(t *testing.T) {
	for _, change := range []string{
		`UPDATE face_scans SET used = TRUE, used = FALSE, began_at = began_at + 1`,
		`UPDATE face_scans SET steps = replace(steps, 'told', 'told')||' ', challenge = (SELECT challenge FROM face_scans ORDER BY began_at LIMIT 1)`,
		`UPDATE face_scans SET steps = '[]'`,
		`UPDATE face_scans SET steps = 'rubbish'`,
	} {
		x, _, c := faced(t, "", nil)
		_, err := identified(t, x, c).begin(mobile)
		if err != nil {
			t.Fatal(err)
		}
		x.Advance(time.Second)
		v := identified(t, x, c)
		scan, frames := v.ready(mobile, "sam")
		if _, err := x.DB.SQL().ExecContext(t.Context(), change+` WHERE id = '`+scan.Scan+`'`); err != nil {
			t.Fatal(change, err)
		}
		_, err = v.sendFrames(scan.Scan, frames)
		wantCode(t, err, problem.FaceScanOver)
		if len(events(t, x, audit.RecordTampered)) != 1 {
			t.Errorf("%s: nothing is said of it in the trail", change)
		}
	}
}

// TestUsedScanReused: to say in the database that a scan was not used does not
// help either.
func TestUsedScanReused(t *testing.T) {
	x, _, c := faced(t, "", nil)
	v := identified(t, x, c)
	scan, frames := v.ready(mobile, "reason:blurred")
	_, err := v.sendFrames(scan.Scan, frames)
	wantCode(t, err, problem.FaceBlurred)
	if _, err := x.DB.SQL().ExecContext(t.Context(), `UPDATE face_scans SET used = FALSE`); err != nil {
		t.Fatal(err)
	}
	_, err = v.sendFrames(scan.Scan, frames)
	wantCode(t, err, problem.FaceScanOver)
}

// TestFaceWaits: frames are read only for a session that waits for them.
func TestFaceWaits(t *testing.T) {
	x, _, c := faced(t, "", nil)
	v := identified(t, x, c)
	waits := func(code problem.Code) {
		t.Helper()
		if err := x.Sessions.FaceWaits(t.Context(), v.who); problem.CodeOf(err) != code {
			t.Errorf("%v, want %q", err, code)
		}
	}
	waits(problem.FaceScanOver)
	scan, err := v.begin(mobile)
	v.must(err)
	waits(problem.SessionState)
	frames := shots("reason:blurred", 3)
	v.shown(scan, frames)
	waits("")
	token := v.who.Token
	v.who.Token = "x"
	waits(problem.SessionUnknown)
	v.who.Token = token
	_, err = v.sendFrames(scan.Scan, frames)
	wantCode(t, err, problem.FaceBlurred)
	waits(problem.FaceScanOver)
	v.must(x.Sessions.Abandon(t.Context(), v.who))
	waits(problem.SessionFinished)
	v.who.ID = "none"
	waits(problem.SessionUnknown)

	// Anybody can begin a session: it takes a card to have frames read.
	v = visit(t, x, c)
	waits(problem.SessionState)
	v = verified(t, x, c)
	waits(problem.SessionState)
	w := v
	v = identified(t, x, c)
	_, err = v.look(mobile, "sam")
	v.must(err)
	waits("") // the answer may be lost
	v, w = w, v
	waits(problem.SessionReplaced)
	v = w
	x.Advance(15 * time.Minute)
	waits(problem.SessionExpired)
	v = identified(t, x, c)
	v.ready(mobile, "sam")
	waits("")
	x.Advance(15 * time.Minute)
	waits(problem.SessionExpired)
}

// TestProvidersPage: with an outside provider there are no steps, and nothing to
// fix.
func TestProvidersPage(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	checker.SetPage("https://face.example.org/?session=provider-1")
	v := identified(t, x, c)
	scan, err := v.begin(mobile)
	v.must(err)
	if scan.Steps != 0 || scan.Step.Number != 0 || scan.Page != "https://face.example.org/?session=provider-1" {
		t.Errorf("%+v", scan)
	}
	_, err = v.step(scan.Scan, 1, nil)
	wantCode(t, err, problem.SessionState)
	_, err = v.step(scan.Scan, 0, nil)
	wantCode(t, err, problem.SessionState)
	_, err = v.sendFrames(scan.Scan, shots("sam", 1))
	wantCode(t, err, problem.RequestMalformed)
	v.must(x.Sessions.FaceWaits(t.Context(), v.who))
	_, err = v.sendFrames(scan.Scan, nil)
	wantCode(t, err, problem.FaceNotVerified) // nobody is nobody
}

// TestScansGoWithTheirSession: what is cleaned is cleaned whole.
func TestScansGoWithTheirSession(t *testing.T) {
	x, _, c := faced(t, "", nil)
	v := identified(t, x, c)
	v.ready(mobile, "sam")
	x.Advance(100 * 24 * time.Hour)
	v.must(x.Sessions.Clean(t.Context()))
	v.must(x.DB.View(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.FaceScan(t.Context(), v.who.ID); err == nil {
			t.Error("the scan is still there")
		}
		return nil
	}))
}
