package unlock_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/emulator"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/store/storetest"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

const mobile = "+447700900123"

// faced is an installation with one card whose holder has a mobile number and a
// photo of Sam.
func faced(t testing.TB, database string, change func(*unlock.Config)) (*unlocktest.Installation, *unlocktest.Checker, *emulator.Card) {
	t.Helper()
	checker := &unlocktest.Checker{}
	x := unlocktest.New(t, unlocktest.Options{Database: database, Clock: true, Face: checker, Config: change})
	c := newCard(t, emulator.Options{})
	x.Enrol(t, c)
	x.Import(t, "staff_number,name,email,mobile\n1001,Sam Taylor,"+unlocktest.Email+","+mobile+"\n", "")
	x.EnrolPhoto(t, checker, "1001", "sam")
	return x, checker, c
}

// shots are the frames of a scan of somebody: two of each step.
func shots(who string, steps int) []api.FaceFrame {
	var out []api.FaceFrame
	for n := range steps {
		for ms := range 2 {
			out = append(out, api.FaceFrame{Step: n + 1, Milliseconds: 100 * ms, JPEG: unlocktest.Picture(who)})
		}
	}
	return out
}

func ofStep(frames []api.FaceFrame, n int) []api.FaceFrame {
	var out []api.FaceFrame
	for _, f := range frames {
		if f.Step == n {
			out = append(out, f)
		}
	}
	return out
}

func (v *visitor) begin(number string) (api.FaceScan, error) {
	return v.Sessions.StartFace(v.t.Context(), v.who, api.FaceRequest{Address: number, Consent: true})
}

func (v *visitor) step(scan string, n int, frames []api.FaceFrame) (api.FaceStep, error) {
	return v.Sessions.FaceStep(v.t.Context(), v.who, api.FaceStepDone{Scan: scan, Number: n, Digest: api.FramesDigest(ofStep(frames, n))})
}

// shown goes through all steps of a scan, in time.
func (v *visitor) shown(scan api.FaceScan, frames []api.FaceFrame) {
	v.t.Helper()
	for step := scan.Step; step.Number > 0; {
		v.Advance(time.Duration(step.Milliseconds)*time.Millisecond + 50*time.Millisecond)
		next, err := v.step(scan.Scan, step.Number, frames)
		v.must(err)
		step = next
	}
}

func (v *visitor) sendFrames(scan string, frames []api.FaceFrame) (api.Session, error) {
	return v.Sessions.SendFaces(v.t.Context(), v.who, api.FaceFrames{Scan: scan, Frames: frames})
}

// ready is a scan of somebody whose steps are all fixed.
func (v *visitor) ready(number, who string) (api.FaceScan, []api.FaceFrame) {
	v.t.Helper()
	scan, err := v.begin(number)
	v.must(err)
	frames := shots(who, scan.Steps)
	v.shown(scan, frames)
	return scan, frames
}

// look is a whole scan of somebody.
func (v *visitor) look(number, who string) (api.Session, error) {
	v.t.Helper()
	scan, frames := v.ready(number, who)
	return v.sendFrames(scan.Scan, frames)
}

// events are the entries of the trail with an action.
func events(t testing.TB, x *unlocktest.Installation, action string) []store.AuditEvent {
	t.Helper()
	var out []store.AuditEvent
	if err := x.DB.View(t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(t.Context(), "test", 0, func(e store.AuditEvent) error {
			if e.Action == action {
				out = append(out, e)
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFaceVerifies(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, _, c := faced(t, database, nil)
		v := identified(t, x, c)
		scan, err := v.begin("+44 (0)7700 900-123")
		v.must(err)
		if scan.Steps != 3 || scan.Page != "" || scan.SecondsLeft != 900 {
			t.Errorf("%+v", scan)
		}
		if d := cmp.Diff(api.FaceStep{Number: 1, Turn: "left", Colour: "#ffffff", Milliseconds: 1200}, scan.Step); d != "" {
			t.Error(d)
		}
		frames := shots("sam", 3)
		v.shown(scan, frames)
		s, err := v.sendFrames(scan.Scan, frames)
		v.must(err)
		if s.State != api.StateVerified {
			t.Errorf("%+v", s)
		}
		again, err := v.sendFrames(scan.Scan, frames) // the answer was lost
		v.must(err)
		if d := cmp.Diff(s, again); d != "" {
			t.Error(d)
		}
		_, err = v.sendFrames(scan.Scan, shots("eve", 3))
		wantCode(t, err, problem.SessionState)
		if _, _, err := v.release(1); err != nil {
			t.Error(err)
		}
		decided := events(t, x, audit.FaceDecided)
		if len(decided) != 1 {
			t.Fatalf("%d decisions in the trail", len(decided))
		}
		want := map[string]string{"scan": scan.Scan, "checker": "test", "model": "model-1", "decision": "verified",
			"score similarity": "0.7500", "score light": "0.9000", "threshold similarity": "0.5000"}
		if d := cmp.Diff(want, decided[0].Details); d != "" {
			t.Error(d)
		}
		begun := events(t, x, audit.FaceBegun)
		if len(begun) != 1 || begun[0].Details["consent"] != "yes" || strings.Contains(begun[0].Details["address"], "7700") {
			t.Errorf("%+v", begun)
		}
	})
}

// TestFaceSupersedes: as with a code, the newer verified session takes over.
func TestFaceSupersedes(t *testing.T) {
	x, _, c := faced(t, "", nil)
	older := verified(t, x, c)
	newer := identified(t, x, c)
	_, err := newer.look(mobile, "sam")
	newer.must(err)
	if got := older.state(); got != api.StateSuperseded {
		t.Errorf("the older one is %s", got)
	}
}

// TestFacesLeaveNoTrace: frames and photos are nowhere in the database's files
// or the log in clear, and neither is the number.
func TestFacesLeaveNoTrace(t *testing.T) {
	path := storetest.SQLite(t)
	x, _, c := faced(t, path, nil)
	v := identified(t, x, c)
	_, err := v.look("+44 7700 900 999", "sam-as-the-camera-sees-them")
	wantCode(t, err, problem.FaceNotVerified)
	_, err = v.look(mobile, "sam")
	v.must(err)
	files, err := filepath.Glob(path + "*")
	v.must(err)
	if len(files) < 2 {
		t.Fatalf("files %v: where is the log of SQLite?", files)
	}
	seen := false
	for _, name := range append(files, "the log") {
		raw := []byte(x.Log.String())
		if name != "the log" {
			raw, err = os.ReadFile(name)
			v.must(err)
		}
		seen = seen || bytes.Contains(raw, []byte(audit.FaceDecided))
		for _, secret := range []string{"\xff\xd8\xff\xe0", "as-the-camera", "7700900999", "model-1 sam"} {
			if bytes.Contains(raw, []byte(secret)) {
				t.Errorf("%s has %q", name, secret)
			}
		}
	}
	if !seen {
		t.Error("the files are not those of this database")
	}
}

// answer is what a person sees of an error.
func answer(t testing.TB, err error) string {
	t.Helper()
	raw, jsonErr := json.Marshal(problem.From(err))
	if err == nil || jsonErr != nil {
		t.Fatal(err, jsonErr)
	}
	return string(raw)
}

// TestFaceSameAnswer: whatever is the matter with the person, the number or the
// record, what comes back is the same, for the same work (R4).
func TestFaceSameAnswer(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		var want string
		var wantSession api.Session
		x, checker, c := faced(t, database, func(c *unlock.Config) { c.Face.AllowUnproven = true })
		bare := newCard(t, emulator.Options{})
		x.EnrolBare(t, bare) // 1002, without a photo or mobile number
		for _, k := range []struct {
			name, number, who, told string
			card                    *emulator.Card
			nobody                  bool
		}{
			{"wrong number", "+447700900999", "sam", "other number", c, false},
			{"wrong face", mobile, "eve", "other person", c, false},
			{"wrong both", "+447700900999", "eve", "other person", c, false},
			{"not live", mobile, "reason:not live", "not live", c, false},
			{"no photo", mobile, "sam", "no photo", bare, true},
		} {
			v := visit(t, x, k.card)
			if k.card == bare {
				_, err := x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{})
				v.must(err)
			} else {
				_, err := v.prove()
				v.must(err)
			}
			drawn, decided, nobody, photos := checker.Counts()
			_, err := v.look(k.number, k.who)
			wantCode(t, err, problem.FaceNotVerified)
			drawn2, decided2, nobody2, photos2 := checker.Counts()
			if drawn2 != drawn+1 || decided2 != decided+1 || photos2 != photos || (nobody2 > nobody) != k.nobody {
				t.Errorf("%s: other work was done", k.name)
			}
			if d := events(t, x, audit.FaceDecided); d[len(d)-1].Details["decision"] != k.told {
				t.Errorf("%s: the trail says %+v", k.name, d[len(d)-1].Details)
			}
			s, err2 := x.Sessions.Get(t.Context(), v.who)
			v.must(err2)
			s.ID, s.ExpiresAt, s.SecondsLeft, s.Proven = "", time.Time{}, 0, false
			if want == "" {
				want, wantSession = answer(t, err), s
			}
			if got := answer(t, err); got != want {
				t.Errorf("%s: %s, not %s", k.name, got, want)
			}
			if d := cmp.Diff(wantSession, s); d != "" {
				t.Errorf("%s: the session (-want +got):\n%s", k.name, d)
			}
			x.Advance(time.Hour)
		}
	})
}

// TestFaceOfUnprovenCards: an unknown card and one that is not served come no
// further than any other, and without leave none of them comes to a scan.
func TestFaceOfUnprovenCards(t *testing.T) {
	x, _, _ := faced(t, "", func(c *unlock.Config) { c.Face.AllowUnproven = true })
	v := visit(t, x, newCard(t, emulator.Options{}))
	_, err := x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{})
	wantCode(t, err, problem.CardNotServed)
	_, err = v.begin(mobile)
	wantCode(t, err, problem.SessionFinished)

	x, checker, _ := faced(t, "", nil)
	bare := newCard(t, emulator.Options{})
	x.EnrolBare(t, bare)
	for _, photo := range []bool{false, true} {
		if photo {
			x.EnrolPhoto(t, checker, "1002", "kim")
		}
		v = visit(t, x, bare)
		s, err := x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{})
		v.must(err)
		m := s.Methods[slices.IndexFunc(s.Methods, func(m api.MethodStatus) bool { return m.Method == api.MethodFace })]
		if m.Available || !strings.Contains(m.Notice, "can prove") {
			t.Errorf("photo %t: %+v", photo, m)
		}
		_, err = v.begin(mobile)
		wantCode(t, err, problem.MethodUnavailable)
		if p := problem.From(err); p.Detail != m.Notice {
			t.Errorf("detail %q", p.Detail)
		}
	}
}

// TestFaceMethod: what the page of methods says of face verification.
func TestFaceMethod(t *testing.T) {
	x, checker, c := faced(t, "", nil)
	status := func() api.MethodStatus {
		t.Helper()
		v := identified(t, x, c)
		s, err := x.Sessions.Get(t.Context(), v.who)
		v.must(err)
		return s.Methods[2]
	}
	if m := status(); !m.Available || m.Notice != "" {
		t.Errorf("with a photo: %+v", m)
	}
	if err := x.DB.Update(t.Context(), func(tx *store.Tx) error { return x.Dir.RemovePhoto(t.Context(), tx, "1001") }); err != nil {
		t.Fatal(err)
	}
	if m := status(); m.Available || m.Notice != "Your Registration Authority has no photo of you." {
		t.Errorf("without a photo: %+v", m)
	}
	_, err := identified(t, x, c).begin(mobile)
	wantCode(t, err, problem.MethodUnavailable)

	x.EnrolPhoto(t, checker, "1001", "sam")
	if _, err := x.DB.SQL().ExecContext(t.Context(), `UPDATE photos SET added_by = 'eve'`); err != nil {
		t.Fatal(err)
	}
	if m := status(); m.Available {
		t.Errorf("with a photo that is not ours: %+v", m)
	}
	if len(events(t, x, audit.RecordTampered)) == 0 {
		t.Error("nothing is said of the photo in the trail")
	}
}

// TestPhotoIsEnough: a holder with a photo alone can prove who they are.
func TestPhotoIsEnough(t *testing.T) {
	x, _, c := faced(t, "", nil)
	x.Import(t, "staff_number,name,email,mobile\n1001,Sam Taylor,,\n", "")
	v := identified(t, x, c)
	_, err := v.look("+447700900999", "sam") // there is no number on record to compare with
	v.must(err)
	x, _, c = faced(t, "", nil)
	if err := x.DB.Update(t.Context(), func(tx *store.Tx) error { return x.Dir.RemovePhoto(t.Context(), tx, "1001") }); err != nil {
		t.Fatal(err)
	}
	x.Import(t, "staff_number,name,email,mobile\n1001,Sam Taylor,,\n", "")
	_, err = visit(t, x, c).prove()
	wantCode(t, err, problem.HolderNoContact)
}

func TestStartFaceRefusals(t *testing.T) {
	x, _, c := faced(t, "", nil)
	v := identified(t, x, c)
	for _, k := range []struct {
		request api.FaceRequest
		code    problem.Code
	}{
		{api.FaceRequest{Address: mobile}, problem.FaceConsent},
		{api.FaceRequest{Address: " ", Consent: true}, problem.MobileMissing},
		{api.FaceRequest{Address: "+44", Consent: true}, problem.MobileMalformed},
	} {
		_, err := x.Sessions.StartFace(t.Context(), v.who, k.request)
		wantCode(t, err, k.code)
	}
	_, err := x.Sessions.StartFace(t.Context(), unlock.Credentials{ID: v.who.ID, Token: "x"}, api.FaceRequest{Address: mobile, Consent: true})
	wantCode(t, err, problem.SessionUnknown)
	_, err = visit(t, x, c).begin(mobile)
	wantCode(t, err, problem.SessionState)
	if n := len(events(t, x, audit.FaceBegun)); n != 0 {
		t.Errorf("%d scans were begun", n)
	}
}

// TestFaceReasons: each reason that can be mended has its own code and does not
// count; a session has only so many scans all the same.
func TestFaceReasons(t *testing.T) {
	want := map[face.Reason]problem.Code{face.NoFace: problem.FaceNotSeen, face.ManyFaces: problem.FaceSeveral,
		face.TooFar: problem.FaceFar, face.TooClose: problem.FaceClose, face.OffCentre: problem.FaceOffCentre,
		face.TooDark: problem.FaceDark, face.TooBright: problem.FaceBright, face.Blurred: problem.FaceBlurred,
		face.Glare: problem.FaceGlare, face.NotFrontal: problem.FaceNotStraight, face.LightWeak: problem.FaceLightWeak, face.NoTurn: problem.FaceNoTurn,
		face.TooFewShots: problem.FaceFewFrames, face.BadTiming: problem.FaceTiming}
	x, _, c := faced(t, "", func(c *unlock.Config) { c.Face.Limits.PerCard = 1000 })
	for reason, code := range want {
		if !reason.Mendable() {
			t.Errorf("%q is not mendable", reason)
		}
		v := identified(t, x, c)
		_, err := v.look(mobile, "reason:"+string(reason))
		wantCode(t, err, code)
		_, err = v.look("+447700900999", "reason:"+string(reason)) // whatever the number
		wantCode(t, err, code)
	}
	v := identified(t, x, c)
	for range 10 {
		_, err := v.look(mobile, "reason:blurred")
		wantCode(t, err, problem.FaceBlurred)
	}
	_, err := v.begin(mobile)
	wantCode(t, err, problem.FaceScanLimit)
	_, err = identified(t, x, c).look(mobile, "sam") // after 38 scans, none of which counts
	if err != nil {
		t.Error(err)
	}
}

// TestFaceReasonUnknown: a reason that nobody foresaw is a failure.
func TestFaceReasonUnknown(t *testing.T) {
	for _, r := range []face.Reason{face.NotLive, face.OtherPerson} {
		if r.Mendable() {
			t.Errorf("%q is mendable", r)
		}
	}
	x, _, c := faced(t, "", nil)
	_, err := identified(t, x, c).look(mobile, "reason:not live")
	wantCode(t, err, problem.FaceNotVerified)
	if !errors.Is(err, problem.New(problem.FaceNotVerified)) {
		t.Error(err)
	}
}
