// Package webhook sends text messages to a signed HTTP webhook.
package webhook

import (
	"context"
	"errors"
	"net/http"
	"time"

	"latchkey/internal/deliver/text"
)

// Name of this provider.
const Name = "webhook"

// Options of the webhook.
type Options struct {
	URL      string           // https, or http of a loopback address
	Secret   string           // "whsec_" and 24 to 64 bytes in base64: signs both ways
	Sender   string           // what the phone shows, where the message names nothing; "" leaves it to the other side
	Callback string           // our address for receipts, told with each message; "" asks for none
	Now      func() time.Time // nil is time.Now
}

// Webhook is an organisation's own gateway.
type Webhook struct{ o Options }

// New makes the provider. Error: problem.ConfigInvalid.
func New(o Options) (*Webhook, error) { return &Webhook{o}, nil }

// Name implements text.Provider.
func (w *Webhook) Name() string { return Name }

// Send implements text.Provider.
func (w *Webhook) Send(context.Context, text.Message) (text.Sent, error) {
	return text.Sent{}, errors.ErrUnsupported
}

// Receive implements text.Receiver.
func (w *Webhook) Receive(*http.Request) ([]text.Receipt, error) { return nil, text.ErrNotAuthentic }

var _ text.Receiver = (*Webhook)(nil)
