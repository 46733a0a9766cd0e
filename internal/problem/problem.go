// Package problem is the one list of everything that can go wrong for a
// person: a stable code, a title, what happened and what to do next. Each edge
// (service, pages, terminal) turns its errors into a Problem from this list;
// docs/errors.md is checked against it.
//
// On the wire a Problem is an RFC 9457 problem document with the members
// "code" and "next" beside the standard ones.
package problem

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

// Code is a stable code, "LK-" and four digits. It never changes its meaning.
type Code string

// Entry is one line of the catalogue.
type Entry struct {
	Code   Code
	Status int    // HTTP status at the service's edge; 0 where it never gets there
	Title  string // a short sentence
	Detail string // what happened
	Next   string // what to do next
}

// Problem is an Entry with what is particular to this time. It is an error.
type Problem struct {
	Entry
	// Detail, where set, replaces the entry's Detail.
	Detail string
	// TriesLeft, SecondsLeft and RetryAfter are set where they make sense.
	TriesLeft   *int
	SecondsLeft *int
	RetryAfter  *int // seconds
	// Cause is for the log alone.
	Cause error
}

func (p *Problem) Error() string {
	s := string(p.Code) + " " + p.Title
	if p.Cause != nil {
		s += ": " + p.Cause.Error()
	}
	return s
}

func (p *Problem) Unwrap() error { return p.Cause }

// Is makes errors.Is(err, problem.New(code)) compare codes.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Code == p.Code
}

// What is what happened, in plain words.
func (p *Problem) What() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Entry.Detail
}

// New gives the problem of a code. A code outside the catalogue is Internal.
func New(c Code) *Problem {
	e, ok := Lookup(c)
	if !ok {
		e, _ = Lookup(Internal)
	}
	return &Problem{Entry: e}
}

// Wrap is New with a cause for the log.
func Wrap(c Code, cause error) *Problem {
	p := New(c)
	p.Cause = cause
	return p
}

// From finds the Problem in err; any other error is Internal with err as its
// cause.
func From(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return Wrap(Internal, err)
}

// CodeOf is the code of err ("" for nil).
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return From(err).Code
}

type wire struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Status      int    `json:"status"`
	Detail      string `json:"detail"`
	Code        Code   `json:"code"`
	Next        string `json:"next"`
	TriesLeft   *int   `json:"tries_left,omitempty"`
	SecondsLeft *int   `json:"seconds_left,omitempty"`
	RetryAfter  *int   `json:"retry_after_seconds,omitempty"`
}

// MarshalJSON gives the RFC 9457 document. The cause stays behind.
func (p *Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{Type: "urn:latchkey:problem:" + string(p.Code), Title: p.Title, Status: p.Status,
		Detail: p.What(), Code: p.Code, Next: p.Next,
		TriesLeft: p.TriesLeft, SecondsLeft: p.SecondsLeft, RetryAfter: p.RetryAfter})
}

// Decode reads an RFC 9457 document of the service. A code that this program
// does not know keeps the service's words; a body without a code of ours comes
// from something else and is ServiceAnswer.
func Decode(status int, body []byte) *Problem {
	var w wire
	if err := json.Unmarshal(body, &w); err != nil || !ours(w.Code) {
		return Wrap(ServiceAnswer, fmt.Errorf("status %d without a problem document", status))
	}
	e, ok := Lookup(w.Code)
	if !ok {
		e, _ = Lookup(ServiceAnswer) // for what the service does not say
		e = Entry{Code: w.Code, Title: cmp.Or(w.Title, e.Title), Detail: cmp.Or(w.Detail, e.Detail), Next: cmp.Or(w.Next, e.Next)}
	}
	e.Status = status
	return &Problem{Entry: e, Detail: w.Detail, TriesLeft: w.TriesLeft, SecondsLeft: w.SecondsLeft, RetryAfter: w.RetryAfter}
}

// ours says whether a code has the form of ours.
func ours(c Code) bool {
	digits, ok := strings.CutPrefix(string(c), "LK-")
	return ok && len(digits) == 4 && strings.Trim(digits, "0123456789") == ""
}

// Write answers an HTTP request with err as a problem document. What nobody
// foresaw is logged in full and shown as Internal without detail.
func Write(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	p := From(err)
	if p.Status >= 500 || p.Status == 0 {
		log.ErrorContext(r.Context(), "request failed", "code", p.Code, "path", r.URL.Path, "err", err)
	}
	status := p.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if p.RetryAfter != nil {
		w.Header().Set("Retry-After", fmt.Sprint(*p.RetryAfter))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	shown := *p
	shown.Status = status
	body, _ := shown.MarshalJSON() // no member of wire can fail
	_, _ = w.Write(body)           // the client may be gone
}
