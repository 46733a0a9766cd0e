package trust

import (
	"bytes"
	"context"
	"crypto"
	_ "crypto/sha1" // names of certificates in answers (RFC 6960 section 4.1.1), no signatures
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

const (
	maxAnswer = 64 << 10 // bytes of an answer
	// Answers that do not say when the next one comes: how old they may be, and
	// how long they are kept.
	maxAge    = 24 * time.Hour
	ageless   = 5 * time.Minute
	maxKnown  = 100_000          // answers that are kept
	askAgain  = 15 * time.Second // after a failure
	maxAsking = 32               // responders asked at a time
)

// answers are OCSP answers that are still good.
type answers struct {
	mu        sync.Mutex
	known     map[string]answer
	asking    map[string]chan struct{}
	notBefore map[string]time.Time // of certificates and responders that failed: when they may be asked again
	lastErr   error
}

// answer is what a responder says of one certificate.
type answer struct {
	status                 Status
	why                    string
	thisUpdate, nextUpdate time.Time
}

func (a answer) fresh(now time.Time) bool {
	return !now.Add(Skew).Before(a.thisUpdate) && now.Before(a.nextUpdate.Add(Skew))
}

// keyOf names a certificate of an issuer.
func keyOf(cert, issuer *x509.Certificate) string {
	id := idOf(issuer)
	return hex.EncodeToString(id[:]) + " " + cert.SerialNumber.Text(16)
}

func (as *answers) standing(cert, issuer *x509.Certificate, now time.Time) Verdict {
	as.mu.Lock()
	defer as.mu.Unlock()
	a, found := as.known[keyOf(cert, issuer)]
	switch {
	case !found:
		return Verdict{Status: Unknown, Why: "no OCSP responder has answered"}
	case !a.fresh(now):
		return Verdict{Status: Unknown, Why: "the OCSP answer was good until " + a.nextUpdate.UTC().Format(time.RFC3339)}
	}
	return Verdict{Status: a.status, Why: a.why}
}

// ask begins to ask a responder, unless that is under way or has just failed,
// and gives what is closed when it has ended.
func (c *Checker) ask(cert, issuer *x509.Certificate) <-chan struct{} {
	key, now := keyOf(cert, issuer), c.o.Now()
	address := c.responder(cert)
	as := &c.answers
	as.mu.Lock()
	defer as.mu.Unlock()
	if done := as.asking[key]; done != nil {
		return done
	}
	done := make(chan struct{})
	if address == "" || len(as.asking) >= maxAsking || now.Before(as.notBefore[key]) || now.Before(as.notBefore[address]) || c.ctx.Err() != nil {
		close(done)
		return done
	}
	if as.asking == nil {
		as.asking = map[string]chan struct{}{}
	}
	as.asking[key] = done
	c.wait.Go(func() {
		defer close(done)
		a, reached, err := c.answer(address, cert, issuer)
		if c.ctx.Err() == nil {
			c.take(key, address, a, reached, err)
		}
		as.mu.Lock()
		defer as.mu.Unlock()
		delete(as.asking, key)
	})
	return done
}

// responder is where to ask about a certificate, "" for nowhere.
func (c *Checker) responder(cert *x509.Certificate) string {
	if c.o.OCSP != "" {
		return c.o.OCSP
	}
	if i := slices.IndexFunc(cert.OCSPServer, reachable); i >= 0 {
		return cert.OCSPServer[i]
	}
	return ""
}

// answer asks. reached: the responder has answered, if not well.
func (c *Checker) answer(address string, cert, issuer *x509.Certificate) (a answer, reached bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, answerTime)
	defer cancel()
	question, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return a, true, err
	}
	r, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(question))
	if err != nil {
		return a, true, err
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	raw, _, err := fetch(ctx, c.o.Client, r, maxAnswer)
	if err != nil {
		return a, false, err
	}
	a, err = parseAnswer(raw, cert, issuer, c.o.Now())
	return a, true, err
}

// take keeps an answer, or notes that there is none.
func (c *Checker) take(key, address string, a answer, reached bool, err error) {
	now := c.o.Now()
	as := &c.answers
	as.mu.Lock()
	defer as.mu.Unlock()
	if err != nil {
		c.figures.fetches.WithLabelValues("ocsp", "bad").Inc()
		if as.lastErr == nil || as.lastErr.Error() != err.Error() {
			c.o.Log.Warn("an OCSP responder gave no answer that can be used", "responder", address, "err", err)
		}
		as.lastErr = err
		if !reached {
			key = address
		}
		if len(as.notBefore) >= maxKnown {
			clear(as.notBefore)
		}
		as.notBefore[key] = now.Add(askAgain)
		return
	}
	c.figures.fetches.WithLabelValues("ocsp", "good").Inc()
	as.lastErr = nil
	delete(as.notBefore, key)
	delete(as.notBefore, address)
	if a.status == Unknown {
		as.notBefore[key] = now.Add(askAgain)
	}
	if len(as.known) >= maxKnown {
		as.makeRoom(now)
	}
	as.known[key] = a
}

// makeRoom forgets answers that are over or, where all are good, some.
func (as *answers) makeRoom(now time.Time) {
	for key, a := range as.known {
		if !a.fresh(now) {
			delete(as.known, key)
		}
	}
	for key := range as.known {
		if len(as.known) <= maxKnown*9/10 {
			return
		}
		delete(as.known, key)
	}
}

// parseAnswer reads an OCSP answer about a certificate. Package ocsp checks the
// signature with the certificate that comes along, and leaves to us that it is
// about this issuer's certificate, who may sign (RFC 6960 section 4.2.2.2) and
// the times.
func parseAnswer(raw []byte, cert, issuer *x509.Certificate, now time.Time) (answer, error) {
	r, err := ocsp.ParseResponseForCert(raw, cert, nil)
	if err != nil {
		return answer{}, err
	}
	if err := aboutIssuer(r.TBSResponseData, cert.SerialNumber, issuer); err != nil {
		return answer{}, err
	}
	if weak(r.SignatureAlgorithm) {
		return answer{}, fmt.Errorf("its signature, %v, is too weak", r.SignatureAlgorithm)
	}
	if err := mayAnswer(r, issuer, now); err != nil {
		return answer{}, err
	}
	a := answer{status: Good, thisUpdate: r.ThisUpdate, nextUpdate: r.NextUpdate}
	if a.nextUpdate.IsZero() {
		if now.Sub(r.ThisUpdate) > maxAge {
			return a, errors.New("it is too old")
		}
		a.nextUpdate = now.Add(ageless - Skew)
	}
	if !a.fresh(now) || now.Add(Skew).Before(r.ProducedAt) {
		return a, errors.New("it is too old, or from the future")
	}
	switch r.Status {
	case ocsp.Good:
	case ocsp.Revoked:
		a.status, a.why = Revoked, "by OCSP, reason "+reasonName(r.RevocationReason)
	default:
		a.status, a.why = Unknown, "the OCSP responder does not know it"
	}
	return a, nil
}

// mayAnswer says whether who has signed an answer speaks for an issuer: itself,
// or one to whom it has given a certificate for that.
func mayAnswer(r *ocsp.Response, issuer *x509.Certificate, now time.Time) error {
	d := r.Certificate
	if d == nil || bytes.Equal(d.Raw, issuer.Raw) {
		return r.CheckSignatureFrom(issuer)
	}
	if !bytes.Equal(d.RawIssuer, issuer.RawSubject) {
		return errors.New("the responder's certificate comes from another issuer")
	}
	if err := d.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("the responder's certificate: %w", err)
	}
	switch {
	case !slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("the responder's certificate is not for signing OCSP answers")
	case d.KeyUsage != 0 && d.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return errors.New("the responder's key is not for signatures")
	case now.Before(d.NotBefore) || now.After(d.NotAfter):
		return errors.New("the responder's certificate is not of its time")
	case len(d.UnhandledCriticalExtensions) > 0:
		return errors.New("the responder's certificate has a critical extension that is not known")
	}
	return r.CheckSignatureFrom(d)
}

// aboutIssuer makes sure that what an answer says first of a serial number is
// about a certificate of this issuer: another one's may have the same.
func aboutIssuer(data []byte, serial *big.Int, issuer *x509.Certificate) error {
	malformed := errors.New("it is malformed")
	in := cryptobyte.String(data)
	var skipped, all cryptobyte.String
	var tag casn1.Tag
	if !in.ReadASN1(&in, casn1.SEQUENCE) || !in.SkipOptionalASN1(casn1.Tag(0).Constructed().ContextSpecific()) ||
		!in.ReadAnyASN1(&skipped, &tag) || !in.ReadAnyASN1(&skipped, &tag) || !in.ReadASN1(&all, casn1.SEQUENCE) {
		return malformed
	}
	for !all.Empty() {
		var one, id, algorithm, name, key cryptobyte.String
		var oid asn1.ObjectIdentifier
		n := new(big.Int)
		if !all.ReadASN1(&one, casn1.SEQUENCE) || !one.ReadASN1(&id, casn1.SEQUENCE) || !id.ReadASN1(&algorithm, casn1.SEQUENCE) ||
			!algorithm.ReadASN1ObjectIdentifier(&oid) || !id.ReadASN1(&name, casn1.OCTET_STRING) ||
			!id.ReadASN1(&key, casn1.OCTET_STRING) || !id.ReadASN1Integer(n) {
			return malformed
		}
		if n.Cmp(serial) == 0 {
			return sameIssuer(oid, name, key, issuer)
		}
	}
	return errors.New("it is about another certificate")
}

func sameIssuer(algorithm asn1.ObjectIdentifier, name, key []byte, issuer *x509.Certificate) error {
	hash := crypto.Hash(0)
	for h, oid := range map[crypto.Hash]asn1.ObjectIdentifier{crypto.SHA1: {1, 3, 14, 3, 2, 26}, crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3}} {
		if oid.Equal(algorithm) {
			hash = h
		}
	}
	in := cryptobyte.String(issuer.RawSubjectPublicKeyInfo)
	var unused uint8
	var bits, skipped cryptobyte.String
	if hash == 0 || !in.ReadASN1(&in, casn1.SEQUENCE) || !in.ReadASN1(&skipped, casn1.SEQUENCE) ||
		!in.ReadASN1(&bits, casn1.BIT_STRING) || !bits.ReadUint8(&unused) {
		return errors.New("it names its issuer in a way that is not known")
	}
	if !bytes.Equal(digest(hash, issuer.RawSubject), name) || !bytes.Equal(digest(hash, bits), key) {
		return errors.New("it is about another issuer's certificate")
	}
	return nil
}

func digest(h crypto.Hash, b []byte) []byte {
	d := h.New()
	d.Write(b) // never fails
	return d.Sum(nil)
}
