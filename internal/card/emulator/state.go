// Package emulator is a card in software: one card with one or several
// applications (PIV, GIDS, OpenPGP, one of a profile, and what a YubiKey has), answering the
// commands of their standards well enough that OpenSC, yubico-piv-tool, ykman
// and GnuPG work with it.
//
// It keeps its state in a file that is written before each answer that changed
// it, so that tearing the card out, or killing the process, leaves what a real
// card would hold. It is for demonstrations and tests: it protects nothing.
package emulator

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
)

// stateVersion is the layout of state files. Files without a version hold a PIV
// card alone.
const stateVersion = 2

// State is all that the card remembers without power: what it is, and what each
// of its applications holds.
type State struct {
	Version  int    `json:"version"`
	Family   string `json:"family"` // what it was made as, see Options
	Serial   uint32 `json:"serial"`
	YubiKey  bool   `json:"yubikey"`            // metadata, serial number, version
	Firmware string `json:"firmware,omitempty"` // of a YubiKey

	*PIV    `json:"piv,omitempty"`
	GIDS    *GIDS    `json:"gids,omitempty"`
	OpenPGP *OpenPGP `json:"openpgp,omitempty"`
	ISO     *ISO7816 `json:"iso7816,omitempty"`
}

// PIV is what the PIV application holds.
type PIV struct {
	GUID        string   `json:"guid"` // 16 bytes in hex
	PIN         string   `json:"pin"`
	PUK         string   `json:"puk"`
	PINTries    int      `json:"pin_tries"`
	PUKTries    int      `json:"puk_tries"`
	PINTotal    int      `json:"pin_tries_total"`
	PUKTotal    int      `json:"puk_tries_total"`
	PUKDisabled bool     `json:"puk_disabled,omitempty"` // blocked on purpose, as YubiKey's minidriver does
	RefusePINs  []string `json:"refuse_pins,omitempty"`  // answered with 6A80
	History     bool     `json:"pin_history,omitempty"`  // refuses the PIN it has
	GzipCerts   bool     `json:"gzip_certificates,omitempty"`
	Management  string   `json:"management_key"` // 3DES or AES-192, 24 bytes in hex
	Keys        []Key    `json:"keys"`
}

// Key is a private key on the card with its certificate.
type Key struct {
	Slot        string `json:"slot"` // PIV "9A", "9E"; GIDS "81"; OpenPGP "SIG", "AUT"
	PKCS8       []byte `json:"pkcs8"`
	Certificate []byte `json:"certificate,omitempty"` // DER
}

// clone is a copy that shares nothing that changes.
func (s State) clone() State {
	if s.PIV != nil {
		p := *s.PIV
		s.PIV = &p
	}
	if s.GIDS != nil {
		g := *s.GIDS
		g.Files, g.Objects = maps.Clone(g.Files), maps.Clone(g.Objects)
		s.GIDS = &g
	}
	if s.OpenPGP != nil {
		o := *s.OpenPGP
		o.Objects = maps.Clone(o.Objects)
		s.OpenPGP = &o
	}
	if s.ISO != nil {
		i := *s.ISO
		s.ISO = &i
	}
	return s
}

// Identifier is how the card is known: that of its first application.
func (s State) Identifier() string {
	switch {
	case s.PIV != nil:
		return s.GUID
	case s.GIDS != nil:
		return s.GIDS.Identifier()
	case s.OpenPGP != nil:
		return s.OpenPGP.Identifier()
	case s.ISO != nil:
		return s.ISO.Number
	}
	return ""
}

// lock spends all tries of the PIN of the first application.
func (s *State) lock() {
	switch {
	case s.PIV != nil:
		s.PINTries = 0
	case s.GIDS != nil:
		s.GIDS.PINTries = 0
	case s.OpenPGP != nil:
		s.OpenPGP.PINTries = 0
	case s.ISO != nil:
		s.ISO.PINTries = 0
	}
}

// LoadState reads a state file, of this version or of any before it.
func LoadState(path string) (State, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return State{}, fmt.Errorf("read card state: %w", err)
	}
	s, err := decode(raw)
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return State{}, fmt.Errorf("card state %s: %w", path, err)
	}
	return s, nil
}

func decode(raw []byte) (State, error) {
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, err
	}
	switch s.Version {
	case stateVersion:
		return s, nil
	case 0: // the PIV application's fields stood beside the card's
		s.Version, s.Family, s.PIV = stateVersion, FamilyPIV, &PIV{}
		if s.YubiKey {
			s.Firmware = defaultFirmware
		}
		return s, json.Unmarshal(raw, s.PIV)
	}
	return s, fmt.Errorf("version %d is not known to this program", s.Version)
}

// check refuses what no card can hold.
func (s State) check() error {
	if s.PIV == nil && s.GIDS == nil && s.OpenPGP == nil && s.ISO == nil {
		return errors.New("it has no application")
	}
	if s.YubiKey {
		if _, err := parseFirmware(s.Firmware); err != nil {
			return err
		}
	}
	if s.PIV != nil {
		if guid, err := hex.DecodeString(s.GUID); err != nil || len(guid) != 16 || !validReference(s.PIN) || !validReference(s.PUK) {
			return errors.New("PIN, PUK or GUID is not valid")
		}
		if s.PINTries < 0 || s.PUKTries < 0 {
			return errBelowZero
		}
	}
	if s.GIDS != nil {
		if err := s.GIDS.check(); err != nil {
			return err
		}
	}
	if s.OpenPGP != nil {
		if err := s.OpenPGP.check(); err != nil {
			return err
		}
	}
	if s.ISO != nil {
		return s.ISO.check()
	}
	return nil
}

var errBelowZero = errors.New("a try counter is below zero")

// encode is the state file's text.
func (s State) encode() ([]byte, error) {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode card state: %w", err)
	}
	return raw, nil
}

// Save writes the state file whole or not at all.
func (s State) Save(path string) error {
	raw, err := s.encode()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".card-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write card state: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write card state: %w", err)
	}
	return nil
}
