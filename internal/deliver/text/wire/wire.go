// Package wire is what the providers of text messages that speak HTTP have in
// common: a client that is careful, and what a failure on the way means.
package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"latchkey/internal/deliver/text"
)

const (
	connectTimeout = 5 * time.Second
	// requestTimeout bounds a whole request: with two providers in a row it is
	// still less than what the queue gives a message.
	requestTimeout = 12 * time.Second
	// MaxBody bounds an answer, and a callback, in octets.
	MaxBody = 64 << 10
)

// NewClient makes a client that speaks TLS 1.2 or later, follows no redirect
// and gives up after some seconds.
func NewClient() *http.Client {
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    connectTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        20 * time.Second, // sooner than a server closes: a request into a closing connection is unclear
			MaxResponseHeaderBytes: MaxBody,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Answer is what came back, its body bounded to MaxBody.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends req. Its error is a *text.Error: Away where nothing of the request
// left, Unclear where it may have arrived. An answer whose body is cut off, or
// longer than MaxBody, has none.
func Do(ctx context.Context, client *http.Client, provider string, req *http.Request) (Answer, error) {
	ctx, left := Watch(ctx)
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return Answer{}, Lost(provider, left(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil || len(body) > MaxBody {
		body = nil
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Watch gives a context for one request, and whether anything of the request
// has left.
func Watch(ctx context.Context) (context.Context, func() bool) {
	var left atomic.Bool
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { left.Store(true) },
		WroteHeaders:     func() { left.Store(true) },
	}), left.Load
}

// Lost is the error for a request without an answer.
func Lost(provider string, left bool, err error) *text.Error {
	e := &text.Error{Provider: provider, Kind: text.Away, Code: "unreachable", Err: bare(err)}
	var timeout interface{ Timeout() bool }
	switch {
	case left:
		e.Kind, e.Code = text.Unclear, "no-answer"
	case errors.Is(err, context.Canceled):
		e.Code = "cancelled"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Code = "timeout"
	}
	return e
}

// bare is err without the request's address, which can hold what is secret.
func bare(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// Failure is the error for an answer that is no success, by its status alone.
// said is the provider's code for it, "" where it has none.
func Failure(provider string, a Answer, said string, now time.Time) *text.Error {
	e := &text.Error{Provider: provider, Kind: text.Refused, Code: text.Code(said, "http-"+strconv.Itoa(a.Status))}
	switch {
	case a.Status == http.StatusGatewayTimeout: // a gateway handed it on and heard nothing
		e.Kind = text.Unclear
	case a.Status >= 500, a.Status == http.StatusTooManyRequests, a.Status == http.StatusRequestTimeout:
		e.Kind = text.Away
		e.RetryAfter = retryAfter(a.Header.Get("Retry-After"), now)
	}
	return e
}

// Garbled is the error for a success that cannot be read: it may not even come
// from the provider.
func Garbled(provider string) *text.Error {
	return &text.Error{Provider: provider, Kind: text.Unclear, Code: "garbled"}
}

const longestRetry = 24 * time.Hour

// retryAfter reads the header of that name (RFC 9110 section 10.2.3), 0 where
// it says nothing sensible.
func retryAfter(s string, now time.Time) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil && n < int(longestRetry/time.Second) {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), longestRetry)
}

// Body reads a callback's body. Error: text.ErrMalformed where it is too long
// or breaks off.
func Body(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, text.ErrMalformed
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil || len(body) > MaxBody {
		return nil, text.ErrMalformed
	}
	return body, nil
}

// BaseURL checks an address that we call: https, or http on this machine, with
// a host and without a user or fragment. Its error does not show the address.
func BaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("is not an address")
	case u.Host == "" || u.Hostname() == "":
		return nil, errors.New("has no host")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("has a user or a fragment")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("is not https")
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Post makes a request with a body that can be read again.
func Post(to, contentType string, body []byte) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, bare(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "latchkeyd")
	return req, nil
}
