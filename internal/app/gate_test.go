package app

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"latchkey/internal/app/peer"
	"latchkey/internal/problem"
)

// hosts that a page of another site could bring our address under.
func TestHost(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	_, port, _ := net.SplitHostPort(x.address)
	for _, host := range []string{"evil.example:" + port, "127.0.0.1:" + port, "localhost:" + port, "latchkey-test.localhost", "latchkey-test.localhost.:" + port, "LATCHKEY-test.localhost:1"} {
		for _, path := range []string{"/", "/launch?secret=x", "/assets/latchkey.css", "/events"} {
			c.do("GET", path, nil, map[string]string{"Host": host})
			if c.code != http.StatusMisdirectedRequest || !strings.Contains(c.body, "LK-8001") {
				t.Errorf("%s%s: status %d", host, path, c.code)
			}
		}
	}
}

func TestCrossOriginPost(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	for name, header := range map[string]map[string]string{
		"cross-site":           {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
		"another local server": {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:1"},
		"old browser":          {"Origin": "https://evil.example"},
		"null origin":          {"Origin": "null"},
		"neither header":       {},
	} {
		c.do("POST", "/start", url.Values{"reader": {"Reader 1"}}, header)
		if c.code != http.StatusForbidden || !strings.Contains(c.body, "LK-8004") {
			t.Errorf("%s: status %d", name, c.code)
		}
	}
	if len(x.engine.calls) > 0 {
		t.Errorf("the engine was asked: %v", x.engine.calls)
	}
	// An old browser on our own page.
	c.do("POST", "/start", url.Values{"reader": {"Reader 1"}}, map[string]string{"Origin": x.server.gate.origin}).on("/method")
}

func TestMissingCookie(t *testing.T) {
	x := newSite(t)
	for _, path := range []string{"/", "/method", "/code", "/troubleshooting", "/events", "/nothing"} {
		c := x.client().get(path)
		if c.code != http.StatusForbidden || !strings.Contains(c.body, "LK-8002") {
			t.Errorf("%s: status %d", path, c.code)
		}
	}
	c := x.client()
	c.do("GET", "/", nil, map[string]string{"Cookie": "latchkey=" + strings.Repeat("0", 64)})
	if c.code != http.StatusForbidden {
		t.Errorf("a made-up cookie: status %d", c.code)
	}
}

func TestLaunchSecretWorksOnce(t *testing.T) {
	x := newSite(t)
	address := strings.TrimPrefix(x.server.gate.launchAddress(), x.server.gate.origin)
	x.client().get("/launch").expect(t, http.StatusForbidden, "LK-8002")
	x.client().get("/launch?secret=").expect(t, http.StatusForbidden, "LK-8002")
	first := x.client().get(address).expect(t, http.StatusOK, `content="0; url=/"`)
	first.get("/").on("/", "Unlock your smartcard")
	first.get(address).on("/") // the back button
	x.client().get(address).expect(t, http.StatusForbidden, "LK-8002")
	x.client().get("/launch?secret=").expect(t, http.StatusForbidden, "LK-8002")
}

func (c *client) expect(t *testing.T, code int, words string) *client {
	t.Helper()
	if c.code != code || !strings.Contains(c.body, words) {
		t.Errorf("%s: status %d, want %d with %q", c.url, c.code, code, words)
	}
	return c
}

func TestHeaders(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	for _, path := range []string{"/", "/assets/latchkey.js", "/nothing"} {
		r, _ := http.NewRequest("GET", x.server.gate.origin+path, nil)
		answer, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff",
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
		} {
			if !strings.Contains(answer.Header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, answer.Header.Get(name))
			}
		}
		if p := answer.Header.Get("Content-Security-Policy"); strings.Contains(p, "unsafe") {
			t.Errorf("%s: the policy is %q", path, p)
		}
	}
}

func TestCookie(t *testing.T) {
	x := newSite(t)
	r, _ := http.NewRequest("GET", x.server.gate.launchAddress(), nil)
	answer, err := x.client().http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	c := answer.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie %+v", c)
	}
}

func TestPeerIsCheckedOnceForAConnection(t *testing.T) {
	checks := 0
	x := newSiteFor(t, func(net.Conn) error { checks++; return nil })
	c := x.launched()
	c.get("/")
	c.get("/")
	if checks != 1 {
		t.Errorf("%d checks of one connection", checks)
	}
}

func TestPeerOfAnotherUser(t *testing.T) {
	x := newSiteFor(t, func(net.Conn) error { return errors.Join(peer.ErrOther) })
	for _, path := range []string{"/", "/launch?secret=" + x.server.gate.secret, "/assets/latchkey.css"} {
		x.client().get(path).expect(t, http.StatusForbidden, "LK-8003")
	}
	if x.server.gate.secret == "" {
		t.Error("another user used up the launch secret")
	}
}

// TestRealPeer asks for a page as this user and, where the test runs as root
// and can become somebody else, as nobody.
func TestRealPeer(t *testing.T) {
	x := newSiteFor(t, peer.Check)
	x.launched().on("/", "Unlock your smartcard")
	if os.Geteuid() != 0 {
		t.Log("not root: TestPeerOfAnotherUser alone covers another user")
		return
	}
	host, port, _ := net.SplitHostPort(x.address)
	script := "exec 3<>/dev/tcp/" + host + "/" + port + `; printf 'GET / HTTP/1.1\r\nHost: ` + x.server.gate.host +
		`\r\nCookie: latchkey=` + x.server.gate.cookie + `\r\nConnection: close\r\n\r\n' >&3; cat <&3`
	out, err := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("ask as nobody (Debian: apt-get install util-linux): %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "403 Forbidden") || !strings.Contains(string(out), string(problem.PagePeer)) {
		t.Errorf("another user got:\n%s", out)
	}
}

func TestListenOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.org:80", "[::]:0", "nonsense"} {
		if l, err := listen(t.Context(), address); problem.CodeOf(err) != problem.ConfigInvalid {
			t.Errorf("%s: %v %v", address, l, err)
		}
	}
	l, err := listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := listen(t.Context(), l.Addr().String()); problem.CodeOf(err) != problem.AddressInUse {
		t.Errorf("in use: %v", err)
	}
}
