package directory

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

const (
	maxName     = 200 // characters
	maxContacts = 10  // of one kind
)

// ImportCardholders imports holders from columns staff_number and name, and
// email, mobile (several values apart by ";") and state ("active" or
// "suspended") where the file has them. A holder is known by the staff number.
// The addresses of a line replace those on record of that kind; a column that
// the file doesn't have leaves them.
func (d *Directory) ImportCardholders(ctx context.Context, db *store.DB, file io.ReadSeeker, o ImportOptions) (ImportResult, error) {
	r := &importRun{name: "cardholders", required: []string{"staff_number", "name"},
		optional: []string{"email", "mobile", "state"}, parse: d.parseHolder, options: o}
	return r.run(ctx, db, file)
}

// holderRecord is a line of a cardholder file.
type holderRecord struct {
	d           *Directory
	staffNumber string
	name        string
	state       store.HolderState   // empty: leave it
	contacts    map[string][]string // normalised values by kind; a kind that is not there stays
}

func (d *Directory) parseHolder(r row) (record, error) {
	h := &holderRecord{d: d, staffNumber: r.get("staff_number"), name: r.get("name"),
		state: store.HolderState(strings.ToLower(r.get("state"))), contacts: make(map[string][]string)}
	if err := checkStaffNumber(h.staffNumber); err != nil {
		return nil, err
	}
	if n := utf8.RuneCountInString(h.name); n == 0 || n > maxName || strings.ContainsFunc(h.name, unicode.IsControl) {
		return nil, badLine(problem.ImportLine, "The name is empty, longer than %d characters or has control characters.", maxName)
	}
	if !slices.Contains([]store.HolderState{"", store.HolderActive, store.HolderSuspended}, h.state) {
		return nil, badLine(problem.ImportLine, "The state %.40q is not active or suspended.", h.state)
	}
	if err := h.parseContacts(r, "email", KindEmail, NormaliseEmail); err != nil {
		return nil, err
	}
	if err := h.parseContacts(r, "mobile", KindSMS, d.NormaliseMobile); err != nil {
		return nil, err
	}
	return h, nil
}

func checkStaffNumber(n string) error {
	if n == "" || len(n) > 64 || strings.ContainsFunc(n, unicode.IsControl) {
		return badLine(problem.ImportLine, "The staff number is empty, longer than 64 characters or has control characters.")
	}
	return nil
}

func (h *holderRecord) parseContacts(r row, column, kind string, normalise func(string) (string, error)) error {
	cell, ok := r.value(column)
	if !ok {
		return nil
	}
	values := []string{}
	for part := range strings.SplitSeq(cell, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		v, err := normalise(part)
		if err != nil {
			return badLine(problem.ImportLine, "The %s %.80q is not one that can be used.", column, strings.TrimSpace(part))
		}
		if !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	if len(values) > maxContacts {
		return badLine(problem.ImportLine, "There are more than %d values for %s.", maxContacts, column)
	}
	h.contacts[kind] = values
	return nil
}

func (h *holderRecord) keys() []string { return []string{h.staffNumber} }

func (h *holderRecord) apply(ctx context.Context, tx *store.Tx) (outcome, error) {
	have, err := tx.HolderByStaffNumber(ctx, h.staffNumber)
	if errors.Is(err, store.ErrNotFound) {
		return added, h.add(ctx, tx)
	}
	if err != nil {
		return unchanged, err
	}
	if have, err = tx.LockHolder(ctx, have.ID); err != nil { // the whole record is written back
		return unchanged, err
	}
	if err := h.d.checkHolder(ctx, tx, have); err != nil {
		return unchanged, tamperedLine(err)
	}
	details, err := h.change(ctx, tx, have)
	if err != nil || len(details) == 0 {
		return unchanged, err
	}
	return changed, audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.HolderChanged,
		Holder: have.ID, Details: details})
}

// tamperedLine makes a record that is not ours a bad line.
func tamperedLine(err error) error {
	if errors.Is(err, ErrTampered) {
		return badLine(problem.Internal, "The record in the database was not written by Latchkey. It was left as it is: tell your security team.")
	}
	return err
}

func (h *holderRecord) add(ctx context.Context, tx *store.Tx) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	n := store.Holder{ID: store.NewID(), StaffNumber: h.staffNumber, Name: h.name, State: h.state, CreatedAt: now}
	if n.State == "" {
		n.State = store.HolderActive
	}
	h.d.signHolder(&n)
	if err := tx.InsertHolder(ctx, n); err != nil {
		return err
	}
	details := map[string]string{"staff_number": n.StaffNumber, "state": string(n.State)}
	if err := h.replaceContacts(ctx, tx, n.ID, nil, details); err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.HolderAdded, Holder: n.ID, Details: details})
}

// change gives what it changed, for the audit trail.
func (h *holderRecord) change(ctx context.Context, tx *store.Tx, have store.Holder) (map[string]string, error) {
	details := map[string]string{}
	if have.Name != h.name {
		have.Name, details["name"] = h.name, "changed"
	}
	if h.state != "" && have.State != h.state {
		have.State, details["state"] = h.state, string(h.state)
	}
	if len(details) > 0 {
		h.d.signHolder(&have)
		if err := tx.UpdateHolder(ctx, have); err != nil {
			return nil, err
		}
	}
	if len(h.contacts) == 0 {
		return details, nil
	}
	contacts, err := tx.Contacts(ctx, have.ID)
	if err != nil {
		return nil, err
	}
	return details, h.replaceContacts(ctx, tx, have.ID, contacts, details)
}

// replaceContacts makes the listed kinds of contacts what the line says. One
// that is not ours is replaced as well.
func (h *holderRecord) replaceContacts(ctx context.Context, tx *store.Tx, holderID string, have []store.Contact, details map[string]string) error {
	kept := map[string]bool{}
	for _, c := range have {
		wanted, listed := h.contacts[c.Kind]
		if !listed {
			continue
		}
		if slices.Contains(wanted, c.Value) && h.d.keys.CheckMAC(c.MAC, "contact", contactFields(c)...) {
			kept[c.Kind+c.Value] = true
			continue
		}
		if err := tx.DeleteContact(ctx, c.ID); err != nil {
			return err
		}
		note(details, c.Kind+"_removed", c.Value)
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	for _, kind := range []string{KindEmail, KindSMS} {
		for _, v := range h.contacts[kind] {
			if kept[kind+v] {
				continue
			}
			c := store.Contact{ID: store.NewID(), HolderID: holderID, Kind: kind, Value: v, CreatedAt: now}
			h.d.signContact(&c)
			if err := tx.InsertContact(ctx, c); err != nil {
				return err
			}
			note(details, kind+"_added", v)
		}
	}
	return nil
}

// note adds a value to a detail. Who could be reached where, and when, is what
// an investigation asks for first, so addresses are in the trail in full.
func note(details map[string]string, name, value string) {
	if details[name] != "" {
		value = details[name] + ";" + value
	}
	details[name] = value
}
