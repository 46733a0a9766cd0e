package passcode

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/problem"
)

var (
	digits  = Rules{Min: 6, Max: 8, DigitsOnly: true}
	letters = Rules{Min: 6, Max: 12}
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, passcode string
		rules          Rules
		want           problem.Code
		detail         string // "" is the catalogue's
	}{
		{"fewest digits", "493817", digits, "", ""},
		{"between", "4938172", digits, "", ""},
		{"most digits", "49381726", digits, "", ""},
		{"fewest characters", "vR7#qz", letters, "", ""},
		{"most characters", "vR7# qz~2mKp", letters, "", ""},
		{"digits where letters may be", "493817", letters, "", ""},
		{"one length only", "4938172", Rules{Min: 7, Max: 7, DigitsOnly: true}, "", ""},

		{"empty", "", digits, problem.PasscodeMissing, ""},
		{"empty where letters may be", "", letters, problem.PasscodeMissing, ""},

		{"one digit short", "49381", digits, problem.PasscodeShort, "The passcode must have at least 6 digits"},
		{"one character short", "vR7#q", letters, problem.PasscodeShort, "The passcode must have at least 6 characters"},
		{"short comes before guessable", "11111", digits, problem.PasscodeShort, "The passcode must have at least 6 digits"},
		{"one digit long", "493817265", digits, problem.PasscodeLong, "The passcode must have at most 8 digits"},
		{"one character long", "vR7# qz~2mKpx", letters, problem.PasscodeLong, "The passcode must have at most 12 characters"},
		{"long comes before guessable", "111111111", digits, problem.PasscodeLong, "The passcode must have at most 8 digits"},
		{"very long", strings.Repeat("4938172", 10000), digits, problem.PasscodeLong, "The passcode must have at most 8 digits"},

		{"a letter in front", "a93817", digits, problem.PasscodeNotDigits, ""},
		{"a letter in the middle", "493a17", digits, problem.PasscodeNotDigits, ""},
		{"a letter at the end", "49381a", digits, problem.PasscodeNotDigits, ""},
		{"letters come before short", "a", digits, problem.PasscodeNotDigits, ""},
		{"a space around", " 493817 ", digits, problem.PasscodeNotDigits, ""},
		{"a sign", "-493817", digits, problem.PasscodeNotDigits, ""},
		{"a new line", "493817\n", digits, problem.PasscodeNotDigits, ""},
		{"a zero byte", "493817\x00", digits, problem.PasscodeNotDigits, ""},
		{"digits of another script", "\u0664\u0669\u0663\u0668\u0661\u0667", digits, problem.PasscodeNotDigits, ""},
		{"wide digits", "\uff14\uff19\uff13\uff18\uff11\uff17", digits, problem.PasscodeNotDigits, ""},

		{"an accent", "vR7#qé", letters, problem.PasscodeNotDigits, "Use the letters, digits and signs of an English keyboard only"},
		{"a control character", "vR7#q\t", letters, problem.PasscodeNotDigits, "Use the letters, digits and signs of an English keyboard only"},
		{"delete", "vR7#q\x7f", letters, problem.PasscodeNotDigits, "Use the letters, digits and signs of an English keyboard only"},
		{"not UTF-8", "vR7#q\xff", letters, problem.PasscodeNotDigits, "Use the letters, digits and signs of an English keyboard only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkIs(t, c.rules, c.passcode, c.want, c.detail)
		})
	}
}

func TestGuessable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason    string
		rules     Rules
		passcodes []string
	}{
		{"it is one digit over and over", digits, []string{"000000", "1111111", "99999999"}},
		{"it is a run, such as 123456", digits, []string{"123456", "654321", "012345", "456789", "567890", "8901234", "32109876"}},
		{"it counts in twos, such as 246802", digits, []string{"246802", "135791", "208642", "97531975"}},
		{"it repeats itself, such as 121212", digits, []string{"121212", "1212121", "123123", "1231231", "49384938", "12312312"}},
		{"it is made of pairs, such as 112233", digits, []string{"112233", "334477", "11223344", "99005566"}},
		{"it reads the same backwards", digits, []string{"123321", "493394", "4938394", "49388394"}},
		{"it could be a date", digits, []string{"251286", "122586", "861225", "290204", "25121986", "12251986", "19861225", "29022004"}},
		{"many people use it", digits, []string{"147258", "159753", "142857", "14789632", "123789"}},
		{"many people use it", letters, []string{"147258", "password", "passcode", "qwerty", "letmein"}},
		{"it is one digit over and over", letters, []string{"aaaaaa", "########", "      "}},
		{"it repeats itself, such as 121212", letters, []string{"ab#ab#", "vRvRvR"}},
	} {
		for _, p := range c.passcodes {
			t.Run(p, func(t *testing.T) {
				t.Parallel()
				checkIs(t, c.rules, p, problem.PasscodeGuessable, "Choose a passcode that is harder to guess: "+c.reason)
			})
		}
	}
}

// What is nearly guessable is good enough.
func TestNotGuessable(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]string{
		"one digit, but for the last":        "777778",
		"a run with a slip":                  "123457",
		"counting in threes":                 "147036",
		"a repeat with a slip":               "493494",
		"pairs with a slip":                  "337748",
		"backwards with a slip":              "493395",
		"the 31st of April":                  "310477",
		"a 30th of February":                 "30021986",
		"a day before 1900":                  "31121899",
		"a day from 2100":                    "31122100",
		"a date of seven digits":             "2512198",
		"part of what many use":              "1478963",
		"the end of one and start of a next": "654147",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkIs(t, digits, p, "", "")
		})
	}
}

func checkIs(t *testing.T, r Rules, passcode string, want problem.Code, detail string) {
	t.Helper()
	err := r.Check(passcode)
	if got := problem.CodeOf(err); got != want {
		t.Fatalf("Check = %q (%v), want %q", got, err, want)
	}
	if err != nil {
		if diff := cmp.Diff(detail, problem.From(err).Detail); diff != "" {
			t.Errorf("detail (-want +got):\n%s", diff)
		}
	}
}

func TestErrorsNeverShowThePasscode(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]string{
		"short":     "49381",
		"long":      "493817265",
		"letters":   "49a817",
		"accent":    "493é17",
		"one digit": "777777",
		"a run":     "345678",
		"in twos":   "468024",
		"a repeat":  "493493",
		"pairs":     "334477",
		"backwards": "493394",
		"a date":    "251286",
		"common":    "159753",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := digits
			if name == "accent" {
				rules.DigitsOnly = false
			}
			err := rules.Check(p)
			if shown := fmt.Sprintf("%v %+v", err, *problem.From(err)); err == nil || strings.Contains(shown, p) {
				t.Error(shown)
			}
		})
	}
}

func TestCombine(t *testing.T) {
	t.Parallel()
	piv := card.PINRules{MinLength: 6, MaxLength: 8, DigitsOnly: true}
	for _, c := range []struct {
		name string
		org  api.PasscodeRules
		card card.PINRules
		want Rules
	}{
		{"neither asks for anything", api.PasscodeRules{}, card.PINRules{}, Rules{Min: 1, Max: 8}},
		{"the card alone", api.PasscodeRules{}, piv, Rules{Min: 6, Max: 8, DigitsOnly: true}},
		{"the organisation alone", api.PasscodeRules{MinLength: 5, MaxLength: 10, DigitsOnly: true}, card.PINRules{}, Rules{Min: 5, Max: 10, DigitsOnly: true}},
		{"the organisation is stricter", api.PasscodeRules{MinLength: 7, MaxLength: 7}, piv, Rules{Min: 7, Max: 7, DigitsOnly: true}},
		{"the card is stricter", api.PasscodeRules{MinLength: 4, MaxLength: 16}, piv, Rules{Min: 6, Max: 8, DigitsOnly: true}},
		{"the organisation wants digits", api.PasscodeRules{DigitsOnly: true}, card.PINRules{MinLength: 4, MaxLength: 12}, Rules{Min: 4, Max: 12, DigitsOnly: true}},
		{"letters on both", api.PasscodeRules{MinLength: 8}, card.PINRules{MaxLength: 12}, Rules{Min: 8, Max: 12}},
		{"the card cannot hold what the organisation wants", api.PasscodeRules{MinLength: 10, MaxLength: 12}, piv, Rules{Min: 8, Max: 8, DigitsOnly: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, Combine(c.org, c.card)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The settings allow passcode_max 5, and a PIV card wants 6.
func TestCombineNeverGoesBelowTheCard(t *testing.T) {
	got := Combine(api.PasscodeRules{MinLength: 4, MaxLength: 5}, card.PINRules{MinLength: 6, MaxLength: 8, DigitsOnly: true})
	if got.Min < 6 {
		t.Errorf("Combine = %+v", got)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	const guess = "is hard to guess: not 123456, 111111 or a date"
	for _, c := range []struct {
		name  string
		rules Rules
		want  []string
	}{
		{"digits", digits, []string{"has 6 to 8 digits, from 0 to 9", guess}},
		{"characters", letters, []string{"has 6 to 12 characters", guess}},
		{"one length", Rules{Min: 8, Max: 8, DigitsOnly: true}, []string{"has 8 digits, from 0 to 9", guess}},
		{"one length of characters", Rules{Min: 8, Max: 8}, []string{"has 8 characters", guess}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, c.rules.Words()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
