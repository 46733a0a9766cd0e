//go:build pkcs11

package hsm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/store/storetest"
)

const (
	module = "/usr/lib/softhsm/libsofthsm2.so" // Debian's softhsm2
	token  = "latchkey test"
	pin    = "73519264"
)

// TestMain makes a token of SoftHSM for this test process. SoftHSM reads its
// configuration once a process, so all tests share it.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "softhsm")
		if err == nil {
			defer os.RemoveAll(folder)
			err = prepare(folder)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "SoftHSM (scripts/setup.sh installs it):", err)
			return 1
		}
		return m.Run()
	}())
}

func prepare(folder string) error {
	conf := filepath.Join(folder, "softhsm2.conf")
	tokens := filepath.Join(folder, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		return err
	}
	if err := os.Setenv("SOFTHSM2_CONF", conf); err != nil {
		return err
	}
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", token, "--pin", pin, "--so-pin", "12345678").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o Options) seal.Provider {
	t.Helper()
	p, err := New(o)
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func options(key string) Options { return Options{Module: module, Token: token, PIN: pin, Key: key} }

func code(t testing.TB, err error, want problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

// TestWrapAndUnwrap: versions, what a wrapped key is bound to, damage.
func TestWrapAndUnwrap(t *testing.T) {
	p := open(t, options("wrap"))
	secret := bytes.Repeat([]byte{7}, 32)
	v1, one, err := p.Wrap(t.Context(), secret, "a")
	must(t, err)
	if v1 != "v1" || bytes.Contains(one, secret) {
		t.Errorf("%s, %x", v1, one)
	}
	v2, err := p.Rotate(t.Context())
	must(t, err)
	newest, err := p.Newest(t.Context())
	must(t, err)
	v, two, err := p.Wrap(t.Context(), secret, "a")
	must(t, err)
	if v2 != "v2" || newest != v2 || v != v2 || bytes.Equal(one, two) {
		t.Errorf("%s, %s, %s", v2, newest, v)
	}
	must(t, p.Close()) // it connects again
	for version, wrapped := range map[string][]byte{v1: one, v2: two} {
		if got, err := p.Unwrap(t.Context(), version, wrapped, "a"); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: %x, %v", version, got, err)
		}
	}
	_, err = p.Unwrap(t.Context(), v1, one, "b")
	code(t, err, problem.KeyWrong)
	_, err = p.Unwrap(t.Context(), v2, one, "a")
	code(t, err, problem.KeyWrong)
	_, err = p.Unwrap(t.Context(), "v3", one, "a")
	code(t, err, problem.KeyWrong)
	for i := range one {
		bad := bytes.Clone(one)
		bad[i] ^= 1
		_, err = p.Unwrap(t.Context(), v1, bad, "a")
		code(t, err, problem.KeyWrong)
	}
	_, err = p.Unwrap(t.Context(), v1, one[:5], "a")
	code(t, err, problem.KeyWrong)
	if got, err := p.Unwrap(t.Context(), v1, one, "a"); err != nil || !bytes.Equal(got, secret) { // it goes on after all that
		t.Errorf("%x, %v", got, err)
	}
}

func TestModulesThatDoNotServe(t *testing.T) {
	for _, o := range []Options{{}, {Module: module, Token: token, Key: "k"}, {Module: module, PIN: pin, Key: "k"}, {Token: token, PIN: pin, Key: "k"}, {Module: module, Token: token, PIN: pin}} {
		_, err := New(o)
		code(t, err, problem.ProviderMissing)
	}
	for want, o := range map[problem.Code]Options{
		problem.ProviderRefused: {Module: module, Token: token, PIN: "00000000", Key: "k"},
		problem.ProviderGone:    {Module: filepath.Join(t.TempDir(), "none.so"), Token: token, PIN: pin, Key: "k"},
	} {
		p := open(t, o)
		_, err := p.Newest(t.Context())
		code(t, err, want)
		_, _, err = p.Wrap(t.Context(), make([]byte, 32), "a")
		code(t, err, want)
	}
	p := open(t, Options{Module: module, Token: "another", PIN: pin, Key: "k"})
	_, err := p.Newest(t.Context())
	code(t, err, problem.ProviderGone)
}

// TestDatabase: a database whose data keys are wrapped in the module, and one
// that is moved there from a key file.
func TestDatabase(t *testing.T) {
	kek := filepath.Join(t.TempDir(), "kek.key")
	_, err := seal.Create(kek)
	must(t, err)
	file, err := seal.NewFile(kek)
	must(t, err)
	db, err := store.Open(t.Context(), storetest.SQLite(t), store.Options{Node: "test"})
	must(t, err)
	defer db.Close()
	before, err := seal.Open(t.Context(), db, seal.Providers{file})
	must(t, err)
	k := store.Key{ID: "k", CardID: "c", Kind: cardkey.PUK}
	must(t, cardkey.Seal(before, &k, []byte("12345678")))
	providers := seal.Providers{open(t, options("database")), file}
	added, err := seal.NewDataKey(t.Context(), db, providers, false)
	must(t, err)
	if added.Provider != Name || added.Version != "v1" {
		t.Errorf("%+v", added)
	}
	after, err := seal.Open(t.Context(), db, providers)
	must(t, err)
	if after.ID() == before.ID() {
		t.Error("the old data key seals")
	}
	if got, err := cardkey.OpenStored(after, k); err != nil || string(got) != "12345678" {
		t.Errorf("%q, %v", got, err)
	}
	must(t, cardkey.Seal(after, &k, []byte("87654321")))
	must(t, db.Update(t.Context(), func(tx *store.Tx) error { return tx.DeleteDataKey(t.Context(), before.ID()) }))
	alone, err := seal.Open(t.Context(), db, providers[:1])
	must(t, err)
	if got, err := cardkey.OpenStored(alone, k); err != nil || string(got) != "87654321" {
		t.Errorf("%q, %v", got, err)
	}
	_, err = seal.Open(t.Context(), db, seal.Providers{file})
	code(t, err, problem.KeyMissing)
}
