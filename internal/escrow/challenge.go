package escrow

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"

	"latchkey/internal/api"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// maxAnswers is how many challenges of its card one session may have answered:
// a card that is reset, or put in again, has a new one each time.
const maxAnswers = 10

// Answer answers the challenge of a card with its administration key, which
// stays here. An answer unblocks the card as a PUK does, once, so it is counted
// as a release. s and c are locked; c is brought up to date. Asked again for
// the same step and challenge it is the same answer; for another challenge it
// is the next step's. Errors: problem.ReleaseMismatch, ProofWrong for external
// authentication with a card that can do better, and those of Release.
func (e *Escrow) Answer(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, step int, challenge []byte, left *int) (api.Envelope, error) {
	if err := e.Allow(ctx, tx); err != nil {
		return api.Envelope{}, err
	}
	done, err := tx.Releases(ctx, s.ID)
	if err != nil {
		return api.Envelope{}, err
	}
	if step >= 1 && step <= len(done) && bytes.Equal(done[step-1].Challenge, challenge) {
		return e.again(ctx, tx, s, *c, done[step-1])
	}
	if step != len(done)+1 || step > maxAnswers {
		return api.Envelope{}, problem.Wrap(problem.ReleaseMismatch, fmt.Errorf("step %d is not next, %d challenges are answered", step, len(done)))
	}
	if c.Mutual && len(challenge) != gidskey.NonceLength {
		return api.Envelope{}, problem.Wrap(problem.ProofWrong, fmt.Errorf("the card has done mutual authentication before"))
	}
	if lastTry(*c, left) {
		return api.Envelope{}, problem.New(problem.PUKLastTry)
	}
	pair, err := candidates(ctx, tx, c.ID)
	if err == nil {
		err = e.fresh(ctx, tx, s, *c)
	}
	if err == nil {
		err = pair.sort(ctx, tx, *c)
	}
	if err != nil {
		return api.Envelope{}, noKey(err)
	}
	if step == 1 && c.OpenAttempt != "" && c.OpenAttempt != s.ID && pair.pending != nil {
		if c.PendingFirst, err = reorder(ctx, tx, *c, pair); err != nil {
			return api.Envelope{}, err
		}
	}
	p := planned{action: api.ActionAnswer, key: untried(pair, c.PendingFirst, done), challenge: challenge}
	if p.key == nil {
		return api.Envelope{}, problem.Wrap(problem.ReleaseMismatch, fmt.Errorf("nothing follows step %d", len(done)))
	}
	if p.key.Kind != cardkey.Admin3DES {
		return api.Envelope{}, problem.Wrap(problem.CardNoKey, fmt.Errorf("a key of kind %s answers no challenge", p.key.Kind))
	}
	if err := e.count(ctx, tx, s); err != nil {
		return api.Envelope{}, err
	}
	if e.rotatesAdmin && p.key == pair.current && pair.many == nil {
		if p.next = pair.pending; p.next == nil {
			if p.next, err = e.addPending(ctx, tx, s, c, pair); err != nil {
				return api.Envelope{}, err
			}
		}
		if err := e.record(ctx, tx, s, *c, c.KeysVersion+1, 0, *p.key, *p.next); err != nil {
			return api.Envelope{}, err
		}
	}
	return e.give(ctx, tx, s, c, step, p)
}

// untried is the likeliest key that a session's card has not refused, nil for
// none, or where the session has unlocked it already.
func untried(have pair, pendingFirst bool, done []store.Release) *store.Key {
	for _, r := range done {
		if r.Outcome == string(api.OutcomeUnlocked) {
			return nil
		}
	}
	held := have.held()
	if pendingFirst && have.many == nil {
		slices.Reverse(held)
	}
	for _, k := range held {
		if !refused(k.ID, done) {
			return k
		}
	}
	return nil
}

// answer enciphers a challenge, in hex: problem.ReleaseMismatch where it is none, or
// our own nonce sent back.
func (e *Escrow) answer(s store.Session, step int, key, challenge []byte) (string, error) {
	var answer []byte
	var err error
	if len(challenge) == gidskey.ChallengeLength {
		answer, err = gidskey.Answer(key, challenge)
	} else {
		secret := make([]byte, gidskey.SecretLength)
		_, _ = rand.Read(secret) // never fails (crypto/rand)
		answer, err = gidskey.Mutual(key, e.nonce(s, step), challenge, secret)
	}
	if err != nil {
		return "", problem.Wrap(problem.ReleaseMismatch, err)
	}
	return hex.EncodeToString(answer), nil
}

func (e *Escrow) nonce(s store.Session, step int) []byte {
	return api.MutualNonce(e.service, s.ID, s.Nonce, step)
}

// CheckReply says whether a report carries the card's own reply to a mutual
// answer, which proves that the card holds the key. False: there is none. Error:
// problem.ProofWrong where it is wrong.
func (e *Escrow) CheckReply(ctx context.Context, tx *store.Tx, s store.Session, c store.Card, r api.Report) (bool, error) {
	if len(r.Reply) == 0 {
		return false, nil
	}
	done, err := releasedSteps(ctx, tx, s, r)
	if err != nil {
		return false, err
	}
	row := done[r.Step-1]
	if row.Action != string(api.ActionAnswer) || len(row.Challenge) != gidskey.NonceLength {
		return false, problem.New(problem.ProofWrong)
	}
	keys, err := tx.AllCardKeys(ctx, c.ID)
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(keys, func(k store.Key) bool { return k.ID == row.KeyID })
	if i < 0 {
		return false, problem.New(problem.ProofWrong)
	}
	key, err := e.open(ctx, tx, c, keys[i])
	if err != nil {
		return false, err
	}
	if err := gidskey.CheckMutual([]byte(key), e.nonce(s, row.Step), row.Challenge, r.Reply); err != nil {
		return false, problem.Wrap(problem.ProofWrong, err)
	}
	return true, nil
}
