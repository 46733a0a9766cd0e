// Package text sends text messages (SMS) through one of several providers.
//
// It promises that a message that one provider surely did not take goes to the
// next, and that one which may have been taken is not sent twice.
package text

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Message is one text message.
type Message struct {
	To        string // E.164, "+447700900123"
	Body      string
	Sender    string // what the phone shows; "" is the provider's default
	Reference string // ours, unique for each message: comes back in receipts where the provider can
}

// Sent is what a provider said when it took a message.
type Sent struct {
	Provider string // Provider.Name
	ID       string // the provider's identifier of the message
	Parts    int    // of the message, as charged; 0 where not known
}

// Provider takes messages for delivery. Its errors are of type *Error; any
// other error means that it is not known whether the message was taken.
type Provider interface {
	Name() string // stable, "notify", "twilio", ...
	Send(ctx context.Context, m Message) (Sent, error)
}

// State is how far a message has come.
type State string

// The states of a message at its provider.
const (
	StateSent      State = "sent"      // handed to the network
	StateDelivered State = "delivered" // the phone has it
	StateFailed    State = "failed"    // it will never arrive
)

// Receipt is what a provider tells about a message afterwards.
type Receipt struct {
	Provider  string
	ID        string // Sent.ID
	Reference string // Message.Reference where the provider gives it back
	State     State
	Reason    string // the provider's code for it, never a number or text of the message
	At        time.Time
}

// Receiver is a provider that calls back over HTTP. Receive makes sure that the
// request comes from the provider: ErrNotAuthentic where it does not.
type Receiver interface {
	Provider
	Receive(r *http.Request) ([]Receipt, error)
}

// ErrNotAuthentic: a callback did not come from the provider.
var ErrNotAuthentic = errors.New("callback is not the provider's")

// Kind says what a failure to send means.
type Kind string

// The kinds of failure.
const (
	// Away: the provider did not take the message and may later (connection
	// refused, 5xx, 429). Another provider can be tried at once.
	Away Kind = "away"
	// Refused: this provider does not take it, whoever sends it again (wrong
	// credentials, no credit, destination not served). Another may.
	Refused Kind = "refused"
	// Impossible: nobody can deliver this message (no such number).
	Impossible Kind = "impossible"
	// Unclear: the request left and no answer came. It may have been taken: it
	// goes to no other provider at once.
	Unclear Kind = "unclear"
)

// Error is a failure to send.
type Error struct {
	Provider   string
	Kind       Kind
	Code       string        // the provider's own, for operators: never a number or text of the message
	RetryAfter time.Duration // 0 where not said
	Err        error
}

func (e *Error) Error() string {
	return fmt.Sprintf("text message by %s: %s (%s)", e.Provider, e.Kind, e.Code)
}

func (e *Error) Unwrap() error { return e.Err }
