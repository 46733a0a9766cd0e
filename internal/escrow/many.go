package escrow

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"latchkey/internal/api"
	"latchkey/internal/audit"
	"latchkey/internal/store"
)

// After a database was restored and had gone on before anybody noticed, the
// journals may tell of more than two keys that a card can hold. All of them
// stay candidates: the current and the pending key, and spare ones. Such a card
// is only unblocked, with one key after the other, the likeliest first, and no
// more than two in a row where nobody knows its tries (R3). Once it has signed
// which key it holds, the others are history and all is as usual.

// evidence is what the releases of this epoch tell of a key.
type evidence struct {
	refused   bool // the card has signed that it refuses it
	notTaken  bool // the card was to take it after a key that it refuses
	claimed   int  // reports without proof: more that it works than that it does not
	untold    int  // releases of it that nobody has told the end of
	lastClaim int  // how late the last claim that it works came
}

// sort puts many candidates in the order in which they are to be tried. A key
// that the card has signed that it refuses is left out unless that leaves
// none.
func (p *pair) sort(ctx context.Context, tx *store.Tx, c store.Card) error {
	if p.many == nil {
		return nil
	}
	done, err := tx.CardReleases(ctx, c.ID, c.Epoch)
	if err != nil {
		return err
	}
	p.many = order(p.many, p.current.ID, tell(done))
	return nil
}

// tell reads the releases of an epoch, the oldest first.
func tell(done []store.Release) map[string]*evidence {
	all := map[string]*evidence{}
	of := func(id string) *evidence {
		if all[id] == nil {
			all[id] = &evidence{}
		}
		return all[id]
	}
	for i, r := range done {
		key := of(r.KeyID)
		switch api.Outcome(r.Outcome) {
		case api.OutcomeRefused:
			if r.Proven {
				key.refused = true
			} else {
				key.claimed--
			}
			if r.NextID != "" {
				of(r.NextID).notTaken = true
			}
		case api.OutcomeUnlocked:
			if id := held(r); id != unknown {
				of(id).claimed++
				of(id).lastClaim = i + 1
			}
		default:
			key.untold++
			if r.NextID != "" {
				of(r.NextID).untold++
			}
		}
	}
	return all
}

// order sorts keys by what is known of them: those that were said to work, the
// last first; then those that nobody has tried in vain, the newest first, and
// the current one, which all others came after, behind them; then those that
// were tried without an end; at last those that were said to be refused.
func order(keys []*store.Key, current string, known map[string]*evidence) []*store.Key {
	of := func(k *store.Key) evidence {
		if e := known[k.ID]; e != nil {
			return *e
		}
		return evidence{}
	}
	out := slices.Clone(keys)
	slices.SortStableFunc(out, func(a, b *store.Key) int {
		x, y := of(a), of(b)
		return cmp.Or(
			cmp.Compare(grade(x), grade(y)),
			cmp.Compare(y.lastClaim, x.lastClaim),
			cmp.Compare(x.untold, y.untold),
			cmp.Compare(truth(a.ID == current), truth(b.ID == current)),
			b.CreatedAt.Compare(a.CreatedAt),
			cmp.Compare(a.ID, b.ID))
	})
	possible := slices.DeleteFunc(slices.Clone(out), func(k *store.Key) bool { return of(k).refused })
	if len(possible) == 0 {
		return out
	}
	return possible
}

func grade(e evidence) int {
	switch {
	case e.claimed > 0:
		return 0
	case e.claimed < 0, e.notTaken:
		return 2
	}
	return 1
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// blindTries is how many keys in a row a session may try on a card with many
// candidates whose count of tries nobody has told: cards have three.
const blindTries = 2

// cautious says whether one more try could be the last of a card with many
// candidates.
func cautious(have pair, done []store.Release, left *int) bool {
	if have.many == nil || left != nil {
		return false
	}
	n := 0
	for _, r := range done {
		if r.Action == string(api.ActionUnblock) && r.Outcome != string(api.OutcomeUnlocked) {
			n++
		}
	}
	return n >= blindTries
}

// settle makes the key that the card has signed to hold the current one, and
// all others history.
func (e *Escrow) settle(ctx context.Context, tx *store.Tx, s store.Session, c *store.Card, have pair, holds string) error {
	if !slices.ContainsFunc(have.many, func(k *store.Key) bool { return k.ID == holds }) {
		return nil // an old report: it holds none of these any more
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	for _, k := range have.many {
		if k.ID != holds {
			if err := tx.SetKeyState(ctx, k.ID, store.KeyRetired, now); err != nil {
				return err
			}
		}
	}
	if err := tx.SetKeyState(ctx, holds, store.KeyCurrent, now); err != nil {
		return err
	}
	c.Epoch++
	c.PendingFirst = false
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: audit.KeyRotated, Session: s.ID,
		CardID: c.ID, Holder: c.HolderID, Details: map[string]string{"epoch": fmt.Sprint(c.Epoch), "current": holds,
			"retired": fmt.Sprintf("%d candidates", len(have.many)-1)}})
}
