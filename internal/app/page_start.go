package app

import (
	"net/http"
	"strings"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

// startBody is what start.html and forgotten.html show.
type startBody struct {
	Notice  string
	Running string // address of the step where a session is under way
	Status  statusPart
}

// statusPart is what the readers see, in words, and what can be done.
type statusPart struct {
	Box      statusBox
	CanStart bool
	Cards    ui.Radios
}

// statusBox is a box that says one thing.
type statusBox struct {
	Kind                string // "", "ready", "wrong"
	Title, Detail, Next string
	Card                string       // what card it is, and in which reader
	Code                problem.Code // "" where nothing is wrong
	Action              *ui.Button   // what most people want to do then
}

// Say is what is read aloud when the box comes up.
func (b statusBox) Say() string {
	rest := b.Next
	if rest == "" || b.Kind == "ready" {
		rest = b.Detail
	}
	return strings.TrimSpace(b.Title + ". " + rest)
}

func (s *server) startPage(w http.ResponseWriter, r *http.Request) {
	n := s.memory.of(r)
	body := startBody{Notice: because(r), Status: s.status(r, api.PurposeLocked).with(n)}
	v := s.view()
	if running(v) {
		body.Running = path(v.Step)
	}
	s.render(w, r, http.StatusOK, "start", ui.Page{
		Title: "Unlock your smartcard", Live: "start", Body: body, Timer: s.timer(v), Errors: errorLinks(n, map[string]string{"reader": "reader"}),
	})
}

// start begins a session. A session that has ended is left behind without
// asking.
func (s *server) start(w http.ResponseWriter, r *http.Request) {
	if err := form(r); err != nil {
		s.stopped(w, r, "/", err)
		return
	}
	purpose, back := api.PurposeLocked, "/"
	if r.PostFormValue("purpose") == string(api.PurposeForgotten) {
		purpose, back = api.PurposeForgotten, "/forgotten"
	}
	reader, p := s.chosenReader(r)
	if p == nil {
		p = asProblem(s.engine.Start(r.Context(), purpose, reader))
	}
	switch {
	case p == nil:
		http.Redirect(w, r, "/method", http.StatusSeeOther)
	case p.Code == problem.SeveralCards:
		s.leadTo(w, r, back, note{problems: []fieldProblem{{Field: "reader", Problem: chooseCard()}}})
	default:
		s.stopped(w, r, back, p)
	}
}

// leave gives the session up.
func (s *server) leave(w http.ResponseWriter, r *http.Request) {
	if err := s.engine.Abandon(r.Context()); err != nil {
		s.stopped(w, r, "/", err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// chosenReader is the reader of a form; where none was chosen, the one reader
// that has a card that can be used.
func (s *server) chosenReader(r *http.Request) (string, *problem.Problem) {
	if reader := r.PostFormValue("reader"); reader != "" {
		return reader, nil
	}
	status := s.look(r)
	if status.Problem != nil {
		return "", status.Problem
	}
	usable := usable(status.Cards)
	switch {
	case len(usable) == 1:
		return usable[0].Reader, nil
	case len(usable) > 1:
		return "", problem.New(problem.SeveralCards)
	case len(status.Cards) > 0 && status.Cards[0].Problem != nil:
		return "", status.Cards[0].Problem
	}
	return "", problem.New(problem.NoCard)
}

func chooseCard() *problem.Problem {
	p := problem.New(problem.SeveralCards)
	p.Detail = "Choose which smartcard you want to use"
	return p
}

func usable(cards []Card) []Card {
	var out []Card
	for _, c := range cards {
		if c.State != CardUnusable && c.State != CardReading {
			out = append(out, c)
		}
	}
	return out
}

// asProblem is the problem in err, nil for nil.
func asProblem(err error) *problem.Problem {
	if err == nil {
		return nil
	}
	return problem.From(err)
}
