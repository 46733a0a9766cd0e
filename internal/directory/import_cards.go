package directory

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/trust"
)

// Columns of a card file that hold certificates.
const (
	columnCardAuth = "card_authentication_certificate" // PIV 9E
	columnPIVAuth  = "piv_authentication_certificate"  // PIV 9A
	columnAuth     = "authentication_certificate"      // the same of other families
)

// ImportCards imports cards from columns family, identifier, serial and
// staff_number, and where the file has them puk, or key_kind and key (package
// cardkey), the certificates (DER in base64, or PEM), expires (2027-03-31, or
// RFC 3339) and state ("active", "suspended", "revoked"). The holder must be
// there. A card is known by family and identifier. Without expires it is the
// end of the first certificate that runs out. An empty value leaves what is on
// record.
//
// A card's unlocking key is set once: a line with another key than one the
// card has, or had, is bad (problem.ImportKey). See Reissue.
func (d *Directory) ImportCards(ctx context.Context, db *store.DB, file io.ReadSeeker, o ImportOptions) (ImportResult, error) {
	r := &importRun{name: "cards", required: []string{"family", "identifier", "serial", "staff_number"},
		optional: []string{columnCardAuth, columnPIVAuth, columnAuth, "expires", "state", "puk", "key_kind", "key"}, options: o}
	r.parse = func(l row) (record, error) { return d.parseCard(l, o.WithoutKeys) }
	return r.run(ctx, db, file)
}

// cardRecord is a line of a card file.
type cardRecord struct {
	d                                       *Directory
	family, identifier, serial, staffNumber string
	kind                                    string
	key                                     []byte // nil: not in the file
	keyless                                 bool   // it may have no key
	cardAuth, pivAuth                       []byte
	expires                                 time.Time
	state                                   store.CardState
}

func (d *Directory) parseCard(r row, keyless bool) (record, error) {
	c := &cardRecord{d: d, family: strings.ToLower(r.get("family")), staffNumber: r.get("staff_number"),
		keyless: keyless, state: store.CardState(strings.ToLower(r.get("state")))}
	var err error
	if c.identifier, err = normaliseIdentifier(c.family, r.get("identifier")); err != nil {
		return nil, err
	}
	if c.serial, err = normaliseSerial(c.family, c.identifier, r.get("serial")); err != nil {
		return nil, err
	}
	if err := checkStaffNumber(c.staffNumber); err != nil {
		return nil, err
	}
	if c.kind, c.key, err = parseCardKey(c.family, r); err != nil {
		return nil, err
	}
	if c.cardAuth, err = parseCertificate(r, columnCardAuth); err != nil {
		return nil, err
	}
	column := columnPIVAuth
	if r.get(column) == "" {
		column = columnAuth
	}
	if c.pivAuth, err = parseCertificate(r, column); err != nil {
		return nil, err
	}
	if c.expires, err = parseExpires(r.get("expires")); err != nil {
		return nil, err
	}
	if !slices.Contains([]store.CardState{"", store.CardActive, store.CardSuspended, store.CardRevoked}, c.state) {
		return nil, badLine(problem.ImportLine, "The state %.40q is not active, suspended or revoked.", c.state)
	}
	return c, nil
}

// parseCertificate reads base64 of DER, or PEM.
func parseCertificate(r row, column string) ([]byte, error) {
	text := r.get(column)
	if text == "" {
		return nil, nil
	}
	var der []byte
	if block, _ := pem.Decode([]byte(text)); block != nil {
		der = block.Bytes
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err != nil {
			return nil, badLine(problem.ImportLine, "The %s is neither base64 nor PEM.", column)
		}
	}
	if _, err := earliestExpiry(der); err != nil {
		return nil, badLine(problem.ImportLine, "The %s is not an X.509 certificate.", column)
	}
	return der, nil
}

// parseExpires reads a moment, or a day that is still good to its end in UTC.
func parseExpires(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, badLine(problem.ImportLine, "The expiry %.40q is not a date like 2027-03-31.", text)
	}
	return at.UTC().Truncate(time.Microsecond), nil
}

func (c *cardRecord) keys() []string {
	keys := []string{c.family + "\x00id\x00" + c.identifier}
	if c.serial != "" {
		keys = append(keys, c.family+"\x00serial\x00"+c.serial)
	}
	return keys
}

func (c *cardRecord) apply(ctx context.Context, tx *store.Tx) (outcome, error) {
	h, err := tx.HolderByStaffNumber(ctx, c.staffNumber)
	if errors.Is(err, store.ErrNotFound) {
		return unchanged, badLine(problem.ImportLine, "There is no cardholder with staff number %.64q. Import cardholders first.", c.staffNumber)
	}
	if err != nil {
		return unchanged, err
	}
	if err := c.d.checkHolder(ctx, tx, h); err != nil {
		return unchanged, tamperedLine(err)
	}
	have, err := tx.CardByIdentifier(ctx, c.family, c.identifier)
	if errors.Is(err, store.ErrNotFound) {
		return added, c.add(ctx, tx, h)
	}
	if err != nil {
		return unchanged, err
	}
	if have, err = tx.LockCard(ctx, have.ID); err != nil { // the whole record is written back
		return unchanged, err
	}
	if err := c.d.CheckCard(ctx, tx, have); err != nil {
		return unchanged, tamperedLine(err)
	}
	return c.change(ctx, tx, have, h)
}

func (c *cardRecord) add(ctx context.Context, tx *store.Tx, h store.Holder) error {
	if c.key == nil && !c.keyless {
		return badLine(problem.ImportLine, "The card has no unlocking key.")
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	n := store.Card{ID: store.NewID(), Family: c.family, Identifier: c.identifier, State: store.CardActive, CreatedAt: now, Epoch: 1,
		TriesLeft: store.TriesUnknown}
	if _, err := c.merge(&n, h, now); err != nil {
		return err
	}
	c.d.signCard(&n)
	k := newKey(n.ID, c.kind, "import", n.Epoch, now)
	if c.key != nil {
		cardkey.Sign(c.d.keys, &n, []store.Key{k})
	}
	err = tx.InsertCard(ctx, n)
	if errors.Is(err, store.ErrExists) {
		return badLine(problem.ImportLine, "Another card has the serial number %s.", c.serial)
	}
	if err != nil {
		return err
	}
	if c.key != nil {
		if err := cardkey.Add(ctx, tx, c.d.keys, &k, c.key); err != nil {
			return err
		}
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.CardAdded, CardID: n.ID, Holder: h.ID,
		Details: map[string]string{"family": n.Family, "identifier": n.Identifier, "serial": n.Serial, "state": string(n.State)}})
}

// change brings a card on record in line. Everything is checked before
// anything is written, because a bad line must leave nothing behind.
func (c *cardRecord) change(ctx context.Context, tx *store.Tx, have store.Card, h store.Holder) (outcome, error) {
	if err := c.checkSerial(ctx, tx, have); err != nil {
		return unchanged, err
	}
	needsKey, err := c.checkKey(ctx, tx, have)
	if err != nil {
		return unchanged, err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return unchanged, err
	}
	next := have
	details, err := c.merge(&next, h, now)
	if err != nil {
		return unchanged, err
	}
	if len(details) > 0 {
		c.d.signCard(&next)
		if err := tx.UpdateCardRecord(ctx, next); err != nil {
			return unchanged, err
		}
	}
	if needsKey {
		if err := c.d.insertKey(ctx, tx, &have, c.kind, c.key); err != nil {
			return unchanged, err
		}
		details["key"] = "stored"
	}
	if len(details) == 0 {
		return unchanged, nil
	}
	return changed, audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.CardChanged,
		CardID: have.ID, Holder: h.ID, Details: details})
}

// checkSerial refuses a second card with the first one's identifier, or with
// another one's serial number.
func (c *cardRecord) checkSerial(ctx context.Context, tx *store.Tx, have store.Card) error {
	if c.serial == "" || c.serial == have.Serial {
		return nil
	}
	if have.Serial != "" {
		return badLine(problem.ImportLine, "The card on record with this identifier has the serial number %s, not %s.", have.Serial, c.serial)
	}
	_, err := tx.CardBySerial(ctx, c.family, c.serial)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return badLine(problem.ImportLine, "Another card has the serial number %s.", c.serial)
}

// checkKey says whether the card on record is still without a key. A key that
// the card has, or had, is fine; any other is a bad line.
func (c *cardRecord) checkKey(ctx context.Context, tx *store.Tx, have store.Card) (bool, error) {
	if c.key == nil {
		return false, nil
	}
	keys, err := tx.AllCardKeys(ctx, have.ID)
	if err != nil || len(keys) == 0 {
		return err == nil, err
	}
	for _, k := range keys {
		key, err := cardkey.Open(ctx, tx, c.d.keys, have, k)
		if err != nil {
			return false, fmt.Errorf("open a key of card %s: %w", have.ID, err)
		}
		if k.Kind == c.kind && hmac.Equal(key, c.key) {
			return false, nil
		}
	}
	return false, badLine(problem.ImportKey, "The card has a different unlocking key on record.")
}

// judgeLine refuses a certificate that does not count. Whether one was revoked
// need not be known: it is asked before the card is unlocked.
func (d *Directory) judgeLine(column string, cert []byte, now time.Time) error {
	if d.judge == nil {
		return nil
	}
	v, err := d.judge(cert, now)
	if err != nil || v.OK() || v.Status == trust.Unknown {
		return err
	}
	return badLine(problem.ImportCert, "The %s is %s: %s.", column, v.Status, v.Why)
}

// merge puts the line's values into a card and says which it changed. A
// certificate that is on record already is not judged again: that is done
// whenever the card is to be unlocked.
func (c *cardRecord) merge(n *store.Card, h store.Holder, now time.Time) (map[string]string, error) {
	details := map[string]string{}
	if n.HolderID != h.ID {
		n.HolderID, details["holder"] = h.ID, "changed"
	}
	if c.serial != "" && n.Serial != c.serial {
		n.Serial, details["serial"] = c.serial, c.serial
	}
	if c.state != "" && n.State != c.state {
		n.State, details["state"] = c.state, string(c.state)
	}
	if c.cardAuth != nil && string(n.CardAuthCert) != string(c.cardAuth) {
		if err := c.d.judgeLine(columnCardAuth, c.cardAuth, now); err != nil {
			return nil, err
		}
		n.CardAuthCert, details[columnCardAuth] = c.cardAuth, "changed"
	}
	if c.pivAuth != nil && string(n.PIVAuthCert) != string(c.pivAuth) {
		if err := c.d.judgeLine(columnPIVAuth, c.pivAuth, now); err != nil {
			return nil, err
		}
		n.PIVAuthCert, details[columnPIVAuth] = c.pivAuth, "changed"
	}
	expires := c.expires
	if expires.IsZero() && (c.cardAuth != nil || c.pivAuth != nil) {
		var err error
		if expires, err = earliestExpiry(n.CardAuthCert, n.PIVAuthCert); err != nil {
			return nil, fmt.Errorf("certificate on record: %w", err)
		}
	}
	if !expires.IsZero() && !n.ExpiresAt.Equal(expires) {
		n.ExpiresAt, details["expires"] = expires, expires.Format(time.RFC3339)
	}
	return details, nil
}
