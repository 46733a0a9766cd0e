package problem

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/errors.md from the catalogue")

// document is the list of all codes for people.
const document = "../../docs/errors.md"

const preface = `# Codes

Every failure that a person can meet has a code. The same code is on the page, in the terminal, in the log and in the
service's answer. It never changes its meaning. Beside the code stand what happened, what to do next and how to reach the
Registration Authority.

On a page or in a terminal the text under "What happened" may be more exact than here: it names the setting, the file or
the line of a file that is wrong.

The service answers a failed call with a problem document (RFC 9457), media type ` + "`application/problem+json`" + `:

` + "```json" + `
{"type": "urn:latchkey:problem:LK-3004", "title": "The security code is not right", "status": 422,
 "detail": "The code does not match the last one we sent, or it has been used already.", "code": "LK-3004",
 "next": "Check the newest message and try again, or ask for a new code.", "tries_left": 4}
` + "```" + `

` + "`tries_left`, `seconds_left` and `retry_after_seconds`" + ` are there where they make sense. With the last of them comes a
` + "`Retry-After`" + ` header. The column HTTP is the status of that answer, or of the page for LK-8xxx. A code without one never is
the answer to a request: the application, or a command, shows it itself.

The programs end with status 0, with 1 for a failure of this list, and with 2 for a command line that is not right.

This file is written from ` + "`internal/problem`: `go test ./internal/problem -update`. " + `A test fails where the two differ.
`

// groups are the parts of the document by the first digit of a code.
func groups() []struct{ digit, title, about string } {
	return []struct{ digit, title, about string }{
		{"1", "Reader, card and camera", "The application finds these at the workstation. LK-11xx are about the camera."},
		{"2", "The new passcode", "The passcode is checked on the workstation and by the card. The service never sees it."},
		{"3", "Proving who you are", "Addresses, security codes and their limits; LK-31xx are about face verification."},
		{"4", "The attempt, and the card's standing", "LK-4002 to LK-4008 are told to a card that has proven itself, and LK-4001 to any other. LK-41xx are about one attempt, LK-42xx about one request."},
		{"5", "The service and its operation", "Operators meet most of these when they start latchkeyd. LK-5000 is anything that nobody foresaw: it is in the log in full and shown without detail."},
		{"6", "The way to the service", "The application finds these when it calls the service."},
		{"7", "Imports", "`latchkeyd import` names the line of the file. LK-72xx are about profile photos: `latchkeyd face enrol` names the file. LK-73xx are about `latchkeyd card adopt`."},
		{"8", "The application's own pages and its terminal", "The pages are for one person's own browser window on one computer."},
	}
}

func render() string {
	var b strings.Builder
	b.WriteString(preface)
	for _, g := range groups() {
		fmt.Fprintf(&b, "\n## LK-%sxxx: %s\n\n%s\n\n| Code | Title | What happened | What to do next | HTTP |\n| --- | --- | --- | --- | --- |\n", g.digit, g.title, g.about)
		for _, e := range Catalogue() {
			if !strings.HasPrefix(string(e.Code), "LK-"+g.digit) {
				continue
			}
			status := ""
			if e.Status != 0 {
				status = fmt.Sprint(e.Status)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", e.Code, e.Title, e.Detail, e.Next, status)
		}
	}
	return b.String()
}

// TestDocument: docs/errors.md is what the catalogue says.
func TestDocument(t *testing.T) {
	want := render()
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(raw), "\n")); diff != "" {
		t.Errorf("docs/errors.md is not what the catalogue says; go test ./internal/problem -update (-catalogue +document):\n%s", diff)
	}
	for _, e := range Catalogue() {
		if n := strings.Count(want, "\n| "+string(e.Code)+" | "); n != 1 {
			t.Errorf("%s is in the document %d times", e.Code, n)
		}
	}
}

// TestEntries: every entry is whole, and each code is there once, in order.
func TestEntries(t *testing.T) {
	var codes []Code
	for _, e := range Catalogue() {
		codes = append(codes, e.Code)
		if !ours(e.Code) {
			t.Errorf("%s is not LK- and four digits", e.Code)
		}
		for name, text := range map[string]string{"title": e.Title, "detail": e.Detail, "next step": e.Next} {
			switch {
			case text == "" || text != strings.TrimSpace(text):
				t.Errorf("%s: the %s is empty or has white space around it", e.Code, name)
			case strings.ContainsAny(text, "|\n"):
				t.Errorf("%s: the %s cannot stand in a table", e.Code, name)
			case name == "title" && strings.HasSuffix(text, "."):
				t.Errorf("%s: the title ends with a full stop", e.Code)
			case name != "title" && !strings.HasSuffix(text, "."):
				t.Errorf("%s: the %s is no sentence", e.Code, name)
			}
		}
		if e.Status != 0 && (e.Status < 400 || e.Status > 599) {
			t.Errorf("%s: HTTP status %d is none of a failure", e.Code, e.Status)
		}
		if found, ok := Lookup(e.Code); !ok || found != e {
			t.Errorf("%s: Lookup gives %+v, %t", e.Code, found, ok)
		}
	}
	if !slices.IsSorted(codes) {
		t.Errorf("the codes are not in order: %v", codes)
	}
	if n := len(slices.Compact(slices.Clone(codes))); n != len(codes) {
		t.Errorf("%d codes are there twice", len(codes)-n)
	}
}
