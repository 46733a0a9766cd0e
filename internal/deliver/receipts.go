package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"latchkey/internal/deliver/text"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Receive takes a provider's receipts, which come over HTTP. A receipt can
// come twice, in any order, and before we know that the message was taken.
// Error: problem.ReceiptForged where it is not the provider's or there is no
// such provider, and those of the database.
func (q *Queue) Receive(ctx context.Context, provider string, r *http.Request) error {
	if q.Text == nil {
		return problem.New(problem.ReceiptForged)
	}
	receiver, ok := q.Text.receiver(provider)
	if !ok {
		return problem.New(problem.ReceiptForged)
	}
	receipts, err := receiver.Receive(r)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return problem.Wrap(problem.RequestTooLarge, err)
	case errors.Is(err, text.ErrNotAuthentic):
		q.figures.receipts.WithLabelValues(receiver.Name(), "forged").Inc()
		return problem.Wrap(problem.ReceiptForged, err)
	case err != nil:
		return problem.Wrap(problem.RequestMalformed, err)
	}
	for _, one := range receipts {
		if err := q.receipt(ctx, one); err != nil {
			return err // the provider sends them again: nothing is counted twice
		}
	}
	return nil
}

// listen has providers with a connection of their own tell their receipts.
func (q *Queue) listen(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	q.each(func(p text.Provider) {
		if l, ok := p.(text.Listener); ok {
			l.Receipts(func(r text.Receipt) {
				if err := q.receipt(ctx, r); err != nil {
					q.log.ErrorContext(ctx, "a receipt is lost", "provider", r.Provider, "err", err)
				}
			})
		}
	})
}

// hangUp ends the connections of providers.
func (q *Queue) hangUp() (err error) {
	q.each(func(p text.Provider) {
		if l, ok := p.(text.Listener); ok {
			l.Receipts(nil)
		}
		if c, ok := p.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	})
	return err
}

func (q *Queue) each(f func(text.Provider)) {
	if q.Text == nil {
		return
	}
	for _, p := range q.Text.o.Providers {
		f(p)
	}
}

// receipt brings a message on record forward.
func (q *Queue) receipt(ctx context.Context, r text.Receipt) error {
	result := "unknown"
	err := q.db.Update(ctx, func(tx *store.Tx) error {
		result = "unknown"
		m, err := q.messageOf(ctx, tx, r)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		before := m.State
		next, ok := applied(m, r)
		if result = "known"; !ok {
			return nil
		}
		if next, err = tx.SaveMessage(ctx, next); err != nil {
			return err
		}
		if next.State != before {
			result = string(next.State)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("take a receipt: %w", err)
	}
	if state := store.MessageState(result); state == store.MessageDelivered || state == store.MessageFailed || state == store.MessageSent {
		q.figures.count(methodSMS, r.Provider, state)
		result = "taken"
	}
	q.figures.receipts.WithLabelValues(r.Provider, result).Inc()
	return nil
}

// messageOf finds the text message that a receipt is about, by what the
// provider calls it or by what we do.
func (q *Queue) messageOf(ctx context.Context, tx *store.Tx, r text.Receipt) (store.Message, error) {
	m, err := tx.LockMessageOfProvider(ctx, r.Provider, r.ID)
	if errors.Is(err, store.ErrNotFound) && r.Reference != "" {
		m, err = tx.LockMessage(ctx, r.Reference)
	}
	if err == nil && m.Method != methodSMS {
		return m, fmt.Errorf("receipt of a message by %s: %w", m.Method, store.ErrNotFound)
	}
	return m, err
}

// applied is a message after a receipt. False: the receipt changes nothing.
// What another provider than the last one says, or the same one of another
// try, counts only where the message has arrived.
func applied(m store.Message, r text.Receipt) (store.Message, bool) {
	last := (m.Provider == "" || m.Provider == r.Provider) && (m.ProviderID == "" || r.ID == "" || m.ProviderID == r.ID)
	if !last && r.State != text.StateDelivered {
		return m, false
	}
	switch r.State {
	case text.StateSent:
		m.State = store.MessageSent
	case text.StateDelivered:
		m.State, m.Reason = store.MessageDelivered, ""
	case text.StateFailed:
		m.State, m.Reason = store.MessageFailed, r.Provider+": "+r.Reason
	default:
		return m, false
	}
	if m.SentAt.IsZero() {
		m.SentAt = r.At
	}
	if m.Provider = r.Provider; r.ID != "" {
		m.ProviderID = r.ID
	}
	return m, true
}
