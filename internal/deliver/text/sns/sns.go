// Package sns sends text messages through Amazon SNS.
package sns

import (
	"context"
	"errors"
	"time"

	"latchkey/internal/deliver/text"
)

// Name of this provider.
const Name = "sns"

// Options of Amazon SNS.
type Options struct {
	Region          string           // "eu-west-2"
	Sender          string           // sender ID, or an origination number; "" is the account's default
	Endpoint        string           // "" is the region's own
	AccessKey       string           // "" takes credentials from where the AWS SDK looks for them
	SecretAccessKey string           // of AccessKey
	SessionToken    string           // of AccessKey, "" for none
	Now             func() time.Time // nil is time.Now
}

// SNS is Amazon SNS.
type SNS struct{ o Options }

// New makes the provider. ctx bounds the reading of the AWS configuration.
// Error: problem.ConfigInvalid.
func New(ctx context.Context, o Options) (*SNS, error) { return &SNS{o}, nil }

// Name implements text.Provider.
func (s *SNS) Name() string { return Name }

// Send implements text.Provider.
func (s *SNS) Send(context.Context, text.Message) (text.Sent, error) {
	return text.Sent{}, errors.ErrUnsupported
}

var _ text.Provider = (*SNS)(nil)
