package directory

import (
	"context"
	"errors"
	"fmt"
	"io"

	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// CardInHand is what the Registration Authority reads from a card in its reader.
type CardInHand struct {
	Family, Identifier, Serial string
	CardAuth                   []byte // certificate (DER) of card authentication; nil: none
	Auth                       []byte // of the cardholder's authentication key; nil: none
}

// HolderByNumber finds a cardholder by staff number. Error:
// problem.HolderNotKnown; also where the record is not ours.
func (d *Directory) HolderByNumber(ctx context.Context, tx *store.Tx, staffNumber string) (store.Holder, error) {
	h, err := tx.HolderByStaffNumber(ctx, staffNumber)
	if err == nil {
		err = d.checkHolder(ctx, tx, h)
	}
	if errors.Is(err, store.ErrNotFound) {
		return store.Holder{}, problem.Wrap(problem.HolderNotKnown, err)
	}
	return h, err
}

// Register puts a card in hand on record for a holder, without an unlocking key,
// and locks it. A card that is on record stays as it is but for a serial number
// and certificates that it did not have. Errors: problem.AdoptOtherHolder,
// CardRevoked, and ImportLine for what an import would refuse.
func (d *Directory) Register(ctx context.Context, tx *store.Tx, h store.Holder, f CardInHand) (store.Card, error) {
	r := &cardRecord{d: d, family: f.Family, staffNumber: h.StaffNumber, keyless: true, cardAuth: f.CardAuth, pivAuth: f.Auth}
	var err error
	if r.identifier, err = normaliseIdentifier(f.Family, f.Identifier); err != nil {
		return store.Card{}, unquoted(err)
	}
	if r.serial, err = normaliseSerial(f.Family, r.identifier, f.Serial); err != nil {
		return store.Card{}, unquoted(err)
	}
	have, err := tx.CardByIdentifier(ctx, r.family, r.identifier)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Card{}, err
	}
	if err == nil {
		switch err := d.CheckCard(ctx, tx, have); {
		case err != nil:
			return store.Card{}, unquoted(tamperedLine(err))
		case have.HolderID != h.ID:
			return store.Card{}, problem.New(problem.AdoptOtherHolder)
		case have.State == store.CardRevoked:
			return store.Card{}, problem.New(problem.CardRevoked)
		}
		if len(have.CardAuthCert) > 0 {
			r.cardAuth = nil
		}
		if len(have.PIVAuthCert) > 0 {
			r.pivAuth = nil
		}
	}
	if _, err := r.apply(ctx, tx); err != nil {
		return store.Card{}, unquoted(err)
	}
	if have, err = tx.CardByIdentifier(ctx, r.family, r.identifier); err != nil {
		return store.Card{}, err
	}
	return tx.LockCard(ctx, have.ID)
}

// Kinds are the kinds of keys that unblock the cards of a family, the usual one
// first.
func Kinds(familyName string) []string {
	f, err := familyOf(familyName)
	if err != nil {
		return nil
	}
	return f.kinds
}

// IsCertificate says whether an import would take a certificate (DER).
func IsCertificate(der []byte) bool {
	_, err := earliestExpiry(der)
	return err == nil && len(der) > 0
}

// SameCard says whether a number that a person gave is a card's identifier or
// its serial number. Separators, case and zeros before a number are forgiven.
func SameCard(number, family, identifier, serial string) bool {
	if id, err := normaliseIdentifier(family, number); err == nil && id == identifier {
		return true
	}
	given, err := normaliseSerial(family, identifier, number)
	if err != nil || given == "" {
		return false
	}
	have, err := normaliseSerial(family, identifier, serial)
	return err == nil && given == have
}

// Wanted is a line of a list of cards to adopt.
type Wanted struct {
	StaffNumber string
	Card        string // identifier or serial number; "": whichever card comes
}

// maxWanted bounds the lines of such a list.
const maxWanted = 100_000

// ReadWanted reads a CSV file with the columns staff_number and, if wanted,
// card_number. A cardholder may be there several times with different cards.
// Errors: problem.ImportHeader, ImportEncoding, ImportLine with the line's
// number, ImportFile.
func ReadWanted(in io.Reader) ([]Wanted, error) {
	t, err := newTable(in, []string{"staff_number"}, []string{"card_number"})
	if err != nil {
		return nil, fileFault(err)
	}
	var list []Wanted
	seen := map[Wanted]int{}
	for {
		r, err := t.next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		var w Wanted
		if err == nil { // a row that is too short has no such fields
			w = Wanted{StaffNumber: r.get("staff_number"), Card: r.get("card_number")}
			err = checkStaffNumber(w.StaffNumber)
		}
		if first, twice := seen[w]; err == nil && twice {
			err = badLine(problem.ImportLine, "The same one is on line %d already. Name the cards with card_number where a cardholder has several.", first)
		}
		if err == nil && (len(w.Card) > 64 || len(list) == maxWanted) {
			err = badLine(problem.ImportLine, "The card number is too long, or the file has more than %d lines.", maxWanted)
		}
		var bad *lineError
		if errors.As(err, &bad) {
			p := *bad.problem
			p.Detail = fmt.Sprintf("Line %d: %s", r.line, p.What())
			return nil, &p
		}
		if err != nil {
			return nil, fileFault(err)
		}
		seen[w] = r.line
		list = append(list, w)
	}
}
