package rekognition

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/face"
)

func TestDraw(t *testing.T) {
	s, c := begin(t)
	got, err := c.Draw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := face.Challenge{Session: "0a1b2c3d-0000-4000-8000-000000000001",
		Page: "https://face.example.org/scan?lang=en&session=0a1b2c3d-0000-4000-8000-000000000001"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if c.Model() != "" || !slices.Equal(s.calls, []string{"CreateFaceLivenessSession"}) {
		t.Error(s.calls)
	}
}

var (
	challenge = face.Challenge{Session: "s1"}
	reference = []byte("\xff\xd8\xffreference")
	profile   = face.Profile{Photo: []byte("\xff\xd8\xffprofile")}
)

func finished(confidence float64) map[string]any {
	return map[string]any{"SessionId": "s1", "Status": "SUCCEEDED", "Confidence": confidence,
		"ReferenceImage": map[string]any{"Bytes": base64.StdEncoding.EncodeToString(reference)}}
}

func TestDecide(t *testing.T) {
	for name, k := range map[string]struct {
		session    map[string]any
		similarity float64
		nobody     bool
		want       face.Reason
		scores     map[string]float64
	}{
		"verified":          {finished(90), 99, false, face.Verified, map[string]float64{"confidence": 90, "similarity": 99}},
		"other person":      {finished(99), 98.5, false, face.OtherPerson, map[string]float64{"confidence": 99, "similarity": 98.5}},
		"not live":          {finished(89.5), 100, false, face.NotLive, map[string]float64{"confidence": 89.5, "similarity": 100}},
		"no face in it":     {finished(99), -1, false, face.OtherPerson, map[string]float64{"confidence": 99, "similarity": 0}},
		"nobody":            {finished(99), 100, true, face.OtherPerson, map[string]float64{"confidence": 99}},
		"nobody, not live":  {finished(1), 100, true, face.NotLive, map[string]float64{"confidence": 1}},
		"not begun":         {map[string]any{"SessionId": "s1", "Status": "CREATED"}, 100, false, face.TooFewShots, nil},
		"not finished":      {map[string]any{"SessionId": "s1", "Status": "IN_PROGRESS"}, 100, false, face.TooFewShots, nil},
		"expired":           {map[string]any{"SessionId": "s1", "Status": "EXPIRED"}, 100, false, face.BadTiming, nil},
		"broken off":        {map[string]any{"SessionId": "s1", "Status": "FAILED"}, 100, false, face.BadTiming, nil},
		"a newer word":      {map[string]any{"SessionId": "s1", "Status": "PONDERING"}, 100, false, face.BadTiming, nil},
		"without a picture": {map[string]any{"SessionId": "s1", "Status": "SUCCEEDED", "Confidence": 99}, 100, false, face.TooFewShots, nil},
		"gone":              {nil, 100, false, face.BadTiming, nil},
	} {
		s, c := begin(t)
		if s.similarity = k.similarity; k.session != nil {
			s.sessions["s1"] = k.session
		}
		p := &profile
		if k.nobody {
			p = nil
		}
		d, err := c.Decide(t.Context(), challenge, face.Evidence{}, p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(face.Decision{Reason: k.want, Scores: k.scores}, d); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if k.scores == nil {
			continue
		}
		// Whoever it is, the same calls are made.
		if !slices.Equal(s.calls, []string{"GetFaceLivenessSessionResults", "CompareFaces"}) {
			t.Errorf("%s: calls %v", name, s.calls)
		}
		target := profile.Photo
		if k.nobody {
			target = reference
		}
		want := map[string]any{"SimilarityThreshold": 0.0, "SourceImage": image(reference), "TargetImage": image(target)}
		if diff := cmp.Diff(want, s.bodies[1]); diff != "" {
			t.Errorf("%s: compared (-want +got):\n%s", name, diff)
		}
	}
}

func image(b []byte) map[string]any {
	return map[string]any{"Bytes": base64.StdEncoding.EncodeToString(b)}
}

// found is a face as AWS describes it.
func found(change func(map[string]any)) map[string]any {
	f := map[string]any{"Confidence": 99.9, "BoundingBox": map[string]any{"Height": 0.5, "Width": 0.4, "Left": 0.3, "Top": 0.2},
		"Pose": map[string]any{"Pitch": 3.0, "Roll": -2.0, "Yaw": 1.0}, "Quality": map[string]any{"Brightness": 70.0, "Sharpness": 80.0}}
	if change != nil {
		change(f)
	}
	return f
}

func TestPhoto(t *testing.T) {
	quality := func(brightness, sharpness float64) map[string]any {
		return found(func(f map[string]any) {
			f["Quality"] = map[string]any{"Brightness": brightness, "Sharpness": sharpness}
		})
	}
	for name, k := range map[string]struct {
		faces []any
		want  face.Reason
	}{
		"good":      {[]any{found(nil)}, face.Verified},
		"none":      {[]any{}, face.NoFace},
		"hardly":    {[]any{found(func(f map[string]any) { f["Confidence"] = 60.0 })}, face.NoFace},
		"and a cup": {[]any{found(nil), found(func(f map[string]any) { f["Confidence"] = 60.0 })}, face.Verified},
		"two":       {[]any{found(nil), found(nil)}, face.ManyFaces},
		"small":     {[]any{found(func(f map[string]any) { f["BoundingBox"] = map[string]any{"Height": 0.1} })}, face.TooFar},
		"turned":    {[]any{found(func(f map[string]any) { f["Pose"] = map[string]any{"Yaw": -45.0} })}, face.OffCentre},
		"dark":      {[]any{quality(10, 80)}, face.TooDark},
		"bright":    {[]any{quality(99, 80)}, face.TooBright},
		"blurred":   {[]any{quality(70, 5)}, face.Blurred},
	} {
		s, c := begin(t)
		s.faces = k.faces
		template, reason, err := c.Photo(t.Context(), profile.Photo)
		if err != nil || template != nil || reason != k.want {
			t.Errorf("%s: %q, %v, %v, want %q", name, reason, template, err, k.want)
		}
	}
	s, c := begin(t)
	for _, kind := range []string{"InvalidImageFormatException", "ImageTooLargeException", "InvalidParameterException"} {
		s.faults = []awsFault{{400, kind}}
		if _, _, err := c.Photo(t.Context(), profile.Photo); !errors.Is(err, ErrPicture) || errors.Is(err, face.ErrUnavailable) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, _, err := c.Photo(t.Context(), make([]byte, maxImage+1)); !errors.Is(err, ErrPicture) {
		t.Error(err)
	}
}

// TestFaults: what AWS was too busy for is tried again; anything else, and too
// much of it, is that the provider is away.
func TestFaults(t *testing.T) {
	for _, k := range []struct {
		fault  awsFault
		times  int // how often it is answered
		called int // how often we ask
		away   bool
	}{
		{awsFault{400, "ThrottlingException"}, 2, 3, false},
		{awsFault{400, "ThrottlingException"}, 3, 3, true},
		{awsFault{400, "ProvisionedThroughputExceededException"}, 2, 3, false},
		{awsFault{500, "InternalServerError"}, 1, 2, false},
		{awsFault{503, "ServiceUnavailableException"}, 5, 3, true},
		{awsFault{400, "AccessDeniedException"}, 1, 1, true},
		{awsFault{400, "UnrecognizedClientException"}, 1, 1, true},
		{awsFault{403, "InvalidSignatureException"}, 1, 1, true},
		{awsFault{400, "SomethingNewException"}, 1, 1, true},
	} {
		s, c := begin(t)
		s.faults = slices.Repeat([]awsFault{k.fault}, k.times)
		_, err := c.Draw(t.Context())
		if errors.Is(err, face.ErrUnavailable) != k.away || (err != nil) != k.away || len(s.calls) != k.called {
			t.Errorf("%+v %d times: %v after %d calls", k.fault, k.times, err, len(s.calls))
		}
		if err != nil && (strings.Contains(err.Error(), "a-secret") || !strings.Contains(err.Error(), k.fault.kind)) {
			t.Errorf("%v", err)
		}
		s.faults = slices.Repeat([]awsFault{k.fault}, k.times)
		if _, err := c.Decide(t.Context(), challenge, face.Evidence{}, &profile); errors.Is(err, face.ErrUnavailable) != k.away {
			t.Errorf("decide: %+v: %v", k.fault, err)
		}
	}
}

// TestCompareFails: a liveness result alone decides nothing.
func TestCompareFails(t *testing.T) {
	for _, kind := range []string{"AccessDeniedException", "ImageTooLargeException"} {
		s, c := begin(t)
		s.sessions["s1"], s.similarity, s.refused = finished(99), 100, map[string]string{"CompareFaces": kind}
		d, err := c.Decide(t.Context(), challenge, face.Evidence{}, &profile)
		if !errors.Is(err, face.ErrUnavailable) || d.Scores != nil || len(s.calls) != 2 {
			t.Errorf("%s: %+v, %v after %v", kind, d, err, s.calls)
		}
	}
}

func TestCancelled(t *testing.T) {
	_, c := begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Draw(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, face.ErrUnavailable) {
		t.Error(err)
	}
}

func TestPageMustBeOne(t *testing.T) {
	for _, page := range []string{"", "face", "/face", "%"} {
		if _, err := New(t.Context(), Options{Region: "eu-west-1", Page: page}); err == nil {
			t.Errorf("%q is taken for a page", page)
		}
	}
}
