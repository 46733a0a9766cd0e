// Package escrow keeps the unlocking keys of cards, gives them out to verified
// sessions and learns from reports which of them a card holds (unlocking.md,
// rules R2, R3, R7 and steps 4 and 5).
//
// It promises:
//   - a key that a card is told to take is sealed in the database and in this
//     node's key journal before it is released, and a candidate is never deleted;
//   - a card has at most two candidates, the current and the pending key. The
//     pending one becomes current only after a proven report that it works.
//     (After a restore a journal may put back more: see Reconcile and many.go);
//   - an unproven report changes nothing but the order in which the two are
//     tried, and an unproven session never makes a third key;
//   - a step that is asked for again gets the same sealed answer;
//   - a report about an epoch that has passed is kept as evidence and changes
//     no key;
//   - nothing is released while releases are stopped, or too many were, or the
//     database is behind a key journal (gate.go, record.go).
//
// All of it runs inside the caller's transaction, which holds the locks of the
// session and the card. After those come the lock of the node's journal and the
// counts of the breaker.
package escrow

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// Escrow keeps unlocking keys.
type Escrow struct {
	keys    *seal.Keyring
	signing ed25519.PrivateKey
	service string
	journal *KeyJournal
	breaker Breaker
	// rotatesAdmin: an administration key is replaced at each unlock.
	rotatesAdmin bool
	alerts       func(Alert) // nil: nobody is told
}

// Option is what an Escrow can have beside what it needs.
type Option func(*Escrow)

// WithJournal has keys written to this node's key journal. Without it a
// database that was restored does not know that it is behind.
func WithJournal(j *KeyJournal) Option { return func(e *Escrow) { e.journal = j } }

// WithBreaker bounds how many releases there may be.
func WithBreaker(b Breaker) Option { return func(e *Escrow) { e.breaker = b } }

// WithAdministrationKeyRotation has the administration key of a card replaced at
// each unlock. The new one then passes the workstation in clear, which the key
// of a card that is not rotated never does.
func WithAdministrationKeyRotation() Option { return func(e *Escrow) { e.rotatesAdmin = true } }

// New makes an Escrow. signing is the key that applications have pinned and
// service the name that is part of every sealed answer.
func New(keys *seal.Keyring, signing ed25519.PrivateKey, service string, options ...Option) *Escrow {
	e := &Escrow{keys: keys, signing: signing, service: service}
	for _, o := range options {
		o(e)
	}
	return e
}

// HasKey says whether there is an unlocking key for a card.
func (e *Escrow) HasKey(ctx context.Context, tx *store.Tx, cardID string) (bool, error) {
	_, err := candidates(ctx, tx, cardID)
	if errors.Is(err, errNoKey) {
		return false, nil
	}
	return err == nil, err
}

// Release gives out the keys of a step, sealed to the session and signed. s
// and c are locked; c is brought up to date. Errors: problem.ReleaseMismatch
// for a step that is not next, problem.CardNoKey, problem.PUKLastTry where a
// key could be the card's last try, those of Allow and problem.CardBehind. left
// is what the card says of its tries, nil where it does not.
func (e *Escrow) Release(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, step int, left *int) (api.Envelope, error) {
	if err := e.Allow(ctx, tx); err != nil {
		return api.Envelope{}, err
	}
	done, err := tx.Releases(ctx, s.ID)
	if err != nil {
		return api.Envelope{}, err
	}
	if step >= 1 && step <= len(done) {
		return e.again(ctx, tx, s, *c, done[step-1])
	}
	if step != len(done)+1 {
		return api.Envelope{}, problem.Wrap(problem.ReleaseMismatch, fmt.Errorf("step %d is not next, %d are released", step, len(done)))
	}
	if lastTry(*c, left) {
		return api.Envelope{}, problem.New(problem.PUKLastTry)
	}
	pair, err := candidates(ctx, tx, c.ID)
	if err == nil && !cardkey.Leaves(pair.current.Kind) {
		err = problem.Wrap(problem.CardNoKey, fmt.Errorf("a key of kind %s never leaves the service", pair.current.Kind))
	}
	if err == nil {
		err = e.fresh(ctx, tx, s, *c)
	}
	if err == nil {
		err = pair.sort(ctx, tx, *c)
	}
	if err != nil {
		return api.Envelope{}, noKey(err)
	}
	if cautious(pair, done, left) {
		return api.Envelope{}, problem.New(problem.PUKLastTry)
	}
	if step == 1 && c.OpenAttempt != "" && c.OpenAttempt != s.ID && pair.pending != nil {
		if c.PendingFirst, err = reorder(ctx, tx, *c, pair); err != nil {
			return api.Envelope{}, err
		}
	}
	p, ok := plan(pair, c.PendingFirst, done)
	if !ok {
		return api.Envelope{}, problem.Wrap(problem.ReleaseMismatch, fmt.Errorf("nothing follows step %d", len(done)))
	}
	if p.rotates && p.next == nil {
		if p.next, err = e.addPending(ctx, tx, s, c, pair); err != nil {
			return api.Envelope{}, err
		}
	}
	if err := e.count(ctx, tx, s); err != nil {
		return api.Envelope{}, err
	}
	// The pending key is now in the database of this transaction, which is
	// committed before anybody sees the answer, and goes into the journal
	// before that. Which of two keys is tried goes there too.
	if err := e.handsOut(ctx, tx, s, *c, step, p, pair); err != nil {
		return api.Envelope{}, err
	}
	return e.give(ctx, tx, s, c, step, p)
}

func noKey(err error) error {
	if errors.Is(err, errNoKey) {
		return problem.Wrap(problem.CardNoKey, err)
	}
	return err
}

// Kind is the kind of a card's current key: problem.CardNoKey where it has none.
func (e *Escrow) Kind(ctx context.Context, tx *store.Tx, cardID string) (string, error) {
	pair, err := candidates(ctx, tx, cardID)
	if err != nil {
		return "", noKey(err)
	}
	return pair.current.Kind, nil
}

// again gives the answer of a step once more. It may be this node's first to
// give it.
func (e *Escrow) again(ctx context.Context, tx *store.Tx, s store.Session, c store.Card, r store.Release) (api.Envelope, error) {
	if err := tx.CountAsked(ctx, s.ID, r.Step); err != nil {
		return api.Envelope{}, err
	}
	if r.NextID != "" {
		if err := e.recordAgain(ctx, tx, s, c, r); err != nil {
			return api.Envelope{}, err
		}
	}
	return stored(r)
}

// lastTry says whether a try could be the card's last (R3). A card that tells
// is believed; of one that does not, what it has signed is remembered.
func lastTry(c store.Card, left *int) bool {
	if left != nil {
		return *left <= 1
	}
	return c.TriesLeft != store.TriesUnknown && c.TriesLeft <= 1
}

// give seals the answer of a planned step and writes it down.
func (e *Escrow) give(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, step int, p planned) (api.Envelope, error) {
	r := api.Release{Action: p.action, Kind: p.key.Kind}
	key, err := e.open(ctx, tx, *c, *p.key)
	switch {
	case err != nil:
	case p.challenge != nil:
		r.Key, err = e.answer(s, step, []byte(key), p.challenge)
	default:
		r.Key = key
	}
	if err != nil {
		return api.Envelope{}, err
	}
	nextID := ""
	if p.next != nil {
		nextID = p.next.ID
		if r.Next, err = e.open(ctx, tx, *c, *p.next); err != nil {
			return api.Envelope{}, err
		}
		if !cardkey.Leaves(p.next.Kind) {
			r.Next = hex.EncodeToString([]byte(r.Next))
		}
	}
	envelope, err := api.SealRelease(r, s.PublicKey, e.signing, e.service, s.ID, c.Identifier, c.Epoch, step)
	if err != nil {
		return api.Envelope{}, err
	}
	raw, err := json.Marshal(envelope)
	if err != nil {
		return api.Envelope{}, fmt.Errorf("encode envelope: %w", err)
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return api.Envelope{}, err
	}
	row := store.Release{SessionID: s.ID, Step: step, CardID: c.ID, Epoch: c.Epoch, Action: string(p.action),
		KeyID: p.key.ID, NextID: nextID, Envelope: raw, Challenge: p.challenge, ReleasedAt: now, Asked: 1}
	if err := tx.InsertRelease(ctx, row); err != nil {
		return api.Envelope{}, err
	}
	c.OpenAttempt = s.ID
	if p.action == api.ActionUnblock {
		c.TriesOut++
	}
	if err := cardkey.Save(ctx, tx, e.keys, c); err != nil {
		return api.Envelope{}, err
	}
	return envelope, audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.KeyReleased, Session: s.ID,
		CardID: c.ID, Holder: c.HolderID, Details: map[string]string{"step": fmt.Sprint(step), "epoch": fmt.Sprint(c.Epoch),
			"action": string(p.action), "key": p.key.ID, "next": nextID, "tries_out": fmt.Sprint(c.TriesOut)}})
}

func stored(r store.Release) (api.Envelope, error) {
	var envelope api.Envelope
	if err := json.Unmarshal(r.Envelope, &envelope); err != nil {
		return envelope, fmt.Errorf("stored envelope: %w", err)
	}
	return envelope, nil
}

// addPending makes the next key of a card and keeps it.
func (e *Escrow) addPending(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, have pair) (*store.Key, error) {
	known, err := e.open(ctx, tx, *c, *have.current)
	if err != nil {
		return nil, err
	}
	kind := have.current.Kind
	fresh, err := cardkey.New(kind)
	for err == nil && string(fresh) == known {
		fresh, err = cardkey.New(kind)
	}
	if err != nil {
		return nil, err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return nil, err
	}
	k := store.Key{ID: store.NewID(), CardID: c.ID, Kind: kind, State: store.KeyPending, CreatedBy: s.ID, CreatedAt: now, Epoch: c.Epoch}
	if err := cardkey.Add(ctx, tx, e.keys, &k, fresh); err != nil {
		return nil, fmt.Errorf("keep the next key: %w", err)
	}
	return &k, audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.KeyStored, Session: s.ID,
		CardID: c.ID, Holder: c.HolderID, Details: map[string]string{"key": k.ID}})
}

func (e *Escrow) open(ctx context.Context, tx *store.Tx, c store.Card, k store.Key) (string, error) {
	key, err := cardkey.Open(ctx, tx, e.keys, c, k)
	return string(key), err
}
