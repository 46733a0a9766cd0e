package escrow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/escrow/journal"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// KeyJournal is a node's key journal and what the database knows of it. The
// database keeps, for each journal, the number and hash of the last entry whose
// transaction it has: a database that is at less than the journal has confirmed
// was restored, or has failed over to a standby that lacked something.
type KeyJournal struct {
	path, node string
	options    journal.Options

	mu   sync.Mutex
	open *journal.Journal // nil: not there
}

// NewKeyJournal gives the journal of a node, whose file is opened when it is
// first used. See Start and Accept for one that is not there.
func NewKeyJournal(db *store.DB, path, node string, o journal.Options) *KeyJournal {
	if o.DataKey == nil && o.Keys.Kept() {
		o.DataKey = func(ctx context.Context, id string) (k store.DataKey, err error) {
			err = db.View(ctx, func(tx *store.Tx) error {
				keys, err := tx.DataKeys(ctx)
				for _, one := range keys {
					if one.ID == id {
						k = one
						return nil
					}
				}
				return errors.Join(err, store.ErrNotFound)
			})
			return k, err
		}
	}
	return &KeyJournal{path: path, node: node, options: o}
}

// Start makes the journal where there is none and the database has never known
// of any. Where it is missing or damaged otherwise, all that asks it gets
// problem.JournalMissing or JournalDamaged until that is mended: the service can
// start. Call it outside transactions.
func (j *KeyJournal) Start(ctx context.Context, db *store.DB) error {
	open, err := j.ready(ctx)
	if code := problem.CodeOf(err); code == problem.JournalDamaged {
		return nil
	} else if err != nil && code != problem.JournalMissing {
		return err
	}
	var known []store.KeyJournal
	if err := db.View(ctx, func(tx *store.Tx) (err error) {
		known, err = tx.KeyJournals(ctx)
		return err
	}); err != nil || len(known) > 0 {
		return err
	}
	if open != nil {
		if at, err := open.Position(ctx); err != nil || at.Entries > 0 {
			return j.drop(err)
		}
	}
	return j.accept(ctx, db, false)
}

// ready gives the open journal. Errors: problem.JournalMissing,
// JournalDamaged, and those of a provider that is away.
func (j *KeyJournal) ready(ctx context.Context) (*journal.Journal, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open != nil {
		return j.open, nil
	}
	open, err := journal.Open(ctx, j.path, j.options)
	if err != nil {
		return nil, fault(err)
	}
	j.open = open
	return open, nil
}

// fault makes an error of a journal a problem. One that is gone is looked for
// again next time.
func fault(err error) error {
	var p *problem.Problem
	switch {
	case err == nil || errors.As(err, &p):
		return err
	case errors.Is(err, journal.ErrMissing):
		return problem.Wrap(problem.JournalMissing, err)
	case errors.Is(err, journal.ErrDamaged):
		return problem.Wrap(problem.JournalDamaged, err)
	}
	return problem.Wrap(problem.JournalFault, err)
}

// drop forgets the open file where another has taken its place.
func (j *KeyJournal) drop(err error) error {
	if errors.Is(err, journal.ErrMissing) || errors.Is(err, journal.ErrDamaged) {
		j.mu.Lock()
		if j.open != nil {
			_ = j.open.Close() // nothing in it waits to be written
			j.open = nil
		}
		j.mu.Unlock()
	}
	return fault(err)
}

// Close closes the file.
func (j *KeyJournal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open == nil {
		return nil
	}
	err := j.open.Close()
	j.open = nil
	return err
}

// gate says whether the database is as far as the journals.
func (j *KeyJournal) gate(ctx context.Context, tx *store.Tx) error {
	return stopBehind(ctx, tx, j.compare(ctx, tx))
}

// compare does it without leaving anything behind. Errors: behindError,
// problem.JournalMissing and those of ready.
func (j *KeyJournal) compare(ctx context.Context, tx *store.Tx) error {
	open, err := j.ready(ctx)
	if err != nil {
		return err
	}
	at, err := open.Position(ctx) // before the database is asked, which may go on meanwhile
	if err != nil {
		return j.drop(err)
	}
	seen := open.Seen()
	known, err := tx.KeyJournals(ctx)
	if err != nil {
		return err
	}
	positions := map[string]int64{}
	var mine *store.KeyJournal
	for i, k := range known {
		if k.Lost {
			open.Forget(k.ID)
			delete(seen, k.ID)
		} else {
			positions[k.ID] = k.Line
		}
		if k.ID == at.ID {
			mine = &known[i]
		}
	}
	if err := own(ctx, open, at, mine); err != nil {
		return err
	}
	for id, line := range seen {
		if positions[id] < line {
			return behindError{fmt.Sprintf("it is at line %d of journal %s and was at line %d", positions[id], id, line)}
		}
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	return fault(open.Observe(ctx, positions, now))
}

// own compares the database with this node's journal.
func own(ctx context.Context, open *journal.Journal, at journal.Position, mine *store.KeyJournal) error {
	switch {
	case mine == nil && at.Confirmed > 0:
		return behindError{"it does not know the journal of node " + at.Node}
	case mine == nil:
		return problem.Wrap(problem.JournalMissing, errors.New("the database does not know this journal"))
	case mine.Lost:
		return problem.Wrap(problem.JournalMissing, errors.New("the journal was given up"))
	case mine.Line < at.Confirmed:
		return behindError{fmt.Sprintf("it is at line %d of the journal of node %s, which has confirmed line %d", mine.Line, at.Node, at.Confirmed)}
	case mine.Line > at.Last:
		var err error
		if at, err = open.Position(ctx); err != nil { // another process has written meanwhile
			return fault(err)
		}
		if mine.Line > at.Last {
			return problem.Wrap(problem.JournalMissing, fmt.Errorf("the journal ends at line %d, the database is at line %d", at.Last, mine.Line))
		}
	}
	if mine.Line > 0 && mine.Line >= at.Confirmed && !open.Matches(mine.Line, mine.Hash) {
		// It may have been confirmed, and followed by another, just now.
		if now, err := open.Position(ctx); err != nil || now.Confirmed <= mine.Line {
			return errors.Join(fault(err), problem.Wrap(problem.JournalMissing, fmt.Errorf("line %d is not the one that the database knows", mine.Line)))
		}
	}
	return nil
}

// Check compares the database with the journal and tells all nodes where it is
// behind. Errors: those of Allow that are about journals.
func (j *KeyJournal) Check(ctx context.Context, db *store.DB) error {
	err := db.View(ctx, func(tx *store.Tx) error { return j.compare(ctx, tx) })
	if !errors.As(err, new(behindError)) {
		return err
	}
	stopped := err
	if err := db.Update(ctx, func(tx *store.Tx) error {
		// Once more, with the newest state: it may have been reconciled.
		if err := j.compare(ctx, tx); !errors.As(err, new(behindError)) {
			stopped = err
			return nil
		}
		return markBehind(ctx, tx, stopped.Error())
	}); err != nil {
		return err
	}
	if errors.As(stopped, new(behindError)) {
		return problem.Wrap(problem.EscrowBehind, stopped)
	}
	return stopped
}

// write puts an entry into the journal within a transaction, which commits
// only after it is on the disk; with the commit it is confirmed.
func (j *KeyJournal) write(ctx context.Context, tx *store.Tx, e journal.Entry) error {
	open, err := j.ready(ctx)
	if err != nil {
		return err
	}
	at, err := open.Position(ctx)
	if err != nil {
		return j.drop(err)
	}
	row, err := tx.LockKeyJournal(ctx, at.ID)
	if errors.Is(err, store.ErrNotFound) {
		return problem.Wrap(problem.JournalMissing, err)
	}
	if err != nil {
		return err
	}
	if err := own(ctx, open, at, &row); err != nil {
		return stopBehind(ctx, tx, err)
	}
	if row.Line, row.Hash, err = open.Append(ctx, e); err != nil {
		return j.drop(err)
	}
	if err := tx.SaveKeyJournal(ctx, row); err != nil {
		return err
	}
	tx.AfterCommit(func() error { return j.drop(open.Confirm(context.WithoutCancel(ctx), row.Line)) })
	return nil
}

// entryKey is a key as the journal keeps it.
func entryKey(k store.Key, value []byte) journal.Key {
	out := journal.Key{ID: k.ID, Kind: k.Kind, Epoch: k.Epoch, Made: k.CreatedAt, Master: k.MasterID}
	if k.MasterID == "" {
		out.Value = value
	}
	return out
}

// Record writes keys that a card is about to hold, before the transaction that
// stores them commits: a cardkey.Recorder. version is the card's KeysVersion
// when it has committed.
func (j *KeyJournal) Record(ctx context.Context, tx *store.Tx, c store.Card, version int64, current cardkey.Plain, next *cardkey.Plain) error {
	e := journal.Entry{Version: version, Current: entryKey(current.Row, current.Value)}
	if next != nil {
		k := entryKey(next.Row, next.Value)
		e.Next = &k
	}
	return j.note(ctx, tx, "", c, e)
}

// note writes an entry about a card.
func (j *KeyJournal) note(ctx context.Context, tx *store.Tx, session string, c store.Card, e journal.Entry) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	e.At, e.Session, e.Card, e.Family, e.Identifier, e.Epoch = now, session, c.ID, c.Family, c.Identifier, c.Epoch
	return j.write(ctx, tx, e)
}

// handsOut writes down what is about to be released. Where the card may hold
// one key or another, that is also which of them it is presented with: a
// database that loses this would have a wrong key presented once more, and a
// try be spent that nobody counts (R3).
func (e *Escrow) handsOut(ctx context.Context, tx *store.Tx, s store.Session, c store.Card, step int, p planned, have pair) error {
	if e.journal == nil {
		return nil
	}
	open, err := e.journal.ready(ctx)
	if err != nil {
		return err
	}
	if p.action != api.ActionUnblock {
		step = 0
	}
	switch {
	case p.next != nil && !open.Holds(p.next.ID):
		return e.record(ctx, tx, s, c, c.KeysVersion+1, step, *p.key, *p.next)
	case have.pending == nil && have.many == nil:
		return nil // there is but one
	}
	return e.journal.note(ctx, tx, s.ID, c, journal.Entry{Version: c.KeysVersion + 1, Step: step, Known: true,
		Current: journal.Key{ID: p.key.ID, Kind: p.key.Kind, Epoch: p.key.Epoch, Made: p.key.CreatedAt}})
}

// record writes a pair that is about to be released. step: see journal.Entry.
func (e *Escrow) record(ctx context.Context, tx *store.Tx, s store.Session, c store.Card, version int64, step int, current, next store.Key) error {
	if e.journal == nil {
		return nil
	}
	open, err := e.journal.ready(ctx)
	if err != nil {
		return err
	}
	if open.Holds(next.ID) {
		return nil // it was handed out before, by this node
	}
	have := cardkey.Plain{Row: current}
	then := cardkey.Plain{Row: next}
	if have.Value, err = cardkey.Open(ctx, tx, e.keys, c, current); err != nil {
		return err
	}
	if then.Value, err = cardkey.Open(ctx, tx, e.keys, c, next); err != nil {
		return err
	}
	k := entryKey(then.Row, then.Value)
	return e.journal.note(ctx, tx, s.ID, c, journal.Entry{Version: version, Step: step, Current: entryKey(have.Row, have.Value), Next: &k})
}

// recordAgain does the same for a step that was released before, perhaps by
// another node, or by this one without ever answering.
func (e *Escrow) recordAgain(ctx context.Context, tx *store.Tx, s store.Session, c store.Card, r store.Release) error {
	if e.journal == nil {
		return nil
	}
	keys, err := tx.AllCardKeys(ctx, c.ID)
	if err != nil {
		return err
	}
	var current, next *store.Key
	for i := range keys {
		switch keys[i].ID {
		case r.KeyID:
			current = &keys[i]
		case r.NextID:
			next = &keys[i]
		}
	}
	if current == nil || next == nil {
		return fmt.Errorf("the keys of step %d of session %s: %w", r.Step, s.ID, store.ErrNotFound)
	}
	step := 0
	if r.Action == string(api.ActionUnblock) {
		step = r.Step
	}
	return e.record(ctx, tx, s, c, c.KeysVersion, step, *current, *next)
}

// fresh makes sure that what the database says of a card's keys is what the
// service has written there last, as far as that is known.
func (e *Escrow) fresh(ctx context.Context, tx *store.Tx, s store.Session, c store.Card) error {
	candidates, err := tx.CardKeys(ctx, c.ID)
	if err != nil {
		return err
	}
	err = cardkey.CheckStand(e.keys, c, candidates)
	if err == nil && e.journal != nil {
		open, ready := e.journal.ready(ctx)
		if ready != nil {
			return ready
		}
		if known := open.CardVersion(c.ID); known > c.KeysVersion {
			err = fmt.Errorf("card %s is at version %d, the key journal knows %d", c.ID, c.KeysVersion, known)
		}
	}
	if err == nil {
		return nil
	}
	if noted := audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.RecordTampered, CardID: c.ID,
		Holder: c.HolderID, Details: map[string]string{"record": "where the card's keys stand"}}); noted != nil {
		return noted
	}
	if told := e.disagrees(ctx, tx, c, Alert{Reason: AlertRecord, Session: s.ID}); told != nil {
		return told
	}
	return Stopped{problem.Wrap(problem.CardBehind, err)}
}

// stands has the journal know the newest version of where a card's keys stand.
// What cannot be written does no harm: an older row would pass.
func (e *Escrow) stands(ctx context.Context, tx *store.Tx, c store.Card) {
	if e.journal == nil {
		return
	}
	tx.AfterCommit(func() error {
		if open, err := e.journal.ready(ctx); err == nil {
			_ = open.Stands(context.WithoutCancel(ctx), c.ID, c.KeysVersion)
		}
		return nil
	})
}

// Position is how far this node's journal has come.
func (j *KeyJournal) Position(ctx context.Context) (journal.Position, error) {
	open, err := j.ready(ctx)
	if err != nil {
		return journal.Position{}, err
	}
	at, err := open.Position(ctx)
	return at, j.drop(err)
}
