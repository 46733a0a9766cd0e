package adopt_test

import (
	"context"
	"strings"
	"testing"

	"latchkey/internal/adopt"
	"latchkey/internal/audit"
	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/directory"
	"latchkey/internal/problem"
	"latchkey/internal/store/storetest"
)

// wrongKey is a key of a family that is no card's.
func wrongKey(f card.Family) adopt.KeySource {
	if f == card.FamilyGIDS {
		return adopt.Given(strings.Repeat("fedcba9876543210", 3))
	}
	return adopt.Given("99999999")
}

// TestAWrongKey costs the card one try and changes nothing; the next, right one
// is taken, for the service does not think that it has a key.
func TestAWrongKey(t *testing.T) {
	for name, options := range cards() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, e := newOffice(t, storetest.SQLite(t)), newCard(t, options)
			f := familyOf(e.State())
			before := f.key(e.State())
			o.Key = wrongKey(f.family)
			_, err := o.adopt(e, "")
			wantCode(t, err, problem.AdoptKeyWrong)
			counted := f.family != card.FamilyGIDS
			if left := f.tries(e.State()); f.key(e.State()) != before || counted && left != 2 {
				t.Errorf("the card's key was changed, or has %d tries", left)
			}
			if p := problem.From(err); counted && (p.TriesLeft == nil || *p.TriesLeft != 2) {
				t.Errorf("tries left: %v", p.TriesLeft)
			}
			c, candidates, all := o.row(e)
			if len(candidates) != 0 || len(all) != 2 || c.ID == "" {
				t.Errorf("%d candidates of %d", len(candidates), len(all))
			}
			if e, n := o.did(audit.CardNotAdopted); n != 1 || e.Details["by"] != "robin" {
				t.Errorf("the trail has %d", n)
			}
			o.quiet("99999999", before)
			o.forCard(e)
			_, err = o.adopt(e, "")
			must(t, err)
			if f.key(e.State()) == before || f.tries(e.State()) != 3 {
				t.Error("it was not adopted after all")
			}
		})
	}
}

// TestTheLastTryIsNotSpent, whether the card tells its tries or has only told
// them once, in an earlier refusal.
func TestTheLastTryIsNotSpent(t *testing.T) {
	for name, options := range cards() {
		if strings.Contains(name, "GIDS") {
			continue // nothing counts the tries of an administration key
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, e := newOffice(t, storetest.SQLite(t)), newCard(t, options)
			f := familyOf(e.State())
			o.Key = wrongKey(f.family)
			for range 5 {
				if _, err := o.adopt(e, ""); err == nil {
					t.Fatal("a wrong key was taken")
				}
			}
			_, err := o.adopt(e, "")
			wantCode(t, err, problem.AdoptLastTry)
			if left := f.tries(e.State()); left != 1 {
				t.Errorf("%d tries are left", left)
			}
			o.forCard(e) // not even with the right one: nobody can know that it is
			_, err = o.adopt(e, "")
			wantCode(t, err, problem.AdoptLastTry)
		})
	}
}

func TestABlockedCard(t *testing.T) {
	for name, options := range cards() {
		if strings.Contains(name, "GIDS") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, e := newOffice(t, storetest.SQLite(t)), newCard(t, options)
			o.forCard(e)
			f := familyOf(e.State())
			must(t, e.Edit(func(s *emulator.State) { f.setTries(s, 0) }))
			before := f.key(e.State())
			_, err := o.adopt(e, "")
			wantCode(t, err, problem.AdoptBlocked)
			if f.key(e.State()) != before {
				t.Error("its key was changed")
			}
		})
	}
	o := newOffice(t, storetest.SQLite(t))
	_, err := o.adopt(newCard(t, emulator.Options{PUKDisabled: true}), "")
	wantCode(t, err, problem.AdoptBlocked)
}

// TestWhatIsNotAdopted: nothing is asked of these cards, and nothing kept.
func TestWhatIsNotAdopted(t *testing.T) {
	for name, test := range map[string]struct {
		options emulator.Options
		set     func(*office, *emulator.Card)
		number  string
		code    problem.Code
	}{
		"another card":          {emulator.Options{}, nil, "123", problem.AdoptOtherCard},
		"no card":               {emulator.Options{}, func(o *office, e *emulator.Card) { o.Reader = "nobody's" }, "", problem.NoReader},
		"the wrong family":      {emulator.Options{}, func(o *office, e *emulator.Card) { o.Family = card.FamilyGIDS }, "", problem.CardUnknown},
		"a key of no form":      {emulator.Options{}, func(o *office, e *emulator.Card) { o.Key = adopt.Given("12 34") }, "", problem.AdoptKeyForm},
		"a key of another kind": {emulator.Options{Family: emulator.FamilyGIDS}, func(o *office, e *emulator.Card) { o.Key = adopt.Given("12345678") }, "", problem.AdoptKeyForm},
		"no factory key":        {emulator.Options{Family: emulator.FamilyISO7816}, nil, "", problem.AdoptNoFactory},
		"not initialised":       {emulator.Options{Family: emulator.FamilyGIDS, Blank: true}, nil, "", problem.CardUnknown},
		"two cards":             {emulator.Options{}, func(o *office, e *emulator.Card) { o.readers.Insert("second", newCard(o.t, emulator.Options{})) }, "", problem.SeveralCards},
		"a database that is behind": {emulator.Options{}, func(o *office, e *emulator.Card) {
			_, err := o.DB.SQL().Exec(`INSERT INTO release_control (id, state, reason, actor, changed_at, reopens_at, generation) VALUES (1, 'behind', '', '', 0, 0, 1)`)
			must(o.t, err)
		}, "", problem.EscrowBehind},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, e := newOffice(t, storetest.SQLite(t)), newCard(t, test.options)
			if test.set != nil {
				test.set(o, e)
			}
			f := familyOf(e.State())
			before := f.key(e.State())
			_, err := o.adopt(e, test.number)
			wantCode(t, err, test.code)
			_, candidates, _ := o.row(e)
			if f.key(e.State()) != before || f.tries(e.State()) != 3 || len(candidates) != 0 {
				t.Errorf("the card has %d tries, there are %d candidates", f.tries(e.State()), len(candidates))
			}
		})
	}
}

// TestWhoseCard: staff number and record must be the same person's.
func TestWhoseCard(t *testing.T) {
	o, e := newOffice(t, storetest.SQLite(t)), newCard(t, emulator.Options{})
	o.readers.Insert(reader, e)
	_, _, err := o.One(t.Context(), "4711", "")
	wantCode(t, err, problem.HolderNotKnown)
	_, err = o.adopt(e, "")
	must(t, err)
	after := e.State().PUK
	_, _, err = o.One(t.Context(), "1002", "")
	wantCode(t, err, problem.AdoptOtherHolder)
	if e.State().PUK != after {
		t.Error("its key was changed")
	}
	revoked := newCard(t, emulator.Options{})
	o.importCard(revoked, "")
	_, err = o.Directory.ImportCards(t.Context(), o.DB, strings.NewReader("family,identifier,serial,staff_number,state\npiv,"+revoked.State().GUID+",,1001,revoked\n"),
		directory.ImportOptions{WithoutKeys: true})
	must(t, err)
	_, err = o.adopt(revoked, "")
	wantCode(t, err, problem.CardRevoked)
	if revoked.State().PUK != "12345678" {
		t.Error("the key of a revoked card was changed")
	}
}

// TestACardOnRecord with the key that is given is adopted from it, one without a
// key likewise, and one with another key is left alone.
func TestACardOnRecord(t *testing.T) {
	o := newOffice(t, storetest.SQLite(t))
	for key, code := range map[string]problem.Code{"": "", "12345678": "", "73519264": problem.AdoptHasKey} {
		e := newCard(t, emulator.Options{Plain: true})
		o.importCard(e, key)
		_, err := o.adopt(e, "")
		wantCode(t, err, code)
		_, candidates, _ := o.row(e)
		if len(candidates) != 1 || (candidates[0] == e.State().PUK) != (code == "") || (e.State().PUK == "12345678") != (code != "") || e.State().PUKTries != 3 {
			t.Errorf("imported with %q: %d candidates, the card has %d tries", key, len(candidates), e.State().PUKTries)
		}
	}
	// The record's key is refused: it stays, as it was before.
	e := newCard(t, emulator.Options{Plain: true, PUK: "55555555"})
	o.importCard(e, "12345678")
	_, err := o.adopt(e, "")
	wantCode(t, err, problem.AdoptKeyWrong)
	if c, candidates, _ := o.row(e); len(candidates) != 1 || candidates[0] != "12345678" || c.TriesLeft != 2 {
		t.Errorf("%d candidates, %+v", len(candidates), c)
	}
}

// TestACardThatTakesNoOtherKey keeps the one that was given.
func TestACardThatTakesNoOtherKey(t *testing.T) {
	for name, answer := range map[string][]byte{"refused": {0x6A, 0x80}, "not supported": {0x6D, 0x00}} {
		o, e := newOffice(t, storetest.SQLite(t)), newCard(t, emulator.Options{Plain: true})
		e.SetFaults(onChange(emulator.Fault{Answer: answer}))
		_, err := o.adopt(e, "")
		wantCode(t, err, problem.AdoptCannot)
		c, candidates, _ := o.row(e)
		if len(candidates) != 1 || candidates[0] != "12345678" || c.OpenAttempt != "" {
			t.Errorf("%s: %d candidates, %+v", name, len(candidates), c)
		}
		e.SetFaults(nil)
		_, err = o.adopt(e, "")
		must(t, err)
		if _, candidates, _ := o.row(e); len(candidates) != 1 || candidates[0] != e.State().PUK {
			t.Errorf("%s: not adopted afterwards", name)
		}
	}
}

// TestTheNumberOfTheCard as people write it.
func TestTheNumberOfTheCard(t *testing.T) {
	o := newOffice(t, storetest.SQLite(t))
	e := newCard(t, emulator.Options{Serial: 12345678})
	g := e.State().GUID
	for _, number := range []string{"12345678", "0012345678", "12 345 678", g, strings.ToUpper(g), g[:8] + "-" + g[8:]} {
		if _, err := o.adopt(e, number); err != nil {
			t.Errorf("%s: %v", number, err)
		}
	}
	for _, number := range []string{"12345679", "1234567", g[:31], "x"} {
		_, err := o.adopt(e, number)
		wantCode(t, err, problem.AdoptOtherCard)
	}
}

// TestAnotherJournal: what cannot be written there is not given to a card.
func TestAnotherJournal(t *testing.T) {
	o, e := newOffice(t, storetest.SQLite(t)), newCard(t, emulator.Options{Plain: true})
	must(t, o.journal.Close())
	_, err := o.DB.SQL().Exec(`DELETE FROM key_journals`) // as another database would look
	must(t, err)
	_, err = o.adopt(e, "")
	wantCode(t, err, problem.JournalMissing)
	if e.State().PUK != "12345678" {
		t.Error("its key was changed, and is in no journal")
	}
}

// TestAnotherCardMeanwhile: while its key is typed the card is swapped.
func TestAnotherCardMeanwhile(t *testing.T) {
	o, e, other := newOffice(t, storetest.SQLite(t)), newCard(t, emulator.Options{}), newCard(t, emulator.Options{})
	o.Key = func(context.Context, card.Family, string) ([]byte, error) {
		o.readers.Insert(reader, other)
		return []byte("12345678"), nil
	}
	_, err := o.adopt(e, "")
	wantCode(t, err, problem.CardSwapped)
	if c, _, _ := o.row(other); c.ID != "" || other.State().PUK != "12345678" {
		t.Error("the other card was touched")
	}
}

// TestStoppedBeforeTheCard: Ctrl-C while the key is asked for leaves nothing.
func TestStoppedBeforeTheCard(t *testing.T) {
	o, e := newOffice(t, storetest.SQLite(t)), newCard(t, emulator.Options{})
	ctx, stop := context.WithCancel(t.Context())
	o.Key = func(context.Context, card.Family, string) ([]byte, error) {
		stop()
		return []byte("12345678"), nil
	}
	o.readers.Insert(reader, e)
	if _, _, err := o.One(ctx, "1001", ""); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	if c, _, _ := o.row(e); c.ID != "" {
		t.Error("it is on record")
	}
	if e.State().PUK != "12345678" {
		t.Error("its key was changed")
	}
}
