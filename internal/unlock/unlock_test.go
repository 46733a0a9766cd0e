package unlock_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/card/emulator"
	"latchkey/internal/deliver"
	"latchkey/internal/problem"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

func TestUnlockFromStartToReport(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x := unlocktest.New(t, unlocktest.Options{Database: database})
		c := newCard(t, emulator.Options{})
		x.Enrol(t, c)
		v := verified(t, x, c)
		r, e, err := v.release(1)
		v.must(err)
		if r.Action != api.ActionUnblock || r.Key != c.State().PUK || len(r.Next) != 8 || r.Next == r.Key {
			t.Errorf("released %+v", r)
		}
		if keys := x.Candidates(t, c); !slices.Equal(keys, []string{r.Key, r.Next}) {
			t.Errorf("the escrow has %v: the next key is kept before it is released", keys)
		}
		again, e2, err := v.release(1)
		v.must(err)
		if d := cmp.Diff(e, e2); d != "" || again != r {
			t.Errorf("asked again, another answer came: %s", d)
		}
		done, err := v.report(v.signed("9E", api.Report{Step: 1, Epoch: e.Epoch, Outcome: api.OutcomeUnlocked, Holds: api.HoldsNext}))
		v.must(err)
		if want := (api.Reported{State: api.StateUnlocked, Proven: true}); done != want {
			t.Errorf("reported: %+v", done)
		}
		if keys := x.Candidates(t, c); !slices.Equal(keys, []string{r.Next}) {
			t.Errorf("the escrow has %v", keys)
		}
		if got := x.Notices(); !slices.Equal(got, []string{deliver.NoticeReleased, deliver.NoticeUnlocked}) {
			t.Errorf("notices %v", got)
		}
		want := []string{audit.SessionStarted, audit.SessionIdentified, audit.CodeSent, audit.CodeRight, audit.KeyStored,
			audit.KeyReleased, audit.OutcomeReported, audit.KeyRotated, audit.SessionUnlocked}
		if d := cmp.Diff(want, v.actions()); d != "" {
			t.Errorf("audit trail: -want +got\n%s", d)
		}
		for _, secret := range []string{v.who.Token, r.Key, r.Next, x.Code(t), unlocktest.Email} {
			if secret != "" && strings.Contains(x.Log.String(), secret) {
				t.Errorf("the log has %q", secret)
			}
		}
	})
}

// standings are the reasons for which a card is not served, by how it is
// imported: state of the holder, state of the card, expiry, key, address.
var standings = map[string]struct {
	holder, card, expires, puk, email string
	code                              problem.Code
}{
	"suspended holder": {holder: "suspended", card: "active", puk: "73519264", email: unlocktest.Email, code: problem.HolderSuspended},
	"suspended card":   {holder: "active", card: "suspended", puk: "73519264", email: unlocktest.Email, code: problem.CardSuspended},
	"revoked card":     {holder: "active", card: "revoked", puk: "73519264", email: unlocktest.Email, code: problem.CardRevoked},
	"expired card":     {holder: "active", card: "active", expires: "2025-01-01", puk: "73519264", email: unlocktest.Email, code: problem.CardExpired},
	"no address":       {holder: "active", card: "active", puk: "73519264", code: problem.HolderNoContact},
}

// enrolAs imports a card the way a standing has it.
func enrolAs(t *testing.T, x *unlocktest.Installation, c *emulator.Card, name string, certificates bool) {
	t.Helper()
	s := standings[name]
	x.Import(t, "staff_number,name,email,state\n1,Sam Taylor,"+s.email+","+s.holder+"\n", "")
	state := c.State()
	if !certificates {
		state.Keys = nil
	}
	line, err := state.ExportCSV("1", true)
	if err != nil {
		t.Fatal(err)
	}
	header, row, _ := strings.Cut(strings.TrimSpace(line), "\n")
	x.Import(t, "", header+",expires,state\n"+row+","+s.expires+","+s.card+"\n")
}

func TestCardThatHasProvenItselfLearnsTheReason(t *testing.T) {
	for name, s := range standings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := unlocktest.New(t, unlocktest.Options{})
			c := newCard(t, emulator.Options{})
			enrolAs(t, x, c, name, true)
			v := visit(t, x, c)
			_, err := v.prove()
			wantCode(t, err, s.code)
			if v.state() != api.StateFailed {
				t.Errorf("the session is %s", v.state())
			}
		})
	}
}

// TestUnprovenCardsGetOneAnswer: whoever has a serial number but no card learns
// nothing from it (R4).
func TestUnprovenCardsGetOneAnswer(t *testing.T) {
	answers := map[string]string{}
	for name := range standings {
		if name == "no address" {
			continue // that is for the holder to know: the session goes on
		}
		x := unlocktest.New(t, unlocktest.Options{})
		c := newCard(t, emulator.Options{Plain: true, NoCardAuth: true})
		enrolAs(t, x, c, name, false)
		_, err := visit(t, x, c).prove()
		wantCode(t, err, problem.CardNotServed)
		answers[name] = err.Error()
	}
	x := unlocktest.New(t, unlocktest.Options{})
	_, err := visit(t, x, newCard(t, emulator.Options{})).prove()
	wantCode(t, err, problem.CardNotServed)
	for name, a := range answers {
		if a != err.Error() {
			t.Errorf("%s: %q, unknown: %q", name, a, err)
		}
	}
}

// TestRecordSaysWhatACardMustProve: no claim of a client lifts it.
func TestRecordSaysWhatACardMustProve(t *testing.T) {
	x := unlocktest.New(t, unlocktest.Options{})
	c := newCard(t, emulator.Options{})
	x.Enrol(t, c)
	other := newCard(t, emulator.Options{})
	for name, r := range map[string]func(v *visitor) api.ProofRequest{
		"none":         func(*visitor) api.ProofRequest { return api.ProofRequest{} },
		"rubbish":      func(*visitor) api.ProofRequest { return api.ProofRequest{Slot: "9E", Signature: []byte{1, 2, 3}} },
		"another slot": func(v *visitor) api.ProofRequest { return v.proof("9A", v.nonce) },
		"another card": func(v *visitor) api.ProofRequest {
			v.card.Keys = other.State().Keys
			p := v.proof("9E", v.nonce)
			p.Certificate = v.card.Keys[1].Certificate
			return p
		},
		"another nonce": func(v *visitor) api.ProofRequest { return v.proof("9E", make([]byte, 32)) },
	} {
		v := visit(t, x, c)
		_, err := v.Sessions.Prove(t.Context(), v.who, r(v))
		if problem.CodeOf(err) != problem.CardNotServed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func (v *visitor) proof(slot string, nonce []byte) api.ProofRequest {
	digest := api.ProofDigest(api.PurposeCardProof, "test", v.who.ID, v.private.PublicKey().Bytes(), nonce, 0)
	return api.ProofRequest{Slot: slot, Signature: v.sign(slot, digest)}
}

func TestUnprovenCardsCanBeRefusedAltogether(t *testing.T) {
	x := unlocktest.New(t, unlocktest.Options{Config: func(c *unlock.Config) { c.AllowUnproven = false }})
	c := newCard(t, emulator.Options{Plain: true, NoCardAuth: true})
	x.EnrolBare(t, c)
	_, err := visit(t, x, c).prove()
	wantCode(t, err, problem.CardNotServed)
}

func TestStartRefusesWhatNoApplicationSends(t *testing.T) {
	x := unlocktest.New(t, unlocktest.Options{Config: func(c *unlock.Config) {
		c.MinApplication, c.UpdateURL = "1.2.0", "https://unlock.example.org/get"
	}})
	c := newCard(t, emulator.Options{})
	v := &visitor{Installation: x, t: t, card: c.State()}
	for name, test := range map[string]struct {
		change func(*api.StartRequest)
		code   problem.Code
	}{
		"old API":         {func(r *api.StartRequest) { r.APIVersion = 0 }, problem.OldApplication},
		"newer API":       {func(r *api.StartRequest) { r.APIVersion = api.Version + 1 }, problem.NewerService},
		"old application": {func(r *api.StartRequest) { r.Application = "1.1.9" }, problem.OldApplication},
		"no version":      {func(r *api.StartRequest) { r.Application = "latest" }, problem.OldApplication},
		"no purpose":      {func(r *api.StartRequest) { r.Purpose = "fun" }, problem.RequestMalformed},
		"no family":       {func(r *api.StartRequest) { r.Card.Family = "" }, problem.RequestMalformed},
		"no GUID":         {func(r *api.StartRequest) { r.Card.ID = "xyz" }, problem.RequestMalformed},
		"long GUID":       {func(r *api.StartRequest) { r.Card.ID = strings.Repeat("ab", 40) }, problem.RequestMalformed},
		"NUL in serial":   {func(r *api.StartRequest) { r.Card.Serial = "1\x002" }, problem.RequestMalformed},
		"short key":       {func(r *api.StartRequest) { r.PublicKey = r.PublicKey[:31] }, problem.RequestMalformed},
		"as it should be": {func(r *api.StartRequest) { r.Application = "1.2.0" }, ""},
		"odd workstation": {func(r *api.StartRequest) {
			r.Workstation = "\xff\x00w\u202e" + strings.Repeat("é", 99)
		}, ""},
	} {
		r := v.request()
		r.Application = "1.10.0"
		test.change(&r)
		_, err := x.Sessions.Start(t.Context(), r, "192.0.2.1")
		if problem.CodeOf(err) != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
		if test.code == problem.OldApplication && !strings.Contains(problem.From(err).Detail, "https://unlock.example.org/get") {
			t.Errorf("%s: does not say where the newer one is: %q", name, problem.From(err).Detail)
		}
	}
}

// TestSessionsEndInTime goes through every state by the database's clock.
func TestSessionsEndInTime(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		for name, to := range map[string]func(testing.TB, *unlocktest.Installation, *emulator.Card) *visitor{
			"started": visit, "identified": identified, "verified": verified,
		} {
			x := unlocktest.New(t, unlocktest.Options{Clock: true, Database: freshly(t, database)})
			c := newCard(t, emulator.Options{Now: x.Now()})
			x.Enrol(t, c)
			v := to(t, x, c)
			x.Advance(15*time.Minute - time.Second)
			if s, err := x.Sessions.Get(t.Context(), v.who); err != nil || s.SecondsLeft != 1 || string(s.State) != name {
				t.Errorf("%s: %+v %v a second before the end", name, s, err)
			}
			x.Advance(time.Second)
			calls := map[string]func() error{
				"prove":   func() error { _, err := v.prove(); return err },
				"send":    func() error { _, err := v.send(unlocktest.Email); return err },
				"check":   func() error { return v.check("123456") },
				"release": func() error { _, _, err := v.release(1); return err },
			}
			for call, f := range calls {
				if err := f(); problem.CodeOf(err) != problem.SessionExpired {
					t.Errorf("%s: %s: %v", name, call, err)
				}
			}
			if v.state() != api.StateExpired {
				t.Errorf("%s: the session is %s", name, v.state())
			}
		}
	})
}
