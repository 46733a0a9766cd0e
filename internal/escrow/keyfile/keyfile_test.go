package keyfile_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/escrow/keyfile"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
)

func ring(t testing.TB) (*seal.Keyring, string) {
	t.Helper()
	keys, err := seal.Create(filepath.Join(t.TempDir(), "kek.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := keyfile.PublicKey(keys)
	if err != nil {
		t.Fatal(err)
	}
	return keys, public
}

func encrypt(t testing.TB, text, to string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := keyfile.Encrypt(&out, strings.NewReader(text), to); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decrypt(raw []byte, keys *seal.Keyring) (string, error) {
	r, err := keyfile.NewReader(bytes.NewReader(raw), keys)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// TestRoundTrip: sizes around the chunks, read twice.
func TestRoundTrip(t *testing.T) {
	keys, public := ring(t)
	const chunk = 64 << 10
	for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3*chunk + 17} {
		text := strings.Repeat("k", n)
		raw := encrypt(t, text, public)
		if n > 20 && bytes.Contains(raw, []byte(text[:20])) {
			t.Error("the text is in the file")
		}
		if yes, err := keyfile.Encrypted(bytes.NewReader(raw)); !yes || err != nil {
			t.Errorf("%d bytes: encrypted %v, %v", n, yes, err)
		}
		r, err := keyfile.NewReader(bytes.NewReader(raw), keys)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := io.ReadAll(r); err != nil || string(got) != text {
				t.Errorf("%d bytes: %d, %v", n, len(got), err)
			}
			if _, err := r.Seek(0, io.SeekStart); err != nil {
				t.Error(err)
			}
		}
		if _, err := r.Seek(1, io.SeekStart); err == nil {
			t.Error("it goes elsewhere")
		}
	}
	for _, text := range []string{"", "family,identifier\n"} {
		if yes, err := keyfile.Encrypted(strings.NewReader(text)); yes || err != nil {
			t.Errorf("%q: encrypted %v, %v", text, yes, err)
		}
	}
}

// TestDamage: a file that was changed in any byte, cut anywhere, lengthened,
// whose chunks changed places, or that is another service's, does not open.
func TestDamage(t *testing.T) {
	keys, public := ring(t)
	text := strings.Repeat("family,identifier,kind,key\n", 6)
	raw := encrypt(t, text, public)
	refuse := func(name string, raw []byte, keys *seal.Keyring) {
		t.Helper()
		if got, err := decrypt(raw, keys); problem.CodeOf(err) != problem.ImportSealed {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x01
		refuse("changed", bad, keys)
		refuse("cut", raw[:i], keys)
	}
	refuse("lengthened", append(bytes.Clone(raw), 0), keys)
	other, _ := ring(t)
	refuse("another service's", raw, other)

	const chunk, whole = 64 << 10, 4 + 64<<10 + 16
	long := encrypt(t, strings.Repeat("a", chunk)+strings.Repeat("b", chunk)+"c", public)
	start := len(long) - 2*whole - (4 + 1 + 16)
	first, second, end := long[start:start+whole], long[start+whole:start+2*whole], long[start+2*whole:]
	refuse("exchanged", bytes.Join([][]byte{long[:start], second, first, end}, nil), keys)
	refuse("end missing", long[:start+2*whole], keys)
	refuse("middle missing", bytes.Join([][]byte{long[:start], first, end}, nil), keys)
}

func TestImportKeysThatAreNone(t *testing.T) {
	_, public := ring(t)
	for _, to := range []string{"", "x", public[:20], public + "AAAA", strings.Repeat("A", len(public)-1) + "="} {
		if err := keyfile.Encrypt(io.Discard, strings.NewReader("x"), to); !errors.Is(err, keyfile.ErrPublicKey) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if err := keyfile.Encrypt(io.Discard, strings.NewReader("x"), " "+public+"\n"); err != nil {
		t.Errorf("white space around it: %v", err)
	}
}

// FuzzReader: whatever the file, an error or the text, and never a panic.
func FuzzReader(f *testing.F) {
	keys, public := ring(f)
	for _, text := range []string{"", "family,identifier,kind,key\n"} {
		f.Add(encrypt(f, text, public))
	}
	f.Add([]byte("latchkey-sealed-keys-v1 0123456789abcdef\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := decrypt(raw, keys); err != nil && problem.CodeOf(err) != problem.ImportSealed {
			t.Errorf("%v", err)
		}
	})
}
