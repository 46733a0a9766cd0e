// Package notify sends text messages through GOV.UK Notify.
package notify

import (
	"context"
	"errors"
	"net/http"
	"time"

	"latchkey/internal/deliver/text"
)

// Name of this provider.
const Name = "notify"

// Options of GOV.UK Notify.
type Options struct {
	Key           string           // API key as Notify shows it: name, service, secret, joined by hyphens
	Template      string           // identifier (UUID) of a text message template
	Placeholder   string           // of the template, for the whole text; "" is "message"
	Sender        string           // identifier (UUID) of a text message sender; "" is the service's default
	CallbackToken string           // bearer token of delivery receipts; "" takes none
	BaseURL       string           // "" is https://api.notifications.service.gov.uk
	Now           func() time.Time // nil is time.Now
}

// Notify is GOV.UK Notify.
type Notify struct{ o Options }

// New makes the provider. Error: problem.ConfigInvalid.
func New(o Options) (*Notify, error) { return &Notify{o}, nil }

// Name implements text.Provider.
func (n *Notify) Name() string { return Name }

// Send implements text.Provider.
func (n *Notify) Send(context.Context, text.Message) (text.Sent, error) {
	return text.Sent{}, errors.ErrUnsupported
}

// Receive implements text.Receiver.
func (n *Notify) Receive(*http.Request) ([]text.Receipt, error) { return nil, text.ErrNotAuthentic }

var _ text.Receiver = (*Notify)(nil)
