package app

import (
	"strings"
	"testing"
	"time"

	"latchkey/internal/problem"
)

func TestReaderNames(t *testing.T) {
	for _, c := range []struct {
		readers, want []string
	}{
		{[]string{"Yubico YubiKey CCID 00 00"}, []string{"Yubico YubiKey CCID"}},
		{[]string{"Example 00 00", "Example 01 00"}, []string{"Example 00 00", "Example 01 00"}},
		{[]string{"Example 00 00", "Another 0A 01"}, []string{"Example", "Another"}},
		{[]string{"Windows names have no slots 0"}, []string{"Windows names have no slots 0"}},
	} {
		var cards []Card
		for _, r := range c.readers {
			cards = append(cards, Card{Reader: r})
		}
		names := readerNames(cards)
		for i, r := range c.readers {
			if names[r] != c.want[i] {
				t.Errorf("%s of %v is called %q", r, c.readers, names[r])
			}
		}
	}
}

// TestTimeLeft is shown while a session runs, and never after it.
func TestTimeLeft(t *testing.T) {
	for step, want := range map[Step]bool{StepMethod: true, StepCode: true, StepPasscode: true, StepWorking: true, StepDone: false, StepEnded: false} {
		x := newSite(t)
		c := x.launched()
		x.engine.set(func(v *View) {
			v.Step, v.Ends, v.Problem = step, start.Add(12*time.Minute), problem.New(problem.CodeTries)
		})
		for _, page := range []string{path(step), "/", "/troubleshooting"} {
			if got := strings.Contains(c.get(page).text(), "Time left to finish: 12 minutes"); got != want {
				t.Errorf("step %q, %s: the time left is shown: %v", step, page, got)
			}
		}
	}
}

// TestCheckAgain is for a card that another program has: nothing tells when it
// lets go.
func TestCheckAgain(t *testing.T) {
	x := newSite(t)
	c := x.launched()
	for _, page := range []string{"/", "/forgotten", "/change"} {
		x.engine.see(unusable(problem.CardBusy))
		c.get(page).on(page, "Another program is using the smartcard", "LK-1009", "Check again")
		if !strings.Contains(c.body, `href="`+page+`" role="button"`) {
			t.Errorf("%s: no button leads back to it", page)
		}
		x.engine.see(Status{Problem: problem.New(problem.NoCard)})
		if c.get(page).on(page, "No smartcard in the reader"); strings.Contains(c.text(), "Check again") {
			t.Errorf("%s: a button for a reader that is only empty", page)
		}
	}
}
