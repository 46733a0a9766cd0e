package directory

import (
	"slices"
	"strings"
	"testing"

	"latchkey/internal/problem"
	"latchkey/internal/store"
)

// register puts a card in hand on record for S1.
func (f fixture) register(t *testing.T, c CardInHand) (row store.Card, err error) {
	t.Helper()
	err = f.db.Update(t.Context(), func(tx *store.Tx) error {
		h, err := f.HolderByNumber(t.Context(), tx, "S1")
		if err == nil {
			row, err = f.Register(t.Context(), tx, h, c)
		}
		return err
	})
	return row, err
}

// TestRegister: what is on record already stays, and the record is as if it had
// been imported.
func TestRegister(t *testing.T) {
	both(t, Options{}, func(t *testing.T, f fixture) {
		f.seed(t)
		have, err := f.register(t, CardInHand{Family: "piv", Identifier: guid, Serial: "77"})
		if err != nil || have.Serial != "77" {
			t.Errorf("a card on record: %v, %+v", err, have)
		}
		fresh, err := f.register(t, CardInHand{Family: "piv", Identifier: guid2, Serial: "0078"})
		if err != nil || fresh.Serial != "78" || fresh.State != store.CardActive || fresh.Epoch != 1 || fresh.HolderID != have.HolderID {
			t.Errorf("a new card: %v, %+v", err, fresh)
		}
		f.update(t, func(tx *store.Tx) error {
			_, h, err := f.Identify(t.Context(), tx, "piv", guid2, "78")
			if err == nil && h.StaffNumber != "S1" {
				t.Errorf("it is %s's", h.StaffNumber)
			}
			return err
		})
		for name, c := range map[string]CardInHand{
			"another serial number":       {Family: "piv", Identifier: guid, Serial: "78"},
			"the serial number of others": {Family: "piv", Identifier: strings.Repeat("12", 16), Serial: "77"},
			"no identifier":               {Family: "piv", Identifier: strings.Repeat("0", 32)},
			"no family":                   {Family: "nfc", Identifier: guid},
		} {
			if _, err := f.register(t, c); problem.CodeOf(err) != problem.ImportLine {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestReadWanted(t *testing.T) {
	list, err := ReadWanted(strings.NewReader("\ufeffCard_Number,STAFF_NUMBER\r\n 12 345,S1\r\n,S2\r\n99,S1\r\n"))
	want := []Wanted{{"S1", "12 345"}, {"S2", ""}, {"S1", "99"}}
	if err != nil || !slices.Equal(list, want) {
		t.Errorf("%v, %v", list, err)
	}
	for text, code := range map[string]problem.Code{
		"": problem.ImportHeader, "staff_number,name\nS1,Zoe\n": problem.ImportHeader, "card_number\n1\n": problem.ImportHeader,
		"staff_number\nS1\nS1\n": problem.ImportLine, "staff_number\n\"\"\n": problem.ImportLine, "staff_number\nS1,2\n": problem.ImportLine,
		"staff_number\n\"S1\n": problem.ImportLine, "staff_number,card_number\nS1," + strings.Repeat("1", 65) + "\n": problem.ImportLine,
		"staff_number\nS\xff\n": problem.ImportEncoding,
	} {
		if _, err := ReadWanted(strings.NewReader(text)); problem.CodeOf(err) != code {
			t.Errorf("%q: %v, want %s", text, err, code)
		}
	}
}

func FuzzReadWanted(f *testing.F) {
	f.Add("staff_number,card_number\nS1,12345678\nS2,\n")
	f.Add("staff_number\n\"S\"\"1\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ReadWanted(strings.NewReader(text))
		if err != nil && problem.CodeOf(err) == problem.Internal {
			t.Errorf("a file is an internal error: %v", err)
		}
		seen := map[Wanted]bool{}
		for _, w := range list {
			if checkStaffNumber(w.StaffNumber) != nil || seen[w] || len(w.Card) > 64 {
				t.Errorf("%+v is in the list", w)
			}
			seen[w] = true
			SameCard(w.Card, "piv", guid, "12345678")
		}
	})
}
