// Package unlock is the heart of the service: unlock sessions, proof of the
// card and of the person, one-time codes and their limits (unlocking.md).
//
// It promises:
//   - R4: right and wrong addresses cost the same work and give the same
//     answer; until a card has proven itself, an unknown, revoked, suspended
//     or expired one gets one and the same answer;
//   - R5: a session unlocks one card, once, within its time by the database's
//     clock; a newer verified session supersedes an older one;
//   - R6: what happens is in the audit trail of the same transaction;
//   - what a card must prove comes from our record of it, never from what a
//     client says it can do;
//   - limits are rows in the database: they hold across restarts and nodes,
//     and count apart for cards that have proven themselves and others.
//
// Nobody's secret is in its logs or errors. It knows neither HTTP nor SQL.
package unlock

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/deliver"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/face"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// Sender takes messages to people into its queue, in the caller's transaction.
type Sender interface {
	SendCode(ctx context.Context, tx *store.Tx, job deliver.CodeJob) error
	Notify(ctx context.Context, tx *store.Tx, n deliver.Notice) error
}

// Limits are the numbers of unlocking.md. Zero values are replaced by Defaults.
type Limits struct {
	Session          time.Duration // a session's life from its start
	WrongCodes       int           // wrong codes a session
	SendsPerCard     int           // codes sent an hour and card
	SendsPerAddress  int           // codes sent an hour to one address
	SendsPerNetwork  int           // codes sent an hour from one network address
	SendsTotal       int           // codes sent a minute by the whole service
	WrongCodesDaily  int           // wrong codes a day and card
	HolderFailures   int           // consecutive wrong codes of a holder
	StartsPerNetwork int           // sessions a minute from one network address
	StartsTotal      int           // sessions a minute of the whole service
}

// Defaults are the limits where nothing else is set.
func Defaults() Limits {
	return Limits{Session: 15 * time.Minute, WrongCodes: 5, SendsPerCard: 5, SendsPerAddress: 10, SendsPerNetwork: 300,
		SendsTotal: 600, WrongCodesDaily: 20, HolderFailures: 100, StartsPerNetwork: 120, StartsTotal: 1200}
}

// Config is what the operator decides.
type Config struct {
	Name           string // stable name of the service, part of what cards sign
	Organisation   string
	Contact        api.Contact
	Methods        []api.MethodStatus // the organisation's state
	PasscodeRules  api.PasscodeRules
	MinApplication string // oldest application version served
	UpdateURL      string
	Limits         Limits
	Face           FaceConfig
	// AllowUnproven serves cards that cannot prove themselves by our record.
	AllowUnproven bool
	// Roots are the issuers whose certificates a client may bring for a card
	// that has none on record, where there is no Parts.Trust. nil: none.
	Roots *x509.CertPool
}

// Parts are what a Service works with.
type Parts struct {
	DB         *store.DB
	Directory  *directory.Directory
	Escrow     *escrow.Escrow
	Keys       *seal.Keyring
	Sender     Sender
	Face       face.Checker // nil: no face verification
	Trust      Trust        // nil: certificates on record count as they are
	SigningKey ed25519.PublicKey
	Log        *slog.Logger
}

// Service runs unlock sessions. It is safe for use by many goroutines.
type Service struct {
	Parts
	conf Config
}

// New makes a Service.
func New(p Parts, c Config) *Service {
	c.Limits, c.Face.Limits = c.Limits.withDefaults(), c.Face.Limits.withDefaults()
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{Parts: p, conf: c}
}

// Info is what the service says of itself to anyone.
func (s *Service) Info(ctx context.Context) (api.Service, error) {
	var now time.Time
	err := s.DB.View(ctx, func(tx *store.Tx) (err error) {
		now, err = tx.Now(ctx)
		return err
	})
	return api.Service{Name: s.conf.Name, Organisation: s.conf.Organisation, APIVersion: api.Version,
		MinApplication: s.conf.MinApplication, UpdateURL: s.conf.UpdateURL, SigningKey: s.SigningKey, Time: now,
		Contact: s.conf.Contact, Methods: s.conf.Methods, PasscodeRules: s.conf.PasscodeRules}, err
}

// keep marks an answer that is no, whose traces (counts, audit) are to stay.
type keep struct{ *problem.Problem }

func (k keep) Unwrap() error { return k.Problem }

// update runs fn in a transaction. A problem marked with keep commits it.
func (s *Service) update(ctx context.Context, fn func(*store.Tx) error) error {
	var no *problem.Problem
	err := s.DB.Update(ctx, func(tx *store.Tx) error {
		no = nil
		err := fn(tx)
		var k keep
		if errors.As(err, &k) {
			no = k.Problem
			return nil
		}
		return err
	})
	if err == nil && no != nil {
		return no
	}
	return err
}

func (l Limits) withDefaults() Limits {
	d := Defaults()
	if l.Session == 0 {
		l.Session = d.Session
	}
	for _, f := range []struct{ have, fallback *int }{
		{&l.WrongCodes, &d.WrongCodes}, {&l.SendsPerCard, &d.SendsPerCard}, {&l.SendsPerAddress, &d.SendsPerAddress},
		{&l.SendsPerNetwork, &d.SendsPerNetwork}, {&l.SendsTotal, &d.SendsTotal}, {&l.WrongCodesDaily, &d.WrongCodesDaily},
		{&l.HolderFailures, &d.HolderFailures}, {&l.StartsPerNetwork, &d.StartsPerNetwork}, {&l.StartsTotal, &d.StartsTotal},
	} {
		if *f.have == 0 {
			*f.have = *f.fallback
		}
	}
	return l
}
