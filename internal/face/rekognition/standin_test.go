package rekognition

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// standIn answers as Rekognition does: AWS JSON 1.1 with signed requests, a
// fault as a document with __type. It takes the signature's form alone, for the
// secret key is not its to know.
type standIn struct {
	t  testing.TB
	mu sync.Mutex
	// faults are answered first, one a request.
	faults []awsFault
	// refused are the kinds of faults of calls that never succeed.
	refused map[string]string
	// sessions by id.
	sessions map[string]map[string]any
	// similarity of the next comparison; below 0: there is no face.
	similarity float64
	faces      []any
	calls      []string
	bodies     []map[string]any
}

type awsFault struct {
	status int
	kind   string
}

// target is the API's name of a call, with the prefix of its JSON 1.1 protocol.
var target = regexp.MustCompile(`^RekognitionService\.([A-Za-z]+)$`)

// authorization is a signature of version 4 for this service.
var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/[0-9]{8}/eu-west-1/rekognition/aws4_request, ` +
	`SignedHeaders=[a-z0-9;-]*host;[a-z0-9;-]*x-amz-date;x-amz-target, Signature=[0-9a-f]{64}$`)

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := target.FindStringSubmatch(r.Header.Get("X-Amz-Target"))
	if r.Method != "POST" || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || call == nil {
		s.t.Errorf("%s %s, %v", r.Method, r.URL, r.Header)
		answer(w, 400, map[string]any{"__type": "UnknownOperationException"})
		return
	}
	date := r.Header.Get("X-Amz-Date")
	if _, err := time.Parse("20060102T150405Z", date); err != nil || !authorization.MatchString(r.Header.Get("Authorization")) {
		answer(w, 403, map[string]any{"__type": "MissingAuthenticationTokenException", "message": "Request is missing Authentication Token"})
		return
	}
	raw, err := io.ReadAll(r.Body)
	var body map[string]any
	if err != nil || json.Unmarshal(raw, &body) != nil {
		answer(w, 400, map[string]any{"__type": "SerializationException"})
		return
	}
	s.calls, s.bodies = append(s.calls, call[1]), append(s.bodies, body)
	if len(s.faults) > 0 {
		f := s.faults[0]
		s.faults = s.faults[1:]
		answer(w, f.status, map[string]any{"__type": f.kind, "Message": "as the test wants it", "Code": f.kind, "Logref": "1"})
		return
	}
	if kind, ok := s.refused[call[1]]; ok {
		answer(w, 400, map[string]any{"__type": kind})
		return
	}
	s.answer(w, call[1], body)
}

func (s *standIn) answer(w http.ResponseWriter, call string, body map[string]any) {
	switch call {
	case "CreateFaceLivenessSession":
		answer(w, 200, map[string]any{"SessionId": "0a1b2c3d-0000-4000-8000-000000000001"})
	case "GetFaceLivenessSessionResults":
		id, _ := body["SessionId"].(string)
		if s.sessions[id] == nil {
			answer(w, 400, map[string]any{"__type": "SessionNotFoundException", "Message": "Session not found"})
			return
		}
		answer(w, 200, s.sessions[id])
	case "CompareFaces":
		if s.similarity < 0 {
			answer(w, 400, map[string]any{"__type": "InvalidParameterException", "Message": "Request has invalid parameters"})
			return
		}
		answer(w, 200, map[string]any{"SourceImageFace": map[string]any{"Confidence": 99.9}, "UnmatchedFaces": []any{},
			"FaceMatches": []any{map[string]any{"Similarity": s.similarity / 2}, map[string]any{"Similarity": s.similarity}}})
	case "DetectFaces":
		answer(w, 200, map[string]any{"FaceDetails": s.faces})
	default:
		answer(w, 400, map[string]any{"__type": "UnknownOperationException"})
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "0a1b2c3d")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// begin makes a stand-in and a Checker that calls it.
func begin(t testing.TB) (*standIn, *Checker) {
	t.Helper()
	s := &standIn{t: t, sessions: map[string]map[string]any{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := New(t.Context(), Options{Region: "eu-west-1", Endpoint: server.URL, Page: "https://face.example.org/scan?lang=en",
		Confidence: 90, Similarity: 99, Backoff: func(int) time.Duration { return 0 },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "a-secret-of-the-test"}, nil
		})})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}
