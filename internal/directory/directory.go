// Package directory knows the cardholders, their cards and how to reach them.
//
// Everything it gives out carries a MAC (package seal): a holder, card or
// contact that was written to the database by anything but Latchkey counts as
// absent, and the attempt is logged and put in the audit trail.
//
// Lookups run inside the caller's transaction. Imports read CSV (RFC 4180) in
// bounded memory; see Import.
package directory

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/trust"
)

// ErrTampered says that a record's MAC does not fit. It comes together with
// store.ErrNotFound: the record counts as absent.
var ErrTampered = errors.New("the record was not written by Latchkey")

// Kinds of contacts.
const (
	KindEmail = "email"
	KindSMS   = "sms"
)

// Options of New.
type Options struct {
	// EmailDomains, where not empty, are the only domains whose addresses can
	// be used, subdomains not included. Read at each use: an address outside
	// them may be on record.
	EmailDomains []string
	// Region is where national phone numbers ("07700 900123") are at home, in
	// ISO 3166-1 alpha-2 ("GB"). Empty: only international ones are taken.
	Region string
	Log    *slog.Logger // default: nothing is logged
	// Recorder gets keys that are on a card already, such as a reissued one's,
	// before they are kept; nil: nothing does.
	Recorder cardkey.Recorder
	// Judge, where set, says whether a card's certificate (DER) may come on
	// record at a time: by what is known here, without asking anybody. An error
	// is of the judge's own.
	Judge func(cert []byte, now time.Time) (trust.Verdict, error)
}

// Directory looks up and keeps holders, cards and contacts.
type Directory struct {
	keys     *seal.Keyring
	domains  map[string]bool
	region   string
	log      *slog.Logger
	recorder cardkey.Recorder
	judge    func(cert []byte, now time.Time) (trust.Verdict, error) // nil: any may
}

// New makes a Directory. Error: problem.ConfigInvalid for a domain or region
// that is none.
func New(keys *seal.Keyring, o Options) (*Directory, error) {
	d := &Directory{keys: keys, domains: make(map[string]bool), region: strings.ToUpper(o.Region), log: o.Log, recorder: o.Recorder,
		judge: o.Judge}
	for _, name := range o.EmailDomains {
		domain, err := normaliseDomain(name)
		if err != nil {
			return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("email domain %q: %w", name, err))
		}
		d.domains[domain] = true
	}
	if !knownRegion(d.region) {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("region %q: want two letters such as GB", o.Region))
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	return d, nil
}

// Identify finds the registered card that answers to what was read from a
// card, and its holder. The serial counts where both sides know one. Errors:
// store.ErrNotFound, with ErrTampered where a record is not ours.
func (d *Directory) Identify(ctx context.Context, tx *store.Tx, family, id, serial string) (store.Card, store.Holder, error) {
	c, err := tx.CardByIdentifier(ctx, family, id)
	if err != nil {
		return store.Card{}, store.Holder{}, err
	}
	if err := d.CheckCard(ctx, tx, c); err != nil {
		return store.Card{}, store.Holder{}, err
	}
	if serial != "" && c.Serial != "" && serial != c.Serial {
		return store.Card{}, store.Holder{}, fmt.Errorf("card with this identifier and serial: %w", store.ErrNotFound)
	}
	h, err := d.Holder(ctx, tx, c.HolderID)
	if err != nil {
		return store.Card{}, store.Holder{}, err
	}
	return c, h, nil
}

// Holder reads a holder by id, with Identify's errors.
func (d *Directory) Holder(ctx context.Context, tx *store.Tx, id string) (store.Holder, error) {
	h, err := tx.Holder(ctx, id)
	if err != nil {
		return store.Holder{}, err
	}
	if err := d.checkHolder(ctx, tx, h); err != nil {
		return store.Holder{}, err
	}
	return h, nil
}

// Standing says whether card and holder may help themselves at a time. The
// precise reason (problem CardRevoked, CardSuspended, HolderSuspended,
// CardExpired) is for a card that has proven itself alone (R4).
func Standing(c store.Card, h store.Holder, now time.Time) error {
	switch {
	case c.State == store.CardRevoked:
		return problem.New(problem.CardRevoked)
	case c.State != store.CardActive:
		return problem.New(problem.CardSuspended)
	case h.State != store.HolderActive:
		return problem.New(problem.HolderSuspended)
	case !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt):
		return problem.New(problem.CardExpired)
	}
	return nil
}

// Contacts gives the holder's contacts of all kinds that can be used.
func (d *Directory) Contacts(ctx context.Context, tx *store.Tx, holderID string) ([]store.Contact, error) {
	all, err := tx.Contacts(ctx, holderID)
	if err != nil {
		return nil, err
	}
	usable := make([]store.Contact, 0, len(all))
	for _, c := range all {
		switch err := d.checkContact(ctx, tx, c); {
		case errors.Is(err, ErrTampered):
		case err != nil:
			return nil, err
		case c.Kind != KindEmail || d.allowed(c.Value):
			usable = append(usable, c)
		}
	}
	return usable, nil
}

// Normalise brings an address as typed into the one form that is kept and
// compared: NormaliseEmail's for KindEmail, NormaliseMobile's for KindSMS.
// Errors: theirs.
func (d *Directory) Normalise(kind, address string) (string, error) {
	if kind == KindSMS {
		return d.NormaliseMobile(address)
	}
	return NormaliseEmail(address)
}

// Contact says whether an address as typed is one of the holder's of a kind
// that can be used. It does the same work whether it is or not (R4): every
// contact of the holder is looked at. Errors: Normalise's.
func (d *Directory) Contact(ctx context.Context, tx *store.Tx, holderID, kind, address string) (theirs store.Contact, found bool, err error) {
	value, err := d.Normalise(kind, address)
	if err != nil {
		return store.Contact{}, false, err
	}
	contacts, err := d.Contacts(ctx, tx, holderID)
	if err != nil {
		return store.Contact{}, false, err
	}
	for _, c := range contacts {
		if same := subtle.ConstantTimeCompare([]byte(c.Value), []byte(value)) == 1; same && c.Kind == kind {
			theirs, found = c, true
		}
	}
	return theirs, found, nil
}

// LearnCardAuthCert puts a card authentication certificate (DER) on record for
// a card that had none. The caller has made sure that its issuer is trusted,
// that it names this card, and that the card has signed with it.
func (d *Directory) LearnCardAuthCert(ctx context.Context, tx *store.Tx, c store.Card, cert []byte) error {
	c.CardAuthCert = cert
	d.signCard(&c)
	if err := tx.UpdateCardRecord(ctx, c); err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.CardChanged, CardID: c.ID, Holder: c.HolderID,
		Details: map[string]string{"card_authentication_certificate": "learned"}})
}

// MACs: what a record is, without what changes in daily use.

func (d *Directory) signHolder(h *store.Holder) { h.MAC = d.keys.MAC("holder", holderFields(*h)...) }

func (d *Directory) signContact(c *store.Contact) {
	c.MAC = d.keys.MAC("contact", contactFields(*c)...)
}

func (d *Directory) signCard(c *store.Card) { c.MAC = d.keys.MAC("card", cardFields(*c)...) }

func holderFields(h store.Holder) []string {
	return []string{h.ID, h.StaffNumber, h.Name, string(h.State)}
}

func contactFields(c store.Contact) []string { return []string{c.ID, c.HolderID, c.Kind, c.Value} }

func cardFields(c store.Card) []string {
	expires := ""
	if !c.ExpiresAt.IsZero() {
		expires = strconv.FormatInt(c.ExpiresAt.UnixMicro(), 10)
	}
	return []string{c.ID, c.Family, c.Identifier, c.Serial, c.HolderID, string(c.State), expires,
		string(c.CardAuthCert), string(c.PIVAuthCert)}
}

func (d *Directory) checkHolder(ctx context.Context, tx *store.Tx, h store.Holder) error {
	if d.keys.CheckMAC(h.MAC, "holder", holderFields(h)...) {
		return nil
	}
	return d.tampered(ctx, tx, audit.Event{Holder: h.ID}, "holder")
}

func (d *Directory) checkContact(ctx context.Context, tx *store.Tx, c store.Contact) error {
	if d.keys.CheckMAC(c.MAC, "contact", contactFields(c)...) {
		return nil
	}
	return d.tampered(ctx, tx, audit.Event{Holder: c.HolderID}, "contact")
}

// CheckCard makes sure that a card's record is ours, with Identify's errors.
func (d *Directory) CheckCard(ctx context.Context, tx *store.Tx, c store.Card) error {
	if d.keys.CheckMAC(c.MAC, "card", cardFields(c)...) {
		return nil
	}
	return d.tampered(ctx, tx, audit.Event{CardID: c.ID, Holder: c.HolderID}, "card")
}

// tampered reports a record that is not ours and gives the error of an absent
// one.
func (d *Directory) tampered(ctx context.Context, tx *store.Tx, e audit.Event, record string) error {
	d.log.ErrorContext(ctx, "a record in the database was not written by Latchkey: it is not used",
		"code", problem.Internal, "record", record, "card", e.CardID, "holder", e.Holder)
	if !tx.ReadOnly() {
		e.Actor, e.Action, e.Details = audit.ActorService, audit.RecordTampered, map[string]string{"record": record}
		if err := audit.Append(ctx, tx, e); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w: %w", record, store.ErrNotFound, ErrTampered)
}

// earliestExpiry is when the first of the certificates (DER) expires; zero
// where there are none.
func earliestExpiry(certs ...[]byte) (time.Time, error) {
	var first time.Time
	for _, der := range certs {
		if len(der) == 0 {
			continue
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return time.Time{}, err
		}
		if at := cert.NotAfter.UTC(); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, nil
}
