// Package terminal is the journey in a terminal: prompts for people, and one
// answer a line from a pipe for scripts. A passcode is not echoed.
package terminal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"latchkey/internal/api"
	"latchkey/internal/journey"
	"latchkey/internal/plain"
	"latchkey/internal/problem"
)

// Engine is the journey, as the terminal needs it; journey.Engine is one.
type Engine interface {
	Watch(ctx context.Context) <-chan journey.Status
	View() journey.View
	Changed() <-chan struct{}
	Start(ctx context.Context, purpose api.Purpose, reader string) error
	SendCode(ctx context.Context, method api.Method, address string) error
	CheckCode(ctx context.Context, code string) error
	SetPasscode(ctx context.Context, passcode string) error
	Change(ctx context.Context, reader, old, fresh string) error
	Rules() []string
}

// Terminal asks and tells.
type Terminal struct {
	engine Engine
	in     *bufio.Reader
	out    io.Writer
	tty    *os.File // nil where answers come from a pipe
}

// New makes a Terminal on standard input and output.
func New(e Engine, in io.Reader, out io.Writer) *Terminal {
	t := &Terminal{engine: e, in: bufio.NewReader(in), out: out}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.tty = f
	}
	return t
}

// pipePatience is how long a script waits for a card.
const pipePatience = 15 * time.Second

func (t *Terminal) say(format string, args ...any) {
	fmt.Fprintln(t.out, plain.Text(fmt.Sprintf(format, args...)))
}

// ask asks for a line. The end of the input is problem.InputEnded.
func (t *Terminal) ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprintf(t.out, "%s: ", prompt)
	line, err := answer(ctx, func() (string, error) { return t.in.ReadString('\n') })
	if t.tty == nil {
		fmt.Fprintln(t.out)
	}
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", unanswered(err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// askSecret asks for a passcode without showing it.
func (t *Terminal) askSecret(ctx context.Context, prompt string) (string, error) {
	if t.tty == nil {
		return t.ask(ctx, prompt)
	}
	fd := int(t.tty.Fd())
	echo, err := term.GetState(fd)
	if err != nil {
		return "", unanswered(err)
	}
	fmt.Fprintf(t.out, "%s: ", prompt)
	secret, err := answer(ctx, func() (string, error) {
		raw, err := term.ReadPassword(fd)
		return string(raw), err
	})
	fmt.Fprintln(t.out)
	if ctx.Err() != nil { // it is still being read, and not shown
		err = errors.Join(err, term.Restore(fd, echo))
	}
	if err != nil {
		return "", unanswered(err)
	}
	return secret, nil
}

// answer waits for an answer, or for the end of ctx: somebody has pressed
// Ctrl-C. What is typed after that is lost, with the program.
func answer(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func unanswered(err error) error {
	err = fmt.Errorf("read an answer: %w", err)
	if errors.Is(err, io.EOF) {
		return problem.Wrap(problem.InputEnded, err)
	}
	return err
}

// complain says what is wrong with an answer, what to do, and how many tries
// are left.
func (t *Terminal) complain(p *problem.Problem) {
	t.say("%s %s. %s", p.Code, p.Title, p.What())
	t.say("%s", p.Next)
	if p.TriesLeft != nil {
		t.say("Tries left: %d.", *p.TriesLeft)
	}
}

// card waits for the one card that fits and gives its reader.
func (t *Terminal) card(ctx context.Context, fits func(journey.Card) error) (string, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	var patience <-chan time.Time
	if t.tty == nil {
		timer := time.NewTimer(pipePatience)
		defer timer.Stop()
		patience = timer.C
	}
	statuses := t.engine.Watch(watching)
	var last *problem.Problem
	for {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-patience:
			if last == nil {
				last = problem.New(problem.NoReaderService)
			}
			return "", last
		case status, ok := <-statuses:
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			if !ok {
				return "", problem.New(problem.NoReaderService)
			}
			reader, p := choose(status, fits)
			if reader != "" {
				return reader, nil
			}
			if p != nil && (last == nil || last.Code != p.Code) {
				if decided(p) {
					return "", p
				}
				t.say("%s. %s", p.Title, p.Next)
			}
			if p != nil {
				last = p
			}
		}
	}
}

// decided says that waiting will not help.
func decided(p *problem.Problem) bool {
	return p.Code == problem.SeveralCards || p.Code == problem.CardNotLocked || p.Code == problem.CardLocked
}

// choose gives the reader of the one card that fits, or what is wrong.
func choose(s journey.Status, fits func(journey.Card) error) (string, *problem.Problem) {
	if s.Problem != nil {
		return "", s.Problem
	}
	var good []string
	var p *problem.Problem
	for _, c := range s.Cards {
		switch {
		case c.State == journey.CardReading:
			return "", nil
		case c.Problem != nil:
			p = c.Problem
		default:
			if err := fits(c); err != nil {
				p = problem.From(err)
			} else {
				good = append(good, c.Reader)
			}
		}
	}
	switch len(good) {
	case 0:
		return "", p
	case 1:
		return good[0], nil
	}
	several := problem.New(problem.SeveralCards)
	several.Detail = "There is a smartcard in each of these: " + strings.Join(good, ", ") + ". Name one with --reader."
	return "", several
}

// Status prints what the readers see.
func Status(ctx context.Context, e Engine, out io.Writer, asJSON bool) error {
	ctx, cancel := context.WithTimeout(ctx, pipePatience)
	defer cancel()
	status := journey.Status{Problem: problem.New(problem.NoReaderService)}
	for s := range e.Watch(ctx) {
		if status = s; settled(s) {
			break
		}
	}
	if asJSON {
		return printJSON(out, status)
	}
	if status.Problem != nil {
		return status.Problem
	}
	for _, c := range status.Cards {
		words := string(c.State)
		if c.Problem != nil {
			words = string(c.Problem.Code) + " " + c.Problem.Title
		} else if c.TriesLeft != nil && c.State == journey.CardNotLocked {
			words += fmt.Sprintf(", %d tries of the passcode left", *c.TriesLeft)
		}
		application := c.Application
		if application != "" {
			application = "(" + application + ")"
		}
		fmt.Fprintln(out, plain.Text(strings.Join(slices.DeleteFunc([]string{c.Reader + ":", c.Model, application, words}, func(s string) bool { return s == "" }), " ")))
	}
	return nil
}

// settled says that the readers have said all: no card is being read, and none
// has gone without the reader having noticed yet.
func settled(s journey.Status) bool {
	return !slices.ContainsFunc(s.Cards, func(c journey.Card) bool {
		return c.State == journey.CardReading || c.Problem != nil && c.Problem.Code == problem.CardRemoved
	})
}

// cardLine is a card as status --json prints it.
type cardLine struct {
	Reader string `json:"reader"`
	Model  string `json:"model,omitempty"`
	// Application is the one of the card's applications that this is about, where
	// it has several with a passcode each.
	Application string       `json:"application,omitempty"`
	State       string       `json:"state"`
	TriesLeft   *int         `json:"tries_left,omitempty"`
	Code        problem.Code `json:"code,omitempty"`
}

func printJSON(out io.Writer, s journey.Status) error {
	v := struct {
		Code  problem.Code `json:"code,omitempty"`
		Cards []cardLine   `json:"cards"`
	}{Cards: []cardLine{}}
	if s.Problem != nil {
		v.Code = s.Problem.Code
	}
	for _, c := range s.Cards {
		line := cardLine{Reader: c.Reader, Model: c.Model, Application: c.Application, State: string(c.State), TriesLeft: c.TriesLeft}
		if c.Problem != nil {
			line.Code = c.Problem.Code
		}
		v.Cards = append(v.Cards, line)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
