package directory

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/escrow/keyfile"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// ImportKeys imports unlocking keys, as a card management system exports them,
// from columns family, identifier and kind (package cardkey), and in each line
// either key (text for what is typed, hexadecimal for an administration key) or
// master, the number of the master key that gives it (see AddMaster). With a
// column serial the serial number on record must be the same. The cards must be
// there.
//
// As with ImportCards a key is set once: a line with another key than one that
// the card has, or had, is bad (problem.ImportKey).
func (d *Directory) ImportKeys(ctx context.Context, db *store.DB, file io.ReadSeeker, o ImportOptions) (ImportResult, error) {
	r := &importRun{name: "keys", required: []string{"family", "identifier", "kind"}, optional: []string{"key", "master", "serial"},
		parse: d.parseKey, options: o}
	return r.run(ctx, db, file)
}

// KeyFile reads a file of keys that was encrypted to this service.
func (d *Directory) KeyFile(file io.ReadSeeker) (io.ReadSeeker, error) {
	return keyfile.NewReader(file, d.keys)
}

// keyRecord is a line of a key file.
type keyRecord struct {
	d                                *Directory
	family, identifier, serial, kind string
	key                              []byte // nil: it is derived
	master                           int64  // number of the master key; 0: it is stored
}

func (d *Directory) parseKey(r row) (record, error) {
	k := &keyRecord{d: d, family: strings.ToLower(r.get("family")), kind: strings.ToLower(r.get("kind"))}
	var err error
	if k.identifier, err = normaliseIdentifier(k.family, r.get("identifier")); err != nil {
		return nil, err
	}
	if k.serial, err = normaliseSerial(k.family, k.identifier, r.get("serial")); err != nil {
		return nil, err
	}
	if k.kind, err = parseKind(k.family, k.kind); err != nil {
		return nil, err
	}
	key, master := r.get("key"), r.get("master")
	switch {
	case (key == "") == (master == ""):
		return nil, badLine(problem.ImportLine, "The line needs a key, or the number of a master key, and not both.")
	case master != "":
		if k.master, err = strconv.ParseInt(master, 10, 64); err != nil || k.master < 1 {
			return nil, badLine(problem.ImportLine, "The master %.40q is not a number from 1.", master)
		}
		return k, nil
	}
	if k.key, err = cardkey.Parse(k.kind, key); err != nil {
		return nil, badLine(problem.ImportLine, "The key of this line cannot be used: %v.", err) // never shows it
	}
	return k, nil
}

func (k *keyRecord) keys() []string { return []string{k.family + "\x00" + k.identifier} }

func (k *keyRecord) apply(ctx context.Context, tx *store.Tx) (outcome, error) {
	c, err := tx.CardByIdentifier(ctx, k.family, k.identifier)
	if errors.Is(err, store.ErrNotFound) {
		return unchanged, badLine(problem.ImportLine, "There is no card with this identifier. Import cards first.")
	}
	if err != nil {
		return unchanged, err
	}
	if c, err = tx.LockCard(ctx, c.ID); err != nil {
		return unchanged, err
	}
	if err := k.d.CheckCard(ctx, tx, c); err != nil {
		return unchanged, tamperedLine(err)
	}
	if k.serial != "" && k.serial != c.Serial {
		return unchanged, badLine(problem.ImportLine, "The card on record with this identifier has another serial number.")
	}
	masterID, err := k.masterID(ctx, tx)
	if err != nil {
		return unchanged, err
	}
	have, err := tx.AllCardKeys(ctx, c.ID)
	if err != nil {
		return unchanged, err
	}
	if len(have) > 0 {
		return unchanged, k.same(ctx, tx, c, have, masterID)
	}
	if masterID != "" {
		err = k.d.insertDerived(ctx, tx, &c, k.kind, masterID)
	} else {
		err = k.d.insertKey(ctx, tx, &c, k.kind, k.key)
	}
	if err != nil {
		return unchanged, err
	}
	return added, audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.CardChanged, CardID: c.ID, Holder: c.HolderID,
		Details: map[string]string{"key": "stored", "kind": k.kind, "master": strconv.FormatInt(k.master, 10)}})
}

// masterID is the id of the line's master key, "" for a key that is stored.
func (k *keyRecord) masterID(ctx context.Context, tx *store.Tx) (string, error) {
	if k.master == 0 {
		return "", nil
	}
	m, err := tx.MasterKeyByNumber(ctx, k.master)
	if errors.Is(err, store.ErrNotFound) {
		return "", badLine(problem.ImportLine, "There is no master key with number %d. Add it with latchkeyd keys master add.", k.master)
	}
	return m.ID, err
}

// same makes sure that the line's key is one that the card has or had.
func (k *keyRecord) same(ctx context.Context, tx *store.Tx, c store.Card, have []store.Key, masterID string) error {
	for _, h := range have {
		if h.Kind != k.kind {
			continue
		}
		if masterID != "" {
			if h.MasterID == masterID {
				return nil
			}
			continue
		}
		key, err := cardkey.Open(ctx, tx, k.d.keys, c, h)
		if err != nil {
			return fmt.Errorf("open a key of card %s: %w", c.ID, err)
		}
		if hmac.Equal(key, k.key) {
			return nil
		}
	}
	return badLine(problem.ImportKey, "The card has a different unlocking key on record.")
}

// AddMaster keeps a master key with its number, from which the keys of cards
// are derived. The same one again changes nothing. Error: problem.MasterKeyWrong
// for a form that does not fit the method, or a number that has another.
func (d *Directory) AddMaster(ctx context.Context, tx *store.Tx, number int64, method, label string, key []byte) error {
	m := store.MasterKey{ID: cardkey.MasterID(method, label, key), Number: number, Method: method, Label: label}
	if err := cardkey.SealMaster(d.keys, &m, key); errors.Is(err, cardkey.ErrMaster) {
		return problem.Wrap(problem.MasterKeyWrong, err)
	} else if err != nil {
		return err
	}
	have, err := tx.MasterKeyByNumber(ctx, number)
	if err == nil {
		if have.ID == m.ID {
			return nil
		}
		return problem.Wrap(problem.MasterKeyWrong, fmt.Errorf("number %d has another master key already", number))
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if m.CreatedAt, err = tx.Now(ctx); err != nil {
		return err
	}
	if err := tx.InsertMasterKey(ctx, m); err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.MasterAdded,
		Details: map[string]string{"number": strconv.FormatInt(number, 10), "method": method, "label": label}})
}
