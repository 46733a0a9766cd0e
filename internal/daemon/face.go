package daemon

import (
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

// faces is who looks at faces, and how to let go of them.
type faces struct {
	face.Checker
	close func() error
}

// Close ends what the checker holds.
func (f faces) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// Faces makes the checker of the configuration, whether or not face
// verification is offered. Errors: problem.FaceUnset where this build or machine
// has none, problem.ConfigInvalid.
func Faces(ctx context.Context, c *config.Config) (face.Checker, func() error, error) {
	if c.FaceProvider == config.FaceAWS {
		aws, err := rekognition.New(ctx, rekognition.Options{Region: c.FaceAWSRegion, Endpoint: c.FaceAWSEndpoint, Page: c.FacePage,
			Confidence: float64(c.FaceAWSConfidence), Similarity: float64(c.FaceAWSSimilarity)})
		if err != nil {
			return nil, nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("face verification with AWS: %w", err))
		}
		return aws, func() error { return nil }, nil
	}
	e, err := engine.Open(engine.Options{Folder: c.FaceModels, Runtime: c.FaceRuntime})
	if errors.Is(err, face.ErrUnavailable) {
		return nil, nil, problem.Wrap(problem.FaceUnset, err)
	}
	if err != nil {
		return nil, nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("face verification: %w", err))
	}
	o := scan.DefaultOptions()
	o.Similarity = c.FaceThreshold
	return scan.New(e, o), e.Close, nil
}

// faces makes the checker of the service. One that this build or machine has
// not is reported, and the service starts without.
func (b *Base) faces(ctx context.Context, c *config.Config, log *slog.Logger) (faces, api.MethodStatus, error) {
	status := api.MethodStatus{Method: api.MethodFace, Notice: c.FaceNotice}
	if !c.FaceEnabled {
		if status.Notice == "" {
			status.Notice = notOffered
		}
		return faces{}, status, nil
	}
	checker, closing, err := Faces(ctx, c)
	if problem.CodeOf(err) == problem.FaceUnset {
		log.WarnContext(ctx, "face verification is not available: the service starts without", "code", problem.FaceUnset, "err", err)
		status.Notice = notHere
		return faces{}, status, nil
	}
	if err != nil {
		return faces{}, status, err
	}
	log.InfoContext(ctx, "face verification is ready", "provider", c.FaceProvider, "model", checker.Model())
	b.countPhotos(ctx, checker, log)
	status.Available = true
	return faces{checker, closing}, status, nil
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
func faceConfig(c *config.Config) unlock.FaceConfig {
	out := unlock.FaceConfig{Provider: c.FaceProvider, Thresholds: map[string]float64{"similarity": c.FaceThreshold},
		AllowUnproven: !c.FaceNeedsProvenCard, Limits: unlock.FaceLimits{Failures: c.FaceFailures, MaxFailures: c.FaceMaxFailures,
			PerSession: c.FaceScansPerSession, PerCard: c.FaceScansPerCard}}
	if c.FaceProvider == config.FaceAWS {
		out.Thresholds = map[string]float64{"confidence": float64(c.FaceAWSConfidence), "similarity": float64(c.FaceAWSSimilarity)}
	}
	return out
}
