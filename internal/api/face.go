package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
)

// Paths of the calls of face verification.
const (
	PathFace       = "/v1/sessions/{id}/face"        // POST FaceRequest -> FaceScan (201)
	PathFaceStep   = "/v1/sessions/{id}/face/step"   // POST FaceStepDone -> FaceStep
	PathFaceFrames = "/v1/sessions/{id}/face/frames" // POST FaceFrames -> Session
)

// Bounds of a scan.
const (
	MaxFaceBody  = 8 << 20   // largest body of PathFaceFrames in bytes
	MaxFrame     = 150 << 10 // largest frame in bytes
	MaxFrameSide = 1280      // longest side of a frame in pixels
	StepFrames   = 6         // most frames of a colour step; twice as many of a turn
	MaxFrames    = 384       // most frames of a scan
)

// FaceRequest begins a scan. The answer is the same for any number (R4).
// Without Consent there is none (UK GDPR article 9).
type FaceRequest struct {
	Address string `json:"address"` // mobile number as typed
	Consent bool   `json:"consent"`
}

// FaceScan is a scan that has begun: its first step, or, with an outside
// provider, the page that does it. It is for one use.
type FaceScan struct {
	Scan        string   `json:"scan"`
	Steps       int      `json:"steps"` // how many steps there are; 0 with Page
	Step        FaceStep `json:"step"`
	Page        string   `json:"page,omitempty"` // opened in a window of its own; then FaceFrames without frames
	SecondsLeft int      `json:"seconds_left"`
}

// FaceStep is what the screen shows next. The service tells each step only when
// the frames of the one before are fixed.
type FaceStep struct {
	Number       int    `json:"number"`           // from 1; 0: no more, send the frames
	Turn         string `json:"turn,omitempty"`   // "left" or "right", as the person sees it: turn the head a little
	Colour       string `json:"colour,omitempty"` // "#rrggbb" that fills the screen
	Milliseconds int    `json:"milliseconds"`     // how long it is shown
}

// FaceStepDone fixes the frames taken during a step (FramesDigest).
type FaceStepDone struct {
	Scan   string `json:"scan"`
	Number int    `json:"number"`
	Digest []byte `json:"digest"` // SHA-256
}

// FaceFrame is a picture of the camera.
type FaceFrame struct {
	Step         int    `json:"step"`
	Milliseconds int    `json:"milliseconds"` // since the step was shown
	JPEG         []byte `json:"jpeg"`
}

// FaceFrames are all frames of a scan, in order.
type FaceFrames struct {
	Scan   string      `json:"scan"`
	Frames []FaceFrame `json:"frames"`
}

// frameCommas is how many commas a frame has at most: three for its members and
// itself, and as many for members that a newer application may send.
const frameCommas = 6

// UnmarshalJSON refuses more frames than a scan has before there is memory for
// them: one takes two bytes in a body, and fifty in memory.
func (f *FaceFrames) UnmarshalJSON(body []byte) error {
	if bytes.Count(body, []byte{','}) > frameCommas*MaxFrames {
		return errors.New("too many frames")
	}
	type plain FaceFrames
	return json.Unmarshal(body, (*plain)(f))
}

// FramesDigest is what FaceStepDone carries: SHA-256 over, for each frame of
// the step, its milliseconds and the length of its JPEG (64 bits, big endian)
// and the JPEG.
func FramesDigest(frames []FaceFrame) []byte {
	h := sha256.New()
	for _, f := range frames {
		var head [16]byte
		binary.BigEndian.PutUint64(head[:8], uint64(f.Milliseconds))
		binary.BigEndian.PutUint64(head[8:], uint64(len(f.JPEG)))
		h.Write(head[:])
		h.Write(f.JPEG)
	}
	return h.Sum(nil)
}
