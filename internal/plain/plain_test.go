package plain

import "testing"

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"Zoë's reader 00 00":       "Zoë's reader 00 00",
		"a\x1b[2Jb\r\nc\u0085\x7f": "a\uFFFD[2Jb\uFFFD\uFFFDc\uFFFD\uFFFD",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
