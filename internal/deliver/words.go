package deliver

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"latchkey/internal/api"
)

//go:embed words
var wordFiles embed.FS

// words are the texts of emails: for each a text and an HTML template.
type words struct {
	text    *texttemplate.Template
	html    *htmltemplate.Template
	sender  string
	contact api.Contact
}

type codeWords struct{ Name, Code, Where, When, Until string }

type noticeWords struct{ Name, Where, When string }

// filled is what templates see: the message's own data as .M.
type filled struct {
	M            any
	Organisation string
	Contact      api.Contact
}

func newWords(organisation string, contact api.Contact) (*words, error) {
	w := &words{sender: organisation, contact: contact}
	var err error
	if w.text, err = texttemplate.ParseFS(wordFiles, "words/*.txt"); err != nil {
		return nil, fmt.Errorf("texts of messages: %w", err)
	}
	if w.html, err = htmltemplate.ParseFS(wordFiles, "words/*.html"); err != nil {
		return nil, fmt.Errorf("texts of messages: %w", err)
	}
	return w, nil
}

func (w *words) render(name string, data any) (text, html string, err error) {
	f := filled{M: data, Organisation: w.sender, Contact: w.contact}
	var t, h strings.Builder
	if err := w.text.ExecuteTemplate(&t, name+".txt", f); err != nil {
		return "", "", fmt.Errorf("write a message: %w", err)
	}
	if err := w.html.ExecuteTemplate(&h, name+".html", f); err != nil {
		return "", "", fmt.Errorf("write a message: %w", err)
	}
	return t.String(), h.String(), nil
}

// clock is a time as people say it, with its zone.
func clock(at time.Time) string { return at.Local().Format("15:04 on 2 January 2006 (MST)") }

// where names a workstation. Its name comes from outside.
func where(workstation string) string {
	if workstation = oneLine(workstation); workstation == "" {
		return "a computer of your organisation"
	}
	return "the computer " + workstation
}

// oneLine takes out what could end a line or hide text.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s))
}
