package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"latchkey/internal/daemon"
	"latchkey/internal/escrow"
	"latchkey/internal/problem"
)

type keysReconcile struct {
	File           string `help:"Another journal than this node's: that of a node which is gone."`
	Salvage        bool   `help:"Read a damaged journal as far as that goes."`
	WithoutUnknown bool   `help:"Let entries be whose cards are not in the database."`
}

func (c keysReconcile) Run(ctx context.Context, s shared) error {
	return s.journal(ctx, func(b *daemon.Base) error {
		r, err := b.Journal.Reconcile(ctx, b.DB, b.Keys, escrow.ReconcileOptions{File: c.File, Salvage: c.Salvage,
			WithoutUnknown: c.WithoutUnknown, Told: func(text string) { fmt.Fprintln(s.err, text) }})
		fmt.Fprintf(s.out, "%d entries beyond the database, %d keys put back, %d cards brought in line, %d of them with more than two keys, %d cards not known.\n",
			r.Entries, r.Keys, r.Cards, r.Several, r.Unknown)
		for _, node := range r.Waiting {
			fmt.Fprintf(s.err, "the journal of node %s is still to be reconciled: run latchkeyd keys reconcile there, or keys journal lose %s where it is gone\n", node, node)
		}
		if err != nil {
			return err
		}
		if c.Salvage {
			_, err = fmt.Fprintln(s.out, "What could be read is back. Now run latchkeyd keys journal accept, which puts the damaged file aside.")
			return err
		}
		_, err = fmt.Fprintln(s.out, "The database has all that the key journals have.")
		return err
	})
}

// journal runs fn where this node has a key journal.
func (s shared) journal(ctx context.Context, fn func(*daemon.Base) error) error {
	return s.with(ctx, "-keys", func(b *daemon.Base) error {
		if b.Journal == nil {
			p := problem.New(problem.ConfigInvalid)
			p.Detail = "This node has no key journal: the setting key_journal is off."
			return p
		}
		return fn(b)
	})
}

type keysJournal struct {
	Accept journalAccept `cmd:"" help:"Make a fresh key journal for this node, which is new or has lost its own. The old file is moved aside."`
	Lose   journalLose   `cmd:"" help:"Give up the key journals of a node that is gone. Reconcile its file first where there is one."`
}

type journalAccept struct{}

func (journalAccept) Run(ctx context.Context, s shared) error {
	return s.journal(ctx, func(b *daemon.Base) error {
		if err := b.Journal.Accept(ctx, b.DB, aside); err != nil {
			return err
		}
		_, err := fmt.Fprintln(s.out, "This node has a fresh key journal.")
		return err
	})
}

// aside moves a file out of the way, keeping it.
func aside(path string) error {
	err := os.Rename(path, path+"."+time.Now().UTC().Format("20060102T150405.000000000"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

type journalLose struct {
	Node string `arg:"" help:"Name of the node."`
}

func (c journalLose) Run(ctx context.Context, s shared) error {
	return s.with(ctx, "-keys", func(b *daemon.Base) error {
		if err := escrow.LoseJournals(ctx, b.DB, c.Node); err != nil {
			return err
		}
		_, err := fmt.Fprintf(s.out, "Nobody waits for the key journals of node %s any more.\n", c.Node)
		return err
	})
}
