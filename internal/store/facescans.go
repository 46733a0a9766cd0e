package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// FaceScan is the newest scan of a session's face; a new one replaces it.
type FaceScan struct {
	ID        string
	SessionID string
	Challenge []byte     // sealed by package unlock
	Steps     []ScanStep // those that were told so far, in order
	BeganAt   time.Time
	Used      bool
	MAC       []byte
}

// ScanStep is when a step of a scan was told and when its frames were fixed,
// by the database's clock.
type ScanStep struct {
	Told   int64  `json:"told"`            // microseconds since 1970
	Fixed  int64  `json:"fixed,omitempty"` // 0: not yet
	Digest []byte `json:"digest,omitempty"`
}

// PutFaceScan keeps a session's scan in place of any before.
func (t *Tx) PutFaceScan(ctx context.Context, s FaceScan) error {
	steps, err := encodeSteps(s.Steps)
	if err != nil {
		return err
	}
	return t.change(ctx, "put face scan",
		`INSERT INTO face_scans (session_id, id, challenge, steps, began_at, used, mac) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (session_id) DO UPDATE SET id = excluded.id, challenge = excluded.challenge, steps = excluded.steps,
		began_at = excluded.began_at, used = excluded.used, mac = excluded.mac`,
		s.SessionID, s.ID, s.Challenge, steps, micros(s.BeganAt), s.Used, s.MAC)
}

// SaveFaceScan replaces steps, use and MAC of a session's scan as long as it is
// the one with this id and has not been used: ErrNotFound otherwise.
func (t *Tx) SaveFaceScan(ctx context.Context, s FaceScan) error {
	steps, err := encodeSteps(s.Steps)
	if err != nil {
		return err
	}
	return t.change(ctx, "save face scan",
		`UPDATE face_scans SET steps = $3, used = $4, mac = $5 WHERE session_id = $1 AND id = $2 AND used = FALSE`,
		s.SessionID, s.ID, steps, s.Used, s.MAC)
}

// FaceScan reads the newest scan of a session.
func (t *Tx) FaceScan(ctx context.Context, sessionID string) (FaceScan, error) {
	return one(ctx, t, "face scan", func(r scanner) (s FaceScan, err error) {
		var steps string
		if err = r.Scan(&s.SessionID, &s.ID, &s.Challenge, &steps, stamp{&s.BeganAt}, &s.Used, &s.MAC); err != nil {
			return s, err
		}
		if json.Unmarshal([]byte(steps), &s.Steps) != nil {
			s.Steps = nil // not text that we wrote, which the MAC shows
		}
		return s, nil
	}, `SELECT session_id, id, challenge, steps, began_at, used, mac FROM face_scans WHERE session_id = $1`, sessionID)
}

func encodeSteps(steps []ScanStep) (string, error) {
	raw, err := json.Marshal(steps)
	if err != nil {
		return "", fmt.Errorf("encode steps: %w", err)
	}
	return string(raw), nil
}
