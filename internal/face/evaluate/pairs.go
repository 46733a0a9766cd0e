// Package evaluate measures how well an engine tells people apart: over pairs
// of pictures that are known to show one person or two, it gives how many of
// either an engine would match at each similarity (a receiver operating
// characteristic), as numbers and as a drawing.
package evaluate

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Pair is two pictures, by their files' names.
type Pair struct {
	A, B string
	Same bool // one person
}

// LineError says which line of a list is not right.
type LineError struct {
	Line int // from 1; 0 is the list as a whole
	What string
}

func (e *LineError) Error() string {
	if e.Line == 0 {
		return e.What
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.What)
}

// longestLine of a list in bytes.
const longestLine = 64 << 10

// ReadPairs reads a list of pairs, one a line: two names and 1 for the same
// person or 0, apart by tabs, or by spaces where there are no tabs. Empty lines
// and those that begin with # are left out. Its error is a *LineError, or the
// reader's.
func ReadPairs(r io.Reader) ([]Pair, error) {
	var pairs []Pair
	var same, other int
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Fields(line)
		if strings.Contains(line, "\t") {
			parts = strings.Split(line, "\t")
		}
		if len(parts) != 3 {
			return nil, &LineError{n, fmt.Sprintf("it has %d values, not 3", len(parts))}
		}
		p := Pair{A: parts[0], B: parts[1]}
		switch parts[2] {
		case "1":
			p.Same = true
			same++
		case "0":
			other++
		default:
			return nil, &LineError{n, fmt.Sprintf("%.20q is neither 1 nor 0", parts[2])}
		}
		pairs = append(pairs, p)
	}
	if err := lines.Err(); err == bufio.ErrTooLong {
		return nil, &LineError{n + 1, "it is too long"}
	} else if err != nil {
		return nil, err
	}
	if same == 0 || other == 0 {
		return nil, &LineError{0, fmt.Sprintf("%d pairs of one person and %d of two: both kinds are needed", same, other)}
	}
	return pairs, nil
}
