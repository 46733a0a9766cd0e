package escrow

import (
	"context"
	"fmt"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Result is what a report came to.
type Result struct {
	// Outcome is the one that counts, which is the earlier one where a later
	// report adds no proof.
	Outcome api.Outcome
	Proven  bool
	// NextStep is the step that may be asked for, 0 for none.
	NextStep int
}

// Report takes the outcome of a step. proven says that the card has signed it.
// s and c are locked; c is brought up to date. A report that comes again
// changes nothing; one with proof counts more than one without. Error:
// problem.ReportMismatch for a step that was never released.
func (e *Escrow) Report(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, r api.Report, proven bool) (Result, error) {
	done, err := releasedSteps(ctx, tx, s, r)
	if err != nil {
		return Result{}, err
	}
	row := &done[r.Step-1]
	news := counts(*row, r.Outcome, proven)
	if news {
		if err := e.take(ctx, tx, s, c, row, r, proven); err != nil {
			return Result{}, err
		}
	}
	result := Result{Outcome: api.Outcome(row.Outcome), Proven: row.Proven}
	if result.NextStep, err = next(ctx, tx, c, done); err != nil || !news || c.Epoch != row.Epoch {
		return result, err
	}
	switch {
	case result.Outcome == api.OutcomeRefused && result.NextStep == 0 && row.Action == string(api.ActionUnblock):
		err = e.disagrees(ctx, tx, *c, Alert{Reason: AlertRefused, Session: s.ID, Proven: proven})
	case result.Outcome == api.OutcomeBlocked:
		err = e.disagrees(ctx, tx, *c, Alert{Reason: AlertBlocked, Session: s.ID, Proven: proven})
	}
	return result, err
}

// Released says whether the step of a report was released to its session:
// problem.ReportMismatch where not.
func (e *Escrow) Released(ctx context.Context, tx *store.Tx, s store.Session, r api.Report) error {
	_, err := releasedSteps(ctx, tx, s, r)
	return err
}

func releasedSteps(ctx context.Context, tx *store.Tx, s store.Session, r api.Report) ([]store.Release, error) {
	done, err := tx.Releases(ctx, s.ID)
	if err == nil && (r.Step < 1 || r.Step > len(done) || done[r.Step-1].Epoch != r.Epoch) {
		err = problem.Wrap(problem.ReportMismatch, fmt.Errorf("step %d, epoch %d", r.Step, r.Epoch))
	}
	return done, err
}

// counts says whether a report adds to what is known of a step. "Failed" says
// nothing, so anything may follow it that is proven no less.
func counts(row store.Release, o api.Outcome, proven bool) bool {
	if row.Outcome == "" || proven && !row.Proven {
		return true
	}
	return row.Outcome == string(api.OutcomeFailed) && o != api.OutcomeFailed && (proven || !row.Proven)
}

// take writes an outcome down and does what follows from it.
func (e *Escrow) take(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, row *store.Release, r api.Report, proven bool) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	row.Outcome, row.Holds, row.Proven, row.ReportedAt = string(r.Outcome), string(r.Holds), proven, now
	if err := tx.SaveReleaseOutcome(ctx, *row); err != nil {
		return err
	}
	details := map[string]string{"step": fmt.Sprint(row.Step), "epoch": fmt.Sprint(row.Epoch), "action": row.Action,
		"outcome": row.Outcome, "holds": row.Holds, "proven": fmt.Sprint(proven)}
	if r.TriesLeft != nil {
		details["tries_left"] = fmt.Sprint(*r.TriesLeft)
	}
	if c.Epoch != row.Epoch {
		details["late"] = "the key has changed since"
	}
	if err := audit.Append(ctx, tx, audit.Event{Actor: audit.ActorHolder, Action: audit.OutcomeReported, Session: s.ID,
		CardID: c.ID, Holder: c.HolderID, Details: details}); err != nil {
		return err
	}
	if c.Epoch != row.Epoch {
		return nil
	}
	return e.learn(ctx, tx, s, c, *row, r)
}

// learn brings order and keys up to date with an outcome of this epoch.
func (e *Escrow) learn(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, row store.Release, r api.Report) error {
	have, err := candidates(ctx, tx, c.ID)
	if err != nil {
		return err
	}
	held := held(row)
	if have.many != nil && api.Outcome(row.Outcome) == api.OutcomeUnlocked && row.Proven && held != unknown {
		if err := e.settle(ctx, tx, s, c, have, held); err != nil {
			return err
		}
		if have, err = candidates(ctx, tx, c.ID); err != nil {
			return err
		}
	}
	isPending := have.pending != nil && held == have.pending.ID
	switch api.Outcome(row.Outcome) {
	case api.OutcomeUnlocked:
		if row.Proven && isPending {
			if err := e.promote(ctx, tx, s, c, have); err != nil {
				return err
			}
		} else if held != "" {
			c.PendingFirst = isPending
		}
		if row.Proven {
			c.TriesOut, c.TriesLeft = 0, store.TriesUnknown
		}
		if len(r.Reply) > 0 { // it was checked
			c.Mutual = true
		}
	case api.OutcomeRefused:
		if row.Action == string(api.ActionUnblock) && have.pending != nil {
			// Once the card has signed that it refuses the current key, a claim
			// that it refuses the other as well does not bring that back.
			gone, err := tx.KeyRefused(ctx, c.ID, c.Epoch, have.current.ID)
			if err != nil {
				return err
			}
			c.PendingFirst = gone || row.KeyID == have.current.ID
		}
		if row.Proven && r.TriesLeft != nil {
			c.TriesLeft = *r.TriesLeft
		}
		if err := e.alert(ctx, tx, s, c, audit.KeyRefused, row); err != nil {
			return err
		}
	case api.OutcomeBlocked:
		if err := e.alert(ctx, tx, s, c, audit.KeyBlocked, row); err != nil {
			return err
		}
	default: // nothing is known: the attempt stays open, and the order flips next time
		return nil
	}
	if c.OpenAttempt == s.ID && (row.Outcome != string(api.OutcomeUnlocked) || held != unknown) {
		c.OpenAttempt = ""
	}
	if err := cardkey.Save(ctx, tx, e.keys, c); err != nil {
		return err
	}
	e.stands(ctx, tx, *c)
	return nil
}

// unknown stands for a key that a report does not tell.
const unknown = ""

// held is the id of the key that a card holds after a step, by its report.
func held(row store.Release) string {
	switch api.Holds(row.Holds) {
	case api.HoldsKey:
		return row.KeyID
	case api.HoldsNext:
		return row.NextID
	}
	return unknown
}

// promote makes the pending key the current one: the card has signed that it
// works.
func (e *Escrow) promote(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, have pair) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	if err := tx.SetKeyState(ctx, have.current.ID, store.KeyRetired, now); err != nil {
		return err
	}
	if err := tx.SetKeyState(ctx, have.pending.ID, store.KeyCurrent, now); err != nil {
		return err
	}
	c.Epoch++
	c.PendingFirst = false
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.KeyRotated, Session: s.ID,
		CardID: c.ID, Holder: c.HolderID, Details: map[string]string{"epoch": fmt.Sprint(c.Epoch),
			"current": have.pending.ID, "retired": have.current.ID}})
}

func (e *Escrow) alert(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, action string, row store.Release) error {
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: action, Session: s.ID,
		CardID: c.ID, Holder: c.HolderID, Details: map[string]string{"step": fmt.Sprint(row.Step), "key": row.KeyID,
			"proven": fmt.Sprint(row.Proven)}})
}

// next is the step that follows, 0 for none.
func next(ctx context.Context, tx *store.Tx, c *store.Card, done []store.Release) (int, error) {
	if last := done[len(done)-1]; last.Outcome == string(api.OutcomeUnlocked) && last.NextID != "" {
		return 0, nil // the usual end, whatever keys there are
	}
	have, err := candidates(ctx, tx, c.ID)
	if err == nil {
		err = have.sort(ctx, tx, *c)
	}
	if err != nil {
		return 0, err
	}
	if _, ok := plan(have, c.PendingFirst, done); !ok {
		return 0, nil
	}
	return len(done) + 1, nil
}
