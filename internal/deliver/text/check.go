package text

import (
	"errors"
	"regexp"
	"unicode/utf8"
)

// ErrMalformed: a callback is the provider's but makes no sense.
var ErrMalformed = errors.New("callback makes no sense")

// maxParts is the longest message that is sent: about what every provider here
// takes.
const maxParts = 10

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// Check is the error for a message that no provider could send, nil where
// there is none: a number that is not E.164, an empty or broken text, more than
// ten parts.
func Check(provider string, m Message) error {
	code := ""
	switch {
	case !e164.MatchString(m.To):
		code = "number"
	case m.Body == "", !utf8.ValidString(m.Body):
		code = "body"
	case Measure(m.Body).Parts > maxParts:
		code = "length"
	default:
		return nil
	}
	return &Error{Provider: provider, Kind: Impossible, Code: code}
}

var (
	plainCode = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	longDigit = regexp.MustCompile(`[0-9]{7}`)
)

// Code is what a provider calls a failure if that can stand in a log: short,
// without spaces, and without so many digits that it could be a number.
// Otherwise it is fallback.
func Code(said, fallback string) string {
	if !plainCode.MatchString(said) || longDigit.MatchString(said) {
		return fallback
	}
	return said
}
