package unlock_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/trust"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

// cardCA is an authority of cards with a responder and a CRL.
type cardCA struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	status  atomic.Int64 // ocsp.Good, ocsp.Revoked, ocsp.Unknown, or below 0: the responder is down
	asked   atomic.Int64
	address string
}

func newCardCA(t *testing.T) *cardCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Cards"}, NotBefore: time.Now().AddDate(-9, 0, 0),
		NotAfter: time.Now().AddDate(20, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	fatal(t, err)
	ca := &cardCA{key: key}
	ca.cert, err = x509.ParseCertificate(der)
	fatal(t, err)
	server := httptest.NewServer(http.HandlerFunc(ca.answer))
	t.Cleanup(server.Close)
	ca.address = server.URL
	return ca
}

func (ca *cardCA) answer(w http.ResponseWriter, r *http.Request) {
	ca.asked.Add(1)
	raw, _ := io.ReadAll(r.Body)
	q, err := ocsp.ParseRequest(raw)
	status := int(ca.status.Load())
	if err != nil || status < 0 {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	raw, err = ocsp.CreateResponse(ca.cert, ca.cert, ocsp.Response{Status: status, SerialNumber: q.SerialNumber, RevokedAt: time.Now(),
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}, ca.key)
	if err == nil {
		_, _ = w.Write(raw) // the client may be gone
	}
}

// checker judges by the authority, with its responder.
func (ca *cardCA) checker(t *testing.T, change func(*trust.Options)) *trust.Checker {
	t.Helper()
	o := trust.Options{Authorities: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), Mode: trust.ModeOCSP, OCSP: ca.address,
		Patience: time.Minute}
	if change != nil {
		change(&o)
	}
	c, err := trust.New(o)
	fatal(t, err)
	t.Cleanup(c.Close)
	return c
}

func (ca *cardCA) card(t *testing.T, o emulator.Options) *emulator.Card {
	t.Helper()
	o.Issuer, o.IssuerKey = ca.cert, ca.key
	return newCard(t, o)
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCardWithAGoodCertificate is unlocked, and each of its certificates was
// asked about once.
func TestCardWithAGoodCertificate(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		ca := newCardCA(t)
		x := unlocktest.New(t, unlocktest.Options{Database: database, Trust: ca.checker(t, nil)})
		c := ca.card(t, emulator.Options{})
		x.Enrol(t, c)
		v := verified(t, x, c)
		_, e, err := v.release(1)
		v.must(err)
		done, err := v.report(v.signed("9E", api.Report{Step: 1, Epoch: e.Epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}))
		v.must(err)
		if !done.Proven || done.State != api.StateUnlocked {
			t.Errorf("%+v", done)
		}
		if n := ca.asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestCardsThatAreRefused get a reason once they have proven themselves; before
// that nobody is asked, and all get the one answer (R4).
func TestCardsThatAreRefused(t *testing.T) {
	t.Parallel()
	list := func(t *testing.T, ca *cardCA, serial *big.Int) string {
		raw, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: time.Now()}}}, ca.cert, ca.key)
		fatal(t, err)
		path := filepath.Join(t.TempDir(), "crl")
		fatal(t, os.WriteFile(path, raw, 0o600))
		return path
	}
	long := emulator.Options{Now: time.Now().AddDate(-5, 0, 0), NotAfter: time.Now().Add(-time.Hour)}
	for name, test := range map[string]struct {
		card    emulator.Options
		strange bool
		status  int64
		slot    string // whose certificate is on the CRL, "" for OCSP
		code    problem.Code
		state   api.State
	}{
		"expired":                    {card: long, code: problem.CardExpired, state: api.StateFailed},
		"of a strange issuer":        {strange: true, code: problem.CertUntrusted, state: api.StateFailed},
		"revoked by OCSP":            {status: ocsp.Revoked, code: problem.CertRevoked, state: api.StateFailed},
		"9E on the CRL":              {slot: "9E", code: problem.CertRevoked, state: api.StateFailed},
		"9A on the CRL":              {slot: "9A", code: problem.CertRevoked, state: api.StateFailed},
		"the responder is down":      {status: -1, code: problem.CertUnknown, state: api.StateStarted},
		"the responder doesn't know": {status: ocsp.Unknown, code: problem.CertUnknown, state: api.StateStarted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newCardCA(t)
			ca.status.Store(test.status)
			c := ca.card(t, test.card)
			if test.strange {
				c = newCardCA(t).card(t, test.card)
			}
			checker := ca.checker(t, func(o *trust.Options) {
				if test.slot != "" {
					cert, err := x509.ParseCertificate(certificate(c.State(), test.slot))
					fatal(t, err)
					o.Mode, o.CRLs = trust.ModeCRL, []string{list(t, ca, cert.SerialNumber)}
				}
			})
			x := unlocktest.New(t, unlocktest.Options{Trust: checker})
			x.Enrol(t, c)
			liar := visit(t, x, c)
			_, err := x.Sessions.Prove(t.Context(), liar.who, api.ProofRequest{Slot: "9E", Signature: []byte("no signature")})
			wantCode(t, err, problem.CardNotServed)
			if n := ca.asked.Load(); n != 0 {
				t.Errorf("asked %d times about a card that has not signed", n)
			}
			v := visit(t, x, c)
			_, err = v.prove()
			wantCode(t, err, test.code)
			if v.state() != test.state {
				t.Errorf("the session is %s", v.state())
			}
			action := audit.SessionRefused
			if test.code == problem.CertUnknown {
				action = audit.CardNotTrusted
			}
			if got := v.details(action); got["code"] != string(test.code) || test.code != problem.CardExpired && got["certificate"] == "" {
				t.Errorf("the trail tells %v", got)
			}
		})
	}
}

// details are those of the last event of an action in the session.
func (v *visitor) details(action string) (out map[string]string) {
	v.must(v.DB.View(v.t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(v.t.Context(), "test", 0, func(e store.AuditEvent) error {
			if e.Session == v.who.ID && e.Action == action {
				out = e.Details
			}
			return nil
		})
	}))
	return out
}

// TestUnknownThatIsAllowed goes on.
func TestUnknownThatIsAllowed(t *testing.T) {
	t.Parallel()
	ca := newCardCA(t)
	ca.status.Store(-1)
	x := unlocktest.New(t, unlocktest.Options{Trust: ca.checker(t, func(o *trust.Options) { o.AllowUnknown = true })})
	c := ca.card(t, emulator.Options{})
	x.Enrol(t, c)
	v := verified(t, x, c)
	_, _, err := v.release(1)
	v.must(err)
}

// TestUnknownCanBeTriedAgain in the same session, and goes into the trail a few
// times only.
func TestUnknownCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	x, c, judge := judged(t)
	x.Enrol(t, c)
	judge.set(trust.Unknown)
	v := visit(t, x, c)
	for range 9 {
		_, err := v.prove()
		wantCode(t, err, problem.CertUnknown)
	}
	n := 0
	for _, a := range v.actions() {
		if a == audit.CardNotTrusted {
			n++
		}
	}
	if n != 5 {
		t.Errorf("%d entries of the trail", n)
	}
	judge.set(trust.Good)
	_, err := v.prove()
	v.must(err)
}

// judge is an unlock.Trust that says what the test wants.
type judge struct {
	mu        sync.Mutex
	status    trust.Status
	refreshed int
}

func (j *judge) set(s trust.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.status = s
}

func (j *judge) Refresh(_ context.Context, certs ...[]byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refreshed += len(slices.DeleteFunc(certs, func(c []byte) bool { return len(c) == 0 }))
}

func (j *judge) Check([]byte, time.Time) trust.Verdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	return trust.Verdict{Status: j.status, Why: "the test says so"}
}

func judged(t *testing.T) (*unlocktest.Installation, *emulator.Card, *judge) {
	t.Helper()
	j := &judge{status: trust.Good}
	return unlocktest.New(t, unlocktest.Options{Trust: j}), newCard(t, emulator.Options{}), j
}

// TestRevokedInTheMiddle: the release is refused; once keys are out an unknown
// is no obstacle, and what a revoked card signs proves nothing.
func TestRevokedInTheMiddle(t *testing.T) {
	t.Parallel()
	x, c, judge := judged(t)
	x.Enrol(t, c)
	v := verified(t, x, c)
	for status, code := range map[trust.Status]problem.Code{trust.Revoked: problem.CertRevoked, trust.Unknown: problem.CertUnknown,
		trust.Untrusted: problem.CertUntrusted, trust.Expired: problem.CardExpired} {
		judge.set(status)
		_, _, err := v.release(1)
		wantCode(t, err, code)
		if got := v.details(audit.CardNotTrusted); got["code"] != string(code) || got["certificate"] != string(status)+": the test says so" {
			t.Errorf("the trail tells %v", got)
		}
	}
	if keys := x.Candidates(t, c); len(keys) != 1 {
		t.Error("a key was released")
	}
	judge.set(trust.Good)
	_, e, err := v.release(1)
	v.must(err)
	judge.set(trust.Unknown)
	_, _, err = v.release(1)
	v.must(err)
	judge.set(trust.Revoked)
	done, err := v.report(v.signed("9E", api.Report{Step: 1, Epoch: e.Epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}))
	v.must(err)
	if done.Proven || len(x.Candidates(t, c)) != 2 {
		t.Errorf("%+v, %d candidates: no key is to be forgotten", done, len(x.Candidates(t, c)))
	}
}

// TestCardThatCannotProveItself is refused where its other certificate is known
// to be bad; what has to be asked for is asked before the release.
func TestCardThatCannotProveItself(t *testing.T) {
	t.Parallel()
	for status, code := range map[trust.Status]problem.Code{trust.Revoked: problem.CardNotServed, trust.Expired: problem.CardNotServed,
		trust.Untrusted: problem.CardNotServed, trust.Unknown: problem.CertUnknown} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			j := &judge{status: status}
			x := unlocktest.New(t, unlocktest.Options{Trust: j})
			c := newCard(t, emulator.Options{NoCardAuth: true})
			x.Enrol(t, c)
			v := visit(t, x, c)
			_, err := x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{})
			if code == problem.CardNotServed {
				wantCode(t, err, code)
				if got := v.details(audit.SessionRefused)["certificate"]; got == "" {
					t.Error("the trail does not say why")
				}
				return
			}
			v.must(err)
			if j.refreshed != 0 {
				t.Error("asked about a card that has not signed")
			}
			_, err = v.send(unlocktest.Email)
			v.must(err)
			v.must(v.check(v.Code(t)))
			_, _, err = v.release(1)
			wantCode(t, err, code)
			if j.refreshed != 1 {
				t.Errorf("asked %d times", j.refreshed)
			}
			j.set(trust.Good)
			_, _, err = v.release(1)
			v.must(err)
		})
	}
}

// TestCertificateThatACardBringsIsJudged: the authorities count, whatever
// card_roots says.
func TestCertificateThatACardBringsIsJudged(t *testing.T) {
	t.Parallel()
	for i, test := range []struct {
		status  int64
		strange bool
		learned bool
	}{{ocsp.Good, false, true}, {ocsp.Revoked, false, false}, {-1, false, false}, {ocsp.Good, true, false}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			ca, issuer := newCardCA(t), newCardCA(t)
			if !test.strange {
				issuer = ca
			}
			ca.status.Store(test.status)
			roots := x509.NewCertPool()
			roots.AddCert(issuer.cert)
			x := unlocktest.New(t, unlocktest.Options{Trust: ca.checker(t, nil), Config: func(c *unlock.Config) { c.Roots = roots }})
			c := issuer.card(t, emulator.Options{})
			x.EnrolBare(t, c)
			v := visit(t, x, c)
			digest := api.ProofDigest(api.PurposeCardProof, "test", v.who.ID, v.private.PublicKey().Bytes(), v.nonce, 0)
			_, err := x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{Slot: "9E", Certificate: certificate(v.card, "9E"), Signature: v.sign("9E", digest)})
			if learned := len(x.Card(t, c).CardAuthCert) > 0; learned != test.learned {
				t.Errorf("learned: %v (%v)", learned, err)
			}
			if test.learned {
				v.must(err)
			}
		})
	}
}
