package app

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"latchkey/internal/problem"
)

// memory keeps what a POST has to say until the GET that follows it: every
// POST is answered with a redirect, so that the back button and reloading
// never send a form again. It never holds a passcode or a security code.
type memory struct {
	mu    sync.Mutex
	notes []note
}

// note is what one POST left.
type note struct {
	id       string
	problems []fieldProblem
	typed    url.Values // what was typed, for the fields that show it again
	back     string     // the page to try again on
}

// fieldProblem is a problem with one field of a form; Field is "" for the
// whole page.
type fieldProblem struct {
	Field   string
	Problem *problem.Problem
}

// keptNotes is how many notes are kept: more than one person has tabs.
const keptNotes = 64

// noteParameter is the query parameter that names a note.
const noteParameter = "note"

func (m *memory) keep(n note) (id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n.id = random(8)
	m.notes = append(m.notes, n)
	if over := len(m.notes) - keptNotes; over > 0 {
		m.notes = slices.Delete(m.notes, 0, over)
	}
	return n.id
}

// of is the note that a request names; an empty one where there is none.
func (m *memory) of(r *http.Request) note {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := r.URL.Query().Get(noteParameter)
	for _, n := range m.notes {
		if n.id == id {
			return n
		}
	}
	return note{}
}

// error is what to show at a field, "" for nothing.
func (n note) error(field string) string {
	for _, p := range n.problems {
		if p.Field == field {
			return sentence(p.Problem)
		}
	}
	return ""
}

// sentence says in one line what is wrong with a field.
func sentence(p *problem.Problem) string {
	switch {
	case p.Detail != "":
		return p.Detail
	case p.Code == problem.CodeWrong && p.TriesLeft != nil:
		return p.Title + ". " + triesWords(*p.TriesLeft)
	case strings.HasPrefix(p.Title, "Enter ") || strings.HasPrefix(p.Title, "Choose "):
		return p.Title // says what to do itself
	}
	return p.Title + ". " + p.Next
}
