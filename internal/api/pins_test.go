package api

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"latchkey/internal/problem"
)

// key is a signing key that is all n.
func key(n byte) []byte { return bytes.Repeat([]byte{n}, ed25519.PublicKeySize) }

func pins(t testing.TB, fixed, path string) *Pins {
	t.Helper()
	p, err := NewPins(fixed, path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPinOfTheInstallation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known")
	p := pins(t, " "+base64.StdEncoding.EncodeToString(key(1))+"\n", path)
	p.FirstUse = func(string) { t.Error("a key was trusted on first use") }
	wantCode(t, p.Check("https://a", key(1)), "")
	wantCode(t, p.Check("https://a", key(2)), problem.ServicePin)
	wantCode(t, p.Check("https://b", key(2)), problem.ServicePin)
	if _, err := os.Stat(path); err == nil {
		t.Error("a file of keys seen on first use was made")
	}
}

func TestPinsThatAreNone(t *testing.T) {
	for _, text := range []string{"x", "AAAA", base64.StdEncoding.EncodeToString(make([]byte, 33)), strings.Repeat("!", 44)} {
		_, err := NewPins(text, "")
		wantCode(t, err, problem.ConfigInvalid)
	}
}

// TestFirstUse: the first key is kept, for the next launch too, and each
// service has its own.
func TestFirstUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "known")
	p := pins(t, "", path)
	var told []string
	p.FirstUse = func(address string) { told = append(told, address) }
	wantCode(t, p.Check("https://a", key(1)), "")
	wantCode(t, p.Check("https://a.example", key(2)), "") // no prefix counts
	wantCode(t, p.Check("https://a", key(1)), "")
	if fmt.Sprint(told) != "[https://a https://a.example]" {
		t.Errorf("told of %v", told)
	}
	again := pins(t, "", path)
	again.FirstUse = func(address string) { t.Errorf("%s was forgotten", address) }
	wantCode(t, again.Check("https://a", key(1)), "")
	wantCode(t, again.Check("https://a.example", key(2)), "")
	wantCode(t, again.Check("https://a", key(2)), problem.ServicePin)
	wantCode(t, again.Check("https://a", key(1)), "") // the attempt changed nothing
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestServiceThatShowsNoKey: its first use would pin nothing.
func TestServiceThatShowsNoKey(t *testing.T) {
	for _, raw := range [][]byte{nil, {}, make([]byte, 31), make([]byte, 64)} {
		path := filepath.Join(t.TempDir(), "known")
		wantCode(t, pins(t, "", path).Check("https://a", raw), problem.ServicePin)
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%d bytes were kept", len(raw))
		}
	}
}

// TestPinsFile goes through what may be in the file of keys already. A line
// about this service that cannot be read is no reason to trust another key.
func TestPinsFile(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(key(1))
	for name, test := range map[string]struct {
		text string
		code problem.Code
		all  string // what is in it afterwards
	}{
		"empty":           {"", "", "https://a " + good + "\n"},
		"known":           {"https://a " + good + "\n", "", "https://a " + good + "\n"},
		"CRLF":            {"https://a " + good + "\r\n", "", "https://a " + good + "\r\n"},
		"no last line":    {"https://b " + good, "", "https://b " + good + "\nhttps://a " + good + "\n"},
		"no key":          {"https://a\n", problem.ServicePin, "https://a\n"},
		"cut off":         {"https://a " + good[:20] + "\n", problem.ServicePin, "https://a " + good[:20] + "\n"},
		"rubbish":         {"https://a ?\n", problem.ServicePin, "https://a ?\n"},
		"others' rubbish": {"?\n\n", "", "?\n\nhttps://a " + good + "\n"},
		"first one holds": {"https://a " + good + "\nhttps://a " + base64.StdEncoding.EncodeToString(key(2)) + "\n", "", "https://a " + good + "\nhttps://a " + base64.StdEncoding.EncodeToString(key(2)) + "\n"},
	} {
		path := filepath.Join(t.TempDir(), "known")
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := pins(t, "", path).Check("https://a", key(1)); problem.CodeOf(err) != test.code {
			t.Errorf("%s: %v, want %q", name, err, test.code)
		}
		if raw, err := os.ReadFile(path); err != nil || string(raw) != test.all {
			t.Errorf("%s: the file is %q, %v", name, raw, err)
		}
	}
}

// TestPinsThatCannotBeKept: a key that will not be remembered is not trusted.
func TestPinsThatCannotBeKept(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, filepath.Join(file, "known")} {
		p := pins(t, "", path)
		p.FirstUse = func(string) { t.Errorf("%s: trusted", path) }
		wantCode(t, p.Check("https://a", key(1)), problem.ServicePin)
	}
}

// TestFirstUseAtOnce: of two answers that come at the same time only one can
// be the first.
func TestFirstUseAtOnce(t *testing.T) {
	p := pins(t, "", filepath.Join(t.TempDir(), "known"))
	var all sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		all.Go(func() { results[i] = p.Check("https://a", key(byte(i))) })
	}
	all.Wait()
	trusted := 0
	for _, err := range results {
		if err == nil {
			trusted++
		}
	}
	if trusted != 1 {
		t.Errorf("%d keys were trusted", trusted)
	}
}
