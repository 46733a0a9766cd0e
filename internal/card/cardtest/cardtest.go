// Package cardtest plays a written conversation with a card: a card.Conn that
// expects the commands of a text file, in their order, and gives its answers.
//
// A line "> 00A404..." is a command that must come, "< 9000" the card's answer
// to it, "! removed" a fault of the way instead of an answer (also: reset,
// reader gone, no service, busy). Spaces between bytes, empty lines and what
// follows a "#" mean nothing.
package cardtest

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"latchkey/internal/card"
)

// exchange is one command and what comes back.
type exchange struct {
	line            int
	command, answer []byte
	err             error
}

// Conn is a card that follows a script. Any other command than the next one
// fails the test, and so does a script that was not played to its end.
type Conn struct {
	t      testing.TB
	name   string
	mu     sync.Mutex
	script []exchange
	next   int
}

var _ card.Conn = (*Conn)(nil)

// Open reads a script from a file.
func Open(t testing.TB, path string) *Conn {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return New(t, path, string(raw))
}

// New takes a script as text; name is for messages.
func New(t testing.TB, name, script string) *Conn {
	t.Helper()
	exchanges, err := parse(script)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c := &Conn{t: t, name: name, script: exchanges}
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.next < len(c.script) && !t.Failed() {
			e := c.script[c.next]
			t.Errorf("%s:%d: the command %X never came", name, e.line, e.command)
		}
	})
	return c
}

func parse(script string) ([]exchange, error) {
	var list []exchange
	open := false // a command waits for its answer
	lines := bufio.NewScanner(strings.NewReader(script))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		sign, rest := text[0], strings.TrimSpace(text[1:])
		if open == (sign == '>') {
			return nil, fmt.Errorf("line %d: commands and answers take turns", n)
		}
		if sign == '!' {
			err, ok := faults()[rest]
			if !ok {
				return nil, fmt.Errorf("line %d: no fault is called %q", n, rest)
			}
			list[len(list)-1].err, open = err, false
			continue
		}
		value, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case sign == '>':
			list, open = append(list, exchange{line: n, command: value}), true
		case sign == '<':
			list[len(list)-1].answer, open = value, false
		default:
			return nil, fmt.Errorf("line %d begins with none of > < ! #", n)
		}
	}
	if open {
		return nil, fmt.Errorf("the last command has no answer")
	}
	return list, lines.Err()
}

func faults() map[string]error {
	return map[string]error{"removed": card.ErrRemoved, "reset": card.ErrReset, "reader gone": card.ErrReaderGone,
		"no service": card.ErrNoService, "busy": card.ErrBusy}
}

// ATR is that of no particular card.
func (c *Conn) ATR() []byte { return []byte{0x3B, 0x00} }

// Transmit checks the command against the script and gives its answer.
func (c *Conn) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	c.t.Helper()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == len(c.script) {
		c.t.Errorf("%s: command %X after the end of the script", c.name, command)
		return nil, card.ErrRemoved
	}
	e := c.script[c.next]
	if string(e.command) != string(command) {
		c.t.Errorf("%s:%d: command\n  %X, the script wants\n  %X", c.name, e.line, command, e.command)
		return nil, card.ErrRemoved
	}
	c.next++
	return append([]byte(nil), e.answer...), e.err
}

// Begin does nothing: nobody else uses the card.
func (c *Conn) Begin(context.Context) error { return nil }

// End does nothing.
func (c *Conn) End(card.Disposition) error { return nil }

// Reconnect does nothing.
func (c *Conn) Reconnect(context.Context) error { return nil }

// Close does nothing.
func (c *Conn) Close() error { return nil }
