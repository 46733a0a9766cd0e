package directory

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/cardkey"
	"latchkey/internal/escrow/keyfile"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// keyless is a directory with two cards that have no keys yet.
func (f fixture) keyless(t testing.TB) {
	t.Helper()
	f.mustImport(t, f.ImportCardholders, "staff_number,name\nS1,Zoe\n")
	_, bad, err := f.try(f.ImportCards, "family,identifier,serial,staff_number\npiv,"+guid+",77,S1\npiv,"+guid2+",78,S1\n", ImportOptions{WithoutKeys: true})
	if err != nil {
		t.Fatal(bad, err)
	}
}

// keyOf gives the candidates of a card, opened.
func (f fixture) keyOf(t testing.TB, identifier string) (out []string) {
	t.Helper()
	f.update(t, func(tx *store.Tx) error {
		out = nil
		c, err := tx.CardByIdentifier(t.Context(), "piv", identifier)
		if err != nil {
			return err
		}
		keys, err := tx.CardKeys(t.Context(), c.ID)
		for _, k := range keys {
			if err := cardkey.CheckStand(f.keys, c, keys); err != nil {
				return err
			}
			key, err := cardkey.Open(t.Context(), tx, f.keys, c, k)
			if err != nil {
				return err
			}
			out = append(out, k.Kind+" "+string(key))
		}
		return err
	})
	return out
}

// TestImportKeys: stored and derived keys, tried first, then kept, then the
// same again, which changes nothing; another key is refused.
func TestImportKeys(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		f.keyless(t)
		if f.keyOf(t, guid) != nil {
			t.Fatal("a card has a key")
		}
		master := []byte("0123456789abcdef")
		for range 2 { // the same again changes nothing
			f.update(t, func(tx *store.Tx) error { return f.AddMaster(t.Context(), tx, 3, cardkey.MethodCMAC, "acme", master) })
		}
		err := f.db.Update(t.Context(), func(tx *store.Tx) error {
			return f.AddMaster(t.Context(), tx, 3, cardkey.MethodCMAC, "acme", []byte("fedcba9876543210"))
		})
		if problem.CodeOf(err) != problem.MasterKeyWrong {
			t.Errorf("another master key under the same number: %v", err)
		}
		file := "family,identifier,kind,key,master,serial\npiv," + guid + ",puk,12345678,,77\npiv," + guid2 + ",PUK,,3,\n"
		if r, bad, err := f.try(f.ImportKeys, file, ImportOptions{DryRun: true}); err != nil || r.Added != 2 || f.keyOf(t, guid) != nil {
			t.Errorf("trial: %+v, %v, %v", r, bad, err)
		}
		if r := f.mustImport(t, f.ImportKeys, file); r.Added != 2 {
			t.Errorf("%+v", r)
		}
		derived, err := cardkey.Derive(cardkey.MethodCMAC, master, "acme", cardkey.PUK, "piv", guid2)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]string{{"puk 12345678"}, {"puk " + string(derived)}}, [][]string{f.keyOf(t, guid), f.keyOf(t, guid2)}); diff != "" {
			t.Error(diff)
		}
		if r := f.mustImport(t, f.ImportKeys, file); r.Unchanged != 2 {
			t.Errorf("again: %+v", r)
		}
		_, bad, err := f.try(f.ImportKeys, "family,identifier,kind,key\npiv,"+guid+",puk,87654321\n", ImportOptions{})
		if diff := cmp.Diff([]string{"2 LK-7004"}, bad); diff != "" || problem.CodeOf(err) != problem.ImportRefused {
			t.Error(diff, err)
		}
	})
}

// TestImportKeysBadLines: each refused row is told, and none of them has the
// key in what is told.
func TestImportKeysBadLines(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	f.keyless(t)
	secret := "hunter2-8"
	lines := []string{
		"piv," + guid + ",puk," + secret + ",,", // too long
		"gids,0,administration-key-3des," + secret + ",,",
		"piv," + guid + ",pin," + secret + ",,",
		"piv," + guid + ",admin-pin,12345678,,",
		"piv," + guid + ",puk,,,",
		"piv," + guid + ",puk,12345678,1,",
		"piv," + guid + ",puk,,x,",
		"piv," + guid + ",puk,,9,",
		"piv," + strings.Repeat("1", 32) + ",puk,12345678,,",
		"piv," + guid2 + ",puk,12345678,,99",
		"piv," + guid2 + ",puk,12345678,,",
	}
	var told []string
	r, err := f.ImportKeys(t.Context(), f.db, strings.NewReader("family,identifier,kind,key,master,serial\n"+strings.Join(lines, "\n")+"\n"),
		ImportOptions{Bad: func(b BadLine) {
			told = append(told, string(b.Problem.Code)+" "+b.Problem.What())
		}})
	if problem.CodeOf(err) != problem.ImportRefused || r.Bad != len(lines) {
		t.Fatalf("%+v, %v: %q", r, err, told)
	}
	if text := strings.Join(told, "\n"); strings.Contains(text, secret) || strings.Contains(text, "12345678") {
		t.Errorf("a key is told: %s", text)
	}
	if f.keyOf(t, guid2) != nil {
		t.Error("a key was kept")
	}
}

// TestImportEncryptedKeys: a file for this service, and one for another.
func TestImportEncryptedKeys(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	f.keyless(t)
	public, err := keyfile.PublicKey(f.keys)
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	if err := keyfile.Encrypt(&sealed, strings.NewReader("family,identifier,kind,key\npiv,"+guid+",puk,12345678\n"), public); err != nil {
		t.Fatal(err)
	}
	other := newFixture(t, urls()["SQLite"](t), Options{})
	if _, err := other.KeyFile(bytes.NewReader(sealed.Bytes())); problem.CodeOf(err) != problem.ImportSealed {
		t.Errorf("another service opens it: %v", err)
	}
	in := func(raw []byte) io.ReadSeeker {
		file, err := f.KeyFile(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	cut := sealed.Bytes()[:sealed.Len()-1]
	if r, err := f.ImportKeys(t.Context(), f.db, in(cut), ImportOptions{}); problem.CodeOf(err) != problem.ImportSealed || r.Added != 0 || f.keyOf(t, guid) != nil {
		t.Errorf("cut: %+v, %v", r, err)
	}
	if r, err := f.ImportKeys(t.Context(), f.db, in(sealed.Bytes()), ImportOptions{}); err != nil || r.Added != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := f.keyOf(t, guid); len(got) != 1 || got[0] != "puk 12345678" {
		t.Errorf("%v", got)
	}
}
