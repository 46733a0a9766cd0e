package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"
)

const (
	maxSources = 1024 // places of CRLs that certificates have named
	// How soon a list is looked for again: at the latest after lookEvery, and
	// after a failure from retryFirst on, twice as long each time.
	lookEvery  = time.Hour
	retryFirst = 30 * time.Second
	retryMost  = 5 * time.Minute
	fileEvery  = time.Minute
)

// lists are the CRLs by where they come from.
type lists struct {
	mu      sync.Mutex
	sources map[string]*source
	parsing sync.Mutex // one at a time: a large list takes memory while it is read
}

// source is one place of a CRL. Its fields are under lists.mu.
type source struct {
	place          string
	file           bool
	list           *list
	due            time.Time
	failures       int
	err            error
	etag, modified string
	size           int64
	changed        time.Time // of a file
	fetching       chan struct{}
	fetchedAt      time.Time
}

// addConfigured adds the places that are configured, or that the authorities'
// own certificates name, and reads what is on this machine.
func (c *Checker) addConfigured() {
	for _, place := range c.o.CRLs {
		c.addSource(place, !reachable(place))
	}
	if len(c.o.CRLs) > 0 {
		return
	}
	for _, cert := range c.authorities.all {
		if !selfSigned(cert) {
			c.sourcesOf(cert)
		}
	}
}

// sourcesOf gives the places of CRLs for a certificate.
func (c *Checker) sourcesOf(cert *x509.Certificate) []*source {
	var out []*source
	if len(c.o.CRLs) > 0 {
		c.lists.mu.Lock()
		defer c.lists.mu.Unlock()
		for _, place := range c.o.CRLs {
			out = append(out, c.lists.sources[place])
		}
		return out
	}
	for _, place := range cert.CRLDistributionPoints {
		if !reachable(place) {
			continue
		}
		if s := c.addSource(place, false); s != nil {
			out = append(out, s)
		}
	}
	return out
}

// addSource gives the source of a place, nil where there are too many.
func (c *Checker) addSource(place string, file bool) *source {
	c.lists.mu.Lock()
	s, known := c.lists.sources[place]
	if !known && len(c.lists.sources) < maxSources+len(c.o.CRLs) {
		s = &source{place: place, file: file}
		c.lists.sources[place] = s
	}
	c.lists.mu.Unlock()
	if s == nil || known {
		return s
	}
	if file {
		c.readFile(s)
	} else if raw, err := c.readCached(place); err == nil {
		c.recall(s, raw)
	}
	return s
}

// recall takes a list from the cache. One that is too old still says who was
// revoked; the next one is due at once.
func (c *Checker) recall(s *source, raw []byte) {
	c.lists.parsing.Lock()
	l, err := parseList(raw, c.authorities)
	c.lists.parsing.Unlock()
	c.lists.mu.Lock()
	defer c.lists.mu.Unlock()
	if err != nil || s.list != nil {
		return
	}
	s.list = l
	if now := c.o.Now(); l.fresh(now) {
		c.schedule(s, now, nil)
	}
}

// standing is what the lists of an issuer say of a certificate.
func (ls *lists) standing(cert, issuer *x509.Certificate, now time.Time) Verdict {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	id := idOf(issuer)
	v := Verdict{Status: Unknown, Why: "there is no CRL of its issuer"}
	for _, s := range ls.sources {
		if s.list == nil || s.list.issuer != id {
			continue
		}
		switch w := s.list.standing(cert, now); w.Status {
		case Revoked:
			return w
		case Good:
			v = w
		default:
			if v.Status != Good {
				v = w
			}
		}
	}
	return v
}

// fetchList begins to fetch a list, unless that is under way or was tried a
// moment ago, and gives what is closed when it has ended. due: only when its
// time has come.
func (c *Checker) fetchList(s *source, due bool) <-chan struct{} {
	c.lists.mu.Lock()
	defer c.lists.mu.Unlock()
	now := c.o.Now()
	if s.fetching != nil {
		return s.fetching
	}
	done := make(chan struct{})
	asked := s.due.IsZero() || !now.Before(s.due) || !due && s.failures == 0 && now.Sub(s.fetchedAt) >= retryFirst
	if !asked || c.ctx.Err() != nil {
		close(done)
		return done
	}
	s.fetching = done
	c.wait.Go(func() {
		if s.file {
			c.readFile(s)
		} else {
			c.download(s)
		}
		c.lists.mu.Lock()
		s.fetching = nil
		c.lists.mu.Unlock()
		close(done)
	})
	return done
}

func (c *Checker) download(s *source) {
	ctx, cancel := context.WithTimeout(c.ctx, listTime)
	defer cancel()
	r, err := http.NewRequest(http.MethodGet, s.place, nil)
	if err != nil {
		c.keep(s, nil, nil, err)
		return
	}
	c.lists.mu.Lock()
	if s.list != nil && s.list.fresh(c.o.Now()) {
		if s.etag != "" {
			r.Header.Set("If-None-Match", s.etag)
		}
		if s.modified != "" {
			r.Header.Set("If-Modified-Since", s.modified)
		}
	}
	c.lists.mu.Unlock()
	raw, header, err := fetch(ctx, c.o.Client, r, c.o.MaxCRL)
	if c.ctx.Err() != nil {
		return
	}
	if c.keep(s, raw, header, err) {
		if err := c.cache(s.place, raw); err != nil {
			c.o.Log.Warn("a CRL was not kept on disk", "place", s.place, "err", err)
		}
	}
}

// readFile reads a file that has changed.
func (c *Checker) readFile(s *source) {
	raw, err := c.readChanged(s)
	c.keep(s, raw, nil, err)
}

func (c *Checker) readChanged(s *source) ([]byte, error) {
	file, err := os.Open(s.place)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	c.lists.mu.Lock()
	same := s.list != nil && info.Size() == s.size && info.ModTime().Equal(s.changed)
	s.size, s.changed = info.Size(), info.ModTime()
	c.lists.mu.Unlock()
	if same {
		return nil, errNotModified
	}
	return readAll(file, c.o.MaxCRL)
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return raw, err
}

// keep takes what was fetched, or the lack of it, and says whether there is a
// list that is good and new.
func (c *Checker) keep(s *source, raw []byte, header http.Header, err error) bool {
	var l *list
	if err == nil {
		c.lists.parsing.Lock()
		l, err = parseList(raw, c.authorities)
		c.lists.parsing.Unlock()
	}
	now := c.o.Now()
	if l != nil && err == nil && !l.fresh(now) {
		err = errors.New("it is too old, or from the future")
	}
	c.lists.mu.Lock()
	defer c.lists.mu.Unlock()
	s.fetchedAt = now
	// One that is too old still says who was revoked.
	replaced := l != nil && (s.list == nil || s.list.issuer != l.issuer || !l.thisUpdate.Before(s.list.thisUpdate))
	if l != nil && !replaced {
		err = errors.New("it is older than the one that is here")
	}
	if replaced {
		s.list = l
		if header != nil {
			s.etag, s.modified = header.Get("ETag"), header.Get("Last-Modified")
		}
	}
	c.schedule(s, now, err)
	return replaced && err == nil
}

// schedule says when a source is looked at again. The caller holds lists.mu.
func (c *Checker) schedule(s *source, now time.Time, err error) {
	kind := "url"
	if s.file {
		kind = "file"
	}
	if err == nil || errors.Is(err, errNotModified) && s.list.fresh(now) {
		if s.err != nil {
			c.o.Log.Info("a CRL is good again", "place", s.place)
		}
		s.err, s.failures = nil, 0
		// Between a quarter and three quarters of its life, and of an hour at most.
		span := min(s.list.nextUpdate.Sub(now), 2*lookEvery)
		if s.file {
			span = 2 * fileEvery
		}
		s.due = now.Add(max(time.Duration(float64(span)*(0.25+0.5*c.o.Jitter())), time.Second))
		c.figures.fetches.WithLabelValues("crl "+kind, "good").Inc()
		return
	}
	if errors.Is(err, errNotModified) {
		err = errors.New("it is too old")
	}
	if s.err == nil || s.err.Error() != err.Error() {
		c.o.Log.Warn("a CRL cannot be used", "place", s.place, "err", err)
	}
	s.err = err
	wait := min(retryFirst<<min(s.failures, 10), retryMost)
	s.failures++
	s.due = now.Add(time.Duration(float64(wait) * (0.75 + 0.5*c.o.Jitter())))
	c.figures.fetches.WithLabelValues("crl "+kind, "bad").Inc()
}

// Run keeps the lists up to date until ctx ends.
func (c *Checker) Run(ctx context.Context) {
	if !c.o.Mode.crl() {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(c.look())
	}
}

// look begins to fetch what is due, and says when to look again.
func (c *Checker) look() time.Duration {
	c.lists.mu.Lock()
	all := make([]*source, 0, len(c.lists.sources))
	for _, s := range c.lists.sources {
		all = append(all, s)
	}
	c.lists.mu.Unlock()
	for _, s := range all {
		c.fetchList(s, true)
	}
	return time.Second
}

// SourceStatus is what is known of one CRL.
type SourceStatus struct {
	Place                  string
	ThisUpdate, NextUpdate time.Time // zero: there is none
	Entries                int
	Fresh                  bool
	Err                    error // of the last look, nil for none
}

// Lists gives the state of the CRLs, by place.
func (c *Checker) Lists() []SourceStatus {
	c.lists.mu.Lock()
	defer c.lists.mu.Unlock()
	out := make([]SourceStatus, 0, len(c.lists.sources))
	for _, s := range c.lists.sources {
		x := SourceStatus{Place: s.place, Err: s.err}
		if s.list != nil {
			x.ThisUpdate, x.NextUpdate, x.Entries, x.Fresh = s.list.thisUpdate, s.list.nextUpdate, s.list.rows.Len(), s.list.fresh(c.o.Now())
		}
		out = append(out, x)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Place < out[j].Place })
	return out
}

// Load fetches every list that is known of and waits for them, for
// Options.Patience at most.
func (c *Checker) Load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Patience)
	defer cancel()
	c.lists.mu.Lock()
	var all []*source
	for _, s := range c.lists.sources {
		all = append(all, s)
	}
	c.lists.mu.Unlock()
	var fetches []<-chan struct{}
	for _, s := range all {
		fetches = append(fetches, c.fetchList(s, true))
	}
	for _, done := range fetches {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}

// The cache on disk. What is read from it is judged like anything from outside.

func (c *Checker) cachePath(place string) string {
	sum := sha256.Sum256([]byte(place))
	return filepath.Join(c.o.Cache, hex.EncodeToString(sum[:])+".crl")
}

func (c *Checker) readCached(place string) ([]byte, error) {
	if c.o.Cache == "" {
		return nil, os.ErrNotExist
	}
	file, err := os.Open(c.cachePath(place))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, c.o.MaxCRL)
}

func (c *Checker) cache(place string, raw []byte) error {
	if c.o.Cache == "" {
		return nil
	}
	if err := os.MkdirAll(c.o.Cache, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(c.o.Cache, "fetched-*")
	if err != nil {
		return err
	}
	_, err = file.Write(raw)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), c.cachePath(place))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
