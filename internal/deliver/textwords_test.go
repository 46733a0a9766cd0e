package deliver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"latchkey/internal/deliver/text"
	"latchkey/internal/problem"
)

// TestTextsAreShort: the English code with ordinary names is one message, and
// nothing is more than two.
func TestTextsAreShort(t *testing.T) {
	for language, most := range map[string]map[string]int{English: {kindCode: 1, NoticeReleased: 2, NoticeUnlocked: 2},
		Welsh: {kindCode: 2, NoticeReleased: 2, NoticeUnlocked: 2}} {
		all, err := textWords(t, TextWordsOptions{Language: language, Contact: contactOf()}).Previews()
		must(t, err)
		if len(all) != 3 {
			t.Errorf("%d messages", len(all))
		}
		for _, p := range all {
			if p.Size.Parts > most[p.Name] || p.Size.Encoding != text.GSM7 {
				t.Errorf("%s %s: %+v: %s", language, p.Name, p.Size, p.Body)
			}
			if p.Own || strings.Contains(p.Body, "\n") || strings.TrimSpace(p.Body) != p.Body {
				t.Errorf("%s %s: %q", language, p.Name, p.Body)
			}
		}
	}
	all, err := textWords(t, TextWordsOptions{Organisation: "Royal Berkshire NHS Foundation Trust"}).Previews()
	if must(t, err); all[0].Size.Parts != 1 {
		t.Errorf("a long name: %+v", all[0])
	}
}

// TestCodeByTextSaysWhatItMust: who asks, where and when, not to read it out,
// and the code at the end.
func TestCodeByTextSaysWhatItMust(t *testing.T) {
	body, err := textWords(t, TextWordsOptions{}).code(CodeMessage{Code: "123456", Workstation: "WARD7-PC0000012", AskedAt: asked, ValidUntil: asked})
	must(t, err)
	for _, part := range []string{"St Example's Hospital", "WARD7-PC0000012", hour(asked), "Never read it out to anyone"} {
		if !strings.Contains(body, part) {
			t.Errorf("%q is not in %q", part, body)
		}
	}
	if !strings.HasSuffix(body, " 123456") {
		t.Errorf("the code is not last: %q", body)
	}
}

// TestNamesOfWorkstations come from outside: nothing of one becomes a link, a
// line of its own or a dearer message.
func TestNamesOfWorkstations(t *testing.T) {
	w := textWords(t, TextWordsOptions{})
	for name, want := range map[string]string{
		"ward-7.example.org": "ward-7", "": "a computer", "...": "a computer", "https://evil.example/pay": "httpsevil", "evil.example": "evil",
		"w\r\nCode: 999999": "wCode999999", "Größe": "Gre", "ward 7": "ward7", strings.Repeat("a", 60): strings.Repeat("a", maxWhere), "💊": "a computer",
		"WARD7-PC0000012": "WARD7-PC0000012", "Call-0800-1234567": "a computer", "07700 900123": "a computer",
	} {
		if got := w.where(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := textWords(t, TextWordsOptions{Language: Welsh}).where(""); got != "cyfrifiadur" {
		t.Errorf("%q", got)
	}
}

func own(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

func TestTextsOfTheOperator(t *testing.T) {
	w := textWords(t, TextWordsOptions{Dir: own(t, map[string]string{"code.sms.txt": "Hi from {{.Organisation}}.\n\n  {{.Where}} {{.Until}}:\n{{.Code}}\n", "read.me": "x"})})
	all, err := w.Previews()
	must(t, err)
	if all[0].Body != "Hi from St Example's Hospital. WARD7-PC0000012 15:19: 123456" || !all[0].Own || all[1].Own {
		t.Errorf("%+v", all)
	}
}

func TestBadTextsOfTheOperator(t *testing.T) {
	for name, c := range map[string]struct {
		file, content, want string
	}{
		"code not last": {"code.sms.txt", "{{.Code}} is your code", "not the last"},
		"no code":       {"code.sms.txt", "Hello", "not the last"},
		"code twice":    {"code.sms.txt", "{{.Code}} or {{.Code}}", "more than once"},
		"too long":      {"code.sms.txt", strings.Repeat("a", 700) + " {{.Code}}", "parts"},
		"dear":          {"code.sms.txt", strings.Repeat("ŵ", 300) + " {{.Code}}", "parts"},
		"no template":   {"released.sms.txt", "{{.Code", "released"},
		"no such field": {"unlocked.sms.txt", "{{.Passcode}}", "unlocked"},
		"wrong name":    {"codes.sms.txt", "{{.Code}}", "codes.sms.txt"},
		"too large":     {"released.sms.txt", strings.Repeat(" ", maxTextFile+1), "larger"},
		"function":      {"code.sms.txt", `{{index .Organisation 99}} {{.Code}}`, "code"},
	} {
		_, err := NewTextWords(TextWordsOptions{Organisation: "X", Dir: own(t, map[string]string{c.file: c.content})})
		if problem.CodeOf(err) != problem.ConfigInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []TextWordsOptions{{Language: "de"}, {Language: "../en"}, {Dir: "/nowhere/at/all"}} {
		if _, err := NewTextWords(o); problem.CodeOf(err) != problem.ConfigInvalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// FuzzTextOfACode: whatever a workstation is called, the message ends with the
// code, has one line and no link of the caller's, and is never dearer.
func FuzzTextOfACode(f *testing.F) {
	for _, s := range []string{"ward-7", "evil.example/x", "a\u202eb", "\x00", "ŵ", "123456", "http://x"} {
		f.Add(s)
	}
	w, err := NewTextWords(TextWordsOptions{Organisation: "St Example's Hospital"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, workstation string) {
		body, err := w.code(CodeMessage{Code: "482913", Workstation: workstation, AskedAt: asked, ValidUntil: asked})
		must(t, err)
		size := text.Measure(body)
		if !strings.HasSuffix(body, " 482913") || size.Encoding != text.GSM7 || size.Parts > 2 || strings.ContainsFunc(body, unicode.IsControl) ||
			strings.Count(body, "/") > 0 || strings.Count(body, ".") != 2 {
			t.Errorf("%q: %+v %q", workstation, size, body)
		}
	})
}
