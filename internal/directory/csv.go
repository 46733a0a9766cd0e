package directory

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"latchkey/internal/problem"
)

// maxRecord bounds one record in bytes: a quote that is never closed must not
// read the rest of a file into memory.
const maxRecord = 256 << 10

// lineError says what is wrong with one line of a file; the import goes on.
type lineError struct{ problem *problem.Problem }

func (e *lineError) Error() string { return e.problem.What() }

// badLine gives a lineError with words for the person who made the file. They
// never hold an unlocking key.
func badLine(code problem.Code, format string, args ...any) error {
	p := problem.New(code)
	p.Detail = fmt.Sprintf(format, args...)
	return &lineError{p}
}

// table reads a CSV file (RFC 4180) whose first line names its columns. A byte
// order mark, CRLF and any order and case of columns are accepted.
type table struct {
	bounded *boundedReader
	csv     *csv.Reader
	columns map[string]int
	width   int
}

// row is one line of a table.
type row struct {
	line    int // the number of the record's first line in the file, from 1
	columns map[string]int
	values  []string
}

// value gives a column's value without white space around it; false where the
// file has no such column.
func (r row) value(column string) (string, bool) {
	i, ok := r.columns[column]
	if !ok {
		return "", false
	}
	return strings.TrimSpace(r.values[i]), true
}

// get is value for columns that may be left out.
func (r row) get(column string) string {
	v, _ := r.value(column)
	return v
}

// newTable reads the first line. Errors: problem.ImportHeader,
// problem.ImportEncoding.
func newTable(in io.Reader, required, optional []string) (*table, error) {
	bounded := &boundedReader{in: bufio.NewReader(in)}
	if err := bounded.skipMark(); err != nil {
		return nil, err
	}
	t := &table{bounded: bounded, csv: csv.NewReader(bounded), columns: make(map[string]int)}
	t.csv.FieldsPerRecord = -1
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, headerProblem("The file is empty.")
	}
	if err != nil {
		return nil, problem.Wrap(problem.ImportHeader, err)
	}
	for i, name := range header {
		if !utf8.ValidString(name) {
			return nil, problem.New(problem.ImportEncoding)
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return nil, headerProblem("The column %.40q is not known.", name)
		}
		if _, twice := t.columns[name]; twice {
			return nil, headerProblem("The column %q is there twice.", name)
		}
		t.columns[name] = i
	}
	for _, name := range required {
		if _, ok := t.columns[name]; !ok {
			return nil, headerProblem("The column %q is missing.", name)
		}
	}
	t.width = len(header)
	return t, nil
}

func headerProblem(format string, args ...any) error {
	p := problem.New(problem.ImportHeader)
	p.Detail = fmt.Sprintf(format, args...)
	return p
}

// next reads a line. A *lineError is about that line alone, whose number comes
// with it; io.EOF is the end.
func (t *table) next() (row, error) {
	t.bounded.left = maxRecord
	values, err := t.csv.Read()
	var syntax *csv.ParseError
	switch {
	case errors.Is(err, errRecordSize):
		return row{}, problem.Wrap(problem.ImportLine, fmt.Errorf("after line %d: %w", t.line(values), err))
	case errors.As(err, &syntax):
		return row{line: syntax.StartLine}, badLine(problem.ImportLine, "The quotation marks are not right.")
	case err != nil:
		return row{}, err
	}
	r := row{line: t.line(values), columns: t.columns, values: slices.Clone(values)}
	if len(values) != t.width {
		return r, badLine(problem.ImportLine, "The line has %d values, the first line has %d.", len(values), t.width)
	}
	for _, v := range values {
		if !utf8.ValidString(v) {
			return r, badLine(problem.ImportEncoding, "The line has bytes that are not UTF-8.")
		}
		if strings.ContainsRune(v, 0) {
			return r, badLine(problem.ImportEncoding, "The line has a NUL character in it.")
		}
	}
	return r, nil
}

// line is the number of the record's first line.
func (t *table) line(values []string) int {
	if len(values) == 0 {
		return 0
	}
	n, _ := t.csv.FieldPos(0)
	return n
}

var errRecordSize = errors.New("a line is too long: is a quotation mark never closed?")

// boundedReader fails where one record takes more than its bytes.
type boundedReader struct {
	in   *bufio.Reader
	left int
}

// skipMark skips the byte order mark of UTF-8; that of UTF-16 is an
// ImportEncoding.
func (r *boundedReader) skipMark() error {
	r.left = maxRecord
	start, err := r.in.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(start, []byte{0xff, 0xfe}) || bytes.HasPrefix(start, []byte{0xfe, 0xff}) {
		return problem.New(problem.ImportEncoding)
	}
	if bytes.Equal(start, []byte("\ufeff")) {
		_, err = r.in.Discard(len(start))
		return err
	}
	return nil
}

func (r *boundedReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errRecordSize
	}
	n, err := r.in.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}
