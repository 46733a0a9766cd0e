// Package recognise finds out of which family a card is, and which of its
// applications is the one to unblock. It sends SELECT and reads objects that
// every card of the application gives freely: never a VERIFY to a card that is
// not recognised, for on some cards an empty VERIFY counts as a wrong try.
//
// A card may hold several applications with a PIN each; a YubiKey has PIV and
// OpenPGP. They are looked at in this order:
//
//  1. PIV: an organisation that issues PIV cards logs in with it, whatever else
//     the card can do.
//
//  2. GIDS: what Windows' own minidriver uses.
//
//  3. OpenPGP: present on every YubiKey, mostly unused.
//
//  4. ISO 7816: cards that are known by a profile alone, where the organisation
//     has profiles. Their applications are the ones that most other cards answer
//     to as well.
package recognise

import (
	"context"
	"errors"
	"fmt"

	"latchkey/internal/card"
	"latchkey/internal/card/apdu"
	"latchkey/internal/card/gids"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/card/openpgp"
	"latchkey/internal/card/piv"
)

// Recogniser knows the families and profiles that an organisation unlocks. The
// zero value knows every family and no profile.
type Recogniser struct {
	// Families are looked for in this order; nil: all, in the package's order.
	Families []card.Family
	// Profiles are of cards of card.FamilyISO7816; the first that fits counts.
	Profiles []iso7816.Profile
}

// family is how the cards of one family are opened.
type family struct {
	name card.Family
	open func(context.Context, card.Conn) (card.Card, error)
}

// All are the names of all families in the order of the package's comment.
func All() []card.Family {
	return []card.Family{card.FamilyPIV, card.FamilyGIDS, card.FamilyOpenPGP, card.FamilyISO7816}
}

// families are those of a Recogniser.
func (r Recogniser) families() []family {
	open := map[card.Family]func(context.Context, card.Conn) (card.Card, error){
		card.FamilyPIV: opener(piv.Open), card.FamilyGIDS: opener(gids.Open), card.FamilyOpenPGP: opener(openpgp.Open),
		card.FamilyISO7816: r.openProfile,
	}
	names := r.Families
	if names == nil {
		names = All()
	}
	var list []family
	for _, n := range names {
		if f, ok := open[n]; ok {
			list = append(list, family{n, f})
		}
	}
	return list
}

// openProfile opens the card with the first profile that fits.
func (r Recogniser) openProfile(ctx context.Context, conn card.Conn) (card.Card, error) {
	for _, p := range r.Profiles {
		c, err := iso7816.Open(ctx, conn, p)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, card.ErrUnrecognised) {
			return nil, err
		}
	}
	return nil, card.ErrUnrecognised
}

// opener keeps a nil card of a family from becoming a card that is not nil.
func opener[C card.Card](open func(context.Context, apdu.Transmitter) (C, error)) func(context.Context, card.Conn) (card.Card, error) {
	return func(ctx context.Context, conn card.Conn) (card.Card, error) {
		c, err := open(ctx, conn)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// Application is one application that a card holds.
type Application struct {
	Card     card.Card // select it before use: another one may be selected
	Identity card.Identity
	State    card.State
	// Err says why it is of no use: it has no identifier, or answers what no
	// card of its family may. Identity and State may then be empty.
	Err error
}

// Look gives all applications of a card that are known here, in the order of the
// package's comment, with what they say of their PINs. It spends no try. The
// last one is left selected. card.ErrUnrecognised: there are none.
func (r Recogniser) Look(ctx context.Context, conn card.Conn) ([]Application, error) {
	var found []Application
	for _, f := range r.families() {
		c, err := f.open(ctx, conn)
		if errors.Is(err, card.ErrUnrecognised) {
			continue
		}
		if ofTheWay(err) {
			return nil, err
		}
		a := Application{Card: c, Identity: card.Identity{Family: f.name}, Err: err}
		if err == nil {
			a.Identity, a.Err = c.Identity(ctx)
		}
		if a.Err == nil {
			a.State, a.Err = c.State(ctx)
		}
		if ofTheWay(a.Err) {
			return nil, a.Err
		}
		found = append(found, a)
	}
	if len(found) == 0 {
		return nil, card.ErrUnrecognised
	}
	return found, nil
}

// Useful are the applications that can be unlocked: the passcodes that a card
// has for its holder.
func Useful(found []Application) []Application {
	var list []Application
	for _, a := range found {
		if a.Err == nil {
			list = append(list, a)
		}
	}
	return list
}

// Choose gives the application that a person with a locked card means: the
// first whose PIN is blocked; where there is none, the first that is of use. The
// answer of a card whose applications are all useless is why the first one is.
func Choose(found []Application) (Application, error) {
	var first *Application
	for i, a := range found {
		if a.Err != nil {
			continue
		}
		if a.State.PIN.Blocked() {
			return a, nil
		}
		if first == nil {
			first = &found[i]
		}
	}
	if first != nil {
		return *first, nil
	}
	if len(found) == 0 {
		return Application{}, card.ErrUnrecognised
	}
	return Application{}, found[0].Err
}

// Open gives the first application that can be identified, selected. Its choice
// does not depend on what is locked, so that it is the same card before and
// after an unlock; it asks no further application than it needs.
// card.ErrUnrecognised means that the card is of no family known here.
func (r Recogniser) Open(ctx context.Context, conn card.Conn) (card.Card, error) {
	var failed error
	for _, f := range r.families() {
		c, err := f.open(ctx, conn)
		if err == nil {
			if _, err = c.Identity(ctx); err == nil {
				return c, nil
			}
		}
		if ofTheWay(err) {
			return nil, err
		}
		if failed == nil && (c != nil || !errors.Is(err, card.ErrUnrecognised)) {
			failed = err // it has the application, but of no use: say so unless another is
		}
	}
	if failed != nil {
		return nil, failed
	}
	return nil, card.ErrUnrecognised
}

// OpenFamily gives the application of one family, selected: the one that a
// session was begun with. card.ErrUnrecognised: the card has none of it.
func (r Recogniser) OpenFamily(ctx context.Context, conn card.Conn, name card.Family) (card.Card, error) {
	for _, f := range r.families() {
		if f.name == name {
			return f.open(ctx, conn)
		}
	}
	return nil, fmt.Errorf("family %q: %w", name, card.ErrUnrecognised)
}

// ofTheWay says whether a fault is of the reader or the way to the card, so that
// asking on would tell nothing of the card.
func ofTheWay(err error) bool {
	for _, fault := range []error{card.ErrNoService, card.ErrNoReader, card.ErrReaderGone, card.ErrNoCard, card.ErrMute,
		card.ErrRemoved, card.ErrReset, card.ErrBusy, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}
