package unlock

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/directory"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

const (
	// decideTime is how long a decision may take. The person's going away does
	// not end it: what was begun is counted.
	decideTime = 30 * time.Second
	// recordTime is how long its record may take.
	recordTime = 10 * time.Second
)

// FaceWaits says, without changing anything, whether a session waits for the
// frames of a scan: whether it is worth reading them. Anybody can begin a
// session, so only one whose card was accepted has megabytes read. Errors:
// problem.SessionUnknown, SessionExpired, SessionReplaced, SessionFinished,
// SessionState, FaceScanOver.
func (s *Service) FaceWaits(ctx context.Context, who Credentials) error {
	if who.ID == "" || who.Token == "" || !clean(who.ID) {
		return problem.New(problem.SessionUnknown)
	}
	return s.DB.View(ctx, func(tx *store.Tx) error {
		x, err := tx.SessionByID(ctx, who.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err != nil || subtle.ConstantTimeCompare(x.TokenHash, s.tokenHash(who)) != 1 {
			return problem.Wrap(problem.SessionUnknown, err)
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if wanted, err := framesWanted(x, now); err != nil || !wanted {
			return err
		}
		scan, err := tx.FaceScan(ctx, x.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err != nil || scan.Used {
			return problem.Wrap(problem.FaceScanOver, err)
		}
		if fixedSteps(scan) < len(scan.Steps) {
			return problem.New(problem.SessionState)
		}
		return nil
	})
}

// framesWanted says whether a session can wait for frames, and is the error of
// one that can't. False without an error: they have verified it already, and
// the answer may have been lost.
func framesWanted(x store.Session, now time.Time) (bool, error) {
	switch state := api.State(x.State); {
	case state == api.StateSuperseded:
		return false, problem.New(problem.SessionReplaced)
	case state == api.StateExpired, !state.Final() && !now.Before(x.ExpiresAt):
		return false, problem.New(problem.SessionExpired)
	case state == api.StateFailed, state == api.StateAbandoned:
		return false, problem.New(problem.SessionFinished)
	case state == api.StateIdentified:
		return true, nil
	case x.VerifiedBy == string(api.MethodFace):
		return false, nil
	}
	return false, problem.New(problem.SessionState)
}

// try is one scan on its way to a decision.
type try struct {
	session  store.Session
	scan     string
	number   string
	evidence face.Evidence
	answered *api.Session // it was decided before, and this is the answer
	secret   scanSecret
	photo    directory.Photo
	profile  *face.Profile // nil: there is nobody to compare with
}

// SendFaces takes the frames of a scan, uses the scan up and decides. A right
// face under a wrong number is answered like a wrong face, for the same work
// (R4). Errors: the problems of face.go, FaceNotVerified and those of a reason
// that can be mended, FaceAway, RequestMalformed.
func (s *Service) SendFaces(ctx context.Context, who Credentials, r api.FaceFrames) (out api.Session, err error) {
	digests, err := frameDigests(r.Frames)
	if err != nil {
		return out, err
	}
	var t try
	err = s.update(ctx, func(tx *store.Tx) (err error) {
		t, err = s.takeFrames(ctx, tx, who, r, digests)
		return err
	})
	if err != nil {
		return out, err
	}
	if t.answered != nil {
		return *t.answered, nil
	}
	lasting := context.WithoutCancel(ctx)
	decision, fault := s.decide(lasting, &t)
	t.evidence = face.Evidence{} // the frames are not needed any more
	recording, cancel := context.WithTimeout(lasting, recordTime)
	defer cancel()
	err = s.update(recording, func(tx *store.Tx) error {
		out, err = s.recordFace(recording, tx, who, t, decision, fault)
		return err
	})
	return out, err
}

// frameDigests groups frames by their steps, in order, and gives what fixes
// each group.
func frameDigests(frames []api.FaceFrame) (map[int][]byte, error) {
	out := map[int][]byte{}
	for i := 0; i < len(frames); {
		n := i
		for ; n < len(frames) && frames[n].Step == frames[i].Step; n++ {
			f := frames[n]
			if len(f.JPEG) > api.MaxFrame || !bytes.HasPrefix(f.JPEG, []byte{0xff, 0xd8, 0xff}) ||
				f.Milliseconds < 0 || n > i && f.Milliseconds < frames[n-1].Milliseconds {
				return nil, malformed("frames")
			}
		}
		if _, twice := out[frames[i].Step]; twice || frames[i].Step < 1 || i > 0 && frames[i].Step < frames[i-1].Step {
			return nil, malformed("frames")
		}
		out[frames[i].Step] = api.FramesDigest(frames[i:n])
		i = n
	}
	return out, nil
}

// takeFrames makes sure that the frames are those that were fixed and uses the
// scan up.
func (s *Service) takeFrames(ctx context.Context, tx *store.Tx, who Credentials, r api.FaceFrames, digests map[int][]byte) (t try, err error) {
	x, err := s.facing(ctx, tx, who)
	if problem.CodeOf(err) == problem.SessionState && x.VerifiedBy == string(api.MethodFace) {
		return s.answered(ctx, tx, x, r, digests, err)
	}
	if err != nil {
		return t, err
	}
	scan, secret, err := s.scan(ctx, tx, x, r.Scan)
	if err != nil {
		return t, err
	}
	t = try{session: x, scan: scan.ID, number: secret.Number, secret: secret}
	if t.evidence, err = gather(scan, secret.Challenge, r.Frames, digests); err != nil {
		return t, err
	}
	if err := s.reserveFace(ctx, tx, x); err != nil {
		return t, err
	}
	scan.Used = true
	return t, s.saveScan(ctx, tx, &scan)
}

// answered gives the answer to frames that have verified the session already,
// where it did not arrive the first time; no otherwise.
func (s *Service) answered(ctx context.Context, tx *store.Tx, x store.Session, r api.FaceFrames, digests map[int][]byte, no error) (try, error) {
	scan, err := tx.FaceScan(ctx, x.ID)
	if errors.Is(err, store.ErrNotFound) {
		return try{}, no
	}
	if err != nil {
		return try{}, err
	}
	if scan.ID != r.Scan || !scan.Used || !s.Keys.CheckMAC(scan.MAC, kindScan, scanFields(scan)...) || !fits(scan, digests) {
		return try{}, no
	}
	out, err := s.wire(ctx, tx, x)
	return try{answered: &out}, err
}

// fits says whether frames are those that were fixed.
func fits(scan store.FaceScan, digests map[int][]byte) bool {
	for n := range digests {
		if n > len(scan.Steps) {
			return false
		}
	}
	for i, st := range scan.Steps {
		have, ok := digests[i+1]
		if !ok {
			have = api.FramesDigest(nil)
		}
		if subtle.ConstantTimeCompare(have, st.Digest) != 1 {
			return false
		}
	}
	return true
}

// gather makes evidence of the frames of a scan whose steps are all fixed.
func gather(scan store.FaceScan, c face.Challenge, frames []api.FaceFrame, digests map[int][]byte) (e face.Evidence, err error) {
	if fixedSteps(scan) < len(c.Steps) {
		return e, problem.New(problem.SessionState)
	}
	if !fits(scan, digests) {
		return e, malformed("frames")
	}
	count := make([]int, len(c.Steps))
	for _, f := range frames {
		most := api.StepFrames
		if c.Steps[f.Step-1].Turn != face.TurnNone {
			most *= 2
		}
		if count[f.Step-1]++; count[f.Step-1] > most {
			return e, malformed("frames")
		}
		e.Frames = append(e.Frames, face.Frame{Step: f.Step - 1, At: time.Duration(f.Milliseconds) * time.Millisecond, JPEG: f.JPEG})
	}
	for _, st := range scan.Steps {
		e.Windows = append(e.Windows, face.Window{Told: time.UnixMicro(st.Told).UTC(), Fixed: time.UnixMicro(st.Fixed).UTC()})
	}
	return e, nil
}

// decide has a scan decided, outside of any transaction. A fault of the checker,
// a panic over a picture among them, is an error.
func (s *Service) decide(ctx context.Context, t *try) (d face.Decision, err error) {
	ctx, cancel := context.WithTimeout(ctx, decideTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := s.loadProfile(ctx, t); err != nil {
		return d, err
	}
	return s.Face.Decide(ctx, t.secret.Challenge, t.evidence, t.profile)
}

// loadProfile opens the holder's photo, with a template of the checker's model.
func (s *Service) loadProfile(ctx context.Context, t *try) error {
	open := func(tx *store.Tx) (err error) {
		t.photo, err = s.Directory.Photo(ctx, tx, t.session.HolderID)
		return err
	}
	err := s.DB.View(ctx, open)
	if errors.Is(err, directory.ErrTampered) { // once more where it can be put in the trail
		err = s.DB.Update(ctx, func(tx *store.Tx) error {
			if err := open(tx); !errors.Is(err, directory.ErrTampered) {
				return err
			}
			return nil
		})
		if err == nil && t.photo.Picture == nil {
			return nil
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	t.profile = &face.Profile{Photo: t.photo.Picture, Template: t.photo.Template}
	model := s.Face.Model()
	if model == "" || t.photo.Model == model {
		return nil
	}
	// The model has changed since: once for each photo, where no operator has
	// recomputed it before.
	template, reason, err := s.Face.Photo(ctx, t.photo.Picture)
	if err != nil {
		return err
	}
	if reason != face.Verified {
		t.profile = nil
		s.Log.WarnContext(ctx, "a profile photo is not good enough for this model", "holder", t.session.HolderID, "reason", string(reason))
		return nil
	}
	t.profile.Template = template
	return s.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := s.Directory.SetTemplate(ctx, tx, t.photo, template, model, audit.ActorService)
		return err
	})
}

// recordFace records a decision, whatever has become of the session meanwhile,
// and acts on it where the session still waits for it.
func (s *Service) recordFace(ctx context.Context, tx *store.Tx, who Credentials, t try, d face.Decision, fault error) (out api.Session, err error) {
	x, _, err := s.load(ctx, tx, who)
	if err != nil {
		return out, err
	}
	if fault != nil {
		return out, s.undecided(ctx, tx, x, t, fault)
	}
	theirs, err := s.Directory.NumberFits(ctx, tx, x.HolderID, t.number)
	if err != nil {
		return out, err
	}
	same, err := s.samePhoto(ctx, tx, x, t)
	if err != nil {
		return out, err
	}
	came := outcome(d, theirs, same, t.profile != nil)
	if err := s.settleFace(ctx, tx, x, came); err != nil {
		return out, err
	}
	if err := s.note(ctx, tx, x, audit.FaceDecided, s.told(t, d, came, theirs)); err != nil {
		return out, err
	}
	if err := s.waitsStill(ctx, tx, &x); err != nil {
		return out, err
	}
	if came == triedVerified {
		if err := s.verified(ctx, tx, &x, string(api.MethodFace), 0); err != nil {
			return out, err
		}
		return s.wire(ctx, tx, x)
	}
	return out, keep{problem.New(faceCode(d.Reason, came))}
}

// outcome is what a decision comes to. A photo that was changed while it was
// looked at decides nothing.
func outcome(d face.Decision, theirs, same, profile bool) tried {
	switch {
	case d.Reason.Mendable():
		return triedNothing
	case d.Reason == face.Verified && theirs && profile && !same:
		return triedNothing
	case d.Reason == face.Verified && theirs && profile:
		return triedVerified
	}
	return triedFailed
}

// samePhoto says whether the photo on record is the one that was looked at.
func (s *Service) samePhoto(ctx context.Context, tx *store.Tx, x store.Session, t try) (bool, error) {
	digest, err := s.Directory.PhotoDigest(ctx, tx, x.HolderID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && bytes.Equal(digest, t.photo.Digest), err
}

// waitsStill refuses what is for a session that has ended or gone on meanwhile.
// What was recorded stays.
func (s *Service) waitsStill(ctx context.Context, tx *store.Tx, x *store.Session) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	switch state := api.State(x.State); {
	case state == api.StateIdentified && now.Before(x.ExpiresAt):
		return nil
	case state == api.StateIdentified:
		if err := s.end(ctx, tx, x, api.StateExpired, audit.SessionExpired, nil); err != nil {
			return err
		}
		return keep{problem.New(problem.SessionExpired)}
	case state == api.StateExpired:
		return keep{problem.New(problem.SessionExpired)}
	case state == api.StateSuperseded:
		return keep{problem.New(problem.SessionReplaced)}
	case state.Final():
		return keep{problem.New(problem.SessionFinished)}
	}
	return keep{problem.New(problem.SessionState)}
}

// undecided records that there is no decision. It does not count.
func (s *Service) undecided(ctx context.Context, tx *store.Tx, x store.Session, t try, fault error) error {
	p := problem.From(faceFault(fault))
	s.Log.ErrorContext(ctx, "a scan could not be decided", "code", p.Code, "session", x.ID, "err", fault)
	if err := s.settleFace(ctx, tx, x, triedNothing); err != nil {
		return err
	}
	if err := s.note(ctx, tx, x, audit.FaceUndecided, map[string]string{"scan": t.scan, "checker": s.conf.Face.Provider,
		"step": "decide", "code": string(p.Code)}); err != nil {
		return err
	}
	return keep{p}
}

// told is what the trail is told of a decision: who decided, the thresholds
// and the scores, numbers alone.
func (s *Service) told(t try, d face.Decision, came tried, theirs bool) map[string]string {
	out := map[string]string{"scan": t.scan, "checker": s.conf.Face.Provider, "model": s.Face.Model(), "decision": "verified"}
	switch {
	case t.profile == nil && !d.Reason.Mendable():
		out["decision"] = "no photo"
	case d.Reason != face.Verified:
		out["decision"] = string(d.Reason)
	case !theirs:
		out["decision"] = "other number"
	case came == triedNothing:
		out["decision"] = "photo changed meanwhile"
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }
	for _, name := range slices.Sorted(maps.Keys(d.Scores)) {
		out["score "+name] = number(d.Scores[name])
	}
	for name, v := range s.conf.Face.Thresholds {
		out["threshold "+name] = number(v)
	}
	return out
}

// faceCode is the code of a reason. What must not be told apart has one.
func faceCode(r face.Reason, came tried) problem.Code {
	switch r {
	case face.NoFace:
		return problem.FaceNotSeen
	case face.ManyFaces:
		return problem.FaceSeveral
	case face.TooFar:
		return problem.FaceFar
	case face.TooClose:
		return problem.FaceClose
	case face.OffCentre:
		return problem.FaceOffCentre
	case face.TooDark:
		return problem.FaceDark
	case face.TooBright:
		return problem.FaceBright
	case face.Blurred:
		return problem.FaceBlurred
	case face.Glare:
		return problem.FaceGlare
	case face.NotFrontal:
		return problem.FaceNotStraight
	case face.LightWeak:
		return problem.FaceLightWeak
	case face.NoTurn:
		return problem.FaceNoTurn
	case face.TooFewShots:
		return problem.FaceFewFrames
	case face.BadTiming:
		return problem.FaceTiming
	case face.Verified:
		if came == triedNothing {
			return problem.FaceScanOver
		}
	}
	return problem.FaceNotVerified
}
