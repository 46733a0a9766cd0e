package trust

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	redirects  = 3
	listTime   = time.Minute     // for a CRL; a request waits for Options.Patience of it
	answerTime = 5 * time.Second // for an OCSP answer, likewise
	maxHeaders = 16 << 10
)

// errNotModified: what was fetched before is still the newest.
var errNotModified = errors.New("not modified")

// newClient makes a client that goes to the host that was named and nowhere
// else.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: answerTime}).DialContext,
			TLSHandshakeTimeout: answerTime, ResponseHeaderTimeout: listTime, MaxResponseHeaderBytes: maxHeaders,
			MaxConnsPerHost: 16, IdleConnTimeout: listTime, DisableCompression: true},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > redirects {
				return errors.New("too many redirects")
			}
			if r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {
				return errors.New("a redirect to another host or scheme")
			}
			return nil
		},
	}
}

// reachable says whether an address that a certificate names is one that is
// asked: http or https.
func reachable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && len(address) <= 2048
}

// fetch makes a request and reads an answer of at most limit bytes.
func fetch(ctx context.Context, client *http.Client, r *http.Request, limit int64) ([]byte, http.Header, error) {
	answer, err := client.Do(r.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotModified:
		return nil, answer.Header, errNotModified
	case answer.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("the answer's status is %d", answer.StatusCode)
	case answer.ContentLength > limit:
		return nil, nil, fmt.Errorf("the answer has %d bytes, more than %d", answer.ContentLength, limit)
	}
	raw, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("the answer has more than %d bytes", limit)
	}
	return raw, answer.Header, err
}
