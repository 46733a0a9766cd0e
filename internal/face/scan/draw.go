package scan

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"latchkey/internal/face"
)

// What a scan consists of.
const (
	Colours      = 8
	ColourLength = 500 * time.Millisecond // at most one flash a second (WCAG 2.2, 2.3.1: at most three)
	TurnLength   = 1500 * time.Millisecond
	BackLength   = 800 * time.Millisecond // for the head to come back, before the colours
)

// neutral fills the screen during the turn and after it.
var neutral = face.Colour{R: 0xd0, G: 0xd0, B: 0xd0}

// palette has a colour for each set of channels that are on: bit 0 red, bit 1
// green, bit 2 blue. Red is softened below WCAG's saturated red, R/(R+G+B) of
// 0.8 in linear light.
var palette = [8]face.Colour{
	{R: 0x10, G: 0x10, B: 0x10},
	{R: 0xff, G: 0x70, B: 0x70},
	{R: 0x20, G: 0xff, B: 0x20},
	{R: 0xff, G: 0xff, B: 0x20},
	{R: 0x20, G: 0x20, B: 0xff},
	{R: 0xff, G: 0x20, B: 0xff},
	{R: 0x20, G: 0xff, B: 0xff},
	{R: 0xff, G: 0xff, B: 0xff},
}

// DrawFrom draws a challenge from a source of random bytes. Scans of people are
// drawn from crypto/rand, by Checker.Draw.
func DrawFrom(random io.Reader) (face.Challenge, error) {
	for {
		// 8 steps of 3 bits, and one bit for the side: 25 of 32.
		var b [4]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return face.Challenge{}, fmt.Errorf("draw a scan: %w", err)
		}
		bits := binary.BigEndian.Uint32(b[:])
		turn := face.TurnLeft
		if bits>>24&1 == 1 {
			turn = face.TurnRight
		}
		var sets [Colours]uint8
		for i := range sets {
			sets[i] = uint8(bits >> (3 * i) & 7)
		}
		if !varied(sets) {
			continue
		}
		c := face.Challenge{Steps: []face.Step{
			{Turn: turn, Colour: neutral, Length: TurnLength},
			{Colour: neutral, Length: BackLength},
		}}
		for _, s := range sets {
			c.Steps = append(c.Steps, face.Step{Colour: palette[s], Length: ColourLength})
		}
		return c, nil
	}
}

// varied says whether a row of colours can be told from others: no two
// neighbours are the same, each channel is on and off at least twice, and any
// two channels differ at least twice.
func varied(sets [Colours]uint8) bool {
	var on [3]int
	var differ [3]int
	for i, s := range sets {
		if i > 0 && s == sets[i-1] {
			return false
		}
		for ch := range on {
			on[ch] += int(s >> ch & 1)
			differ[ch] += int((s>>ch ^ s>>((ch+1)%3)) & 1)
		}
	}
	for ch := range on {
		if on[ch] < 2 || on[ch] > Colours-2 || differ[ch] < 2 {
			return false
		}
	}
	return true
}

// pick gives a random number below n.
func pick(random io.Reader, n int) (int, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint64(b[:]) % uint64(n)), nil // n is far below 2^64: no bias that matters
}
