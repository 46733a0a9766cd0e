package exhaustive

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/card/emulator"
	"latchkey/internal/escrow"
	"latchkey/internal/journey/journeytest"
	"latchkey/internal/store/storetest"
)

var (
	only  = flag.String("only", "", "run these faults alone, as a failure names them, and say what the card was told: 1@40>0 18@7>2")
	write = flag.String("write", "", "write the counts to this file, between its marks")
	share = flag.Int("share", 0, "of how many pairs of faults one is run; 0: as it is usual. A prime number, so that it is another one each time")
)

const (
	oldPIN = "246813"
	oldKey = "73519264"
)

// family is a kind of card.
type family struct {
	name    string
	options emulator.Options
	escrow  []escrow.Option
	bare    bool                    // no certificate on record: nothing it signs can be proven
	edit    func(csv string) string // of its line of the import
}

func families() []family {
	return []family{
		{name: "YubiKey PIV", options: emulator.Options{PUK: oldKey}},
		{name: "plain PIV", options: emulator.Options{PUK: oldKey, Plain: true}},
		{name: "unproven PIV", options: emulator.Options{PUK: oldKey, Plain: true, NoCardAuth: true}, bare: true},
		{name: "GIDS mutual", options: emulator.Options{Family: emulator.FamilyGIDS}},
		{name: "GIDS external", options: emulator.Options{Family: emulator.FamilyGIDS, ExternalOnly: true}},
		{name: "GIDS rotating", options: emulator.Options{Family: emulator.FamilyGIDS},
			escrow: []escrow.Option{escrow.WithAdministrationKeyRotation()}},
		{name: "OpenPGP admin PIN", options: emulator.Options{Family: emulator.FamilyOpenPGP, AdminPIN: oldKey}},
		{name: "OpenPGP resetting code", options: emulator.Options{Family: emulator.FamilyOpenPGP, AdminPIN: "12345678", ResettingCode: oldKey},
			edit: func(csv string) string {
				return strings.Replace(csv, "admin-pin,12345678", "resetting-code,"+oldKey, 1)
			}},
		{name: "ISO 7816 generic-puk", options: emulator.Options{Family: emulator.FamilyISO7816, PUK: oldKey}},
	}
}

// soak says whether all pairs are to be tried.
func soak() bool { return os.Getenv("LATCHKEY_SOAK") != "" }

// shares are of how many single faults, and of how many pairs, one is run.
func shares() (singles, pairs int) {
	switch {
	case *share > 0:
		return 1, *share
	case soak() || *only != "":
		return 1, 1
	}
	return singlesShare, pairsShare
}

// TestEveryFault runs every case, or a part.
func TestEveryFault(t *testing.T) {
	var all table
	t.Run("families", func(t *testing.T) {
		for _, f := range families() {
			count := all.of(f.name)
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				database := storetest.SQLite(t)
				synctest.Test(t, func(t *testing.T) { run(t, f, database, count) })
				t.Log(count)
			})
		}
	})
	t.Log("\n" + all.String())
	if *write != "" && !t.Failed() {
		must(t, all.write(*write))
	}
}

// run runs all cases of a kind of card.
func run(t *testing.T, f family, database string, count *counts) {
	w := newWorld(t, database, f.escrow)
	start := w.issue(f)
	w.load(start)
	x, err := w.attempt(nil)
	if err = errors.Join(err, w.unlocked()); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	count.trace = x
	work := x.faults(true, false)
	pairs := 0
	oneOf, onePairOf := shares()
	for i, first := range x.faults(false, false) {
		if i%oneOf != 0 || !chosen(first, 0) {
			continue
		}
		w.talks = *only != ""
		c := &kase{w: w, name: first.String()}
		w.load(start)
		c.attempt(first)
		after := w.moment()
		next := c.recover()
		count.single(first, c)
		if !slices.Contains(work, first) {
			continue
		}
		for _, second := range next.faults(true, true) {
			if pairs++; pairs%onePairOf != 0 || !chosen(second, 1) {
				continue
			}
			w.tell("--- " + second.String())
			c := &kase{w: w, name: first.String() + ", then " + second.String()}
			w.load(after)
			c.attempt(second)
			c.recover()
			count.pair(first, second, c)
			if count.failures > 10 {
				t.Fatal("too many")
			}
		}
	}
	count.pairsThere = pairs
}

// issue makes a card and registers it.
func (w *world) issue(f family) moment {
	f.options.PIN, f.options.Now = oldPIN, time.Now()
	c, err := emulator.New(f.options)
	must(w.t, err)
	s := c.State()
	if f.bare {
		p := *s.PIV
		p.Keys = nil
		s.PIV = &p
	}
	if f.edit == nil {
		f.edit = func(csv string) string { return csv }
	}
	w.card = c
	w.enrol(s, f.edit)
	w.origin = w.dump()
	return w.moment()
}

// chosen says whether a fault is to be run as the first (0) or second of a case.
func chosen(f fault, place int) bool {
	ids := strings.Fields(*only)
	return place >= len(ids) && place < 1 || len(ids) == 0 || place < len(ids) && ids[place] == f.id()
}

// tell says what happens where one case is looked at.
func (w *world) tell(text string) {
	if w.talks {
		w.t.Log(text)
	}
}

// kase is one case.
type kase struct {
	w        *world
	name     string
	attempts int // that it took to unlock the card afterwards, 0: it was not
	bad      error
}

func (c *kase) fail(format string, args ...any) {
	if c.bad == nil {
		c.bad = fmt.Errorf(format, args...)
		c.w.t.Errorf("%s: %v", c.name, c.bad)
	}
}

// attempt runs an attempt with a fault and looks at what it has left.
func (c *kase) attempt(f fault) {
	f.fired = false
	_, err := c.w.attempt(&f)
	time.Sleep(away) // what was away is back
	if !f.fired {
		c.fail("the fault never happened")
	}
	if err == nil {
		if err := c.w.unlocked(); err != nil {
			c.fail("said to be unlocked: %v", err)
		}
	} else {
		c.name += fmt.Sprintf(" [%v]", err)
	}
	if f.fired && f.kind.late() {
		_, _ = c.w.attempt(nil) // whatever comes of it
		c.w.tell("reconciled now")
	}
	if f.fired && f.kind.goesBack() {
		if err := c.w.reconcile(); err != nil {
			c.fail("reconcile: %v", err)
		}
	}
	c.held("after it")
}

// held makes sure that the escrow has the card's key, and that no more than one
// try of it was ever spent in vain: with two left, whatever comes next leaves the
// last one alone.
func (c *kase) held(when string) {
	if keys := c.w.candidates(); !slices.Contains(keys, journeytest.Key(c.w.card.State())) {
		c.fail("%s: the card's key is not among the %d of the escrow", when, len(keys))
	}
	if left := c.w.fewest; left == 0 || left == 1 {
		c.fail("%s: %d tries of the key were left", when, left)
	}
}

// recover unlocks the card by the same journey, in at most two attempts. It
// gives what the first consisted of.
func (c *kase) recover() (first trace) {
	var errs []error
	for n := 1; n <= 2; n++ {
		x, err := c.w.attempt(nil)
		if n == 1 {
			first = x
		}
		c.held(fmt.Sprintf("attempt %d afterwards", n))
		if err == nil {
			if err := c.w.unlocked(); err != nil {
				c.fail("attempt %d afterwards: %v", n, err)
			}
			c.attempts = n
			return first
		}
		errs = append(errs, err)
	}
	c.fail("not unlocked afterwards: %v", errs)
	return first
}
