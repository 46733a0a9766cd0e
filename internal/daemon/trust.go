package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"latchkey/internal/config"
	"latchkey/internal/problem"
	"latchkey/internal/trust"
)

// Trust makes what judges the certificates of cards, nil where no authorities
// are set. It is to be closed. Error: problem.ConfigInvalid.
func Trust(c *config.Config, log *slog.Logger) (*trust.Checker, error) {
	if c.CardAuthorities == "" {
		return nil, nil
	}
	authorities, err := os.ReadFile(c.CardAuthorities)
	if err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("card authorities: %w", err))
	}
	t, err := trust.New(trust.Options{Authorities: authorities, Mode: trust.Mode(c.CardRevocation), CRLs: c.CardCRL, OCSP: c.CardOCSP,
		AllowUnknown: c.CardRevocationUnknown == config.UnknownAllow, Cache: filepath.Join(c.Data, "card-crls"), Log: log})
	if err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("%s: %w", c.CardAuthorities, err))
	}
	return t, nil
}

// judge is how imports look at certificates. What it needs is read when it is
// needed: a command that stops all releases must not fail because of it.
func judge(c *config.Config, log *slog.Logger) func([]byte, time.Time) (trust.Verdict, error) {
	if c.CardAuthorities == "" {
		return nil
	}
	once := sync.OnceValues(func() (*trust.Checker, error) { return Trust(c, log) })
	return func(cert []byte, now time.Time) (trust.Verdict, error) {
		t, err := once()
		if err != nil {
			return trust.Verdict{}, err
		}
		t.Recall(cert, now)
		return t.Check(cert, now), nil
	}
}
