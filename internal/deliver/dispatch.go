package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"latchkey/internal/audit"
	"latchkey/internal/deliver/text"
	"latchkey/internal/store"
)

const (
	// textTimeout bounds one text message with all of its providers: less than
	// sendTimeout, so that there is time to note what came of it.
	textTimeout = 30 * time.Second
	// unclearWait is how long a text message that may have been taken waits for
	// its receipt before it is sent again: longer than a provider takes to
	// answer.
	unclearWait = 60 * time.Second
	// unclearMost is how often a text message may leave without a known
	// outcome: after that it is given up.
	unclearMost = 2
	// longestPause bounds how long a provider can have us wait.
	longestPause = 2 * time.Minute
)

// dispatch is one try of one message.
type dispatch struct {
	message      store.Message
	country      string // of a text message's number
	attempt      int    // from 1
	last         bool   // there will be no other try
	event        audit.Event
	done, failed string // actions
	send         func(ctx context.Context) (text.Sent, error)
}

// dispatch sends a message and puts what came of it on record and into the
// audit trail. What it returns is for River.
func (q *Queue) dispatch(ctx context.Context, d dispatch) error {
	if d.message.Method == methodSMS {
		if q.Text == nil {
			return q.drop(ctx, d, "text messages are not set up")
		}
		if goOn, err := q.begin(ctx, &d); err != nil || !goOn {
			return err
		}
	}
	sending, cancel := context.WithTimeout(ctx, textTimeout)
	defer cancel()
	if d.message.Method != methodSMS {
		sending = ctx // bounds itself
	}
	sent, err := d.send(sending)
	var unkept notKept
	if errors.As(err, &unkept) {
		q.log.ErrorContext(ctx, "a message was sent but not written to the folder of messages", "err", unkept.error)
		err = nil // sending it again would not mend that
	}
	if err == nil {
		return q.sent(ctx, d, sent)
	}
	if d.message.Method == methodSMS {
		return q.fail(ctx, d, q.textFailure(err))
	}
	v := verdict{reason: reason(err), log: nameless(err), provider: sent.Provider, state: store.MessageQueued}
	if permanent(err) {
		v.state = store.MessageFailed
	}
	return q.fail(ctx, d, v)
}

// begin notes that a text message is about to leave, before it does: a process
// that is killed in between leaves a try without a known outcome. It says
// whether to go on.
func (q *Queue) begin(ctx context.Context, d *dispatch) (goOn bool, err error) {
	var wait time.Duration
	var full, given string // what refuses, and what was given up
	err = q.db.Update(ctx, func(tx *store.Tx) error {
		goOn, wait, full, given = false, 0, "", ""
		m, err := q.lock(ctx, tx, d.message)
		if err != nil || m.State != store.MessageQueued { // a receipt has said the rest
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if m.Open >= unclearMost {
			given = m.Reason
			m.State = store.MessageDead
			_, err := tx.SaveMessage(ctx, m)
			return err
		}
		if wait = m.UpdatedAt.Add(q.unclearWait).Sub(now); m.Open > 0 && wait > 0 {
			return nil
		}
		if full, err = q.Guard.take(ctx, tx, d.country); err != nil {
			return err
		}
		if full != "" {
			m.State, m.Reason = store.MessageFailed, guardReason(full)
			d.event.Action, d.event.Details["reason"] = d.failed, m.Reason
			if _, err := tx.SaveMessage(ctx, m); err != nil {
				return err
			}
			return audit.Append(ctx, tx, d.event)
		}
		goOn, m.Attempts, m.Open = true, m.Attempts+1, m.Open+1
		_, err = tx.SaveMessage(ctx, m)
		return err
	})
	switch {
	case err != nil || goOn:
		return goOn, err
	case full != "":
		q.figures.refused.WithLabelValues(full).Inc()
		q.figures.count(d.message.Method, "", store.MessageFailed)
		q.log.WarnContext(ctx, "text message not sent: its limit is reached", "limit", full, "session", d.message.Session)
	case given != "":
		q.figures.count(d.message.Method, "", store.MessageDead)
	case wait > 0:
		return false, river.JobSnooze(wait)
	}
	return false, nil
}

// lock gives a message's record, which is made where there is none yet.
func (q *Queue) lock(ctx context.Context, tx *store.Tx, m store.Message) (store.Message, error) {
	if err := tx.QueueMessage(ctx, m); err != nil {
		return m, err
	}
	return tx.LockMessage(ctx, m.ID)
}

// sent notes that somebody took a message.
func (q *Queue) sent(ctx context.Context, d dispatch, sent text.Sent) error {
	err := q.db.Update(ctx, func(tx *store.Tx) error {
		m, err := q.lock(ctx, tx, d.message)
		if err != nil {
			return err
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		m.State, m.Reason, m.Provider, m.ProviderID, m.Parts, m.SentAt = store.MessageSent, "", sent.Provider, sent.ID, sent.Parts, now
		if d.message.Method == methodSMS {
			m.Open = max(0, m.Open-1)
		} else {
			m.Attempts++
		}
		if _, err := tx.SaveMessage(ctx, m); err != nil {
			return err
		}
		d.event.Action, d.event.Details["provider"] = d.done, sent.Provider
		return audit.Append(ctx, tx, d.event)
	})
	if err == nil {
		q.figures.count(d.message.Method, sent.Provider, store.MessageSent)
	}
	return err
}

// verdict is what a failure means.
type verdict struct {
	state    store.MessageState // MessageQueued: it is tried again
	reason   string             // without anything of message or address
	log      string             // more of it, for the log
	provider string
	unclear  bool          // it may have been taken
	after    time.Duration // not before; 0 is the usual pause
}

// textFailure says what an error of a provider means.
func (q *Queue) textFailure(err error) verdict {
	var e *text.Error
	if !errors.As(err, &e) {
		return verdict{state: store.MessageQueued, reason: "unclear", log: "no answer", unclear: true, after: q.unclearWait}
	}
	v := verdict{state: store.MessageQueued, provider: e.Provider, after: min(e.RetryAfter, longestPause),
		reason: fmt.Sprintf("%s: %s (%s)", e.Provider, e.Kind, e.Code)}
	switch e.Kind {
	case text.Away:
	case text.Refused:
		v.state = store.MessageDead
	case text.Impossible:
		v.state = store.MessageFailed
	default:
		v.unclear, v.after = true, q.unclearWait
	}
	v.log = v.reason
	return v
}

// fail notes that a message was not sent. What surely was not taken has cost
// nothing and no longer counts. Providers' own words may name the person: they
// stay out of the trail, the log and the queue.
func (q *Queue) fail(ctx context.Context, d dispatch, v verdict) error {
	state := v.state
	err := q.db.Update(ctx, func(tx *store.Tx) error {
		state = v.state
		m, err := q.lock(ctx, tx, d.message)
		if err != nil {
			return err
		}
		switch {
		case d.message.Method != methodSMS:
			m.Attempts++
		case !v.unclear:
			m.Open = max(0, m.Open-1)
			if err := q.Guard.giveBack(ctx, tx, d.country); err != nil {
				return err
			}
		case m.Open >= unclearMost:
			state = store.MessageDead
		}
		if state == store.MessageQueued && d.last {
			state = store.MessageDead
		}
		m.State, m.Reason, m.Provider = state, v.reason, v.provider
		saved, err := tx.SaveMessage(ctx, m)
		if err != nil {
			return err
		}
		state = saved.State // a receipt may know better
		d.event.Action, d.event.Details["reason"] = d.failed, v.reason
		return audit.Append(ctx, tx, d.event)
	})
	if err != nil {
		return err
	}
	q.log.WarnContext(ctx, "message not sent", "reason", v.reason, "session", d.event.Session, "err", v.log)
	if state == store.MessageQueued {
		if v.unclear || v.after > pause(d.attempt) {
			return river.JobSnooze(v.after)
		}
		return errors.New(v.reason)
	}
	if state == v.state || state == store.MessageDead {
		q.figures.count(d.message.Method, v.provider, state)
	}
	return river.JobCancel(errors.New(v.reason))
}

// drop notes that a message is not sent, or not any more: nobody waits for it.
func (q *Queue) drop(ctx context.Context, d dispatch, why string) error {
	state := store.MessageFailed
	err := q.db.Update(ctx, func(tx *store.Tx) error {
		m, err := q.lock(ctx, tx, d.message)
		if err != nil {
			return err
		}
		if m.State == store.MessageQueued {
			m.State = store.MessageFailed
			if m.Attempts > 0 { // it was tried, and time ran out
				m.State = store.MessageDead
			} else {
				m.Reason = why
			}
			state = m.State
			if _, err := tx.SaveMessage(ctx, m); err != nil {
				return err
			}
		}
		d.event.Action, d.event.Details["reason"] = d.failed, why
		return audit.Append(ctx, tx, d.event)
	})
	if err == nil {
		q.figures.count(d.message.Method, "", state)
	}
	return err
}
