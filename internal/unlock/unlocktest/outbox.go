package unlocktest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"latchkey/internal/deliver"
	"latchkey/internal/store"
)

// patience is how long Settle waits.
const patience = 30 * time.Second

// outbox keeps what would be sent.
type outbox struct {
	mu      sync.Mutex
	codes   []deliver.CodeJob
	notices []deliver.Notice
	queue   *deliver.Queue // nil: nothing is sent
}

func newQueue(t testing.TB, db *store.DB, folder string, log *slog.Logger) *deliver.Queue {
	t.Helper()
	mailer, err := deliver.NewMailer(deliver.MailerOptions{Dir: folder, Organisation: "St Example's"})
	check(t, err)
	words, err := deliver.NewTextWords(deliver.TextWordsOptions{Organisation: "St Example's"})
	check(t, err)
	texter, err := deliver.NewTexter(deliver.TexterOptions{Dir: folder, Words: words})
	check(t, err)
	queue, err := deliver.NewQueue(db, deliver.Senders{Mail: mailer, Text: texter, Guard: deliver.Guard{PerHour: 1e6, Other: 1e6}}, log)
	check(t, err)
	return queue
}

// SendCode implements unlock.Sender.
func (o *outbox) SendCode(ctx context.Context, tx *store.Tx, job deliver.CodeJob) error {
	o.mu.Lock()
	o.codes = append(o.codes, job)
	o.mu.Unlock()
	if o.queue == nil {
		return nil
	}
	return o.queue.SendCode(ctx, tx, job)
}

// Notify implements unlock.Sender.
func (o *outbox) Notify(ctx context.Context, tx *store.Tx, n deliver.Notice) error {
	o.mu.Lock()
	o.notices = append(o.notices, n)
	o.mu.Unlock()
	if o.queue == nil {
		return nil
	}
	return o.queue.Notify(ctx, tx, n)
}

// Notices are the events that holders were told of, in order.
func (x *Installation) Notices() []string {
	x.outbox.mu.Lock()
	defer x.outbox.mu.Unlock()
	var out []string
	for _, n := range x.notices {
		out = append(out, n.Event)
	}
	return out
}

// Jobs is how many codes were queued.
func (x *Installation) Jobs() int {
	x.outbox.mu.Lock()
	defer x.outbox.mu.Unlock()
	return len(x.codes)
}

// Code is the newest code as it arrives at the holder, "" where the worker
// decides to send nothing.
func (x *Installation) Code(t testing.TB) string {
	t.Helper()
	return x.newest(t, func(deliver.CodeJob) bool { return true })
}

// CodeOf is the newest code of a session.
func (x *Installation) CodeOf(t testing.TB, session string) string {
	t.Helper()
	return x.newest(t, func(job deliver.CodeJob) bool { return job.SessionID == session })
}

func (x *Installation) newest(t testing.TB, fits func(deliver.CodeJob) bool) string {
	t.Helper()
	x.outbox.mu.Lock()
	var job deliver.CodeJob
	found := false
	for i := len(x.codes) - 1; i >= 0 && !found; i-- {
		job, found = x.codes[i], fits(x.codes[i])
	}
	x.outbox.mu.Unlock()
	if !found {
		return ""
	}
	code := ""
	check(t, x.DB.View(t.Context(), func(tx *store.Tx) error {
		mail, send, err := x.Sessions.ResolveCode(t.Context(), tx, job)
		if send {
			code = mail.Code
		}
		return err
	}))
	return code
}

// Settle waits until the queue's workers have brought something about.
func (x *Installation) Settle(t testing.TB, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond) // a database tells nobody when it changes
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the queue never got there")
		}
	}
}
