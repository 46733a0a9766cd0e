package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"latchkey/internal/daemon"
	"latchkey/internal/escrow/upkeep"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

type keysCommand struct {
	Status    keysStatus    `cmd:"" help:"Show which keys there are, what seals them, and the key journals."`
	Verify    keysVerify    `cmd:"" help:"Make sure that every sealed key opens."`
	RotateKEK keysRotateKEK `cmd:"" name:"rotate-kek" help:"Make a newer version of the key-encryption key. Run rewrap afterwards."`
	Rewrap    keysRewrap    `cmd:"" help:"Seal everything with a data key of the newest key-encryption key. The service may run; can be stopped and run again."`
	Reconcile keysReconcile `cmd:"" help:"Put back the unlocking keys that this node's key journal has and the database lacks."`
	Journal   keysJournal   `cmd:"" help:"Commands for key journals that are new or lost."`
	Master    keysMaster    `cmd:"" help:"Master keys, from which the keys of cards are derived."`
	Import    keysImport    `cmd:"" help:"Import unlocking keys from a CSV file: family, identifier, kind, and key or master. It may be encrypted."`
	ImportKey keysImportKey `cmd:"" name:"import-key" help:"Print the public key that files of keys are encrypted to."`
	Encrypt   keysEncrypt   `cmd:"" help:"Encrypt a file of keys so that this service alone can read it. Needs no database."`
}

// with runs fn with the database and what belongs to it.
func (s shared) with(ctx context.Context, suffix string, fn func(*daemon.Base) error) (err error) {
	base, err := s.open(ctx, suffix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	return fn(base)
}

// every gives a progress function that says a line a second at most.
func (s shared) every(what string) func(int64) {
	last := time.Now()
	return func(n int64) {
		if now := time.Now(); now.Sub(last) > time.Second {
			last = now
			fmt.Fprintf(s.err, "%d %s\n", n, what)
		}
	}
}

// shownBadKeys bounds the keys that are listed.
const shownBadKeys = 100

// badKeys lists keys that do not open.
func (s shared) badKeys() func(store.Key, error) {
	n := 0
	return func(k store.Key, err error) {
		switch n++; {
		case n <= shownBadKeys:
			fmt.Fprintf(s.err, "key %s of card %s (%s, %s): %v\n", k.ID, k.CardID, k.Kind, k.State, err)
		case n == shownBadKeys+1:
			fmt.Fprintln(s.err, "and more")
		}
	}
}

type keysVerify struct{}

func (keysVerify) Run(ctx context.Context, s shared) error {
	return s.with(ctx, "", func(b *daemon.Base) error {
		done, _, err := upkeep.Verify(ctx, b.DB, b.Keys, s.badKeys(), s.every("keys"))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "Every key opens: %d.\n", done)
		return err
	})
}

type keysRotateKEK struct{}

func (keysRotateKEK) Run(ctx context.Context, s shared) error {
	return s.with(ctx, "", func(b *daemon.Base) error {
		version, err := upkeep.RotateKEK(ctx, b.DB, b.Providers)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("The key-encryption key has a newer version: %s.\n", version)
		if b.Providers[0].Name() == seal.FileName {
			text += "Copy the key file to every node, and a copy to a safe place. "
		}
		_, err = fmt.Fprintln(s.out, text+"Then run latchkeyd keys rewrap.")
		return err
	})
}

type keysRewrap struct {
	Forget      bool `help:"Delete the old data keys at the end. Sessions under way end, and counts begin again."`
	Compromised bool `help:"The old key-encryption key may be known to others: replace the data key whatever there is, and delete the old ones. Releases must be stopped."`
}

func (c keysRewrap) Run(ctx context.Context, s shared) error {
	return s.with(ctx, "-rewrap", func(b *daemon.Base) error {
		r, err := upkeep.Rewrap(ctx, b.DB, b.Keys, b.Providers, upkeep.RewrapOptions{Compromised: c.Compromised, Forget: c.Forget,
			Also: []upkeep.Resealer{b.Directory.Resign, b.Directory.ResealPhotos}, Progress: s.every("sealed again"), Bad: s.badKeys()})
		if r.DataKey.ID != "" {
			fresh := ""
			if r.Fresh {
				fresh = ", made now"
			}
			fmt.Fprintf(s.out, "Data key %d (%s %s%s): %d keys and %d other records sealed again, %d old data keys deleted.\n",
				r.DataKey.Number, r.DataKey.Provider, r.DataKey.Version, fresh, r.Keys, r.Others, r.Forgotten)
		}
		return err
	})
}

type keysStatus struct{}

func (keysStatus) Run(ctx context.Context, s shared) error {
	return s.with(ctx, "", func(b *daemon.Base) error {
		status, err := upkeep.Look(ctx, b.DB, b.Providers)
		if err != nil {
			return err
		}
		out := &printer{w: s.out}
		for i, p := range b.Providers {
			use := "opens old data keys"
			if i == 0 {
				use = "in use"
			}
			newest := status.Newest[p.Name()]
			if newest == "" {
				newest = "does not answer"
			}
			out.f("Key-encryption key: %s, newest version %s, %s\n", p.Name(), newest, use)
		}
		for _, k := range status.DataKeys {
			out.f("Data key %d: %s, wrapped by %s %s, made %s\n", k.Number, k.ID, k.Provider, k.Version, k.CreatedAt.Format(time.DateOnly))
		}
		for _, m := range status.Masters {
			out.f("Master key %d: %s, label %q, sealed with data key %s\n", m.Number, m.Method, m.Label, m.SealedBy)
		}
		for _, c := range status.Counts {
			by := "data key " + c.SealedBy
			switch {
			case c.MasterID != "":
				by = "derived"
			case c.SealedBy == "":
				by = "the first data key"
			}
			out.f("Keys: %d %s, %s, %s\n", c.Count, c.Kind, c.State, by)
		}
		for _, j := range status.Journals {
			lost := ""
			if j.Lost {
				lost = ", given up"
			}
			out.f("Key journal of node %s: the database is at line %d%s\n", j.Node, j.Line, lost)
		}
		if err := out.ends(); err != nil {
			return err
		}
		if err := showControl(s.out, status.Control); err != nil {
			return err
		}
		return showJournal(ctx, s.out, b)
	})
}

// showJournal says how far this node's own journal is.
func showJournal(ctx context.Context, w io.Writer, b *daemon.Base) error {
	out := &printer{w: w}
	if b.Journal == nil {
		out.f("This node has no key journal (key_journal = off).\n")
		return out.ends()
	}
	var known []store.KeyJournal
	if err := b.DB.View(ctx, func(tx *store.Tx) (err error) {
		known, err = tx.KeyJournals(ctx)
		return err
	}); err != nil {
		return err
	}
	at, err := b.Journal.Position(ctx)
	switch code := problem.CodeOf(err); {
	case code == problem.JournalMissing && len(known) == 0:
		out.f("This node's key journal is not there yet: it is made when the service starts, or with the first key.\n")
	case code == problem.JournalMissing || code == problem.JournalDamaged:
		out.f("This node's key journal: %s (%s)\n", problem.From(err).Title, code)
	case err != nil:
		return err
	default:
		out.f("This node's key journal: %d entries, confirmed to line %d of %d, %d bytes\n", at.Entries, at.Confirmed, at.Last, at.Size)
	}
	return out.ends()
}

// printer writes until something goes wrong.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) ends() error { return p.err }
