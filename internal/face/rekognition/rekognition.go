// Package rekognition verifies faces with Amazon Rekognition: Face Liveness and
// CompareFaces of its API of 2016-06-27, behind face.Checker.
//
// The video of a scan goes from the person's browser to AWS by AWS's own
// component, on a page that the organisation hosts (Options.Page); the service
// sees none of it. The service creates the liveness session and asks for its
// result. It sends AWS the reference image of that result and the profile photo
// to compare, and keeps neither.
//
// It was written against the published API and tested against a stand-in that
// speaks its protocol (AWS JSON 1.1). It was never run against AWS.
package rekognition

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/rekognition"
	"github.com/aws/aws-sdk-go-v2/service/rekognition/types"

	"latchkey/internal/face"
)

const (
	// callTimeout is how long one call may take, its repeats not included.
	callTimeout = 8 * time.Second
	// attempts is how often a call is made that AWS was too busy for.
	attempts = 3
	// maxImage is the largest image in bytes that AWS takes without S3.
	maxImage = 5 << 20
)

// Options of New.
type Options struct {
	Region   string // such as eu-west-1; Face Liveness is not in every region
	Endpoint string // address of the API; empty is the region's own
	// Page is the organisation's page with AWS's component. The liveness
	// session is added to its query as "session".
	Page       string
	Confidence float64 // least confidence that the person is live, 0 to 100
	Similarity float64 // least similarity with the profile photo, 0 to 100
	// Credentials, where set, are used in place of those that the SDK finds
	// (environment, shared files, the machine's role).
	Credentials aws.CredentialsProvider
	// Backoff, where set, says how long to wait before another try.
	Backoff func(attempt int) time.Duration
}

// Checker is a face.Checker. It is safe for use by many goroutines.
type Checker struct {
	client  *rekognition.Client
	page    *url.URL
	options Options
}

var _ face.Checker = (*Checker)(nil)

// New makes a Checker. It calls nobody.
func New(ctx context.Context, o Options) (*Checker, error) {
	page, err := url.Parse(o.Page)
	if err != nil || page.Host == "" {
		return nil, fmt.Errorf("the page %q is no address", o.Page)
	}
	load := []func(*config.LoadOptions) error{config.WithRegion(o.Region), config.WithHTTPClient(http.NewBuildableClient().WithTimeout(callTimeout))}
	if o.Credentials != nil {
		load = append(load, config.WithCredentialsProvider(o.Credentials))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("set up AWS: %w", err)
	}
	client := rekognition.NewFromConfig(c, func(r *rekognition.Options) {
		if o.Endpoint != "" {
			r.BaseEndpoint = &o.Endpoint
		}
		r.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts, s.MaxBackoff = attempts, 2*time.Second
			if o.Backoff != nil {
				s.Backoff = retry.BackoffDelayerFunc(func(n int, _ error) (time.Duration, error) { return o.Backoff(n), nil })
			}
		})
	})
	return &Checker{client: client, page: page, options: o}, nil
}

// Model implements face.Checker: AWS compares photos itself.
func (c *Checker) Model() string { return "" }

// Draw begins a liveness session. AWS keeps no pictures of it but for the
// reference image, for minutes.
func (c *Checker) Draw(ctx context.Context) (face.Challenge, error) {
	out, err := c.client.CreateFaceLivenessSession(ctx, &rekognition.CreateFaceLivenessSessionInput{})
	if err != nil {
		return face.Challenge{}, fault("create a liveness session", err)
	}
	id := aws.ToString(out.SessionId)
	if id == "" {
		return face.Challenge{}, fault("create a liveness session", errors.New("the answer has no session"))
	}
	page := *c.page
	query := page.Query()
	query.Set("session", id)
	page.RawQuery = query.Encode()
	return face.Challenge{Session: id, Page: page.String()}, nil
}

// Decide asks for the result of a liveness session and compares the person with
// the profile photo. With nobody to compare with, the person is compared with
// themselves, for the same work.
func (c *Checker) Decide(ctx context.Context, challenge face.Challenge, _ face.Evidence, profile *face.Profile) (face.Decision, error) {
	result, err := c.client.GetFaceLivenessSessionResults(ctx,
		&rekognition.GetFaceLivenessSessionResultsInput{SessionId: aws.String(challenge.Session)})
	if gone := (*types.SessionNotFoundException)(nil); errors.As(err, &gone) {
		return face.Decision{Reason: face.BadTiming}, nil
	}
	if err != nil {
		return face.Decision{}, fault("get the result of a liveness session", err)
	}
	if reason := unfinished(result); reason != face.Verified {
		return face.Decision{Reason: reason}, nil
	}
	confidence := float64(aws.ToFloat32(result.Confidence))
	with := result.ReferenceImage.Bytes
	if profile != nil {
		with = profile.Photo
	}
	similarity, err := c.similarity(ctx, result.ReferenceImage.Bytes, with)
	if err != nil {
		return face.Decision{}, err
	}
	d := face.Decision{Scores: map[string]float64{"confidence": confidence, "similarity": similarity}}
	if profile == nil {
		delete(d.Scores, "similarity")
	}
	switch {
	case confidence < c.options.Confidence:
		d.Reason = face.NotLive
	case profile == nil || similarity < c.options.Similarity:
		d.Reason = face.OtherPerson
	}
	return d, nil
}

// unfinished says why there is no result to decide on.
func unfinished(r *rekognition.GetFaceLivenessSessionResultsOutput) face.Reason {
	switch r.Status {
	case types.LivenessSessionStatusSucceeded:
	case types.LivenessSessionStatusCreated, types.LivenessSessionStatusInProgress:
		return face.TooFewShots
	default: // expired; failed: broken off
		return face.BadTiming
	}
	if r.ReferenceImage == nil || len(r.ReferenceImage.Bytes) == 0 {
		return face.TooFewShots // AWS recommends another try
	}
	return face.Verified
}

// similarity compares the largest face of one picture with those of another, 0
// to 100.
func (c *Checker) similarity(ctx context.Context, source, target []byte) (float64, error) {
	out, err := c.client.CompareFaces(ctx, &rekognition.CompareFacesInput{SourceImage: &types.Image{Bytes: source},
		TargetImage: &types.Image{Bytes: target}, SimilarityThreshold: aws.Float32(0)})
	if none := (*types.InvalidParameterException)(nil); errors.As(err, &none) {
		return 0, nil // there is no face in one of them
	}
	if err != nil {
		return 0, fault("compare faces", err)
	}
	var best float64
	for _, m := range out.FaceMatches {
		best = max(best, float64(aws.ToFloat32(m.Similarity)))
	}
	return best, nil
}

// ErrPicture: AWS cannot read a picture.
var ErrPicture = errors.New("not a JPEG or PNG of up to 5 MB")

// Bounds of a profile photo, in AWS's own figures: parts of the picture's
// height, degrees, and 0 to 100.
const (
	smallestFace  = 0.15
	widestTurn    = 30
	leastLight    = 25
	mostLight     = 97
	leastSharp    = 20
	leastFaceSure = 90
)

// Photo has AWS look for the one face of a profile photo. There is no template.
func (c *Checker) Photo(ctx context.Context, picture []byte) (face.Template, face.Reason, error) {
	if len(picture) > maxImage {
		return nil, "", ErrPicture
	}
	out, err := c.client.DetectFaces(ctx, &rekognition.DetectFacesInput{Image: &types.Image{Bytes: picture}})
	format, large, bad := (*types.InvalidImageFormatException)(nil), (*types.ImageTooLargeException)(nil), (*types.InvalidParameterException)(nil)
	if errors.As(err, &format) || errors.As(err, &large) || errors.As(err, &bad) {
		return nil, "", fmt.Errorf("%w: %w", ErrPicture, err)
	}
	if err != nil {
		return nil, "", fault("detect faces", err)
	}
	return nil, judge(out.FaceDetails), nil
}

// judge says whether there is one face, good enough to compare with.
func judge(faces []types.FaceDetail) face.Reason {
	var found []types.FaceDetail
	for _, f := range faces {
		if aws.ToFloat32(f.Confidence) >= leastFaceSure {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return face.NoFace
	}
	if len(found) > 1 {
		return face.ManyFaces
	}
	f := found[0]
	if f.BoundingBox != nil && aws.ToFloat32(f.BoundingBox.Height) < smallestFace {
		return face.TooFar
	}
	if p := f.Pose; p != nil {
		for _, angle := range []*float32{p.Pitch, p.Roll, p.Yaw} {
			if a := aws.ToFloat32(angle); a > widestTurn || a < -widestTurn {
				return face.OffCentre
			}
		}
	}
	if q := f.Quality; q != nil {
		switch light := aws.ToFloat32(q.Brightness); {
		case light < leastLight:
			return face.TooDark
		case light > mostLight:
			return face.TooBright
		case aws.ToFloat32(q.Sharpness) < leastSharp:
			return face.Blurred
		}
	}
	return face.Verified
}

// fault is the error of a call that brought no answer to go by. Whatever the
// cause, people are told that the provider is away; the log has it.
func fault(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", doing, face.ErrUnavailable, err)
}
