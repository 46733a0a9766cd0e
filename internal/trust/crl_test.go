package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func extension(critical bool, value []byte, id ...int) pkix.Extension {
	return pkix.Extension{Id: id, Critical: critical, Value: value}
}

// tlv is DER of one tag and one byte of length.
func tlv(tag byte, parts ...[]byte) []byte {
	value := bytes.Join(parts, nil)
	return append([]byte{tag, byte(len(value))}, value...)
}

// point is an issuing distribution point with a URI.
func point(uri string) []byte {
	return tlv(0x30, tlv(0xa0, tlv(0xa0, tlv(0x86, []byte(uri)))))
}

// TestLists: what a list says of card 1 and card 2, the second of which is on
// it.
func TestLists(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	other := newAuthority(t, "other", nil, nil)
	twin := newAuthority(t, "root", nil, nil)
	noCRL := newAuthority(t, "certificates only", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	here := func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://here/crl"} }
	one, two := root.card(t, 1, here), root.card(t, 2, here)
	with := func(x ...pkix.Extension) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ExtraExtensions = x }
	}
	times := func(this, next time.Duration) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = start.Add(this), start.Add(next) }
	}
	pemOf := func(raw []byte, kind string) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
	}
	forged := root.crl(t, nil, 2)
	forged[len(forged)-1] ^= 1
	const idp = 28
	for name, test := range map[string]struct {
		raw      []byte
		one, two Status
	}{
		"good":                         {root.crl(t, nil, 2, 3), Good, Revoked},
		"empty":                        {root.crl(t, nil), Good, Good},
		"PEM":                          {pemOf(root.crl(t, nil, 2), "X509 CRL"), Good, Revoked},
		"PEM of something else":        {pemOf(root.crl(t, nil, 2), "CERTIFICATE"), Unknown, Unknown},
		"forged":                       {forged, Unknown, Unknown},
		"of another authority":         {other.crl(t, nil, 2), Unknown, Unknown},
		"of a false name":              {twin.crl(t, nil, 2), Unknown, Unknown},
		"too old, who is on it stays":  {root.crl(t, times(-2*time.Hour, -6*time.Minute), 2), Unknown, Revoked},
		"a little old":                 {root.crl(t, times(-2*time.Hour, -4*time.Minute), 2), Good, Revoked},
		"from the future":              {root.crl(t, times(6*time.Minute, time.Hour), 2), Unknown, Revoked},
		"from a fast clock":            {root.crl(t, times(4*time.Minute, time.Hour), 2), Good, Revoked},
		"on hold":                      {root.crl(t, func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = onHold }, 2), Good, Revoked},
		"delta":                        {root.crl(t, with(extension(true, []byte{2, 1, 1}, 2, 5, 29, 27)), 2), Unknown, Unknown},
		"critical and unknown":         {root.crl(t, with(extension(true, []byte{5, 0}, 1, 2, 3)), 2), Unknown, Unknown},
		"unknown":                      {root.crl(t, with(extension(false, []byte{5, 0}, 1, 2, 3)), 2), Good, Revoked},
		"of where it is":               {root.crl(t, with(extension(true, point("http://here/crl"), 2, 5, 29, idp)), 2), Good, Revoked},
		"part of somewhere else":       {root.crl(t, with(extension(true, point("http://there/crl"), 2, 5, 29, idp)), 2), Unknown, Revoked},
		"of users":                     {root.crl(t, with(extension(true, tlv(0x30, tlv(0x81, []byte{255})), 2, 5, 29, idp)), 2), Good, Revoked},
		"of authorities":               {root.crl(t, with(extension(true, tlv(0x30, tlv(0x82, []byte{255})), 2, 5, 29, idp)), 2), Unknown, Revoked},
		"of some reasons":              {root.crl(t, with(extension(true, tlv(0x30, tlv(0x83, []byte{6, 64})), 2, 5, 29, idp)), 2), Unknown, Unknown},
		"indirect":                     {root.crl(t, with(extension(true, tlv(0x30, tlv(0x84, []byte{255})), 2, 5, 29, idp)), 2), Unknown, Unknown},
		"of attribute certificates":    {root.crl(t, with(extension(true, tlv(0x30, tlv(0x85, []byte{255})), 2, 5, 29, idp)), 2), Unknown, Unknown},
		"of a name without an address": {root.crl(t, with(extension(true, tlv(0x30, tlv(0xa0, tlv(0xa0, tlv(0xa4, tlv(0x30))))), 2, 5, 29, idp)), 2), Unknown, Unknown},
		"entry of another issuer": {root.crl(t, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{extension(true, tlv(0x30), 2, 5, 29, 29)}
		}, 2), Unknown, Unknown},
		"nothing": {nil, Unknown, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "crl")
			must(t, os.WriteFile(path, test.raw, 0o600))
			c, _ := newChecker(t, Options{Authorities: bundle(root, other), Mode: ModeCRL, CRLs: []string{path}})
			want(t, c, one, test.one)
			want(t, c, two, test.two)
		})
	}
	if _, err := x509.CreateRevocationList(nil, &x509.RevocationList{}, noCRL.cert, noCRL.key); err == nil {
		t.Error("an authority without the right to has made a CRL")
	}
	lying := *noCRL.cert
	lying.KeyUsage |= x509.KeyUsageCRLSign
	if _, err := parseList((&authority{&lying, noCRL.key}).crl(t, nil, 2), authorities{all: []*x509.Certificate{noCRL.cert}}); err == nil {
		t.Error("the CRL of an authority that may sign none was taken")
	}
}

// TestStaleHold: who was on hold on a list that is too old may be no longer.
func TestStaleHold(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	l, err := parseList(root.crl(t, func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = onHold }, 2), authorities{all: []*x509.Certificate{root.cert}})
	must(t, err)
	if v := l.standing(root.card(t, 2, nil), start.Add(2*time.Hour)); v.Status != Unknown {
		t.Errorf("%s", v.Status)
	}
}

// TestIntermediateThatWasRevoked takes its cards with it; one of which nothing
// is known is good.
func TestIntermediateThatWasRevoked(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	middle := newAuthority(t, "middle", root, nil)
	folder := t.TempDir()
	lower, upper := filepath.Join(folder, "lower"), filepath.Join(folder, "upper")
	must(t, os.WriteFile(lower, middle.crl(t, nil), 0o600))
	card := middle.card(t, 1, nil)
	c, _ := newChecker(t, Options{Authorities: bundle(root, middle), Mode: ModeAny, CRLs: []string{lower}})
	want(t, c, card, Good)
	must(t, os.WriteFile(upper, root.crl(t, nil, middle.cert.SerialNumber.Int64()), 0o600))
	c, _ = newChecker(t, Options{Authorities: bundle(root, middle), Mode: ModeAny, CRLs: []string{lower, upper}})
	want(t, c, card, Untrusted)
}

// TestDownload goes to the distribution point of the certificate, keeps what
// it has on disk, and asks again only when it is time.
func TestDownload(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	web := newWeb(t)
	web.serve(root.crl(t, nil, 2))
	at := func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"ldap://127.0.0.1/cn=crl", web.URL + "/crl"}
	}
	one, two := root.card(t, 1, at), root.card(t, 2, at)
	o := Options{Authorities: bundle(root), Mode: ModeCRL, Cache: filepath.Join(t.TempDir(), "crls"), Patience: time.Minute}
	c, _ := newChecker(t, o)
	want(t, c, one, Unknown)
	for range 3 {
		c.Refresh(t.Context(), one.Raw, two.Raw, nil)
		want(t, c, one, Good)
		want(t, c, two, Revoked)
	}
	if n := web.count(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	strange := newAuthority(t, "strange", nil, nil).card(t, 1, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{web.URL + "/strange"} })
	c.Refresh(t.Context(), strange.Raw)
	if n := web.count(); n != 1 {
		t.Error("the address of a strange certificate was asked")
	}
	web.handle(http.NotFound)
	c, clock := newChecker(t, o) // after a restart
	c.Recall(one.Raw, start)
	want(t, c, one, Good)
	want(t, c, two, Revoked)
	if n := web.count(); n != 1 {
		t.Error("asked though it was on disk")
	}
	clock.set(start.Add(2 * time.Hour))
	c.Refresh(t.Context(), one.Raw)
	want(t, c, one, Unknown)
	if n := web.count(); n != 2 {
		t.Errorf("asked %d times, though what is on disk is too old", n)
	}
	c.Refresh(t.Context(), one.Raw)
	if n := web.count(); n != 2 {
		t.Error("asked again at once after a failure")
	}
}

// TestBadDownloads: nothing that a server does gives more than an unknown.
func TestBadDownloads(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	list := root.crl(t, nil, 2)
	elsewhere := newWeb(t)
	elsewhere.serve(list)
	for name, reply := range map[string]http.HandlerFunc{
		"not found": http.NotFound,
		"too large, and says so": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(make([]byte, 5000))
		},
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			for range 50 {
				_, _ = w.Write(make([]byte, 100))
				w.(http.Flusher).Flush()
			}
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(list)
		},
		"sent to another host":   http.RedirectHandler(elsewhere.URL, http.StatusFound).ServeHTTP,
		"sent to another scheme": http.RedirectHandler("file:///etc/passwd", http.StatusFound).ServeHTTP,
		"sent round and round":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := newWeb(t)
			web.handle(reply)
			for _, allow := range []bool{false, true} {
				c, _ := newChecker(t, Options{Authorities: bundle(root), Mode: ModeCRL, CRLs: []string{web.URL}, MaxCRL: 2000, AllowUnknown: allow, Patience: time.Minute})
				card := root.card(t, 1, nil)
				c.Refresh(t.Context(), card.Raw)
				v := c.Check(card.Raw, start)
				if v.Status != Unknown || v.OK() != allow || c.Lists()[0].Err == nil {
					t.Errorf("%+v, allowed %v", v, allow)
				}
			}
		})
	}
	if elsewhere.count() != 0 {
		t.Error("the other host was asked")
	}
}

// TestRedirectOnTheHost is followed.
func TestRedirectOnTheHost(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	list := root.crl(t, nil, 2)
	web := newWeb(t)
	web.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/crl" {
			http.Redirect(w, r, "/newest", http.StatusFound)
			return
		}
		_, _ = w.Write(list)
	})
	c, _ := newChecker(t, Options{Authorities: bundle(root), Mode: ModeCRL, CRLs: []string{web.URL + "/crl"}, Patience: time.Minute})
	c.Load(t.Context())
	want(t, c, root.card(t, 1, nil), Good)
}

// TestSlowDownload: a request waits for no longer than it has patience, and
// what comes afterwards is there for the next.
func TestSlowDownload(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	list := root.crl(t, nil, 2)
	web, gate := newWeb(t), make(chan struct{})
	web.handle(func(w http.ResponseWriter, r *http.Request) {
		<-gate
		_, _ = w.Write(list)
	})
	c, _ := newChecker(t, Options{Authorities: bundle(root), Mode: ModeCRL, CRLs: []string{web.URL}, Patience: 10 * time.Millisecond})
	card := root.card(t, 1, nil)
	c.Refresh(t.Context(), card.Raw)
	want(t, c, card, Unknown)
	c.lists.mu.Lock()
	done := c.lists.sources[web.URL].fetching
	c.lists.mu.Unlock()
	if done == nil {
		t.Fatal("nothing is under way")
	}
	close(gate)
	<-done
	want(t, c, card, Good)
}

// TestOlderList does not replace a newer one.
func TestOlderList(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	web := newWeb(t)
	web.serve(root.crl(t, nil, 2))
	c, clock := newChecker(t, Options{Authorities: bundle(root), Mode: ModeCRL, CRLs: []string{web.URL}, Patience: time.Minute})
	c.Load(t.Context())
	web.serve(root.crl(t, func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = start.Add(-time.Hour), start.Add(24*time.Hour)
	}))
	clock.set(start.Add(50 * time.Minute))
	c.Load(t.Context())
	if n := web.count(); n != 2 {
		t.Fatalf("asked %d times", n)
	}
	want(t, c, root.card(t, 2, nil), Revoked)
	if c.Lists()[0].Err == nil {
		t.Error("nothing is said of it")
	}
}

// TestUnchangedList costs an answer of no content.
func TestUnchangedList(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	list := root.crl(t, func(l *x509.RevocationList) { l.NextUpdate = start.Add(24 * time.Hour) })
	web, whole := newWeb(t), 0
	web.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		whole++
		w.Header().Set("ETag", `"1"`)
		_, _ = w.Write(list)
	})
	c, clock := newChecker(t, Options{Authorities: bundle(root), Mode: ModeCRL, CRLs: []string{web.URL}, Patience: time.Minute})
	for i := range 3 {
		clock.set(start.Add(time.Duration(i) * 2 * time.Hour))
		c.Load(t.Context())
		want(t, c, root.card(t, 1, nil), Good)
	}
	if n := web.count(); n != 3 || whole != 1 {
		t.Errorf("asked %d times, %d times for all of it", n, whole)
	}
}

// TestFileThatChanges is read again.
func TestFileThatChanges(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	path := filepath.Join(t.TempDir(), "crl")
	must(t, os.WriteFile(path, root.crl(t, nil), 0o600))
	c, clock := newChecker(t, Options{Authorities: bundle(root), Mode: ModeCRL, CRLs: []string{path}, Patience: time.Minute})
	card := root.card(t, 2, nil)
	want(t, c, card, Good)
	must(t, os.WriteFile(path, root.crl(t, nil, 2, 3), 0o600))
	clock.set(start.Add(2 * time.Minute))
	c.Load(t.Context())
	want(t, c, card, Revoked)
	must(t, os.Remove(path))
	clock.set(start.Add(4 * time.Minute))
	c.Load(t.Context())
	want(t, c, card, Revoked)
	if c.Lists()[0].Err == nil {
		t.Error("nothing is said of the file that is gone")
	}
}

// answering is an http.RoundTripper for tests without a network.
type answering func(*http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRun keeps a list good in the background, through failures.
func TestRun(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var down atomic.Bool
		client := &http.Client{Transport: answering(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			rec := newRecorder()
			if down.Load() {
				rec.WriteHeader(http.StatusServiceUnavailable)
			} else {
				list := root.crl(t, func(l *x509.RevocationList) {
					l.ThisUpdate, l.NextUpdate = time.Now(), time.Now().Add(4*time.Hour)
				})
				_, _ = rec.Write(list)
			}
			return rec.Result(), nil
		})}
		c, err := New(Options{Authorities: bundle(root), Mode: ModeCRL, CRLs: []string{"http://crl.example/"}, Client: client})
		must(t, err)
		defer c.Close()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Run(ctx) }()
		fresh := func() bool { return c.Lists()[0].Fresh }
		time.Sleep(24 * time.Hour)
		if !fresh() || asked.Load() < 16 || asked.Load() > 48 {
			t.Errorf("after a day: fresh %v, asked %d times", fresh(), asked.Load())
		}
		down.Store(true)
		asked.Store(0)
		time.Sleep(5 * time.Hour)
		if fresh() || asked.Load() > 5*60/3+10 {
			t.Errorf("after hours without: fresh %v, asked %d times", fresh(), asked.Load())
		}
		down.Store(false)
		time.Sleep(retryMost * 2)
		if !fresh() {
			t.Error("not good again")
		}
		stop()
		<-ended
	})
}

// TestSerials finds every serial number on a list and none beside it.
func TestSerials(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	long := new(big.Int).Lsh(big.NewInt(1), 158)
	var entries []x509.RevocationListEntry
	for _, n := range []*big.Int{big.NewInt(1 << 40), long, big.NewInt(7), big.NewInt(256)} {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: start, ReasonCode: 4})
	}
	l, err := parseList(root.crl(t, func(l *x509.RevocationList) { l.RevokedCertificateEntries = entries }), authorities{all: []*x509.Certificate{root.cert}})
	must(t, err)
	for n, want := range map[*big.Int]bool{big.NewInt(7): true, big.NewInt(256): true, big.NewInt(1 << 40): true, long: true, big.NewInt(6): false,
		big.NewInt(1): false, new(big.Int).Lsh(long, 8): false, big.NewInt(-7): false} {
		if reason, found := l.find(&x509.Certificate{SerialNumber: n}); found != want || found && reason != 4 {
			t.Errorf("%v: %v, reason %d", n, found, reason)
		}
	}
}

func FuzzScope(f *testing.F) {
	f.Add(point("http://here/crl"))
	f.Add(tlv(0x30, tlv(0x81, []byte{255})))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		s, err := parseScope(der)
		if err != nil {
			return
		}
		var whole asn1.RawValue
		if _, err := asn1.Unmarshal(der, &whole); err != nil && !strings.Contains(err.Error(), "structure error") {
			t.Errorf("taken though it is not DER: %v", err)
		}
		for _, u := range s.uris {
			if !bytes.Contains(der, []byte(u)) {
				t.Errorf("%q is not in it", u)
			}
		}
	})
}

// FuzzList: whatever is read, nothing is believed that no authority has signed.
func FuzzList(f *testing.F) {
	root := newAuthority(f, "root", nil, nil)
	good := root.crl(f, nil, 2)
	signed, err := x509.ParseRevocationList(good)
	must(f, err)
	f.Add(good)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := parseList(raw, authorities{all: []*x509.Certificate{root.cert}}); err != nil {
			return
		}
		if block, _ := pem.Decode(raw); block != nil {
			raw = block.Bytes
		}
		if !bytes.Contains(raw, signed.RawTBSRevocationList) {
			t.Error("taken though it was never signed")
		}
	})
}

// FuzzEntries: what is read of entries is what crypto/x509 reads.
func FuzzEntries(f *testing.F) {
	root := newAuthority(f, "root", nil, nil)
	f.Add(root.crl(f, nil, 2, 1, 300))
	f.Add(root.crl(f, nil))
	f.Add(root.crl(f, func(l *x509.RevocationList) {
		l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{extension(false, tlv(0x30), 1, 2, 3)}
	}, 2))
	f.Fuzz(func(t *testing.T, raw []byte) {
		crl, entries, err := split(raw)
		if err != nil {
			return
		}
		have, err := rowsOf(entries)
		if err != nil {
			return
		}
		theirs, err := x509.ParseRevocationList(raw)
		if err != nil {
			return
		}
		if have.Len() != len(theirs.RevokedCertificateEntries) || !bytes.Equal(crl.RawTBSRevocationList, theirs.RawTBSRevocationList) ||
			!bytes.Equal(crl.Signature, theirs.Signature) || !crl.NextUpdate.Equal(theirs.NextUpdate) {
			t.Fatalf("%d entries, they have %d", have.Len(), len(theirs.RevokedCertificateEntries))
		}
		l := list{rows: have}
		for _, e := range theirs.RevokedCertificateEntries {
			if _, found := l.find(&x509.Certificate{SerialNumber: e.SerialNumber}); !found {
				t.Errorf("%v was not found", e.SerialNumber)
			}
		}
	})
}
