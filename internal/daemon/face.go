package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"latchkey/internal/api"
	"latchkey/internal/config"
	"latchkey/internal/face"
	"latchkey/internal/face/engine"
	"latchkey/internal/face/rekognition"
	"latchkey/internal/face/scan"
	"latchkey/internal/problem"
	"latchkey/internal/unlock"
)

// notOffered is the notice where the operator wrote none.
const (
	notOffered = "Your organisation does not offer face verification."
	notHere    = "Face verification is not available at the moment."
)

// oneInTenThousand is the rate of false matches that the models' own threshold
// is taken at (NIST SP 800-63B-4 section 3.2.3).
const oneInTenThousand = 0.0001

// Faces is who looks at faces. The zero value looks at none.
type Faces struct {
	face.Checker
	Thresholds map[string]float64 // by name, for the audit trail
	close      func() error
}

// Close ends what the checker holds.
func (f Faces) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// OpenFaces makes the checker of the configuration, whether or not face
// verification is offered. Errors: problem.FaceUnavailable where this build or
// machine has none, FaceModels, ConfigInvalid.
func OpenFaces(ctx context.Context, c *config.Config) (Faces, error) {
	if c.FaceProvider == config.FaceAWS {
		confidence, similarity := float64(c.FaceAWSConfidence), float64(c.FaceAWSSimilarity)
		aws, err := rekognition.New(ctx, rekognition.Options{Region: c.FaceAWSRegion, Endpoint: c.FaceAWSEndpoint, Page: c.FacePage,
			Confidence: confidence, Similarity: similarity})
		if err != nil {
			return Faces{}, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("face verification with AWS: %w", err))
		}
		return Faces{Checker: aws, Thresholds: map[string]float64{"confidence": confidence, "similarity": similarity}}, nil
	}
	e, err := engine.Open(engine.Options{Folder: c.FaceModels, Runtime: c.FaceRuntime})
	var wrong *engine.ModelError
	switch {
	case errors.Is(err, face.ErrUnavailable):
		return Faces{}, problem.Wrap(problem.FaceUnavailable, err)
	case errors.As(err, &wrong):
		return Faces{}, problem.Wrap(problem.FaceModels, err)
	case err != nil:
		return Faces{}, err
	}
	o := scan.DefaultOptions()
	if o.Similarity = c.FaceThreshold; o.Similarity == 0 {
		own, _ := e.Manifest().Threshold(oneInTenThousand)
		o.Similarity = float64(own.Similarity)
	}
	return Faces{Checker: scan.New(e, o), Thresholds: map[string]float64{"similarity": o.Similarity}, close: e.Close}, nil
}

// faces makes the checker of the service. One that this build or machine has
// not is reported, and the service starts without.
func (b *Base) faces(ctx context.Context, c *config.Config, log *slog.Logger) (Faces, api.MethodStatus, error) {
	status := api.MethodStatus{Method: api.MethodFace, Notice: c.FaceNotice}
	if !c.FaceEnabled {
		status.Notice = cmp.Or(status.Notice, notOffered)
		return Faces{}, status, nil
	}
	f, err := OpenFaces(ctx, c)
	if problem.CodeOf(err) == problem.FaceUnavailable {
		log.WarnContext(ctx, "face verification is not available: the service starts without", "code", problem.FaceUnavailable, "err", err)
		status.Notice = notHere
		return Faces{}, status, nil
	}
	if err != nil {
		return Faces{}, status, err
	}
	log.InfoContext(ctx, "face verification is ready", "provider", c.FaceProvider, "model", f.Model())
	b.countPhotos(ctx, f, log)
	status.Available = true
	return f, status, nil
}

// countPhotos logs how many templates another model has made.
func (b *Base) countPhotos(ctx context.Context, checker face.Checker, log *slog.Logger) {
	status, err := b.Directory.PhotoStatus(ctx, b.DB)
	switch other := status.Other(checker.Model()); {
	case err != nil:
		log.WarnContext(ctx, "photos not counted", "err", err)
	case status.Photos == 0:
		log.WarnContext(ctx, "nobody has a profile photo: latchkeyd face enrol adds them")
	case other > 0:
		log.WarnContext(ctx, "templates of another model: latchkeyd face recompute makes them anew", "count", other)
	}
}

// faceConfig is the policy of face verification.
func faceConfig(c *config.Config, f Faces) unlock.FaceConfig {
	return unlock.FaceConfig{Provider: c.FaceProvider, Thresholds: f.Thresholds, AllowUnproven: !c.FaceNeedsProvenCard,
		Limits: unlock.FaceLimits{Failures: c.FaceFailures, MaxFailures: c.FaceMaxFailures,
			PerSession: c.FaceScansPerSession, PerCard: c.FaceScansPerCard, PerDay: c.FaceScansDaily}}
}
