// Package adopt gives a card in the Registration Authority's reader an unlocking
// key that only the escrow knows: how an organisation starts that never kept the
// keys of its cards.
//
// It promises:
//   - the key that the card has, and the one that it is to take, are both
//     candidates in the escrow, durably, before the card is told of the second (R2);
//   - the card is asked nothing when one try or none of its key is left (R3);
//   - the same command run again finishes what a crash or a pulled card has
//     interrupted, at whatever command, and then asks for no key;
//   - no key is printed, logged, or in an error.
//
// Commands: CHANGE REFERENCE DATA of the PUK (SP 800-73-4 part 2 section 3.2.2,
// ISO/IEC 7816-4 section 11.6.7) or of PW3 (OpenPGP card 3.4 section 7.2.3);
// PUT DATA of a GIDS administration key after an authentication with it.
package adopt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"latchkey/internal/card"
	"latchkey/internal/card/recognise"
	"latchkey/internal/cardkey"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// KeySource gives the key that a card has, as a person or a file says. Errors:
// problem.AdoptKeyForm, AdoptNoFactory and those of the way that it comes.
type KeySource func(ctx context.Context, family card.Family, kind string) ([]byte, error)

// Desk adopts cards at one workstation.
type Desk struct {
	DB         *store.DB
	Directory  *directory.Directory
	Escrow     *escrow.Escrow
	Readers    card.Readers
	Recogniser recognise.Recogniser
	Family     card.Family // of the application to adopt; "": the card's first
	Reader     string      // use this one only; "": the one with a card in it
	Key        KeySource
	By         string            // who does it, for the audit trail
	Say        func(text string) // tells the person what to do; one line
	Log        *slog.Logger      // default: nothing is logged
}

// Result is what became of a card.
type Result struct {
	Identity card.Identity // as far as it was read
	Already  bool          // it was adopted before
}

const (
	// readPatience bounds reading a card.
	readPatience = 30 * time.Second
	// finishPatience bounds what has begun on a card and is brought to its end,
	// though the person has pressed Ctrl-C.
	finishPatience = time.Minute
)

// Card adopts the card in a reader for a holder. number, where not empty, is the
// card's identifier or serial number and must be that of the card. Errors are
// problems.
func (d *Desk) Card(ctx context.Context, reader string, h store.Holder, number string) (Result, error) {
	r, err := d.card(ctx, reader, h, number)
	if err == nil {
		return r, nil
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return r, ctx.Err()
	}
	p := fault(err)
	if p.Code == problem.Internal {
		d.log().ErrorContext(ctx, "card not adopted", "err", err)
	}
	return r, p
}

func (d *Desk) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

func (d *Desk) card(ctx context.Context, reader string, h store.Holder, number string) (Result, error) {
	seen, err := d.look(ctx, reader)
	if err != nil {
		return Result{Identity: seen.identity}, err
	}
	r := Result{Identity: seen.identity}
	id := seen.identity
	if number != "" && !directory.SameCard(number, string(id.Family), id.ID, id.Serial) {
		return r, problem.New(problem.AdoptOtherCard)
	}
	stands, err := d.onRecord(ctx, id, h)
	if err != nil {
		return r, err
	}
	if stands == escrow.Adopted {
		r.Already = true
		return r, nil
	}
	kind, err := seen.usable()
	if err != nil {
		return r, err
	}
	var known []byte
	if stands != escrow.AdoptionOpen {
		if known, err = d.Key(ctx, id.Family, kind); err != nil {
			return r, err
		}
	}
	return r, d.work(ctx, reader, h, id, kind, known)
}

// onRecord says how far the card is in the database, before anything is asked.
func (d *Desk) onRecord(ctx context.Context, id card.Identity, h store.Holder) (stands escrow.AdoptionState, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		c, err := tx.CardByIdentifier(ctx, string(id.Family), id.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil && c.HolderID != h.ID {
			err = problem.New(problem.AdoptOtherHolder)
		}
		if err != nil {
			return err
		}
		stands, err = d.Escrow.Adoption(ctx, tx, c.ID)
		return err
	})
	return stands, err
}

// seen is what a card says of itself.
type seen struct {
	identity card.Identity
	state    card.State
	kinds    []card.KeyKind
}

// look reads a card and lets go of it, so that nobody waits while a person
// types its key.
func (d *Desk) look(ctx context.Context, reader string) (seen, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	c, done, err := d.open(ctx, reader)
	if err != nil {
		return seen{}, err
	}
	defer done(card.LeaveCard)
	return read(ctx, c)
}

func read(ctx context.Context, c card.Card) (s seen, err error) {
	if s.identity, err = c.Identity(ctx); err != nil {
		return s, err
	}
	s.kinds = card.KeyKinds(c)
	s.state, err = c.State(ctx)
	return s, err
}

// usable gives the kind of key that is changed, where the card lets it be.
func (s seen) usable() (kind string, err error) {
	kinds := directory.Kinds(string(s.identity.Family))
	if len(kinds) == 0 || !slices.Contains(s.kinds, card.KeyKind(cardkey.OnCard(kinds[0]))) {
		return "", problem.New(problem.AdoptCannot)
	}
	counter := s.state.Key(card.KeyKind(cardkey.OnCard(kinds[0])))
	switch {
	case counter.Blocked():
		return "", problem.New(problem.AdoptBlocked)
	case counter.Known && counter.Left == 1:
		return "", problem.New(problem.AdoptLastTry)
	}
	return kinds[0], nil
}

// left is what the card says of the tries of a kind of key, nil where it does not.
func (s seen) left(kind string) *int {
	if c := s.state.Key(card.KeyKind(cardkey.OnCard(kind))); c.Known {
		return &c.Left
	}
	return nil
}

// open begins an exclusive transaction with a card and recognises it.
func (d *Desk) open(ctx context.Context, reader string) (c card.Card, done func(card.Disposition), err error) {
	conn, err := d.Readers.Connect(ctx, reader)
	if err != nil {
		return nil, nil, err
	}
	done = func(how card.Disposition) {
		if err := errors.Join(conn.End(how), conn.Close()); err != nil {
			d.log().DebugContext(ctx, "card not let go of", "err", err)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, card.BusyWait)
	defer cancel()
	err = conn.Begin(waiting)
	for tries := 0; errors.Is(err, card.ErrReset) && tries < 3; tries++ {
		if err = conn.Reconnect(waiting); err == nil {
			err = conn.Begin(waiting)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	if d.Family != "" {
		c, err = d.Recogniser.OpenFamily(ctx, conn, d.Family)
	} else {
		c, err = d.Recogniser.Open(ctx, conn)
	}
	if err != nil {
		done(card.LeaveCard)
		return nil, nil, err
	}
	return c, done, nil
}

// work does it in one exclusive transaction with the card, which ends with a
// reset. It can be repeated.
func (d *Desk) work(ctx context.Context, reader string, h store.Holder, id card.Identity, kind string, known []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishPatience)
	defer cancel()
	c, done, err := d.open(ctx, reader)
	if err != nil {
		return err
	}
	defer done(card.ResetCard)
	now, err := read(ctx, c)
	if err != nil {
		return err
	}
	if now.identity.ID != id.ID || now.identity.Serial != id.Serial || now.identity.Family != id.Family {
		return problem.New(problem.CardSwapped)
	}
	if _, err := now.usable(); err != nil {
		return err
	}
	certificates, err := certificates(ctx, c)
	if err != nil {
		return err
	}
	a := &attempt{desk: d, card: c, kind: card.KeyKind(cardkey.OnCard(kind))}
	if err := d.update(ctx, func(tx *store.Tx) error {
		row, err := d.Directory.Register(ctx, tx, h, directory.CardInHand{Family: string(id.Family), Identifier: id.ID, Serial: id.Serial,
			CardAuth: certificates.cardAuth, Auth: certificates.auth})
		if err != nil {
			return err
		}
		a.cardID = row.ID
		a.pair, err = d.Escrow.BeginAdoption(ctx, tx, &row, kind, known, now.left(kind))
		return err
	}); err != nil {
		return err
	}
	return a.run(ctx)
}

// update runs a transaction. What a refusal leaves behind is kept.
func (d *Desk) update(ctx context.Context, fn func(*store.Tx) error) error {
	var stopped escrow.Stopped
	err := d.DB.Update(ctx, func(tx *store.Tx) error {
		stopped = escrow.Stopped{}
		err := fn(tx)
		if errors.As(err, &stopped) {
			return nil
		}
		return err
	})
	if err == nil && stopped.Problem != nil {
		return stopped
	}
	return err
}

// Holder finds a cardholder by staff number: problem.HolderNotKnown.
func (d *Desk) Holder(ctx context.Context, staffNumber string) (h store.Holder, err error) {
	err = d.DB.View(ctx, func(tx *store.Tx) error {
		h, err = d.Directory.HolderByNumber(ctx, tx, staffNumber)
		return err
	})
	if err != nil {
		err = fmt.Errorf("cardholder: %w", err)
	}
	return h, err
}
