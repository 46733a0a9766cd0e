package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
)

func ring(t testing.TB) *seal.Keyring {
	t.Helper()
	keys, err := seal.Create(filepath.Join(t.TempDir(), "kek.key"))
	must(t, err)
	return keys
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var made = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// next is entry number n of a test.
func next(n int) Entry {
	return Entry{At: made, Card: fmt.Sprintf("card-%d", n%3), Family: "piv", Identifier: fmt.Sprintf("id-%d", n%3), Epoch: int64(n), Version: int64(n),
		Current: Key{ID: fmt.Sprintf("key-%d", n-1), Kind: "puk", Value: []byte("12345678"), Made: made},
		Next:    &Key{ID: fmt.Sprintf("key-%d", n), Kind: "puk", Value: []byte("87654321"), Made: made}}
}

func create(t testing.TB, o Options) (*Journal, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.journal")
	j, err := Create(path, "node", made, o)
	must(t, err)
	t.Cleanup(func() { _ = j.Close() }) // it may be closed already
	return j, path
}

// add writes entry n and, unless it is to be void, confirms it.
func add(t testing.TB, j *Journal, n int, confirm bool) int64 {
	t.Helper()
	line, hash, err := j.Append(t.Context(), next(n))
	must(t, err)
	if !j.Matches(line, hash) {
		t.Errorf("line %d has another hash", line)
	}
	if confirm {
		must(t, j.Confirm(t.Context(), line))
	}
	return line
}

// read gives the confirmed entries' keys and the void lines.
func read(t testing.TB, j *Journal) (keys []string, void []int64) {
	t.Helper()
	must(t, j.Each(t.Context(), Reader{Entry: func(_ int64, e Entry) error { keys = append(keys, e.Next.ID); return nil },
		Void: func(n int64) { void = append(void, n) }}))
	return keys, void
}

// TestWriteAndRead: what was confirmed comes back, by this process and the
// next, and what was not is void.
func TestWriteAndRead(t *testing.T) {
	o := Options{Keys: ring(t)}
	j, path := create(t, o)
	add(t, j, 1, true)
	lost := add(t, j, 2, false)
	add(t, j, 3, true)
	must(t, j.Stands(t.Context(), "card-0", 17))
	must(t, j.Observe(t.Context(), map[string]int64{"other": 5, j.ID(): 9}, made))
	check := func(j *Journal) {
		t.Helper()
		if keys, void := read(t, j); !slices.Equal(keys, []string{"key-1", "key-3"}) || !slices.Equal(void, []int64{lost}) {
			t.Errorf("%v, void %v", keys, void)
		}
		at, err := j.Position(t.Context())
		if err != nil || at.Node != "node" || at.Entries != 2 || at.Confirmed != lost+1 || at.Last != lost+4 || at.Unreadable != 0 {
			t.Errorf("%+v, %v", at, err)
		}
		if !j.Holds("key-1") || j.Holds("key-2") || !j.Holds("key-3") {
			t.Error("it holds other keys")
		}
		if j.CardVersion("card-0") != 17 || j.CardVersion("card-1") != 1 || j.CardVersion("card-2") != 0 {
			t.Error("other versions of cards")
		}
		if seen := j.Seen(); len(seen) != 1 || seen["other"] != 5 {
			t.Errorf("seen %v", seen)
		}
		hash, err := j.HashOf(t.Context(), at.Confirmed)
		if err != nil || !j.Matches(at.Confirmed, hash) || j.Matches(at.Confirmed, hash[1:]) {
			t.Errorf("the hash of the newest entry: %x, %v", hash, err)
		}
	}
	check(j)
	again, err := Open(t.Context(), path, o)
	must(t, err)
	defer again.Close()
	check(again)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	if bytes.Contains(raw, []byte("87654321")) || bytes.Contains(raw, []byte("ODc2NTQzMjE")) {
		t.Error("a key is in the file as it is")
	}
}

// TestConfirmedInAnotherOrder: two transactions commit one after the other,
// and the later is confirmed first.
func TestConfirmedInAnotherOrder(t *testing.T) {
	o := Options{Keys: ring(t)}
	j, path := create(t, o)
	one, two := add(t, j, 1, false), add(t, j, 2, false)
	must(t, j.Confirm(t.Context(), two))
	must(t, j.Confirm(t.Context(), one))
	again, err := Open(t.Context(), path, o)
	must(t, err)
	defer again.Close()
	for _, j := range []*Journal{j, again} {
		if at, err := j.Position(t.Context()); err != nil || at.Confirmed != two || at.Entries != 2 || !j.Holds("key-1") || !j.Holds("key-2") {
			t.Errorf("%+v, %v", at, err)
		}
	}
}

// unsynced are options of journals that do not wait for the disk: power cuts
// are made up by the test.
func unsynced(t testing.TB) Options {
	return Options{Keys: ring(t), OpenFile: func(path string, flag int) (File, error) {
		f, err := os.OpenFile(path, flag, 0o600)
		return quick{f}, err
	}}
}

type quick struct{ *os.File }

func (quick) Sync() error { return nil }

// TestTornWrite: the file ends anywhere within its last line. What was before
// is there, the rest is cut off, and it goes on.
func TestTornWrite(t *testing.T) {
	o := unsynced(t)
	j, path := create(t, o)
	add(t, j, 1, true)
	before, err := os.ReadFile(path)
	must(t, err)
	add(t, j, 2, false)
	after, err := os.ReadFile(path)
	must(t, err)
	for size := len(before); size < len(after); size += 3 {
		for _, zeros := range []int{0, len(after) - size} { // some file systems leave zeros
			torn := filepath.Join(t.TempDir(), "torn")
			text := append(bytes.Clone(after[:size]), make([]byte, zeros)...)
			must(t, os.WriteFile(torn, text, 0o600))
			j, err := Open(t.Context(), torn, o)
			if err != nil {
				t.Fatalf("torn at %d with %d zeros: %v", size-len(before), zeros, err)
			}
			add(t, j, 3, true)
			if keys, void := read(t, j); !slices.Equal(keys, []string{"key-1", "key-3"}) || len(void) > 0 {
				t.Errorf("torn at %d: %v, void %v", size-len(before), keys, void)
			}
			must(t, j.Close())
		}
	}
}

// TestDamage: a bit that flips in any line but the last is noticed, and so is a
// line that is taken out, put in twice or moved. Salvage reads the others.
func TestDamage(t *testing.T) {
	o := Options{Keys: ring(t)}
	j, path := create(t, o)
	for n := range 4 {
		add(t, j, n+1, true)
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	lines := bytes.SplitAfter(raw, []byte("\n"))
	lines = lines[:len(lines)-1]
	refuse := func(name string, text []byte) string {
		t.Helper()
		bad := filepath.Join(t.TempDir(), "bad")
		must(t, os.WriteFile(bad, text, 0o600))
		if j, err := Open(t.Context(), bad, o); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				must(t, j.Close())
			}
		}
		return bad
	}
	body := len(raw) - len(lines[len(lines)-1]) - 1 // a line end that is gone makes one torn line of two
	for i := 0; i < body; i += 3 {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x04
		refuse(fmt.Sprintf("byte %d", i), bad)
	}
	for n := range lines[:len(lines)-2] {
		without := slices.Delete(slices.Clone(lines), n, n+1)
		refuse(fmt.Sprintf("line %d taken out", n+1), bytes.Join(without, nil))
		refuse(fmt.Sprintf("line %d twice", n+1), bytes.Join(slices.Insert(slices.Clone(lines), n, lines[n]), nil))
		swapped := slices.Clone(lines)
		swapped[n], swapped[n+1] = swapped[n+1], swapped[n]
		refuse(fmt.Sprintf("line %d moved", n+1), bytes.Join(swapped, nil))
	}
	refuse("empty", nil)
	must(t, j.Close())

	// Line 3 is the second entry's... whichever: one entry is damaged.
	damaged := slices.Clone(lines)
	damaged[3] = bytes.Replace(damaged[3], []byte(" "), []byte("  "), 1)
	bad := refuse("one line", bytes.Join(damaged, nil))
	var keys []string
	skipped := 0
	must(t, Salvage(t.Context(), bad, o, func(_ int64, e Entry) error { keys = append(keys, e.Next.ID); return nil },
		func(int, error) { skipped++ }))
	if skipped == 0 || len(keys) < 2 || len(keys) == 4 {
		t.Errorf("salvaged %v, %d lines not", keys, skipped)
	}
}

// faulty is a file whose next writes or syncs fail.
type faulty struct {
	*os.File
	after  int // bytes that a write still takes, then err; -1: all
	err    error
	sync   error
	frozen bool // it cannot be cut either
}

func (f *faulty) Write(p []byte) (int, error) {
	if f.after < 0 {
		return f.File.Write(p)
	}
	n := min(len(p), f.after)
	if _, err := f.File.Write(p[:n]); err != nil {
		return 0, err
	}
	return n, f.err
}

func (f *faulty) Sync() error {
	if f.sync != nil {
		return f.sync
	}
	return f.File.Sync()
}

func (f *faulty) Truncate(size int64) error {
	if f.frozen {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

// TestWriteFaults: a disk that is full, or fails at the write, at the sync or
// at cutting off what came of it. Nothing that was said to be written is lost,
// nothing follows half a line, and it goes on when the disk is well again.
func TestWriteFaults(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(*faulty)
		want  problem.Code
	}{
		"full":            {func(f *faulty) { f.after, f.err = 0, syscall.ENOSPC }, problem.DiskFull},
		"full in between": {func(f *faulty) { f.after, f.err = 30, syscall.ENOSPC }, problem.DiskFull},
		"write":           {func(f *faulty) { f.after, f.err = 100, syscall.EIO }, problem.JournalFault},
		"sync":            {func(f *faulty) { f.sync = syscall.EIO }, problem.JournalFault},
		"write, and cut":  {func(f *faulty) { f.after, f.err, f.frozen = 100, syscall.EIO, true }, problem.JournalFault},
		"sync, and cut":   {func(f *faulty) { f.sync, f.frozen = syscall.EIO, true }, problem.JournalFault},
	} {
		t.Run(name, func(t *testing.T) {
			var file *faulty
			o := Options{Keys: ring(t), OpenFile: func(path string, flag int) (File, error) {
				f, err := os.OpenFile(path, flag, 0o600)
				file = &faulty{File: f, after: -1}
				return file, err
			}}
			j, path := create(t, o)
			add(t, j, 1, true)
			test.fault(file)
			for range 2 {
				if _, _, err := j.Append(t.Context(), next(2)); problem.CodeOf(err) != test.want && !file.frozen || err == nil {
					t.Errorf("%v", err)
				}
			}
			*file = faulty{File: file.File, after: -1}
			add(t, j, 3, true)
			if keys, void := read(t, j); !slices.Equal(keys, []string{"key-1", "key-3"}) || len(void) > 0 {
				t.Errorf("%v, void %v", keys, void)
			}
			again, err := Open(t.Context(), path, o)
			must(t, err)
			defer again.Close()
			if keys, _ := read(t, again); !slices.Equal(keys, []string{"key-1", "key-3"}) {
				t.Errorf("the next process reads %v", keys)
			}
		})
	}
}

// TestTwoProcesses: what one has written the other knows before it writes.
func TestTwoProcesses(t *testing.T) {
	o := Options{Keys: ring(t)}
	one, path := create(t, o)
	two, err := Open(t.Context(), path, o)
	must(t, err)
	defer two.Close()
	var want []string
	for n := range 10 {
		add(t, []*Journal{one, two}[n%2], n+1, true)
		want = append(want, fmt.Sprintf("key-%d", n+1))
	}
	for _, j := range []*Journal{one, two} {
		if _, err := j.Position(t.Context()); err != nil {
			t.Fatal(err)
		}
		if keys, void := read(t, j); !slices.Equal(keys, want) || len(void) > 0 || !j.Holds("key-10") || !j.Holds("key-9") {
			t.Errorf("%v, void %v", keys, void)
		}
	}
}

// TestMissing: a file that was moved away, or has another in its place, is
// missing, though the old one is still open.
func TestMissing(t *testing.T) {
	o := Options{Keys: ring(t)}
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "none"), o); !errors.Is(err, ErrMissing) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for name, replace := range map[string]func(path string) error{
		"removed": os.Remove,
		"copied": func(path string) error {
			raw, err := os.ReadFile(path)
			return errors.Join(err, os.Remove(path), os.WriteFile(path, raw, 0o600))
		},
	} {
		j, path := create(t, o)
		must(t, replace(path))
		if _, _, err := j.Append(t.Context(), next(1)); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	j, path := create(t, o)
	must(t, os.Truncate(path, 10))
	if _, _, err := j.Append(t.Context(), next(1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("shortened: %v", err)
	}
	if _, err := Create(path, "node", made, o); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created again: %v", err)
	}
}

// TestOtherKeys: a journal whose data keys are gone for good says how much of
// it cannot be read, and what follows is bound to its place all the same.
func TestOtherKeys(t *testing.T) {
	j, path := create(t, Options{Keys: ring(t)})
	add(t, j, 1, true)
	must(t, j.Close())
	j, err := Open(t.Context(), path, Options{Keys: ring(t)})
	must(t, err)
	defer j.Close()
	if at, err := j.Position(t.Context()); err != nil || at.Unreadable != 2 || at.Entries != 0 {
		t.Errorf("%+v, %v", at, err)
	}
	add(t, j, 2, true)
	if keys, _ := read(t, j); !slices.Equal(keys, []string{"key-2"}) {
		t.Errorf("%v", keys)
	}
}

// TestAnyHistory: any sequence of acts by two processes, each of which may be
// killed and have its last line torn, against a model.
func TestAnyHistory(t *testing.T) {
	o := unsynced(t)
	rapid.Check(t, func(t *rapid.T) {
		folder, err := os.MkdirTemp("", "journal")
		must(t, err)
		defer os.RemoveAll(folder)
		path := filepath.Join(folder, "keys.journal")
		first, err := Create(path, "node", made, o)
		must(t, err)
		defer func() { _ = first.Close() }()
		second, err := Open(t.Context(), path, o)
		must(t, err)
		defer func() { _ = second.Close() }()
		of := []**Journal{&first, &second}
		var confirmed []string
		open := map[int64]string{}
		n := 0
		which := rapid.IntRange(0, 1)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				n++
				line, _, err := (*of[which.Draw(t, "who")]).Append(t.Context(), next(n))
				must(t, err)
				open[line] = fmt.Sprintf("key-%d", n)
			},
			"confirm": func(t *rapid.T) {
				for line, key := range open {
					must(t, (*of[which.Draw(t, "who")]).Confirm(t.Context(), line))
					confirmed = append(confirmed, key)
					delete(open, line)
					return
				}
			},
			"kill": func(t *rapid.T) {
				j := of[which.Draw(t, "who")]
				must(t, (*j).Close())
				if half := rapid.SampledFrom([]string{"", "99", "99 next 00", "1 head 00 AA==\n"}).Draw(t, "half a line"); half != "" {
					f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
					must(t, err)
					_, err = f.WriteString(half)
					must(t, err)
					must(t, f.Close())
				}
				*j, err = Open(t.Context(), path, o)
				must(t, err)
			},
			"": func(t *rapid.T) {
				at, err := first.Position(t.Context())
				must(t, err)
				if int(at.Entries) != len(confirmed) {
					t.Fatalf("%d entries, want %d", at.Entries, len(confirmed))
				}
				for _, key := range confirmed {
					if !first.Holds(key) {
						t.Fatalf("%s is lost", key)
					}
				}
			},
		})
		var keys []string
		must(t, first.Each(t.Context(), Reader{Entry: func(_ int64, e Entry) error { keys = append(keys, e.Next.ID); return nil }}))
		slices.Sort(keys)
		slices.Sort(confirmed)
		if !slices.Equal(keys, confirmed) {
			t.Fatalf("%s, want %s", strings.Join(keys, " "), strings.Join(confirmed, " "))
		}
	})
}

// FuzzReader: a file of anything is read or refused, and never in a panic; what
// is read can be gone on with.
func FuzzReader(f *testing.F) {
	o := unsynced(f)
	j, path := create(f, o)
	add(f, j, 1, true)
	raw, err := os.ReadFile(path)
	must(f, err)
	f.Add(raw)
	f.Add(raw[:len(raw)-10])
	f.Add([]byte("1 head 00000000000000000000000000000000 e30=\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "keys.journal")
		must(t, os.WriteFile(path, raw, 0o600))
		must(t, Salvage(t.Context(), path, o, func(int64, Entry) error { return nil }, func(int, error) {}))
		j, err := Open(t.Context(), path, o)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%v", err)
			}
			return
		}
		defer j.Close()
		add(t, j, 2, true)
		if !j.Holds("key-2") {
			t.Error("it does not hold what was written last")
		}
	})
}
