// Package deliver sends security codes and notices by email.
//
// It promises:
//   - what was queued in a committed transaction is sent even if the service
//     stops at once: the queue is in the database (River);
//   - nothing secret is in clear in the queue: codes are sealed;
//   - whether an address is the holder's is decided by the worker, after the
//     answer to the person, and its outcome goes to the audit trail alone (R4);
//   - what passes (a mail server that is away, 4yz) is tried again for as long
//     as a code can be used; what lasts (5yz) is not.
package deliver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"latchkey/internal/audit"
	"latchkey/internal/store"
)

// Resolver decides what becomes of a job, in the worker.
type Resolver interface {
	// ResolveCode gives the message of a code; send is false where there is
	// nobody to send it to or it is out of date.
	ResolveCode(ctx context.Context, tx *store.Tx, job CodeJob) (mail CodeMail, send bool, err error)
	// ResolveNotice gives the messages of a notice.
	ResolveNotice(ctx context.Context, tx *store.Tx, n Notice) ([]NoticeMail, error)
}

// Kind names the jobs in the database. It never changes.
func (CodeJob) Kind() string { return "code" }

// Kind names the jobs in the database. It never changes.
func (Notice) Kind() string { return "notice" }

const (
	// poll is how often the queue is looked at. A code leaves this much later
	// at most.
	poll    = 100 * time.Millisecond
	workers = 8
	// sendTimeout bounds one message; rescue is when a job of a process that
	// was killed in the middle is taken up by another.
	sendTimeout = 40 * time.Second
	rescue      = 60 * time.Second
	// kept is how long finished jobs stay: their addresses are nobody's
	// business afterwards.
	kept = time.Hour
	// tries bounds the tries of a notice; a code ends with its session.
	tries = 40
)

// Queue takes messages and sends them.
type Queue struct {
	db     *store.DB
	mailer *Mailer
	log    *slog.Logger
	driver riverdriver.Driver[*sql.Tx]
	insert *river.Client[*sql.Tx]
	worker *river.Client[*sql.Tx]
}

// NewQueue makes a Queue on a database whose tables are up to date.
func NewQueue(db *store.DB, m *Mailer, log *slog.Logger) (*Queue, error) {
	q := &Queue{db: db, mailer: m, log: log}
	if db.Dialect() == store.SQLite {
		q.driver = riversqlite.New(db.SQL())
	} else {
		q.driver = riverdatabasesql.New(db.SQL())
	}
	var err error
	q.insert, err = river.NewClient(q.driver, &river.Config{Logger: quiet(log)})
	if err != nil {
		return nil, fmt.Errorf("set up the message queue: %w", err)
	}
	return q, nil
}

// SendCode queues a code with the caller's transaction.
func (q *Queue) SendCode(ctx context.Context, tx *store.Tx, job CodeJob) error {
	if _, err := q.insert.InsertTx(ctx, tx.SQL(), job, &river.InsertOpts{MaxAttempts: tries}); err != nil {
		return fmt.Errorf("queue a code: %w", err)
	}
	return nil
}

// Notify queues a notice with the caller's transaction.
func (q *Queue) Notify(ctx context.Context, tx *store.Tx, n Notice) error {
	if _, err := q.insert.InsertTx(ctx, tx.SQL(), n, &river.InsertOpts{MaxAttempts: tries}); err != nil {
		return fmt.Errorf("queue a notice: %w", err)
	}
	return nil
}

// Start begins to send. Stop ends it.
func (q *Queue) Start(ctx context.Context, r Resolver) error {
	all := river.NewWorkers()
	river.AddWorker(all, &codeWorker{queue: q, resolver: r})
	river.AddWorker(all, &noticeWorker{queue: q, resolver: r})
	var err error
	q.worker, err = river.NewClient(q.driver, &river.Config{
		Logger: quiet(q.log), Workers: all, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		FetchPollInterval: poll, FetchCooldown: poll / 2, JobTimeout: sendTimeout, RescueStuckJobsAfter: rescue,
		RetryPolicy: retryPolicy{}, CompletedJobRetentionPeriod: kept, CancelledJobRetentionPeriod: kept, DiscardedJobRetentionPeriod: kept,
	})
	if err == nil {
		err = q.worker.Start(ctx)
	}
	if err != nil {
		return fmt.Errorf("start the message queue: %w", err)
	}
	return nil
}

// Stop lets messages under way finish until ctx ends.
func (q *Queue) Stop(ctx context.Context) error {
	if q.worker == nil {
		return nil
	}
	if err := q.worker.Stop(ctx); err != nil {
		return fmt.Errorf("stop the message queue: %w", errors.Join(err, q.worker.StopAndCancel(context.WithoutCancel(ctx))))
	}
	return nil
}

// retryPolicy: quickly at first, for somebody is waiting.
type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(pause(len(job.Errors) + 1))
}

// pause is the wait after the nth failure.
func pause(n int) time.Duration {
	waits := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second}
	if n <= len(waits) {
		return waits[max(n, 1)-1]
	}
	return 30 * time.Second
}

type codeWorker struct {
	river.WorkerDefaults[CodeJob]
	queue    *Queue
	resolver Resolver
}

func (w *codeWorker) Work(ctx context.Context, job *river.Job[CodeJob]) error {
	var mail CodeMail
	var send bool
	err := w.queue.db.View(ctx, func(tx *store.Tx) (err error) {
		mail, send, err = w.resolver.ResolveCode(ctx, tx, job.Args)
		return err
	})
	if err != nil {
		return err
	}
	event := audit.Event{Actor: audit.ActorService, Session: job.Args.SessionID,
		Details: map[string]string{"method": job.Args.Method, "attempt": fmt.Sprint(job.Attempt)}}
	if !send {
		event.Action, event.Details["reason"] = audit.CodeUndelivered, "out of date, or not an address of the holder"
		return w.queue.note(ctx, event)
	}
	return w.queue.deliver(ctx, event, audit.CodeDelivered, audit.CodeUndelivered, func() error { return w.queue.mailer.SendCode(ctx, mail) })
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
	var mails []NoticeMail
	err := w.queue.db.View(ctx, func(tx *store.Tx) (err error) {
		mails, err = w.resolver.ResolveNotice(ctx, tx, job.Args)
		return err
	})
	if err != nil {
		return err
	}
	if job.Args.Address != "" {
		mails = slices.DeleteFunc(mails, func(m NoticeMail) bool { return m.To != job.Args.Address })
	}
	switch {
	case len(mails) == 0:
		return nil
	case len(mails) > 1:
		return w.queue.db.Update(ctx, func(tx *store.Tx) error {
			for _, m := range mails {
				one := job.Args
				one.Address = m.To
				if err := w.queue.Notify(ctx, tx, one); err != nil {
					return err
				}
			}
			return nil
		})
	}
	event := audit.Event{Actor: audit.ActorService, Session: job.Args.SessionID, Holder: job.Args.HolderID,
		Details: map[string]string{"event": job.Args.Event, "attempt": fmt.Sprint(job.Attempt)}}
	return w.queue.deliver(ctx, event, audit.HolderNotified, audit.HolderNotNotified,
		func() error { return w.queue.mailer.SendNotice(ctx, mails[0]) })
}

// deliver sends, and puts what came of it into the audit trail.
func (q *Queue) deliver(ctx context.Context, e audit.Event, done, failed string, send func() error) error {
	err := send()
	var unkept notKept
	if errors.As(err, &unkept) {
		q.log.ErrorContext(ctx, "a message was sent but not written to the folder of messages", "err", unkept.error)
		err = nil // sending it again would not mend that
	}
	if err == nil {
		e.Action = done
		return q.note(ctx, e)
	}
	// The mail server's own words may name the person: they stay out of the
	// trail, the log and the queue.
	why := reason(err)
	e.Action, e.Details["reason"] = failed, why
	q.log.WarnContext(ctx, "message not sent", "reason", why, "session", e.Session, "err", nameless(err))
	if noteErr := q.note(ctx, e); noteErr != nil {
		return noteErr
	}
	if permanent(err) {
		return river.JobCancel(errors.New(why))
	}
	return errors.New(why)
}

func (q *Queue) note(ctx context.Context, e audit.Event) error {
	return q.db.Update(ctx, func(tx *store.Tx) error { return audit.Append(ctx, tx, e) })
}

// quiet is a log for River, which tells of each start and job otherwise.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(atLeastWarn{log.Handler()}) }

type atLeastWarn struct{ slog.Handler }

func (h atLeastWarn) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h atLeastWarn) WithAttrs(a []slog.Attr) slog.Handler {
	return atLeastWarn{h.Handler.WithAttrs(a)}
}

func (h atLeastWarn) WithGroup(name string) slog.Handler {
	return atLeastWarn{h.Handler.WithGroup(name)}
}
