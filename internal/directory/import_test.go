package directory

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/cardkey"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

type importer func(context.Context, *store.DB, io.ReadSeeker, ImportOptions) (ImportResult, error)

// try imports text and gives the bad lines as "line code".
func (f fixture) try(imp importer, text string, o ImportOptions) (ImportResult, []string, error) {
	var bad []string
	o.Bad = func(b BadLine) { bad = append(bad, fmt.Sprintf("%d %s", b.Line, b.Problem.Code)) }
	r, err := imp(context.Background(), f.db, strings.NewReader(text), o)
	return r, bad, err
}

func (f fixture) mustImport(t testing.TB, imp importer, text string) ImportResult {
	t.Helper()
	r, bad, err := f.try(imp, text, ImportOptions{})
	if err != nil {
		t.Fatalf("%v: %v", bad, err)
	}
	return r
}

// dump gives holders, contacts and cards without what is random.
func (f fixture) dump(t testing.TB) string {
	t.Helper()
	rows, err := f.db.SQL().Query(`
		SELECT 'holder ' || staff_number || ' ' || name || ' ' || state FROM holders
		UNION ALL SELECT 'contact ' || staff_number || ' ' || kind || ' ' || value FROM contacts JOIN holders ON holder_id = holders.id
		UNION ALL SELECT 'card ' || identifier || ' ' || serial || ' ' || staff_number || ' ' || cards.state || ' ' || expires_at
			FROM cards JOIN holders ON holder_id = holders.id
		UNION ALL SELECT 'key ' || identifier || ' ' || card_keys.state || ' ' || created_by FROM card_keys JOIN cards ON card_id = cards.id
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func (f fixture) wantDump(t testing.TB, want string) {
	t.Helper()
	if d := cmp.Diff(want, f.dump(t)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func (f fixture) auditCount(t testing.TB) (n int) {
	t.Helper()
	if err := f.db.SQL().QueryRow(`SELECT count(*) FROM audit`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestImportCardholders(t *testing.T) {
	both(t, Options{Region: "GB"}, func(t *testing.T, f fixture) {
		file := "\ufeffName,staff_number, EMAIL ,mobile\r\n\"Brian, Zoë\",S1,Z@Example.org; z@example.org ;y@example.org,07700 900123\r\n\r\nJoe,S2,,\r\n"
		if r := f.mustImport(t, f.ImportCardholders, file); r != (ImportResult{Lines: 2, Added: 2}) {
			t.Errorf("%+v", r)
		}
		const first = "contact S1 email y@example.org\ncontact S1 email z@example.org\ncontact S1 sms +447700900123\n" +
			"holder S1 Brian, Zoë active\nholder S2 Joe active\n"
		f.wantDump(t, first)
		events := f.auditCount(t)
		if r := f.mustImport(t, f.ImportCardholders, file); r != (ImportResult{Lines: 2, Unchanged: 2}) {
			t.Errorf("again: %+v", r)
		}
		if n := f.auditCount(t); n != events {
			t.Errorf("an import that changed nothing wrote %d audit entries", n-events)
		}
		r := f.mustImport(t, f.ImportCardholders, "staff_number,name,email,state\nS1,Zoë Brian,new@example.org;y@example.org,Suspended\nS2,Joe,,\n")
		if r != (ImportResult{Lines: 2, Changed: 1, Unchanged: 1}) {
			t.Errorf("change: %+v", r)
		}
		f.wantDump(t, "contact S1 email new@example.org\ncontact S1 email y@example.org\ncontact S1 sms +447700900123\n"+
			"holder S1 Zoë Brian suspended\nholder S2 Joe active\n")
	})
}

func TestImportIsAllOrNothing(t *testing.T) {
	file := "staff_number,name,email\nS1,Zoe,zoe@example.org\nS2,,\n,Joe,\nS3,Joe,joe\nS4,J\xffe,\nS5,Joe\nS1,Again,\nS6,\"Jo\"e,\nS7,Last,\nS8,\"Jo\ne\",\n"
	wantBad := []string{"3 LK-7003", "4 LK-7003", "5 LK-7003", "6 LK-7002", "7 LK-7003", "8 LK-7003", "9 LK-7003", "11 LK-7003"}
	both(t, Options{}, func(t *testing.T, f fixture) {
		r, bad, err := f.try(f.ImportCardholders, file, ImportOptions{})
		if problem.CodeOf(err) != problem.ImportRefused || r.Bad != 8 || !slices.Equal(bad, wantBad) {
			t.Errorf("%+v, %v, %v", r, bad, err)
		}
		f.wantDump(t, "")
		if n := f.auditCount(t); n != 0 {
			t.Errorf("%d audit entries", n)
		}
		if r, bad, err := f.try(f.ImportCardholders, file, ImportOptions{Partial: true, DryRun: true}); err != nil || r.Added != 2 || len(bad) != 8 {
			t.Errorf("dry run: %+v, %v, %v", r, bad, err)
		}
		f.wantDump(t, "")
		r, bad, err = f.try(f.ImportCardholders, file, ImportOptions{Partial: true})
		if err != nil || r != (ImportResult{Lines: 10, Added: 2, Bad: 8}) || !slices.Equal(bad, wantBad) {
			t.Errorf("partial: %+v, %v, %v", r, bad, err)
		}
		f.wantDump(t, "contact S1 email zoe@example.org\nholder S1 Zoe active\nholder S7 Last active\n")
	})
}

func TestBadFiles(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	for text, want := range map[string]problem.Code{
		"":                              problem.ImportHeader,
		"\n":                            problem.ImportHeader,
		"staff_number\n":                problem.ImportHeader,
		"staff_number,name,shoe_size\n": problem.ImportHeader,
		"staff_number,name,Name\n":      problem.ImportHeader,
		"S1,Zoe\n":                      problem.ImportHeader,
		"staff_number;name\n":           problem.ImportHeader,
		"staff_number,n\"ame\n":         problem.ImportHeader,
		"\xff\xfes\x00t\x00":            problem.ImportEncoding,
		"staff_number,name\xff\n":       problem.ImportEncoding,
		"staff_number,name\nS1,\"" + strings.Repeat("x\n", maxRecord): problem.ImportLine,
		"staff_number,name\n": "",
	} {
		_, _, err := f.try(f.ImportCardholders, text, ImportOptions{})
		if problem.CodeOf(err) != want {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	if _, err := f.ImportCardholders(t.Context(), f.db, brokenFile{}, ImportOptions{}); problem.CodeOf(err) != problem.ImportFile {
		t.Errorf("broken file: %v", err)
	}
}

type brokenFile struct{}

func (brokenFile) Read([]byte) (int, error)       { return 0, errors.New("input/output error") }
func (brokenFile) Seek(int64, int) (int64, error) { return 0, nil }

// certificate makes a certificate that ends at a time.
func certificate(t testing.TB, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end},
		&x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestImportCards(t *testing.T) {
	end := time.Date(2027, 3, 31, 12, 0, 0, 0, time.UTC)
	der, later := certificate(t, end), certificate(t, end.AddDate(1, 0, 0))
	quoted := `"` + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: later})) + `"`
	both(t, Options{}, func(t *testing.T, f fixture) {
		f.mustImport(t, f.ImportCardholders, "staff_number,name\nS1,Zoe\nS2,Joe\n")
		file := "family,identifier,serial,staff_number,puk," + columnCardAuth + "," + columnPIVAuth + "\n" +
			"PIV,{01234567-89AB-CDEF-0123-456789ABCDEF},0077,S1,12345678," + base64.StdEncoding.EncodeToString(der) + "," + quoted + "\n" +
			"piv," + guid2 + ",,S2,abc!12,,\n"
		if r := f.mustImport(t, f.ImportCards, file); r != (ImportResult{Lines: 2, Added: 2}) {
			t.Errorf("%+v", r)
		}
		const holders = "holder S1 Zoe active\nholder S2 Joe active\n"
		first := fmt.Sprintf("card %s  S2 active 0\ncard %s 77 S1 active %d\n", guid2, guid, end.UnixMicro()) + holders +
			"key " + guid2 + " current import\nkey " + guid + " current import\n"
		f.wantDump(t, first)
		if r := f.mustImport(t, f.ImportCards, file); r != (ImportResult{Lines: 2, Unchanged: 2}) {
			t.Errorf("again: %+v", r)
		}
		header := "family,identifier,serial,staff_number,puk,expires,state\n"
		r := f.mustImport(t, f.ImportCards, header+"piv,"+guid+",,S2,,2028-01-31,revoked\npiv,"+guid2+",78,S2,abc!12,2028-01-31T12:00:00+01:00,\n")
		if r != (ImportResult{Lines: 2, Changed: 2}) {
			t.Errorf("change: %+v", r)
		}
		f.wantDump(t, fmt.Sprintf("card %s 78 S2 active %d\ncard %s 77 S2 revoked %d\n", guid2, time.Date(2028, 1, 31, 11, 0, 0, 0, time.UTC).UnixMicro(),
			guid, time.Date(2028, 2, 1, 0, 0, 0, 0, time.UTC).UnixMicro())+holders+
			"key "+guid2+" current import\nkey "+guid+" current import\n")
	})
}

func TestBadCardLines(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		f.seed(t)
		before := f.dump(t)
		third := strings.Replace(guid, "0", "f", 1)
		file := "family,identifier,serial,staff_number,puk," + columnCardAuth + ",expires,state\n" + strings.Join([]string{
			"piv," + guid + ",77,S1,87654321,,,",                  // 2: another key
			"piv," + guid + ",78,S1,12345678,,,",                  // 3: twice in the file
			"piv," + guid2 + ",77,S1,12345678,,,",                 // 4: serial twice in the file
			"piv," + guid2 + ",79,S9,12345678,,,",                 // 5: nobody
			"gids," + guid2 + ",80,S1,12345678,,,",                // 6: family
			"piv,1234,81,S1,12345678,,,",                          // 7: identifier
			"piv," + strings.Repeat("0", 32) + ",82,S1,123456,,,", // 8: no identifier
			"piv," + third + ",x,S1,12345678,,,",                  // 9: serial
			"piv," + third + ",83,S1,12345,,,",                    // 10: PUK
			"piv," + third + ",84,S1,123456789,,,",                // 11: PUK
			"piv," + third + ",85,S1,12345678,AAAA,,",             // 12: certificate
			"piv," + third + ",86,S1,12345678,,31.3.2027,",        // 13: date
			"piv," + third + ",87,S1,12345678,,,lost",             // 14: state
			"piv," + third + ",88,S1,,,,",                         // 15: no PUK
		}, "\n") + "\n"
		var want []string
		for n := 2; n <= 15; n++ {
			want = append(want, fmt.Sprintf("%d %s", n, problem.ImportLine))
		}
		want[0] = "2 " + string(problem.ImportKey)
		_, bad, err := f.try(f.ImportCards, file, ImportOptions{Partial: true})
		if err != nil || !slices.Equal(bad, want) {
			t.Errorf("%v\n%s", err, cmp.Diff(want, bad))
		}
		_, bad, err = f.try(f.ImportCards, "family,identifier,serial,staff_number,puk\npiv,"+guid+",78,S1,12345678\n", ImportOptions{Partial: true})
		if err != nil || len(bad) != 1 {
			t.Errorf("a cloned GUID: %v, %v", bad, err)
		}
		_, bad, err = f.try(f.ImportCards, "family,identifier,serial,staff_number,puk\npiv,"+guid2+",77,S1,12345678\n", ImportOptions{Partial: true})
		if err != nil || len(bad) != 1 {
			t.Errorf("a cloned serial: %v, %v", bad, err)
		}
		f.wantDump(t, before)
	})
}

// TestBadLinesNeverShowKeys looks for the PUK in all that is said of bad lines.
func TestBadLinesNeverShowKeys(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	f.seed(t)
	const secret = "73915"
	for _, line := range []string{"piv," + guid + ",77,S1," + secret + "123", "piv," + guid + ",77,S1," + secret, "piv," + guid + ",77,S1," + secret + "0123456789"} {
		var said bytes.Buffer
		_, err := f.ImportCards(t.Context(), f.db, strings.NewReader("family,identifier,serial,staff_number,puk\n"+line+"\n"),
			ImportOptions{Bad: func(b BadLine) { fmt.Fprintf(&said, "%+v %v", b, b.Problem.What()) }})
		fmt.Fprint(&said, err)
		if strings.Contains(said.String(), secret) || problem.CodeOf(err) != problem.ImportRefused {
			t.Errorf("%s: %s", line, &said)
		}
	}
}

func TestReissue(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		f.seed(t)
		f.update(t, func(tx *store.Tx) error { return f.Reissue(t.Context(), tx, "piv", strings.ToUpper(guid), "87654321") })
		f.update(t, func(tx *store.Tx) error {
			c, _, err := f.Identify(t.Context(), tx, "piv", guid, "77")
			if err != nil || c.Epoch != 2 || c.TriesOut != 0 {
				t.Errorf("%+v, %v", c, err)
			}
			keys, err := tx.AllCardKeys(t.Context(), c.ID)
			if err != nil || len(keys) != 2 || keys[0].State != store.KeyRetired || keys[0].RetiredAt.IsZero() || keys[1].State != store.KeyCurrent {
				t.Fatalf("%+v, %v", keys, err)
			}
			if puk, err := cardkey.OpenStored(f.keys, keys[1]); string(puk) != "87654321" || err != nil {
				t.Errorf("%q, %v", puk, err)
			}
			return nil
		})
		// A key that the card had is fine in an import, and changes nothing.
		for _, puk := range []string{"12345678", "87654321"} {
			if r := f.mustImport(t, f.ImportCards, "family,identifier,serial,staff_number,puk\npiv,"+guid+",77,S1,"+puk+"\n"); r.Unchanged != 1 {
				t.Errorf("%+v", r)
			}
		}
		for want, c := range map[problem.Code][3]string{
			problem.CardNotKnown: {"piv", guid2, "12345678"}, problem.ImportLine: {"piv", guid, "1"},
		} {
			err := f.db.Update(t.Context(), func(tx *store.Tx) error { return f.Reissue(t.Context(), tx, c[0], c[1], c[2]) })
			if problem.CodeOf(err) != want {
				t.Errorf("%v: %v", c, err)
			}
		}
	})
}

func TestImportLeavesTamperedRecords(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	f.seed(t)
	f.sql(t, `UPDATE holders SET name = 'Evil'`)
	for _, c := range []struct {
		imp  importer
		text string
	}{
		{f.ImportCardholders, "staff_number,name\nS1,Zoe\n"},
		{f.ImportCards, "family,identifier,serial,staff_number,puk\npiv," + guid + ",77,S1,12345678\n"},
	} {
		if _, bad, err := f.try(c.imp, c.text, ImportOptions{Partial: true}); err != nil || !slices.Equal(bad, []string{"2 LK-5000"}) {
			t.Errorf("%v, %v", bad, err)
		}
	}
}

func TestPartialImportInManyBatches(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		var file strings.Builder
		file.WriteString("staff_number,name\n")
		for i := range 2*importBatch + 10 {
			name := "Zoe"
			if i%importBatch == 3 {
				name = ""
			}
			fmt.Fprintf(&file, "S%d,%s\n", i, name)
		}
		var progress []int
		r, err := f.ImportCardholders(t.Context(), f.db, strings.NewReader(file.String()),
			ImportOptions{Partial: true, Progress: func(n int) { progress = append(progress, n) }})
		if err != nil || r != (ImportResult{Lines: 1010, Added: 1007, Bad: 3}) || !slices.Equal(progress, []int{1000}) {
			t.Errorf("%+v, %v, %v", r, progress, err)
		}
	})
}

func FuzzImportCards(f *testing.F) {
	fx := newFixture(f, urls()["SQLite"](f), Options{})
	fx.seed(f)
	f.Add([]byte("family,identifier,serial,staff_number,puk\npiv," + guid + ",77,S1,12345678\n"))
	f.Add([]byte("family,identifier,serial,staff_number,puk,state\n\"piv\n\"," + guid + ",,S1,,\n"))
	f.Add([]byte("\ufefffamily,identifier,serial,staff_number,puk\r\n,,,,\r\n\"\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := 0
		r, err := fx.ImportCards(t.Context(), fx.db, bytes.NewReader(data),
			ImportOptions{Partial: true, DryRun: true, Bad: func(BadLine) { lines++ }})
		if err == nil && (r.Bad != lines || r.Lines != r.Bad+r.Added+r.Changed+r.Unchanged) {
			t.Errorf("%+v with %d bad lines reported", r, lines)
		}
		if err != nil && problem.CodeOf(err) == problem.Internal {
			t.Error(err)
		}
	})
}
