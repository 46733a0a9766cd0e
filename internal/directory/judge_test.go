package directory

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/internal/store/storetest"
	"latchkey/internal/trust"
)

// TestCertificatesAreJudged: a line whose certificate does not count is bad;
// one that is on record already is not judged again, and whether a certificate
// was revoked need not be known.
func TestCertificatesAreJudged(t *testing.T) {
	t.Parallel()
	end := time.Now().AddDate(1, 0, 0).Truncate(time.Second)
	verdicts := map[string]trust.Status{}
	fault := errors.New("the authorities cannot be read")
	var broken error
	f := newFixture(t, storetest.SQLite(t), Options{Judge: func(cert []byte, now time.Time) (trust.Verdict, error) {
		if d := time.Since(now); d < -time.Minute || d > time.Minute {
			t.Errorf("judged at %v", now)
		}
		return trust.Verdict{Status: verdicts[string(cert)], Why: "the test says so"}, broken
	}})
	f.mustImport(t, f.ImportCardholders, "staff_number,name\nS1,Zoë Brian\n")
	cert := func(s trust.Status) string {
		der := certificate(t, end)
		verdicts[string(der)] = s
		return base64.StdEncoding.EncodeToString(der)
	}
	good, unknown := cert(trust.Good), cert(trust.Unknown)
	const header = "family,identifier,serial,staff_number,puk,card_authentication_certificate,piv_authentication_certificate\n"
	line := func(n, first, second string) string {
		return "piv," + strings.Repeat("0", 31) + n + "," + n + ",S1,12345678," + first + "," + second + "\n"
	}
	file := header + line("1", good, unknown) + line("2", cert(trust.Expired), good) + line("3", cert(trust.Untrusted), "") +
		line("4", good, cert(trust.Revoked)) + line("5", "", "")
	r, bad, err := f.try(f.ImportCards, file, ImportOptions{Partial: true})
	if err != nil || r.Added != 2 || !slices.Equal(bad, []string{"3 LK-7011", "4 LK-7011", "5 LK-7011"}) {
		t.Errorf("%+v %v %v", r, bad, err)
	}
	for der := range verdicts {
		verdicts[der] = trust.Revoked
	}
	again := header + line("1", good, unknown) + line("5", "", "")
	if r := f.mustImport(t, f.ImportCards, again); r.Unchanged != 2 {
		t.Errorf("again: %+v", r)
	}
	_, bad, _ = f.try(f.ImportCards, header+line("5", good, ""), ImportOptions{})
	if !slices.Equal(bad, []string{"2 LK-7011"}) {
		t.Errorf("a card's first certificate: %v", bad)
	}
	broken = fault
	if _, _, err := f.try(f.ImportCards, header+line("6", good, ""), ImportOptions{}); !errors.Is(err, fault) {
		t.Errorf("%v", err)
	}
}
