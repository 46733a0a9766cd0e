package escrow

import (
	"context"
	"errors"
	"slices"

	"latchkey/internal/api"
	"latchkey/internal/cardkey"
	"latchkey/internal/store"
)

var errNoKey = errors.New("no unlocking key is held for this card")

// pair is the candidates of a card. pending may be nil.
type pair struct {
	current, pending *store.Key
	// many, where not nil, is all candidates in the order in which they are
	// tried: a journal has put back more than two (see many.go).
	many []*store.Key
	// neverTaken: by what the card has signed it cannot hold the pending key.
	neverTaken bool
}

// held gives the keys that the card may hold.
func (p pair) held() []*store.Key {
	if p.many != nil {
		return p.many
	}
	if p.pending == nil || p.neverTaken {
		return []*store.Key{p.current}
	}
	return []*store.Key{p.current, p.pending}
}

func candidates(ctx context.Context, tx *store.Tx, cardID string) (pair, error) {
	keys, err := tx.CardKeys(ctx, cardID)
	if err != nil {
		return pair{}, err
	}
	var p pair
	for i := range keys {
		switch keys[i].State {
		case store.KeyCurrent:
			p.current = &keys[i]
		case store.KeyPending:
			p.pending = &keys[i]
		case store.KeySpare:
			p.many = append(p.many, &keys[i])
		}
	}
	if p.current == nil {
		return pair{}, errNoKey
	}
	if p.many != nil {
		p.many = append(p.many, p.current)
		if p.pending != nil {
			p.many = append(p.many, p.pending)
		}
		return p, nil
	}
	if p.pending != nil && !p.pending.Restored {
		p.neverTaken, err = tx.NeverTaken(ctx, cardID, p.pending.ID)
	}
	return p, err
}

// planned is what a step will release.
type planned struct {
	action  api.Action
	key     *store.Key
	next    *store.Key // may be nil with rotates: to be made
	rotates bool
	// challenge is the card's, that the key answers; nil where it is given out.
	challenge []byte
}

// plan says what follows the steps that a session was released already. ok is
// false where nothing does: a step has no outcome yet, or all is done.
func plan(have pair, pendingFirst bool, done []store.Release) (p planned, ok bool) {
	if len(done) == 0 && have.many != nil {
		return planned{action: api.ActionUnblock, key: have.many[0]}, true
	}
	if len(done) == 0 {
		if pendingFirst && have.pending != nil && !have.neverTaken {
			return unblockWith(have, have.pending), true
		}
		return unblockWith(have, have.current), true
	}
	last := done[len(done)-1]
	switch {
	case last.Action == string(api.ActionAnswer):
		k := untried(have, pendingFirst, done)
		return planned{action: api.ActionAnswer, key: k}, last.Outcome == string(api.OutcomeRefused) && k != nil
	case last.Action != string(api.ActionUnblock):
		return planned{}, false
	case last.Outcome == string(api.OutcomeRefused):
		for _, k := range have.held() {
			if !refused(k.ID, done) {
				// A try is spent: the key stays as it is until the card has
				// its tries back, so that a fault in between leaves no doubt.
				return planned{action: api.ActionUnblock, key: k}, true
			}
		}
	case last.Outcome == string(api.OutcomeFailed):
		// Nobody knows what the card said to this key. To present it again could
		// cost a second try, so the other one comes first; it stays as it is.
		for _, k := range have.held() {
			if !slices.ContainsFunc(done, func(r store.Release) bool { return r.KeyID == k.ID }) {
				return planned{action: api.ActionUnblock, key: k}, true
			}
		}
	case last.Outcome == string(api.OutcomeUnlocked) && last.Proven && last.NextID == "" && last.KeyID == have.current.ID && cardkey.Rotates(have.current.Kind):
		// The card has signed that it holds what is the current key now.
		return planned{action: api.ActionRotate, key: have.current, next: have.pending, rotates: true}, true
	}
	return planned{}, false
}

// reorder says whether the pending key goes first after an attempt that never
// told how it ended. The order flips, for a card that has taken the pending
// key looks the same from here as one that was never reached. But a card never
// goes back: once it has signed that it refuses the current key, it holds the
// pending one until that becomes current. And an attempt that ended in its
// second step, with a key that was not to be changed, had the right order.
func reorder(ctx context.Context, tx *store.Tx, c store.Card, have pair) (bool, error) {
	if have.many != nil {
		return c.PendingFirst, nil // sort has seen to it
	}
	if have.neverTaken {
		return false, nil
	}
	gone, err := tx.KeyRefused(ctx, c.ID, c.Epoch, have.current.ID)
	if err != nil || gone {
		return true, err
	}
	open, err := tx.Releases(ctx, c.OpenAttempt)
	if err != nil {
		return false, err
	}
	if n := len(open); n > 1 && open[n-1].NextID == "" {
		return c.PendingFirst, nil
	}
	return !c.PendingFirst, nil
}

// unblockWith: only the current key is changed in the same breath. After the
// pending key no third one is made before it has proven itself.
func unblockWith(have pair, k *store.Key) planned {
	p := planned{action: api.ActionUnblock, key: k}
	if k == have.current && cardkey.Rotates(k.Kind) {
		p.rotates, p.next = true, have.pending
	}
	return p
}

func refused(keyID string, done []store.Release) bool {
	for _, r := range done {
		if r.KeyID == keyID && r.Outcome == string(api.OutcomeRefused) {
			return true
		}
	}
	return false
}
