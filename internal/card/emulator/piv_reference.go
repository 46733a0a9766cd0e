package emulator

import (
	"bytes"
	"crypto/subtle"
	"slices"
	"strings"
)

// Key references.
const (
	refPIN         = 0x80
	refPUK         = 0x81
	slotManagement = 0x9B
	slotPIVAuth    = 0x9A
	slotCardAuth   = 0x9E
)

// refused is the status word for a wrong PIN or PUK. It has room for 15 tries:
// a card that has more says 15.
func refused(left int) uint16 {
	if left == 0 {
		return swBlocked
	}
	return 0x63C0 | uint16(min(left, 15))
}

// padded is a PIN or PUK as it crosses the interface.
func padded(s string) []byte {
	return append([]byte(s), bytes.Repeat([]byte{0xFF}, 8-len(s))...)
}

// present compares a PIN or PUK and keeps the try counter, as
// SP 800-73-4 part 2 sections 3.2.1 to 3.2.3 ask.
func present(value []byte, want string, tries *int, total int) uint16 {
	if *tries == 0 {
		return swBlocked
	}
	if subtle.ConstantTimeCompare(value, padded(want)) != 1 {
		*tries--
		if *tries == 0 {
			return 0x63C0
		}
		return refused(*tries)
	}
	*tries = total
	return swOK
}

func (c *piv) verify(cmd command) uint16 {
	if cmd.p2 != refPIN {
		return swReference
	}
	if cmd.p1 == 0xFF && len(cmd.data) == 0 {
		c.pinVerified = false
		return swOK
	}
	if cmd.p1 != 0 {
		return swWrongP1P2
	}
	if len(cmd.data) == 0 {
		if c.pinVerified {
			return swOK
		}
		return refused(c.s.PINTries)
	}
	if len(cmd.data) != 8 {
		return swWrongData
	}
	sw := present(cmd.data, c.s.PIN, &c.s.PINTries, c.s.PINTotal)
	c.pinVerified = sw == swOK
	return sw
}

func (c *piv) changeReference(cmd command) uint16 {
	if cmd.p1 != 0 {
		return swWrongP1P2
	}
	if len(cmd.data) != 16 {
		return swWrongData
	}
	next, ok := c.acceptable(cmd.data[8:], cmd.p2 == refPIN)
	switch cmd.p2 {
	case refPIN:
		if c.s.PINTries == 0 {
			return swBlocked
		}
		if !ok {
			return swWrongData
		}
		sw := present(cmd.data[:8], c.s.PIN, &c.s.PINTries, c.s.PINTotal)
		if c.pinVerified = sw == swOK; sw == swOK {
			c.s.PIN = next
		}
		return sw
	case refPUK:
		if c.s.PUKTries == 0 {
			return swBlocked
		}
		if !ok {
			return swWrongData
		}
		sw := present(cmd.data[:8], c.s.PUK, &c.s.PUKTries, c.s.PUKTotal)
		if sw == swOK {
			c.s.PUK = next
		}
		return sw
	}
	return swReference
}

func (c *piv) resetRetryCounter(cmd command) uint16 {
	if cmd.p2 != refPIN || cmd.p1 != 0 {
		return swWrongP1P2
	}
	if len(cmd.data) != 16 {
		return swWrongData
	}
	if c.s.PUKTries == 0 {
		return swBlocked
	}
	next, ok := c.acceptable(cmd.data[8:], true)
	if !ok {
		return swWrongData
	}
	sw := present(cmd.data[:8], c.s.PUK, &c.s.PUKTries, c.s.PUKTotal)
	if sw == swOK {
		c.s.PIN, c.s.PINTries = next, c.s.PINTotal
		c.pinVerified = false
	}
	return sw
}

// acceptable checks the form of a new PIN or PUK (SP 800-73-4 part 2 section
// 2.4.3) and what this card in particular refuses.
func (c *piv) acceptable(value []byte, pin bool) (string, bool) {
	for len(value) > 0 && value[len(value)-1] == 0xFF {
		value = value[:len(value)-1]
	}
	s := string(value)
	if !validReference(s) || strings.Trim(s, "0123456789") != "" {
		return "", false
	}
	if pin && (slices.Contains(c.s.RefusePINs, s) || c.s.History && s == c.s.PIN) {
		return "", false
	}
	return s, true
}
