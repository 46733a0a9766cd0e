package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"latchkey/internal/audit"
	"latchkey/internal/directory"
	"latchkey/internal/problem"
	"latchkey/internal/store"
	"latchkey/internal/unlock"
)

type importCommand struct {
	Cardholders cardholdersCommand `cmd:"" help:"Cardholders: staff_number, name, and if wanted email, mobile, state."`
	Cards       cardsCommand       `cmd:"" help:"Cards: family, identifier, serial, staff_number, puk (or key_kind and key), and if wanted certificates, expires, state."`
}

// importFlags are what both imports take.
type importFlags struct {
	File    string `arg:"" help:"CSV file (UTF-8)."`
	Partial bool   `help:"Import the good lines even if others are bad."`
	DryRun  bool   `help:"Check everything and change nothing."`
	All     bool   `name:"all-lines" help:"List every bad line, however many there are."`
}

type cardholdersCommand struct{ importFlags }

func (c cardholdersCommand) Run(ctx context.Context, s shared) error {
	return c.run(ctx, s, directory.ImportOptions{}, (*directory.Directory).ImportCardholders)
}

type cardsCommand struct {
	importFlags
	WithoutKeys bool `help:"Take cards that have no unlocking key: their keys come with latchkeyd keys import."`
}

func (c cardsCommand) Run(ctx context.Context, s shared) error {
	return c.run(ctx, s, directory.ImportOptions{WithoutKeys: c.WithoutKeys}, (*directory.Directory).ImportCards)
}

type importer func(*directory.Directory, context.Context, *store.DB, io.ReadSeeker, directory.ImportOptions) (directory.ImportResult, error)

// shownBadLines bounds the bad lines that are listed.
const shownBadLines = 100

func (f importFlags) run(ctx context.Context, s shared, o directory.ImportOptions, imp importer) (err error) {
	file, err := os.Open(f.File)
	if err != nil {
		return problem.Wrap(problem.ImportFile, err)
	}
	defer file.Close()
	base, err := s.open(ctx, "-import")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	bad := 0
	last := time.Now()
	o.Partial, o.DryRun = f.Partial, f.DryRun
	o.Bad = func(l directory.BadLine) {
		if bad++; bad <= shownBadLines || f.All {
			fmt.Fprintf(s.err, "line %d: %s %s\n", l.Line, l.Problem.Code, l.Problem.What())
		}
	}
	o.Progress = func(lines int) {
		if now := time.Now(); now.Sub(last) > time.Second {
			last = now
			fmt.Fprintf(s.err, "%d lines\n", lines)
		}
	}
	result, err := imp(base.Directory, ctx, base.DB, file, o)
	if bad > shownBadLines && !f.All {
		fmt.Fprintf(s.err, "and %d more bad lines\n", bad-shownBadLines)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n", summary(result, f.DryRun))
	return err
}

type cardCommand struct {
	Adopt   adoptCommand   `cmd:"" help:"Give the card in the reader an unlocking key that only this service has, and register it to a cardholder."`
	Reissue reissueCommand `cmd:"" help:"Replace the unlocking key of a card that was issued again. The key is read from standard input."`
}

type reissueCommand struct {
	Family     string `default:"piv" help:"Card family."`
	Identifier string `arg:"" help:"The card's identifier (PIV: its GUID)."`
}

func (c reissueCommand) Run(ctx context.Context, s shared) (err error) {
	line, err := bufio.NewReader(io.LimitReader(s.in, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the unlocking key: %w", err)
	}
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	if base.Journal != nil { // the key goes into it, so it must be there
		if err := base.Journal.Start(ctx, base.DB); err != nil {
			return err
		}
	}
	err = base.DB.Update(ctx, func(tx *store.Tx) error {
		return base.Directory.Reissue(ctx, tx, c.Family, c.Identifier, strings.TrimSpace(line))
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, "The card has its new unlocking key. The keys before stay on record.")
	return err
}

type holderCommand struct {
	Reset resetCommand `cmd:"" help:"Let a cardholder try again after too many wrong codes in a row."`
}

type resetCommand struct {
	StaffNumber string `arg:"" help:"Staff number of the cardholder."`
}

func (c resetCommand) Run(ctx context.Context, s shared) (err error) {
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	sessions := unlock.New(unlock.Parts{DB: base.DB, Directory: base.Directory, Keys: base.Keys}, unlock.Config{})
	if err := sessions.Forgive(ctx, c.StaffNumber); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, "The cardholder can try again.")
	return err
}

type auditCommand struct {
	Verify auditVerify `cmd:"" help:"Check that no entry was changed, removed or put in."`
	Export auditExport `cmd:"" help:"Print the trail, one JSON object a line."`
}

type auditVerify struct{}

func (auditVerify) Run(ctx context.Context, s shared) (err error) {
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	result, err := audit.Verify(ctx, base.DB)
	if err != nil {
		return err
	}
	if err := result.Err(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "The audit trail is whole: %d entries.\n", result.Entries)
	return err
}

type auditExport struct{}

func (auditExport) Run(ctx context.Context, s shared) (err error) {
	base, err := s.open(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	return audit.Export(ctx, base.DB, s.out)
}

// summary says in a line what an import came to.
func summary(r directory.ImportResult, dryRun bool) string {
	lines := "lines"
	if r.Lines == 1 {
		lines = "line"
	}
	text := fmt.Sprintf("%d %s: %d added, %d changed, %d as they were, %d bad.", r.Lines, lines, r.Added, r.Changed, r.Unchanged, r.Bad)
	if dryRun {
		text += " Nothing was kept: this was a trial."
	}
	return text
}
