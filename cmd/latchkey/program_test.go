package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

const (
	reader = "Reader 1"
	fresh  = "840261"
)

// asked answers each question when it is asked, so that the security code can
// be among the answers.
type asked []func() string

func (a *asked) Read(p []byte) (int, error) {
	if len(*a) == 0 {
		return 0, io.EOF
	}
	text := (*a)[0]() + "\n"
	*a = (*a)[1:]
	return copy(p, text), nil
}

func said(text string) func() string { return func() string { return text } }

// workplace is a service with a locked card of its own, and the world of a
// program beside it.
func workplace(t *testing.T) (*unlocktest.Installation, *emulator.Card, environment) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir()) // of the known services; on Linux
	t.Setenv("HOME", t.TempDir())
	x := unlocktest.New(t, unlocktest.Options{Config: func(c *unlock.Config) {
		c.Contact = api.Contact{Name: "Registration Authority", Phone: "020 7946 0000"}
	}})
	c, err := emulator.New(emulator.Options{PIN: "246813", PUK: "73519264"})
	if err == nil {
		err = c.Lock()
	}
	if err != nil {
		t.Fatal(err)
	}
	x.Enrol(t, c)
	readers := emulator.NewReaders(reader)
	readers.Insert(reader, c)
	return x, c, environment{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{},
		lookup: func(string) (string, bool) { return "", false }, machineFile: "none.toml", readers: readers}
}

// TestUnlock is the whole program with the whole service.
func TestUnlock(t *testing.T) {
	x, c, e := workplace(t)
	e.in = &asked{func() string { return x.Code(t) }, said(fresh), said(fresh)}
	status := run(t.Context(), []string{"unlock", "--service", x.Client.Address(), "--email", unlocktest.Email}, e)
	printed := fmt.Sprint(e.out, e.err)
	if status != 0 || c.State().PIN != fresh || c.State().PINTries != 3 {
		t.Errorf("status %d, the card's PIN is %s\n%s", status, c.State().PIN, printed)
	}
	if !strings.Contains(printed, "This is the first time that this computer uses "+x.Client.Address()) {
		t.Errorf("it does not say that it trusts a new service:\n%s", printed)
	}
	for _, secret := range []string{fresh, c.State().PUK, "73519264"} {
		if strings.Contains(printed, secret) {
			t.Errorf("it prints %s:\n%s", secret, printed)
		}
	}
}

// TestFault: a fault names the Registration Authority that the service told of.
func TestFault(t *testing.T) {
	x, c, e := workplace(t)
	if err := c.Edit(func(s *emulator.State) { s.GUID = strings.Repeat("ab", 16) }); err != nil {
		t.Fatal(err)
	}
	status := run(t.Context(), []string{"unlock", "--service", x.Client.Address(), "--email", unlocktest.Email}, e)
	want := "LK-4001 This card can't be unlocked here\n  The service cannot unlock this card.\n  Your Registration Authority can help.\n" +
		"  Registration Authority\n  020 7946 0000\n"
	if got := fmt.Sprint(e.err); status != 1 || !strings.HasSuffix(got, want) {
		t.Errorf("status %d\n%s", status, got)
	}
}

// TestStopped: Ctrl-C at a question ends the program, and is no fault of ours.
func TestStopped(t *testing.T) {
	x, _, e := workplace(t)
	ctx, stop := context.WithCancelCause(t.Context())
	never, typing := io.Pipe()
	defer typing.Close()
	prompts, out := io.Pipe()
	e.in, e.out = never, out
	go func() {
		r := bufio.NewReader(prompts)
		_, err := r.ReadString(':') // the question is there
		stop(errors.Join(errors.New("Ctrl-C"), err))
		_, _ = io.Copy(io.Discard, r) // ends with the test
	}()
	status := run(ctx, []string{"unlock", "--service", x.Client.Address()}, e)
	_ = out.Close()
	if got := fmt.Sprint(e.err); status != 1 || strings.Contains(got, "LK-") || !strings.Contains(got, "latchkey: stopped.") {
		t.Errorf("status %d\n%s", status, got)
	}
}
