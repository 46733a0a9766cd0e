package service

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/internal/problem"
)

// Receipts takes what providers of text messages tell of them.
type Receipts interface {
	// Receive makes sure that a request is the named provider's:
	// problem.ReceiptForged where it is not.
	Receive(ctx context.Context, provider string, r *http.Request) error
}

// TakeReceipts has the providers' receipts taken by r. Without it all are
// refused. It is called before Handler.
func (v *Server) TakeReceipts(r Receipts) { v.receipts = r }

// Register adds figures of other parts for Prometheus.
func (v *Server) Register(c prometheus.Collector) error { return v.registry.Register(c) }

// receipt answers a provider. Its body is the provider's own; that it is
// bounded, and the rest of it, is as for all calls.
func (v *Server) receipt(r *http.Request) (int, any, error) {
	if v.receipts == nil {
		return 0, nil, problem.New(problem.ReceiptForged)
	}
	return http.StatusNoContent, nil, v.receipts.Receive(r.Context(), r.PathValue("provider"), r)
}
