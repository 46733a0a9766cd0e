package directory

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"latchkey/internal/problem"
)

// Bounds of RFC 5321 section 4.5.3.1 (and its erratum 1690 for the whole
// address), in bytes.
const (
	maxLocal   = 64
	maxAddress = 254
)

// NormaliseEmail brings an address into the one form that is kept and compared:
// no white space around it, Unicode NFC, lower case, an internationalised
// domain in its ASCII form. It takes dot-atoms (RFC 5322 section 3.2.3, RFC
// 6531) with a domain of two labels or more; no quoted local part, comment or
// address literal. Errors: problem.AddressMissing, problem.AddressMalformed.
func NormaliseEmail(address string) (string, error) {
	address = strings.TrimFunc(address, func(r rune) bool {
		return unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' // pasted along, not seen
	})
	if address == "" {
		return "", problem.New(problem.AddressMissing)
	}
	if len(address) > maxAddress || !utf8.ValidString(address) {
		return "", malformed("it is too long or not UTF-8")
	}
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return "", malformed("there is no @ with something before it")
	}
	local, err := normaliseLocal(address[:at])
	if err != nil {
		return "", err
	}
	domain, err := normaliseDomain(address[at+1:])
	if err != nil {
		return "", malformed("the domain is not one")
	}
	if out := local + "@" + domain; len(out) <= maxAddress {
		return out, nil
	}
	return "", malformed("it is too long")
}

func normaliseLocal(local string) (string, error) {
	local = norm.NFC.String(strings.ToLower(norm.NFC.String(local)))
	if len(local) > maxLocal {
		return "", malformed("the part before the @ is too long")
	}
	for _, atom := range strings.Split(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !atext(r) }) {
			return "", malformed("the part before the @ has something in it that an address can't have")
		}
	}
	return local, nil
}

// atext is a character of an atom: RFC 5322 section 3.2.3 and, after RFC 6531,
// letters and digits beyond ASCII with their marks.
func atext(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

// normaliseDomain gives a domain's ASCII form in lower case (IDNA 2008 as
// browsers look names up, UTS #46).
func normaliseDomain(domain string) (string, error) {
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil {
		return "", fmt.Errorf("not a domain: %w", err)
	}
	ascii = strings.ToLower(ascii)
	labels := strings.Split(ascii, ".")
	if len(labels) < 2 || len(ascii) > 253 || digits(labels[len(labels)-1]) {
		return "", errors.New("not a domain of two labels or more")
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' ||
			strings.ContainsFunc(l, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-') }) {
			return "", errors.New("not a domain: a label is not letters, digits and hyphens")
		}
	}
	return ascii, nil
}

// allowed says whether the organisation lets a normalised address be used.
func (d *Directory) allowed(email string) bool {
	return len(d.domains) == 0 || d.domains[email[strings.LastIndexByte(email, '@')+1:]]
}

func malformed(why string) error {
	return problem.Wrap(problem.AddressMalformed, errors.New(why))
}

// digits says whether s is ASCII digits and at least one of them.
func digits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
