package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"latchkey/internal/audit"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
)

// patience is when a test gives up.
const patience = 30 * time.Second

// on runs a test on both databases.
func on(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, filepath.Join(t.TempDir(), "test.db")) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, pgtest.URL(t)) })
}

// answers is a Resolver that tests set.
type answers struct {
	mu      sync.Mutex
	send    bool
	err     error
	notices []NoticeMessage
}

func (a *answers) set(change func(*answers)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func (a *answers) ResolveCode(context.Context, *store.Tx, CodeJob) (CodeMessage, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return codeMail(), a.send, a.err
}

func (a *answers) ResolveNotice(context.Context, *store.Tx, Notice) ([]NoticeMessage, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.notices), a.err
}

// office is a queue at work.
type office struct {
	*Queue
	t      testing.TB
	events <-chan *river.Event
	log    *locked
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// hire opens a database and a queue on it. It sends once work is called.
func hire(t testing.TB, database string, o MailerOptions) *office {
	t.Helper()
	db, err := store.Open(t.Context(), database, store.Options{Node: "test"})
	must(t, err)
	w := &office{t: t, log: &locked{}}
	w.Queue, err = NewQueue(db, Senders{Mail: mailer(t, o)}, slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return w
}

func (w *office) work(r Resolver) {
	w.t.Helper()
	must(w.t, w.Start(w.t.Context(), r))
	w.events, _ = w.worker.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled)
	w.t.Cleanup(w.stop)
}

func (w *office) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(w.t, w.Stop(ctx))
}

// await gives what became of a job next.
func (w *office) await() *river.Event {
	w.t.Helper()
	select {
	case e := <-w.events:
		return e
	case <-time.After(patience):
		w.t.Fatalf("nothing became of the job:\n%s", w.log)
		return nil
	}
}

func (w *office) code() {
	w.t.Helper()
	must(w.t, w.db.Update(w.t.Context(), func(tx *store.Tx) error {
		return w.SendCode(w.t.Context(), tx, CodeJob{SessionID: "s1", Method: "email", Address: sam, Sealed: []byte("sealed"), SentAt: asked})
	}))
}

func (w *office) notice(event string) {
	w.t.Helper()
	must(w.t, w.db.Update(w.t.Context(), func(tx *store.Tx) error {
		return w.Notify(w.t.Context(), tx, Notice{HolderID: "h1", SessionID: "s1", Event: event, At: asked})
	}))
}

// trail is what the audit trail has, an action with its reason each.
func (w *office) trail() []string {
	w.t.Helper()
	var out []string
	must(w.t, w.db.View(w.t.Context(), func(tx *store.Tx) error {
		return tx.EachAudit(w.t.Context(), "test", 0, func(e store.AuditEvent) error {
			out = append(out, strings.TrimSpace(e.Action+" "+e.Details["reason"]))
			return nil
		})
	}))
	return out
}

// wantTrail makes sure of the trail, and that neither it nor the log nor the
// database tells the code, and log and trail no address.
func (w *office) wantTrail(want ...string) {
	w.t.Helper()
	if got := w.trail(); !slices.Equal(got, want) {
		w.t.Errorf("the trail is %q, want %q", got, want)
	}
	for _, secret := range []string{"123456", "123 456", "sam.taylor", "example.org"} {
		if strings.Contains(w.log.String()+strings.Join(w.trail(), " "), secret) {
			w.t.Errorf("log or trail tell %q:\n%s", secret, w.log)
		}
	}
}

func arrived(t testing.TB, p *post, n int) {
	t.Helper()
	if got := p.letters(); len(got) != n {
		t.Errorf("%d messages arrived, want %d", len(got), n)
	}
}

func TestCodeIsSentOnce(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		p := open(t, nil)
		w := hire(t, database, p.options())
		w.work(&answers{send: true})
		w.code()
		if e := w.await(); e.Kind != river.EventKindJobCompleted {
			t.Errorf("%s: %s", e.Kind, w.log)
		}
		arrived(t, p, 1)
		w.wantTrail(audit.CodeDelivered)
		if w.log.String() != "" {
			t.Errorf("the log tells of what went well:\n%s", w.log)
		}
	})
}

// TestNothingOfARolledBackTransaction: a code whose transaction failed was
// never asked for.
func TestNothingOfARolledBackTransaction(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		p := open(t, nil)
		w := hire(t, database, p.options())
		w.work(&answers{send: true})
		back := errors.New("back")
		if err := w.db.Update(t.Context(), func(tx *store.Tx) error {
			return errors.Join(w.SendCode(t.Context(), tx, CodeJob{SessionID: "s0"}), back)
		}); !errors.Is(err, back) {
			t.Fatal(err)
		}
		w.code()
		w.await()
		arrived(t, p, 1)
		w.wantTrail(audit.CodeDelivered)
	})
}

// TestMailServerDownThenUp: what could not be sent is sent as soon as it can.
func TestMailServerDownThenUp(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		p := open(t, nil)
		p.listener.set(true)
		w := hire(t, database, p.options())
		w.work(&answers{send: true})
		w.code()
		if e := w.await(); e.Kind != river.EventKindJobFailed {
			t.Fatalf("%s: %s", e.Kind, w.log)
		}
		arrived(t, p, 0)
		p.listener.set(false)
		e := w.await()
		for e.Kind == river.EventKindJobFailed { // this machine was slow: once more
			e = w.await()
		}
		arrived(t, p, 1)
		want := slices.Repeat([]string{audit.CodeUndelivered + " the mail server cannot be used"}, e.Job.Attempt-1)
		w.wantTrail(append(want, audit.CodeDelivered)...)
	})
}

// TestRestartLosesNothing: a code that was queued by a service that never got
// to send it, and one that it failed to send, are sent by the next.
func TestRestartLosesNothing(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		p := open(t, nil)
		p.listener.set(true)
		first := hire(t, database, p.options())
		first.work(&answers{send: true})
		first.code()
		first.await()
		first.stop()
		first.notice(NoticeReleased) // queued after the worker is gone
		p.listener.set(false)
		arrived(t, p, 0)

		second := hire(t, database, p.options())
		second.work(&answers{send: true, notices: []NoticeMessage{{To: To{Method: methodEmail, Address: sam}, Name: "Sam", Kind: NoticeReleased, At: asked}}})
		for len(second.trail()) < 3 {
			if e := second.await(); e.Kind != river.EventKindJobCompleted {
				t.Errorf("%s: %s", e.Kind, second.log)
			}
		}
		arrived(t, p, 2)
		trail := second.trail()
		slices.Sort(trail)
		trail = slices.Compact(trail) // a slow machine fails more than once
		if want := []string{audit.CodeDelivered, audit.CodeUndelivered + " the mail server cannot be used", audit.HolderNotified}; !slices.Equal(trail, want) {
			t.Errorf("the trail is %q", trail)
		}
	})
}

// TestCodeThatIsOutOfDate: the mail server comes back after the session's end.
// Its code does not arrive then.
func TestCodeThatIsOutOfDate(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		p := open(t, nil)
		p.listener.set(true)
		w := hire(t, database, p.options())
		r := &answers{send: true}
		w.work(r)
		w.code()
		w.await()
		r.set(func(a *answers) { a.send = false })
		p.listener.set(false)
		if e := w.await(); e.Kind != river.EventKindJobCompleted {
			t.Errorf("%s: %s", e.Kind, w.log)
		}
		arrived(t, p, 0)
		w.wantTrail(audit.CodeUndelivered+" the mail server cannot be used",
			audit.CodeUndelivered+" out of date, or not an address of the holder")
	})
}

// TestRefusedForGood: 5yz is not tried again; the trail has why.
func TestRefusedForGood(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		p := open(t, func(p *post) {
			p.refuse = func(step, to string) error {
				if step != "RCPT" {
					return nil
				}
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no mailbox " + to}
			}
		})
		w := hire(t, database, p.options())
		w.work(&answers{send: true})
		w.code()
		if e := w.await(); e.Kind != river.EventKindJobCancelled || e.Job.State != rivertype.JobStateCancelled || e.Job.Attempt != 1 {
			t.Errorf("%s, %s after %d", e.Kind, e.Job.State, e.Job.Attempt)
		}
		w.wantTrail(audit.CodeUndelivered + " the mail server answered 550")
	})
}

// TestRefusedForNow: 4yz is tried again.
func TestRefusedForNow(t *testing.T) {
	p := open(t, func(p *post) {
		var n atomic.Int64
		p.refuse = func(step, _ string) error {
			if step != "DATA" {
				return nil
			}
			if n.Add(1) == 1 {
				return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
			}
			return nil
		}
	})
	w := hire(t, filepath.Join(t.TempDir(), "test.db"), p.options())
	w.work(&answers{send: true})
	w.code()
	w.await()
	w.await()
	arrived(t, p, 1)
	w.wantTrail(audit.CodeUndelivered+" the mail server answered 451", audit.CodeDelivered)
}

// TestDatabaseFault: where the worker cannot find out whose the address is,
// nothing is sent yet.
func TestDatabaseFault(t *testing.T) {
	p := open(t, nil)
	w := hire(t, filepath.Join(t.TempDir(), "test.db"), p.options())
	r := &answers{send: true, err: errors.New("the database is away")}
	w.work(r)
	w.code()
	if e := w.await(); e.Kind != river.EventKindJobFailed {
		t.Errorf("%s", e.Kind)
	}
	arrived(t, p, 0)
	r.set(func(a *answers) { a.err = nil })
	w.await()
	arrived(t, p, 1)
	w.wantTrail(audit.CodeDelivered)
}

// TestEveryAddressIsToldOnce: of three addresses one is refused for good and
// one for now. The third is told once, and the second as soon as it can be.
func TestEveryAddressIsToldOnce(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		p := open(t, func(p *post) {
			var n atomic.Int64
			p.refuse = func(step, to string) error {
				switch {
				case step == "RCPT" && strings.HasPrefix(to, "gone"):
					return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "gone"}
				case step == "DATA" && strings.HasPrefix(to, "slow"):
					if n.Add(1) == 1 {
						return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later"}
					}
				}
				return nil
			}
		})
		w := hire(t, database, p.options())
		r := &answers{}
		for _, to := range []string{"gone", "slow", "fine"} {
			r.notices = append(r.notices, NoticeMessage{To: To{Method: methodEmail, Address: to + "@example.org"}, Name: "Sam", Kind: NoticeUnlocked, At: asked})
		}
		w.work(r)
		w.notice(NoticeUnlocked)
		kinds := map[river.EventKind]int{}
		for range 5 { // one that makes three, of which one fails once
			kinds[w.await().Kind]++
		}
		if want := "map[job_cancelled:1 job_completed:3 job_failed:1]"; fmt.Sprint(kinds) != want {
			t.Errorf("%v, want %s", kinds, want)
		}
		var to []string
		for _, l := range p.letters() {
			to = append(to, l.to)
		}
		if slices.Sort(to); !slices.Equal(to, []string{"fine@example.org", "slow@example.org"}) {
			t.Errorf("told %v", to)
		}
		trail := w.trail()
		slices.Sort(trail)
		if want := []string{audit.HolderNotNotified + " the mail server answered 451", audit.HolderNotNotified + " the mail server answered 550",
			audit.HolderNotified, audit.HolderNotified}; !slices.Equal(trail, want) {
			t.Errorf("the trail is %q", trail)
		}
	})
}

// TestNobodyToTell: a holder who has no address, or is gone, or no longer has
// the one that was to be told.
func TestNobodyToTell(t *testing.T) {
	p := open(t, nil)
	w := hire(t, filepath.Join(t.TempDir(), "test.db"), p.options())
	r := &answers{}
	w.work(r)
	w.notice(NoticeReleased)
	if e := w.await(); e.Kind != river.EventKindJobCompleted {
		t.Errorf("%s", e.Kind)
	}
	r.set(func(a *answers) {
		a.notices = []NoticeMessage{{To: To{Method: methodEmail, Address: sam}, Kind: NoticeReleased}}
	})
	must(t, w.db.Update(t.Context(), func(tx *store.Tx) error {
		return w.Notify(t.Context(), tx, Notice{HolderID: "h1", Event: NoticeReleased, Address: "removed@example.org"})
	}))
	if e := w.await(); e.Kind != river.EventKindJobCompleted {
		t.Errorf("%s", e.Kind)
	}
	arrived(t, p, 0)
	w.wantTrail()
}

// TestFolderThatCannotBeWritten: the copy in the folder is for looking on. A
// message that has left is not sent again for want of it.
func TestFolderThatCannotBeWritten(t *testing.T) {
	p := open(t, nil)
	o := p.options()
	o.Dir = filepath.Join(t.TempDir(), "mail")
	w := hire(t, filepath.Join(t.TempDir(), "test.db"), o)
	must(t, os.Remove(o.Dir))
	w.work(&answers{send: true})
	w.code()
	if e := w.await(); e.Kind != river.EventKindJobCompleted {
		t.Errorf("%s", e.Kind)
	}
	arrived(t, p, 1)
	w.wantTrail(audit.CodeDelivered)
	if !strings.Contains(w.log.String(), "not written to the folder of messages") {
		t.Errorf("the operator is not told:\n%s", w.log)
	}
}

// TestPauses: quickly at first, and never so long that the mail server is back
// for half of a session before anybody looks.
func TestPauses(t *testing.T) {
	last, total := time.Duration(0), time.Duration(0)
	for n := 1; n <= tries; n++ {
		if p := pause(n); p < last || p > 30*time.Second {
			t.Errorf("pause %d is %s after %s", n, p, last)
		}
		last = pause(n)
		total += last
	}
	if pause(1) != time.Second || pause(0) != time.Second || total < 15*time.Minute {
		t.Errorf("begins with %s, ends after %s: before a code does", pause(1), total)
	}
}

// TestStopBeforeStart: a service that fails to start stops all the same.
func TestStopBeforeStart(t *testing.T) {
	w := hire(t, filepath.Join(t.TempDir(), "test.db"), MailerOptions{})
	must(t, w.Stop(t.Context()))
}
