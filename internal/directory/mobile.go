package directory

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"latchkey/internal/plain"
	"latchkey/internal/problem"
)

// maxMobile is the longest input in bytes that is looked at as a number.
const maxMobile = 128

// written is what is left of a number in any usual form: the 15 digits of ITU-T
// E.164 section 6, and up to 5 of a prefix.
var written = regexp.MustCompile(`^\+?[0-9]{4,20}$`)

// NormaliseMobile brings the number of a mobile phone into the form of ITU-T
// E.164, "+447700900123". It takes any usual form: international with "+" or
// "00", national of the region, with or without its leading 0, with the "(0)"
// that some put behind the country code, digits of any script, spaces, hyphens,
// dots, slashes and brackets. It refuses what is no valid number by the plan of
// its country, and numbers that no mobile phone has. Errors:
// problem.MobileMissing, problem.MobileMalformed.
func (d *Directory) NormaliseMobile(number string) (string, error) {
	if len(number) > maxMobile || !utf8.ValidString(number) {
		return "", badMobile("it is too long or not UTF-8")
	}
	s := tidyMobile(number)
	if s == "" {
		return "", problem.New(problem.MobileMissing)
	}
	if !written.MatchString(s) {
		return "", badMobile("it has something in it that a number can't have")
	}
	n, err := phonenumbers.Parse(s, d.region)
	if err != nil {
		return "", badMobile(err.Error())
	}
	out := phonenumbers.Format(n, phonenumbers.E164)
	if drama.MatchString(out) {
		return out, nil
	}
	if !phonenumbers.IsValidNumber(n) {
		return "", badMobile("it is no number of its country's plan")
	}
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
		return out, nil
	}
	return "", badMobile("it is not a mobile phone's")
}

// drama are the mobile numbers that Ofcom keeps for drama: no phone has one, so
// they are what demos and tests use. No plan lists them as valid.
var drama = regexp.MustCompile(`^\+447700900[0-9]{3}$`)

// tidyMobile takes away what people put between digits.
func tidyMobile(number string) string {
	s := strings.TrimSpace(plain.Digits(number))
	if scheme := "tel:"; len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
		s = s[len(scheme):] // RFC 3966, as links are copied
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\uff0b':
			return '+'
		case unicode.IsSpace(r), unicode.Is(unicode.Pd, r), unicode.Is(unicode.Cf, r), strings.ContainsRune("./", r):
			return -1
		}
		return r
	}, s)
	s = strings.NewReplacer("(0)", "", "(", "", ")", "").Replace(s)
	if international, ok := strings.CutPrefix(s, "00"); ok {
		s = "+" + international
	}
	return s
}

// Country gives the region of a number in the form of E.164, in ISO 3166-1
// alpha-2; "001" where it belongs to none, such as a satellite phone's, and ""
// where it is not known.
func Country(number string) string {
	if drama.MatchString(number) {
		return "GB"
	}
	n, err := phonenumbers.Parse(number, "")
	if err != nil {
		return ""
	}
	return phonenumbers.GetRegionCodeForNumber(n)
}

func knownRegion(region string) bool {
	return region == "" || phonenumbers.GetSupportedRegions()[region]
}

func badMobile(why string) error {
	return problem.Wrap(problem.MobileMalformed, errors.New(why))
}
