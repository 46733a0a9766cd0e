package adopt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey/internal/adopt"
	"latchkey/internal/card/emulator"
	"latchkey/internal/directory"
	"latchkey/internal/problem"
	"latchkey/internal/store/pgtest"
	"latchkey/internal/store/storetest"
)

// hand is a person at the reader: what they do when they are told something.
type hand func(text string)

func (o *office) batch(ctx context.Context, list []directory.Wanted, h hand) (lines []string, err error) {
	o.t.Helper()
	o.Say = func(text string) {
		o.said = append(o.said, text)
		h(text)
	}
	err = o.Batch(ctx, list, func(l adopt.Line) error {
		code := problem.Code("")
		if l.Problem != nil {
			code = l.Problem.Code
		}
		lines = append(lines, strings.Trim(fmt.Sprintf("%s %s %s", l.StaffNumber, l.Outcome, code), " "))
		return nil
	})
	return lines, err
}

// deck gives the cards of holders by their names, one at a time.
func (o *office) deck(cards map[string]*emulator.Card) hand {
	return func(text string) {
		if strings.HasPrefix(text, "Take the card out.") {
			o.readers.Remove(reader)
		}
		for name, e := range cards {
			if strings.HasPrefix(text, "Put in the card of "+name) {
				o.readers.Insert(reader, e)
			}
		}
	}
}

func threePeople() []directory.Wanted {
	return []directory.Wanted{{StaffNumber: "1001"}, {StaffNumber: "1002"}, {StaffNumber: "1003"}}
}

// TestBatch: one after another, going on after what cannot be done, and doing
// only the rest the next time.
func TestBatch(t *testing.T) {
	for database, url := range map[string]string{"SQLite": storetest.SQLite(t), "PostgreSQL": pgtest.URL(t)} {
		t.Run(database, func(t *testing.T) {
			o := newOffice(t, url)
			cards := map[string]*emulator.Card{"Sam Taylor": newCard(t, emulator.Options{}), "Kim Lee": newCard(t, emulator.Options{PUK: "73519264"}),
				"Alex Roe": newCard(t, emulator.Options{Family: emulator.FamilyOpenPGP})}
			list := slices.Insert(threePeople(), 1, directory.Wanted{StaffNumber: "4711"})
			lines, err := o.batch(t.Context(), list, o.deck(cards))
			wantCode(t, err, problem.AdoptSome)
			want := []string{"1001 adopted", "4711 not adopted LK-4009", "1002 not adopted LK-7301", "1003 adopted"}
			if !slices.Equal(lines, want) {
				t.Errorf("the report is %q", lines)
			}
			for _, text := range []string{"Put in the card of Sam Taylor (1 of 4).", "Put in the card of Kim Lee (3 of 4).", "Take the card out."} {
				if !slices.Contains(o.said, text) {
					t.Errorf("%q was not said, but %q", text, o.said)
				}
			}
			o.readers.Remove(reader)
			o.Key = adopt.Given("73519264")
			lines, err = o.batch(t.Context(), threePeople(), o.deck(cards))
			must(t, err)
			if want := []string{"1001 already adopted", "1002 adopted", "1003 already adopted"}; !slices.Equal(lines, want) {
				t.Errorf("the second report is %q", lines)
			}
		})
	}
}

// TestBatchOfNumbers: the card must be the one of the list.
func TestBatchOfNumbers(t *testing.T) {
	o := newOffice(t, storetest.SQLite(t))
	mine, other := newCard(t, emulator.Options{Serial: 111111}), newCard(t, emulator.Options{Serial: 222222})
	list := []directory.Wanted{{StaffNumber: "1001", Card: "111111"}, {StaffNumber: "1001", Card: "222222"}, {StaffNumber: "1002", Card: "333333"}}
	next := []*emulator.Card{mine, other, mine}
	lines, err := o.batch(t.Context(), list, func(text string) {
		switch {
		case strings.HasPrefix(text, "Take"):
			o.readers.Remove(reader)
		case strings.HasPrefix(text, "Put in"):
			o.readers.Insert(reader, next[0])
			next = next[1:]
		}
	})
	wantCode(t, err, problem.AdoptSome)
	if want := []string{"1001 adopted", "1001 adopted", "1002 not adopted LK-7306"}; !slices.Equal(lines, want) {
		t.Errorf("the report is %q", lines)
	}
}

// TestBatchPulledOut: the same card is asked for again and finished; another one
// in its place is not touched.
func TestBatchPulledOut(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		o := newOffice(t, storetest.SQLite(t))
		first, second := newCard(t, emulator.Options{Plain: true}), newCard(t, emulator.Options{Plain: true})
		first.SetFaults(onChange(emulator.Fault{TearAfter: true}))
		lines, err := o.batch(t.Context(), threePeople()[:1], func(text string) {
			switch {
			case strings.HasPrefix(text, "Put in"):
				o.readers.Insert(reader, first)
			case strings.HasSuffix(text, "Put the same card back in."):
				first.SetFaults(nil)
				back := first
				if swapped {
					back = second
				}
				o.readers.Insert(reader, back)
			}
		})
		want, code := "1001 adopted", problem.Code("")
		if swapped {
			want, code = "1001 not adopted LK-7306", problem.AdoptSome
		}
		wantCode(t, err, code)
		if !slices.Equal(lines, []string{want}) || second.State().PUK != "12345678" {
			t.Errorf("swapped %v: %q", swapped, lines)
		}
		if _, candidates, _ := o.row(first); !slices.Contains(candidates, first.State().PUK) {
			t.Error("the card's key is no candidate")
		}
	}
}

// TestBatchStopped by Ctrl-C: between two cards at once, with a card in hand
// when that is done. The report says who was not reached.
func TestBatchStopped(t *testing.T) {
	o := newOffice(t, storetest.SQLite(t))
	ctx, stop := context.WithCancel(t.Context())
	e := newCard(t, emulator.Options{Plain: true})
	e.SetFaults(func(_ int, command []byte) emulator.Fault {
		if changes(command) {
			stop()
		}
		return emulator.Fault{}
	})
	lines, err := o.batch(ctx, threePeople(), o.deck(map[string]*emulator.Card{"Sam Taylor": e}))
	if !errors.Is(err, context.Canceled) || !slices.Equal(lines, []string{"1001 adopted", "1002 not reached", "1003 not reached"}) {
		t.Errorf("%q, %v", lines, err)
	}
	if _, candidates, _ := o.row(e); len(candidates) != 1 || candidates[0] != e.State().PUK {
		t.Error("the card in hand was not finished")
	}

	o = newOffice(t, storetest.SQLite(t))
	ctx, stop = context.WithCancel(t.Context())
	lines, err = o.batch(ctx, threePeople(), func(string) { stop() })
	if !errors.Is(err, context.Canceled) || len(lines) != 3 || lines[0] != "1001 not reached" {
		t.Errorf("%q, %v", lines, err)
	}
}

// TestBatchEndsWhereNothingCanBeKept: what is the matter with every card is not
// told of each.
func TestBatchEndsWhereNothingCanBeKept(t *testing.T) {
	o := newOffice(t, storetest.SQLite(t))
	must(t, o.journal.Close())
	_, err := o.DB.SQL().Exec(`DELETE FROM key_journals`)
	must(t, err)
	lines, err := o.batch(t.Context(), threePeople(), o.deck(map[string]*emulator.Card{"Sam Taylor": newCard(t, emulator.Options{})}))
	wantCode(t, err, problem.JournalMissing)
	if len(lines) != 3 || lines[2] != "1003 not reached" {
		t.Errorf("%q", lines)
	}
}

// TestBatchReportFails: it ends there.
func TestBatchReportFails(t *testing.T) {
	o := newOffice(t, storetest.SQLite(t))
	o.Say = o.deck(map[string]*emulator.Card{"Sam Taylor": newCard(t, emulator.Options{})})
	full := errors.New("disk full")
	if err := o.Batch(t.Context(), threePeople(), func(adopt.Line) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// TestReaderThatComesAndGoes while a card is waited for.
func TestReaderThatComesAndGoes(t *testing.T) {
	o := newOffice(t, storetest.SQLite(t))
	e := newCard(t, emulator.Options{})
	steps := 0
	lines, err := o.batch(t.Context(), threePeople()[:1], func(text string) {
		switch steps++; {
		case strings.HasPrefix(text, "Put in"):
			o.readers.Unplug(reader)
		case strings.HasPrefix(text, "No card reader found"):
			o.readers.SetService(false)
		case strings.HasPrefix(text, "The smartcard service is not running"):
			o.readers.Insert(reader, e) // first, or the service may be seen without a reader
			o.readers.SetService(true)
		default:
			t.Errorf("step %d: %q", steps, text)
		}
	})
	must(t, err)
	if !slices.Equal(lines, []string{"1001 adopted"}) || steps != 3 {
		t.Errorf("%d steps: %q", steps, lines)
	}
}
