package app

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/internal/doctor"
	"latchkey/internal/problem"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// site is the pages with a fake engine behind them, on a real listener.
type site struct {
	t       *testing.T
	engine  *fakeEngine
	server  *server
	clock   *clock
	log     *strings.Builder
	address string // of the listener
	stop    func()
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteFor(t, func(net.Conn) error { return nil })
}

func newSiteFor(t *testing.T, check func(net.Conn) error) *site {
	t.Helper()
	return newSiteWith(t, check, func(*Config) {})
}

func newSiteWith(t *testing.T, check func(net.Conn) error, change func(c *Config)) *site {
	t.Helper()
	x := &site{t: t, engine: newFake(), clock: &clock{at: start}, log: &strings.Builder{}}
	c := Config{Engine: x.engine, Organisation: "St Example's Hospital", Version: "0.1.0",
		Doctor: func(context.Context) doctor.Report { return exampleReport() },
		Log:    slog.New(slog.NewTextHandler(&lockedWriter{w: x.log}, nil)), Now: x.clock.now}
	change(&c)
	listener, err := listen(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	x.address = listener.Addr().String()
	_, port, _ := net.SplitHostPort(x.address)
	x.server, err = newServer(c, newGate("latchkey-test.localhost", port))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(x.server.handler())
	_ = web.Listener.Close()
	web.Listener = listener
	web.Config.ConnContext = connContext(check)
	web.Start()
	x.stop = sync.OnceFunc(func() { x.server.presence.stop(); web.Close() })
	t.Cleanup(x.stop)
	return x
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func exampleReport() doctor.Report {
	return doctor.Report{Text: "Latchkey 0.1.0\nCard reader: not working (LK-1002)\n", Findings: []doctor.Finding{
		{Name: "Version", Level: doctor.LevelGood, Detail: "Latchkey 0.1.0 on Linux."},
		{Name: "Smartcard service", Level: doctor.LevelGood, Detail: "It is running."},
		{Name: "Card reader", Level: doctor.LevelBad, Detail: "This computer does not see a smartcard reader.", Next: "Plug the reader in, or try another USB socket.", Code: problem.NoReader},
		{Name: "Certificates", Level: doctor.LevelWarning, Detail: "They expire in 12 days.", Next: "Ask your Registration Authority to renew them."},
		{Name: "Camera", Level: doctor.LevelUnknown, Detail: "It is not needed: face verification is not offered yet."},
	}}
}

// client is a browser without JavaScript: it keeps cookies, follows
// redirects, and says where its requests come from.
type client struct {
	*site
	http *http.Client
	url  string // of the last answer
	code int
	body string
}

func (x *site) client() *client {
	jar, _ := cookiejar.New(nil)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, x.address)
	}
	transport := &http.Transport{DialContext: dial}
	x.t.Cleanup(transport.CloseIdleConnections)
	return &client{site: x, http: &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second}}
}

// launched is a client that was let in.
func (x *site) launched() *client {
	c := x.client()
	c.get(strings.TrimPrefix(x.server.gate.launchAddress(), x.server.gate.origin))
	c.get("/")
	return c
}

func (c *client) get(path string) *client {
	c.t.Helper()
	return c.do(http.MethodGet, path, nil, nil)
}

func (c *client) post(path string, form url.Values) *client {
	c.t.Helper()
	return c.do(http.MethodPost, path, form, map[string]string{"Sec-Fetch-Site": "same-origin"})
}

func (c *client) do(method, path string, form url.Values, header map[string]string) *client {
	c.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.server.gate.origin+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range header {
		if k == "Host" {
			r.Host = v
			continue
		}
		r.Header.Set(k, v)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	c.url, c.code, c.body = answer.Request.URL.RequestURI(), answer.StatusCode, string(text)
	return c
}

// on checks the page that the client is on.
func (c *client) on(path string, words ...string) *client {
	c.t.Helper()
	if got, _, _ := strings.Cut(c.url, "?"); got != path {
		c.t.Fatalf("on %s, want %s:\n%s", c.url, path, c.text())
	}
	for _, w := range words {
		if !strings.Contains(c.text(), w) {
			c.t.Errorf("%s does not say %q:\n%s", path, w, c.text())
		}
	}
	return c
}
