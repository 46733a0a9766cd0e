// Package app is the application's pages: the journey of product.md on a
// loopback address, for the user's own browser window.
//
// It promises (unlocking.md, The pages): it listens on loopback only, under a
// random name that no other page knows; each connection comes from the same
// user and logon session; a request that changes something comes from our own
// page; the launch secret works once; nothing typed into a passcode field is
// in any answer, note or log. Every page works without JavaScript, every POST
// ends in a redirect, and a page that is out of step with the journey leads to
// the right one.
//
// One page a file: page_start.go, page_method.go, page_email.go, page_mobile.go,
// page_code.go, page_face_number.go, page_face_instructions.go,
// page_face_scan.go, page_face_elsewhere.go, page_face_failed.go,
// page_passcode.go, page_working.go, page_done.go, page_change.go,
// page_forgotten.go, page_troubleshooting.go, page_problem.go.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"time"

	"latchkey/internal/app/browser"
	"latchkey/internal/app/peer"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// Config is what Run needs.
type Config struct {
	Engine Engine
	Doctor DoctorFunc
	// Listen is the loopback address and port; "" is 127.0.0.1 and any port.
	Listen string
	// NoBrowser prints an address that lets one browser in instead of opening
	// a window.
	NoBrowser bool
	// Demo lets Chromium run as root, in a container, without its sandbox.
	Demo bool
	// Ready, where set, is told instead of printing: the address that lets one
	// browser in, and the one it has afterwards.
	Ready        func(launch, origin string)
	Organisation string
	Logo         *ui.Logo
	Version      string
	Out          io.Writer
	Log          *slog.Logger
	Now          func() time.Time // nil is time.Now
	// CheckPeer says who is at the other end of a connection; nil is peer.Check.
	CheckPeer func(net.Conn) error
}

const (
	// closeGrace is how long the application stays after its own window was
	// closed, for a page that is open somewhere else or is being loaded again.
	closeGrace = 5 * time.Second
	// shutdownGrace is how long answers under way may take at the end.
	shutdownGrace = 3 * time.Second
	headerTimeout = 10 * time.Second
)

// Run serves the pages until ctx ends or the user has closed the window.
func Run(ctx context.Context, c Config) error {
	if err := ui.Check(); err != nil {
		return err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.CheckPeer == nil {
		c.CheckPeer = peer.Check
	}
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return fmt.Errorf("read the port: %w", err)
	}
	s, err := newServer(c, newGate("latchkey-"+random(8)+".localhost", port))
	if err != nil {
		return err
	}
	return s.run(ctx, c, listener)
}

func (s *server) run(ctx context.Context, c Config, listener net.Listener) error {
	web := &http.Server{
		Handler:           s.handler(),
		ConnContext:       connContext(c.CheckPeer),
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	err := s.show(ctx, c, served)
	s.presence.stop()
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if stopErr := web.Shutdown(shutdown); stopErr != nil {
		_ = web.Close() // what is still open after the grace is cut off
	}
	return err
}

// show opens the window and waits for the end.
func (s *server) show(ctx context.Context, c Config, served <-chan error) error {
	closed := make(<-chan struct{}) // never, where the window is not ours
	switch {
	case c.Ready != nil:
		c.Ready(s.gate.launchAddress(), s.gate.origin)
	case c.NoBrowser:
		fmt.Fprintf(c.Out, "Latchkey is ready at %s\n", s.gate.launchAddress())
	default:
		window, err := browser.Open(ctx, s.gate.launchAddress(), c.Demo && runtime.GOOS == "linux" && os.Geteuid() == 0)
		if err != nil {
			c.Log.Warn("no browser was opened", "err", err)
			fmt.Fprintf(c.Out, "No browser could be opened. Latchkey is ready at %s\n", s.gate.launchAddress())
		} else {
			defer func() {
				if err := window.Close(); err != nil {
					c.Log.Warn("window not closed", "err", err)
				}
			}()
			s.whenLaunched(window.ForgetAddress)
			if window.Own {
				closed = window.Closed
			}
			fmt.Fprintf(c.Out, "Latchkey is ready at %s\n", s.gate.origin)
		}
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-served:
		return fmt.Errorf("serve the pages: %w", err)
	case <-closed:
		return s.linger(ctx)
	}
}

// linger ends when no page has been open for closeGrace.
func (s *server) linger(ctx context.Context) error {
	for {
		open, changed := s.presence.look()
		var quiet <-chan time.Time
		if open == 0 {
			quiet = time.After(closeGrace)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-quiet:
			return nil
		case <-changed:
		}
	}
}

// listen listens on a loopback address only.
func listen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("listen on %q: %w", address, err))
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		p := problem.New(problem.ConfigInvalid)
		p.Detail = fmt.Sprintf("%s is not a loopback address, such as 127.0.0.1:0. The pages are for this computer alone.", address)
		return nil, p
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, problem.Wrap(problem.AddressInUse, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
