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
	entries    []journal.Entry // in order; those beyond what the database had that bring keys
	last       journal.Entry   // of all, without its keys where it is not beyond
	lastNumber int64
	tried      tried
	version    int64 // of where the card's keys stand, as far as the journal knows
}

// tried is the newest release of a card.
type tried struct {
	key     string
	step    int // see journal.Entry
	version int64
}

// Reconcile puts the keys that a journal has and the database lacks back as
// candidates. Candidates that the journal proves to be gone from a card become
// history; nothing is deleted. It can be stopped and run again. Errors:
// problem.ReconcileOpen where something is left to do, which was told.
func (j *KeyJournal) Reconcile(ctx context.Context, db *store.DB, keys *seal.Keyring, o ReconcileOptions) (ReconcileResult, error) {
	r := &reconciler{db: db, keys: keys, o: o, cards: map[string]*history{}, seen: map[string]bool{}}
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
	seen   map[string]bool // keys of confirmed entries
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
			r.result.Entries++
		}
		if e.Session != "" && e.Version >= h.tried.version {
			h.tried = tried{e.Current.ID, e.Step, e.Version}
		}
		if e.Known {
			h.last.Family, h.last.Identifier = e.Family, e.Identifier
			return nil
		}
		for _, k := range both(e) {
			r.seen[k.ID] = true
		}
		if number > line {
			h.entries = append(h.entries, e)
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
		return r.apply(ctx, tx, c, h)
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

// apply puts the keys of a card's entries, and the newest of them as
// candidates, into the database.
func (r *reconciler) apply(ctx context.Context, tx *store.Tx, c store.Card, h *history) error {
	entries := h.entries
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	candidates, err := tx.CardKeys(ctx, c.ID)
	if err != nil {
		return err
	}
	sound := cardkey.CheckStand(r.keys, c, candidates) == nil
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
	if err := r.dropTwins(ctx, tx, have, entries); err != nil {
		return err
	}
	s := stand(c, have, entries, r.seen)
	s.pendingFirst = pendingFirst(s, h.tried)
	if sound && h.tried.version <= c.KeysVersion && s.same(candidates) {
		s.asItWas = true // what became of the newest release the database knows better
	}
	if err := s.write(ctx, tx, &c, have); err != nil {
		return err
	}
	c.KeysVersion = max(c.KeysVersion, h.version)
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

// dropTwins makes history of keys that were imported again after the restore
// and that the journal has too, under another id.
func (r *reconciler) dropTwins(ctx context.Context, tx *store.Tx, have []store.Key, entries []journal.Entry) error {
	ours := map[string]bool{}
	twins := map[string]bool{}
	twin := func(kind, master string, value []byte) string { return kind + "\x00" + master + "\x00" + string(value) }
	for _, e := range entries {
		for _, k := range both(e) {
			ours[k.ID], twins[twin(k.Kind, k.Master, k.Value)] = true, true
		}
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	for i, k := range have {
		if ours[k.ID] || k.State == store.KeyRetired || k.CreatedBy != "import" {
			continue
		}
		var value []byte
		if k.MasterID == "" {
			if value, err = cardkey.OpenStored(r.keys, k); err != nil {
				continue // it stays a candidate
			}
		}
		if !twins[twin(k.Kind, k.MasterID, value)] {
			continue
		}
		if err := tx.SetKeyState(ctx, k.ID, store.KeyRetired, now); err != nil {
			return err
		}
		have[i].State = store.KeyRetired
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
		return tx.InsertKeyJournal(ctx, store.KeyJournal{ID: at.ID, Node: at.Node, Line: at.Confirmed, Hash: hash, Checked: generation, CreatedAt: now})
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
