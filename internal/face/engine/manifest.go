package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Manifest describes a set of models. It is the file manifest.json of their
// folder; docs/face.md says what each part means.
type Manifest struct {
	Name      string    `json:"name"` // of the set: templates of another name are made anew
	Detector  Detector  `json:"detector"`
	Landmarks Landmarks `json:"landmarks"`
	Embedder  Embedder  `json:"embedder"`
	// Thresholds are the similarities from which two pictures are of the same
	// person, by how often two people's are: the most often first.
	Thresholds []Threshold `json:"thresholds"`
}

// Threshold is a similarity, -1 to 1, that a part FMR of all pairs of pictures
// of two people reaches.
type Threshold struct {
	FMR        float64 `json:"fmr"`
	Similarity float32 `json:"similarity"`
}

// Threshold is the lowest similarity at which no more than a part fmr of the
// pairs of two people match. Where none of the manifest's is that strict it is
// the strictest, and false.
func (m Manifest) Threshold(fmr float64) (Threshold, bool) {
	for _, t := range m.Thresholds {
		if t.FMR <= fmr {
			return t, true
		}
	}
	return m.Thresholds[len(m.Thresholds)-1], false
}

// Network is one ONNX model of 32-bit floats with one input, a picture with
// its channels first.
type Network struct {
	File   string     `json:"file"`
	SHA256 string     `json:"sha256"`
	Width  int        `json:"width"` // of the input, in pixels
	Height int        `json:"height"`
	Order  string     `json:"order,omitempty"` // of the channels: rgb, or bgr
	Mean   [3]float32 `json:"mean"`            // of each channel, red first: (value - mean) / scale
	Scale  float32    `json:"scale"`
}

// Detector gives, for each of its anchors, scores [1, n, 2], of which the
// second is the face's, and boxes [1, n, 4]: left, top, right, bottom as parts
// of the input's sides.
type Detector struct {
	Network
	Threshold float32 `json:"threshold"` // lowest score of a face
	Overlap   float32 `json:"overlap"`   // of two boxes, from which on they are the same face: intersection over union
}

// Landmarks gives 136 numbers: x and y of the 68 points of iBUG 300-W as parts
// of the input's sides.
type Landmarks struct {
	Network
	Grow  float32 `json:"grow"`  // side of the square that is looked at, by the longer side of the detector's box
	Shift float32 `json:"shift"` // its centre below the box's, by the same
}

// Embedder gives the numbers of a face that was aligned by five points: the
// eyes' centres, the nose's tip and the mouth's corners.
type Embedder struct {
	Network
	Template [5][2]float32 `json:"template"` // where the points come to lie, in pixels
	Mirror   bool          `json:"mirror"`   // describe the mirrored face too and take the mean
}

// ModelError says what is wrong with a set of models.
type ModelError struct {
	Part string // manifest, detector, landmarks, embedder, runtime
	Err  error
}

func (e *ModelError) Error() string { return fmt.Sprintf("face models: %s: %v", e.Part, e.Err) }
func (e *ModelError) Unwrap() error { return e.Err }

// largest is the most bytes that a model may have.
const largest = 512 << 20

// set is a manifest with the files that it names.
type set struct {
	Manifest
	detector, landmarks, embedder []byte
}

// load reads a set and checks its files against the manifest.
func load(folder fs.FS) (*set, error) {
	text, err := fs.ReadFile(folder, "manifest.json")
	if err != nil {
		return nil, &ModelError{"manifest", err}
	}
	s := &set{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.Manifest); err != nil {
		return nil, &ModelError{"manifest", err}
	}
	if err := s.check(); err != nil {
		return nil, &ModelError{"manifest", err}
	}
	for _, part := range []struct {
		name string
		n    Network
		to   *[]byte
	}{{"detector", s.Detector.Network, &s.detector}, {"landmarks", s.Landmarks.Network, &s.landmarks}, {"embedder", s.Embedder.Network, &s.embedder}} {
		if *part.to, err = part.n.read(folder); err != nil {
			return nil, &ModelError{part.name, err}
		}
	}
	return s, nil
}

func (n Network) read(folder fs.FS) ([]byte, error) {
	info, err := fs.Stat(folder, n.File)
	if err != nil {
		return nil, err
	}
	if info.Size() > largest {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", n.File, info.Size(), largest)
	}
	data, err := fs.ReadFile(folder, n.File)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); !strings.EqualFold(hex.EncodeToString(sum[:]), n.SHA256) {
		return nil, fmt.Errorf("%s has the SHA-256 %x, not the manifest's", n.File, sum)
	}
	return data, nil
}

// check says what a manifest lacks.
func (m Manifest) check() error {
	switch {
	case m.Name == "" || len(m.Name) > 100:
		return errors.New("name: give one of up to 100 characters")
	case m.Detector.Threshold <= 0 || m.Detector.Threshold >= 1:
		return errors.New("detector.threshold: give one between 0 and 1")
	case m.Detector.Overlap <= 0 || m.Detector.Overlap >= 1:
		return errors.New("detector.overlap: give one between 0 and 1")
	case m.Landmarks.Grow < 0.5 || m.Landmarks.Grow > 4 || m.Landmarks.Shift < -1 || m.Landmarks.Shift > 1:
		return errors.New("landmarks: give grow between 0.5 and 4 and shift between -1 and 1")
	}
	if len(m.Thresholds) == 0 {
		return errors.New("thresholds: give at least one")
	}
	for i, t := range m.Thresholds {
		if t.FMR <= 0 || t.FMR >= 1 || t.Similarity <= -1 || t.Similarity >= 1 ||
			i > 0 && (t.FMR >= m.Thresholds[i-1].FMR || t.Similarity <= m.Thresholds[i-1].Similarity) {
			return errors.New("thresholds: give each a smaller fmr and a higher similarity than the one before")
		}
	}
	for i, p := range m.Embedder.Template {
		if p[0] < 0 || p[1] < 0 || p[0] > float32(m.Embedder.Width) || p[1] > float32(m.Embedder.Height) || i > 0 && p == m.Embedder.Template[0] {
			return errors.New("embedder.template: give five different points within the input")
		}
	}
	for _, n := range []Network{m.Detector.Network, m.Landmarks.Network, m.Embedder.Network} {
		switch {
		case !fs.ValidPath(n.File):
			return fmt.Errorf("file %q: give the name of a file in the folder", n.File)
		case n.Width < 16 || n.Height < 16 || n.Width > 2048 || n.Height > 2048:
			return fmt.Errorf("%s: width and height are 16 to 2048", n.File)
		case n.Scale <= 0:
			return fmt.Errorf("%s: scale is more than 0", n.File)
		case n.Order != "" && n.Order != "rgb" && n.Order != "bgr":
			return fmt.Errorf("%s: order is rgb or bgr", n.File)
		}
	}
	return nil
}
