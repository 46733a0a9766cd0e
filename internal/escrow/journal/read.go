package journal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// maxLine bounds a line in bytes.
const maxLine = 64 << 10

// hash is a line's, the first half of SHA-256.
type hash [16]byte

// chain is the hash of a line: over the hash before it and all that it says.
func chain(before hash, line int64, kind string, contents []byte) hash {
	h := sha256.New()
	h.Write(before[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(line)))
	h.Write([]byte{byte(len(kind))})
	h.Write([]byte(kind))
	h.Write(contents)
	return hash(h.Sum(nil)[:len(hash{})])
}

// short is a key or card in the index: 8 bytes of its hash. Two of a million
// are alike once in 3 * 10^7 installations.
func short(id string) uint64 {
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:])
}

// line is a line of the file.
type line struct {
	number   int64
	kind     string
	hash     hash
	contents []byte
}

var types = []string{typeHead, typeKey, typeNext, typeDone, typeCard, typeSeen}

// parse reads a line without its line end.
func parse(text []byte) (line, error) {
	f := bytes.Split(text, []byte(" "))
	bad := func(what string) (line, error) { return line{}, fmt.Errorf("%w: %s", ErrDamaged, what) }
	if len(f) != 4 || len(text) > maxLine {
		return bad("not four words")
	}
	l := line{kind: string(f[1])}
	var err error
	if l.number, err = strconv.ParseInt(string(f[0]), 10, 64); err != nil || l.number < 1 || strconv.FormatInt(l.number, 10) != string(f[0]) {
		return bad("the number")
	}
	if !slices.Contains(types, l.kind) {
		return bad("the type")
	}
	shown, err := hex.DecodeString(string(f[2]))
	if err != nil || len(shown) != len(l.hash) {
		return bad("the hash")
	}
	l.hash = hash(shown)
	if l.contents, err = base64.StdEncoding.Strict().DecodeString(string(f[3])); err != nil {
		return bad("the contents")
	}
	return l, nil
}

// catchUp reads what is in the file beyond what is known, and cuts a torn last
// line off. The file is locked.
func (j *Journal) catchUp(ctx context.Context) error {
	info, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("look at key journal: %w", err)
	}
	switch size := info.Size(); {
	case size == j.state.offset && !j.broken:
		return nil
	case size < j.state.offset:
		return fmt.Errorf("%s is shorter than it was: %w", j.path, ErrDamaged)
	case j.broken:
		// What a failed write has left behind: nobody was told of it.
		if err := j.file.Truncate(j.state.offset); err != nil {
			return fault(err)
		}
		j.broken = false
		return nil
	}
	in := bufio.NewReaderSize(io.NewSectionReader(j.file, j.state.offset, info.Size()-j.state.offset), maxLine)
	for {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			if len(text) > 0 {
				return j.cut()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w: %w", j.path, j.state.line+1, ErrDamaged, err)
		}
		if err := j.read(ctx, text); err != nil {
			if errors.Is(err, ErrDamaged) && j.state.line > 0 && j.state.offset+int64(len(text)) == info.Size() {
				return j.cut() // a last line that came to the disk only in part
			}
			return fmt.Errorf("%s, line %d: %w", j.path, j.state.line+1, err)
		}
	}
}

// cut takes a torn last line away.
func (j *Journal) cut() error {
	if err := j.file.Truncate(j.state.offset); err != nil {
		return fault(err)
	}
	return nil
}

// read takes one line with its line end.
func (j *Journal) read(ctx context.Context, text []byte) error {
	s := &j.state
	l, err := parse(bytes.TrimSuffix(text, []byte("\n")))
	if err != nil {
		return err
	}
	if l.number != s.line+1 || chain(s.hash, l.number, l.kind, l.contents) != l.hash || (l.kind == typeHead) != (l.number == 1) {
		return fmt.Errorf("%w: it does not follow the one before", ErrDamaged)
	}
	plain, err := j.open(ctx, l)
	if err != nil {
		return err
	}
	s.line, s.hash = l.number, l.hash
	s.offset += int64(len(text))
	if plain != nil {
		j.take(l.number, l.kind, plain)
	} else if l.kind == typeNext {
		s.open[l.number] = opened{hash: l.hash}
	}
	return nil
}

// open gives the contents of a line, nil where there is nothing to take or the
// data key is gone.
func (j *Journal) open(ctx context.Context, l line) ([]byte, error) {
	s := &j.state
	switch l.kind {
	case typeHead:
		var h head
		if err := json.Unmarshal(l.contents, &h); err != nil || h.Version != 1 || h.ID == "" {
			return nil, fmt.Errorf("%w: the first line", ErrDamaged)
		}
		s.id, s.node = h.ID, h.Node
		return nil, nil
	case typeKey:
		var k store.DataKey
		if err := json.Unmarshal(l.contents, &k); err != nil || k.ID == "" {
			return nil, fmt.Errorf("%w: a data key", ErrDamaged)
		}
		s.wrapped[k.ID] = k
		return nil, nil
	}
	plain, err := j.ring.Open(sealKind, s.place(l.number, l.kind), l.contents)
	if errors.Is(err, seal.ErrOtherKey) {
		if err := j.unwrap(ctx, seal.KeyOf(l.contents)); err != nil {
			return nil, err
		}
		plain, err = j.ring.Open(sealKind, s.place(l.number, l.kind), l.contents)
	}
	switch {
	case errors.Is(err, seal.ErrOtherKey):
		s.unreadable++
		return nil, nil
	case errors.Is(err, seal.ErrSealed):
		return nil, fmt.Errorf("%w: the contents were changed", ErrDamaged)
	}
	return plain, err
}

// unwrap takes a data key of the file into the ring. One whose key-encryption
// key is gone for good is left out; a provider that is away is an error.
func (j *Journal) unwrap(ctx context.Context, id string) error {
	k, ok := j.state.wrapped[id]
	if !ok || j.o.Unwrap == nil || j.listed[id] {
		return nil
	}
	secret, err := j.o.Unwrap(ctx, k)
	if problem.CodeOf(err) == problem.KeyWrong || problem.CodeOf(err) == problem.KeyMissing {
		j.listed[id] = true
		return nil
	}
	if err != nil {
		return err
	}
	j.ring = j.ring.With(secret)
	return nil
}

// Reader gets what a journal has. Each function may be nil.
type Reader struct {
	Entry  func(number int64, e Entry) error // confirmed ones
	Void   func(number int64)                // never confirmed: nobody has seen its key
	Stands func(card string, version int64)
}

// Each reads the journal in its order.
func (j *Journal) Each(ctx context.Context, r Reader) error {
	confirmed := map[int64]bool{}
	err := j.scan(ctx, nil, func(l line, plain []byte) error {
		var d done
		if l.kind == typeDone && json.Unmarshal(plain, &d) == nil {
			confirmed[d.Line] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	return j.scan(ctx, nil, func(l line, plain []byte) error {
		var c stands
		switch {
		case l.kind == typeCard && r.Stands != nil && json.Unmarshal(plain, &c) == nil:
			r.Stands(c.Card, c.Version)
		case l.kind != typeNext:
		case !confirmed[l.number]:
			if r.Void != nil {
				r.Void(l.number)
			}
		case r.Entry != nil:
			return entry(l, plain, r.Entry)
		}
		return nil
	})
}

func entry(l line, plain []byte, fn func(int64, Entry) error) error {
	var e Entry
	if err := json.Unmarshal(plain, &e); err != nil {
		return fmt.Errorf("line %d: %w", l.number, ErrDamaged)
	}
	return fn(l.number, e)
}

// Salvage calls fn for every entry of a damaged journal that can be read,
// confirmed or not, and skipped for each line that cannot: the damaged ones,
// and the one behind a line whose hash is gone.
func Salvage(ctx context.Context, path string, o Options, fn func(number int64, e Entry) error, skipped func(text int, err error)) error {
	j := &Journal{path: path, o: o, ring: o.Keys, listed: map[string]bool{}, state: newState()}
	return j.scan(ctx, skipped, func(l line, plain []byte) error {
		if l.kind != typeNext {
			return nil
		}
		return entry(l, plain, fn)
	})
}

// scan reads the whole file again, without changing what is known. Where
// skipped is not nil it is told the lines of the text that cannot be read,
// counted from 1; else such a line ends it.
func (j *Journal) scan(ctx context.Context, skipped func(int, error), fn func(l line, plain []byte) error) error {
	j.mu.Lock()
	upTo := j.state.offset
	other := &Journal{path: j.path, o: j.o, ring: j.ring, listed: map[string]bool{}, state: newState()}
	j.mu.Unlock()
	f, err := os.Open(j.path)
	if err != nil {
		return fmt.Errorf("read key journal: %w", err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, maxLine)
	if skipped == nil {
		in.Reset(io.LimitReader(f, upTo))
	}
	for n := 1; ; n++ {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && (skipped == nil || len(text) == 0) {
			return nil
		}
		if errors.Is(err, bufio.ErrBufferFull) && skipped != nil {
			n-- // the rest of it counts
			continue
		}
		var l line
		if err == nil {
			l, err = parse(bytes.TrimSuffix(text, []byte("\n")))
		}
		var plain []byte
		if err == nil {
			plain, err = other.open(ctx, l)
			other.state.line, other.state.hash = l.number, l.hash
		}
		switch {
		case err != nil && skipped == nil:
			return fmt.Errorf("%s, line %d: %w", j.path, n, err)
		case err != nil && problem.CodeOf(err) == problem.ProviderGone:
			return err
		case err != nil:
			skipped(n, err)
		case plain != nil:
			if err := fn(l, plain); err != nil {
				return err
			}
		}
	}
}

// HashOf gives the hash of a line.
func (j *Journal) HashOf(ctx context.Context, number int64) ([]byte, error) {
	f, err := os.Open(j.path)
	if err != nil {
		return nil, fmt.Errorf("read key journal: %w", err)
	}
	defer f.Close()
	for in := bufio.NewReaderSize(f, maxLine); ; {
		text, err := in.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("read key journal: line %d: %w", number, err)
		}
		l, err := parse(bytes.TrimSuffix(text, []byte("\n")))
		if err != nil {
			return nil, err
		}
		if l.number == number {
			return l.hash[:], ctx.Err()
		}
	}
}
