package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// concurrent is what every database must do for many at once, also from two
// processes (two DBs on one url).
func concurrent(t *testing.T, b backend) {
	for name, test := range map[string]func(*testing.T, *DB, *DB){
		"one session":    testOneSession,
		"one identifier": testOneIdentifier,
		"one bucket":     testOneBucket,
		"audit chains":   testAuditChains,
		"opposite order": testOppositeOrder,
	} {
		t.Run(name, func(t *testing.T) {
			url := b.fresh(t)
			test(t, b.open(t, url, Options{Node: "a"}), b.open(t, url, Options{Node: "b"}))
		})
	}
	t.Run("opening", func(t *testing.T) {
		url := b.fresh(t)
		together(t, 6, func(i int) error {
			db, err := Open(t.Context(), url, Options{Node: fmt.Sprint(i)})
			if err != nil {
				return err
			}
			return db.Close()
		})
	})
}

// together runs fn n times at once; each must succeed.
func together(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := fn(i); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

const (
	writers = 8
	rounds  = 20
)

func testOneSession(t *testing.T, a, b *DB) {
	ctx := t.Context()
	s := aSession("card")
	update(t, a, func(tx *Tx) { must(t, tx.InsertSession(ctx, s)) })
	together(t, writers, func(i int) error {
		for range rounds {
			err := []*DB{a, b}[i%2].Update(ctx, func(tx *Tx) error {
				s, err := tx.LockSession(ctx, s.ID)
				if err != nil {
					return err
				}
				s.WrongCodes++
				return tx.SaveSession(ctx, s)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	view(t, b, func(tx *Tx) {
		got, err := tx.SessionByID(ctx, s.ID)
		if must(t, err); got.WrongCodes != writers*rounds {
			t.Errorf("%d of %d changes are there", got.WrongCodes, writers*rounds)
		}
	})
}

func testOneIdentifier(t *testing.T, a, b *DB) {
	ctx := t.Context()
	c := aCard(t, a)
	var first, exists atomic.Int32
	together(t, writers, func(i int) error {
		err := []*DB{a, b}[i%2].Update(ctx, func(tx *Tx) error {
			return tx.InsertCard(ctx, Card{ID: NewID(), Family: "piv", Identifier: "same", HolderID: c.HolderID, State: CardActive})
		})
		switch {
		case err == nil:
			first.Add(1)
		case errors.Is(err, ErrExists):
			exists.Add(1)
		default:
			return err
		}
		return nil
	})
	if first.Load() != 1 || exists.Load() != writers-1 {
		t.Errorf("%d inserted, %d refused", first.Load(), exists.Load())
	}
}

func testOneBucket(t *testing.T, a, b *DB) {
	ctx := t.Context()
	var seen sync.Map
	together(t, writers, func(i int) error {
		for range rounds {
			var n int
			err := []*DB{a, b}[i%2].Update(ctx, func(tx *Tx) (err error) {
				n, _, err = tx.BumpLimit(ctx, "bucket", 1<<40, 1)
				return err
			})
			if err != nil {
				return err
			}
			if _, twice := seen.LoadOrStore(n, true); twice {
				return fmt.Errorf("the count %d came twice", n)
			}
		}
		return nil
	})
}

func testAuditChains(t *testing.T, a, b *DB) {
	ctx := t.Context()
	together(t, writers, func(i int) error {
		for range rounds {
			err := []*DB{a, b}[i%2].Update(ctx, func(tx *Tx) error {
				for range 2 {
					if _, err := tx.AppendAudit(ctx, AuditEvent{Action: "x", Session: fmt.Sprint(i)}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	view(t, a, func(tx *Tx) {
		heads, err := tx.AuditHeads(ctx)
		must(t, err)
		for _, head := range heads {
			seq, prev := int64(0), make([]byte, 32)
			must(t, tx.EachAudit(ctx, head.Node, 0, func(e AuditEvent) error {
				if seq++; e.Seq != seq || !bytes.Equal(e.Prev, prev) || !bytes.Equal(e.Hash, e.ChainHash()) {
					t.Fatalf("entry %s/%d does not fit", e.Node, seq)
				}
				prev = e.Hash
				return nil
			}))
			if seq != writers*rounds || head.Seq != seq || !bytes.Equal(head.Hash, prev) {
				t.Errorf("%d entries, head %+v", seq, head)
			}
		}
		if len(heads) != 2 {
			t.Errorf("heads %v", heads)
		}
	})
}

// testOppositeOrder makes two transactions want each other's row. PostgreSQL
// ends one of them, which must then run again; SQLite takes them in turn.
func testOppositeOrder(t *testing.T, a, b *DB) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cards := [2]Card{aCard(t, a), aCard(t, a)}
	var both sync.WaitGroup
	both.Add(2)
	together(t, 2, func(i int) error {
		tries := 0
		return []*DB{a, b}[i].Update(ctx, func(tx *Tx) error {
			tries++
			if _, err := tx.LockCard(ctx, cards[i].ID); err != nil {
				return err
			}
			if tries == 1 {
				both.Done()
				if a.Dialect() == PostgreSQL {
					both.Wait() // now each holds one row
				}
			}
			_, err := tx.LockCard(ctx, cards[1-i].ID)
			return err
		})
	})
}
