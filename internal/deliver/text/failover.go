package text

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Failover is several providers in order: the first that takes a message has
// it. It is a Provider itself.
type Failover struct {
	o FailoverOptions

	mu    sync.Mutex
	lines []*line
}

// FailoverOptions say when a provider that failed is tried again, and who wants
// to know.
type FailoverOptions struct {
	Aside   time.Duration                    // how long a provider that failed is put aside; 0 is 15 seconds
	Now     func() time.Time                 // nil is time.Now
	Observe func(provider string, err error) // after each attempt; err is nil or a *Error; nil for none
}

const (
	defaultAside = 15 * time.Second
	longestAside = 5 * time.Minute // however long a provider asks for
)

// line is one provider and whether it can be used.
type line struct {
	provider Provider
	until    time.Time // put aside until then; zero: in use
	probing  bool      // one message is trying whether it is back
}

// NewFailover makes one of providers, first choice first.
func NewFailover(providers []Provider, o FailoverOptions) *Failover {
	if o.Aside == 0 {
		o.Aside = defaultAside
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Failover{o: o}
	for _, p := range providers {
		f.lines = append(f.lines, &line{provider: p})
	}
	return f
}

// Name implements Provider.
func (f *Failover) Name() string { return "failover" }

// Send gives m to the first provider that takes it: Sent.Provider says which.
//
// Away and Refused go on to the next one; Impossible and Unclear end it, as they
// are. With nobody left the error is that of the first provider that was away,
// else of the first that refused; all of them are behind it (errors.As, Unwrap).
//
// A provider that was away or unclear is put aside for a while: for as long as
// it said, where it did. After that one message tries whether it is back; the
// others pass it by until that is known. With every provider aside the error is
// Away, its code "aside", and RetryAfter says when the first comes back.
func (f *Failover) Send(ctx context.Context, m Message) (Sent, error) {
	var failed []*Error
	soonest := time.Duration(0)
	for _, l := range f.lines {
		if ctx.Err() != nil {
			failed = append(failed, &Error{Provider: l.provider.Name(), Kind: Away, Code: "cancelled", Err: ctx.Err()})
			break
		}
		wait, ok := f.take(l)
		if !ok {
			if soonest == 0 || wait < soonest {
				soonest = wait
			}
			continue
		}
		sent, err := l.provider.Send(ctx, m)
		fault := asError(l.provider, err)
		f.settle(l, fault)
		if f.o.Observe != nil {
			var said error
			if fault != nil {
				said = fault
			}
			f.o.Observe(l.provider.Name(), said)
		}
		if fault == nil {
			if sent.Provider == "" {
				sent.Provider = l.provider.Name()
			}
			return sent, nil
		}
		if fault.Kind == Impossible || fault.Kind == Unclear {
			return Sent{}, fault
		}
		failed = append(failed, fault)
	}
	return Sent{}, exhausted(failed, soonest)
}

// exhausted is the one error for all that failed. soonest is when the first
// provider that was passed by comes back, 0 where none was.
func exhausted(failed []*Error, soonest time.Duration) *Error {
	out := &Error{Provider: "failover", Kind: Away, Code: "aside", RetryAfter: soonest}
	var all []error
	for _, e := range failed {
		all = append(all, e)
		// A provider that was away may take it later. So may one that was passed
		// by, so where there was one a refusal is not the last word.
		if out.Code == "aside" && soonest == 0 || out.Kind == Refused && e.Kind == Away {
			out.Provider, out.Kind, out.Code = e.Provider, e.Kind, e.Code
		}
		if e.Kind == Away && e.RetryAfter > 0 && (out.RetryAfter == 0 || e.RetryAfter < out.RetryAfter) {
			out.RetryAfter = e.RetryAfter
		}
	}
	if len(all) == 0 && soonest == 0 {
		out.Kind, out.Code = Refused, "no-provider"
	}
	out.Err = errors.Join(all...)
	return out
}

// asError is err as an *Error: any other error means that nothing is known.
func asError(p Provider, err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Provider: p.Name(), Kind: Unclear, Code: "unknown", Err: err}
}

// take says whether l can be tried now, else how long not.
func (f *Failover) take(l *line) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.until.IsZero() {
		return 0, true
	}
	if wait := l.until.Sub(f.o.Now()); wait > 0 {
		return wait, false
	}
	if l.probing {
		return f.o.Aside, false
	}
	l.probing = true
	return 0, true
}

// settle notes how an attempt with l ended.
func (f *Failover) settle(l *line, fault *Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.probing = false
	if fault == nil || fault.Kind == Refused || fault.Kind == Impossible {
		l.until = time.Time{} // it answers
		return
	}
	l.until = f.o.Now().Add(min(max(f.o.Aside, fault.RetryAfter), longestAside))
}
