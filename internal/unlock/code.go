package unlock

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/deliver"
	"latchkey/internal/directory"
	"latchkey/internal/plain"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

const (
	codeDigits = 6
	// maxCode is the longest input in bytes that is looked at as a code.
	maxCode = 64
	// resendAfter is when the page offers to send another code.
	resendAfter = 20 * time.Second
)

// kindCode is what a security code in the queue is sealed as.
const kindCode = "code"

// SendCode makes a security code and puts its delivery into the queue. Whether
// the address is the holder's is found out by the queue's worker: here nothing
// depends on it (R4). Errors: problem.AddressMissing, AddressMalformed,
// MethodUnavailable, SendLimit, SessionState.
func (s *Service) SendCode(ctx context.Context, who Credentials, r api.CodeRequest) (out api.CodeSent, err error) {
	err = s.update(ctx, func(tx *store.Tx) error {
		x, _, err := s.live(ctx, tx, who)
		if err != nil {
			return err
		}
		if api.State(x.State) != api.StateIdentified {
			return problem.New(problem.SessionState)
		}
		kind, ok := contactKind(r.Method)
		if !ok || !s.offers(r.Method) {
			return problem.New(problem.MethodUnavailable)
		}
		address, err := s.Directory.Normalise(kind, r.Address)
		if err != nil {
			return err
		}
		buckets := s.sendBuckets(x, r.Method, address)
		used, err := s.count(ctx, tx, x, problem.SendLimit, buckets...)
		if err != nil {
			return err
		}
		if err := s.makeCode(ctx, tx, &x, r.Method, address); err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		out = api.CodeSent{ResendAfterSeconds: int(resendAfter / time.Second), SendsLeft: max(0, buckets[0].most-used),
			SecondsLeft: int(x.ExpiresAt.Sub(now) / time.Second)}
		return err
	})
	return out, err
}

// contactKind is the kind of contact that codes of a method are sent to.
func contactKind(m api.Method) (kind string, ok bool) {
	switch m {
	case api.MethodEmail:
		return directory.KindEmail, true
	case api.MethodSMS:
		return directory.KindSMS, true
	}
	return "", false
}

func (s *Service) offers(m api.Method) bool {
	for _, have := range s.conf.Methods {
		if have.Method == m {
			return have.Available
		}
	}
	return false
}

// makeCode replaces the session's code and queues the message with the new one.
func (s *Service) makeCode(ctx context.Context, tx *store.Tx, x *store.Session, m api.Method, address string) error {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		return fmt.Errorf("draw a code: %w", err)
	}
	code := fmt.Sprintf("%0*d", codeDigits, n)
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	if err := tx.PutCode(ctx, store.OneTimeCode{SessionID: x.ID, Hash: s.codeHash(x.ID, code), Method: string(m),
		Address: address, SentAt: now}); err != nil {
		return err
	}
	x.Sends++
	if err := s.save(ctx, tx, x); err != nil {
		return err
	}
	sealed, err := s.Keys.Seal(kindCode, []string{x.ID}, []byte(code))
	if err != nil {
		return fmt.Errorf("seal a code: %w", err)
	}
	if err := s.Sender.SendCode(ctx, tx, deliver.CodeJob{SessionID: x.ID, Method: string(m), Address: address, Sealed: sealed, SentAt: now,
		Pseudonym: s.pseudonym(address)}); err != nil {
		return err
	}
	return s.note(ctx, tx, *x, audit.CodeSent, map[string]string{"method": string(m), "address": s.pseudonym(address)})
}

// pseudonym stands for an address in the audit trail: equal addresses look
// equal, and nobody without the key can tell which they are.
func (s *Service) pseudonym(address string) string {
	return hex.EncodeToString(s.Keys.Hash("address", []byte(address))[:8])
}

func (s *Service) codeHash(session, code string) []byte {
	return s.Keys.Hash("one-time code", []byte(session), []byte(code))
}

// CheckCode takes a security code. It is right if it is the newest of this
// session, unused, and was sent to an address of the holder. Errors:
// problem.CodeMissing, CodeNotSent, CodeWrong (with TriesLeft), CodeTries,
// DayLimit, HolderFailures, SessionState.
func (s *Service) CheckCode(ctx context.Context, who Credentials, r api.CodeCheck) (out api.Session, err error) {
	typed := tidyCode(r.Code)
	err = s.update(ctx, func(tx *store.Tx) error {
		x, _, err := s.live(ctx, tx, who)
		if err != nil {
			return err
		}
		if api.State(x.State) != api.StateIdentified {
			return problem.New(problem.SessionState)
		}
		if typed == "" {
			return problem.New(problem.CodeMissing)
		}
		code, err := tx.Code(ctx, x.ID)
		if errors.Is(err, store.ErrNotFound) {
			return problem.Wrap(problem.CodeNotSent, err)
		}
		if err != nil {
			return err
		}
		failures, err := s.checkTries(ctx, tx, x)
		if err != nil {
			return err
		}
		right, err := s.right(ctx, tx, x, code, typed)
		if err != nil {
			return err
		}
		if !right {
			return s.wrong(ctx, tx, &x)
		}
		if err := s.verified(ctx, tx, &x, code.Method, failures); err != nil {
			return err
		}
		out, err = s.wire(ctx, tx, x)
		return err
	})
	return out, err
}

// right does all of its work whatever the first of it says (R4).
func (s *Service) right(ctx context.Context, tx *store.Tx, x store.Session, code store.OneTimeCode, typed string) (bool, error) {
	same := subtle.ConstantTimeCompare(s.codeHash(x.ID, typed), code.Hash) == 1
	kind, ok := contactKind(api.Method(code.Method))
	if !ok {
		return false, nil
	}
	_, theirs, err := s.Directory.Contact(ctx, tx, x.HolderID, kind, code.Address)
	if err != nil {
		return false, err
	}
	if !same || !theirs || code.Used {
		return false, nil
	}
	return tx.MarkCodeUsed(ctx, x.ID)
}

// wrong counts a wrong code.
func (s *Service) wrong(ctx context.Context, tx *store.Tx, x *store.Session) error {
	x.WrongCodes++
	left := s.conf.Limits.WrongCodes - x.WrongCodes
	for _, b := range []bucket{s.wrongToday(*x), s.failures(*x)} {
		if _, _, err := tx.BumpLimit(ctx, b.name, b.window, 1); err != nil {
			return err
		}
	}
	if err := s.note(ctx, tx, *x, audit.CodeWrong, map[string]string{"left": fmt.Sprint(left)}); err != nil {
		return err
	}
	if left <= 0 {
		if err := s.end(ctx, tx, x, api.StateFailed, audit.SessionFailed, map[string]string{"code": string(problem.CodeTries)}); err != nil {
			return err
		}
		return keep{problem.New(problem.CodeTries)}
	}
	if err := s.save(ctx, tx, x); err != nil {
		return err
	}
	p := problem.New(problem.CodeWrong)
	p.TriesLeft = &left
	return keep{p}
}

// verified notes that the person has proven who they are. Older verified
// sessions of the card are over (R5). failures is the holder's count so far.
func (s *Service) verified(ctx context.Context, tx *store.Tx, x *store.Session, method string, failures int) error {
	others, err := tx.LiveSessionsOfCard(ctx, x.CardID)
	if err != nil {
		return err
	}
	for _, o := range others {
		if err := s.end(ctx, tx, &o, api.StateSuperseded, audit.SessionSuperseded, map[string]string{"by": x.ID}); err != nil {
			return err
		}
	}
	if failures > 0 {
		if err := tx.ResetLimit(ctx, s.failures(*x).name); err != nil {
			return err
		}
	}
	x.State, x.VerifiedBy = string(api.StateVerified), method
	if err := s.save(ctx, tx, x); err != nil {
		return err
	}
	if method == string(api.MethodFace) {
		return nil // the decision is in the trail with its scores
	}
	return s.note(ctx, tx, *x, audit.CodeRight, map[string]string{"method": method})
}

// tidyCode takes what people do to codes out of the way: spaces, hyphens, dots
// and digits of other scripts. What is left is compared as it is.
func tidyCode(typed string) string {
	if len(typed) > maxCode {
		return typed[:maxCode] // no code, but something was typed
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r), r == '.', r == '_':
			return -1
		}
		return unicode.ToLower(r)
	}, plain.Digits(typed))
}
