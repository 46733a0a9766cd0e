package unlock

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Credentials name a session and show that the caller is the one who began it.
type Credentials struct{ ID, Token string }

// live loads a session that can go on: known, of this caller, not ended, in
// time; and its card, which is unchecked and empty where there is none. Both
// are locked. Errors: problem.SessionUnknown, SessionExpired, SessionReplaced,
// SessionFinished.
func (s *Service) live(ctx context.Context, tx *store.Tx, who Credentials) (store.Session, store.Card, error) {
	x, c, err := s.load(ctx, tx, who)
	if err != nil {
		return x, c, err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return x, c, err
	}
	switch api.State(x.State) {
	case api.StateExpired:
		return x, c, problem.New(problem.SessionExpired)
	case api.StateSuperseded:
		return x, c, problem.New(problem.SessionReplaced)
	case api.StateFailed, api.StateAbandoned:
		return x, c, problem.New(problem.SessionFinished)
	}
	if now.Before(x.ExpiresAt) {
		return x, c, nil
	}
	if api.State(x.State) == api.StateUnlocked {
		return x, c, problem.New(problem.SessionFinished)
	}
	if err := s.end(ctx, tx, &x, api.StateExpired, audit.SessionExpired, nil); err != nil {
		return x, c, err
	}
	return x, c, keep{problem.New(problem.SessionExpired)}
}

// load loads and locks a session of this caller, ended or not, and its card.
// The card is locked first, always, so that two sessions of one card never wait
// for each other.
func (s *Service) load(ctx context.Context, tx *store.Tx, who Credentials) (x store.Session, c store.Card, err error) {
	if who.ID == "" || who.Token == "" || !clean(who.ID) {
		return x, c, problem.New(problem.SessionUnknown)
	}
	// Whoever knows the id of a session, 100 random bits, but not its token
	// locks its card for the moment until the token is looked at.
	c, err = tx.LockCardOfSession(ctx, who.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return x, c, err
	}
	x, err = tx.LockSession(ctx, who.ID)
	if errors.Is(err, store.ErrNotFound) {
		return x, c, problem.Wrap(problem.SessionUnknown, err)
	}
	if err != nil {
		return x, c, err
	}
	if subtle.ConstantTimeCompare(x.TokenHash, s.tokenHash(who)) != 1 {
		return store.Session{}, store.Card{}, problem.New(problem.SessionUnknown)
	}
	if c.ID != x.CardID {
		return x, c, fmt.Errorf("the card of session %s: %w", x.ID, store.ErrNotFound)
	}
	return x, c, s.checkMAC(ctx, tx, x)
}

func (s *Service) tokenHash(who Credentials) []byte {
	return s.Keys.Hash("session token", []byte(who.ID), []byte(who.Token))
}

// checkMAC refuses a session that was written to the database by anything but
// the service.
func (s *Service) checkMAC(ctx context.Context, tx *store.Tx, x store.Session) error {
	if s.Keys.CheckMAC(x.MAC, "session", sessionFields(x)...) {
		return nil
	}
	s.Log.ErrorContext(ctx, "a session in the database was not written by Latchkey: it is not used",
		"code", problem.Internal, "session", x.ID)
	if !tx.ReadOnly() {
		if err := audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.RecordTampered,
			Session: x.ID, Details: map[string]string{"record": "session"}}); err != nil {
			return err
		}
	}
	return keep{problem.New(problem.SessionUnknown)}
}

// save signs and keeps what changed in a session.
func (s *Service) save(ctx context.Context, tx *store.Tx, x *store.Session) error {
	x.MAC = s.Keys.MAC("session", sessionFields(*x)...)
	return tx.SaveSession(ctx, *x)
}

func sessionFields(x store.Session) []string {
	return []string{x.ID, string(x.TokenHash), x.CardID, x.Family, x.Identifier, x.Serial, x.Purpose, x.State,
		strconv.FormatBool(x.Proven), x.VerifiedBy, x.HolderID, string(x.Nonce), string(x.PublicKey), x.Workstation,
		micros(x.StartedAt), micros(x.ExpiresAt), strconv.Itoa(x.WrongCodes), strconv.Itoa(x.Sends)}
}

func micros(at time.Time) string { return strconv.FormatInt(at.UnixMicro(), 10) }

// end brings a session to a final state.
func (s *Service) end(ctx context.Context, tx *store.Tx, x *store.Session, to api.State, action string, details map[string]string) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	x.State, x.EndedAt = string(to), now
	if err := s.save(ctx, tx, x); err != nil {
		return err
	}
	return s.note(ctx, tx, *x, action, details)
}

// note puts something that happened in a session into the audit trail.
func (s *Service) note(ctx context.Context, tx *store.Tx, x store.Session, action string, details map[string]string) error {
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorHolder, Action: action, Session: x.ID, CardID: x.CardID,
		Holder: x.HolderID, Details: details})
}

// wire is a session as its application sees it.
func (s *Service) wire(ctx context.Context, tx *store.Tx, x store.Session) (api.Session, error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return api.Session{}, err
	}
	methods, err := s.methods(ctx, tx, x)
	return api.Session{ID: x.ID, State: api.State(x.State), ExpiresAt: x.ExpiresAt,
		SecondsLeft: int(max(0, x.ExpiresAt.Sub(now)) / time.Second), Proven: x.Proven, Methods: methods,
		PasscodeRules: s.conf.PasscodeRules}, err
}

// methods are the organisation's and, for a card that has proven itself,
// whether this holder can use them (product.md line 3).
func (s *Service) methods(ctx context.Context, tx *store.Tx, x store.Session) ([]api.MethodStatus, error) {
	all := append([]api.MethodStatus(nil), s.conf.Methods...)
	if x.HolderID == "" {
		return all, nil
	}
	for i, m := range all {
		if m.Method == api.MethodFace && m.Available {
			if err := s.faceStatus(ctx, tx, x, &all[i]); err != nil {
				return nil, err
			}
		}
	}
	if !x.Proven {
		return all, nil
	}
	contacts, err := s.Directory.Contacts(ctx, tx, x.HolderID)
	if err != nil {
		return nil, err
	}
	has := map[api.Method]bool{api.MethodFace: true} // was looked at above
	for _, c := range contacts {
		has[api.Method(c.Kind)] = true
	}
	for i, m := range all {
		if m.Available && !has[m.Method] {
			all[i].Available, all[i].Notice = false, missing(m.Method)
		}
	}
	return all, nil
}

func missing(m api.Method) string {
	if m == api.MethodSMS {
		return "Your Registration Authority has no mobile number for you that can be used."
	}
	return "Your Registration Authority has no email address for you that can be used."
}

// Get is where a session stands.
func (s *Service) Get(ctx context.Context, who Credentials) (out api.Session, err error) {
	err = s.update(ctx, func(tx *store.Tx) error {
		x, _, err := s.load(ctx, tx, who)
		if err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if !api.State(x.State).Final() && !now.Before(x.ExpiresAt) {
			if err := s.end(ctx, tx, &x, api.StateExpired, audit.SessionExpired, nil); err != nil {
				return err
			}
		}
		out, err = s.wire(ctx, tx, x)
		return err
	})
	return out, err
}

// Abandon gives a session up. One that has ended stays as it is.
func (s *Service) Abandon(ctx context.Context, who Credentials) error {
	return s.update(ctx, func(tx *store.Tx) error {
		x, _, err := s.load(ctx, tx, who)
		if err != nil || api.State(x.State).Final() {
			return err
		}
		return s.end(ctx, tx, &x, api.StateAbandoned, audit.SessionAbandoned, nil)
	})
}
