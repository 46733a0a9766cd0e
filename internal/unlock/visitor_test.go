package unlock_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
	"latchkey/internal/store/storetest"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// on runs a test on both databases.
func on(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, "") })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, storetest.PostgreSQL(t)) })
}

// visitor is somebody at a workstation with a card.
type visitor struct {
	*unlocktest.Installation
	t       testing.TB
	card    emulator.State
	network string
	who     unlock.Credentials
	private hpke.PrivateKey
	nonce   []byte
}

func newCard(t testing.TB, o emulator.Options) *emulator.Card {
	t.Helper()
	o.PUK = "73519264"
	c, err := emulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// visit starts a session for a card.
func visit(t testing.TB, x *unlocktest.Installation, c *emulator.Card) *visitor {
	t.Helper()
	v := &visitor{Installation: x, t: t, card: c.State(), network: "192.0.2.7"}
	v.must(v.start())
	return v
}

func (v *visitor) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *visitor) request() api.StartRequest {
	var err error
	v.private, err = hpke.DHKEM(ecdh.X25519()).GenerateKey()
	v.must(err)
	return api.StartRequest{Application: "1.0.0", APIVersion: api.Version, Purpose: api.PurposeLocked, Workstation: "ward-7",
		Card: api.Card{Family: "piv", ID: v.card.GUID}, PublicKey: v.private.PublicKey().Bytes()}
}

func (v *visitor) start() error {
	s, err := v.Sessions.Start(v.t.Context(), v.request(), v.network)
	v.who, v.nonce = unlock.Credentials{ID: s.ID, Token: s.Token}, s.Nonce
	return err
}

// sign has the card's key in a slot sign a digest, nil where there is none.
func (v *visitor) sign(slot string, digest [32]byte) []byte {
	v.t.Helper()
	for _, k := range v.card.Keys {
		if k.Slot != slot {
			continue
		}
		key, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
		v.must(err)
		signature, err := key.(crypto.Signer).Sign(rand.Reader, digest[:], crypto.SHA256)
		v.must(err)
		return signature
	}
	return nil
}

func (v *visitor) prove() (api.Session, error) {
	digest := api.ProofDigest(api.PurposeCardProof, "test", v.who.ID, v.private.PublicKey().Bytes(), v.nonce, 0)
	return v.Sessions.Prove(v.t.Context(), v.who, api.ProofRequest{Slot: "9E", Signature: v.sign("9E", digest)})
}

func (v *visitor) send(address string) (api.CodeSent, error) {
	return v.Sessions.SendCode(v.t.Context(), v.who, api.CodeRequest{Method: api.MethodEmail, Address: address})
}

func (v *visitor) check(code string) error {
	_, err := v.Sessions.CheckCode(v.t.Context(), v.who, api.CodeCheck{Code: code})
	return err
}

// identified goes as far as the choice of method.
func identified(t testing.TB, x *unlocktest.Installation, c *emulator.Card) *visitor {
	t.Helper()
	v := visit(t, x, c)
	_, err := v.prove()
	v.must(err)
	return v
}

// verified goes as far as the new passcode.
func verified(t testing.TB, x *unlocktest.Installation, c *emulator.Card) *visitor {
	t.Helper()
	v := identified(t, x, c)
	_, err := v.send(unlocktest.Email)
	v.must(err)
	v.must(v.check(v.Code(t)))
	return v
}

func (v *visitor) releaseRequest(step int) api.ReleaseRequest {
	digest := api.ProofDigest(api.PurposeRelease, "test", v.who.ID, v.private.PublicKey().Bytes(), v.nonce, step)
	return api.ReleaseRequest{Step: step, CardID: v.card.GUID, Slot: "9E", Signature: v.sign("9E", digest)}
}

// release asks for a step and opens what comes.
func (v *visitor) release(step int) (api.Release, api.Envelope, error) {
	e, err := v.Sessions.Release(v.t.Context(), v.who, v.releaseRequest(step))
	if err != nil {
		return api.Release{}, e, err
	}
	info, err := v.Sessions.Info(v.t.Context())
	v.must(err)
	r, err := e.Open(v.private, info.SigningKey, "test", v.who.ID, v.card.GUID, step)
	return r, e, err
}

// signed is a report that the card's key in a slot has signed.
func (v *visitor) signed(slot string, r api.Report) api.Report {
	r.Slot = slot
	r.Signature = v.sign(slot, api.OutcomeDigest("test", v.who.ID, v.card.GUID, r))
	return r
}

func (v *visitor) report(r api.Report) (api.Reported, error) {
	return v.Sessions.Report(v.t.Context(), v.who, r)
}

func (v *visitor) state() api.State {
	s, err := v.Sessions.Get(v.t.Context(), v.who)
	v.must(err)
	return s.State
}

// actions are what the audit trail tells of a session, in order.
func (v *visitor) actions() []string {
	var out []string
	v.must(v.DB.View(v.t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(v.t.Context(), "test", 0, func(e store.AuditEvent) error {
			if e.Session == v.who.ID {
				out = append(out, e.Action)
			}
			return nil
		})
	}))
	return out
}

func wantCode(t testing.TB, err error, code problem.Code) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Code != code {
		t.Errorf("got %v, want %s", err, code)
	}
}
