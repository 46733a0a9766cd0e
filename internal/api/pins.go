package api

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"latchkey/internal/problem"
)

// Pins remembers the signing keys of services (unlocking.md step 4): the one
// that was set at installation, or the one seen on first use, kept in a file of
// one line a service: address, space, key in base64.
type Pins struct {
	mu    sync.Mutex
	fixed ed25519.PublicKey // nil: trust on first use
	path  string
	// FirstUse is told of a key that is trusted because it is the first.
	FirstUse func(address string)
}

// NewPins makes Pins. key is the key that was set at installation in base64,
// or ""; path is the file for keys seen on first use.
func NewPins(key, path string) (*Pins, error) {
	if key == "" {
		return &Pins{path: path}, nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
	if err != nil || len(raw) != ed25519.PublicKeySize {
		p := problem.New(problem.ConfigInvalid)
		p.Detail = "The service's pinned key is not 32 bytes in base64."
		return nil, p
	}
	return &Pins{fixed: raw}, nil
}

// Check makes sure that key is the one that is known of the service at an
// address. Error: problem.ServicePin.
func (p *Pins) Check(address string, key []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(key) != ed25519.PublicKeySize {
		return problem.Wrap(problem.ServicePin, errors.New("the service showed no key"))
	}
	known, others, err := p.known(address)
	if err != nil {
		return err
	}
	if known == nil {
		return p.learn(address, key, others)
	}
	if !bytes.Equal(known, key) {
		return problem.Wrap(problem.ServicePin, fmt.Errorf("%s shows another key than before", address))
	}
	return nil
}

// known gives the key of a service, nil for none, and the file's text.
func (p *Pins) known(address string) (key []byte, text string, err error) {
	if p.fixed != nil {
		return p.fixed, "", nil
	}
	raw, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", problem.Wrap(problem.ServicePin, fmt.Errorf("read known services: %w", err))
	}
	for line := range strings.Lines(string(raw)) {
		name, encoded, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != address {
			continue
		}
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil || len(key) != ed25519.PublicKeySize {
			return nil, "", problem.Wrap(problem.ServicePin, fmt.Errorf("%s is damaged", p.path))
		}
		return key, "", nil
	}
	return nil, string(raw), nil
}

// learn keeps the key of a service that is seen for the first time. The file
// is replaced whole, so that it is never half written.
func (p *Pins) learn(address string, key []byte, others string) error {
	if others != "" && !strings.HasSuffix(others, "\n") {
		others += "\n"
	}
	text := others + address + " " + base64.StdEncoding.EncodeToString(key) + "\n"
	if err := replaceFile(p.path, text); err != nil {
		return problem.Wrap(problem.ServicePin, fmt.Errorf("keep the service's key: %w", err))
	}
	if p.FirstUse != nil {
		p.FirstUse(address)
	}
	return nil
}

func replaceFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".known-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
