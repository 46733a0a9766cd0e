package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/service"
	"latchkey/internal/unlock"
)

// heart is a service.Sessions that notes what reaches it and answers as told.
type heart struct {
	calls   []string
	who     unlock.Credentials
	body    any
	network string
	err     error
	waits   error // of FaceWaits
	panics  any
}

func (h *heart) called(name string, who unlock.Credentials, body any) error {
	h.calls, h.who, h.body = append(h.calls, name), who, body
	if h.panics != nil {
		panic(h.panics)
	}
	return h.err
}

func (h *heart) Info(context.Context) (api.Service, error) {
	return api.Service{Name: "test"}, h.called("info", unlock.Credentials{}, nil)
}

func (h *heart) Start(_ context.Context, r api.StartRequest, network string) (api.Session, error) {
	h.network = network
	return api.Session{ID: "s1"}, h.called("start", unlock.Credentials{}, r)
}

func (h *heart) Get(_ context.Context, who unlock.Credentials) (api.Session, error) {
	return api.Session{ID: who.ID}, h.called("get", who, nil)
}

func (h *heart) Abandon(_ context.Context, who unlock.Credentials) error {
	return h.called("abandon", who, nil)
}

func (h *heart) Prove(_ context.Context, who unlock.Credentials, r api.ProofRequest) (api.Session, error) {
	return api.Session{ID: who.ID}, h.called("prove", who, r)
}

func (h *heart) SendCode(_ context.Context, who unlock.Credentials, r api.CodeRequest) (api.CodeSent, error) {
	return api.CodeSent{SendsLeft: 4}, h.called("send", who, r)
}

func (h *heart) CheckCode(_ context.Context, who unlock.Credentials, r api.CodeCheck) (api.Session, error) {
	return api.Session{ID: who.ID}, h.called("check", who, r)
}

func (h *heart) StartFace(_ context.Context, who unlock.Credentials, r api.FaceRequest) (api.FaceScan, error) {
	return api.FaceScan{Scan: "f1", Steps: 8}, h.called("face", who, r)
}

func (h *heart) FaceStep(_ context.Context, who unlock.Credentials, r api.FaceStepDone) (api.FaceStep, error) {
	return api.FaceStep{Number: r.Number + 1}, h.called("step", who, r)
}

func (h *heart) FaceWaits(context.Context, unlock.Credentials) error { return h.waits }

func (h *heart) SendFaces(_ context.Context, who unlock.Credentials, r api.FaceFrames) (api.Session, error) {
	return api.Session{ID: who.ID}, h.called("frames", who, r)
}

func (h *heart) Release(_ context.Context, who unlock.Credentials, r api.ReleaseRequest) (api.Envelope, error) {
	return api.Envelope{Step: r.Step}, h.called("release", who, r)
}

func (h *heart) Report(_ context.Context, who unlock.Credentials, r api.Report) (api.Reported, error) {
	return api.Reported{NextStep: 2}, h.called("report", who, r)
}

func (h *heart) Receive(_ context.Context, provider string, r *http.Request) error {
	_, err := io.Copy(io.Discard, r.Body)
	return errors.Join(err, h.called("receipts of "+provider, unlock.Credentials{}, nil))
}

// edge is the HTTP edge around a heart.
type edge struct {
	*heart
	*service.Server
	log bytes.Buffer
}

func newEdge() *edge {
	e := &edge{heart: &heart{}}
	e.Server = service.New(e.heart, slog.New(slog.NewTextHandler(&e.log, nil)))
	e.TakeReceipts(e.heart)
	return e
}

// ask makes a request. change may be nil.
func (e *edge) ask(method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer token-1")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, r)
	return w
}

// document is a problem document as a stranger would read it.
type document struct {
	Type, Title, Detail, Next string
	Code                      problem.Code
	Status                    int
}

// wantProblem makes sure that an answer is a whole problem document (RFC 9457)
// with a code of the catalogue, and gives it.
func wantProblem(t testing.TB, w *httptest.ResponseRecorder, code problem.Code) document {
	t.Helper()
	var d document
	if kind := w.Header().Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("content type %q of %s", kind, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Errorf("%v: %s", err, w.Body)
	}
	entry, _ := problem.Lookup(code)
	if d.Code != code || d.Status != w.Code || d.Type != "urn:latchkey:problem:"+string(code) {
		t.Errorf("got %d %+v, want %s", w.Code, d, code)
	}
	if entry.Status != 0 && w.Code != entry.Status {
		t.Errorf("%s: status %d, want %d", code, w.Code, entry.Status)
	}
	if d.Title != entry.Title || d.Detail == "" || d.Next == "" {
		t.Errorf("%s says %+v", code, d)
	}
	return d
}

// routes are the calls of package api with what they must hand on.
var routes = []struct {
	method, path, body, call string
	status                   int
}{
	{"GET", "/v1/service", "", "info", 200},
	{"GET", "/health", "", "info", 200},
	{"POST", "/v1/sessions", `{"application":"1.0.0","api_version":1}`, "start", 201},
	{"GET", "/v1/sessions/s1", "", "get", 200},
	{"DELETE", "/v1/sessions/s1", "", "abandon", 204},
	{"POST", "/v1/sessions/s1/card-proof", `{"slot":"9E"}`, "prove", 200},
	{"POST", "/v1/sessions/s1/code", `{"method":"email","address":"a@example.org"}`, "send", 202},
	{"POST", "/v1/sessions/s1/code/check", `{"code":"123456"}`, "check", 200},
	{"POST", "/v1/sessions/s1/face", `{"address":"07700 900123","consent":true}`, "face", 201},
	{"POST", "/v1/sessions/s1/face/step", `{"scan":"f1","number":1}`, "step", 200},
	{"POST", "/v1/sessions/s1/face/frames", `{"scan":"f1","frames":[]}`, "frames", 200},
	{"POST", "/v1/sessions/s1/release", `{"step":1}`, "release", 200},
	{"POST", "/v1/sessions/s1/report", `{"step":1,"outcome":"failed","holds":"unknown"}`, "report", 200},
	{"POST", "/v1/receipts/webhook", "", "receipts of webhook", 204},
}

// ofASession says whether a call is about one session.
func ofASession(path string) bool { return strings.Contains(path, "/s1") }

// isReceipt says whether the body of a call is a provider's own.
func isReceipt(path string) bool { return strings.Contains(path, "/receipts/") }

func TestRoutes(t *testing.T) {
	for _, r := range routes {
		e := newEdge()
		w := e.ask(r.method, r.path, r.body, nil)
		if w.Code != r.status || len(e.calls) != 1 || e.calls[0] != r.call {
			t.Errorf("%s %s: status %d, calls %v: %s", r.method, r.path, w.Code, e.calls, w.Body)
		}
		if want := (unlock.Credentials{ID: "s1", Token: "token-1"}); ofASession(r.path) && e.who != want {
			t.Errorf("%s %s: came as %+v", r.method, r.path, e.who)
		}
		h := w.Header()
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s %s: headers %v", r.method, r.path, h)
		}
		switch {
		case r.status == http.StatusNoContent:
			if w.Body.Len() != 0 || h.Get("Content-Type") != "" {
				t.Errorf("%s %s: no content is %q (%s)", r.method, r.path, w.Body, h.Get("Content-Type"))
			}
		case h.Get("Content-Type") != "application/json" || !json.Valid(w.Body.Bytes()):
			t.Errorf("%s %s: %s %s", r.method, r.path, h.Get("Content-Type"), w.Body)
		}
	}
}

// TestBodiesReachTheHeart: each member arrives where it belongs, and one that
// is not known is left alone, for the application may be newer.
func TestBodiesReachTheHeart(t *testing.T) {
	for _, r := range []struct {
		path, body string
		want       any
	}{
		{"/v1/sessions", `{"application":"2.0.0","api_version":1,"purpose":"forgotten","card":{"family":"piv","id":"ab"},"public_key":"AQID","mood":"good"}`,
			api.StartRequest{Application: "2.0.0", APIVersion: 1, Purpose: api.PurposeForgotten, Card: api.Card{Family: "piv", ID: "ab"}, PublicKey: []byte{1, 2, 3}}},
		{"/v1/sessions/s1/code/check", `{"code":"12 34","extra":{"deep":[1,2]}}`, api.CodeCheck{Code: "12 34"}},
		{"/v1/sessions/s1/code", " {\"method\":\"email\",\"address\":\"a@b\"}\r\n ", api.CodeRequest{Method: "email", Address: "a@b"}},
	} {
		e := newEdge()
		w := e.ask("POST", r.path, r.body, func(q *http.Request) { q.Header.Set("Content-Type", "application/json; charset=utf-8") })
		got, _ := json.Marshal(e.body)
		want, _ := json.Marshal(r.want)
		if w.Code >= 300 || !bytes.Equal(got, want) {
			t.Errorf("%s: %d, %s, want %s", r.path, w.Code, got, want)
		}
	}
}

// TestBadBodies goes through every call with a body: nothing of what is no
// request gets any further than the edge.
func TestBadBodies(t *testing.T) {
	kind := func(s string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Content-Type"] = []string{s} }
	}
	bad := map[string]struct {
		body   string
		change func(*http.Request)
		code   problem.Code
	}{
		"empty":               {"", kind("application/json"), problem.RequestMalformed},
		"no JSON":             {"step=1", nil, problem.RequestMalformed},
		"cut off":             {`{"step":1`, nil, problem.RequestMalformed},
		"list":                {`[]`, nil, problem.RequestMalformed},
		"text":                {`"step"`, nil, problem.RequestMalformed},
		"two values":          {`{} {}`, nil, problem.RequestMalformed},
		"rubbish behind":      {`{}}`, nil, problem.RequestMalformed},
		"deep":                {strings.Repeat("[", 60<<10), nil, problem.RequestMalformed},
		"null":                {`null`, nil, problem.RequestMalformed},
		"no type":             {`{}`, func(r *http.Request) { r.Header.Del("Content-Type") }, problem.RequestMalformed},
		"form":                {`{}`, kind("application/x-www-form-urlencoded"), problem.RequestMalformed},
		"text type":           {`{}`, kind("text/plain"), problem.RequestMalformed},
		"rubbish type":        {`{}`, kind(";;"), problem.RequestMalformed},
		"too large":           {`{"pad":"` + strings.Repeat("a", api.MaxBody) + `"}`, nil, problem.RequestTooLarge},
		"large after the end": {`{}` + strings.Repeat(" ", api.MaxBody), nil, problem.RequestTooLarge},
		"wrong member": {`{"application":1,"slot":1,"method":1,"code":1,"scan":1,"address":1,"step":"x"}`,
			nil, problem.RequestMalformed},
	}
	for _, r := range routes {
		if r.method != "POST" || isReceipt(r.path) {
			continue
		}
		for name, b := range bad {
			t.Run(r.call+"/"+name, func(t *testing.T) {
				e := newEdge()
				if b.code == problem.RequestTooLarge && r.path == "/v1/sessions/s1/face/frames" {
					b.body = strings.ReplaceAll(b.body, strings.Repeat(b.body[len(b.body)/2:][:1], api.MaxBody),
						strings.Repeat(b.body[len(b.body)/2:][:1], api.MaxFaceBody))
				}
				w := e.ask(r.method, r.path, b.body, b.change)
				wantProblem(t, w, b.code)
				if len(e.calls) != 0 {
					t.Errorf("it got through: %v", e.calls)
				}
			})
		}
	}
}

func TestJustSmallEnough(t *testing.T) {
	e := newEdge()
	body := `{"code":"1"` + strings.Repeat(" ", api.MaxBody-len(`{"code":"1"}`)) + `}`
	if w := e.ask("POST", "/v1/sessions/s1/code/check", body, nil); w.Code != 200 {
		t.Errorf("%d bytes: %d %s", len(body), w.Code, w.Body)
	}
}

func TestCredentials(t *testing.T) {
	for header, token := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER abc": "abc", // RFC 9110 section 11.1
		"": "", "abc": "", "Bearer": "", "Basic abc": "", "Bearerabc": "", "Token Bearer abc": "",
	} {
		e := newEdge()
		e.ask("GET", "/v1/sessions/s1", "", func(r *http.Request) { r.Header.Set("Authorization", header) })
		if e.who.Token != token {
			t.Errorf("%q gives the token %q, want %q", header, e.who.Token, token)
		}
	}
}

// TestUnknownSession: who may not is told how to ask (RFC 9110 section 15.5.2).
func TestUnknownSession(t *testing.T) {
	e := newEdge()
	e.err = problem.New(problem.SessionUnknown)
	w := e.ask("GET", "/v1/sessions/s1", "", nil)
	wantProblem(t, w, problem.SessionUnknown)
	if w.Header().Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("headers %v", w.Header())
	}
}

func TestNoSuchPage(t *testing.T) {
	for _, r := range [][2]string{{"GET", "/"}, {"GET", "/v1"}, {"GET", "/v1/sessions"}, {"PUT", "/v1/sessions/s1"},
		{"POST", "/v1/service"}, {"GET", "/v1/sessions/s1/release"}, {"POST", "/v1/sessions/s1/"},
		{"GET", "/metrics"}, {"GET", "/debug/pprof/"}, {"OPTIONS", "/v1/sessions"}, {"GET", "/v2/service"}} {
		e := newEdge()
		wantProblem(t, e.ask(r[0], r[1], "", nil), problem.NoSuchPage)
		if len(e.calls) != 0 {
			t.Errorf("%v: it got through: %v", r, e.calls)
		}
	}
}

func TestProblemsKeepTheirFigures(t *testing.T) {
	e := newEdge()
	wait, left := 77, 3
	p := problem.New(problem.SendLimit)
	p.RetryAfter, p.TriesLeft = &wait, &left
	e.err = p
	w := e.ask("POST", "/v1/sessions/s1/code", `{}`, nil)
	wantProblem(t, w, problem.SendLimit)
	if w.Header().Get("Retry-After") != "77" || !strings.Contains(w.Body.String(), `"tries_left":3`) {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

// TestUnforeseen: neither an error nor a panic shows anything of itself or of
// the program; the log has it in full.
func TestUnforeseen(t *testing.T) {
	for name, set := range map[string]func(*heart){
		"error":       func(h *heart) { h.err = errors.New("relation cards is missing") },
		"panic":       func(h *heart) { h.panics = "relation cards is missing" },
		"panic error": func(h *heart) { h.panics = errors.New("relation cards is missing") },
		"wrapped":     func(h *heart) { h.err = problem.Wrap(problem.DatabaseGone, errors.New("relation cards is missing")) },
		"nil pointer": func(h *heart) { h.panics = (*problem.Problem)(nil) },
	} {
		for _, r := range routes {
			e := newEdge()
			set(e.heart)
			w := e.ask(r.method, r.path, r.body, nil)
			code := problem.Internal
			if name == "wrapped" {
				code = problem.DatabaseGone
			}
			wantProblem(t, w, code)
			for _, secret := range []string{"relation", "goroutine", ".go:", "panic", "runtime"} {
				if strings.Contains(w.Body.String(), secret) {
					t.Errorf("%s %s: the answer has %q: %s", name, r.path, secret, w.Body)
				}
			}
			if name != "nil pointer" && !strings.Contains(e.log.String(), "relation cards is missing") {
				t.Errorf("%s %s: the log says nothing: %s", name, r.path, &e.log)
			}
			if strings.HasPrefix(name, "panic") && !strings.Contains(e.log.String(), "edge_test.go") {
				t.Errorf("%s %s: the log has no stack", name, r.path)
			}
			if strings.Contains(e.log.String(), "token-1") {
				t.Errorf("%s %s: the log has the token", name, r.path)
			}
		}
	}
}

// TestHealth: a service that cannot use its database is not healthy.
func TestHealth(t *testing.T) {
	e := newEdge()
	if w := e.ask("GET", "/health", "", nil); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"status":"ok"}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	e.err = problem.New(problem.DatabaseGone)
	wantProblem(t, e.ask("GET", "/health", "", nil), problem.DatabaseGone)
}

func TestMetrics(t *testing.T) {
	e := newEdge()
	e.ask("GET", "/v1/service", "", nil)
	e.err = problem.New(problem.SessionUnknown)
	e.ask("GET", "/v1/sessions/very-secret-id", "", nil)
	e.ask("GET", "/v1/nonsense/very-secret-id", "", nil)
	w := httptest.NewRecorder()
	e.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`latchkey_request_seconds_count{call="/v1/service"} 1`,
		`latchkey_problems_total{call="/v1/sessions/{id}",code="LK-4102"} 1`,
		`latchkey_problems_total{call="/",code="LK-4202"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), "very-secret-id") {
		t.Error("the figures tell sessions apart")
	}
}

// TestNetworks: limits count by the address that one customer has.
func TestNetworks(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:1234":                   "192.0.2.7",
		"[::ffff:192.0.2.7]:1234":          "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:1234":      "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:1":         "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":                 "fe80::/64",
		"@":                                "@",
		"name.example.org:80":              "name.example.org",
		"[2001:db8:1:3:0000:0000:0:1]:443": "2001:db8:1:3::/64",
	} {
		e := newEdge()
		e.ask("POST", "/v1/sessions", `{}`, func(r *http.Request) {
			r.RemoteAddr = remote
			r.Header.Set("X-Forwarded-For", "203.0.113.9") // anybody can say so
		})
		if e.network != want {
			t.Errorf("%s counts as %q, want %q", remote, e.network, want)
		}
	}
}

// TestOverTLS: browsers and proxies are told to stay with HTTPS.
func TestOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(newEdge().Handler())
	defer s.Close()
	w, err := s.Client().Get(s.URL + "/v1/service")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	if _, err := io.Copy(io.Discard, w.Body); err != nil || w.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
		t.Errorf("%v %v", w.Header, err)
	}
}

// patient tells how long it is let wait.
type patient struct {
	heart
	left time.Duration
}

func (p *patient) Get(ctx context.Context, _ unlock.Credentials) (api.Session, error) {
	if deadline, ok := ctx.Deadline(); ok {
		p.left = time.Until(deadline)
	}
	return api.Session{}, ctx.Err()
}

// TestEveryCallEnds: no request holds the database for longer than somebody
// would wait. A client that is gone is no fault of the service.
func TestEveryCallEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{}
		var log bytes.Buffer
		edge := service.New(p, slog.New(slog.NewTextHandler(&log, nil)))
		r := httptest.NewRequest("GET", "/v1/sessions/s1", nil)
		edge.Handler().ServeHTTP(httptest.NewRecorder(), r)
		if p.left != 20*time.Second {
			t.Errorf("it may take %s", p.left)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		edge.Handler().ServeHTTP(httptest.NewRecorder(), r.WithContext(gone))
		figures := httptest.NewRecorder()
		edge.Metrics().ServeHTTP(figures, r)
		if log.Len() != 0 || strings.Contains(figures.Body.String(), "LK-5000") {
			t.Errorf("a client that left looks like a fault: %s %s", &log, figures.Body)
		}
	})
}

// TestReceiptsThatAreNotTaken: no provider is set up, or it is not theirs. The
// body is bounded as any other.
func TestReceiptsThatAreNotTaken(t *testing.T) {
	bare := &edge{heart: &heart{}}
	bare.Server = service.New(bare.heart, slog.New(slog.NewTextHandler(&bare.log, nil)))
	wantProblem(t, bare.ask("POST", "/v1/receipts/webhook", "{}", nil), problem.ReceiptForged)
	e := newEdge()
	e.err = problem.New(problem.ReceiptForged)
	wantProblem(t, e.ask("POST", "/v1/receipts/webhook", "{}", nil), problem.ReceiptForged)
	e = newEdge()
	if w := e.ask("POST", "/v1/receipts/webhook", strings.Repeat("a", api.MaxBody+1), nil); w.Code < 400 {
		t.Errorf("a body that is too large: %d", w.Code)
	}
	wantProblem(t, e.ask("GET", "/v1/receipts/webhook", "", nil), problem.NoSuchPage)
}
