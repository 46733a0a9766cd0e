package text_test

import (
	"errors"
	"strings"
	"testing"

	"latchkey/internal/deliver/text"
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		m    text.Message
		want string
	}{
		"fine":                     {text.Message{To: "+447700900123", Body: "x"}, ""},
		"as long as can be":        {text.Message{To: "+447700900123", Body: strings.Repeat("x", 1530)}, ""},
		"no plus":                  {text.Message{To: "447700900123", Body: "x"}, "number"},
		"too short":                {text.Message{To: "+44770", Body: "x"}, "number"},
		"too long a number":        {text.Message{To: "+4477009001234567", Body: "x"}, "number"},
		"a zero in front":          {text.Message{To: "+047700900123", Body: "x"}, "number"},
		"a line end behind":        {text.Message{To: "+447700900123\n", Body: "x"}, "number"},
		"no text":                  {text.Message{To: "+447700900123"}, "body"},
		"broken text":              {text.Message{To: "+447700900123", Body: "a\xff"}, "body"},
		"more than ten parts":      {text.Message{To: "+447700900123", Body: strings.Repeat("x", 1531)}, "length"},
		"more than ten of UCS-2":   {text.Message{To: "+447700900123", Body: strings.Repeat("ŵ", 671)}, "length"},
		"exactly ten parts, UCS-2": {text.Message{To: "+447700900123", Body: strings.Repeat("ŵ", 670)}, ""},
	} {
		err := text.Check("p", c.m)
		var e *text.Error
		if got := errors.As(err, &e); got != (c.want != "") || got && (e.Code != c.want || e.Kind != text.Impossible) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestCode(t *testing.T) {
	for said, want := range map[string]string{
		"21211": "21211", "RateLimitError": "RateLimitError", "UNDELIV-075": "UNDELIV-075", "a_b.c": "a_b.c",
		"": "other", "has space": "other", "+447700900123": "other", "447700900123": "other", "code-1234567": "other",
		"new\nline": "other", strings.Repeat("x", 65): "other",
	} {
		if got := text.Code(said, "other"); got != want {
			t.Errorf("%q is %q, want %q", said, got, want)
		}
	}
}
