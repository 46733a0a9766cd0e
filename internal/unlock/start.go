package unlock

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/semver"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Bounds of what an application claims, in bytes.
const (
	maxIdentifier  = 64
	maxSerial      = 20
	maxWorkstation = 64
	maxVersion     = 32
	secretSize     = 32 // token and nonce
)

// Start begins a session for whatever card is claimed, known or not. Errors:
// problem.RequestMalformed, OldApplication, NewerService, RequestRate, and those
// of escrow.Closed, whatever the card.
func (s *Service) Start(ctx context.Context, r api.StartRequest, network string) (out api.Session, err error) {
	if err := s.checkStart(&r); err != nil {
		return out, err
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		if err := s.limitStarts(ctx, tx, network); err != nil {
			return err
		}
		if err := s.Escrow.Closed(ctx, tx); err != nil {
			return err
		}
		x, token, err := s.insert(ctx, tx, r, network)
		if err != nil {
			return err
		}
		if out, err = s.wire(ctx, tx, x); err != nil {
			return err
		}
		out.Token, out.Nonce = token, x.Nonce
		return s.note(ctx, tx, x, audit.SessionStarted, map[string]string{"purpose": x.Purpose, "family": x.Family,
			"identifier": x.Identifier, "workstation": x.Workstation, "network": network, "application": x.Application})
	})
	return out, err
}

func (s *Service) insert(ctx context.Context, tx *store.Tx, r api.StartRequest, network string) (store.Session, string, error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return store.Session{}, "", err
	}
	token := base64.RawURLEncoding.EncodeToString(random())
	x := store.Session{ID: store.NewID(), Family: r.Card.Family, Identifier: r.Card.ID, Serial: r.Card.Serial,
		Purpose: string(r.Purpose), State: string(api.StateStarted), Nonce: random(), PublicKey: r.PublicKey,
		Workstation: r.Workstation, Network: network, Application: r.Application,
		StartedAt: now, ExpiresAt: now.Add(s.conf.Limits.Session)}
	x.TokenHash = s.tokenHash(Credentials{ID: x.ID, Token: token})
	c, _, err := s.Directory.Identify(ctx, tx, r.Card.Family, r.Card.ID, r.Card.Serial)
	switch {
	case err == nil:
		x.CardID = c.ID
	case !errors.Is(err, store.ErrNotFound):
		return x, "", err
	}
	x.MAC = s.Keys.MAC("session", sessionFields(x)...)
	return x, token, tx.InsertSession(ctx, x)
}

func random() []byte {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails: it ends the program instead (crypto/rand)
	return b
}

// checkStart refuses what no application of ours sends, and tidies what comes
// from the workstation's surroundings.
func (s *Service) checkStart(r *api.StartRequest) error {
	if r.APIVersion > api.Version {
		return problem.New(problem.NewerService)
	}
	if r.APIVersion < api.Version || older(r.Application, s.conf.MinApplication) {
		p := problem.New(problem.OldApplication)
		if s.conf.UpdateURL != "" {
			p.Detail = "The service no longer works with this version of the application. A newer one is at " + s.conf.UpdateURL + "."
		}
		return p
	}
	r.Workstation = tidy(r.Workstation, maxWorkstation)
	r.Card.ID = strings.ToLower(r.Card.ID)
	switch {
	case r.Purpose != api.PurposeLocked && r.Purpose != api.PurposeForgotten:
		return malformed("purpose")
	case !text(r.Card.Family, 1, 16) || !hexadecimal(r.Card.ID):
		return malformed("card")
	case !text(r.Card.Serial, 0, maxSerial):
		return malformed("serial")
	case !text(r.Application, 1, maxVersion):
		return malformed("application")
	}
	if _, err := ecdh.X25519().NewPublicKey(r.PublicKey); err != nil {
		return malformed("public_key")
	}
	return nil
}

// older says whether version a is below b. What is no version is older than
// any.
func older(a, b string) bool {
	return b != "" && semver.Compare("v"+a, "v"+b) < 0
}

func malformed(member string) error {
	return problem.Wrap(problem.RequestMalformed, fmt.Errorf("member %q", member))
}

// text says whether s is printable ASCII of a length.
func text(s string, shortest, longest int) bool {
	for _, b := range []byte(s) {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return len(s) >= shortest && len(s) <= longest
}

func hexadecimal(s string) bool {
	return text(s, 2, maxIdentifier) && strings.Trim(s, "0123456789abcdef") == ""
}

// clean says whether s can be looked up in any database.
func clean(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// tidy leaves printable characters alone, up to a length in bytes.
func tidy(s string, longest int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > longest {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}

// limitStarts counts a start for its network and for the whole service.
func (s *Service) limitStarts(ctx context.Context, tx *store.Tx, network string) error {
	_, err := s.count(ctx, tx, store.Session{Network: network}, problem.RequestRate,
		bucket{s.bucket("starts of network", network), time.Minute, s.conf.Limits.StartsPerNetwork},
		bucket{s.bucket("starts"), time.Minute, s.conf.Limits.StartsTotal})
	return err
}
