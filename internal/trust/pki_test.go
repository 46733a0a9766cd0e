package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// start is when every test is. It is no fixed day because package ocsp writes
// the machine's time into answers.
var start = time.Now().UTC().Truncate(time.Second)

// authority issues certificates, CRLs and OCSP answers.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newAuthority makes an authority under another one, nil for a root.
func newAuthority(t testing.TB, name string, over *authority, change func(*x509.Certificate)) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: start.AddDate(-1, 0, 0),
		NotAfter: start.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	if change != nil {
		change(template)
	}
	if over == nil {
		over = &authority{cert: template, key: a.key}
	}
	a.cert = over.sign(t, template, a.key.Public())
	return a
}

func (a *authority) sign(t testing.TB, template *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// card issues a card's certificate.
func (a *authority) card(t testing.TB, serial int64, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	value, err := asn1.Marshal([]asn1.ObjectIdentifier{{2, 16, 840, 1, 101, 3, 6, 8}})
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "card"}, NotBefore: start.AddDate(0, -1, 0),
		NotAfter: start.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		// As PIV has it: extended key usage critical.
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: value}}}
	if change != nil {
		change(template)
	}
	return a.sign(t, template, newKey(t).Public())
}

// crl issues a CRL of an hour and a half, half an hour ago, with serials that are revoked.
func (a *authority) crl(t testing.TB, change func(*x509.RevocationList), revoked ...int64) []byte {
	t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: start.Add(-30 * time.Minute), NextUpdate: start.Add(time.Hour)}
	for _, n := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: start.Add(-time.Hour), ReasonCode: 1})
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	must(t, err)
	return der
}

// answer is an OCSP answer about a certificate by a responder; nil: by the
// authority itself.
func (a *authority) answer(t testing.TB, cert *x509.Certificate, by *authority, change func(*ocsp.Response)) []byte {
	t.Helper()
	template := ocsp.Response{Status: ocsp.Good, SerialNumber: cert.SerialNumber, ThisUpdate: start.Add(-time.Minute), NextUpdate: start.Add(time.Hour)}
	signer := a
	if by != nil {
		signer, template.Certificate = by, by.cert
	}
	if change != nil {
		change(&template)
	}
	raw, err := ocsp.CreateResponse(a.cert, signer.cert, template, signer.key)
	must(t, err)
	return raw
}

// delegate is a responder that an authority has given a certificate.
func (a *authority) delegate(t testing.TB, change func(*x509.Certificate)) *authority {
	t.Helper()
	d := &authority{key: newKey(t)}
	template := &x509.Certificate{SerialNumber: big.NewInt(99), Subject: pkix.Name{CommonName: "responder"}, NotBefore: start.AddDate(0, -1, 0),
		NotAfter: start.AddDate(0, 1, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}
	if change != nil {
		change(template)
	}
	d.cert = a.sign(t, template, d.key.Public())
	return d
}

func bundle(all ...*authority) []byte {
	var out bytes.Buffer
	for _, a := range all {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}) // writing to a buffer cannot fail
	}
	return out.Bytes()
}

// web is a web server on loopback that gives what the test wants.
type web struct {
	*httptest.Server
	mu    sync.Mutex
	reply http.HandlerFunc
	asked int
}

func newWeb(t testing.TB) *web {
	t.Helper()
	w := &web{}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked++
		reply := w.reply
		w.mu.Unlock()
		reply(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *web) handle(f http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reply = f
}

func (w *web) serve(raw []byte) {
	w.handle(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = rw.Write(raw) // the client may be gone
	})
}

func (w *web) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// newChecker makes a Checker at start.
func newChecker(t testing.TB, o Options) (*Checker, *clock) {
	t.Helper()
	clock := &clock{at: start}
	o.Now = clock.Now
	c, err := New(o)
	must(t, err)
	t.Cleanup(c.Close)
	return c, clock
}

// want checks the verdict on a certificate.
func want(t *testing.T, c *Checker, cert *x509.Certificate, status Status) {
	t.Helper()
	if v := c.Check(cert.Raw, c.o.Now()); v.Status != status {
		t.Errorf("%s (%s), want %s", v.Status, v.Why, status)
	}
}
