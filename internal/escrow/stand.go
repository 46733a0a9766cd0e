package escrow

import (
	"context"
	"slices"

	"latchkey/internal/escrow/journal"
	"latchkey/internal/store"
)

// standing is where a card's keys are to stand.
type standing struct {
	current        string
	pending, spare []string // at most one pending
	pendingFirst   bool
	epoch          int64
	asItWas        bool // only history was added
	triesKept      bool
}

// stand decides which keys a card may hold. An entry says: when it was written
// the card held its current key or, from then on, the next one; keys before it
// had been proven to be gone. That holds for the newest entry unless the
// database, after it was restored, has gone on from an older state (a fork):
// then the keys of both ways stay candidates. What came after what is told by
// numbers where there are some: a clock may have been set back. seen are the keys
// of all entries.
func stand(c store.Card, have []store.Key, entries []journal.Entry, seen map[string]bool) standing {
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
	case current != nil && newest.Version <= c.KeysVersion && !seen[current.ID] && current.CreatedAt.After(newest.At) && current.CreatedBy != "import":
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
			if k.State != store.KeyRetired && !seen[k.ID] && k.CreatedAt.After(newest.At) {
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

// pendingFirst says whether the pending key is tried first, after releases of
// which nobody knows the end any more; as reorder does where the database still
// knows of them. After one key the other is tried. But an attempt's second key,
// presented because the first was refused, is the likelier one; and after a
// change of the key the next.
func pendingFirst(s standing, last tried) bool {
	if len(s.pending) == 0 {
		return false
	}
	wasPending := last.key == s.pending[0]
	switch last.step {
	case 0:
		return true
	case 1:
		return !wasPending
	}
	return wasPending
}

// same says whether the candidates are what they were.
func (s standing) same(candidates []store.Key) bool {
	for _, k := range candidates {
		if !(k.State == store.KeyCurrent && k.ID == s.current || k.State == store.KeyPending && slices.Contains(s.pending, k.ID) ||
			k.State == store.KeySpare && slices.Contains(s.spare, k.ID)) {
			return false
		}
	}
	return len(candidates) == 1+len(s.pending)+len(s.spare)
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
	c.PendingFirst = s.pendingFirst
	if !s.triesKept {
		c.TriesOut, c.TriesLeft = 0, store.TriesUnknown
	}
	return nil
}
