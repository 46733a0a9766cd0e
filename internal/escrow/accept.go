package escrow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/internal/audit"
	"latchkey/internal/escrow/journal"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// Accept makes a fresh journal for this node: it is new, or its journal is lost.
// Where the database knows journals of this node they count as lost from then
// on, and the keys that only they had with them. A file that is there, damaged
// or of another database, is moved aside.
func (j *KeyJournal) Accept(ctx context.Context, db *store.DB, aside func(path string) error) error {
	if open, err := j.ready(ctx); err == nil {
		if at, err := open.Position(ctx); err != nil {
			return j.drop(err)
		} else if known, lost, err := knows(ctx, db, at.ID); err != nil {
			return err
		} else if !known && at.Confirmed > 0 {
			return problem.Wrap(problem.EscrowBehind, errors.New("the journal is there, and has keys that the database may lack"))
		} else if known && !lost {
			return problem.Wrap(problem.JournalMissing, errors.New("it is not missing: there is nothing to accept"))
		}
		if err := j.Close(); err != nil {
			return fault(err)
		}
	} else if problem.CodeOf(err) != problem.JournalMissing && problem.CodeOf(err) != problem.JournalDamaged {
		return err
	}
	if err := aside(j.path); err != nil {
		return problem.Wrap(problem.JournalFault, err)
	}
	if err := LoseJournals(ctx, db, j.node); err != nil {
		return err
	}
	return j.accept(ctx, db, true)
}

// knows says whether the database knows a journal, and whether it was given up.
func knows(ctx context.Context, db *store.DB, id string) (known, lost bool, err error) {
	err = db.View(ctx, func(tx *store.Tx) error {
		k, err := tx.KeyJournal(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		known, lost = err == nil, k.Lost
		return err
	})
	return known, lost, err
}

// LoseJournals gives the journals of a node up that is gone: nobody waits for
// them any more.
func LoseJournals(ctx context.Context, db *store.DB, node string) error {
	return db.Update(ctx, func(tx *store.Tx) error {
		known, err := tx.KeyJournals(ctx)
		if err != nil {
			return err
		}
		for _, k := range known {
			if k.Node != node || k.Lost {
				continue
			}
			k.Lost = true
			if err := tx.SaveKeyJournal(ctx, k); err != nil {
				return err
			}
			if err := audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.JournalLost,
				Details: map[string]string{"journal": k.ID, "node": k.Node, "line": fmt.Sprint(k.Line)}}); err != nil {
				return err
			}
		}
		return nil
	})
}

// accept makes a fresh journal for a node that has none.
func (j *KeyJournal) accept(ctx context.Context, db *store.DB, operator bool) error {
	actor := audit.ActorService
	if operator {
		actor = audit.ActorOperator
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open == nil {
		open, err := journal.Create(j.path, j.node, time.Now(), j.options)
		if err != nil {
			return fault(err)
		}
		j.open = open
	}
	id := j.open.ID()
	return db.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		c, err := tx.ReleaseControl(ctx)
		if err != nil {
			return err
		}
		err = tx.InsertKeyJournal(ctx, store.KeyJournal{ID: id, Node: j.node, Hash: []byte{}, Checked: c.Generation, CreatedAt: now})
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Event{Actor: actor, Action: audit.JournalAccepted,
			Details: map[string]string{"journal": id, "node": j.node}})
	})
}
