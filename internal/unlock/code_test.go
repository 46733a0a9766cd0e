package unlock_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/api"
	"latchkey/internal/card/emulator"
	"latchkey/internal/problem"
	"latchkey/internal/store/storetest"
	"latchkey/internal/unlock"
	"latchkey/internal/unlock/unlocktest"
)

// freshly gives a fresh database of the same kind.
func freshly(t *testing.T, database string) string {
	if database == "" {
		return ""
	}
	return storetest.PostgreSQL(t)
}

// enrolled is a service with one card.
func enrolled(t *testing.T, o unlocktest.Options) (*unlocktest.Installation, *emulator.Card) {
	x := unlocktest.New(t, o)
	c := newCard(t, emulator.Options{Now: x.Now()})
	if !o.Clock {
		c = newCard(t, emulator.Options{})
	}
	x.Enrol(t, c)
	return x, c
}

// TestAddressesLookAlike: the same answer, and the same count of tries, for the
// holder's address, another's and nobody's (R4). A code goes to the first only.
func TestAddressesLookAlike(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, c := enrolled(t, unlocktest.Options{Database: database})
		x.Import(t, "staff_number,name,email\n77,Somebody Else,else@example.org\n", "")
		var first *api.CodeSent
		for address, theirs := range map[string]bool{
			unlocktest.Email: true, strings.ToUpper(unlocktest.Email): true, "  " + unlocktest.Email + " ": true,
			"else@example.org": false, "nobody@example.org": false, "sam.taylor@example.com": false,
		} {
			v := identified(t, x, c)
			before := x.Jobs()
			sent, err := v.send(address)
			v.must(err)
			sent.SendsLeft, sent.SecondsLeft = 0, 0 // the card's, and time goes on
			if first == nil {
				first = &sent
			}
			if d := cmp.Diff(*first, sent); d != "" || x.Jobs() != before+1 {
				t.Errorf("%q looks different: %s", address, d)
			}
			code := x.Code(t)
			if (code != "") != theirs {
				t.Errorf("%q: code %q", address, code)
			}
			err = v.check("000000x")
			wantCode(t, err, problem.CodeWrong)
			if left := problem.From(err).TriesLeft; left == nil || *left != 4 {
				t.Errorf("%q: %v tries left", address, left)
			}
		}
	})
}

func TestAddressesThatAreNone(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	v := identified(t, x, c)
	for address, code := range map[string]problem.Code{
		"": problem.AddressMissing, "   ": problem.AddressMissing, "sam": problem.AddressMalformed,
		"sam@": problem.AddressMalformed, "a@b@c": problem.AddressMalformed, "sam taylor@example.org": problem.AddressMalformed,
		strings.Repeat("a", 10_000) + "@example.org":           problem.AddressMalformed,
		"sam@example.org\r\nBcc: all@example.org":              problem.AddressMalformed,
		"sam@exam\x00ple.org":                                  problem.AddressMalformed,
		"\"Sam\" <" + unlocktest.Email + ">, else@example.org": problem.AddressMalformed,
		"sam\xff@example.org":                                  problem.AddressMalformed,
	} {
		if _, err := v.send(address); problem.CodeOf(err) != code {
			t.Errorf("%.40q: %v", address, err)
		}
	}
	if x.Jobs() != 0 {
		t.Errorf("%d codes were made", x.Jobs())
	}
}

func TestMethodsThatAreNotThere(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	v := identified(t, x, c)
	for _, m := range []api.Method{api.MethodSMS, api.MethodFace, "", "pigeon"} {
		_, err := x.Sessions.SendCode(t.Context(), v.who, api.CodeRequest{Method: m, Address: unlocktest.Email})
		if problem.CodeOf(err) != problem.MethodUnavailable {
			t.Errorf("%q: %v", m, err)
		}
	}
}

func TestWrongCodesEndTheSession(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, c := enrolled(t, unlocktest.Options{Database: database})
		v := identified(t, x, c)
		wantCode(t, v.check("123456"), problem.CodeNotSent)
		_, err := v.send(unlocktest.Email)
		v.must(err)
		right := x.Code(t)
		wantCode(t, v.check(" - "), problem.CodeMissing)
		for left := 4; left > 0; left-- {
			err := v.check(other(right))
			wantCode(t, err, problem.CodeWrong)
			if p := problem.From(err); p.TriesLeft == nil || *p.TriesLeft != left {
				t.Errorf("%v tries left, want %d", p.TriesLeft, left)
			}
		}
		wantCode(t, v.check(strings.Repeat("9", 10_000)), problem.CodeTries)
		wantCode(t, v.check(right), problem.SessionFinished)
		if x.Code(t) != "" {
			t.Error("a code of an ended session would still be sent")
		}
	})
}

// other is a code that is wrong.
func other(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestCodesAreForOneSessionAndOneUse(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	mine, theirs := identified(t, x, c), identified(t, x, c)
	_, err := theirs.send(unlocktest.Email)
	theirs.must(err)
	code := x.Code(t)
	_, err = mine.send("nobody@example.org")
	mine.must(err)
	wantCode(t, mine.check(code), problem.CodeWrong)
	newer := code
	for newer == code {
		_, err = theirs.send(unlocktest.Email)
		theirs.must(err)
		newer = x.Code(t)
	}
	wantCode(t, theirs.check(code), problem.CodeWrong) // the newest only
	theirs.must(theirs.check(newer))
	wantCode(t, theirs.check(newer), problem.SessionState)
	if x.Code(t) != "" {
		t.Error("a used code would still be sent")
	}
}

// TestCodesAreForgiving takes what people and keyboards do to a code.
func TestCodesAreForgiving(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	arabic := strings.NewReplacer("0", "٠", "1", "١", "2", "٢", "3", "٣", "4", "٤", "5", "٥", "6", "٦", "7", "٧", "8", "٨", "9", "٩")
	for name, as := range map[string]func(string) string{
		"spaces": func(s string) string { return "  " + s[:3] + " " + s[3:] + "\n" },
		"hyphen": func(s string) string { return s[:3] + "-" + s[3:] },
		"dash":   func(s string) string { return s[:3] + "–" + s[3:] },
		"hidden": func(s string) string { return "\u200e" + s + "\u200f" },
		"arabic": arabic.Replace,
	} {
		v := identified(t, x, c)
		_, err := v.send(unlocktest.Email)
		v.must(err)
		if err := v.check(as(x.Code(t))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNewerSessionSupersedes: the newer verified session of a card wins (R5).
func TestNewerSessionSupersedes(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		x, c := enrolled(t, unlocktest.Options{Database: database})
		older := verified(t, x, c)
		started := identified(t, x, c)
		newer := verified(t, x, c)
		_, _, err := older.release(1)
		wantCode(t, err, problem.SessionReplaced)
		if older.state() != api.StateSuperseded {
			t.Errorf("the older is %s", older.state())
		}
		if _, err := started.send(unlocktest.Email); err != nil {
			t.Errorf("one that has verified nobody goes on: %v", err)
		}
		_, _, err = newer.release(1)
		newer.must(err)
	})
}

func TestSendLimits(t *testing.T) {
	set := func(l unlock.Limits) func(*unlock.Config) { return func(c *unlock.Config) { c.Limits = l } }
	for name, limits := range map[string]unlock.Limits{
		"card":    {SendsPerCard: 2, SendsPerAddress: 99, SendsPerNetwork: 99, SendsTotal: 99},
		"address": {SendsPerCard: 99, SendsPerAddress: 2, SendsPerNetwork: 99, SendsTotal: 99},
		"network": {SendsPerCard: 99, SendsPerAddress: 99, SendsPerNetwork: 2, SendsTotal: 99},
		"total":   {SendsPerCard: 99, SendsPerAddress: 99, SendsPerNetwork: 99, SendsTotal: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, c := enrolled(t, unlocktest.Options{Clock: true, Config: set(limits)})
			v := identified(t, x, c)
			for range 2 {
				_, err := v.send(unlocktest.Email)
				v.must(err)
			}
			_, err := v.send(unlocktest.Email)
			wantCode(t, err, problem.SendLimit)
			wait := problem.From(err).RetryAfter
			if wait == nil || *wait < 1 || *wait > 3601 {
				t.Fatalf("wait %v", wait)
			}
			if x.Jobs() != 2 {
				t.Errorf("%d codes", x.Jobs())
			}
			if code := x.Code(t); v.check(code) != nil {
				t.Error("the code that was sent no longer works")
			}
			x.Advance(time.Duration(*wait) * time.Second)
			next := identified(t, x, c)
			if _, err := next.send(unlocktest.Email); err != nil {
				t.Errorf("after the wait: %v", err)
			}
		})
	}
}

func TestStartLimits(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{Clock: true, Config: func(c *unlock.Config) {
		c.Limits = unlock.Limits{StartsPerNetwork: 2, StartsTotal: 3}
	}})
	visit(t, x, c)
	v := visit(t, x, c)
	wantCode(t, v.start(), problem.RequestRate)
	v.network = "198.51.100.2" // what was refused to one has used up nothing of the other's
	v.must(v.start())
	wantCode(t, v.start(), problem.RequestRate)
	x.Advance(time.Minute)
	v.must(v.start())
}

// TestDailyAndHolderLimits: wrong codes add up over sessions; a right one ends
// only the holder's count.
func TestDailyAndHolderLimits(t *testing.T) {
	spend := func(t *testing.T, x *unlocktest.Installation, c *emulator.Card, wrong int) *visitor {
		v := identified(t, x, c)
		_, err := v.send(unlocktest.Email)
		v.must(err)
		for range wrong {
			wantCode(t, v.check(other(x.Code(t))), problem.CodeWrong)
		}
		return v
	}
	limits := func(day, holder int) unlocktest.Options {
		return unlocktest.Options{Clock: true, Config: func(c *unlock.Config) {
			c.Limits = unlock.Limits{WrongCodesDaily: day, HolderFailures: holder}
		}}
	}
	t.Run("day", func(t *testing.T) {
		x, c := enrolled(t, limits(4, 99))
		v := spend(t, x, c, 3)
		v.must(v.check(x.Code(t)))
		v = spend(t, x, c, 1)
		wantCode(t, v.check(x.Code(t)), problem.DayLimit)
		x.Advance(24 * time.Hour)
		v = spend(t, x, c, 0)
		v.must(v.check(x.Code(t)))
	})
	t.Run("holder", func(t *testing.T) {
		x, c := enrolled(t, limits(99, 4))
		v := spend(t, x, c, 3)
		v.must(v.check(x.Code(t)))
		v = spend(t, x, c, 4)
		wantCode(t, v.check(x.Code(t)), problem.HolderFailures)
		x.Advance(48 * time.Hour)
		v = spend(t, x, c, 0)
		wantCode(t, v.check(x.Code(t)), problem.HolderFailures)
		wantCode(t, x.Sessions.Forgive(t.Context(), "nobody"), problem.HolderNotKnown)
		v.must(x.Sessions.Forgive(t.Context(), "1001"))
		v.must(v.check(x.Code(t)))
	})
}

// TestSerialNumbersUseUpNothing: tries with a bare number do not count for the
// card that can prove itself.
func TestSerialNumbersUseUpNothing(t *testing.T) {
	x := unlocktest.New(t, unlocktest.Options{Config: func(c *unlock.Config) {
		c.Limits = unlock.Limits{SendsPerCard: 1, WrongCodesDaily: 1}
	}})
	c := newCard(t, emulator.Options{})
	x.EnrolBare(t, c)
	stranger := identified(t, x, c)
	_, err := stranger.send("nobody@example.org")
	stranger.must(err)
	wantCode(t, stranger.check("000000"), problem.CodeWrong)
	csv, err := c.State().ExportCSV("1001", true)
	stranger.must(err)
	x.Import(t, "", csv) // the record now has the certificate
	holder := identified(t, x, c)
	_, err = holder.send(unlocktest.Email)
	holder.must(err)
	holder.must(holder.check(x.Code(t)))
}

func TestCodesAreSixRandomDigits(t *testing.T) {
	x, c := enrolled(t, unlocktest.Options{})
	seen := map[string]bool{}
	for range 20 {
		v := identified(t, x, c)
		_, err := v.send(unlocktest.Email)
		v.must(err)
		code := x.Code(t)
		var n int
		if _, err := fmt.Sscanf(code, "%06d", &n); err != nil || len(code) != 6 {
			t.Errorf("code %q", code)
		}
		seen[code] = true
	}
	if len(seen) < 19 {
		t.Errorf("only %d of 20 codes differ", len(seen))
	}
}
