package terminal_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/journey"
	"latchkey/internal/problem"
	"latchkey/internal/terminal"
)

func without(c problem.Code) journey.Status { return journey.Status{Problem: problem.New(c)} }

func with(cards ...journey.Card) journey.Status { return journey.Status{Cards: cards} }

func locked(reader string) journey.Card {
	return journey.Card{Reader: reader, Model: "PIV card", State: journey.CardLocked}
}

// TestWaiting is a script that waits for a card for 15 seconds, not for ever.
func TestWaiting(t *testing.T) {
	t.Parallel()
	reading := with(journey.Card{Reader: "A", State: journey.CardReading})
	unusable := with(journey.Card{Reader: "A", State: journey.CardUnusable, Problem: problem.New(problem.CardUnknown)})
	open := journey.Card{Reader: "B", State: journey.CardNotLocked}
	for name, c := range map[string]struct {
		statuses []journey.Status
		want     problem.Code
		waits    bool
		says     string
	}{
		"nothing at all":       {nil, problem.NoReaderService, true, ""},
		"no service":           {[]journey.Status{without(problem.NoReaderService)}, problem.NoReaderService, true, "The smartcard service is not running. Restart"},
		"no reader, then none": {[]journey.Status{without(problem.NoReader), without(problem.NoCard)}, problem.NoCard, true, "No smartcard in the reader. Put your smartcard"},
		"only being read":      {[]journey.Status{without(problem.NoCard), reading}, problem.NoCard, true, ""},
		"not recognised":       {[]journey.Status{reading, unusable}, problem.CardUnknown, true, "This card is not recognised. Check that"},
		"not locked":           {[]journey.Status{without(problem.NoCard), with(open)}, problem.CardNotLocked, false, ""},
		"two locked":           {[]journey.Status{with(locked("A"), locked("B"))}, problem.SeveralCards, false, ""},
		"one of two":           {[]journey.Status{with(locked("A"), open)}, problem.InputEnded, false, "Your smartcard is in the reader A."},
		"at last":              {[]journey.Status{without(problem.NoCard), reading, with(locked("A"))}, problem.InputEnded, false, "Your smartcard is in the reader A."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				start := time.Now()
				err := terminal.New(newFake(c.statuses...), strings.NewReader(""), &out).Unlock(t.Context(), terminal.Given{}, false)
				wantCode(t, err, c.want)
				waited := time.Duration(0)
				if c.waits {
					waited = 15 * time.Second
				}
				if got := time.Since(start); got != waited {
					t.Errorf("it waited %v, want %v", got, waited)
				}
				if !strings.Contains(out.String(), c.says) {
					t.Errorf("it does not say %q, but:\n%s", c.says, &out)
				}
			})
		})
	}
}

func TestSeveralCardsAreNamed(t *testing.T) {
	t.Parallel()
	err := terminal.New(newFake(with(locked("A"), locked("B"))), strings.NewReader(""), io.Discard).Unlock(t.Context(), terminal.Given{}, false)
	if got := problem.From(err).What(); got != "There is a smartcard in each of these: A, B. Name one with --reader." {
		t.Errorf("it says %q", got)
	}
}

// TestInterrupted presses Ctrl-C while a card is waited for, at a question,
// and while the card is worked on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]string{"a question": "sam@example.org\n", "the work": "sam@example.org\n123456\n840261\n840261\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				answered, typing := io.Pipe()
				go func() {
					_, err := io.WriteString(typing, answers)
					if err == nil {
						synctest.Wait() // for the next answer, or for the work
						stop()
					}
				}()
				err := terminal.New(newFake(with(locked("A"))), answered, io.Discard).Unlock(ctx, terminal.Given{}, false)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				_ = typing.Close() // ends the read that nobody waits for
			})
		})
	}
	t.Run("no card", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := terminal.New(newFake(), strings.NewReader(""), io.Discard).Unlock(ctx, terminal.Given{}, false)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
}

// TestFaultsEnd: what another answer cannot help with ends the journey.
func TestFaultsEnd(t *testing.T) {
	t.Parallel()
	for call, code := range map[string]problem.Code{"start": problem.ServiceUnreachable, "send a@b.example": problem.SendLimit,
		"check 123456": problem.SessionExpired, "set": problem.SessionState} {
		f := newFake(with(locked("A")))
		f.fail[call] = problem.New(code)
		err := terminal.New(f, strings.NewReader("123456\n840261\n840261\n"), io.Discard).Unlock(t.Context(), terminal.Given{Email: "a@b.example"}, false)
		wantCode(t, err, code)
		if !f.called(call) {
			t.Errorf("%s was never called", call)
		}
	}
}

// TestNamesFromOutside: a reader's name does nothing to the terminal.
func TestNamesFromOutside(t *testing.T) {
	t.Parallel()
	evil := locked("A\x1b[2J\r\nYour smartcard is unlocked.\u009b")
	var out strings.Builder
	_ = terminal.New(newFake(with(evil)), strings.NewReader(""), &out).Unlock(t.Context(), terminal.Given{}, false) // ends for want of answers
	if err := terminal.Status(t.Context(), newFake(with(evil)), &out, false); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\r\u009b") || strings.Contains(out.String(), "\nYour smartcard is unlocked") {
		t.Errorf("%q", out.String())
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	three := 3
	reading := with(journey.Card{Reader: "A", State: journey.CardReading})
	for name, c := range map[string]struct {
		statuses   []journey.Status
		code       problem.Code
		text, json string
	}{
		"no reader": {[]journey.Status{without(problem.NoReader)}, problem.NoReader, "", `{"code":"LK-1002","cards":[]}`},
		"nothing":   {nil, problem.NoReaderService, "", `{"code":"LK-1001","cards":[]}`},
		"being read for ever": {[]journey.Status{reading}, "", "A: reading\n",
			`{"cards":[{"reader":"A","state":"reading"}]}`},
		"two": {[]journey.Status{reading, with(locked("A"), journey.Card{Reader: "B", Model: "YubiKey 5.4.3", State: journey.CardNotLocked, TriesLeft: &three})}, "",
			"A: PIV card locked\nB: YubiKey 5.4.3 not locked, 3 tries of the passcode left\n",
			`{"cards":[{"reader":"A","model":"PIV card","state":"locked"},{"reader":"B","model":"YubiKey 5.4.3","state":"not locked","tries_left":3}]}`},
		"not usable": {[]journey.Status{with(journey.Card{Reader: "A", State: journey.CardUnusable, Problem: problem.New(problem.CardMute)})}, "",
			"A: LK-1005 The card does not answer\n", `{"cards":[{"reader":"A","state":"unusable","code":"LK-1005"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var text, asJSON strings.Builder
				wantCode(t, terminal.Status(t.Context(), newFake(c.statuses...), &text, false), c.code)
				wantCode(t, terminal.Status(t.Context(), newFake(c.statuses...), &asJSON, true), "")
				if text.String() != c.text {
					t.Errorf("it prints %q, want %q", &text, c.text)
				}
				var got, want any
				if err := errors.Join(json.Unmarshal([]byte(asJSON.String()), &got), json.Unmarshal([]byte(c.json), &want)); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
