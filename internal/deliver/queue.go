// Package deliver sends security codes and notices by email and text message.
//
// It promises:
//   - what was queued in a committed transaction is sent even if the service
//     stops at once: the queue is in the database (River);
//   - nothing secret is in clear in the queue: codes are sealed;
//   - whether an address is the holder's is decided by the worker, after the
//     answer to the person, and its outcome goes to the audit trail alone (R4);
//   - what passes (a mail server that is away, 4yz, a provider that is away) is
//     tried again for as long as a code can be used; what lasts (5yz) is not;
//   - a text message that may have been taken is not sent again blindly: only
//     once, a minute later, and not where a receipt has come meanwhile;
//   - text messages are counted by hour and country, in the database, before a
//     provider is asked: what the counts refuse costs nothing;
//   - what became of each message is on record, without its text or address.
package deliver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"latchkey/internal/store"
)

// Resolver decides what becomes of a job, in the worker.
type Resolver interface {
	// ResolveCode gives the message of a code; send is false where there is
	// nobody to send it to or it is out of date.
	ResolveCode(ctx context.Context, tx *store.Tx, job CodeJob) (mail CodeMessage, send bool, err error)
	// ResolveNotice gives the messages of a notice.
	ResolveNotice(ctx context.Context, tx *store.Tx, n Notice) ([]NoticeMessage, error)
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

// Senders are how messages leave.
type Senders struct {
	Mail  *Mailer
	Text  *Texter // nil: text messages are not set up
	Guard Guard
}

// Queue takes messages and sends them.
type Queue struct {
	Senders
	db      *store.DB
	log     *slog.Logger
	figures *figures
	driver  riverdriver.Driver[*sql.Tx]
	insert  *river.Client[*sql.Tx]
	worker  *river.Client[*sql.Tx]

	unclearWait time.Duration // the constant, for tests to shorten
}

// NewQueue makes a Queue on a database whose tables are up to date.
func NewQueue(db *store.DB, s Senders, log *slog.Logger) (*Queue, error) {
	q := &Queue{Senders: s, db: db, log: log, figures: newFigures(db), unclearWait: unclearWait}
	if s.Text != nil {
		s.Text.observe = q.figures.observe
	}
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
	job.Reference = store.NewID()
	if _, err := q.insert.InsertTx(ctx, tx.SQL(), job, &river.InsertOpts{MaxAttempts: tries}); err != nil {
		return fmt.Errorf("queue a code: %w", err)
	}
	return tx.QueueMessage(ctx, store.Message{ID: job.Reference, Session: job.SessionID, Kind: kindCode, Method: job.Method,
		Address: job.Pseudonym})
}

// Notify queues a notice with the caller's transaction.
func (q *Queue) Notify(ctx context.Context, tx *store.Tx, n Notice) error {
	n.Reference = store.NewID()
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
	q.listen(ctx)
	return nil
}

// Stop lets messages under way finish until ctx ends.
func (q *Queue) Stop(ctx context.Context) error {
	var err error
	if q.worker != nil {
		if err = q.worker.Stop(ctx); err != nil {
			err = errors.Join(err, q.worker.StopAndCancel(context.WithoutCancel(ctx)))
		}
	}
	if err = errors.Join(err, q.hangUp()); err != nil {
		return fmt.Errorf("stop the message queue: %w", err)
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
