package trust

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ocsp"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// TestAnswers: what each answer makes of a card, and whether it is asked for
// again at once.
func TestAnswers(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	other := newAuthority(t, "other", nil, nil)
	twin := newAuthority(t, "root", nil, nil)
	web := newWeb(t)
	at := func(c *x509.Certificate) { c.OCSPServer = []string{"ldap://127.0.0.1/", web.URL} }
	card := root.card(t, 7, at)
	good := root.answer(t, card, nil, nil)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	times := func(this, next time.Duration) func(*ocsp.Response) {
		return func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = start.Add(this), start.Add(next) }
	}
	delegate := func(change func(*x509.Certificate)) []byte {
		return root.answer(t, card, root.delegate(t, change), nil)
	}
	status := func(n int) func(*ocsp.Response) {
		return func(r *ocsp.Response) { r.Status, r.RevokedAt, r.RevocationReason = n, start, ocsp.KeyCompromise }
	}
	for name, test := range map[string]struct {
		raw  []byte
		want Status
	}{
		"good":                            {good, Good},
		"good, by SHA-256":                {root.answer(t, card, nil, func(r *ocsp.Response) { r.IssuerHash = crypto.SHA256 }), Good},
		"good, with the issuer along":     {root.answer(t, card, root, nil), Good},
		"revoked":                         {root.answer(t, card, nil, status(ocsp.Revoked)), Revoked},
		"not known":                       {root.answer(t, card, nil, status(ocsp.Unknown)), Unknown},
		"forged":                          {forged, Unknown},
		"of another authority":            {other.answer(t, card, nil, nil), Unknown},
		"of a false name":                 {twin.answer(t, card, nil, nil), Unknown},
		"of another authority, along":     {root.answer(t, card, other, nil), Unknown},
		"about another serial":            {root.answer(t, root.card(t, 8, nil), nil, nil), Unknown},
		"about another issuer's":          {forOther(t, root, other, card), Unknown},
		"delegated":                       {delegate(nil), Good},
		"delegated, not for OCSP":         {delegate(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), Unknown},
		"delegated, for anything":         {delegate(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), Unknown},
		"delegated, over":                 {delegate(func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Minute) }), Unknown},
		"delegated, not begun":            {delegate(func(c *x509.Certificate) { c.NotBefore = start.Add(time.Minute) }), Unknown},
		"delegated, a key for other work": {delegate(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), Unknown},
		"delegated by another":            {root.answer(t, card, other.delegate(t, nil), nil), Unknown},
		"delegated by a false name":       {root.answer(t, card, twin.delegate(t, nil), nil), Unknown},
		"too old":                         {root.answer(t, card, nil, times(-time.Hour, -6*time.Minute)), Unknown},
		"a little old":                    {root.answer(t, card, nil, times(-time.Hour, -4*time.Minute)), Good},
		"from the future":                 {root.answer(t, card, nil, times(6*time.Minute, time.Hour)), Unknown},
		"from a fast clock":               {root.answer(t, card, nil, times(4*time.Minute, time.Hour)), Good},
		"without an end":                  {root.answer(t, card, nil, func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), Good},
		"without an end, of last week": {root.answer(t, card, nil, func(r *ocsp.Response) {
			r.ThisUpdate, r.NextUpdate = start.AddDate(0, 0, -7), time.Time{}
		}), Unknown},
		"later":       {ocsp.TryLaterErrorResponse, Unknown},
		"nothing":     {nil, Unknown},
		"too large":   {append(bytes.Clone(good), make([]byte, maxAnswer)...), Unknown},
		"and garbage": {append(bytes.Clone(good), 0), Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			web := newWeb(t) // one for each, so that they do not wait for each other
			web.handle(func(w http.ResponseWriter, r *http.Request) {
				raw, _ := io.ReadAll(r.Body)
				if q, err := ocsp.ParseRequest(raw); err != nil || q.SerialNumber.Cmp(card.SerialNumber) != 0 || r.Header.Get("Content-Type") != "application/ocsp-request" {
					t.Errorf("asked %v: %v", q, err)
				}
				_, _ = w.Write(test.raw)
			})
			c, _ := newChecker(t, Options{Authorities: bundle(root, other), Mode: ModeOCSP, OCSP: web.URL, Patience: time.Minute})
			want(t, c, card, Unknown)
			for range 3 {
				c.Refresh(t.Context(), card.Raw)
				want(t, c, card, test.want)
			}
			if n := web.count(); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	web.serve(good)
	c, _ := newChecker(t, Options{Authorities: bundle(root), Mode: ModeOCSP, Patience: time.Minute})
	c.Refresh(t.Context(), card.Raw)
	want(t, c, card, Good) // from the responder that the certificate names
}

// forOther is an answer that is signed by one authority about another one's
// certificate with the same serial number.
func forOther(t *testing.T, signer, other *authority, card *x509.Certificate) []byte {
	t.Helper()
	raw, err := ocsp.CreateResponse(other.cert, signer.cert, ocsp.Response{Status: ocsp.Good, SerialNumber: card.SerialNumber,
		ThisUpdate: start.Add(-time.Minute), NextUpdate: start.Add(time.Hour)}, signer.key)
	must(t, err)
	return raw
}

// TestAnswerIsKept until its end, and no longer.
func TestAnswerIsKept(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	web := newWeb(t)
	card := root.card(t, 7, nil)
	web.serve(root.answer(t, card, nil, nil))
	c, clock := newChecker(t, Options{Authorities: bundle(root), Mode: ModeOCSP, OCSP: web.URL, Patience: time.Minute})
	c.Refresh(t.Context(), card.Raw)
	clock.set(start.Add(59 * time.Minute))
	c.Refresh(t.Context(), card.Raw)
	want(t, c, card, Good)
	if n := web.count(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	clock.set(start.Add(66 * time.Minute))
	want(t, c, card, Unknown)
	web.serve(root.answer(t, card, nil, func(r *ocsp.Response) {
		r.Status, r.RevokedAt, r.ThisUpdate, r.NextUpdate = ocsp.Revoked, clock.Now(), clock.Now(), clock.Now().Add(time.Hour)
	}))
	c.Refresh(t.Context(), card.Raw)
	want(t, c, card, Revoked)
}

// TestResponderThatIsDown costs one session a little time, not each.
func TestResponderThatIsDown(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	web := newWeb(t)
	web.handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	for _, allow := range []bool{false, true} {
		c, clock := newChecker(t, Options{Authorities: bundle(root), Mode: ModeOCSP, OCSP: web.URL, AllowUnknown: allow, Patience: time.Minute})
		before := web.count()
		for n := range int64(5) {
			card := root.card(t, n+1, nil)
			c.Refresh(t.Context(), card.Raw)
			if v := c.Check(card.Raw, start); v.Status != Unknown || v.OK() != allow {
				t.Errorf("%+v, allowed %v", v, allow)
			}
		}
		clock.set(start.Add(askAgain))
		c.Refresh(t.Context(), root.card(t, 1, nil).Raw)
		if n := web.count() - before; n != 2 {
			t.Errorf("asked %d times", n)
		}
	}
}

// TestSlowResponder: nobody waits longer than there is patience.
func TestSlowResponder(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	card := root.card(t, 7, nil)
	good := root.answer(t, card, nil, nil)
	web, gate := newWeb(t), make(chan struct{})
	web.handle(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-gate
		_, _ = w.Write(good)
	})
	c, _ := newChecker(t, Options{Authorities: bundle(root), Mode: ModeOCSP, OCSP: web.URL, Patience: 10 * time.Millisecond})
	c.Refresh(t.Context(), card.Raw)
	want(t, c, card, Unknown)
	done := c.ask(card, root.cert) // the one that is under way
	close(gate)
	<-done
	want(t, c, card, Good)
	if n := web.count(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestAny takes what either knows; revoked wins.
func TestAny(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	card := root.card(t, 7, nil)
	good := root.answer(t, card, nil, nil)
	revoked := root.answer(t, card, nil, func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, start })
	for name, test := range map[string]struct {
		list, answer []byte
		want         Status
		asks         int // the list is looked at first
	}{
		"both good":         {root.crl(t, nil), good, Good, 0},
		"on the list":       {root.crl(t, nil, 7), good, Revoked, 0},
		"the list is bad":   {nil, good, Good, 1},
		"only OCSP knows":   {nil, revoked, Revoked, 1},
		"neither knows":     {nil, nil, Unknown, 1},
		"OCSP down, listed": {root.crl(t, nil, 7), nil, Revoked, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "crl")
			must(t, os.WriteFile(path, test.list, 0o600))
			web := newWeb(t)
			web.serve(test.answer)
			c, _ := newChecker(t, Options{Authorities: bundle(root), Mode: ModeAny, CRLs: []string{path}, OCSP: web.URL, Patience: time.Minute})
			c.Refresh(t.Context(), card.Raw)
			want(t, c, card, test.want)
			if n := web.count(); n != test.asks {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// TestRoomForAnswers is bounded.
func TestRoomForAnswers(t *testing.T) {
	t.Parallel()
	as := answers{known: map[string]answer{}}
	for i := range maxKnown {
		as.known[big.NewInt(int64(i)).String()] = answer{status: Good, thisUpdate: start, nextUpdate: start.Add(time.Hour)}
	}
	as.makeRoom(start)
	if n := len(as.known); n != maxKnown*9/10 {
		t.Errorf("%d answers are left", n)
	}
	as.makeRoom(start.Add(2 * time.Hour))
	if len(as.known) != 0 {
		t.Error("answers that are over are left")
	}
}

// TestFigures: what operators watch is there.
func TestFigures(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root", nil, nil)
	path := filepath.Join(t.TempDir(), "crl")
	must(t, os.WriteFile(path, root.crl(t, nil, 7), 0o600))
	c, _ := newChecker(t, Options{Authorities: bundle(root), Mode: ModeCRL, CRLs: []string{path}})
	want(t, c, root.card(t, 7, nil), Revoked)
	r := prometheus.NewPedanticRegistry()
	must(t, r.Register(c))
	families, err := r.Gather()
	must(t, err)
	have := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() != "place" {
					name += " " + l.GetValue()
				}
			}
			have[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, value := range map[string]float64{"latchkey_card_certificates_total revoked": 1, "latchkey_card_certificates_total good": 0,
		"latchkey_crl_seconds_left": 3600, "latchkey_revocation_fetches_total crl file good": 1} {
		if got, ok := have[name]; !ok || got != value {
			t.Errorf("%s is %v (%v), want %v", name, got, ok, value)
		}
	}
}

// FuzzAnswer: whatever comes, nothing is believed that the issuer has not
// signed.
func FuzzAnswer(f *testing.F) {
	root := newAuthority(f, "root", nil, nil)
	card := root.card(f, 7, nil)
	good := root.answer(f, card, nil, nil)
	delegated := root.answer(f, card, root.delegate(f, nil), nil)
	var signed [][]byte
	for _, raw := range [][]byte{good, delegated} {
		r, err := ocsp.ParseResponseForCert(raw, card, nil)
		must(f, err)
		signed = append(signed, r.TBSResponseData)
		f.Add(raw)
	}
	f.Add(ocsp.TryLaterErrorResponse)
	f.Fuzz(func(t *testing.T, raw []byte) {
		_ = aboutIssuer(raw, card.SerialNumber, root.cert) // must not panic
		if _, err := parseAnswer(raw, card, root.cert, start); err != nil {
			return
		}
		if !bytes.Contains(raw, signed[0]) && !bytes.Contains(raw, signed[1]) {
			t.Error("taken though it was never signed")
		}
	})
}
