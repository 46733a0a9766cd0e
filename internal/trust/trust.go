// Package trust judges the certificates of cards: does one come from the
// organisation's authorities, is it in its time, and has it been revoked?
//
// It follows RFC 5280 (certificates and CRLs), RFC 6960 and RFC 5019 (OCSP).
// What it promises:
//   - Check asks nobody: it judges by what is in memory. Refresh asks, for at
//     most Options.Patience, and is to be called outside of transactions.
//   - Only authorities of the configured file count. Cards bring none.
//   - A list or an answer counts if the authority that issued the certificate
//     has signed it (an answer: or its delegate with id-kp-OCSPSigning), not
//     with SHA-1, and if it is of its time (five minutes of grace).
//   - Whatever comes from outside is bounded in size and time, over http or
//     https, from the host that was named.
//
// Not done, and said so in docs/security.md: delta CRLs, indirect CRLs, CRLs
// of some reasons only, LDAP, OCSP about authorities, the revocation of a
// delegate.
package trust

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Status is what a certificate comes to.
type Status string

// Statuses.
const (
	Good      Status = "good"
	Expired   Status = "expired"   // or not valid yet
	Untrusted Status = "untrusted" // no chain to an authority, or one of them was revoked
	Revoked   Status = "revoked"   // or on hold
	Unknown   Status = "unknown"   // whether it was revoked
)

// Statuses are all of them.
func Statuses() []Status { return []Status{Good, Expired, Untrusted, Revoked, Unknown} }

// Verdict is the judgement on one certificate.
type Verdict struct {
	Status Status
	// Why is for the log, the audit trail and operators, in a few words: it has
	// nothing of the certificate's holder.
	Why string
	// Allowed: the status is Unknown and the operator takes it for good.
	Allowed bool
}

// OK says whether the certificate counts.
func (v Verdict) OK() bool { return v.Status == Good || v.Status == Unknown && v.Allowed }

// Err is nil where the certificate counts, else a *RefusedError.
func (v Verdict) Err() error {
	if v.OK() {
		return nil
	}
	return &RefusedError{v}
}

// RefusedError says that a certificate does not count.
type RefusedError struct{ Verdict Verdict }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("certificate %s: %s", e.Verdict.Status, e.Verdict.Why)
}

// Mode is how revocation is looked up.
type Mode string

// Modes.
const (
	ModeOff  Mode = "off"
	ModeCRL  Mode = "crl"
	ModeOCSP Mode = "ocsp"
	ModeAny  Mode = "any" // what either knows; revoked wins
)

func (m Mode) crl() bool  { return m == ModeCRL || m == ModeAny }
func (m Mode) ocsp() bool { return m == ModeOCSP || m == ModeAny }

const (
	// Skew is how far clocks may be apart (RFC 5019 section 4).
	Skew = 5 * time.Minute
	// DefaultPatience is how long Refresh waits.
	DefaultPatience = 2 * time.Second
	// DefaultMaxCRL is the largest CRL in bytes.
	DefaultMaxCRL = 64 << 20
)

// Options of New.
type Options struct {
	// Authorities are certificates (PEM): roots, which are self-signed, and
	// intermediates.
	Authorities []byte
	Mode        Mode
	// CRLs are files or http URLs; empty: the distribution points that
	// certificates name.
	CRLs []string
	// OCSP is the responder's URL; "": the one that a certificate names.
	OCSP         string
	AllowUnknown bool
	// Cache is a folder where fetched CRLs are kept over a restart; "": none.
	Cache string
	Log   *slog.Logger
	// The rest has defaults, for tests to change.
	Patience time.Duration
	MaxCRL   int64
	Now      func() time.Time
	Jitter   func() float64 // 0 to 1
	Client   *http.Client
}

// Checker judges certificates. It is safe for use by many goroutines.
type Checker struct {
	o           Options
	authorities authorities
	lists       lists
	answers     answers
	figures     *figures

	ctx    context.Context // of fetches, which outlive the request that asked
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// New makes a Checker. It reads CRL files and the cache, and asks nobody.
// Error: authorities that cannot be used.
func New(o Options) (*Checker, error) {
	a, err := parseAuthorities(o.Authorities)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	if o.MaxCRL == 0 {
		o.MaxCRL = DefaultMaxCRL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Client == nil {
		o.Client = newClient()
	}
	if o.Mode == "" {
		o.Mode = ModeOff
	}
	c := &Checker{o: o, authorities: a, figures: newFigures()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.lists.sources = map[string]*source{}
	c.answers.known, c.answers.notBefore = map[string]answer{}, map[string]time.Time{}
	if o.Mode.crl() {
		c.addConfigured()
	}
	return c, nil
}

// Close ends fetches that are under way; none begins afterwards.
func (c *Checker) Close() {
	c.lists.mu.Lock() // fetches begin under these
	c.answers.mu.Lock()
	c.cancel()
	c.answers.mu.Unlock()
	c.lists.mu.Unlock()
	c.wait.Wait()
	c.o.Client.CloseIdleConnections()
}

// Check judges a certificate (DER) at a time by what is known.
func (c *Checker) Check(der []byte, now time.Time) Verdict {
	v := c.check(der, now)
	v.Allowed = v.Status == Unknown && c.o.AllowUnknown
	c.figures.checks.WithLabelValues(string(v.Status)).Inc()
	return v
}

func (c *Checker) check(der []byte, now time.Time) Verdict {
	leaf, chains, v := c.chains(der, now)
	if v.Status != Good || c.o.Mode == ModeOff {
		return v
	}
	// The chains end differently, but the issuer's name and key are the same in
	// each: its signature is on the certificate.
	if v := c.standing(leaf, chains[0][1], now); v.Status != Good {
		return v
	}
	for _, chain := range chains {
		if v = c.authoritiesStand(chain, now); v.Status == Good {
			return v
		}
	}
	return v
}

// chains builds the chains of a certificate to the roots.
func (c *Checker) chains(der []byte, now time.Time) (*x509.Certificate, [][]*x509.Certificate, Verdict) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, Verdict{Status: Untrusted, Why: "it cannot be read"}
	}
	if now.After(leaf.NotAfter) {
		return nil, nil, Verdict{Status: Expired, Why: "it was valid until " + leaf.NotAfter.UTC().Format(time.RFC3339)}
	}
	if now.Before(leaf.NotBefore) {
		return nil, nil, Verdict{Status: Expired, Why: "it is valid from " + leaf.NotBefore.UTC().Format(time.RFC3339) + " on only"}
	}
	chains, err := c.authorities.chains(leaf, now)
	if err != nil {
		return nil, nil, Verdict{Status: Untrusted, Why: err.Error()}
	}
	return leaf, chains, Verdict{Status: Good}
}

// standing is what is known of a certificate's revocation.
func (c *Checker) standing(leaf, issuer *x509.Certificate, now time.Time) Verdict {
	v := Verdict{Status: Unknown, Why: "neither a CRL nor an OCSP answer that is of its time is here"}
	if c.o.Mode.crl() {
		if v = c.lists.standing(leaf, issuer, now); v.Status == Revoked {
			return v
		}
	}
	if c.o.Mode.ocsp() {
		if w := c.answers.standing(leaf, issuer, now); w.Status == Revoked || v.Status != Good {
			v = w
		}
	}
	return v
}

// authoritiesStand looks for authorities of a chain that are known to be
// revoked. Where nothing is known the operator's file is enough.
func (c *Checker) authoritiesStand(chain []*x509.Certificate, now time.Time) Verdict {
	if !c.o.Mode.crl() {
		return Verdict{Status: Good}
	}
	for i := 1; i < len(chain)-1; i++ {
		if v := c.lists.standing(chain[i], chain[i+1], now); v.Status == Revoked {
			return Verdict{Status: Untrusted, Why: fmt.Sprintf("its authority %q was revoked: %s", chain[i].Subject, v.Why)}
		}
	}
	return Verdict{Status: Good}
}

// Refresh sees to it that what is to be known of certificates (DER) is known,
// as far as it can be had before ctx ends or Options.Patience has passed. Empty
// ones and those that come from no authority are left alone: nobody is asked
// about them.
func (c *Checker) Refresh(ctx context.Context, certs ...[]byte) {
	if c.o.Mode == ModeOff {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Patience)
	defer cancel()
	var all sync.WaitGroup
	for _, der := range certs {
		if len(der) == 0 {
			continue
		}
		all.Go(func() { c.refresh(ctx, der) })
	}
	all.Wait()
}

func (c *Checker) refresh(ctx context.Context, der []byte) {
	now := c.o.Now()
	leaf, chains, v := c.chains(der, now)
	if v.Status != Good {
		return
	}
	issuer := chains[0][1]
	if c.standing(leaf, issuer, now).Status != Unknown {
		return
	}
	var fetches []<-chan struct{}
	if c.o.Mode.crl() {
		for _, s := range c.sourcesOf(leaf) {
			fetches = append(fetches, c.fetchList(s, false))
		}
	}
	// A list that came from the cache is there already.
	if c.standing(leaf, issuer, now).Status != Unknown {
		return
	}
	if c.o.Mode.ocsp() {
		fetches = append([]<-chan struct{}{c.ask(leaf, issuer)}, fetches...)
	}
	for _, done := range fetches {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
		if c.standing(leaf, issuer, c.o.Now()).Status != Unknown {
			return
		}
	}
}

// Recall reads the CRLs of a certificate (DER) that an earlier run, or another
// program on this machine, has kept. It asks nobody.
func (c *Checker) Recall(der []byte, now time.Time) {
	if !c.o.Mode.crl() {
		return
	}
	if leaf, _, v := c.chains(der, now); v.Status == Good {
		c.sourcesOf(leaf)
	}
}
