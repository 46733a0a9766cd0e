package seal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/problem"
)

func TestOpenGivesBackWhatSealTook(t *testing.T) {
	k := newKeyring(bytes.Repeat([]byte{1}, keySize))
	row := []string{"key", "card", "puk"}
	for _, plain := range []string{"", "12345678", strings.Repeat("x", 100_000)} {
		sealed, err := k.Seal("card-key", row, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if plain != "" && bytes.Contains(sealed, []byte(plain)) {
			t.Error("the plaintext is in the sealed value")
		}
		got, err := k.Open("card-key", row, sealed)
		if err != nil || string(got) != plain {
			t.Errorf("Open = %q, %v", got, err)
		}
	}
}

func TestOpenRefusesAnotherPlace(t *testing.T) {
	k := newKeyring(bytes.Repeat([]byte{1}, keySize))
	sealed, err := k.Seal("card-key", []string{"ab", "c"}, []byte("12345678"))
	if err != nil {
		t.Fatal(err)
	}
	other := newKeyring(bytes.Repeat([]byte{2}, keySize))
	if _, err := other.Open("card-key", []string{"ab", "c"}, sealed); !errors.Is(err, ErrOtherKey) {
		t.Errorf("other key: %v", err)
	}
	for _, c := range []struct {
		kind string
		row  []string
	}{
		{"card-key", []string{"a", "bc"}},
		{"card-key", []string{"abc"}},
		{"card-key", []string{"ab", "c", ""}},
		{"card-key", nil},
		{"other", []string{"ab", "c"}},
	} {
		if _, err := k.Open(c.kind, c.row, sealed); !errors.Is(err, ErrSealed) {
			t.Errorf("%s %q: %v", c.kind, c.row, err)
		}
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open("card-key", []string{"ab", "c"}, bad); err == nil {
			t.Errorf("byte %d changed and still opened", i)
		}
	}
}

func TestPurposesAreApart(t *testing.T) {
	k := newKeyring(bytes.Repeat([]byte{1}, keySize))
	seen := map[string]string{}
	for name, v := range map[string][]byte{
		"hash a/x":  k.Hash("a", []byte("x")),
		"hash b/x":  k.Hash("b", []byte("x")),
		"hash a/x,": k.Hash("a", []byte("x"), nil),
		"mac a/x":   k.MAC("a", "x"),
		"mac b/x":   k.MAC("b", "x"),
		"mac a/xy":  k.MAC("a", "x", "y"),
		"mac a/xy'": k.MAC("a", "xy"),
	} {
		if other, ok := seen[string(v)]; ok {
			t.Errorf("%s equals %s", name, other)
		}
		seen[string(v)] = name
	}
	if !k.CheckMAC(k.MAC("a", "x"), "a", "x") || k.CheckMAC(k.MAC("a", "x"), "a", "y") || k.CheckMAC(nil, "a", "x") {
		t.Error("CheckMAC is wrong")
	}
}

func TestKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek.key")
	if _, err := Load(path); problem.CodeOf(err) != problem.KeyMissing {
		t.Fatalf("Load of a missing file: %v", err)
	}
	k, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); problem.CodeOf(err) != problem.KeyExists {
		t.Fatalf("second Create: %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Fatal("the key file was overwritten")
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, err := Load(path)
	if err != nil || again.ID() != k.ID() || len(k.ID()) != 2*idSize {
		t.Fatalf("Load = %v, %v; created %v", again, err, k)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); problem.CodeOf(err) != problem.KeyWrong {
		t.Errorf("group readable: %v", err)
	}
}

func TestMalformedKeyFiles(t *testing.T) {
	good := filepath.Join(t.TempDir(), "service.key")
	if _, err := CreateSigningKey(good); err != nil {
		t.Fatal(err)
	}
	service, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "only prefix": kekPrefix, "short": kekPrefix + "AAAA", "not base64": kekPrefix + "secret!",
		"another key": string(service), "long": strings.Repeat("x", maxKeyFile*2),
	} {
		path := filepath.Join(t.TempDir(), "kek.key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if problem.CodeOf(err) != problem.KeyWrong {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "secret!") {
			t.Errorf("%s: the error quotes the file", name)
		}
	}
	if _, err := Create(filepath.Join(t.TempDir(), "missing", "kek.key")); err == nil {
		t.Error("Create in a missing folder succeeded")
	}
}

func TestSigningKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "service.key")
	k, err := CreateSigningKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadSigningKey(path)
	if err != nil || !k.Equal(again) {
		t.Fatalf("LoadSigningKey: %v", err)
	}
	if _, err := CreateSigningKey(path); problem.CodeOf(err) != problem.KeyExists {
		t.Errorf("second CreateSigningKey: %v", err)
	}
}

func TestNothingPrintsTheKey(t *testing.T) {
	k := newKeyring([]byte("0123456789abcdef0123456789abcdef"))
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(f, k); strings.Contains(s, "0123456789abcdef") || strings.Contains(s, "48, 49") {
			t.Errorf("%s prints %s", f, s)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := newKeyring(bytes.Repeat([]byte{1}, keySize))
	sealed, err := k.Seal("kind", []string{"row"}, []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add([]byte{version1})
	f.Add(sealed[:1+idSize])
	f.Add(sealed[:len(sealed)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		if plain, err := k.Open("kind", []string{"row"}, data); err == nil && !bytes.Equal(data, sealed) {
			t.Errorf("opened %x to %q", data, plain)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte(kekPrefix + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"))
	f.Add([]byte(kekPrefix))
	f.Fuzz(func(t *testing.T, data []byte) {
		if secret, ok := parseKey(data, kekPrefix); ok && len(secret) != keySize {
			t.Errorf("a key of %d bytes", len(secret))
		}
	})
}
