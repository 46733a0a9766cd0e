package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/problem"
)

// clientOf is a client that notes its pauses instead of making them.
func clientOf(t testing.TB, address string, roots *x509.CertPool) (*Client, *[]int) {
	t.Helper()
	c, err := NewClient(address, roots)
	if err != nil {
		t.Fatal(err)
	}
	var pauses []int
	c.wait = func(ctx context.Context, attempt int) error {
		pauses = append(pauses, attempt)
		return ctx.Err()
	}
	return c, &pauses
}

func wantCode(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

var who = Credentials{ID: "s1", Token: "token-1"}

// calls are all of the client's, with whether they may be made again.
var calls = map[string]struct {
	make       func(ctx context.Context, c *Client) error
	wire       string
	repeatable bool
}{
	"service": {func(ctx context.Context, c *Client) error { _, err := c.Service(ctx); return err }, "GET /v1/service", true},
	"start": {func(ctx context.Context, c *Client) error { _, err := c.Start(ctx, StartRequest{}); return err },
		"POST /v1/sessions", false},
	"session": {func(ctx context.Context, c *Client) error { _, err := c.Session(ctx, who); return err }, "GET /v1/sessions/s1", true},
	"abandon": {func(ctx context.Context, c *Client) error { return c.Abandon(ctx, who) }, "DELETE /v1/sessions/s1", false},
	"prove": {func(ctx context.Context, c *Client) error { _, err := c.Prove(ctx, who, ProofRequest{}); return err },
		"POST /v1/sessions/s1/card-proof", true},
	"send": {func(ctx context.Context, c *Client) error { _, err := c.SendCode(ctx, who, CodeRequest{}); return err },
		"POST /v1/sessions/s1/code", false},
	"check": {func(ctx context.Context, c *Client) error { _, err := c.CheckCode(ctx, who, CodeCheck{}); return err },
		"POST /v1/sessions/s1/code/check", false},
	"face": {func(ctx context.Context, c *Client) error { _, err := c.StartFace(ctx, who, FaceRequest{}); return err },
		"POST /v1/sessions/s1/face", false},
	"step": {func(ctx context.Context, c *Client) error { _, err := c.FaceStep(ctx, who, FaceStepDone{}); return err },
		"POST /v1/sessions/s1/face/step", true},
	"frames": {func(ctx context.Context, c *Client) error { _, err := c.SendFaces(ctx, who, FaceFrames{}); return err },
		"POST /v1/sessions/s1/face/frames", false},
	"release": {func(ctx context.Context, c *Client) error {
		_, err := c.Release(ctx, who, ReleaseRequest{})
		return err
	},
		"POST /v1/sessions/s1/release", true},
	"report": {func(ctx context.Context, c *Client) error { _, err := c.Report(ctx, who, Report{}); return err },
		"POST /v1/sessions/s1/report", true},
}

func TestCalls(t *testing.T) {
	for name, call := range calls {
		var got *http.Request
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			if r.Method == "DELETE" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			_, _ = io.WriteString(w, `{"later":"members are left alone"}`)
		}))
		c, _ := clientOf(t, s.URL+"/", nil)
		if err := call.make(t.Context(), c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
		if wire := got.Method + " " + got.URL.Path; wire != call.wire {
			t.Errorf("%s is %s", name, wire)
		}
		token := got.Header.Get("Authorization")
		if about := strings.Contains(call.wire, "/s1"); about != (token == "Bearer token-1") || !about && token != "" {
			t.Errorf("%s: authorization %q", name, token)
		}
		if kind := got.Header.Get("Content-Type"); (got.Method == "POST") != (kind == "application/json") {
			t.Errorf("%s: content type %q", name, kind)
		}
	}
}

// TestAnswersThatAreNotOurs: a proxy, a portal or a redirect is in the way. It
// never looks like an answer of the service.
func TestAnswersThatAreNotOurs(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, authorization %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for name, f := range map[string]http.HandlerFunc{
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>Log in to the guest network")
		},
		"nothing":         func(http.ResponseWriter, *http.Request) {},
		"cut off":         func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"s`) },
		"another shape":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `["id"]`) },
		"bad gateway":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad gateway", http.StatusBadGateway) },
		"another's fault": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"code":"E17"}`, http.StatusForbidden) },
		"no such page":    http.NotFound,
		"moved":           func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"moved with body": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusPermanentRedirect)
		},
		"more than a lot": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"id":"`+strings.Repeat("a", maxAnswer)+`"}`)
		},
		"no content":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"reset content":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusResetContent) },
		"partial content":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) },
		"switches for fun": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	} {
		s := httptest.NewServer(f)
		c, _ := clientOf(t, s.URL, nil)
		for call, x := range calls {
			if call == "abandon" && name == "no content" {
				continue // that is the answer
			}
			if err := x.make(t.Context(), c); problem.CodeOf(err) != problem.ServiceAnswer {
				t.Errorf("%s: %s: %v", name, call, err)
			}
		}
		s.Close()
	}
}

// TestProblemsPass: what the service says arrives with its figures.
func TestProblemsPass(t *testing.T) {
	wait := 9
	p := problem.New(problem.SendLimit)
	p.RetryAfter = &wait
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, nil, p)
	}))
	defer s.Close()
	c, pauses := clientOf(t, s.URL, nil)
	_, err := c.Service(t.Context())
	wantCode(t, err, problem.SendLimit)
	if got := problem.From(err); got.RetryAfter == nil || *got.RetryAfter != 9 || len(*pauses) != 0 {
		t.Errorf("%+v after %v", got, *pauses)
	}
}

// TestAgain: only what changes nothing when it is done twice is done again, and
// only where that may help.
func TestAgain(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		again  bool
	}{
		"busy":    {func(w http.ResponseWriter, r *http.Request) { say(w, r, problem.DatabaseBusy) }, true},
		"dropped": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"wrong":   {func(w http.ResponseWriter, r *http.Request) { say(w, r, problem.CodeWrong) }, false},
		"fault":   {func(w http.ResponseWriter, r *http.Request) { say(w, r, problem.Internal) }, false},
	} {
		for call, x := range calls {
			var n atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.Add(1); test.answer(w, r) }))
			c, pauses := clientOf(t, s.URL, nil)
			err := x.make(t.Context(), c)
			s.Close()
			want := 1
			if test.again && x.repeatable {
				want = attempts
			}
			if made := int(n.Load()); err == nil || made != want || len(*pauses) != want-1 {
				t.Errorf("%s: %s was made %d times, want %d: %v", name, call, made, want, err)
			}
		}
	}
}

func say(w http.ResponseWriter, r *http.Request, c problem.Code) {
	p := problem.New(c)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	raw, _ := p.MarshalJSON()
	_, _ = w.Write(raw)
}

// TestSecondTimeLucky: an answer that was lost is asked for again.
func TestSecondTimeLucky(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"step":1}`)
	}))
	defer s.Close()
	c, _ := clientOf(t, s.URL, nil)
	if e, err := c.Release(t.Context(), who, ReleaseRequest{Step: 1}); err != nil || e.Step != 1 || n.Load() != 2 {
		t.Errorf("%+v, %v after %d", e, err, n.Load())
	}
}

// TestServiceDown: nobody listens. Every call may be made again, for nothing
// was sent.
func TestServiceDown(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	for name, x := range calls {
		c, pauses := clientOf(t, s.URL, nil)
		wantCode(t, x.make(t.Context(), c), problem.ServiceUnreachable)
		if len(*pauses) != attempts-1 {
			t.Errorf("%s: pauses %v", name, *pauses)
		}
	}
	c, pauses := clientOf(t, "https://latchkey.invalid", nil) // never exists (RFC 6761)
	c.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "latchkey.invalid", IsNotFound: true}}
	}
	_, err := c.Service(t.Context())
	wantCode(t, err, problem.ServiceUnreachable)
	if len(*pauses) != attempts-1 {
		t.Errorf("pauses %v", *pauses)
	}
}

// TestServiceSlow: a service that takes the request and never answers, or
// stops in the middle, is given up after 15 seconds, and with frames after 75.
func TestServiceSlow(t *testing.T) {
	for name, begin := range map[string]string{
		"no answer":   "",
		"half answer": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		for call, x := range calls {
			synctest.Test(t, func(t *testing.T) {
				c, pauses := clientOf(t, "http://127.0.0.1:1", nil)
				dial := func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go func() {
						buffer := make([]byte, 4096)
						_, _ = theirs.Read(buffer)
						_, _ = io.WriteString(theirs, begin)
						_, _ = io.Copy(io.Discard, theirs) // until the client hangs up
					}()
					return ours, nil
				}
				want := callTimeout
				if call == "frames" {
					want = framesTimeout
				}
				c.http.Transport.(*http.Transport).DialContext, c.slow.Transport.(*http.Transport).DialContext = dial, dial
				began := time.Now()
				err := x.make(t.Context(), c)
				if problem.CodeOf(err) != problem.ServiceSlow || time.Since(began) != want || len(*pauses) != 0 {
					t.Errorf("%s: %s: %v after %s, pauses %v", name, call, err, time.Since(began), *pauses)
				}
				c.http.CloseIdleConnections()
				c.slow.CloseIdleConnections()
			})
		}
	}
}

// TestGivenUp: a call that its caller gives up is not tried again, and is no
// fault of the service.
func TestGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer s.Close()
	c, pauses := clientOf(t, s.URL, nil)
	if _, err := c.Service(ctx); !errors.Is(err, context.Canceled) || len(*pauses) != 0 {
		t.Errorf("%v, pauses %v", err, *pauses)
	}
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for attempt, want := range map[int]time.Duration{1: 300 * time.Millisecond, 2: 1200 * time.Millisecond} {
			began := time.Now()
			if err := backoff(t.Context(), attempt); err != nil || time.Since(began) != want {
				t.Errorf("%d: %s, %v", attempt, time.Since(began), err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := backoff(ctx, 2); err == nil || time.Since(began) != 0 {
			t.Errorf("goes on without anybody waiting: %v", err)
		}
	})
}

// secure is a TLS server with a certificate of a CA that nobody knows, and the
// pool that knows it.
func secure(t testing.TB, change func(*tls.Config)) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"name":"test"}`) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{}
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, roots
}

// TestCertificates: nothing is sent over a connection that is not the
// service's, and it is tried once only.
func TestCertificates(t *testing.T) {
	good, roots := secure(t, nil)
	c, _ := clientOf(t, good.URL, roots)
	if info, err := c.Service(t.Context()); err != nil || info.Name != "test" {
		t.Fatalf("%+v, %v", info, err)
	}
	old, oldRoots := secure(t, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11; c.MinVersion = tls.VersionTLS10 })
	asks, asksRoots := secure(t, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert; c.MaxVersion = tls.VersionTLS12 })
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, test := range map[string]struct {
		address string
		roots   *x509.CertPool
	}{
		"unknown authority":     {good.URL, nil},
		"another authority":     {good.URL, x509.NewCertPool()},
		"another name":          {strings.Replace(good.URL, "127.0.0.1", "localhost", 1), roots},
		"TLS 1.1":               {old.URL, oldRoots},
		"plain HTTP":            {strings.Replace(plain.URL, "http:", "https:", 1), roots},
		"wants our certificate": {asks.URL, asksRoots},
	} {
		c, pauses := clientOf(t, test.address, test.roots)
		_, err := c.Service(t.Context())
		if problem.CodeOf(err) != problem.ServiceCertificate || len(*pauses) != 0 {
			t.Errorf("%s: %v, pauses %v", name, err, *pauses)
		}
	}
}

func TestExpiredCertificate(t *testing.T) {
	good, roots := secure(t, nil)
	c, _ := clientOf(t, good.URL, roots)
	c.http.Transport.(*http.Transport).TLSClientConfig.Time = func() time.Time { return good.Certificate().NotAfter.Add(time.Hour) }
	_, err := c.Service(t.Context())
	wantCode(t, err, problem.ServiceCertificate)
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]problem.Code{
		"": problem.ServiceUnset, "  ": problem.ServiceUnset, "https://unlock.example.org": "", "https://unlock.example.org:8443/base/": "",
		" https://unlock.example.org\n": "", "http://127.0.0.1:8440": "", "http://[::1]:8440": "", "http://localhost": "",
		"http://unlock.example.org": problem.ServicePlain, "http://127.0.0.1.example.org": problem.ServicePlain,
		"http://10.0.0.1": problem.ServicePlain, "unlock.example.org": problem.ConfigInvalid, "ftp://unlock.example.org": problem.ConfigInvalid,
		"https://": problem.ConfigInvalid, "https://me:secret@unlock.example.org": problem.ConfigInvalid,
		"https://unlock.example.org?x=1": problem.ConfigInvalid, "https://unlock.example.org#x": problem.ConfigInvalid,
		"https://unlock.example.org:port": problem.ConfigInvalid, "HTTPS://unlock.example.org": "",
	} {
		c, err := NewClient(address, nil)
		if problem.CodeOf(err) != want {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
		if err == nil && strings.HasSuffix(c.Address(), "/") {
			t.Errorf("%q is %q", address, c.Address())
		}
		if err != nil && strings.Contains(problem.From(err).What(), "secret") {
			t.Errorf("the message shows the password: %s", problem.From(err).What())
		}
	}
}
