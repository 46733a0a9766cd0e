// Package twilio sends text messages through Twilio.
package twilio

import (
	"context"
	"errors"
	"net/http"
	"time"

	"latchkey/internal/deliver/text"
)

// Name of this provider.
const Name = "twilio"

// Options of Twilio.
type Options struct {
	Account   string           // account SID, "AC..."
	Key       string           // API key SID, "SK..."; "" uses the account and its token
	Secret    string           // of the API key
	AuthToken string           // of the account: signs callbacks, and authenticates where Key is ""
	From      string           // a number, an alphanumeric sender or a messaging service ("MG...")
	Callback  string           // our address for receipts, as Twilio shall call it; "" asks for none
	BaseURL   string           // "" is https://api.twilio.com
	Now       func() time.Time // nil is time.Now
}

// Twilio is Twilio's Programmable Messaging.
type Twilio struct{ o Options }

// New makes the provider. Error: problem.ConfigInvalid.
func New(o Options) (*Twilio, error) { return &Twilio{o}, nil }

// Name implements text.Provider.
func (t *Twilio) Name() string { return Name }

// Send implements text.Provider.
func (t *Twilio) Send(context.Context, text.Message) (text.Sent, error) {
	return text.Sent{}, errors.ErrUnsupported
}

// Receive implements text.Receiver.
func (t *Twilio) Receive(*http.Request) ([]text.Receipt, error) { return nil, text.ErrNotAuthentic }

var _ text.Receiver = (*Twilio)(nil)
