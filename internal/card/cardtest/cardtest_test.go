package cardtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"latchkey/internal/card"
)

// watched is a test that notes its failures, so that a test can see them.
type watched struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (w *watched) Helper()          {}
func (w *watched) Cleanup(f func()) { w.cleanups = append(w.cleanups, f) }
func (w *watched) Failed() bool     { return len(w.failures) > 0 }
func (w *watched) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *watched) finish() {
	for _, f := range w.cleanups {
		f()
	}
}

const twoCommands = `
# a comment
> 00A4 0400   # select
< 6A82
> 00200080
! removed
`

func TestScriptPlayedToItsEnd(t *testing.T) {
	t.Parallel()
	c := New(t, "script", twoCommands)
	answer, err := c.Transmit(t.Context(), []byte{0x00, 0xA4, 0x04, 0x00})
	if err != nil || string(answer) != "\x6A\x82" {
		t.Errorf("answer %X, %v", answer, err)
	}
	if _, err := c.Transmit(t.Context(), []byte{0x00, 0x20, 0x00, 0x80}); !errors.Is(err, card.ErrRemoved) {
		t.Errorf("got %v, want a removed card", err)
	}
}

func TestDeviationsFailTheTest(t *testing.T) {
	t.Parallel()
	first, second := []byte{0x00, 0xA4, 0x04, 0x00}, []byte{0x00, 0x20, 0x00, 0x80}
	for name, c := range map[string]struct {
		commands [][]byte
		want     string
	}{
		"another command":     {[][]byte{second}, "the script wants"},
		"one command too few": {[][]byte{first}, "never came"},
		"one too many":        {[][]byte{first, second, first}, "after the end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &watched{TB: t}
			conn := New(w, "script", twoCommands)
			for _, command := range c.commands {
				_, _ = conn.Transmit(t.Context(), command)
			}
			w.finish()
			if len(w.failures) != 1 || !strings.Contains(w.failures[0], c.want) {
				t.Errorf("failures %q, want one with %q", w.failures, c.want)
			}
		})
	}
}

func TestScriptsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"< 9000", "> 00", "> 00\n> 00\n< 9000", "> 0\n< 9000", "> 00\n! tired", "> 00\n? 00"} {
		if list, err := parse(script); err == nil {
			t.Errorf("%q was read as %v", script, list)
		}
	}
}
