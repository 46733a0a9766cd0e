// Package browser opens the application's pages: in a window of their own
// where a browser of the Chromium family is installed, else in the default
// browser.
//
// The window has a profile that is thrown away, without extensions, without
// sync and without password saving, so that a passcode that is typed into a
// page is seen by the page alone (unlocking.md, The pages). The address with
// the launch secret travels in a file that only the user can read, never on a
// command line, which every process on the machine could read.
package browser

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Window is what was opened.
type Window struct {
	// Own says that it is a window of our own, which the user closes when
	// finished, and not a tab of the default browser.
	Own bool
	// Closed is closed when a window of our own has been closed.
	Closed <-chan struct{}

	dir     string
	command *exec.Cmd
	done    chan struct{}
}

// Open opens address, which holds a launch secret. noSandbox is for running as
// root on Linux, where Chromium refuses to start otherwise: demos in
// containers, never a workstation.
func Open(ctx context.Context, address string, noSandbox bool) (*Window, error) {
	dir, err := os.MkdirTemp("", "latchkey-") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("make a private folder: %w", err)
	}
	w := &Window{dir: dir, done: make(chan struct{})}
	w.Closed = w.done
	file, err := writeLaunchFile(dir, address)
	if err == nil {
		err = w.start(ctx, file, noSandbox)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return w, nil
}

// ForgetAddress removes the launch file: its secret has been used.
func (w *Window) ForgetAddress() { _ = os.Remove(filepath.Join(w.dir, launchName)) }

// Close closes a window of our own and removes all that was written for it.
func (w *Window) Close() error {
	if w.Own {
		_ = w.command.Process.Kill() // it may have ended
		<-w.done
	}
	// A browser's last child can still write into the profile for a moment.
	var err error
	for range 40 {
		if err = os.RemoveAll(w.dir); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("remove the window's profile: %w", err)
}

func (w *Window) start(ctx context.Context, file string, noSandbox bool) error {
	var failed []error
	for _, path := range candidates() {
		command := exec.CommandContext(ctx, path, arguments(file, filepath.Join(w.dir, "profile"), noSandbox)...)
		command.Env = append(os.Environ(), "TMPDIR="+w.dir) // nothing of the browser's is left elsewhere
		if err := command.Start(); err != nil {
			failed = append(failed, fmt.Errorf("start %s: %w", path, err))
			continue
		}
		w.Own, w.command = true, command
		go func() {
			_ = command.Wait() // how a browser ends says nothing
			close(w.done)
		}()
		return nil
	}
	name, args := openWith(file)
	if err := exec.CommandContext(ctx, name, args...).Run(); err != nil {
		return errors.Join(append(failed, fmt.Errorf("open the default browser: %w", err))...)
	}
	return nil
}

// arguments of a Chromium window of our own.
func arguments(file, profile string, noSandbox bool) []string {
	args := []string{
		"--app=" + fileURL(file),
		"--user-data-dir=" + profile,
		"--window-size=1024,900",
		"--no-first-run", "--no-default-browser-check", "--no-service-autorun",
		"--disable-extensions", "--disable-component-extensions-with-background-pages",
		"--disable-sync", "--disable-background-networking", "--disable-component-update",
		"--disable-default-apps", "--disable-breakpad", "--disable-client-side-phishing-detection",
		"--disable-save-password-bubble", "--password-store=basic",
		"--disable-features=Translate,AutofillServerCommunication,PasswordManagerOnboarding,msEdgePasswordMonitor",
		"--disable-domain-reliability", "--metrics-recording-only", "--safebrowsing-disable-auto-update",
		"--disable-dev-tools",
	}
	if noSandbox {
		args = append(args, "--no-sandbox")
	}
	return args
}

const launchName = "open-latchkey.html"

// launchPage goes on to the application at once. It needs no script.
var launchPage = template.Must(template.New("launch").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Opening Latchkey</title><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={{.}}"></head>
<body><p>Opening Latchkey. <a href="{{.}}">Open it now</a>.</p></body></html>
`))

// writeLaunchFile writes the file that leads to address, mode 0600.
func writeLaunchFile(dir, address string) (string, error) {
	name := filepath.Join(dir, launchName)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("write the launch file: %w", err)
	}
	err = errors.Join(launchPage.Execute(f, address), f.Close())
	if err != nil {
		return "", fmt.Errorf("write the launch file: %w", err)
	}
	return name, nil
}

// fileURL is a file's address (RFC 8089).
func fileURL(name string) string {
	name = filepath.ToSlash(name)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/...
	}
	return "file://" + escaper.Replace(name)
}

var escaper = strings.NewReplacer("%", "%25", " ", "%20", "#", "%23", "?", "%3F")

// lookUp keeps the candidates that exist: names on the PATH and whole paths.
func lookUp(names ...string) []string {
	var found []string
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	return found
}

// Name is the program that a window of our own would be opened with, "" where
// there is none.
func Name() string {
	for _, path := range candidates() {
		return filepath.Base(path)
	}
	return ""
}
