package emulator

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// ErrTorn says that a Fault tore the card out of the reader.
var ErrTorn = errors.New("the card was torn out")

// Fault changes what happens at a command. The zero value changes nothing.
type Fault struct {
	TearBefore bool          // torn out before the card acted
	TearAfter  bool          // torn out after the card acted, its answer lost
	Delay      time.Duration // before the card acts
	Answer     []byte        // instead of the card's own answer; the card does not act
}

// Faults decides on the Fault of a command: n counts the commands since the
// card was made or loaded, from 1.
type Faults func(n int, command []byte) Fault

// Card is a card that can be put in a reader. It is safe for concurrent use.
type Card struct {
	mu     sync.Mutex
	state  State
	path   string // "": kept in memory alone
	faults Faults
	count  int

	applications []application
	kept         []byte // the state as it is in the file

	// Lost at power-off and reset.
	current    application // the selected one; nil: none
	chained    []byte      // data of command chaining so far
	chainedINS byte
	answer     []byte // rest of a long answer
	answerSW   uint16
}

// New makes a card in memory.
func New(o Options) (*Card, error) {
	s, err := NewState(o)
	if err != nil {
		return nil, err
	}
	return newCard(s, ""), nil
}

// FromState makes a card in memory that holds what it is given: also one of
// several applications that no Options make.
func FromState(s State) (*Card, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return newCard(s.clone(), ""), nil
}

// newCard puts a card together from its state.
func newCard(s State, path string) *Card {
	c := &Card{state: s, path: path}
	c.applications = applications(&c.state)
	c.current = implicit(c.applications)
	return c
}

// Create makes a card that keeps its state in a file, which must not exist.
func Create(path string, o Options) (*Card, error) {
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("card state %s: %w", path, os.ErrExist)
	}
	s, err := NewState(o)
	if err != nil {
		return nil, err
	}
	if err := s.Save(path); err != nil {
		return nil, err
	}
	return newCard(s, path), nil
}

// Load takes up a card from its file.
func Load(path string) (*Card, error) {
	s, err := LoadState(path)
	if err != nil {
		return nil, err
	}
	return newCard(s, path), nil
}

// State is a copy of what the card remembers.
func (c *Card) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.clone()
}

// Edit changes the card's memory behind its back, for tests and vcard.
func (c *Card) Edit(change func(*State)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.state)
	return c.save()
}

// Lock spends all tries of the PIN of the card's first application.
func (c *Card) Lock() error { return c.Edit((*State).lock) }

// SetFaults sets what goes wrong; nil: nothing. The count starts again.
func (c *Card) SetFaults(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults, c.count = f, 0
}

// ATR is the answer to reset: T=1, historical bytes "Latchkey", or those of a
// YubiKey 5 or of an OpenPGP card.
func (c *Card) ATR() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.PIV == nil && c.state.GIDS == nil && c.state.OpenPGP == nil && c.state.ISO != nil && c.state.ISO.atr() != nil {
		return c.state.ISO.atr()
	}
	history, header := []byte("Latchkey"), []byte{0x80, 0x80, 0x01}
	switch {
	case c.state.YubiKey:
		history = []byte{0x80, 0x73, 0xC0, 0x21, 0xC0, 0x57, 0x59, 0x75, 0x62, 0x69, 0x4B, 0x65, 0x79}
		header = []byte{0xF0, 0x13, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x15}
	case c.state.PIV == nil && c.state.OpenPGP != nil:
		history = openpgpHistory()
	}
	header[0] |= byte(len(history))
	atr := append(append([]byte{0x3B}, header...), history...)
	var check byte
	for _, b := range atr[1:] {
		check ^= b
	}
	return append(atr, check)
}

// Reset is what power and reset lines do: everything verified is forgotten.
func (c *Card) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

func (c *Card) reset() {
	for _, a := range c.applications {
		a.forget()
	}
	c.current, c.chained, c.answer = implicit(c.applications), nil, nil
}

// Transmit answers one command APDU. ErrTorn means that no answer came; the
// card has been reset. Any other error is a fault of the state file.
func (c *Card) Transmit(raw []byte) ([]byte, error) {
	c.mu.Lock()
	c.count++
	var f Fault
	if c.faults != nil {
		f = c.faults(c.count, raw)
	}
	c.mu.Unlock()
	if f.Delay > 0 {
		time.Sleep(f.Delay) // slowness is what is asked for
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.TearBefore {
		c.reset()
		return nil, ErrTorn
	}
	if f.Answer != nil {
		return f.Answer, nil
	}
	data, sw, err := c.process(raw)
	if err != nil {
		return nil, err
	}
	if f.TearAfter {
		c.reset()
		return nil, ErrTorn
	}
	return append(append([]byte(nil), data...), byte(sw>>8), byte(sw)), nil
}

// process parses, acts, and keeps what changed before it answers.
func (c *Card) process(raw []byte) ([]byte, uint16, error) {
	cmd, err := parseCommand(raw)
	if err != nil {
		return nil, swWrongLength, nil
	}
	if cmd.ins == insGetResponse {
		data, sw := c.getResponse(cmd)
		return data, sw, nil
	}
	c.answer = nil
	if cmd.cla&0x10 != 0 {
		return nil, c.chain(cmd), nil
	}
	if c.chained != nil && c.chainedINS == cmd.ins {
		cmd.data = append(c.chained, cmd.data...)
	}
	c.chained = nil
	data, sw := c.dispatch(cmd)
	if err := c.keep(); err != nil {
		return nil, 0, err
	}
	data, sw = c.cut(cmd, data, sw)
	return data, sw, nil
}

func (c *Card) dispatch(cmd command) ([]byte, uint16) {
	switch {
	case cmd.ins == insSelect && cmd.p1 == 0x04:
		return c.selectByName(cmd.data)
	case cmd.ins == insSelect && cmd.p1 == 0 && hex.EncodeToString(cmd.data) == masterFile && implicit(c.applications) != nil:
		if c.current != nil {
			c.current.forget()
		}
		c.current = implicit(c.applications)
		return c.current.answer(cmd)
	case c.current != nil:
		return c.current.answer(cmd)
	case cmd.ins == insSelect:
		return nil, swNotFound
	}
	return nil, swNoINS
}

// keep writes the state file where a command has changed something.
func (c *Card) keep() error {
	if c.path == "" {
		return nil
	}
	now, err := c.state.encode()
	if err != nil || bytes.Equal(now, c.kept) {
		return err
	}
	return c.save()
}

func (c *Card) save() error {
	if c.path == "" {
		return nil
	}
	err := c.state.Save(c.path)
	if err == nil {
		c.kept, err = c.state.encode()
	}
	return err
}

// maxChained bounds the data of one chained command.
const maxChained = 8 << 10

func (c *Card) chain(cmd command) uint16 {
	if c.chained == nil || c.chainedINS != cmd.ins {
		c.chained = []byte{}
	}
	if len(c.chained)+len(cmd.data) > maxChained {
		c.chained = nil
		return swWrongLength
	}
	c.chained, c.chainedINS = append(c.chained, cmd.data...), cmd.ins
	return swOK
}

// cut answers what fits and keeps the rest for GET RESPONSE.
func (c *Card) cut(cmd command, data []byte, sw uint16) ([]byte, uint16) {
	limit := 256
	if cmd.extended {
		limit = 65536
	}
	if len(data) <= limit {
		return data, sw
	}
	c.answer, c.answerSW = data[limit:], sw
	return data[:limit], 0x6100 | uint16(min(len(c.answer), 256)&0xFF)
}

func (c *Card) getResponse(cmd command) ([]byte, uint16) {
	if c.answer == nil {
		return nil, swConditions
	}
	data, sw := c.answer, c.answerSW
	c.answer = nil
	return c.cut(cmd, data, sw)
}
