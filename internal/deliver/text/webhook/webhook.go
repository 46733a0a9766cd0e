// Package webhook sends text messages to an organisation's own gateway: a JSON
// POST of our own contract (docs/text-messages.md), signed both ways after the
// Standard Webhooks specification 1.0.0 (symmetric signatures, "v1").
package webhook

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/wire"
	"latchkey/internal/problem"
)

// Name of this provider.
const Name = "webhook"

// Options of the webhook.
type Options struct {
	URL      string           // https, or http of a loopback address
	Secret   string           // "whsec_" and 24 to 64 octets in base64: signs both ways; several with spaces between
	Sender   string           // what the phone shows, where the message names nothing; "" leaves it to the other side
	Callback string           // our address for receipts, told with each message; "" asks for none
	Now      func() time.Time // nil is time.Now
}

// Webhook is an organisation's own gateway.
type Webhook struct {
	o      Options
	keys   Keys
	client *http.Client
}

// New makes the provider. Error: problem.ConfigInvalid; it shows no secret.
func New(o Options) (*Webhook, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Webhook{o: o, client: wire.NewClient()}
	if err := w.check(); err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("webhook: %w", err))
	}
	return w, nil
}

func (w *Webhook) check() (err error) {
	if _, err = wire.BaseURL(w.o.URL); err != nil {
		return fmt.Errorf("the address %w", err)
	}
	if w.o.Callback != "" {
		if _, err = wire.BaseURL(w.o.Callback); err != nil {
			return fmt.Errorf("the address for receipts %w", err)
		}
	}
	w.keys, err = ParseKeys(w.o.Secret)
	return err
}

// Name implements text.Provider.
func (w *Webhook) Name() string { return Name }

// The types of event of the contract.
const (
	TypeMessage = "text.message"
	TypeReceipt = "text.receipt"
)

// Event is the body of a request, in either direction.
type Event[T any] struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      T         `json:"data"`
}

// Outgoing is the data of TypeMessage.
type Outgoing struct {
	To        string `json:"to"` // E.164
	Body      string `json:"body"`
	Sender    string `json:"sender,omitempty"`
	Reference string `json:"reference"`
	Callback  string `json:"callback,omitempty"`
}

// Taken is the answer to TypeMessage with a status of 200 to 299.
type Taken struct {
	ID    string `json:"id"`
	Parts int    `json:"parts,omitempty"`
}

// Fault is the answer to TypeMessage with any other status.
type Fault struct {
	Kind text.Kind `json:"kind"` // away, refused or impossible; "" leaves it to the status
	Code string    `json:"code"` // for operators
}

// Incoming is the data of TypeReceipt.
type Incoming struct {
	ID        string     `json:"id"`
	Reference string     `json:"reference"`
	State     text.State `json:"state"`
	Reason    string     `json:"reason,omitempty"`
}

// Send implements text.Provider.
func (w *Webhook) Send(ctx context.Context, m text.Message) (text.Sent, error) {
	if err := text.Check(Name, m); err != nil {
		return text.Sent{}, err
	}
	data := Outgoing{To: m.To, Body: m.Body, Sender: w.o.Sender, Reference: m.Reference, Callback: w.o.Callback}
	if m.Sender != "" {
		data.Sender = m.Sender
	}
	now := w.o.Now()
	body, err := json.Marshal(Event[Outgoing]{Type: TypeMessage, Timestamp: now.UTC(), Data: data})
	if err != nil {
		return text.Sent{}, &text.Error{Provider: Name, Kind: text.Impossible, Code: "body"}
	}
	req, err := wire.Post(w.o.URL, "application/json", body)
	if err != nil {
		return text.Sent{}, &text.Error{Provider: Name, Kind: text.Refused, Code: "address", Err: err}
	}
	w.keys.Sign(req.Header, eventID(m.Reference), now, body)
	a, err := wire.Do(ctx, w.client, Name, req)
	if err != nil {
		return text.Sent{}, err
	}
	if a.Status < 200 || a.Status > 299 {
		return text.Sent{}, w.failure(a)
	}
	var taken Taken
	if json.Unmarshal(a.Body, &taken) != nil || taken.ID == "" {
		return text.Sent{}, wire.Garbled(Name)
	}
	return text.Sent{Provider: Name, ID: taken.ID, Parts: max(taken.Parts, 0)}, nil
}

// eventID is the same for every attempt at one message, so that the gateway
// can tell a repeated one.
func eventID(reference string) string {
	if reference == "" {
		return "msg_" + rand.Text()
	}
	sum := sha256.Sum256([]byte(reference))
	return "msg_" + hex.EncodeToString(sum[:16])
}

func (w *Webhook) failure(a wire.Answer) *text.Error {
	var said Fault
	_ = json.Unmarshal(a.Body, &said) // without it the status says enough
	e := wire.Failure(Name, a, said.Code, w.o.Now())
	switch said.Kind {
	case text.Away, text.Refused, text.Impossible:
		e.Kind = said.Kind
	}
	return e
}

// Receive implements text.Receiver.
func (w *Webhook) Receive(r *http.Request) ([]text.Receipt, error) {
	body, err := wire.Body(r)
	if err != nil {
		return nil, err
	}
	if err := w.keys.Verify(r.Header, w.o.Now(), body); err != nil {
		return nil, err
	}
	return parseReceipt(body)
}

// parseReceipt reads a genuine event: none where it is of another type, such as
// a message of ours that somebody sends back to us.
func parseReceipt(body []byte) ([]text.Receipt, error) {
	var kind struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(body, &kind) != nil {
		return nil, text.ErrMalformed
	}
	if kind.Type != TypeReceipt {
		return nil, nil
	}
	var said Event[Incoming]
	if json.Unmarshal(body, &said) != nil || said.Data.ID == "" || said.Timestamp.IsZero() {
		return nil, text.ErrMalformed
	}
	receipt := text.Receipt{Provider: Name, ID: said.Data.ID, Reference: said.Data.Reference, State: said.Data.State, At: said.Timestamp}
	switch said.Data.State {
	case text.StateSent, text.StateDelivered:
	case text.StateFailed:
		receipt.Reason = text.Code(said.Data.Reason, "failed")
	default:
		return nil, text.ErrMalformed
	}
	return []text.Receipt{receipt}, nil
}

var _ text.Receiver = (*Webhook)(nil)
