package adopt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"

	"latchkey/internal/card"
	"latchkey/internal/card/gids/gidskey"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// attempt is the part of the work where the card is presented keys.
type attempt struct {
	desk   *Desk
	card   card.Card
	cardID string
	kind   card.KeyKind
	pair   escrow.Adoption
	// nextRefused: the card does not hold the next key, for certain.
	nextRefused bool
}

// run finds out which key the card holds and has it hold the next one. Every
// refusal is noted before another key is tried.
func (a *attempt) run(ctx context.Context) error {
	keys := a.order()
	a.nextRefused = !a.pair.Resumed
	for i, key := range keys {
		isNext := bytes.Equal(key, a.pair.Next)
		err := a.give(ctx, key)
		var wrong card.WrongKeyError
		switch {
		case err == nil:
			return a.finish(ctx)
		case errors.As(err, &wrong):
			a.nextRefused = a.nextRefused || isNext
			if err := a.refused(ctx, isNext, i+1 == len(keys), wrong); err != nil {
				return err
			}
		case !isNext && a.nextRefused && (errors.Is(err, card.ErrRefusedKey) || errors.Is(err, card.ErrNotSupported)):
			if err := a.end(ctx, false, -1); err != nil {
				return err
			}
			return problem.Wrap(problem.AdoptCannot, err)
		default:
			return err
		}
	}
	return nil // the last refusal is an error
}

// order is the keys in the order in which they are presented.
func (a *attempt) order() [][]byte {
	p := a.pair
	switch {
	case !p.Resumed:
		return [][]byte{p.Known} // the card was never told of another
	case p.NextFirst:
		return [][]byte{p.Next, p.Known}
	}
	return [][]byte{p.Known, p.Next}
}

// refused notes a refusal. After the last key it is the end; with one try left
// no other key is tried (R3).
func (a *attempt) refused(ctx context.Context, isNext, last bool, wrong card.WrongKeyError) error {
	if last {
		if err := a.end(ctx, true, wrong.TriesLeft); err != nil {
			return err
		}
		p := problem.Wrap(problem.AdoptKeyWrong, wrong)
		if wrong.TriesLeft >= 0 {
			p.TriesLeft = &wrong.TriesLeft
		}
		return p
	}
	err := a.change(ctx, func(tx *store.Tx, c *store.Card) error {
		return a.desk.Escrow.OneRefused(ctx, tx, c, isNext, wrong.TriesLeft)
	})
	if err == nil && (wrong.TriesLeft == 0 || wrong.TriesLeft == 1) {
		err = problem.Wrap(problem.AdoptLastTry, wrong)
	}
	return err
}

func (a *attempt) end(ctx context.Context, refused bool, left int) error {
	return a.change(ctx, func(tx *store.Tx, c *store.Card) error {
		return a.desk.Escrow.EndAdoption(ctx, tx, c, refused, left, a.desk.By)
	})
}

// finish makes sure of the new key and makes it the card's.
func (a *attempt) finish(ctx context.Context) error {
	if err := a.confirm(ctx); err != nil {
		return err
	}
	return a.change(ctx, func(tx *store.Tx, c *store.Card) error { return a.desk.Escrow.FinishAdoption(ctx, tx, c, a.desk.By) })
}

func (a *attempt) change(ctx context.Context, fn func(*store.Tx, *store.Card) error) error {
	return a.desk.update(ctx, func(tx *store.Tx) error {
		c, err := tx.LockCard(ctx, a.cardID)
		if err != nil {
			return err
		}
		return fn(tx, &c)
	})
}

// give presents a key and has the card hold the next one. A card that holds
// that already is given it again, which it cannot tell from another.
func (a *attempt) give(ctx context.Context, key []byte) error {
	switch c := a.card.(type) {
	case card.KeyUnblocker:
		return c.Rotate(ctx, a.kind, string(key), string(a.pair.Next))
	case card.ChallengeUnblocker:
		err := authenticate(ctx, c, key)
		if err == nil && !bytes.Equal(key, a.pair.Next) {
			err = c.RotateKey(ctx, a.pair.Next)
		}
		return err
	}
	return card.ErrNotSupported
}

// confirm makes sure that the card holds the next key, where that spends no
// try: it has just said that it took it.
func (a *attempt) confirm(ctx context.Context) error {
	if c, ok := a.card.(card.ChallengeUnblocker); ok {
		if err := authenticate(ctx, c, a.pair.Next); err != nil {
			return err
		}
		return c.EndAuthentication(ctx)
	}
	state, err := a.card.State(ctx)
	if err != nil {
		return err
	}
	if counter := state.Key(a.kind); counter.Known && counter.Left <= 1 {
		return card.ErrMalformed // a right key gives a card its tries back
	}
	return nil
}

// authenticate shows the card that its administration key is known. Mutual
// authentication also shows that the card knows it; a card that does not do
// that, or not as the standard has it, is authenticated to externally.
func authenticate(ctx context.Context, c card.ChallengeUnblocker, key []byte) error {
	err := mutual(ctx, c, key)
	if !errors.Is(err, card.ErrNotSupported) && !errors.Is(err, card.ErrMalformed) && !errors.Is(err, gidskey.ErrNotProven) {
		return err
	}
	challenge, err := c.ExternalChallenge(ctx)
	if err != nil {
		return err
	}
	answer, err := gidskey.Answer(key, challenge)
	if err != nil {
		return err
	}
	return c.ExternalAnswer(ctx, answer)
}

func mutual(ctx context.Context, c card.ChallengeUnblocker, key []byte) error {
	r1, secret := make([]byte, gidskey.NonceLength), make([]byte, gidskey.SecretLength)
	_, _ = rand.Read(r1) // never fails (crypto/rand)
	_, _ = rand.Read(secret)
	r2, err := c.MutualChallenge(ctx, r1)
	if err != nil {
		return err
	}
	answer, err := gidskey.Mutual(key, r1, r2, secret)
	if err != nil {
		return err
	}
	reply, err := c.MutualAnswer(ctx, answer)
	if err != nil {
		return err
	}
	return gidskey.CheckMutual(key, r1, r2, reply)
}
