package escrow

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"

	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Adoption: the Registration Authority has a card in hand whose key it knows,
// and the card is given a key that only the escrow knows (see package adopt).
// It follows the rules of a release: both keys are candidates, in the database
// and in the journal, before the card is told of the second (R2), and after an
// attempt whose end is not known the other one is tried first. What the card
// answers here counts as proven: it is in the Registration Authority's reader,
// within one exclusive transaction.

// Who made the keys of an adoption.
const (
	byAdoption = "adopt"       // drawn here
	byKnown    = "adopt-known" // as the Registration Authority gave it
)

// adopting is the open attempt of a card that is being adopted. No session has
// such an id.
const adopting = "adopt"

// Adoption is a pair of candidates for a card in hand.
type Adoption struct {
	Kind        string
	Known, Next []byte // values; Next is what the card is to hold in the end
	// NextFirst says that Next is to be tried first.
	NextFirst bool
	// Resumed says that the card may hold Next already.
	Resumed bool
}

// AdoptionState is how far a card is on its way.
type AdoptionState int

// States of a card before it is adopted.
const (
	NotAdopted   AdoptionState = iota // no key is held
	AdoptionOpen                      // an attempt has begun: Begin needs no key
	Adopted                           // it holds a key of ours, or one that came after it
	KeyHeld                           // a key is held that came another way
)

// Adoption says how far a card is.
func (e *Escrow) Adoption(ctx context.Context, tx *store.Tx, cardID string) (AdoptionState, error) {
	have, err := candidates(ctx, tx, cardID)
	if errors.Is(err, errNoKey) {
		return NotAdopted, nil
	}
	if err != nil {
		return NotAdopted, err
	}
	if have.many == nil && have.pending != nil && have.pending.CreatedBy == byAdoption {
		return AdoptionOpen, nil
	}
	switch by := have.current.CreatedBy; by {
	case byAdoption:
		return Adopted, nil
	case byKnown:
		return NotAdopted, nil
	case "import", "reissue", "reconcile":
		return KeyHeld, nil
	}
	all, err := tx.AllCardKeys(ctx, cardID)
	if slices.ContainsFunc(all, func(k store.Key) bool { return k.CreatedBy == byAdoption }) {
		return Adopted, err
	}
	return KeyHeld, err
}

// BeginAdoption makes the candidates of a card in hand, or takes up those of
// an attempt whose end is not known; known is not looked at then. c is locked
// and brought up to date; left is what the card says of its tries, nil where it
// does not. When the transaction has committed both keys are durable. Errors:
// problem.AdoptHasKey for a card whose key is another, AdoptLastTry,
// AdoptKeyForm, EscrowBehind, CardBehind and those of the journal, some of them
// as Stopped.
func (e *Escrow) BeginAdoption(ctx context.Context, tx *store.Tx, c *store.Card, kind string, known []byte, left *int) (Adoption, error) {
	if err := e.adoptable(ctx, tx, *c, left); err != nil {
		return Adoption{}, err
	}
	state, err := e.Adoption(ctx, tx, c.ID)
	if err != nil {
		return Adoption{}, err
	}
	if state == AdoptionOpen {
		return e.resumeAdoption(ctx, tx, c)
	}
	have, err := e.knownKey(ctx, tx, c, kind, known)
	if err != nil {
		return Adoption{}, err
	}
	next, err := e.nextKey(ctx, tx, c, kind, known)
	if err != nil {
		return Adoption{}, err
	}
	c.PendingFirst, c.OpenAttempt = false, adopting
	if err := e.keepAdoption(ctx, tx, c, *have, next.Row); err != nil {
		return Adoption{}, err
	}
	return Adoption{Kind: kind, Known: known, Next: next.Value}, audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator,
		Action: audit.KeyStored, CardID: c.ID, Holder: c.HolderID, Details: map[string]string{"key": next.Row.ID, "known": have.ID}})
}

// adoptable says whether the escrow may give a card a key now. Releases may be
// stopped: no key leaves for a workstation.
func (e *Escrow) adoptable(ctx context.Context, tx *store.Tx, c store.Card, left *int) error {
	control, err := tx.ReleaseControl(ctx)
	if err != nil {
		return err
	}
	if control.State == store.ReleasesBehind {
		return problem.New(problem.EscrowBehind)
	}
	if e.journal != nil {
		if err := e.journal.gate(ctx, tx); err != nil {
			return err
		}
	}
	if err := e.fresh(ctx, tx, store.Session{}, c); err != nil {
		return err
	}
	if lastTry(c, left) {
		return problem.New(problem.AdoptLastTry)
	}
	return nil
}

// knownKey keeps the key that the card is said to hold, or finds it on record.
func (e *Escrow) knownKey(ctx context.Context, tx *store.Tx, c *store.Card, kind string, known []byte) (*store.Key, error) {
	if err := cardkey.Check(kind, known); err != nil {
		return nil, problem.Wrap(problem.AdoptKeyForm, err)
	}
	have, err := candidates(ctx, tx, c.ID)
	if errors.Is(err, errNoKey) {
		k, err := e.addKey(ctx, tx, c, kind, store.KeyCurrent, byKnown, known)
		return &k.Row, err
	}
	if err != nil {
		return nil, err
	}
	value, err := cardkey.Open(ctx, tx, e.keys, *c, *have.current)
	if err != nil {
		return nil, err
	}
	same := have.current.Kind == kind && hmac.Equal(value, known)
	if same && have.pending == nil && have.many == nil {
		return have.current, nil
	}
	return nil, problem.New(problem.AdoptHasKey)
}

// nextKey draws and keeps the key that the card is to take. Its row counts as
// one that the card may hold, though no session was ever released it.
func (e *Escrow) nextKey(ctx context.Context, tx *store.Tx, c *store.Card, kind string, known []byte) (cardkey.Plain, error) {
	fresh, err := cardkey.New(kind)
	for err == nil && hmac.Equal(fresh, known) {
		fresh, err = cardkey.New(kind)
	}
	if err != nil {
		return cardkey.Plain{}, err
	}
	return e.addKey(ctx, tx, c, kind, store.KeyPending, byAdoption, fresh)
}

func (e *Escrow) addKey(ctx context.Context, tx *store.Tx, c *store.Card, kind string, state store.KeyState, by string, value []byte) (cardkey.Plain, error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return cardkey.Plain{}, err
	}
	k := store.Key{ID: store.NewID(), CardID: c.ID, Kind: kind, State: state, CreatedBy: by, CreatedAt: now, Epoch: c.Epoch,
		Restored: by == byAdoption}
	if err := cardkey.Add(ctx, tx, e.keys, &k, value); err != nil {
		return cardkey.Plain{}, fmt.Errorf("keep a key of an adoption: %w", err)
	}
	return cardkey.Plain{Row: k, Value: value}, nil
}

// keepAdoption writes the pair into the journal and where the keys stand into
// the database.
func (e *Escrow) keepAdoption(ctx context.Context, tx *store.Tx, c *store.Card, current, next store.Key) error {
	if err := e.record(ctx, tx, store.Session{}, *c, c.KeysVersion+1, 0, current, next); err != nil {
		return err
	}
	return cardkey.Save(ctx, tx, e.keys, c)
}

// resumeAdoption takes an attempt up again. Where nobody knows how the last one
// ended, the other key goes first.
func (e *Escrow) resumeAdoption(ctx context.Context, tx *store.Tx, c *store.Card) (Adoption, error) {
	have, err := candidates(ctx, tx, c.ID)
	if err != nil {
		return Adoption{}, err
	}
	if c.OpenAttempt != "" {
		if c.PendingFirst, err = reorder(ctx, tx, *c, have); err != nil {
			return Adoption{}, err
		}
		c.OpenAttempt = adopting
	}
	a := Adoption{Kind: have.pending.Kind, NextFirst: c.PendingFirst, Resumed: true}
	if a.Known, err = cardkey.Open(ctx, tx, e.keys, *c, *have.current); err != nil {
		return Adoption{}, err
	}
	if a.Next, err = cardkey.Open(ctx, tx, e.keys, *c, *have.pending); err != nil {
		return Adoption{}, err
	}
	return a, e.keepAdoption(ctx, tx, c, *have.current, *have.pending)
}

// OneRefused notes that the card in hand has refused the key that was tried
// first: the next one, or the known one. After the known one it holds the next,
// which is tried first from now on, however often the card is torn out. After
// the next one the known one is presented now, and first in the attempt after
// this where nobody hears how that ended. left is what the card said of its
// tries, -1 where it did not.
func (e *Escrow) OneRefused(ctx context.Context, tx *store.Tx, c *store.Card, next bool, left int) error {
	c.PendingFirst, c.OpenAttempt = true, ""
	if next {
		c.OpenAttempt = adopting // so that the order flips
	}
	return e.refusedInHand(ctx, tx, c, left)
}

// EndAdoption notes that the card in hand did not take its next key: it has
// refused every key that it was given (refused), or it takes no other. Keys that
// came with the adoption and that it has refused become history.
func (e *Escrow) EndAdoption(ctx context.Context, tx *store.Tx, c *store.Card, refused bool, left int, by string) error {
	have, err := candidates(ctx, tx, c.ID)
	if err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	var gone []*store.Key
	if have.pending != nil && have.pending.CreatedBy == byAdoption {
		gone = append(gone, have.pending)
	}
	if refused && have.current.CreatedBy == byKnown {
		gone = append(gone, have.current)
	}
	for _, k := range gone {
		if err := tx.SetKeyState(ctx, k.ID, store.KeyRetired, now); err != nil {
			return err
		}
	}
	c.Epoch++
	c.PendingFirst, c.OpenAttempt = false, ""
	why := "the card takes no other key"
	if refused {
		why = "the card refused the key"
	}
	if err := audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.CardNotAdopted, CardID: c.ID, Holder: c.HolderID,
		Details: map[string]string{"by": by, "reason": why}}); err != nil {
		return err
	}
	return e.refusedInHand(ctx, tx, c, left)
}

func (e *Escrow) refusedInHand(ctx context.Context, tx *store.Tx, c *store.Card, left int) error {
	if left >= 0 {
		c.TriesLeft = left
	}
	if err := cardkey.Save(ctx, tx, e.keys, c); err != nil {
		return err
	}
	e.stands(ctx, tx, *c)
	return nil
}

// FinishAdoption makes the next key the current one: the card in hand holds it.
func (e *Escrow) FinishAdoption(ctx context.Context, tx *store.Tx, c *store.Card, by string) error {
	have, err := candidates(ctx, tx, c.ID)
	if err != nil {
		return err
	}
	if have.pending != nil && have.many == nil && have.pending.CreatedBy == byAdoption {
		if err := e.promote(ctx, tx, store.Session{}, c, have); err != nil {
			return err
		}
	}
	c.OpenAttempt, c.TriesOut, c.TriesLeft = "", 0, store.TriesUnknown
	if err := cardkey.Save(ctx, tx, e.keys, c); err != nil {
		return err
	}
	e.stands(ctx, tx, *c)
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.CardAdopted, CardID: c.ID, Holder: c.HolderID,
		Details: map[string]string{"by": by, "epoch": fmt.Sprint(c.Epoch)}})
}
