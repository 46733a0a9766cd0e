package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"golang.org/x/term"

	"latchkey/internal/adopt"
	"latchkey/internal/card"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/card/pcsc"
	"latchkey/internal/card/recognise"
	"latchkey/internal/daemon"
	"latchkey/internal/directory"
	"latchkey/internal/escrow"
	"latchkey/internal/plain"
	"latchkey/internal/problem"
)

type adoptCommand struct {
	Holder   string   `placeholder:"STAFFNUMBER" xor:"who" required:"" help:"Staff number of the cardholder whose card is in the reader."`
	Batch    string   `placeholder:"FILE" xor:"who" required:"" help:"Adopt one card after another: CSV file with the columns staff_number and, if wanted, card_number."`
	Card     string   `placeholder:"NUMBER" help:"With --holder: serial number or identifier that the card must have."`
	Report   string   `placeholder:"FILE" help:"With --batch: write the report to this file instead of standard output."`
	Reader   string   `placeholder:"NAME" help:"Use this card reader only."`
	Family   string   `enum:"first,piv,gids,openpgp,iso7816" default:"first" help:"Application of the card: ${enum}."`
	Profiles []string `name:"card-profiles" placeholder:"NAME,..." help:"Profiles of further cards, by name or file (docs/card-profiles.md)."`
	KeyFile  string   `name:"card-key-file" placeholder:"FILE" xor:"key" help:"File whose first line is the unlocking key that the card has now; - for standard input. Without this and --factory it is asked for."`
	Factory  bool     `xor:"key" help:"The card has the unlocking key that it left the factory with."`
}

func (c adoptCommand) Run(ctx context.Context, s shared) error {
	if c.Card != "" && c.Holder == "" || c.Report != "" && c.Batch == "" {
		p := problem.New(problem.ConfigInvalid)
		p.Detail = "--card belongs to --holder, and --report to --batch."
		return p
	}
	list, err := c.list()
	if err != nil {
		return err
	}
	key, err := c.key(s)
	if err != nil {
		return err
	}
	family := card.Family(c.Family)
	if c.Family == "first" {
		family = ""
	}
	profiles, err := iso7816.Load(c.Profiles...)
	if err != nil {
		p := problem.Wrap(problem.ConfigInvalid, err)
		p.Detail = fmt.Sprintf("A card profile cannot be used: %v.", err)
		return p
	}
	conf, err := s.load()
	if err != nil {
		return err
	}
	return s.with(ctx, "-adopt", func(b *daemon.Base) error {
		var options []escrow.Option
		if b.Journal != nil { // the keys go into it, so it must be there
			if err := b.Journal.Start(ctx, b.DB); err != nil {
				return err
			}
			options = append(options, escrow.WithJournal(b.Journal))
		}
		log := s.logger(conf)
		desk := &adopt.Desk{DB: b.DB, Directory: b.Directory, Escrow: escrow.New(b.Keys, nil, conf.Name, options...),
			Readers: pcsc.New(pcsc.Options{Log: log}), Recogniser: recognise.Recogniser{Profiles: profiles}, Family: family,
			Reader: c.Reader, Key: key, By: s.person(), Log: log,
			Say: func(text string) { fmt.Fprintln(s.err, plain.Text(text)) }}
		if c.Batch != "" {
			return c.batch(ctx, s, desk, list)
		}
		result, holder, err := desk.One(ctx, c.Holder, c.Card)
		if err != nil {
			return err
		}
		words := "has its own unlocking key now. The service keeps it"
		if result.Already {
			words = "was adopted before. It was left as it is"
		}
		_, err = fmt.Fprintln(s.out, plain.Text(fmt.Sprintf("The card of %s (%s %s) %s.", holder.Name, result.Identity.Model, cmp.Or(result.Identity.Serial, result.Identity.ID), words)))
		return err
	})
}

func (c adoptCommand) list() ([]directory.Wanted, error) {
	if c.Batch == "" {
		return nil, nil
	}
	f, err := os.Open(c.Batch)
	if err != nil {
		return nil, problem.Wrap(problem.ImportFile, err)
	}
	defer f.Close()
	return directory.ReadWanted(f)
}

// maxKeyLine bounds what is read as a key, in bytes.
const maxKeyLine = 1024

// key says where the cards' keys come from. A file is read at once, so that a
// wrong name is told before any card is in the reader.
func (c adoptCommand) key(s shared) (adopt.KeySource, error) {
	switch c.KeyFile {
	case "":
		if c.Factory {
			return adopt.Factory, nil
		}
		return adopt.Asked(s.asker()), nil
	case "-":
		line, err := firstLine(s.in)
		return adopt.Given(line), err
	}
	f, err := os.Open(c.KeyFile)
	if err != nil {
		return nil, problem.Wrap(problem.ImportFile, err)
	}
	defer f.Close()
	line, err := firstLine(f)
	return adopt.Given(line), err
}

func firstLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxKeyLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", problem.Wrap(problem.ImportFile, err)
	}
	return strings.TrimSpace(line), nil
}

// asker asks for a key without showing it, or reads one a line from a pipe.
func (s shared) asker() func(context.Context, string) (string, error) {
	lines := bufio.NewReader(s.in)
	tty, ok := s.in.(*os.File)
	return func(ctx context.Context, prompt string) (string, error) {
		if !ok || !term.IsTerminal(int(tty.Fd())) {
			line, err := lines.ReadString('\n')
			if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
				return "", problem.Wrap(problem.InputEnded, err)
			}
			return strings.TrimSpace(line), nil
		}
		fmt.Fprintf(s.err, "%s: ", prompt)
		defer fmt.Fprintln(s.err)
		return typed(ctx, int(tty.Fd()))
	}
}

// typed reads a line of a terminal without echo. Ctrl-C ends it and gives the
// terminal its echo back.
func typed(ctx context.Context, fd int) (string, error) {
	echo, err := term.GetState(fd)
	if err != nil {
		return "", problem.Wrap(problem.InputEnded, err)
	}
	type answer struct {
		raw []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		raw, err := term.ReadPassword(fd)
		done <- answer{raw, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return "", problem.Wrap(problem.InputEnded, a.err)
		}
		return string(a.raw), nil
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, echo))
	}
}

// person is who runs the program, for the audit trail.
func (s shared) person() string {
	if name, ok := s.lookup("SUDO_USER"); ok && name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "not known"
}

// batch adopts the cards of a list and writes the report.
func (c adoptCommand) batch(ctx context.Context, s shared, desk *adopt.Desk, list []directory.Wanted) (err error) {
	out := s.out
	if c.Report != "" {
		f, err := os.OpenFile(c.Report, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return problem.Wrap(problem.ImportFile, err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	w := csv.NewWriter(out)
	write := func(values ...string) error {
		_ = w.Write(values) // Error gives it
		w.Flush()
		return w.Error()
	}
	if err := write("staff_number", "card_number", "result", "code"); err != nil {
		return err
	}
	counts := map[adopt.Outcome]int{}
	err = desk.Batch(ctx, list, func(l adopt.Line) error {
		counts[l.Outcome]++
		code := ""
		if l.Problem != nil {
			code = string(l.Problem.Code)
		}
		return write(l.StaffNumber, l.Card, string(l.Outcome), code)
	})
	fmt.Fprintf(s.err, "%d cards: %d adopted, %d adopted before, %d not adopted, %d not reached.\n", len(list),
		counts[adopt.OutcomeAdopted], counts[adopt.OutcomeAlready], counts[adopt.OutcomeNotAdopted], counts[adopt.OutcomeNotReached])
	return err
}
