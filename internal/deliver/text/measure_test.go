package text_test

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/linxGnu/gosmpp/data"

	"latchkey/internal/deliver/text"
)

func TestMeasure(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want text.Size
	}{
		"nothing":                      {"", text.Size{Encoding: text.GSM7, Units: 0, Parts: 1}},
		"one full message":             {strings.Repeat("a", 160), text.Size{Encoding: text.GSM7, Units: 160, Parts: 1}},
		"one over":                     {strings.Repeat("a", 161), text.Size{Encoding: text.GSM7, Units: 161, Parts: 2}},
		"two full parts":               {strings.Repeat("a", 306), text.Size{Encoding: text.GSM7, Units: 306, Parts: 2}},
		"and one over":                 {strings.Repeat("a", 307), text.Size{Encoding: text.GSM7, Units: 307, Parts: 3}},
		"the euro counts twice":        {"€", text.Size{Encoding: text.GSM7, Units: 2, Parts: 1}},
		"an escape is not cut":         {strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), text.Size{Encoding: text.GSM7, Units: 306, Parts: 3}},
		"a circumflex":                 {"ŵ", text.Size{Encoding: text.UCS2, Units: 1, Parts: 1}},
		"one full in UCS-2":            {strings.Repeat("ŵ", 70), text.Size{Encoding: text.UCS2, Units: 70, Parts: 1}},
		"one over in UCS-2":            {strings.Repeat("ŵ", 71), text.Size{Encoding: text.UCS2, Units: 71, Parts: 2}},
		"one circumflex changes all":   {strings.Repeat("a", 134) + "ŷ", text.Size{Encoding: text.UCS2, Units: 135, Parts: 3}},
		"a pair of surrogates":         {"🔑", text.Size{Encoding: text.UCS2, Units: 2, Parts: 1}},
		"a pair is not cut":            {strings.Repeat("ŵ", 66) + "🔑" + strings.Repeat("ŵ", 66), text.Size{Encoding: text.UCS2, Units: 134, Parts: 3}},
		"a typographic apostrophe":     {"you’re", text.Size{Encoding: text.UCS2, Units: 6, Parts: 1}},
		"the escape itself is no text": {"\x1b", text.Size{Encoding: text.UCS2, Units: 1, Parts: 1}},
	} {
		if got := text.Measure(c.body); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestWelsh(t *testing.T) {
	for _, r := range "àèìòùéäöüÉÄÖÜ" {
		if got := text.Measure(string(r)).Encoding; got != text.GSM7 {
			t.Errorf("%c travels as %s", r, got)
		}
	}
	if got, want := text.Outside("âêîôûŵŷáíóúëïẁẃẅỳýÿÀÈÌÒÙ and â"), "âêîôûŵŷáíóúëïẁẃẅỳýÿÀÈÌÒÙ"; got != want {
		t.Errorf("outside GSM-7 are %q, want %q", got, want)
	}
	if got := text.Outside("Eich cod diogelwch yw 123456"); got != "" {
		t.Errorf("outside GSM-7 are %q", got)
	}
}

// TestAgainstTheLibrary compares with another table of the alphabet.
func TestAgainstTheLibrary(t *testing.T) {
	in := 0
	for r := rune(0); r < 0x3000; r++ {
		if r == 0x1b {
			continue
		}
		encoding, parts := text.Encode(string(r))
		want, err := data.GSM7BIT.Encode(string(r))
		if (encoding == text.GSM7) != (err == nil) {
			t.Errorf("%U travels as %s, the library says %v", r, encoding, err)
			continue
		}
		if err == nil {
			in++
			if string(parts[0]) != string(want) {
				t.Errorf("%U is %x, the library says %x", r, parts[0], want)
			}
		}
	}
	if in != 127+10 {
		t.Errorf("%d characters are in GSM-7, want 127 and 10 extended ones", in)
	}
}

func FuzzMeasure(f *testing.F) {
	for _, s := range []string{"", "Your code is 123456", "€€€", "ŵŷ", "🔑🔑", "\x1b", "\xff", strings.Repeat("a", 152) + "€€"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		size := text.Measure(body)
		encoding, parts := text.Encode(body)
		if size.Encoding != encoding || size.Parts != len(parts) || size.Parts < 1 {
			t.Fatalf("%+v, but %s in %d parts", size, encoding, len(parts))
		}
		alone, part := 160, 153
		if encoding == text.UCS2 {
			alone, part = 140, 134
		}
		var whole strings.Builder
		for _, p := range parts {
			if len(parts) == 1 && len(p) > alone || len(parts) > 1 && (len(p) > part || len(p) == 0) {
				t.Fatalf("a part of %d octets", len(p))
			}
			if encoding == text.GSM7 {
				words, err := data.GSM7BIT.Decode(p)
				if err != nil {
					t.Fatalf("part %x: %v", p, err)
				}
				whole.WriteString(words)
				continue
			}
			units := make([]uint16, len(p)/2)
			for i := range units {
				units[i] = uint16(p[2*i])<<8 | uint16(p[2*i+1])
			}
			whole.WriteString(string(utf16.Decode(units)))
		}
		if want := strings.ToValidUTF8(body, "\uFFFD"); utf8.ValidString(body) && whole.String() != want {
			t.Fatalf("%q arrives as %q", body, whole.String())
		}
	})
}
