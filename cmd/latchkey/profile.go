package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"latchkey/internal/card"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/plain"
	"latchkey/internal/problem"
)

type profileCommand struct {
	List  profileListCommand  `cmd:"" help:"Name the profiles that come with the program."`
	Show  profileShowCommand  `cmd:"" help:"Print a profile: the beginning of your own."`
	Check profileCheckCommand `cmd:"" help:"Check a profile without a card."`
	Test  profileTestCommand  `cmd:"" help:"Compare a profile with the card in a reader. Spends no try."`
}

type profileListCommand struct{}

func (profileListCommand) Run(w *workstation) error {
	for _, name := range iso7816.Names() {
		list, err := iso7816.Load(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w.out, "%-16s %s\n", name, list[0].Title)
	}
	return nil
}

type profileShowCommand struct {
	Profile string `arg:"" help:"Name or file."`
}

func (c profileShowCommand) Run(w *workstation) error {
	raw, err := iso7816.Source(c.Profile)
	if err != nil {
		return unusable(err)
	}
	_, err = w.out.Write(raw)
	return err
}

type profileCheckCommand struct {
	Profile string `arg:"" help:"Name or file."`
}

func (c profileCheckCommand) Run(w *workstation) error {
	p, err := load(c.Profile)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "The profile %s (%s) can be used.\n", p.Name, p.Title)
	for _, line := range p.Commands() {
		fmt.Fprintln(w.out, " ", line)
	}
	return nil
}

type profileTestCommand struct {
	Profile string `arg:"" help:"Name or file."`
}

// testPatience bounds a dry run.
const testPatience = 30 * time.Second

func (c profileTestCommand) Run(ctx context.Context, w *workstation) (err error) {
	p, err := load(c.Profile)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, testPatience)
	defer cancel()
	reader, err := w.cardReader(ctx)
	if err != nil {
		return err
	}
	conn, err := w.readers.Connect(ctx, reader)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.Begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.End(card.ResetCard)) }()
	list, ok, err := iso7816.Try(ctx, conn, p)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.out, "The profile %s and the card in the reader %s:\n", p.Name, plain.Text(reader))
	for _, f := range list {
		sign := "ok   "
		if !f.Good {
			sign = "WRONG"
		}
		fmt.Fprintf(w.out, "%s %s: %s\n", sign, f.What, plain.Text(f.Detail))
	}
	if !ok {
		return problem.New(problem.ProfileUnfit)
	}
	fmt.Fprintln(w.out, "The profile fits, as far as that can be told without a try. Unlock one card, and one whose PUK is known to be right, before you roll it out.")
	return nil
}

// cardReader is the reader with a card in it: the one that is set, else the
// only one.
func (w *workstation) cardReader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	snapshot, ok := <-w.readers.Watch(ctx)
	if !ok {
		return "", card.ErrNoService
	}
	if snapshot.Err != nil {
		return "", snapshot.Err
	}
	var with []string
	for _, r := range snapshot.Readers {
		if r.Presence == card.Present && (w.Reader == "" || w.Reader == r.Name) {
			with = append(with, r.Name)
		}
	}
	switch len(with) {
	case 0:
		return "", card.ErrNoCard
	case 1:
		return with[0], nil
	}
	return "", problem.New(problem.SeveralCards)
}

func load(nameOrPath string) (iso7816.Profile, error) {
	list, err := iso7816.Load(nameOrPath)
	if err != nil {
		return iso7816.Profile{}, unusable(err)
	}
	return list[0], nil
}

// unusable is the problem of a profile that cannot be read or is not right.
func unusable(err error) error {
	p := problem.Wrap(problem.ConfigInvalid, err)
	p.Detail = strings.ToUpper(err.Error()[:1]) + err.Error()[1:] + "."
	return p
}
