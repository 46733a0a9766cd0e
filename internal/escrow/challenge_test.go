package escrow_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// adminKey is what the cards of these tests hold.
var adminKey = []byte("\x01\x02\x03\x04\x05\x06\x07\x08\x11\x12\x13\x14\x15\x16\x17\x18\x21\x22\x23\x24\x25\x26\x27\x28")

var (
	r2    = []byte("nonce of a card.") // 16 bytes
	other = []byte("another nonce...")
	eight = []byte("8 bytes.")
)

// issueGIDS makes a card with an administration key of a kind.
func (v *vault) issueGIDS(t fataler, kind string, key []byte) *chip {
	t.Helper()
	c := v.issue(t, true)
	ctx := context.Background()
	must(t, v.db.Update(ctx, func(tx *store.Tx) error {
		k := store.Key{ID: store.NewID(), CardID: c.id, Kind: kind, State: store.KeyCurrent, CreatedBy: "import", Epoch: 1}
		return cardkey.Add(ctx, tx, v.keys, &k, key)
	}))
	return c
}

// within runs something with the session's and the card's rows.
func (s *session) within(f func(ctx context.Context, tx *store.Tx, x store.Session, c *store.Card) error) error {
	ctx := context.Background()
	return s.v.db.Update(ctx, func(tx *store.Tx) error {
		c, err := tx.LockCard(ctx, s.chip.id)
		if err != nil {
			return err
		}
		x, err := tx.SessionByID(ctx, s.id)
		if err != nil {
			return err
		}
		return f(ctx, tx, x, &c)
	})
}

// answer asks for the answer to a challenge and opens what comes.
func (s *session) answer(t fataler, step int, challenge []byte) ([]byte, error) {
	t.Helper()
	var e api.Envelope
	err := s.within(func(ctx context.Context, tx *store.Tx, x store.Session, c *store.Card) (err error) {
		e, err = s.v.Answer(ctx, tx, x, c, step, challenge, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	r, err := e.Open(s.v.private, s.v.service, "test", s.id, s.chip.id, step)
	must(t, err)
	if r.Action != api.ActionAnswer || r.Next != "" {
		t.Fatalf("action %s, next %q", r.Action, r.Next)
	}
	answer, err := hex.DecodeString(r.Key)
	must(t, err)
	return answer, nil
}

// reply is what a card with a key replies to an answer in a step, and whether
// the escrow takes it.
func (s *session) reply(t fataler, key, r1, r2 []byte, step int) (bool, error) {
	t.Helper()
	reply, err := gidskey.Mutual(key, r2, r1, []byte("seven b")) // R1 | R2 | Z2
	must(t, err)
	report := api.Report{Step: step, Epoch: 1, Outcome: api.OutcomeUnlocked, Holds: api.HoldsKey, Reply: reply}
	var proven bool
	err = s.within(func(ctx context.Context, tx *store.Tx, x store.Session, c *store.Card) (err error) {
		if proven, err = s.v.CheckReply(ctx, tx, x, *c, report); err != nil {
			return err
		}
		_, err = s.v.Report(ctx, tx, x, c, report, proven)
		return err
	})
	return proven, err
}

func (s *session) nonce(step int) []byte { return api.MutualNonce("test", s.id, nil, step) }

func wantProblem(t *testing.T, what string, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func TestAnswer(t *testing.T) {
	on(t, func(t *testing.T, v *vault) {
		c := v.issueGIDS(t, cardkey.Admin3DES, adminKey)
		s := v.begin(t, c)
		first, err := s.answer(t, 1, r2)
		must(t, err)
		if bytes.Contains(first, adminKey[:8]) || len(first) != gidskey.MutualLength {
			t.Errorf("the answer is %x", first)
		}
		again, err := s.answer(t, 1, r2)
		must(t, err)
		if !bytes.Equal(first, again) {
			t.Error("asked again the answer is another") // Z1 is fresh each time it is made
		}
		_, err = s.answer(t, 1, other)
		wantProblem(t, "another challenge in the same step", err, problem.ReleaseMismatch)
		_, err = s.answer(t, 3, other)
		wantProblem(t, "a step that is not next", err, problem.ReleaseMismatch)
		_, err = s.answer(t, 2, s.nonce(2))
		wantProblem(t, "our own nonce", err, problem.ReleaseMismatch)
		_, err = s.answer(t, 2, eight)
		must(t, err) // nothing is known of the card yet
		_, err = s.answer(t, 3, other)
		must(t, err)

		wrong := bytes.Clone(adminKey)
		wrong[0] ^= 0xF0
		for what, forged := range map[string]struct {
			key, r1, r2 []byte
			step        int
		}{
			"another key":           {wrong, s.nonce(3), other, 3},
			"another step's nonce":  {adminKey, s.nonce(1), other, 3},
			"another challenge":     {adminKey, s.nonce(3), r2, 3},
			"to an external one":    {adminKey, s.nonce(2), other, 2},
			"another session's":     {adminKey, v.begin(t, c).nonce(3), other, 3},
			"the answer sent back":  {adminKey, other, s.nonce(3), 3},
			"a step never answered": {adminKey, s.nonce(4), other, 4},
		} {
			if proven, err := s.reply(t, forged.key, forged.r1, forged.r2, forged.step); err == nil || proven {
				t.Errorf("%s: the reply is taken (%v, %v)", what, proven, err)
			}
		}
		if proven, err := s.reply(t, adminKey, s.nonce(3), other, 3); err != nil || !proven {
			t.Fatalf("the card's reply: %v, %v", proven, err)
		}
		_, err = s.answer(t, 4, r2)
		wantProblem(t, "after the session has unlocked the card", err, problem.ReleaseMismatch)

		// From here on the card is known to be able to do better.
		next := v.begin(t, c)
		_, err = next.answer(t, 1, eight)
		wantProblem(t, "external authentication", err, problem.ProofWrong)
		_, err = next.answer(t, 1, r2)
		must(t, err)
		if row := v.row(t, c); !row.Mutual || row.Epoch != 1 {
			t.Errorf("mutual %v, epoch %d", row.Mutual, row.Epoch)
		}
	})
}

// TestAnswersEnd: each answer is a release, so a session has no end of them.
func TestAnswersEnd(t *testing.T) {
	on(t, func(t *testing.T, v *vault) {
		s := v.begin(t, v.issueGIDS(t, cardkey.Admin3DES, adminKey))
		step := 1
		for ; step < 100; step++ {
			challenge := bytes.Clone(r2)
			challenge[0] = byte(step)
			if _, err := s.answer(t, step, challenge); err != nil {
				wantProblem(t, "one too many", err, problem.ReleaseMismatch)
				break
			}
		}
		if step != 11 {
			t.Errorf("%d challenges are answered", step-1)
		}
	})
}

// TestAnswersThatAreNone: a refused key is not tried again, other kinds of keys
// answer nothing, and keys that answer never leave.
func TestAnswersThatAreNone(t *testing.T) {
	on(t, func(t *testing.T, v *vault) {
		s := v.begin(t, v.issueGIDS(t, cardkey.Admin3DES, adminKey))
		_, err := s.answer(t, 1, r2)
		must(t, err)
		got, err := s.report(api.Report{Step: 1, Epoch: 1, Outcome: api.OutcomeRefused, Holds: api.HoldsUnknown}, false)
		must(t, err)
		if got.NextStep != 0 {
			t.Errorf("step %d follows a refused key", got.NextStep)
		}
		_, err = s.answer(t, 2, other)
		wantProblem(t, "after a refusal", err, problem.ReleaseMismatch)
		_, _, err = v.begin(t, s.chip).release(t, 1)
		wantProblem(t, "the key itself", err, problem.CardNoKey)

		_, err = v.begin(t, v.issueGIDS(t, cardkey.AdminAES128, adminKey[:16])).answer(t, 1, r2)
		wantProblem(t, "an AES key", err, problem.CardNoKey)
		_, err = v.begin(t, v.issue(t, false)).answer(t, 1, r2)
		wantProblem(t, "a PUK", err, problem.CardNoKey)
		_, err = v.begin(t, v.issue(t, true)).answer(t, 1, r2)
		wantProblem(t, "no key", err, problem.CardNoKey)
	})
}
