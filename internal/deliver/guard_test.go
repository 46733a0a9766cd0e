package deliver

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/riverqueue/river"

	"latchkey/internal/audit"
	"latchkey/internal/store"
)

func TestGuardKnowsCountries(t *testing.T) {
	g := Guard{PerHour: 50, Countries: map[string]int{"IE": 3, "FR": 0}, Other: 7, Home: "GB"}
	for country, want := range map[string]int{"IE": 3, "FR": 0, "GB": 50, "US": 7, "": 7, "001": 7} {
		if got := g.most(country); got != want {
			t.Errorf("%q: %d, want %d", country, got, want)
		}
	}
	if got := (Guard{PerHour: 50, Other: 7}).most(""); got != 7 {
		t.Errorf("without a home a number of no country has %d", got)
	}
}

// TestFullGuard: what a limit refuses is not sent, does not count and is told
// to the operator: in the records, the trail and a figure.
func TestFullGuard(t *testing.T) {
	for limit, guard := range map[string]Guard{"GB": {PerHour: 99, Countries: map[string]int{"GB": 1}}, "all": {PerHour: 1, Other: 99}} {
		t.Run(limit, func(t *testing.T) {
			on(t, func(t *testing.T, database string) {
				g := &gateway{name: "one"}
				w := hirePhones(t, database, guard, g)
				w.start(home())
				w.text()
				w.wantKinds(river.EventKindJobCompleted)
				id := w.text()
				w.wantKinds(river.EventKindJobCompleted)
				w.wantRecord(id, store.MessageFailed, "", "limit of text messages")
				if n := w.texts("GB"); n != 1 || len(g.messages()) != 1 {
					t.Errorf("%d counted, %d sent", n, len(g.messages()))
				}
				if n := testutil.ToFloat64(w.figures.refused.WithLabelValues(limit)); n != 1 {
					t.Errorf("the figure is %v", n)
				}
				if trail := w.trail(); len(trail) != 2 || !strings.HasPrefix(trail[1], audit.CodeUndelivered+" the hour's limit of text messages") {
					t.Errorf("%q", trail)
				}
			})
		})
	}
}

// TestGuardOfACountryThatIsRefused: 0 refuses, and other countries go on.
func TestGuardOfACountryThatIsRefused(t *testing.T) {
	g := &gateway{name: "one"}
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), Guard{PerHour: 9, Home: "GB"}, g)
	r := home()
	r.country = "XK"
	w.start(r)
	id := w.text()
	w.wantKinds(river.EventKindJobCompleted)
	w.wantRecord(id, store.MessageFailed, "", "to XK is reached")
	r.country = ""
	id = w.text()
	w.wantKinds(river.EventKindJobCompleted)
	w.wantRecord(id, store.MessageFailed, "", "to unknown is reached")
	r.country = "GB"
	id = w.text()
	w.wantKinds(river.EventKindJobCompleted)
	w.wantRecord(id, store.MessageSent, "one", "")
}
