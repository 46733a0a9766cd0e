// Package plain makes text from outside plain: it takes out what a terminal or
// a report would act on, and writes digits of any script as 0 to 9.
package plain

import (
	"strings"
	"unicode"
)

// Text is s in one line: each control character is replaced by U+FFFD.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// Digits is s with each decimal digit of any script replaced by its ASCII digit.
func Digits(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Nd, r) {
			return digit(r)
		}
		return r
	}, s)
}

// digit gives the ASCII digit of a decimal digit: Unicode keeps each ten
// together (section 4.6).
func digit(r rune) rune {
	zero := r
	for zero > 0 && unicode.Is(unicode.Nd, zero-1) && r-zero < 9 {
		zero--
	}
	return '0' + (r - zero)
}
