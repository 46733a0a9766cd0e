package app

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"sync"

	"latchkey/internal/app/peer"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// gate lets only the user's own browser window in. In the order in which a
// request meets them: the connection's other end is the same user; Host is
// this launch's random name (against DNS rebinding, which makes another site's
// page same-origin with us); a POST comes from our own page; and the browser
// holds the cookie that it got for the launch secret, which works once.
type gate struct {
	host   string // the one Host, "name:port"
	origin string
	cookie string // the cookie's value, 256 bits
	fail   func(w http.ResponseWriter, r *http.Request, err error)

	mu     sync.Mutex
	secret string // the launch secret, 256 bits; "" once used
}

const (
	cookieName = "latchkey"
	launchPath = "/launch"
)

func newGate(name string, port string) *gate {
	host := net.JoinHostPort(name, port)
	return &gate{host: host, origin: "http://" + host, cookie: random(32), secret: random(32)}
}

// random gives n random bytes in hex.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// launchAddress is the address that lets one browser in, once.
func (g *gate) launchAddress() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.origin + launchPath + "?secret=" + g.secret
}

// admit trades the launch secret in.
func (g *gate) admit(secret string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(g.secret)) != 1 {
		return false
	}
	g.secret = ""
	return true
}

func (g *gate) known(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	return err == nil && subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.cookie)) == 1
}

// protect wraps the pages.
func (g *gate) protect(pages http.Handler) http.Handler {
	return headers(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case peerOf(r.Context()) != nil:
			g.fail(w, r, problem.Wrap(problem.PagePeer, peerOf(r.Context())))
		case r.Host != g.host:
			g.fail(w, r, problem.New(problem.PageHost))
		case !g.sameOrigin(r):
			g.fail(w, r, problem.New(problem.PageOrigin))
		case strings.HasPrefix(r.URL.Path, ui.AssetsPath) || r.URL.Path == launchPath || g.known(r):
			pages.ServeHTTP(w, r)
		default:
			g.fail(w, r, problem.New(problem.PageLaunch))
		}
	}))
}

// sameOrigin says whether a request that changes something comes from one of
// our pages. http.CrossOriginProtection lets a request through that says
// nothing of where it comes from, because no browser sends one; neither does
// anything else have business here.
func (g *gate) sameOrigin(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" {
		return false
	}
	return http.NewCrossOriginProtection().Check(r) == nil
}

// launch lets the browser in. The answer is a page that goes on to the start
// page, not a redirect: a browser leaves a SameSite=Strict cookie out of a
// chain of redirects that began at another site, and the launch file is one.
func (s *server) launch(w http.ResponseWriter, r *http.Request) {
	if s.gate.known(r) {
		http.Redirect(w, r, "/", http.StatusSeeOther) // the back button
		return
	}
	if !s.gate.admit(r.URL.Query().Get("secret")) {
		s.fail(w, r, problem.New(problem.PageLaunch))
		return
	}
	if f := s.launched.Load(); f != nil {
		(*f)()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.gate.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Opening Latchkey</title><meta http-equiv="refresh" content="0; url=/"></head>
<body><p>Opening Latchkey. <a href="/">Open it now</a>.</p></body></html>
`)) // the client may be gone
}

// headers are on every answer.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", ui.ContentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		next.ServeHTTP(w, r)
	})
}

type peerKey struct{}

// connContext checks a connection's other end once, when the first request
// comes: the check reads the system's tables.
func connContext(check func(net.Conn) error) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, peerKey{}, sync.OnceValue(func() error { return check(conn) }))
	}
}

// peerOf is what the check said. A request that came by no checked connection
// is refused.
func peerOf(ctx context.Context) error {
	check, ok := ctx.Value(peerKey{}).(func() error)
	if !ok {
		return peer.ErrUnknown
	}
	return check()
}
