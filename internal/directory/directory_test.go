package directory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey/internal/problem"
	"latchkey/internal/seal"
	"latchkey/internal/store"
	"latchkey/internal/store/pgtest"
	"latchkey/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// fixture is a directory on an empty database.
type fixture struct {
	*Directory
	db *store.DB
}

// urls gives an empty database of each kind.
func urls() map[string]func(testing.TB) string {
	return map[string]func(testing.TB) string{
		"SQLite":     storetest.SQLite,
		"PostgreSQL": storetest.PostgreSQL,
	}
}

func newFixture(t testing.TB, url string, o Options) fixture {
	t.Helper()
	keys, err := seal.Create(filepath.Join(t.TempDir(), "kek.key"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(keys, o)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(context.Background(), url, store.Options{Node: "node"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return fixture{d, db}
}

// both runs a test on both databases.
func both(t *testing.T, o Options, test func(*testing.T, fixture)) {
	for name, url := range urls() {
		t.Run(name, func(t *testing.T) { test(t, newFixture(t, url(t), o)) })
	}
}

func (f fixture) update(t testing.TB, fn func(*store.Tx) error) {
	t.Helper()
	if err := f.db.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

// sql runs statements behind Latchkey's back.
func (f fixture) sql(t testing.TB, statement string) {
	t.Helper()
	if _, err := f.db.SQL().Exec(statement); err != nil {
		t.Fatal(err)
	}
}

const (
	guid  = "0123456789abcdef0123456789abcdef"
	guid2 = "0123456789abcdef0123456789abcde0"
)

// seed imports a holder with a card.
func (f fixture) seed(t testing.TB) {
	t.Helper()
	f.mustImport(t, f.ImportCardholders, "staff_number,name,email,mobile\nS1,Zoe,Zoe@Example.org;z2@other.example,+447700900123\n")
	f.mustImport(t, f.ImportCards, "family,identifier,serial,staff_number,puk\npiv,"+guid+",77,S1,12345678\n")
}

func TestIdentify(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{})
	f.seed(t)
	f.update(t, func(tx *store.Tx) error {
		for _, serial := range []string{"77", ""} {
			c, h, err := f.Identify(t.Context(), tx, "piv", guid, serial)
			if err != nil || c.Identifier != guid || h.StaffNumber != "S1" {
				t.Errorf("serial %q: %v, %v, %v", serial, c, h, err)
			}
		}
		for _, c := range [][3]string{{"piv", guid, "78"}, {"piv", guid2, "77"}, {"gids", guid, "77"}} {
			if _, _, err := f.Identify(t.Context(), tx, c[0], c[1], c[2]); !errors.Is(err, store.ErrNotFound) || errors.Is(err, ErrTampered) {
				t.Errorf("%v: %v", c, err)
			}
		}
		return nil
	})
}

func TestTamperedRecordsCountAsAbsent(t *testing.T) {
	for _, statement := range []string{
		`UPDATE cards SET state = 'suspended'`, `UPDATE cards SET serial = ''`, `UPDATE cards SET expires_at = 5`,
		`UPDATE cards SET card_auth_cert = x'30'`, `UPDATE cards SET piv_auth_cert = x'30'`, `UPDATE cards SET mac = NULL`,
		`UPDATE cards SET identifier = '` + guid + `', family = 'piv', mac = x'00'`,
		`UPDATE holders SET state = 'suspended'`, `UPDATE holders SET staff_number = 'S2'`, `UPDATE holders SET name = 'X'`,
	} {
		f := newFixture(t, urls()["SQLite"](t), Options{})
		f.seed(t)
		f.sql(t, statement)
		f.update(t, func(tx *store.Tx) error {
			_, _, err := f.Identify(t.Context(), tx, "piv", guid, "")
			if !errors.Is(err, store.ErrNotFound) || !errors.Is(err, ErrTampered) {
				t.Errorf("%s: %v", statement, err)
			}
			return nil
		})
		found := false
		err := f.db.View(t.Context(), func(tx *store.Tx) error {
			if _, _, err := f.Identify(t.Context(), tx, "piv", guid, ""); !errors.Is(err, ErrTampered) {
				t.Errorf("%s: in a view: %v", statement, err)
			}
			return tx.EachAudit(t.Context(), "", 0, func(e store.AuditEvent) error {
				found = found || e.Action == "record.tampered"
				return nil
			})
		})
		if err != nil || !found {
			t.Errorf("%s: in the audit trail: %v, %v", statement, found, err)
		}
	}
}

func TestContact(t *testing.T) {
	f := newFixture(t, urls()["SQLite"](t), Options{EmailDomains: []string{"Example.ORG"}, Region: "GB"})
	f.seed(t)
	f.update(t, func(tx *store.Tx) error {
		h, err := tx.HolderByStaffNumber(t.Context(), "S1")
		if err != nil {
			return err
		}
		for address, want := range map[string]bool{
			" ZOE@example.ORG\n": true, "zoe@example.org": true, "joe@example.org": false, "z2@other.example": false,
			"zoe@sub.example.org": false,
		} {
			c, ok, err := f.Contact(t.Context(), tx, h.ID, KindEmail, address)
			if err != nil || ok != want || ok && c.Value != "zoe@example.org" {
				t.Errorf("%q: %v, %v, %v", address, c, ok, err)
			}
		}
		for number, want := range map[string]bool{"07700 900123": true, "+44 (0)7700-900123": true, "07700 900124": false, "+353 85 012 3456": false} {
			c, ok, err := f.Contact(t.Context(), tx, h.ID, KindSMS, number)
			if err != nil || ok != want || ok && (c.Value != "+447700900123" || c.Kind != KindSMS) {
				t.Errorf("%q: %v, %v, %v", number, c, ok, err)
			}
		}
		if _, _, err := f.Contact(t.Context(), tx, h.ID, KindSMS, "zoe@example.org"); problem.CodeOf(err) != problem.MobileMalformed {
			t.Errorf("an address as a number: %v", err)
		}
		if _, ok, err := f.Contact(t.Context(), tx, "nobody", KindEmail, "zoe@example.org"); ok || err != nil {
			t.Errorf("of nobody: %v, %v", ok, err)
		}
		if _, _, err := f.Contact(t.Context(), tx, h.ID, KindEmail, "zoe"); problem.CodeOf(err) != problem.AddressMalformed {
			t.Errorf("malformed: %v", err)
		}
		return nil
	})
	f.sql(t, `UPDATE contacts SET value = 'evil@example.org' WHERE value = 'zoe@example.org'`)
	f.update(t, func(tx *store.Tx) error {
		h, err := tx.HolderByStaffNumber(t.Context(), "S1")
		if err != nil {
			return err
		}
		if _, ok, err := f.Contact(t.Context(), tx, h.ID, KindEmail, "evil@example.org"); ok || err != nil {
			t.Errorf("tampered: %v, %v", ok, err)
		}
		return nil
	})
}

func TestStanding(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good, holder := store.Card{State: store.CardActive, ExpiresAt: now.Add(1)}, store.Holder{State: store.HolderActive}
	with := func(change func(*store.Card, *store.Holder)) error {
		c, h := good, holder
		change(&c, &h)
		return Standing(c, h, now)
	}
	for name, c := range map[string]struct {
		err  error
		want problem.Code
	}{
		"good":        {Standing(good, holder, now), ""},
		"no expiry":   {with(func(c *store.Card, _ *store.Holder) { c.ExpiresAt = time.Time{} }), ""},
		"expired":     {with(func(c *store.Card, _ *store.Holder) { c.ExpiresAt = now }), problem.CardExpired},
		"suspended":   {with(func(c *store.Card, _ *store.Holder) { c.State = store.CardSuspended }), problem.CardSuspended},
		"revoked":     {with(func(c *store.Card, _ *store.Holder) { c.State, c.ExpiresAt = store.CardRevoked, now }), problem.CardRevoked},
		"holder":      {with(func(_ *store.Card, h *store.Holder) { h.State = store.HolderSuspended }), problem.HolderSuspended},
		"empty state": {with(func(c *store.Card, _ *store.Holder) { c.State = "" }), problem.CardSuspended},
	} {
		if got := problem.CodeOf(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestNormaliseEmail(t *testing.T) {
	for in, want := range map[string]string{
		"  Zoe.O'Brian+x@Example.ORG. ":       "zoe.o'brian+x@example.org",
		"zoe@bücher.example":                  "zoe@xn--bcher-kva.example",
		"zoe@XN--BCHER-KVA.example":           "zoe@xn--bcher-kva.example",
		"ZOE\u0308@example.org":               "zo\u00eb@example.org",
		"\u200bz@example.org\u00a0":           "z@example.org",
		strings.Repeat("l", 64) + "@ex.org":   strings.Repeat("l", 64) + "@ex.org",
		"":                                    "",
		" \t":                                 "",
		"zoe":                                 "!",
		"@example.org":                        "!",
		"zoe@":                                "!",
		"zoe@localhost":                       "!",
		"zoe@[192.0.2.1]":                     "!",
		"zoe@192.0.2.1":                       "!",
		"zoe@@example.org":                    "!",
		"zoe@example..org":                    "!",
		"zoe@-example.org":                    "!",
		"zoe@exa_mple.org":                    "!",
		".zoe@example.org":                    "!",
		"zo..e@example.org":                   "!",
		"\"zoe\"@example.org":                 "!",
		"Zoe <zoe@example.org>":               "!",
		"zoe@example.org,x@example.org":       "!",
		"zoe@example.org\r\nBcc: x@evil.test": "!",
		"z\x00e@example.org":                  "!",
		"z\xffe@example.org":                  "!",
		strings.Repeat("l", 65) + "@ex.org":   "!",
		strings.Repeat("l", 10_000):           "!",
	} {
		got, err := NormaliseEmail(in)
		code := map[string]problem.Code{"": problem.AddressMissing, "!": problem.AddressMalformed}[want]
		if problem.CodeOf(err) != code || code == "" && got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestNormaliseMobile(t *testing.T) {
	home, err := New(nil, Options{Region: "GB"})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"07700 900123": "+447700900123", "+44 (0)7700-900.123": "+447700900123", "0044 7700 900123": "+447700900123",
		"0044(0)7700/900123": "+447700900123", "(07700) 900 123": "+447700900123", "7700900123": "+447700900123",
		"44 7700 900123": "+447700900123", "\u200b07700\u00a0900123\u202c": "+447700900123", "tel:+447700900123": "+447700900123",
		"٠٧٧٠٠ ٩٠٠١٢٣": "+447700900123", "०७७०० ९००१२३": "+447700900123", "\uff0b44 ７７００ ９００１２３": "+447700900123",
		"07911 123456": "+447911123456", "+1 (202) 555\u20110123": "+12025550123", "+353 85 012 3456": "+353850123456",
		"": "", " \t": "", "()": "", "+44": "!", "+44770090012345678": "!", "0770090012x": "!", "+0770090012": "!", "07700 900 12": "!",
		"call 07700 900123": "!", "07700 900123 ext 5": "!", "07700 900123, 07700 900124": "!", "+44+447700900123": "!", "0800 FLOWERS": "!",
		"020 7946 0000": "!", "0905 812 3456": "!", "999": "!", "+999 12345678": "!",
		"07700900123\r\nTo: +447700900124": "!", "07700\x00900123": "!", "07700\xff900123": "!", strings.Repeat("0", 10_000): "!",
	} {
		got, err := home.NormaliseMobile(in)
		code := map[string]problem.Code{"": problem.MobileMissing, "!": problem.MobileMalformed}[want]
		if problem.CodeOf(err) != code || code == "" && got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := (&Directory{}).NormaliseMobile("07700 900123"); problem.CodeOf(err) != problem.MobileMalformed {
		t.Errorf("without a region: %v", err)
	}
	abroad, err := New(nil, Options{Region: "ie"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := abroad.NormaliseMobile("085 012 3456"); got != "+353850123456" {
		t.Errorf("in Ireland: %q, %v", got, err)
	}
}

func TestCountry(t *testing.T) {
	for number, want := range map[string]string{"+447700900123": "GB", "+447400123456": "GB", "+447911123456": "GG", "+353850123456": "IE",
		"+12025550123": "US", "+870773111632": "001", "": "", "+999123": ""} {
		if got := Country(number); got != want {
			t.Errorf("%q: %q, want %q", number, got, want)
		}
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	for _, o := range []Options{{EmailDomains: []string{"exa mple.org"}}, {Region: "+44"}, {Region: "GBR"}, {Region: "XX"}} {
		if _, err := New(nil, o); problem.CodeOf(err) != problem.ConfigInvalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func FuzzNormaliseEmail(f *testing.F) {
	for _, s := range []string{"Zoe@Example.org", "zoë@bücher.example", "a@b", "\u0130@example.org", "ß@ß.example", "a@xn--.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := NormaliseEmail(s)
		if err != nil {
			return
		}
		if twice, err := NormaliseEmail(once); err != nil || twice != once {
			t.Errorf("%q -> %q -> %q, %v", s, once, twice, err)
		}
		if strings.ContainsAny(once, " \r\n\t\x00<>\",") || len(once) > maxAddress {
			t.Errorf("%q -> %q", s, once)
		}
	})
}

func FuzzNormaliseMobile(f *testing.F) {
	d, err := New(nil, Options{Region: "GB"})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"07700 900123", "+44 (0)7911 123456", "00353 85 012 3456", "٠٧٧٠٠ ٩٠٠١٢٣", "tel:+447700900123;ext=5", "+800 1234 5678", "+-0"} {
		f.Add(s)
	}
	form := regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	f.Fuzz(func(t *testing.T, s string) {
		once, err := d.NormaliseMobile(s)
		if err != nil {
			return
		}
		if twice, err := d.NormaliseMobile(once); err != nil || twice != once {
			t.Errorf("%q -> %q -> %q, %v", s, once, twice, err)
		}
		if !form.MatchString(once) {
			t.Errorf("%q -> %q", s, once)
		}
	})
}
