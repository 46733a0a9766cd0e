package app

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/ui"
)

//go:embed templates
var templates embed.FS

// server answers for the pages.
type server struct {
	engine   Engine
	doctor   DoctorFunc
	gate     *gate
	site     ui.Site
	pages    *ui.Pages
	memory   *memory
	presence *presence
	checkups *checkups
	log      *slog.Logger
	now      func() time.Time
	launched atomic.Pointer[func()] // told when the launch secret has been used
}

const (
	// maxForm is the largest form in bytes that is read. The longest field is
	// an email address of 254 characters (RFC 5321).
	maxForm = 8 << 10
	// maxField is the longest field in bytes that goes on to the engine.
	maxField = 512
)

func newServer(c Config, g *gate) (*server, error) {
	site := ui.Site{
		Name: "Unlock your smartcard", Organisation: c.Organisation, Logo: c.Logo, Version: "Latchkey " + c.Version,
		Links: []ui.Link{{Href: "/", Text: "Start"}, {Href: "/troubleshooting", Text: "Check this computer"}},
	}
	files, err := fs.Sub(templates, "templates")
	if err != nil {
		return nil, fmt.Errorf("find the pages: %w", err)
	}
	pages, err := ui.New(site, files)
	if err != nil {
		return nil, err
	}
	s := &server{engine: c.Engine, doctor: c.Doctor, gate: g, site: site, pages: pages, memory: &memory{}, presence: newPresence(), checkups: &checkups{},
		log: c.Log, now: c.Now}
	g.fail = s.fail
	return s, nil
}

// handler is all pages behind the gate.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+ui.AssetsPath, ui.Assets(s.site))
	mux.HandleFunc("GET "+launchPath, s.launch)
	mux.HandleFunc("GET /{$}", s.startPage)
	mux.HandleFunc("POST /start", s.start)
	mux.HandleFunc("POST /leave", s.leave)
	mux.HandleFunc("GET /method", s.methodPage)
	mux.HandleFunc("POST /method", s.method)
	mux.HandleFunc("GET /email", s.emailPage)
	mux.HandleFunc("POST /email", s.email)
	mux.HandleFunc("GET /mobile", s.mobilePage)
	mux.HandleFunc("POST /mobile", s.mobile)
	mux.HandleFunc("GET /code", s.codePage)
	mux.HandleFunc("POST /code", s.code)
	mux.HandleFunc("POST /code/resend", s.resend)
	s.faceRoutes(mux)
	mux.HandleFunc("GET /passcode", s.passcodePage)
	mux.HandleFunc("POST /passcode", s.passcode)
	mux.HandleFunc("GET /working", s.workingPage)
	mux.HandleFunc("GET /done", s.donePage)
	mux.HandleFunc("GET /change", s.changePage)
	mux.HandleFunc("POST /change", s.change)
	mux.HandleFunc("GET /changed", s.changedPage)
	mux.HandleFunc("GET /forgotten", s.forgottenPage)
	mux.HandleFunc("GET /troubleshooting", s.troubleshootingPage)
	mux.HandleFunc("GET /problem", s.problemPage)
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("/", s.noSuchPage)
	return s.gate.protect(bounded(mux))
}

// faceRoutes are the pages of face verification. What their script sends is
// answered with JSON.
func (s *server) faceRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /face", s.faceNumberPage)
	mux.HandleFunc("POST /face", s.faceNumber)
	mux.HandleFunc("GET /face/instructions", s.faceInstructionsPage)
	mux.HandleFunc("POST /face/instructions", s.faceInstructions)
	mux.HandleFunc("GET /face/scan", s.faceScanPage)
	mux.HandleFunc("POST /face/begin", s.faceBegin)
	mux.HandleFunc("POST "+framesPath, s.faceStep)
	mux.HandleFunc("POST /face/finish", s.faceFinish)
	mux.HandleFunc("POST /face/stop", s.faceStop)
	mux.HandleFunc("GET /face/failed", s.faceFailedPage)
	mux.HandleFunc("GET /face/elsewhere", s.faceElsewherePage)
	mux.HandleFunc("POST /face/continue", s.faceContinue)
}

// framesPath is the one place that takes more than a form.
const framesPath = "/face/step"

// bounded limits what a request may send.
func bounded(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most := int64(maxForm)
		if r.URL.Path == framesPath {
			most = maxFrames
		}
		r.Body = http.MaxBytesReader(w, r.Body, most)
		pages.ServeHTTP(w, r)
	})
}

// render shows a page.
func (s *server) render(w http.ResponseWriter, r *http.Request, status int, name string, page ui.Page) {
	if page.Live != ui.LiveOff {
		page.Help = s.help()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := s.pages.Render(w, name, page); err != nil {
		s.log.ErrorContext(r.Context(), "page not shown", "page", name, "err", err)
	}
}

// whenLaunched has f called when the launch secret has been used.
func (s *server) whenLaunched(f func()) { s.launched.Store(&f) }

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// form reads the fields of a form. A form that is too large, or a field that
// no person types, is problem.PageTooLarge.
func form(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return problem.New(problem.PageTooLarge)
		}
		return problem.Wrap(problem.RequestMalformed, err)
	}
	for _, values := range r.PostForm {
		for _, v := range values {
			if len(v) > maxField {
				return problem.New(problem.PageTooLarge)
			}
		}
	}
	return nil
}

// leadTo sends the person to a page with a note for it, most often back to a
// form with what is wrong with it.
func (s *server) leadTo(w http.ResponseWriter, r *http.Request, page string, n note) {
	http.Redirect(w, r, page+"?"+noteParameter+"="+s.memory.keep(n), http.StatusSeeOther)
}

// stopped shows what went wrong with a step, when no field of its form is at
// fault, on a page of its own.
func (s *server) stopped(w http.ResponseWriter, r *http.Request, back string, err error) {
	p := problem.From(err)
	if p.Code == problem.Internal {
		s.log.ErrorContext(r.Context(), "step failed", "path", r.URL.Path, "err", err)
	}
	id := s.memory.keep(note{problems: []fieldProblem{{Problem: p}}, back: back})
	http.Redirect(w, r, "/problem?"+noteParameter+"="+id, http.StatusSeeOther)
}

// contact is the Registration Authority's; nil where no service has said it.
func (s *server) contact() *api.Contact {
	c := s.engine.Service().Contact
	return &c
}

// help is the foot of each page: nobody has to look for who can help.
func (s *server) help() string {
	c := s.engine.Service().Contact
	var ways []string
	for _, way := range []string{c.Phone, c.Email} {
		if way != "" {
			ways = append(ways, way)
		}
	}
	if len(ways) == 0 {
		return ""
	}
	return "Help with your smartcard: " + cmp.Or(c.Name, "Registration Authority") + ", " + strings.Join(ways, ", ")
}

// timer is the session's time left; nil where no session runs.
func (s *server) timer(v View) *ui.Timer {
	if !running(v) || v.Ends.IsZero() || !v.Ends.After(s.now()) {
		return nil
	}
	return &ui.Timer{Left: v.Ends.Sub(s.now())}
}

func errorLinks(n note, ids map[string]string) []ui.ErrorLink {
	var links []ui.ErrorLink
	for _, p := range n.problems {
		link := ui.ErrorLink{Text: sentence(p.Problem)}
		if id := ids[p.Field]; id != "" {
			link.Href = "#" + id
		}
		links = append(links, link)
	}
	return links
}
