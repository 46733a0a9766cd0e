package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"latchkey/internal/api"
)

// lookup is an environment with nothing but an empty configuration file.
func lookup(t *testing.T) func(string) (string, bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty.toml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func(name string) (string, bool) { return path, name == "LATCHKEYD_CONFIG" }
}

func TestServe(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	e := environment{in: strings.NewReader(""), out: &bytes.Buffer{}, err: io.Discard, lookup: lookup(t)}
	if status := run(t.Context(), []string{"init", "--data", data}, e); status != 0 {
		t.Fatalf("init: status %d", status)
	}
	printed := regexp.MustCompile(`service_key = "(.*)"`).FindStringSubmatch(e.out.(*bytes.Buffer).String())

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, pipe := io.Pipe()
	e.err = pipe
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--log-format", "json"}, e)
		_ = pipe.Close()
	}()
	lines := bufio.NewScanner(said)
	ready := regexp.MustCompile(`"latchkeyd is ready","address":"([^"]*)"`)
	var address []string
	for address == nil && lines.Scan() {
		address = ready.FindStringSubmatch(lines.Text())
	}
	if address == nil {
		t.Fatalf("it ended before it was ready, with status %d", <-ended)
	}
	rest := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(said) // a pipe in memory that its writer closes
		rest <- string(text)
	}()
	client, err := api.NewClient("http://"+address[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := client.Service(t.Context())
	if err != nil || base64.StdEncoding.EncodeToString(info.SigningKey) != printed[1] {
		t.Errorf("%+v, %v, want the key that init printed", info, err)
	}

	// The address is taken now.
	var second bytes.Buffer
	e.err = &second
	if status := run(t.Context(), []string{"serve", "--data", data, "--listen", address[1]}, e); status != 1 || !strings.Contains(second.String(), "LK-5013 The address is in use\n") {
		t.Errorf("the second: status %d\n%s", status, &second)
	}

	stop()
	if status, text := <-ended, <-rest; status != 0 || strings.Contains(text, "LK-") {
		t.Errorf("status %d\n%s", status, text)
	}
}

// TestStopped makes sure that a command that is stopped by Ctrl-C does not
// look like a fault of ours.
func TestStopped(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	var said bytes.Buffer
	e := environment{in: strings.NewReader(""), out: io.Discard, err: &said, lookup: lookup(t)}
	if status := run(t.Context(), []string{"init", "--data", data}, e); status != 0 {
		t.Fatalf("init: %s", &said)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if status := run(ctx, []string{"audit", "verify", "--data", data}, e); status != 1 || strings.Contains(said.String(), "LK-") || !strings.HasPrefix(said.String(), "latchkeyd: stopped") {
		t.Errorf("status %d\n%s", status, &said)
	}
}
