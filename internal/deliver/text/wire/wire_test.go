package wire_test

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
	"testing"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/wire"
)

func TestFailure(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, c := range map[string]struct {
		status int
		after  string
		said   string
		want   text.Error
	}{
		"refused":                {403, "", "", text.Error{Kind: text.Refused, Code: "http-403"}},
		"its own code":           {400, "", "SomeError", text.Error{Kind: text.Refused, Code: "SomeError"}},
		"a code with a number":   {400, "", "447700900123", text.Error{Kind: text.Refused, Code: "http-400"}},
		"a redirect":             {302, "", "", text.Error{Kind: text.Refused, Code: "http-302"}},
		"internal":               {500, "", "", text.Error{Kind: text.Away, Code: "http-500"}},
		"a gateway without news": {504, "", "", text.Error{Kind: text.Unclear, Code: "http-504"}},
		"too many":               {429, "30", "", text.Error{Kind: text.Away, Code: "http-429", RetryAfter: 30 * time.Second}},
		"until a time":           {503, "Wed, 04 Mar 2026 05:07:07 GMT", "", text.Error{Kind: text.Away, Code: "http-503", RetryAfter: time.Minute}},
		"until a time gone by":   {503, "Wed, 04 Mar 2020 05:07:07 GMT", "", text.Error{Kind: text.Away, Code: "http-503"}},
		"until next year":        {503, "Thu, 04 Mar 2027 05:07:07 GMT", "", text.Error{Kind: text.Away, Code: "http-503", RetryAfter: 24 * time.Hour}},
		"nonsense":               {429, "soon", "", text.Error{Kind: text.Away, Code: "http-429"}},
		"less than nothing":      {429, "-5", "", text.Error{Kind: text.Away, Code: "http-429"}},
		"more than any":          {429, "99999999999999999999", "", text.Error{Kind: text.Away, Code: "http-429"}},
	} {
		c.want.Provider = "p"
		got := wire.Failure("p", wire.Answer{Status: c.status, Header: http.Header{"Retry-After": {c.after}}}, c.said, now)
		if *got != c.want {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
	}
}

func TestBaseURL(t *testing.T) {
	for s, good := range map[string]bool{
		"https://api.example.org": true, "https://api.example.org:8443/base": true, "http://127.0.0.1:8080": true, "http://[::1]:8080": true,
		"http://localhost": true, "http://127.9.9.9/x": true,
		"http://api.example.org": false, "http://127.0.0.1.example.org": false, "http://localhost.example.org": false, "ftp://127.0.0.1": false,
		"": false, "api.example.org": false, "https://": false, "https://:443": false, "https://user:hunter2@api.example.org": false,
		"https://api.example.org/#x": false, "https://a b": false, "http://0.0.0.0": false, "http://169.254.1.1": false,
	} {
		_, err := wire.BaseURL(s)
		if (err == nil) != good {
			t.Errorf("%q: %v", s, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q shows a secret", err)
		}
	}
}

func request(t *testing.T, to string) *http.Request {
	t.Helper()
	req, err := wire.Post(to, "text/plain", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestLost tells what has left from what has not.
func TestLost(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	hangs := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	defer slow.Close()
	defer close(hangs)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	for name, c := range map[string]struct {
		to   string
		kind text.Kind
		code string
	}{
		"nobody there":                 {nobody.URL, text.Away, "unreachable"},
		"no certificate that we trust": {secure.URL, text.Away, "unreachable"},
		"no answer in time":            {slow.URL, text.Unclear, "no-answer"},
		"no TLS in time":               {"https://" + mute.Addr().String(), text.Away, "timeout"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := wire.Do(ctx, wire.NewClient(), "p", request(t, c.to+"/secret-path"))
		cancel()
		var e *text.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Code != c.code || e.Provider != "p" {
			t.Errorf("%s: %+v, want %s %s", name, err, c.kind, c.code)
		} else if e.Err == nil || strings.Contains(e.Err.Error(), "secret-path") {
			t.Errorf("%s: behind it is %v", name, e.Err)
		}
	}
}

func TestOldTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	client := wire.NewClient()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	client.Transport.(*http.Transport).TLSClientConfig.RootCAs = roots
	_, err := wire.Do(t.Context(), client, "p", request(t, s.URL))
	var e *text.Error
	if !errors.As(err, &e) || e.Kind != text.Away || !strings.Contains(e.Err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %+v", err)
	}
}

func TestBody(t *testing.T) {
	for size, want := range map[int]error{0: nil, wire.MaxBody: nil, wire.MaxBody + 1: text.ErrMalformed} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", size)))
		if got, err := wire.Body(r); !errors.Is(err, want) || err == nil && len(got) != size {
			t.Errorf("%d octets: %d, %v", size, len(got), err)
		}
	}
}
