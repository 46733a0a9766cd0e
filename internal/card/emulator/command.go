package emulator

import "errors"

// command is a command APDU as the card sees it (ISO/IEC 7816-4 section 5.1).
type command struct {
	cla, ins, p1, p2 byte
	data             []byte
	extended         bool
	le               int // bytes wanted; 0: none asked for
}

var errCommand = errors.New("malformed command APDU")

// parseCommand reads a short or extended command APDU of cases 1 to 4.
func parseCommand(b []byte) (command, error) {
	if len(b) < 4 {
		return command{}, errCommand
	}
	c := command{cla: b[0], ins: b[1], p1: b[2], p2: b[3]}
	b = b[4:]
	switch {
	case len(b) == 0:
		return c, nil
	case len(b) == 1:
		c.le = le(int(b[0]), 256)
		return c, nil
	case b[0] != 0:
		return parseShort(c, b)
	}
	return parseExtended(c, b)
}

func parseShort(c command, b []byte) (command, error) {
	n := int(b[0])
	switch len(b) {
	case 1 + n:
	case 2 + n:
		c.le = le(int(b[1+n]), 256)
	default:
		return command{}, errCommand
	}
	c.data = b[1 : 1+n]
	return c, nil
}

func parseExtended(c command, b []byte) (command, error) {
	c.extended = true
	if len(b) < 3 {
		return command{}, errCommand
	}
	n := int(b[1])<<8 | int(b[2])
	if len(b) == 3 {
		c.le = le(n, 65536)
		return c, nil
	}
	switch len(b) {
	case 3 + n:
	case 5 + n:
		c.le = le(int(b[3+n])<<8|int(b[4+n]), 65536)
	default:
		return command{}, errCommand
	}
	c.data = b[3 : 3+n]
	return c, nil
}

// le gives the number of bytes that an Le field of 0 means.
func le(n, all int) int {
	if n == 0 {
		return all
	}
	return n
}
