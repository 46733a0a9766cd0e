// Package passcode decides what makes a new passcode acceptable: its length,
// its characters and that it is not one of those that anybody tries first
// (after NIST SP 800-63B-4 section 3.1.1.2: compare with common and expected
// values, and say why one is refused).
//
// A passcode is never part of an error.
package passcode

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/problem"
)

// Rules are what a passcode must fulfil.
type Rules struct {
	Min, Max   int // characters
	DigitsOnly bool
}

// Combine gives the rules that satisfy both the organisation and the card. A
// zero value of either asks for nothing.
func Combine(o api.PasscodeRules, c card.PINRules) Rules {
	r := Rules{Min: max(o.MinLength, c.MinLength, 1), Max: c.MaxLength, DigitsOnly: o.DigitsOnly || c.DigitsOnly}
	if r.Max == 0 || o.MaxLength > 0 && o.MaxLength < r.Max {
		r.Max = o.MaxLength
	}
	if r.Max == 0 {
		r.Max = 8
	}
	r.Max = max(r.Max, c.MinLength) // what the card wants it gets
	r.Min = min(r.Min, r.Max)
	return r
}

// Check says what is wrong with a passcode, nil for nothing. Problems:
// PasscodeMissing, PasscodeNotDigits, PasscodeShort, PasscodeLong,
// PasscodeGuessable.
func (r Rules) Check(passcode string) error {
	n := utf8.RuneCountInString(passcode)
	switch {
	case n == 0:
		return problem.New(problem.PasscodeMissing)
	case r.DigitsOnly && strings.Trim(passcode, "0123456789") != "":
		return problem.New(problem.PasscodeNotDigits)
	case !printable(passcode):
		return because(problem.PasscodeNotDigits, "Use the letters, digits and signs of an English keyboard only")
	case n < r.Min:
		return because(problem.PasscodeShort, fmt.Sprintf("The passcode must have at least %d %s", r.Min, r.unit()))
	case n > r.Max:
		return because(problem.PasscodeLong, fmt.Sprintf("The passcode must have at most %d %s", r.Max, r.unit()))
	}
	if reason := guessable(passcode); reason != "" {
		return because(problem.PasscodeGuessable, "Choose a passcode that is harder to guess: "+reason)
	}
	return nil
}

// Words say the rules, one to a line, as endings of "A passcode ...".
func (r Rules) Words() []string {
	length := fmt.Sprintf("has %d to %d %s", r.Min, r.Max, r.unit())
	if r.Min == r.Max {
		length = fmt.Sprintf("has %d %s", r.Min, r.unit())
	}
	if r.DigitsOnly {
		length += ", from 0 to 9"
	}
	return []string{length, "is hard to guess: not 123456, 111111 or a date"}
}

func (r Rules) unit() string {
	if r.DigitsOnly {
		return "digits"
	}
	return "characters"
}

func because(c problem.Code, detail string) error {
	p := problem.New(c)
	p.Detail = detail
	return p
}

// printable is what every card and keyboard agrees on.
func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// guessable says why a passcode is easy to guess, "" where it isn't.
func guessable(p string) string {
	switch {
	case strings.Count(p, p[:1]) == len(p):
		return "it is one digit over and over"
	case stepped(p, 1) || stepped(p, -1):
		return "it is a run, such as 123456"
	case stepped(p, 2) || stepped(p, -2):
		return "it counts in twos, such as 246802"
	case repeats(p):
		return "it repeats itself, such as 121212"
	case doubled(p):
		return "it is made of pairs, such as 112233"
	case palindrome(p):
		return "it reads the same backwards"
	case date(p):
		return "it could be a date"
	case strings.Contains(common, " "+p+" "):
		return "many people use it"
	}
	return ""
}

// common are passcodes that follow the keys of a keypad or that lists of
// leaked PINs begin with, apart from what the other rules find.
const common = " 123654 147258 258369 147852 159357 159753 357159 753951 741852 963852 789456 456789 456123 321654 654123 112358 314159 271828 " +
	" 142857 102030 520131 131452 147896 14789632 12369874 78945612 74185296 14725836 31415926 11235813 112211 123789 987456 password passcode qwerty letmein "

// stepped says whether each digit is the one before plus d, with 0 after 9.
func stepped(p string, d int) bool {
	for i := 1; i < len(p); i++ {
		if p[i] < '0' || p[i] > '9' || (int(p[i])-int(p[i-1])-d)%10 != 0 {
			return false
		}
	}
	return true
}

// repeats says whether p is a shorter text again and again, the last time
// maybe cut off.
func repeats(p string) bool {
	for n := 2; n <= len(p)/2; n++ {
		if strings.HasPrefix(strings.Repeat(p[:n], len(p)/n+1), p) {
			return true
		}
	}
	return false
}

// doubled: pairs of the same digit, such as 112233.
func doubled(p string) bool {
	if len(p)%2 != 0 {
		return false
	}
	for i := 0; i < len(p); i += 2 {
		if p[i] != p[i+1] {
			return false
		}
	}
	return true
}

func palindrome(p string) bool {
	for i := range len(p) / 2 {
		if p[i] != p[len(p)-1-i] {
			return false
		}
	}
	return true
}

// date says whether p can be read as a day, in the ways that people write
// them.
func date(p string) bool {
	layouts := []string{"020106", "010206", "060102"}
	if len(p) == 8 {
		layouts = []string{"02012006", "01022006", "20060102"}
	}
	for _, l := range layouts {
		at, err := time.Parse(l, p)
		if err == nil && at.Year() >= 1900 && at.Year() < 2100 {
			return true
		}
	}
	return false
}
