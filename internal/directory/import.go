package directory

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"

	"latchkey/internal/audit"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// ImportOptions say how a file is imported.
type ImportOptions struct {
	// Partial keeps the good lines where others are bad, and commits as it
	// goes. Without it the whole file is one transaction.
	Partial bool
	// DryRun checks everything and keeps nothing.
	DryRun bool
	// WithoutKeys takes cards that have no unlocking key yet: it comes with
	// ImportKeys.
	WithoutKeys bool
	// Bad is told each bad line, once, in order.
	Bad func(BadLine)
	// Progress is told the number of lines done, every thousand lines.
	Progress func(lines int)
}

// BadLine is a line that can't be imported, and why.
type BadLine struct {
	Line    int
	Problem *problem.Problem // What() names the value; never an unlocking key
}

// ImportResult counts lines.
type ImportResult struct {
	Lines, Added, Changed, Unchanged, Bad int
}

const (
	importBatch    = 500  // lines of a transaction of a partial import
	importProgress = 1000 // lines between two calls of Progress
)

// errRollback ends a transaction that must leave nothing behind.
var errRollback = errors.New("roll back")

// outcome is what became of a line.
type outcome int

const (
	unchanged outcome = iota
	added
	changed
)

// record is a line that was understood.
type record interface {
	// keys name what may be in a file only once.
	keys() []string
	// apply brings the database in line with it. A *lineError is about the
	// line and leaves nothing written.
	apply(ctx context.Context, tx *store.Tx) (outcome, error)
}

// importRun is one import under way.
type importRun struct {
	name               string // for the audit trail
	required, optional []string
	parse              func(row) (record, error)
	options            ImportOptions

	result   ImportResult
	reported int // the last line that Bad was told: a transaction may run again
	seed     maphash.Seed
	seen     map[uint64]int32 // hash of a key: its line. A million lines take some 50 MB
}

// run imports a file. Errors: problem.ImportHeader, problem.ImportEncoding,
// problem.ImportRefused where lines are bad (and nothing was kept, unless
// Partial), problem.ImportFile where the file can't be read, and the
// database's own. Importing a file again changes nothing.
func (r *importRun) run(ctx context.Context, db *store.DB, file io.ReadSeeker) (ImportResult, error) {
	r.seed = maphash.MakeSeed()
	if r.options.Bad == nil {
		r.options.Bad = func(BadLine) {}
	}
	if r.options.Progress == nil {
		r.options.Progress = func(int) {}
	}
	var err error
	if r.options.Partial && !r.options.DryRun {
		err = r.partial(ctx, db, file)
	} else {
		err = db.Update(ctx, func(tx *store.Tx) error { return r.whole(ctx, tx, file) })
	}
	if errors.Is(err, errRollback) {
		err = nil
	}
	if err == nil && r.result.Bad > 0 && !r.options.Partial {
		return r.result, problem.Wrap(problem.ImportRefused, fmt.Errorf("%d of %d lines are bad", r.result.Bad, r.result.Lines))
	}
	if err != nil {
		return r.result, fmt.Errorf("import %s: %w", r.name, err)
	}
	return r.result, nil
}

// open starts the file from its beginning.
func (r *importRun) open(file io.ReadSeeker) (*table, error) {
	r.result, r.seen = ImportResult{}, make(map[uint64]int32)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, problem.Wrap(problem.ImportFile, err)
	}
	t, err := newTable(file, r.required, r.optional)
	return t, fileFault(err)
}

// whole imports a file in one transaction, which may run again.
func (r *importRun) whole(ctx context.Context, tx *store.Tx, file io.ReadSeeker) error {
	t, err := r.open(file)
	if err != nil {
		return err
	}
	for {
		l, err := r.next(t)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := r.apply(ctx, tx, l); err != nil {
			return err
		}
	}
	if r.result.Bad > 0 && !r.options.Partial || r.options.DryRun {
		return errRollback
	}
	return r.finish(ctx, tx)
}

// partial imports a file in many transactions, so that others get their turn.
func (r *importRun) partial(ctx context.Context, db *store.DB, file io.ReadSeeker) error {
	t, err := r.open(file)
	if err != nil {
		return err
	}
	for end := false; !end; {
		var batch []line
		for len(batch) < importBatch {
			l, err := r.next(t)
			if end = errors.Is(err, io.EOF); end {
				break
			}
			if err != nil {
				return err
			}
			batch = append(batch, l)
		}
		before := r.result
		err := db.Update(ctx, func(tx *store.Tx) error {
			r.result = before
			for _, l := range batch {
				if err := r.apply(ctx, tx, l); err != nil {
					return err
				}
			}
			if end {
				return r.finish(ctx, tx)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// line is a line of the file that was read: a record, or what is wrong with it.
type line struct {
	number int
	record record
	err    error // *lineError
}

// next reads and understands one line.
func (r *importRun) next(t *table) (line, error) {
	raw, err := t.next()
	var bad *lineError
	if err != nil && !errors.As(err, &bad) {
		return line{}, fileFault(err)
	}
	if r.result.Lines++; r.result.Lines%importProgress == 0 {
		r.options.Progress(r.result.Lines)
	}
	l := line{number: raw.line, err: err}
	if l.err == nil {
		l.record, l.err = r.parse(raw)
	}
	if l.err == nil {
		l.err = r.once(l.number, l.record.keys())
	}
	return l, nil
}

// once refuses what an earlier line of the file has already. Two different
// keys look the same once in 10^7 files of a million lines (64-bit hashes).
func (r *importRun) once(line int, keys []string) error {
	for _, k := range keys {
		h := maphash.String(r.seed, k)
		if first, ok := r.seen[h]; ok {
			return badLine(problem.ImportLine, "The same one is on line %d already.", first)
		}
		r.seen[h] = int32(line)
	}
	return nil
}

// apply applies a line's record and counts it, or reports the line as bad.
func (r *importRun) apply(ctx context.Context, tx *store.Tx, l line) error {
	if l.err != nil {
		return r.bad(l.number, l.err)
	}
	what, err := l.record.apply(ctx, tx)
	if err != nil {
		return r.bad(l.number, err)
	}
	switch what {
	case added:
		r.result.Added++
	case changed:
		r.result.Changed++
	default:
		r.result.Unchanged++
	}
	return nil
}

// bad counts and reports a lineError; any other error comes back.
func (r *importRun) bad(line int, err error) error {
	var bad *lineError
	if !errors.As(err, &bad) {
		return fmt.Errorf("line %d: %w", line, err)
	}
	r.result.Bad++
	if line > r.reported {
		r.reported = line
		r.options.Bad(BadLine{Line: line, Problem: bad.problem})
	}
	return nil
}

// finish puts the import itself in the audit trail, if it did anything.
func (r *importRun) finish(ctx context.Context, tx *store.Tx) error {
	if r.result.Added+r.result.Changed == 0 {
		return nil
	}
	return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorOperator, Action: audit.ImportFinished, Details: map[string]string{
		"of": r.name, "lines": strconv.Itoa(r.result.Lines), "added": strconv.Itoa(r.result.Added),
		"changed": strconv.Itoa(r.result.Changed), "bad": strconv.Itoa(r.result.Bad)}})
}

// fileFault makes an error of reading the file one for people.
func fileFault(err error) error {
	var p *problem.Problem
	if err == nil || errors.Is(err, io.EOF) || errors.As(err, &p) {
		return err
	}
	return problem.Wrap(problem.ImportFile, err)
}
