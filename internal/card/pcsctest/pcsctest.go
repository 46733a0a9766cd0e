// Package pcsctest starts a PC/SC service of its own with a virtual reader,
// beside the machine's and without touching it: for the demo and for tests
// that are to go through the real stack.
//
// It is Debian's pcscd with the driver of vsmartcard-vpcd in a mount namespace
// where /run is empty. Programs use it by PCSCLITE_CSOCK_NAME.
package pcsctest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// ErrUnavailable says that this machine cannot run such a service; the text
// says why.
var ErrUnavailable = errors.New("a private PC/SC service cannot run here")

// SocketVariable is the environment variable that names the socket to
// programs of pcsc-lite.
const SocketVariable = "PCSCLITE_CSOCK_NAME"

// Service is a running PC/SC service with a reader of two slots.
type Service struct {
	// Socket is the path for PCSCLITE_CSOCK_NAME.
	Socket string
	// VPCDAddress is where a card program connects for the first slot,
	// SecondAddress for the second.
	VPCDAddress, SecondAddress string

	folder  string
	output  *os.File
	process *exec.Cmd
	exited  chan struct{}
	close   sync.Once
}

// Names of the readers, in the order of the addresses.
const (
	Reader       = "Latchkey virtual reader 00 00"
	SecondReader = "Latchkey virtual reader 00 01"
)

const (
	startPatience = 10 * time.Second
	stopPatience  = 3 * time.Second
	look          = 20 * time.Millisecond
	tries         = 5 // a port may be taken between finding and using it
)

// Run starts a service. It ends with Close, and with the program that started
// it. Error: ErrUnavailable.
func Run() (*Service, error) {
	parts, err := find()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var failed error
	for range tries {
		s, err := parts.start()
		if err == nil {
			return s, nil
		}
		failed = err
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, failed)
}

// parts are the programs of the machine that the service is made of.
type parts struct{ daemon, driver, unshare string }

func find() (parts, error) {
	var p parts
	var err error
	if p.daemon, err = program("pcscd"); err != nil {
		return p, err
	}
	if p.unshare, err = program("unshare"); err != nil {
		return p, err
	}
	drivers, err := filepath.Glob("/usr/lib/pcsc/drivers/serial/libifdvpcd.so*")
	if err != nil || len(drivers) == 0 {
		return p, errors.Join(errors.New("the driver of vsmartcard-vpcd is not installed"), err)
	}
	p.driver = drivers[0]
	return p, nil
}

// program finds a program that may be outside the PATH of ordinary users.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/sbin"} {
		if path, sbinErr := exec.LookPath(filepath.Join(folder, name)); sbinErr == nil {
			return path, nil
		}
	}
	return "", err
}

func (p parts) start() (_ *Service, err error) {
	s := &Service{exited: make(chan struct{})}
	if s.folder, err = os.MkdirTemp("", "latchkey-pcsc-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove())
		}
	}()
	port, err := freePorts()
	if err != nil {
		return nil, err
	}
	s.Socket = filepath.Join(s.folder, "run", "pcscd.comm")
	s.VPCDAddress = fmt.Sprintf("127.0.0.1:%d", port)
	s.SecondAddress = fmt.Sprintf("127.0.0.1:%d", port+1)
	if err := s.configure(p, port); err != nil {
		return nil, err
	}
	if s.output, err = os.Create(filepath.Join(s.folder, "output")); err != nil {
		return nil, err
	}
	s.process = p.command(s.folder)
	s.process.Stdout, s.process.Stderr = s.output, s.output
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.process.Wait() // how it ended is in its output
		close(s.exited)
	}()
	if err := s.ready(); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *Service) configure(p parts, port int) error {
	for _, folder := range []string{"run", "conf"} {
		if err := os.Mkdir(filepath.Join(s.folder, folder), 0o755); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("FRIENDLYNAME \"Latchkey virtual reader\"\nDEVICENAME /dev/null:0x%04X\nLIBPATH %s\nCHANNELID 0x%04X\n", port, p.driver, port)
	return os.WriteFile(filepath.Join(s.folder, "conf", "vpcd"), []byte(text), 0o644)
}

// freePorts finds two ports that follow each other and that nobody listens on.
func freePorts() (int, error) {
	for range 50 {
		first, err := net.Listen("tcp", ":0")
		if err != nil {
			return 0, err
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.Listen("tcp", fmt.Sprintf(":%d", port+1))
		_ = first.Close()
		if err == nil {
			_ = second.Close()
			return port, nil
		}
	}
	return 0, errors.New("no two free ports in a row")
}

// ready waits until the service listens.
func (s *Service) ready() error {
	deadline := time.NewTimer(startPatience)
	defer deadline.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if _, err := os.Stat(s.Socket); err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("pcscd ended at once: %s", s.said())
		case <-deadline.C:
			return fmt.Errorf("pcscd does not listen: %s", s.said())
		case <-tick.C:
		}
	}
}

// said is the end of what the service has printed.
func (s *Service) said() string {
	f, err := os.Open(s.output.Name())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(raw)), " ")
}

// Environment is the machine's environment with this service in it.
func (s *Service) Environment() []string {
	return append(os.Environ(), SocketVariable+"="+s.Socket)
}

// Close ends the service and removes its files.
func (s *Service) Close() error {
	var err error
	s.close.Do(func() {
		s.stop()
		err = s.remove()
	})
	return err
}

func (s *Service) stop() {
	if s.process.Process.Signal(os.Interrupt) == nil {
		select {
		case <-s.exited:
			return
		case <-time.After(stopPatience):
		}
	}
	_ = s.process.Process.Kill() // it may have ended meanwhile
	<-s.exited
}

func (s *Service) remove() error {
	var err error
	if s.output != nil {
		err = s.output.Close()
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}
