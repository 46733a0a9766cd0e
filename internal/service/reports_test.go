package service_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

// caller is an application at the other end of HTTP.
type caller struct {
	*unlocktest.Installation
	t       testing.TB
	card    emulator.State
	who     api.Credentials
	nonce   []byte
	private hpke.PrivateKey
}

// installed is a service with one card.
func installed(t testing.TB, config func(*unlock.Config)) (*unlocktest.Installation, *emulator.Card) {
	t.Helper()
	x := unlocktest.New(t, unlocktest.Options{Clock: true, Config: config})
	c, err := emulator.New(emulator.Options{PUK: "73519264", Now: x.Now()})
	if err != nil {
		t.Fatal(err)
	}
	x.Enrol(t, c)
	return x, c
}

func (c *caller) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// startRequest is what an application of now sends.
func (c *caller) startRequest() api.StartRequest {
	var err error
	c.private, err = hpke.DHKEM(ecdh.X25519()).GenerateKey()
	c.must(err)
	return api.StartRequest{Application: "1.0.0", APIVersion: api.Version, Purpose: api.PurposeLocked, Workstation: "ward-7",
		Card: api.Card{Family: "piv", ID: c.card.GUID}, PublicKey: c.private.PublicKey().Bytes()}
}

// verified goes as far as the new passcode.
func verified(t testing.TB, x *unlocktest.Installation, card *emulator.Card) *caller {
	t.Helper()
	c := &caller{Installation: x, t: t, card: card.State()}
	s, err := x.Client.Start(t.Context(), c.startRequest())
	c.must(err)
	c.who, c.nonce = api.Credentials{ID: s.ID, Token: s.Token}, s.Nonce
	_, err = x.Client.Prove(t.Context(), c.who, api.ProofRequest{Slot: "9E", Signature: c.sign(c.proof(api.PurposeCardProof, 0))})
	c.must(err)
	_, err = x.Client.SendCode(t.Context(), c.who, api.CodeRequest{Method: api.MethodEmail, Address: unlocktest.Email})
	c.must(err)
	_, err = x.Client.CheckCode(t.Context(), c.who, api.CodeCheck{Code: x.Code(t)})
	c.must(err)
	return c
}

func (c *caller) proof(p api.ProofPurpose, step int) [32]byte {
	return api.ProofDigest(p, "test", c.who.ID, c.private.PublicKey().Bytes(), c.nonce, step)
}

// sign has the card authentication key sign.
func (c *caller) sign(digest [32]byte) []byte {
	c.t.Helper()
	for _, k := range c.card.Keys {
		if k.Slot != "9E" {
			continue
		}
		key, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		c.must(err)
		signature, err := key.(crypto.Signer).Sign(rand.Reader, digest[:], crypto.SHA256)
		c.must(err)
		return signature
	}
	c.t.Fatal("the card has no key 9E")
	return nil
}

func (c *caller) release() api.Envelope {
	c.t.Helper()
	e, err := c.Client.Release(c.t.Context(), c.who, api.ReleaseRequest{Step: 1, CardID: c.card.GUID, Slot: "9E",
		Signature: c.sign(c.proof(api.PurposeRelease, 1))})
	c.must(err)
	return e
}

// unlocked is a report that the card holds the next key, signed by the card
// for this session.
func (c *caller) unlocked(epoch int64) api.Report {
	r := api.Report{Step: 1, Epoch: epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext, Slot: "9E"}
	r.Signature = c.sign(api.OutcomeDigest("test", c.who.ID, c.card.GUID, r))
	return r
}

func (c *caller) report(r api.Report) (api.Reported, error) {
	return c.Client.Report(c.t.Context(), c.who, r)
}

// TestReportsOverHTTP: only the card's own signature for this session, step
// and epoch moves its keys; everything else is refused with a code of its own
// or counts as a claim.
func TestReportsOverHTTP(t *testing.T) {
	for name, test := range map[string]struct {
		send func(c, other *caller, e api.Envelope) (api.Reported, error)
		code problem.Code
		want api.Reported
		keys int // candidates afterwards
	}{
		"true": {func(c, _ *caller, e api.Envelope) (api.Reported, error) { return c.report(c.unlocked(e.Epoch)) },
			"", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"forged": {func(c, _ *caller, e api.Envelope) (api.Reported, error) {
			r := c.unlocked(e.Epoch)
			r.Signature = c.sign([32]byte{1})
			return c.report(r)
		}, problem.ProofWrong, api.Reported{}, 2},
		"signature of the release": {func(c, _ *caller, e api.Envelope) (api.Reported, error) {
			r := c.unlocked(e.Epoch)
			r.Signature = c.sign(c.proof(api.PurposeRelease, 1))
			return c.report(r)
		}, problem.ProofWrong, api.Reported{}, 2},
		"unproven": {func(c, _ *caller, e api.Envelope) (api.Reported, error) {
			return c.report(api.Report{Step: 1, Epoch: e.Epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext})
		}, "", api.Reported{State: api.StateUnlocked}, 2},
		"late": {func(c, _ *caller, e api.Envelope) (api.Reported, error) {
			c.Advance(24 * time.Hour)
			return c.report(c.unlocked(e.Epoch))
		}, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"late, of an epoch that has passed": {func(c, _ *caller, e api.Envelope) (api.Reported, error) {
			_, err := c.report(c.unlocked(e.Epoch))
			c.must(err)
			return c.report(api.Report{Step: 1, Epoch: e.Epoch, Outcome: api.OutcomeBlocked, Holds: api.HoldsUnknown})
		}, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"doubled": {func(c, _ *caller, e api.Envelope) (api.Reported, error) {
			first, err := c.report(c.unlocked(e.Epoch))
			c.must(err)
			second, err := c.report(c.unlocked(e.Epoch))
			if first != second {
				c.t.Errorf("%+v, then %+v", first, second)
			}
			return second, err
		}, "", api.Reported{State: api.StateUnlocked, Proven: true}, 1},
		"another session's signature": {func(c, other *caller, e api.Envelope) (api.Reported, error) {
			return c.report(other.unlocked(e.Epoch))
		}, problem.ProofWrong, api.Reported{}, 2},
		"another session's token": {func(c, other *caller, e api.Envelope) (api.Reported, error) {
			r := c.unlocked(e.Epoch)
			c.who.Token = other.who.Token
			return c.report(r)
		}, problem.SessionUnknown, api.Reported{}, 2},
		"to another session": {func(c, other *caller, e api.Envelope) (api.Reported, error) {
			r := c.unlocked(e.Epoch)
			c.who = other.who
			return c.report(r)
		}, problem.ReportMismatch, api.Reported{}, 2},
		"another epoch": {func(c, _ *caller, e api.Envelope) (api.Reported, error) { return c.report(c.unlocked(e.Epoch + 1)) },
			problem.ReportMismatch, api.Reported{}, 2},
		"no such outcome": {func(c, _ *caller, e api.Envelope) (api.Reported, error) {
			return c.report(api.Report{Step: 1, Epoch: e.Epoch, Outcome: "splendid", Holds: api.HoldsNext})
		}, problem.RequestMalformed, api.Reported{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, card := installed(t, nil)
			other := verified(t, x, card)
			c := verified(t, x, card)
			e := c.release()
			key := x.Candidates(t, card)
			got, err := test.send(c, other, e)
			if problem.CodeOf(err) != test.code || err == nil && got != test.want {
				t.Errorf("%+v %v, want %+v %s", got, err, test.want, test.code)
			}
			after := x.Candidates(t, card)
			if len(after) != test.keys || after[len(after)-1] != key[1] {
				t.Errorf("%d candidates, want %d, the pending key among them", len(after), test.keys)
			}
		})
	}
}

// TestReleasesAreIdempotentOverHTTP: an answer that got lost on the way is
// there again, byte for byte, and makes no other key.
func TestReleasesAreIdempotentOverHTTP(t *testing.T) {
	x, card := installed(t, nil)
	c := verified(t, x, card)
	first, keys := c.release(), x.Candidates(t, card)
	second := c.release()
	if !slices.Equal(first.Sealed, second.Sealed) || !slices.Equal(keys, x.Candidates(t, card)) || len(keys) != 2 {
		t.Error("asked again, another answer came")
	}
}

// TestWithoutTheToken: each call of a session needs its token, and whoever has
// none learns nothing of which sessions there are.
func TestWithoutTheToken(t *testing.T) {
	x, card := installed(t, nil)
	c := verified(t, x, card)
	for _, r := range routes {
		if !ofASession(r.path) {
			continue
		}
		var answers []string
		for _, id := range []string{c.who.ID, "aaaaaaaaaaaaaaaaaaaa", "%00", "..%2f..", strings.Repeat("a", 400)} {
			for _, token := range []string{"", "Bearer", "Bearer ", "Bearer " + c.who.Token + "x", c.who.Token, "Basic " + c.who.Token} {
				q, err := http.NewRequestWithContext(t.Context(), r.method, x.Client.Address()+strings.Replace(r.path, "/s1", "/"+id, 1), strings.NewReader(r.body))
				c.must(err)
				q.Header.Set("Content-Type", "application/json")
				q.Header.Set("Authorization", token)
				answers = append(answers, ask(t, q, problem.SessionUnknown))
			}
		}
		if slices.Sort(answers); len(slices.Compact(answers)) != 1 {
			t.Errorf("%s %s: answers differ: %q", r.method, r.path, answers)
		}
	}
	if s, err := x.Client.Session(t.Context(), c.who); err != nil || s.State != api.StateVerified {
		t.Errorf("the session is %+v, %v", s, err)
	}
}

// ask makes a request that a problem must answer, and gives the document.
func ask(t testing.TB, q *http.Request, code problem.Code) string {
	t.Helper()
	w, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(w.Body).Decode(&raw); err != nil {
		t.Fatal(err)
	}
	if p := problem.Decode(w.StatusCode, raw); p.Code != code {
		t.Errorf("%s %s: %v, want %s", q.Method, q.URL, p, code)
	}
	return string(raw)
}

// TestVersionsOverHTTP: an application that is too old, and one that is too
// new, is told so and where to get another.
func TestVersionsOverHTTP(t *testing.T) {
	x, card := installed(t, func(c *unlock.Config) { c.MinApplication, c.UpdateURL = "1.2.0", "https://unlock.example.org/get" })
	c := &caller{Installation: x, t: t, card: card.State()}
	for name, test := range map[string]struct {
		application string
		version     int
		code        problem.Code
	}{
		"old application": {"1.1.99", api.Version, problem.OldApplication},
		"no version":      {"", api.Version, problem.OldApplication},
		"old API":         {"1.2.0", api.Version - 1, problem.OldApplication},
		"newer API":       {"9.0.0", api.Version + 1, problem.NewerService},
		"just new enough": {"1.2.0", api.Version, ""},
	} {
		r := c.startRequest()
		r.Application, r.APIVersion = test.application, test.version
		_, err := x.Client.Start(t.Context(), r)
		var p *problem.Problem
		if problem.CodeOf(err) != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
		if errors.As(err, &p) && p.Code == problem.OldApplication && !strings.Contains(p.What(), "https://unlock.example.org/get") {
			t.Errorf("%s: does not say where the newer one is: %q", name, p.What())
		}
	}
}
