package unlock_test

import (
	"encoding/hex"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

var cardNonce = []byte("nonce of a card.") // 16 bytes

// guest is a verified session for a GIDS card.
func guest(t *testing.T, o unlocktest.Options) (*visitor, *emulator.Card) {
	t.Helper()
	x := unlocktest.New(t, o)
	c, err := emulator.New(emulator.Options{Family: emulator.FamilyGIDS})
	if err != nil {
		t.Fatal(err)
	}
	x.Enrol(t, c)
	return begunGIDS(t, x, c), c
}

func begunGIDS(t *testing.T, x *unlocktest.Installation, c *emulator.Card) *visitor {
	t.Helper()
	v := &visitor{Installation: x, t: t, network: "192.0.2.7"}
	v.card.PIV = &emulator.PIV{GUID: c.State().Identifier()} // its name alone
	request := v.request()
	request.Card.Family = "gids"
	s, err := x.Sessions.Start(t.Context(), request, v.network)
	v.must(err)
	v.who, v.nonce = unlock.Credentials{ID: s.ID, Token: s.Token}, s.Nonce
	_, err = x.Sessions.Prove(t.Context(), v.who, api.ProofRequest{})
	v.must(err)
	_, err = v.send(unlocktest.Email)
	v.must(err)
	v.must(v.check(v.Code(t)))
	return v
}

func (v *visitor) answer(step int, challenge []byte) (api.Envelope, error) {
	return v.Sessions.Release(v.t.Context(), v.who, api.ReleaseRequest{Step: step, CardID: v.card.GUID, Challenge: challenge})
}

// replied is the report of a card that holds a key.
func (v *visitor) replied(c *emulator.Card, step int, holds api.Holds) api.Report {
	key, err := hex.DecodeString(c.State().GIDS.AdminKey)
	v.must(err)
	r1 := api.MutualNonce("test", v.who.ID, v.nonce, step)
	reply, err := gidskey.Mutual(key, cardNonce, r1, []byte("seven b"))
	v.must(err)
	return api.Report{Step: step, Epoch: 1, Outcome: api.OutcomeUnlocked, Holds: holds, Reply: reply}
}

// TestReplyProvesTheKeyBefore: the card's reply proves that it held the key that
// answered. That it holds the next one since is a claim, which makes no pending
// key the current one.
func TestReplyProvesTheKeyBefore(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		v, c := guest(t, unlocktest.Options{Database: database, Escrow: []escrow.Option{escrow.WithAdministrationKeyRotation()}})
		_, err := v.answer(1, cardNonce)
		v.must(err)
		if keys := v.Candidates(t, c); len(keys) != 2 {
			t.Fatalf("%d candidates", len(keys))
		}
		got, err := v.report(v.replied(c, 1, api.HoldsNext))
		v.must(err)
		if row := v.Card(t, c); got.Proven || row.Epoch != 1 || len(v.Candidates(t, c)) != 2 {
			t.Errorf("proven %v, epoch %d, %d candidates", got.Proven, row.Epoch, len(v.Candidates(t, c)))
		}
	})
}

func TestRepliesAndChallenges(t *testing.T) {
	v, c := guest(t, unlocktest.Options{Config: func(c *unlock.Config) { c.AllowUnproven = false }})
	for name, challenge := range map[string][]byte{"none": nil, "short": []byte("7 bytes"), "long": make([]byte, 17), "huge": make([]byte, 4096)} {
		if _, err := v.answer(1, challenge); problem.CodeOf(err) != problem.RequestMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := v.answer(1, []byte("8 bytes."))
	wantCode(t, err, problem.ProofWrong) // it proves nothing, and here every card must
	_, err = v.answer(1, cardNonce)
	v.must(err)
	forged := v.replied(c, 1, api.HoldsKey)
	forged.Reply[3] ^= 1
	_, err = v.report(forged)
	wantCode(t, err, problem.ProofWrong)
	got, err := v.report(v.replied(c, 1, api.HoldsKey))
	v.must(err)
	if !got.Proven || got.State != api.StateUnlocked || !v.Card(t, c).Mutual {
		t.Errorf("%+v", got)
	}

	later := begunGIDS(t, v.Installation, c)
	_, err = later.report(v.replied(c, 1, api.HoldsKey))
	wantCode(t, err, problem.ReportMismatch) // it was released nothing
	_, err = later.answer(1, cardNonce)
	later.must(err)
	_, err = later.report(v.replied(c, 1, api.HoldsKey))
	wantCode(t, err, problem.ProofWrong) // another session's reply
}
