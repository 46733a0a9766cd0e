package deliver

import (
	"context"
	"fmt"
	"slices"

	"github.com/riverqueue/river"

	"latchkey/internal/audit"
	"latchkey/internal/deliver/text"
	"latchkey/internal/store"
)

type codeWorker struct {
	river.WorkerDefaults[CodeJob]
	queue    *Queue
	resolver Resolver
}

func (w *codeWorker) Work(ctx context.Context, job *river.Job[CodeJob]) error {
	var m CodeMessage
	var send bool
	err := w.queue.db.View(ctx, func(tx *store.Tx) (err error) {
		m, send, err = w.resolver.ResolveCode(ctx, tx, job.Args)
		return err
	})
	if err != nil {
		return err
	}
	d := dispatch{
		message: store.Message{ID: reference(job.Args.Reference, job.ID), Session: job.Args.SessionID, Kind: kindCode,
			Method: job.Args.Method, Address: job.Args.Pseudonym},
		country: m.To.Country, last: job.Attempt >= job.MaxAttempts, attempt: len(job.Errors) + 1,
		event: audit.Event{Actor: audit.ActorService, Session: job.Args.SessionID,
			Details: map[string]string{"method": job.Args.Method, "attempt": fmt.Sprint(job.Attempt)}},
		done: audit.CodeDelivered, failed: audit.CodeUndelivered,
	}
	if !send {
		return w.queue.drop(ctx, d, "out of date, or not an address of the holder")
	}
	d.send = func(ctx context.Context) (text.Sent, error) {
		if d.message.Method == methodSMS {
			return w.queue.Text.SendCode(ctx, m, d.message.ID)
		}
		return text.Sent{Provider: w.queue.Mail.provider()}, w.queue.Mail.SendCode(ctx, m)
	}
	return w.queue.dispatch(ctx, d)
}

// reference is a message's name in the records. A job of an earlier version
// has none.
func reference(given string, job int64) string {
	if given == "" {
		return fmt.Sprintf("job-%d", job)
	}
	return given
}

type noticeWorker struct {
	river.WorkerDefaults[Notice]
	queue    *Queue
	resolver Resolver
}

// Work sends a notice. Where the holder has several addresses each gets a job
// of its own, so that one that fails neither holds up the others nor has them
// told again.
func (w *noticeWorker) Work(ctx context.Context, job *river.Job[Notice]) error {
	var all []NoticeMessage
	err := w.queue.db.View(ctx, func(tx *store.Tx) (err error) {
		all, err = w.resolver.ResolveNotice(ctx, tx, job.Args)
		return err
	})
	if err != nil {
		return err
	}
	if w.queue.Text == nil {
		all = slices.DeleteFunc(all, func(m NoticeMessage) bool { return m.To.Method == methodSMS })
	}
	if job.Args.Address != "" {
		all = slices.DeleteFunc(all, func(m NoticeMessage) bool { return m.To.Address != job.Args.Address })
	}
	switch {
	case len(all) == 0:
		return nil
	case len(all) > 1:
		return w.queue.db.Update(ctx, func(tx *store.Tx) error {
			for _, m := range all {
				one := job.Args
				one.Address = m.To.Address
				if err := w.queue.Notify(ctx, tx, one); err != nil {
					return err
				}
			}
			return nil
		})
	}
	m := all[0]
	d := dispatch{
		message: store.Message{ID: reference(job.Args.Reference, job.ID), Session: job.Args.SessionID, Kind: job.Args.Event,
			Method: m.To.Method, Address: m.To.Pseudonym},
		country: m.To.Country, last: job.Attempt >= job.MaxAttempts, attempt: len(job.Errors) + 1,
		event: audit.Event{Actor: audit.ActorService, Session: job.Args.SessionID, Holder: job.Args.HolderID,
			Details: map[string]string{"event": job.Args.Event, "method": m.To.Method, "attempt": fmt.Sprint(job.Attempt)}},
		done: audit.HolderNotified, failed: audit.HolderNotNotified,
	}
	d.send = func(ctx context.Context) (text.Sent, error) {
		if m.To.Method == methodSMS {
			return w.queue.Text.SendNotice(ctx, m, d.message.ID)
		}
		return text.Sent{Provider: w.queue.Mail.provider()}, w.queue.Mail.SendNotice(ctx, m)
	}
	return w.queue.dispatch(ctx, d)
}
