package escrow

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"latchkey/internal/audit"
	"latchkey/internal/cardkey"
	"latchkey/internal/escrow/journal"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// ReconcileOptions say how a database is brought in line with a journal.
type ReconcileOptions struct {
	// File is another journal than this node's: of a node that is gone.
	File string
	// Salvage reads a damaged journal as far as that goes.
	Salvage bool
	// WithoutUnknown lets entries of cards be that the database does not know.
	WithoutUnknown bool
	// Told is given what became of each card that was not as it should be, and
	// of lines that cannot be read.
	Told func(text string)
}

// ReconcileResult is what it came to.
type ReconcileResult struct {
	Entries  int      // confirmed entries beyond what the database had
	Void     int      // entries that were never confirmed: nobody has seen their keys
	Keys     int      // keys that were put back
	Cards    int      // cards whose candidates changed
	Several  int      // of those, cards with more than two
	Unknown  int      // cards that the database does not have
	Waiting  []string // nodes whose journals are still to be reconciled
	Released bool     // nothing holds releases back for being behind
}

// history is what a journal tells of a card.
type history struct {
	entries    []journal.Entry // in order; those beyond what the database had
	last       journal.Entry   // of all, without its keys where it is not beyond
	lastNumber int64
	version    int64 // of where the card's keys stand, as far as the journal knows
}

// Reconcile puts the keys that a journal has and the database lacks back as
// candidates. Candidates that the journal proves to be gone from a card become
// history; nothing is deleted. It can be stopped and run again. Errors:
// problem.ReconcileOpen where something is left to do, which was told.
func (j *KeyJournal) Reconcile(ctx context.Context, db *store.DB, keys *seal.Keyring, o ReconcileOptions) (ReconcileResult, error) {
	r := &reconciler{db: db, keys: keys, o: o, cards: map[string]*history{}}
	if r.o.Told == nil {
		r.o.Told = func(string) {}
	}
	path := j.path
	if o.File != "" {
		path = o.File
	}
	open, err := r.read(ctx, path, j.options)
	if err != nil {
		return r.result, err
	}
	if open != nil {
		defer open.Close()
	}
	ids := make([]string, 0, len(r.cards))
	for id := range r.cards {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := r.card(ctx, id, open); err != nil {
			return r.result, fmt.Errorf("card %s: %w", id, err)
		}
	}
	if open == nil { // salvaged: the file is given up with keys journal accept
		return r.result, nil
	}
	if r.result.Unknown > 0 && !o.WithoutUnknown {
		return r.result, problem.New(problem.ReconcileOpen)
	}
	if err := r.finish(ctx, open); err != nil {
		return r.result, err
	}
	if !r.result.Released {
		return r.result, problem.New(problem.ReconcileOpen)
	}
	return r.result, nil
}

type reconciler struct {
	db     *store.DB
	keys   *seal.Keyring
	o      ReconcileOptions
	cards  map[string]*history
	result ReconcileResult
}

// read collects what the journal tells. The journal is nil where it was
// salvaged.
func (r *reconciler) read(ctx context.Context, path string, o journal.Options) (*journal.Journal, error) {
	line := int64(0)
	of := func(card string) *history {
		if r.cards[card] == nil {
			r.cards[card] = &history{last: journal.Entry{Card: card}}
		}
		return r.cards[card]
	}
	take := func(number int64, e journal.Entry) error {
		h := of(e.Card)
		h.version = max(h.version, e.Version)
		if number > line {
			h.entries = append(h.entries, e)
			r.result.Entries++
		}
		if e.Version >= h.last.Version {
			h.last, h.lastNumber = e, number
			if number <= line { // a million of them are in memory
				h.last.Current.Value, h.last.Seen = nil, nil
				h.last.Next = nil
			}
		}
		return nil
	}
	if r.o.Salvage {
		return nil, journal.Salvage(ctx, path, o, take, func(n int, err error) {
			r.o.Told(fmt.Sprintf("line %d of the file cannot be read: %v", n, err))
		})
	}
	open, err := journal.Open(ctx, path, o)
	if err != nil {
		return nil, fault(err)
	}
	err = r.db.View(ctx, func(tx *store.Tx) error {
		known, err := tx.KeyJournal(ctx, open.ID())
		line = known.Line
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err == nil {
		err = open.Each(ctx, journal.Reader{Entry: take,
			Void: func(number int64) {
				if number > line {
					r.result.Void++
				}
			},
			Stands: func(card string, version int64) { of(card).version = max(of(card).version, version) }})
	}
	if err != nil {
		return nil, errors.Join(fault(err), open.Close())
	}
	return open, nil
}

// card brings one card in line.
func (r *reconciler) card(ctx context.Context, id string, open *journal.Journal) error {
	h := r.cards[id]
	needs, err := r.needs(ctx, h)
	if err != nil || !needs {
		return err
	}
	if len(h.entries) == 0 && h.lastNumber > 0 { // where the keys stand is older than the journal knows
		err := open.Each(ctx, journal.Reader{Entry: func(number int64, e journal.Entry) error {
			if number == h.lastNumber {
				h.entries = append(h.entries, e)
			}
			return nil
		}})
		if err != nil {
			return fault(err)
		}
	}
	before := r.result
	return r.db.Update(ctx, func(tx *store.Tx) error {
		r.result = before // a transaction may run again
		c, err := find(ctx, tx, h.last)
		if err != nil {
			return err
		}
		if c, err = tx.LockCard(ctx, c.ID); err != nil {
			return err
		}
		return r.apply(ctx, tx, c, h.entries, h.version)
	})
}

// find looks a card up that an entry is about: by its id, or, where it was
// imported again meanwhile, by its identifier.
func find(ctx context.Context, tx *store.Tx, e journal.Entry) (store.Card, error) {
	c, err := tx.Card(ctx, e.Card)
	if errors.Is(err, store.ErrNotFound) {
		return tx.CardByIdentifier(ctx, e.Family, e.Identifier)
	}
	return c, err
}

// needs says whether there is anything to do for a card.
func (r *reconciler) needs(ctx context.Context, h *history) (yes bool, err error) {
	err = r.db.View(ctx, func(tx *store.Tx) error {
		c, err := find(ctx, tx, h.last)
		if errors.Is(err, store.ErrNotFound) {
			if len(h.entries) > 0 {
				r.result.Unknown++
				r.o.Told(fmt.Sprintf("card %s %s is not in the database: import it, then run this again", h.last.Family, h.last.Identifier))
			}
			return nil
		}
		if err != nil {
			return err
		}
		candidates, err := tx.CardKeys(ctx, c.ID)
		if err != nil {
			return err
		}
		if yes = h.version > c.KeysVersion || cardkey.CheckStand(r.keys, c, candidates) != nil; yes {
			return nil
		}
		for _, e := range h.entries {
			for _, k := range both(e) {
				have, err := tx.HasKeyID(ctx, k.ID)
				if err != nil {
					return err
				}
				yes = yes || !have
			}
		}
		return nil
	})
	return yes, err
}

// both gives the keys of an entry.
func both(e journal.Entry) []journal.Key {
	if e.Next == nil {
		return []journal.Key{e.Current}
	}
	return []journal.Key{e.Current, *e.Next}
}

// apply puts the keys of entries, and the newest of them as candidates, into
// the database.
func (r *reconciler) apply(ctx context.Context, tx *store.Tx, c store.Card, entries []journal.Entry, version int64) error {
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	have, err := tx.AllCardKeys(ctx, c.ID)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, k := range have {
		known[k.ID] = true
	}
	for _, e := range entries {
		for _, k := range both(e) {
			if known[k.ID] {
				continue
			}
			known[k.ID] = true
			row := store.Key{ID: k.ID, CardID: c.ID, Kind: k.Kind, State: store.KeyRetired, CreatedBy: "reconcile", CreatedAt: k.Made,
				RetiredAt: now, Epoch: k.Epoch, MasterID: k.Master, Restored: true}
			if k.Master != "" {
				err = tx.InsertKey(ctx, row)
			} else {
				err = cardkey.Add(ctx, tx, r.keys, &row, k.Value)
			}
			if err != nil {
				return err
			}
			have = append(have, row)
			r.result.Keys++
		}
	}
	s := stand(c, have, entries)
	if err := s.write(ctx, tx, &c, have); err != nil {
		return err
	}
	c.KeysVersion = max(c.KeysVersion, version)
	if err := cardkey.Save(ctx, tx, r.keys, &c); err != nil {
		return err
	}
	r.result.Cards++
	if len(s.spare) > 0 {
		r.result.Several++
		r.o.Told(fmt.Sprintf("card %s %s has %d candidates: it may need the Registration Authority", c.Family, c.Identifier, len(s.spare)+1+len(s.pending)))
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.KeyRestored, CardID: c.ID, Holder: c.HolderID,
		Details: map[string]string{"epoch": fmt.Sprint(c.Epoch), "current": s.current, "pending": fmt.Sprint(s.pending), "spare": fmt.Sprint(s.spare)}})
}

// standing is where a card's keys are to stand.
type standing struct {
	current        string
	pending, spare []string // at most one pending
	epoch          int64
	asItWas        bool // only history was added
	triesKept      bool
}

// stand decides which keys a card may hold. An entry says: when it was written
// the card held its current key or, from then on, the next one; keys before it
// had been proven to be gone. That holds for the newest entry unless the
// database, after it was restored, has gone on from an older state (a fork):
// then the keys of both ways stay candidates.
func stand(c store.Card, have []store.Key, entries []journal.Entry) standing {
	row := map[string]store.Key{}
	var current, pending *store.Key
	var spare []string
	for i, k := range have {
		row[k.ID] = k
		switch k.State {
		case store.KeyCurrent:
			current = &have[i]
		case store.KeyPending:
			pending = &have[i]
		case store.KeySpare:
			spare = append(spare, k.ID)
		}
	}
	if len(entries) == 0 {
		return unclear(c, have, current, pending, spare)
	}
	newest, possible := walk(entries)
	switch {
	case current != nil && current.CreatedAt.After(newest.At) && current.CreatedBy != "import":
		// Since the entry the card was proven to hold, or was given by the
		// Registration Authority, a key that did not exist then.
		s := standing{current: current.ID, spare: spare, epoch: c.Epoch, asItWas: true}
		if pending != nil {
			s.pending = []string{pending.ID}
		}
		return s
	case newest.Version > c.KeysVersion || current == nil:
		s := standing{current: newest.Current.ID, epoch: max(c.Epoch, newest.Epoch) + 1, triesKept: newest.Epoch <= c.Epoch}
		if newest.Next != nil {
			s.pending = []string{newest.Next.ID}
		}
		// What the database has made since is a fork.
		for _, k := range have {
			if k.State != store.KeyRetired && k.CreatedAt.After(newest.At) {
				possible = append(possible, k.ID)
			}
		}
		s.spare = s.others(possible)
		return s
	}
	// The database is ahead, and yet lacks keys: a fork.
	s := standing{current: current.ID, epoch: c.Epoch + 1, triesKept: true}
	if pending != nil {
		s.pending = []string{pending.ID}
	}
	s.spare = s.others(append(possible, spare...))
	return s
}

// unclear is for a card whose keys stand at an older version than a journal
// knows that has no entry of it: every key that came after the current one may
// be on it.
func unclear(c store.Card, have []store.Key, current, pending *store.Key, spare []string) standing {
	s := standing{epoch: c.Epoch + 1, triesKept: true}
	if current != nil {
		s.current = current.ID
	}
	if pending != nil {
		s.pending = []string{pending.ID}
	}
	for _, k := range have {
		if current == nil || k.CreatedAt.After(current.CreatedAt) {
			spare = append(spare, k.ID)
		}
	}
	s.spare = s.others(spare)
	if s.current == "" && len(s.spare) > 0 {
		s.current, s.spare = s.spare[0], s.spare[1:]
	}
	return s
}

// others gives ids that are neither current nor pending, each once.
func (s standing) others(ids []string) []string {
	var out []string
	for _, id := range ids {
		if id != s.current && !slices.Contains(s.pending, id) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// walk follows entries in their order and gives the newest, and all keys that
// the card may hold by them. An entry whose version does not grow belongs to
// another way from an older state.
func walk(entries []journal.Entry) (newest journal.Entry, possible []string) {
	for i, e := range entries {
		forks := i > 0 && e.Version < newest.Version
		if !forks {
			newest, possible = e, nil
		}
		for _, k := range both(e) {
			possible = append(possible, k.ID)
		}
	}
	return newest, possible
}

// write brings the states of the keys and the card's record there.
func (s standing) write(ctx context.Context, tx *store.Tx, c *store.Card, have []store.Key) error {
	if s.asItWas {
		return nil
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	for _, k := range have { // all first: there can be only one of some
		if k.State != store.KeyRetired {
			if err := tx.SetKeyState(ctx, k.ID, store.KeyRetired, now); err != nil {
				return err
			}
		}
	}
	for state, ids := range map[store.KeyState][]string{store.KeyCurrent: {s.current}, store.KeyPending: s.pending, store.KeySpare: s.spare} {
		for _, id := range ids {
			if err := tx.SetKeyState(ctx, id, state, now); err != nil {
				return err
			}
			if err := tx.MarkRestored(ctx, id); err != nil {
				return err
			}
		}
	}
	c.Epoch, c.OpenAttempt = s.epoch, ""
	// After a release that nobody has told the end of, the next key is the
	// likelier one.
	c.PendingFirst = len(s.pending) > 0
	if !s.triesKept {
		c.TriesOut, c.TriesLeft = 0, store.TriesUnknown
	}
	return nil
}

// finish writes down that the database has all of a journal, and lets releases
// go on where it has all of every journal.
func (r *reconciler) finish(ctx context.Context, open *journal.Journal) error {
	at, err := open.Position(ctx)
	if err != nil {
		return fault(err)
	}
	var hash []byte
	if at.Confirmed > 0 {
		if hash, err = open.HashOf(ctx, at.Confirmed); err != nil {
			return fault(err)
		}
	}
	seen := open.Seen()
	return r.db.Update(ctx, func(tx *store.Tx) error {
		c, err := tx.LockReleaseControl(ctx)
		if err != nil {
			return err
		}
		if err := r.position(ctx, tx, at, hash, c.Generation); err != nil {
			return err
		}
		known, err := tx.KeyJournals(ctx)
		if err != nil {
			return err
		}
		r.result.Waiting = waiting(known, seen, c)
		r.result.Released = len(r.result.Waiting) == 0
		if err := audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.KeysReconciled, Details: map[string]string{
			"journal": at.ID, "node": at.Node, "entries": fmt.Sprint(r.result.Entries), "keys": fmt.Sprint(r.result.Keys),
			"cards": fmt.Sprint(r.result.Cards), "several": fmt.Sprint(r.result.Several), "unknown": fmt.Sprint(r.result.Unknown)}}); err != nil {
			return err
		}
		if c.State != store.ReleasesBehind || !r.result.Released {
			return nil
		}
		return operator(ctx, tx, c, store.ReleasesRunning, "the keys of the journals are back")
	})
}

// position brings what the database knows of a journal up to date.
func (r *reconciler) position(ctx context.Context, tx *store.Tx, at journal.Position, hash []byte, generation int64) error {
	row, err := tx.LockKeyJournal(ctx, at.ID)
	if errors.Is(err, store.ErrNotFound) {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		return tx.InsertKeyJournal(ctx, store.KeyJournal{ID: at.ID, Node: at.Node, Line: at.Confirmed, Hash: notNil(hash), Checked: generation, CreatedAt: now})
	}
	if err != nil {
		return err
	}
	if at.Confirmed > row.Line {
		row.Line, row.Hash = at.Confirmed, hash
	}
	row.Checked = generation
	return tx.SaveKeyJournal(ctx, row)
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// waiting gives the nodes whose journals are still to be reconciled.
func waiting(known []store.KeyJournal, seen map[string]int64, c store.ReleaseControl) []string {
	var out []string
	there := map[string]bool{}
	for _, k := range known {
		there[k.ID] = true
		if !k.Lost && (c.State == store.ReleasesBehind && k.Checked < c.Generation || k.Line < seen[k.ID]) {
			out = append(out, k.Node)
		}
	}
	for id := range seen {
		if !there[id] {
			out = append(out, "with journal "+id)
		}
	}
	slices.Sort(out)
	return out
}

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
