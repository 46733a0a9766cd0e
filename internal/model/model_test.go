package model_test

import (
	"errors"
	"os"
	"testing"

	"latchkey/internal/model"
)

var proofs = map[string]model.Proof{"tells": model.Tells, "signs": model.Signs, "nothing": model.Nothing}

// TestEverythingHolds: a fault in each of two attempts in a row, at any place of
// either, and the next attempt, or the one after it, unlocks the card.
func TestEverythingHolds(t *testing.T) {
	explore(t, model.Bounds{Attempts: deeper(4, 7), InRow: 2, Each: 1}, model.Check)
}

// TestNothingIsLost: whatever goes wrong, however often, the key is not lost,
// and a card that tells its tries keeps the last.
func TestNothingIsLost(t *testing.T) {
	explore(t, model.Bounds{Attempts: deeper(3, 5), InRow: 100, Each: deeper(3, 5)}, model.Safe)
}

// deeper is a bound, and that of the soak run.
func deeper(usual, soak int8) int8 {
	if os.Getenv("LATCHKEY_SOAK") != "" {
		return soak
	}
	return usual
}

func explore(t *testing.T, b model.Bounds, check func(model.State) error) {
	for name, p := range proofs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := model.Explore(p, model.Rules{}, b, check)
			if got.Broken != nil {
				t.Fatal(got)
			}
			t.Log(got)
		})
	}
}

// TestMistakesAreFound: each broken rule breaks the property that it should.
func TestMistakesAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		rules    model.Rules
		property string
	}{
		"the next key is stored too late":         {model.Rules{StoreLater: true}, "R2"},
		"a refusal deletes the pending key":       {model.Rules{DropOnRefusal: true}, "R2"},
		"a claim counts":                          {model.Rules{UnprovenCounts: true}, "R2"},
		"the order never changes":                 {model.Rules{NeverFlips: true}, "R7"},
		"a third key":                             {model.Rules{ThirdKey: true}, "R2"},
		"a refused key is tried again":            {model.Rules{TryAgain: true}, "R3"},
		"a step has another answer when repeated": {model.Rules{FreshAnswer: true}, "R2"},
		"an old report counts":                    {model.Rules{TakesOldReports: true}, "R2"},
		"a key is presented again unheard":        {model.Rules{PresentsAgain: true}, "R7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var found []string
			for _, p := range proofs {
				got := model.Explore(p, test.rules, model.Bounds{Attempts: 4, InRow: 2, Each: 1}, model.Check)
				var b model.Broken
				if errors.As(got.Broken, &b) {
					found = append(found, b.Property)
					t.Log(got)
				}
			}
			for _, property := range found {
				if property == test.property {
					return
				}
			}
			t.Errorf("found %v, not %s", found, test.property)
		})
	}
}
