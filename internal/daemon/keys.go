package daemon

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/internal/config"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/seal/hsm"
	"latchkey/internal/seal/vault"
	"latchkey/internal/store"
)

// keyProviders are the key providers that are set up, the one in use first. The
// others open what they have wrapped, until all is moved.
func keyProviders(c *config.Config) (seal.Providers, error) {
	var out seal.Providers
	for _, name := range []string{c.KeyProvider, seal.FileName, hsm.Name, vault.Name} {
		if out != nil && (name == c.KeyProvider || !configured(c, name)) {
			continue
		}
		p, err := keyProvider(c, name)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// configured says whether a provider that is not the one in use is set up.
func configured(c *config.Config, name string) bool {
	switch name {
	case hsm.Name:
		return c.PKCS11Module != ""
	case vault.Name:
		return c.VaultAddress != ""
	}
	_, err := os.Stat(c.KeyPath())
	return err == nil
}

func keyProvider(c *config.Config, name string) (seal.Provider, error) {
	switch name {
	case hsm.Name:
		return hsm.New(hsm.Options{Module: c.PKCS11Module, Token: c.PKCS11Token, PIN: c.PKCS11PIN, Key: c.PKCS11Key})
	case vault.Name:
		return vault.New(vault.Options{Address: c.VaultAddress, Token: c.VaultToken, Namespace: c.VaultNamespace,
			CAFile: c.VaultCAFile, Mount: c.VaultMount, Key: c.VaultKey})
	}
	return seal.NewFile(c.KeyPath())
}

// alerts tells operators of cards that disagree with the escrow: a line of the
// log and a figure. The card is known by its random id alone, which the trail
// has too.
type alerts struct {
	log   *slog.Logger
	count *prometheus.CounterVec
}

func newAlerts(log *slog.Logger) alerts {
	a := alerts{log, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_card_disagreements_total",
		Help: "Cards that disagree with the escrow: refused (every key), blocked, record (older than the key journal, or tampered with)."},
		[]string{"reason"})}
	for _, reason := range escrow.Reasons() {
		a.count.WithLabelValues(reason) // there from the start, so that the first one is a rise
	}
	return a
}

func (a alerts) tell(x escrow.Alert) {
	a.count.WithLabelValues(x.Reason).Inc()
	a.log.Warn("a card disagrees with the escrow: the Registration Authority should look at it", "reason", x.Reason, "card", x.CardID,
		"session", x.Session, "proven", x.Proven)
}

func (b *Base) escrow(signing ed25519.PrivateKey, c *config.Config, a alerts) *escrow.Escrow {
	options := []escrow.Option{escrow.WithBreaker(escrow.Breaker{PerMinute: c.ReleasesMinute, PerHour: c.ReleasesHour,
		UnprovenPerMinute: c.UnprovenMinute, UnprovenPerHour: c.UnprovenHour, Reopen: c.BreakerReopen}),
		escrow.WithAlerts(a.tell)}
	if b.Journal != nil {
		options = append(options, escrow.WithJournal(b.Journal))
	}
	if c.RotateAdminKeys {
		options = append(options, escrow.WithAdministrationKeyRotation())
	}
	return escrow.New(b.Keys, signing, c.Name, options...)
}

// watchEvery is how often a node looks for newer data keys and compares the
// database with its journal.
const watchEvery = 10 * time.Second

// watch does that again and again.
func (b *Base) watch(ctx context.Context, log *slog.Logger, figures *releaseFigures, last problem.Code) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		last = b.look(ctx, log, figures, last)
	}
}

// look does it once. It says what is wrong when that changes.
func (b *Base) look(ctx context.Context, log *slog.Logger, figures *releaseFigures, last problem.Code) problem.Code {
	if err := b.Keys.Refresh(ctx, b.DB, b.Providers); err != nil && ctx.Err() == nil {
		log.Warn("newer data keys not read", "code", problem.CodeOf(err), "err", err)
	}
	code := problem.Code("")
	if b.Journal != nil {
		err := b.Journal.Check(ctx, b.DB)
		if code = problem.CodeOf(err); code != last && code != "" && ctx.Err() == nil {
			log.Error("nothing is released: the key journal and the database do not agree", "code", code, "err", err)
		}
	}
	err := b.DB.View(ctx, func(tx *store.Tx) error {
		c, err := tx.ReleaseControl(ctx)
		if err == nil {
			figures.set(c.State, code)
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		log.Warn("state of releases not read", "code", problem.CodeOf(err), "err", err)
	}
	return code
}

// releaseFigures are the figures for Prometheus about releases as a whole.
type releaseFigures struct{ state *prometheus.GaugeVec }

func newReleaseFigures() *releaseFigures {
	return &releaseFigures{prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "latchkey_releases_state",
		Help: "1 for the state that releases are in: running, stopped, tripped, half-open, behind, or journal (this node's key journal is not in order)."},
		[]string{"state"})}
}

func (f *releaseFigures) set(state store.ReleaseState, journal problem.Code) {
	for _, s := range []store.ReleaseState{store.ReleasesRunning, store.ReleasesStopped, store.ReleasesTripped, store.ReleasesHalfOpen, store.ReleasesBehind} {
		f.state.WithLabelValues(string(s)).Set(truth(s == state))
	}
	f.state.WithLabelValues("journal").Set(truth(journal != "" && journal != problem.EscrowBehind))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
