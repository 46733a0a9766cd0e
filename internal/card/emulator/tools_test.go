//go:build linux

package emulator_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/internal/card/emulator"
	"latchkey/internal/card/pcsctest"
	"latchkey/internal/card/vpcd"
)

// bench is a private PC/SC service with one card in its reader, and a home
// folder for the tools that want one.
type bench struct {
	t       *testing.T
	service *pcsctest.Service
	card    *emulator.Card
	inside  *insideCard
	home    string
	env     []string // of the tools, beside the usual
}

// toolPatience bounds one run of a tool.
const toolPatience = 60 * time.Second

func newBench(t *testing.T, o emulator.Options) *bench {
	t.Helper()
	b := &bench{t: t, service: pcsctest.Start(t), card: newCard(t, o)}
	home, err := os.MkdirTemp("", "lk") // short: GnuPG puts a socket in it
	if err != nil {
		t.Fatal(err)
	}
	b.home = home
	t.Cleanup(func() {
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	b.inside = &insideCard{Card: b.card, seen: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- vpcd.Serve(ctx, b.service.VPCDAddress, b.inside, vpcd.Options{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-b.inside.seen:
	case <-time.After(toolPatience):
		t.Fatal("the card never came into the reader")
	}
	return b
}

// insideCard is the card as the reader has it. It says when the PC/SC service
// has found it, and keeps the service waiting while the test has the card alone.
type insideCard struct {
	*emulator.Card
	once  sync.Once
	seen  chan struct{}
	alone sync.Mutex
}

func (c *insideCard) ATR() []byte {
	c.once.Do(func() { close(c.seen) })
	return c.Card.ATR()
}

func (c *insideCard) Reset() {
	c.alone.Lock()
	defer c.alone.Unlock()
	c.Card.Reset()
}

func (c *insideCard) Transmit(command []byte) ([]byte, error) {
	c.alone.Lock()
	defer c.alone.Unlock()
	return c.Card.Transmit(command)
}

// alone has the card for the test alone: tools that were stopped may still be
// busy letting go of it. It is reset before and after.
func (b *bench) alone(f func()) {
	b.t.Helper()
	b.inside.alone.Lock()
	defer b.inside.alone.Unlock()
	b.card.Reset()
	defer b.card.Reset()
	f()
}

// run runs a tool and gives what it printed, and whether it went well.
func (b *bench) run(input, name string, args ...string) (string, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), toolPatience)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(b.service.Environment(), "HOME="+b.home, "GNUPGHOME="+b.home, "LC_ALL=C.UTF-8")
	c.Env = append(c.Env, b.env...)
	c.Stdin = strings.NewReader(input)
	c.Dir = b.home
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	return string(out), err
}

// must runs a tool that must go well and print all of want.
func (b *bench) must(input, name string, args []string, want ...string) string {
	b.t.Helper()
	out, err := b.run(input, name, args...)
	if err != nil {
		b.t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			b.t.Errorf("%s %s does not say %q:\n%s", name, strings.Join(args, " "), w, out)
		}
	}
	return out
}

// fails runs a tool that must not go well.
func (b *bench) fails(input, name string, args ...string) {
	b.t.Helper()
	if out, err := b.run(input, name, args...); err == nil {
		b.t.Errorf("%s %s went well:\n%s", name, strings.Join(args, " "), out)
	}
}

// write puts a file into the home folder and gives its path.
func (b *bench) write(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}
