// Package plain takes out of text from outside, such as the name of a reader
// or the words of a service, what a terminal or a report would act on.
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
