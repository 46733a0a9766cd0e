package text

import (
	"context"
	"errors"
	"time"
)

// Failover is several providers in order: the first that takes a message has
// it. It is a Provider itself.
type Failover struct {
	providers []Provider
	o         FailoverOptions
}

// FailoverOptions say when a provider that failed is tried again.
type FailoverOptions struct {
	Aside time.Duration    // how long a provider that was away is put aside; 0 is 30 seconds
	Now   func() time.Time // nil is time.Now
}

// NewFailover makes one of providers, first choice first.
func NewFailover(providers []Provider, o FailoverOptions) *Failover {
	return &Failover{providers: providers, o: o}
}

// Name implements Provider.
func (f *Failover) Name() string { return "failover" }

// Send gives m to the first provider that takes it: Sent.Provider says which.
// Away and Refused go on to the next one; Impossible and Unclear end it. With
// nobody left it fails as Away where any provider was away, else as Refused.
func (f *Failover) Send(ctx context.Context, m Message) (Sent, error) {
	return Sent{}, errors.ErrUnsupported
}
