package unlock

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

const (
	kindScan = "face scan"
	// maxSteps is the most steps of a scan.
	maxSteps = 32
	// shortest is the share of a step's length that it must have lasted, in
	// percent. It is told before it is shown, so an honest one lasts longer.
	shortest = 80
	// stepSlack is how much longer than its length a step may last: the way to
	// the application and back, and one repeat of a call.
	stepSlack = 6 * time.Second
)

// FaceConfig is what the operator decides about face verification.
type FaceConfig struct {
	// Provider names the checker in the audit trail: "latchkey", "aws".
	Provider string
	// Thresholds by name, for the audit trail.
	Thresholds map[string]float64
	// AllowUnproven offers it to cards that have not proven themselves too.
	AllowUnproven bool
	Limits        FaceLimits
}

// scanSecret is what is sealed of a scan.
type scanSecret struct {
	Challenge face.Challenge
	Number    string // normalised, as typed
}

// StartFace begins a scan in place of any before. Nothing in it depends on the
// number that was typed (R4). Errors: problem.SessionState, MethodUnavailable,
// FaceConsent, MobileMissing, MobileMalformed, FaceWait, FaceHeld,
// FaceScanLimit, FaceAway.
func (s *Service) StartFace(ctx context.Context, who Credentials, r api.FaceRequest) (out api.FaceScan, err error) {
	var number string
	err = s.update(ctx, func(tx *store.Tx) error {
		x, err := s.facing(ctx, tx, who)
		if err != nil {
			return err
		}
		if !r.Consent {
			return problem.New(problem.FaceConsent)
		}
		if number, err = s.Directory.NormaliseMobile(r.Address); err != nil {
			return err
		}
		if err := s.mayTryFace(ctx, tx, x); err != nil {
			return err
		}
		_, err = s.count(ctx, tx, x, problem.FaceScanLimit, s.scanBuckets(x)...)
		return err
	})
	if err != nil {
		return out, err
	}
	// A provider may be far away: not inside a transaction.
	c, err := s.Face.Draw(ctx)
	if err == nil && (len(c.Steps) > maxSteps || len(c.Steps) == 0 && c.Page == "") {
		err = fmt.Errorf("a scan of %d steps", len(c.Steps))
	}
	if err != nil {
		return out, s.undrawn(ctx, who, err)
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		x, err := s.facing(ctx, tx, who)
		if err != nil {
			return err
		}
		out, err = s.beginScan(ctx, tx, x, scanSecret{c, number})
		return err
	})
	return out, err
}

// facing is a live session that can prove its person by face now.
func (s *Service) facing(ctx context.Context, tx *store.Tx, who Credentials) (store.Session, error) {
	x, _, err := s.live(ctx, tx, who)
	if err != nil {
		return x, err
	}
	if api.State(x.State) != api.StateIdentified {
		return x, problem.New(problem.SessionState)
	}
	m := api.MethodStatus{Method: api.MethodFace, Available: s.Face != nil && s.offers(api.MethodFace)}
	if m.Available {
		if err := s.faceMethod(ctx, tx, x, &m); err != nil {
			return x, err
		}
	}
	if !m.Available {
		p := problem.New(problem.MethodUnavailable)
		p.Detail = m.Notice
		return x, p
	}
	return x, nil
}

// faceMethod says of an identified session whether it can use face
// verification, where the organisation offers it. A card that has not proven
// itself is told nothing that is not so for any such card (R4).
func (s *Service) faceMethod(ctx context.Context, tx *store.Tx, x store.Session, m *api.MethodStatus) error {
	if !x.Proven {
		if !s.conf.Face.AllowUnproven {
			m.Available, m.Notice = false, "Face verification needs a smartcard that can prove that it is genuine."
		}
		return nil
	}
	has, err := s.Directory.HasPhoto(ctx, tx, x.HolderID)
	if err != nil {
		return err
	}
	if !has {
		m.Available, m.Notice = false, "Your Registration Authority has no photo of you."
	}
	return nil
}

// faceStatus is faceMethod for the page where the method is chosen: it says too
// that there were too many failures.
func (s *Service) faceStatus(ctx context.Context, tx *store.Tx, x store.Session, m *api.MethodStatus) error {
	if err := s.faceMethod(ctx, tx, x, m); err != nil || !m.Available || !x.Proven {
		return err
	}
	failures := s.faceFailures(x)
	n, _, err := tx.LimitCount(ctx, failures.name, failures.window)
	if err == nil && n >= failures.most {
		m.Available, m.Notice = false, "Face verification is on hold for you. Your Registration Authority can help."
	}
	return err
}

// undrawn is the answer where a scan could not be drawn. It gives back what was
// counted for it.
func (s *Service) undrawn(ctx context.Context, who Credentials, cause error) error {
	err := s.update(ctx, func(tx *store.Tx) error {
		x, err := s.facing(ctx, tx, who)
		if err != nil {
			return err
		}
		for _, b := range s.scanBuckets(x) {
			if err := giveBack(ctx, tx, b); err != nil {
				return err
			}
		}
		return s.note(ctx, tx, x, audit.FaceUndecided, map[string]string{"checker": s.conf.Face.Provider, "step": "draw"})
	})
	return errors.Join(faceFault(cause), err)
}

// faceFault is the problem of a checker's error.
func faceFault(err error) error {
	if errors.Is(err, face.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return problem.Wrap(problem.FaceAway, err)
	}
	return fmt.Errorf("face verification: %w", err)
}

func (s *Service) beginScan(ctx context.Context, tx *store.Tx, x store.Session, secret scanSecret) (out api.FaceScan, err error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return out, err
	}
	scan := store.FaceScan{ID: store.NewID(), SessionID: x.ID, BeganAt: now}
	plain, err := json.Marshal(secret)
	if err != nil {
		return out, fmt.Errorf("encode a scan: %w", err)
	}
	if scan.Challenge, err = s.Keys.Seal(kindScan, []string{scan.ID, x.ID}, plain); err != nil {
		return out, fmt.Errorf("seal a scan: %w", err)
	}
	out = api.FaceScan{Scan: scan.ID, Steps: len(secret.Challenge.Steps), Page: secret.Challenge.Page,
		SecondsLeft: int(x.ExpiresAt.Sub(now) / time.Second)}
	if out.Steps > 0 {
		scan.Steps = []store.ScanStep{{Told: now.UnixMicro()}}
		out.Step = wireStep(secret.Challenge, 1)
	}
	scan.MAC = s.Keys.MAC(kindScan, scanFields(scan)...)
	if err := tx.PutFaceScan(ctx, scan); err != nil {
		return out, err
	}
	return out, s.note(ctx, tx, x, audit.FaceBegun, map[string]string{"scan": scan.ID, "consent": "yes",
		"checker": s.conf.Face.Provider, "address": s.pseudonym(secret.Number)})
}

// wireStep is step number n of a challenge, from 1, or that there is no more.
func wireStep(c face.Challenge, n int) api.FaceStep {
	if n > len(c.Steps) {
		return api.FaceStep{}
	}
	step := c.Steps[n-1]
	return api.FaceStep{Number: n, Turn: string(step.Turn), Milliseconds: int(step.Length / time.Millisecond),
		Colour: fmt.Sprintf("#%02x%02x%02x", step.Colour.R, step.Colour.G, step.Colour.B)}
}

func scanFields(f store.FaceScan) []string {
	out := []string{f.ID, f.SessionID, string(f.Challenge), micros(f.BeganAt), strconv.FormatBool(f.Used), strconv.Itoa(len(f.Steps))}
	for _, st := range f.Steps {
		out = append(out, strconv.FormatInt(st.Told, 10), strconv.FormatInt(st.Fixed, 10), string(st.Digest))
	}
	return out
}

// scan loads the scan of a session that is named by its id, whole and not used.
func (s *Service) scan(ctx context.Context, tx *store.Tx, x store.Session, id string) (store.FaceScan, scanSecret, error) {
	var secret scanSecret
	scan, err := tx.FaceScan(ctx, x.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return scan, secret, err
	}
	if err != nil || scan.ID != id || scan.Used {
		return scan, secret, problem.Wrap(problem.FaceScanOver, err)
	}
	plain, err := s.Keys.Open(kindScan, []string{scan.ID, x.ID}, scan.Challenge)
	if err != nil || !s.Keys.CheckMAC(scan.MAC, kindScan, scanFields(scan)...) {
		return scan, secret, s.tamperedScan(ctx, tx, x)
	}
	if err := json.Unmarshal(plain, &secret); err != nil {
		return scan, secret, fmt.Errorf("decode a scan: %w", err)
	}
	return scan, secret, nil
}

func (s *Service) tamperedScan(ctx context.Context, tx *store.Tx, x store.Session) error {
	s.Log.ErrorContext(ctx, "a scan in the database was not written by Latchkey: it is not used",
		"code", problem.Internal, "session", x.ID)
	if err := audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.RecordTampered,
		Session: x.ID, Details: map[string]string{"record": kindScan}}); err != nil {
		return err
	}
	return keep{problem.New(problem.FaceScanOver)}
}

func (s *Service) saveScan(ctx context.Context, tx *store.Tx, scan *store.FaceScan) error {
	scan.MAC = s.Keys.MAC(kindScan, scanFields(*scan)...)
	err := tx.SaveFaceScan(ctx, *scan)
	if errors.Is(err, store.ErrNotFound) {
		return problem.Wrap(problem.FaceScanOver, err)
	}
	return err
}

// FaceStep fixes the frames of the step that was told last and tells the next.
// Asked again with the same digest it answers the same. Errors:
// problem.FaceScanOver, FaceTiming, SessionState where it is another step's
// turn, RequestMalformed.
func (s *Service) FaceStep(ctx context.Context, who Credentials, r api.FaceStepDone) (out api.FaceStep, err error) {
	err = s.update(ctx, func(tx *store.Tx) error {
		x, err := s.facing(ctx, tx, who)
		if err != nil {
			return err
		}
		if len(r.Digest) != sha256.Size {
			return malformed("digest")
		}
		scan, secret, err := s.scan(ctx, tx, x, r.Scan)
		if err != nil {
			return err
		}
		fixed := fixedSteps(scan)
		switch {
		case r.Number >= 1 && r.Number == fixed && bytes.Equal(scan.Steps[fixed-1].Digest, r.Digest):
		case r.Number == fixed+1 && r.Number <= len(scan.Steps):
			if err := s.fixStep(ctx, tx, &scan, secret.Challenge, r); err != nil {
				return err
			}
		default:
			return problem.New(problem.SessionState)
		}
		out = wireStep(secret.Challenge, r.Number+1)
		return nil
	})
	return out, err
}

func fixedSteps(f store.FaceScan) int {
	n := 0
	for n < len(f.Steps) && f.Steps[n].Fixed != 0 {
		n++
	}
	return n
}

// fixStep fixes the step that was told last. One that was too short or too
// long uses the scan up.
func (s *Service) fixStep(ctx context.Context, tx *store.Tx, scan *store.FaceScan, c face.Challenge, r api.FaceStepDone) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	step := &scan.Steps[r.Number-1]
	length := c.Steps[r.Number-1].Length
	if lasted := now.Sub(time.UnixMicro(step.Told)); lasted < length*shortest/100 || lasted > length+stepSlack {
		scan.Used = true
		if err := s.saveScan(ctx, tx, scan); err != nil {
			return err
		}
		return keep{problem.New(problem.FaceTiming)}
	}
	step.Fixed, step.Digest = now.UnixMicro(), r.Digest
	if r.Number < len(c.Steps) {
		scan.Steps = append(scan.Steps, store.ScanStep{Told: now.UnixMicro()})
	}
	return s.saveScan(ctx, tx, scan)
}
