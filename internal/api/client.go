package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"latchkey/internal/problem"
)

// Client calls a service. It is safe for use by many goroutines. Its errors
// are problems: those that the service answered, and problem.ServiceUnset,
// ServicePlain, ServiceUnreachable, ServiceSlow, ServiceCertificate,
// ServiceAnswer.
type Client struct {
	base *url.URL
	http *http.Client
	slow *http.Client // of calls with a large body
	wait func(ctx context.Context, attempt int) error
}

// Credentials name a session and its bearer token.
type Credentials struct{ ID, Token string }

const (
	// callTimeout is how long one call may take, retries included not.
	callTimeout = 15 * time.Second
	// framesTimeout is how long the frames of a scan may be on their way and
	// then be looked at.
	framesTimeout = 75 * time.Second
	// attempts is how often a call that may be repeated is tried.
	attempts = 3
	// maxAnswer is the longest answer in bytes that is read.
	maxAnswer = 1 << 20
)

// NewClient makes a client of the service at an address such as
// https://unlock.example.org. Plain http is for loopback alone. roots are the
// certificate authorities to trust beside the system's; nil: none.
func NewClient(address string, roots *x509.CertPool) (*Client, error) {
	if strings.TrimSpace(address) == "" {
		return nil, problem.New(problem.ServiceUnset)
	}
	base, err := url.Parse(strings.TrimRight(strings.TrimSpace(address), "/"))
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		p := problem.New(problem.ConfigInvalid)
		p.Detail = fmt.Sprintf("The service's address %q is not one like https://unlock.example.org.", address)
		if strings.Contains(address, "@") { // a password may be in it
			p.Detail = "The service's address has a user name in it. Give it like https://unlock.example.org."
		}
		return nil, p
	}
	switch {
	case base.Scheme == "https":
	case base.Scheme == "http" && loopback(base.Hostname()):
	case base.Scheme == "http":
		return nil, problem.New(problem.ServicePlain)
	default:
		p := problem.New(problem.ConfigInvalid)
		p.Detail = fmt.Sprintf("The service's address %q does not begin with https://.", address)
		return nil, p
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	transport.TLSHandshakeTimeout = 10 * time.Second
	transport.ResponseHeaderTimeout = callTimeout
	if loopback(base.Hostname()) {
		transport.Proxy = nil
	}
	slow := transport.Clone()
	slow.ResponseHeaderTimeout = framesTimeout
	return &Client{base: base, wait: backoff, http: client(transport, callTimeout), slow: client(slow, framesTimeout)}, nil
}

func client(t *http.Transport, timeout time.Duration) *http.Client {
	return &http.Client{Transport: t, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Over gives a client of the same service that makes its calls over t: a
// network inside the process, for tests of what a network does to messages.
func (c *Client) Over(t http.RoundTripper) *Client {
	other, fast, slow := *c, *c.http, *c.slow
	fast.Transport, slow.Transport = t, t
	other.http, other.slow = &fast, &slow
	return &other
}

// Address is the service's address.
func (c *Client) Address() string { return c.base.String() }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// backoff waits 0.3 s, then 1.2 s.
func backoff(ctx context.Context, attempt int) error {
	t := time.NewTimer(300 * time.Millisecond << (2 * (attempt - 1)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Service is what the service says of itself.
func (c *Client) Service(ctx context.Context) (Service, error) {
	return do[Service](ctx, c, "GET", PathService, Credentials{}, nil, true)
}

// Start begins a session.
func (c *Client) Start(ctx context.Context, r StartRequest) (Session, error) {
	return do[Session](ctx, c, "POST", PathSessions, Credentials{}, r, false)
}

// Session is where a session stands.
func (c *Client) Session(ctx context.Context, who Credentials) (Session, error) {
	return do[Session](ctx, c, "GET", PathSession, who, nil, true)
}

// Abandon gives a session up.
func (c *Client) Abandon(ctx context.Context, who Credentials) error {
	_, err := do[struct{}](ctx, c, "DELETE", PathSession, who, nil, false)
	return err
}

// Prove sends the card's proof.
func (c *Client) Prove(ctx context.Context, who Credentials, r ProofRequest) (Session, error) {
	return do[Session](ctx, c, "POST", PathProof, who, r, true)
}

// SendCode asks for a security code.
func (c *Client) SendCode(ctx context.Context, who Credentials, r CodeRequest) (CodeSent, error) {
	return do[CodeSent](ctx, c, "POST", PathCode, who, r, false)
}

// CheckCode presents a security code.
func (c *Client) CheckCode(ctx context.Context, who Credentials, r CodeCheck) (Session, error) {
	return do[Session](ctx, c, "POST", PathCodeCheck, who, r, false)
}

// StartFace begins a scan of the person's face.
func (c *Client) StartFace(ctx context.Context, who Credentials, r FaceRequest) (FaceScan, error) {
	return do[FaceScan](ctx, c, "POST", PathFace, who, r, false)
}

// FaceStep fixes the frames of a step and gets the next.
func (c *Client) FaceStep(ctx context.Context, who Credentials, r FaceStepDone) (FaceStep, error) {
	return do[FaceStep](ctx, c, "POST", PathFaceStep, who, r, true)
}

// SendFaces sends the frames of a scan, which is used up by it.
func (c *Client) SendFaces(ctx context.Context, who Credentials, r FaceFrames) (Session, error) {
	return do[Session](ctx, c, "POST", PathFaceFrames, who, r, false)
}

// Release asks for the unlocking keys of a step.
func (c *Client) Release(ctx context.Context, who Credentials, r ReleaseRequest) (Envelope, error) {
	return do[Envelope](ctx, c, "POST", PathRelease, who, r, true)
}

// Report tells the outcome of a step.
func (c *Client) Report(ctx context.Context, who Credentials, r Report) (Reported, error) {
	return do[Reported](ctx, c, "POST", PathReport, who, r, true)
}

// do makes a call. One that changes nothing when it is made again (repeatable)
// is tried again where no answer came, or the service says that it is busy;
// any other only where no connection was made.
func do[A any](ctx context.Context, c *Client, method, path string, who Credentials, body any, repeatable bool) (A, error) {
	var answer A
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return answer, fmt.Errorf("encode request: %w", err)
		}
	}
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, method, path, who, raw, &answer)
		if err == nil || attempt == attempts || !again(err, repeatable) || c.wait(ctx, attempt) != nil {
			return answer, err
		}
	}
}

// again says whether a failed call may be made once more.
func again(err error, repeatable bool) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	if !repeatable {
		return false
	}
	switch problem.CodeOf(err) {
	case problem.ServiceUnreachable, problem.ServiceAnswer, problem.DatabaseBusy, problem.DatabaseGone:
		return true
	}
	return false
}

func (c *Client) once(ctx context.Context, method, path string, who Credentials, body []byte, answer any) error {
	target := c.base.JoinPath(strings.Replace(path, "{id}", url.PathEscape(who.ID), 1))
	r, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if who.Token != "" {
		r.Header.Set("Authorization", "Bearer "+who.Token)
	}
	caller := c.http
	if path == PathFaceFrames {
		caller = c.slow
		r.Header.Set("Expect", "100-continue") // what is refused is not sent in vain
	}
	w, err := caller.Do(r)
	if err != nil {
		return noAnswer(err)
	}
	defer w.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if err != nil {
		return noAnswer(err)
	}
	switch {
	case w.StatusCode == http.StatusNoContent && method == "DELETE":
		return nil
	case w.StatusCode < 200 || w.StatusCode > 299:
		return problem.Decode(w.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return problem.Wrap(problem.ServiceAnswer, err)
	}
	return nil
}

// noAnswer is the problem of a call that brought none.
func noAnswer(err error) error {
	var (
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		host     x509.HostnameError
		verify   *tls.CertificateVerificationError
		protocol tls.RecordHeaderError
		alert    *net.OpError // of TLS at the other end (RFC 8446 section 6)
		slow     net.Error
	)
	switch {
	case errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &host), errors.As(err, &verify), errors.As(err, &protocol),
		errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &alert) && alert.Op == "remote error":
		return problem.Wrap(problem.ServiceCertificate, err)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return problem.Wrap(problem.ServiceSlow, err)
	}
	return problem.Wrap(problem.ServiceUnreachable, err)
}
