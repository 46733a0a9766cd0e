// Package journal keeps the key journal of a node: an append-only file beside
// the database with every unlocking key that this node has handed out and the
// database may lose when it is restored or fails over (unlocking.md R2).
//
// It promises:
//   - Append returns when the entry is on the disk. Only then may the
//     transaction that stores the key commit;
//   - Confirm returns when it is on the disk that the transaction has
//     committed. Only then may the key leave. So an entry that was never
//     confirmed is of a key that nobody has seen;
//   - each line is bound to its place: its hash takes in the one before, and
//     what it says is sealed (package seal) for this file, this number and that
//     hash. A line that was changed, moved, put in or taken out is found;
//   - a last line that was torn by a fault is cut off: nobody has been told of
//     it. Anything else that does not fit is ErrDamaged;
//   - several processes of one machine may write to one file in turn.
//
// The data keys that seal the entries are in the file too, wrapped, because the
// database may be restored to before they were made.
//
// A line is text: number, type, hash and contents in base64.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
)

// Errors of journals. ErrMissing: the file is not there, or another took its
// place.
var (
	ErrMissing = errors.New("the key journal is not there")
	ErrDamaged = errors.New("the key journal is damaged")
	errNoRoom  = problem.DiskFull
)

// Key is an unlocking key in an entry: its value, or the master key that gives
// it.
type Key struct {
	ID     string    `json:"id"`
	Kind   string    `json:"kind"`
	Value  []byte    `json:"value,omitempty"`
	Master string    `json:"master,omitempty"`
	Epoch  int64     `json:"epoch,omitempty"`
	Made   time.Time `json:"made"`
}

// Entry says which keys a card may hold from now on.
type Entry struct {
	At         time.Time `json:"at"` // by the database's clock
	Session    string    `json:"session,omitempty"`
	Card       string    `json:"card"`
	Family     string    `json:"family"`
	Identifier string    `json:"identifier"`
	Epoch      int64     `json:"epoch"`
	Version    int64     `json:"version"` // store.Card.KeysVersion when the transaction has committed
	Current    Key       `json:"current"`
	Next       *Key      `json:"next,omitempty"`
	// Step is which step of the session has the card presented with Current; 0:
	// it is not presented, as it is known to be right.
	Step int `json:"step,omitempty"`
	// Known says that no key is new: Current, without its value, is handed out
	// once more, and what comes of that may be lost with the database.
	Known bool             `json:"known,omitempty"`
	Seen  map[string]int64 `json:"seen,omitempty"` // how far the database had come with other journals
}

// newest is the key that is handed out.
func (e Entry) newest() Key {
	if e.Next != nil {
		return *e.Next
	}
	return e.Current
}

// Options of Open and Create.
type Options struct {
	Keys *seal.Keyring
	// DataKey gives a data key as it is in the database; nil where the ring
	// stands alone.
	DataKey func(ctx context.Context, id string) (store.DataKey, error)
	// Unwrap opens a wrapped data key that the ring does not have; nil as above.
	Unwrap func(ctx context.Context, k store.DataKey) ([]byte, error)
	// OpenFile is how the file is opened; nil: os.OpenFile.
	OpenFile func(path string, flag int) (File, error)
}

// File is what a journal needs of its file.
type File interface {
	io.ReaderAt
	io.Writer
	Sync() error
	Truncate(size int64) error
	Stat() (fs.FileInfo, error)
	Fd() uintptr
	Close() error
}

const fileMode = 0o600

func (o Options) open(path string, flag int) (File, error) {
	if o.OpenFile != nil {
		return o.OpenFile(path, flag)
	}
	return os.OpenFile(path, flag, fileMode)
}

// Journal is an open journal. It is safe for use by many goroutines.
type Journal struct {
	path string
	o    Options

	mu      sync.Mutex
	file    File
	ring    *seal.Keyring // of o.Keys and what the file brought
	state   state
	broken  bool // a write failed: what is on the disk must be read again
	listed  map[string]bool
	notedAt time.Time
}

// state is what is known of the file up to offset.
type state struct {
	id         string
	node       string
	offset     int64
	line       int64 // of the last line
	hash       hash
	confirmed  int64                    // the highest confirmed entry
	open       map[int64]opened         // entries after it, and itself, not all of them confirmed
	cards      map[uint64]int64         // the newest version of each card
	keys       map[uint64]struct{}      // confirmed keys
	seen       map[string]int64         // other journals
	entries    int64                    // confirmed ones
	unreadable int64                    // lines whose data key is gone
	wrapped    map[string]store.DataKey // by id, as the file has them
}

// opened is an entry that is not confirmed, or the last that is.
type opened struct {
	hash    hash
	card    string
	version int64
	key     string
}

// head is the contents of the first line.
type head struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Node    string    `json:"node"`
	Made    time.Time `json:"made"`
}

// Types of lines.
const (
	typeHead = "head"
	typeKey  = "key"  // a wrapped data key
	typeNext = "next" // Entry
	typeDone = "done" // of an entry
	typeCard = "card" // where a card's keys stand has changed
	typeSeen = "seen" // how far the database has come with other journals
)

// Create makes a journal that must not be there yet (fs.ErrExist).
func Create(path, node string, at time.Time, o Options) (*Journal, error) {
	f, err := o.open(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, fmt.Errorf("create key journal: %w", err)
	}
	j := &Journal{path: path, o: o, file: f, ring: o.Keys, listed: map[string]bool{}, state: newState()}
	j.state.id, j.state.node = store.NewID(), node
	contents, err := json.Marshal(head{Version: 1, ID: j.state.id, Node: node, Made: at.UTC()})
	if err == nil {
		_, err = j.write(typeHead, contents, true)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("create key journal: %w", errors.Join(err, f.Close(), os.Remove(path)))
	}
	return j, nil
}

// Open reads a journal. Errors: ErrMissing, ErrDamaged, those of
// seal.Provider.
func Open(ctx context.Context, path string, o Options) (*Journal, error) {
	j := &Journal{path: path, o: o, ring: o.Keys, listed: map[string]bool{}, state: newState()}
	if err := j.reopen(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.locked(ctx, func() error { return nil }); err != nil {
		return nil, errors.Join(err, j.file.Close())
	}
	if j.state.id == "" {
		return nil, errors.Join(fmt.Errorf("%s has no first line: %w", path, ErrDamaged), j.file.Close())
	}
	return j, nil
}

func newState() state {
	return state{open: map[int64]opened{}, cards: map[uint64]int64{}, keys: map[uint64]struct{}{},
		seen: map[string]int64{}, wrapped: map[string]store.DataKey{}}
}

func (j *Journal) reopen() error {
	f, err := j.o.open(j.path, os.O_RDWR|os.O_APPEND)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if err != nil {
		return fmt.Errorf("open key journal: %w", err)
	}
	j.file = f
	return nil
}

// locked runs fn while no other process writes, everything that is in the file
// having been read.
func (j *Journal) locked(ctx context.Context, fn func() error) (err error) {
	if err := lockFile(j.file.Fd()); err != nil {
		return fmt.Errorf("lock key journal: %w", err)
	}
	defer func() { err = errors.Join(err, unlockFile(j.file.Fd())) }()
	if err := j.same(); err != nil {
		return err
	}
	if err := j.catchUp(ctx); err != nil {
		return err
	}
	return fn()
}

// same makes sure that the open file is still the one of that name.
func (j *Journal) same() error {
	mine, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("look at key journal: %w", err)
	}
	there, err := os.Stat(j.path)
	if err != nil || !os.SameFile(mine, there) {
		return fmt.Errorf("%s: %w", j.path, ErrMissing)
	}
	return nil
}

// Append writes an entry and returns its number and hash when it is on the
// disk.
func (j *Journal) Append(ctx context.Context, e Entry) (line int64, hash []byte, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	err = j.locked(ctx, func() error {
		e.Seen = j.state.seen
		line, err = j.seal(ctx, typeNext, e, true)
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("key journal: %w", err)
	}
	sum := j.state.hash
	return line, sum[:], nil
}

// Confirm writes that the transaction of an entry has committed, and returns
// when that is on the disk.
func (j *Journal) Confirm(ctx context.Context, line int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.locked(ctx, func() error {
		_, err := j.seal(ctx, typeDone, done{line}, true)
		return err
	})
	if err != nil {
		return fmt.Errorf("key journal: %w", err)
	}
	return nil
}

type done struct {
	Line int64 `json:"line"`
}

type stands struct {
	Card    string `json:"card"`
	Version int64  `json:"version"`
}

// Stands writes that where a card's keys stand has a new version. It does not
// wait for the disk: what is lost of it is that an older row may pass.
func (j *Journal) Stands(ctx context.Context, card string, version int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.locked(ctx, func() error {
		_, err := j.seal(ctx, typeCard, stands{card, version}, false)
		return err
	})
}

// Observe takes how far the database has come with all journals. What is new
// goes into the file at most once a minute, and with each entry.
func (j *Journal) Observe(ctx context.Context, positions map[string]int64, now time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	news := false
	for id, line := range positions {
		if id != j.state.id && line > j.state.seen[id] {
			j.state.seen[id], news = line, true
		}
	}
	if !news || now.Sub(j.notedAt) < time.Minute {
		return nil
	}
	j.notedAt = now
	return j.locked(ctx, func() error {
		_, err := j.seal(ctx, typeSeen, j.state.seen, false)
		return err
	})
}

// Forget drops another journal that an operator has given up.
func (j *Journal) Forget(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.state.seen, id)
}

// Position is how far a journal has come.
type Position struct {
	ID, Node   string
	Confirmed  int64 // number of the newest confirmed entry, 0 for none
	Last       int64 // number of the last line
	Entries    int64 // confirmed ones
	Unreadable int64 // lines whose data key is gone for good
	Size       int64 // bytes
}

// Position reads what other processes have written and says how far the
// journal has come.
func (j *Journal) Position(ctx context.Context) (Position, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.locked(ctx, func() error { return nil })
	s := &j.state
	return Position{s.id, s.node, s.confirmed, s.line, s.entries, s.unreadable, s.offset}, err
}

// ID is the journal's own, which the database knows it by.
func (j *Journal) ID() string { return j.state.id }

// Matches says whether an entry has this hash, of those that the database can
// be at: the newest confirmed one and those after it.
func (j *Journal) Matches(line int64, hash []byte) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	o, ok := j.state.open[line]
	return ok && string(o.hash[:]) == string(hash)
}

// Holds says whether a key is in a confirmed entry.
func (j *Journal) Holds(keyID string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.state.keys[short(keyID)]
	return ok
}

// CardVersion is the newest version of where a card's keys stand that the
// journal knows, 0 for none.
func (j *Journal) CardVersion(card string) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.cards[short(card)]
}

// Seen is how far the database had come with other journals, as far as this
// node knows.
func (j *Journal) Seen() map[string]int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make(map[string]int64, len(j.state.seen))
	for id, line := range j.state.seen {
		out[id] = line
	}
	return out
}

// Close closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}

// syncFolder makes the entry of a new file survive a power cut.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
