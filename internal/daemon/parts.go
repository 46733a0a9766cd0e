// Package daemon puts the service together from its configuration and runs it.
package daemon

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/internal/api"
	"latchkey/internal/config"
	"latchkey/internal/deliver"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/escrow/journal"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/trust"
	"latchkey/internal/unlock"
)

// Init makes the data folder and the two key files, the key-encryption key
// first (unless another provider has that); where it was stopped in between, it makes the one that is missing. It
// never overwrites one: problem.KeyExists. It gives the public key for
// applications to pin.
func Init(c *config.Config) (ed25519.PublicKey, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if _, err := os.Lstat(c.SigningKeyPath()); err == nil {
		return nil, problem.Wrap(problem.KeyExists, fmt.Errorf("%s: %w", c.SigningKeyPath(), os.ErrExist))
	}
	if c.KeyProvider == seal.FileName {
		if _, err := seal.Create(c.KeyPath()); err != nil && problem.CodeOf(err) != problem.KeyExists {
			return nil, err
		}
	}
	signing, err := seal.CreateSigningKey(c.SigningKeyPath())
	if err != nil {
		return nil, err
	}
	return signing.Public().(ed25519.PublicKey), nil
}

// Base is what every command works with: database, keys and directory.
type Base struct {
	DB        *store.DB
	Keys      *seal.Keyring
	Providers seal.Providers
	Journal   *escrow.KeyJournal // nil: switched off
	Directory *directory.Directory
}

// Open opens the database with the keys that belong to it. suffix names the
// program in the audit trail, so that a long import holds no chain but its own.
func Open(ctx context.Context, c *config.Config, log *slog.Logger, suffix string) (_ *Base, err error) {
	b := &Base{}
	if b.Providers, err = keyProviders(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	node := c.Node
	if node == "" {
		if node, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("name this node: %w", err)
		}
	}
	if b.DB, err = store.Open(ctx, c.DatabaseURL(), store.Options{Node: node + suffix, Log: log}); err != nil {
		return nil, err
	}
	if b.Keys, err = seal.Open(ctx, b.DB, b.Providers); err != nil {
		return nil, err
	}
	o := directory.Options{EmailDomains: c.EmailDomains, Region: c.Region, Log: log, Judge: judge(c, log)}
	if path := c.JournalPath(); path != "" {
		b.Journal = escrow.NewKeyJournal(b.DB, path, node, journal.Options{Keys: b.Keys, Unwrap: b.Providers.Unwrap})
		o.Recorder = b.Journal
	}
	b.Directory, err = directory.New(b.Keys, o)
	return b, err
}

// Close gives everything up.
func (b *Base) Close() error {
	var err error
	if b.Journal != nil {
		err = b.Journal.Close()
	}
	if b.DB != nil {
		err = errors.Join(err, b.DB.Close())
	}
	return errors.Join(err, b.Providers.Close())
}

// unlocking is the heart with what it sends through.
type unlocking struct {
	sessions *unlock.Service
	queue    *deliver.Queue
	faces    Faces
	alerts   prometheus.Collector
	trust    *trust.Checker // nil: no card authorities
}

func (b *Base) unlocking(ctx context.Context, c *config.Config, log *slog.Logger) (unlocking, error) {
	signing, err := seal.LoadSigningKey(c.SigningKeyPath())
	if err != nil {
		return unlocking{}, err
	}
	out, err := senders(ctx, c)
	if err != nil {
		return unlocking{}, err
	}
	queue, err := deliver.NewQueue(b.DB, out, log)
	if err != nil {
		return unlocking{}, err
	}
	roots, err := pool(c.CardRoots)
	if err != nil {
		return unlocking{}, err
	}
	cards, err := Trust(c, log)
	if err != nil {
		return unlocking{}, err
	}
	faces, status, err := b.faces(ctx, c, log) // the last that can fail: it holds what must be closed
	if err != nil {
		if cards != nil {
			cards.Close()
		}
		return unlocking{}, err
	}
	alerts := newAlerts(log)
	parts := unlock.Parts{DB: b.DB, Directory: b.Directory, Escrow: b.escrow(signing, c, alerts),
		Keys: b.Keys, Sender: queue, Face: faces.Checker, SigningKey: signing.Public().(ed25519.PublicKey), Log: log}
	if cards != nil {
		parts.Trust = cards
	}
	sessions := unlock.New(parts,
		unlock.Config{Name: c.Name, Organisation: c.Organisation, Contact: contact(c), Methods: append(methods(c), status), Face: faceConfig(c, faces),
			PasscodeRules:  api.PasscodeRules{MinLength: c.PasscodeMin, MaxLength: c.PasscodeMax, DigitsOnly: c.PasscodeDigitsOnly},
			MinApplication: c.MinApplication, UpdateURL: c.UpdateURL, AllowUnproven: c.AllowUnproven, Roots: roots,
			Limits: unlock.Limits{Session: c.SessionTime, WrongCodes: c.WrongCodes, SendsPerCard: c.SendsPerCard,
				SendsPerAddress: c.SendsPerAddress, SendsPerNetwork: c.SendsPerNetwork, SendsTotal: c.SendsTotal,
				WrongCodesDaily: c.WrongCodesDaily, HolderFailures: c.HolderFailures,
				StartsPerNetwork: c.StartsPerNetwork, StartsTotal: c.StartsTotal}})
	return unlocking{sessions, queue, faces, alerts.count, cards}, nil
}

// methods are the organisation's ways to prove who you are, without faces.
func methods(c *config.Config) []api.MethodStatus {
	email := api.MethodStatus{Method: api.MethodEmail, Available: c.EmailEnabled, Notice: c.EmailNotice}
	if c.SMTPHost == "" && c.MailDir == "" {
		email.Available, email.Notice = false, "Security codes by email are not set up yet."
	}
	sms := api.MethodStatus{Method: api.MethodSMS, Available: c.SMSEnabled, Notice: c.SMSNotice}
	if !textsSetUp(c) {
		sms.Available = false
		if sms.Notice == "" {
			sms.Notice = "Security codes by text message are not set up yet."
		}
	}
	return []api.MethodStatus{email, sms}
}

func pool(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("issuers of cards: %w", err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("%s holds no certificate", path))
	}
	return roots, nil
}
