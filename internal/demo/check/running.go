package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

// running is the latchkeyd demo.
type running struct {
	command *exec.Cmd
	address string
	folder  string // everything that it writes is in here
}

// startDemo starts the demo and waits for its address.
func startDemo(ctx context.Context, latchkeyd string, out io.Writer) (*running, error) {
	d := &running{}
	var err error
	if d.folder, err = os.MkdirTemp("", "latchkey-check-"); err != nil {
		return nil, err
	}
	d.command = exec.CommandContext(ctx, latchkeyd, "demo", "--no-browser")
	d.command.Env = append(os.Environ(), "TMPDIR="+d.folder)
	d.command.Cancel = func() error { return d.command.Process.Signal(os.Interrupt) }
	d.command.WaitDelay = 20 * time.Second
	d.command.Stderr = os.Stderr
	printed, err := d.command.StdoutPipe()
	if err == nil {
		err = d.command.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(d.folder))
	}
	lines := bufio.NewScanner(printed)
	for lines.Scan() {
		if d.address = regexp.MustCompile(`http://[0-9.:]+/`).FindString(lines.Text()); d.address != "" {
			fmt.Fprintf(out, "demo: %s\n", lines.Text())
			go func() { _, _ = io.Copy(io.Discard, printed) }()
			return d, nil
		}
	}
	return nil, errors.Join(errors.New("the demo printed no address"), lines.Err(), d.end())
}

// end ends the demo as Ctrl-C does, and looks for what it left behind.
func (d *running) end() error {
	_ = d.command.Process.Signal(os.Interrupt) // it may have ended
	err := d.command.Wait()
	left, globErr := filepath.Glob(filepath.Join(d.folder, "*"))
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("the demo left behind: %v", left))
	}
	return errors.Join(err, globErr, os.RemoveAll(d.folder))
}
