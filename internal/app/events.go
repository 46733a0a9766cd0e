package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
)

// heartbeat is how often an open page hears from us; it also finds out that a
// page has gone.
const heartbeat = 15 * time.Second

// events are the live news of one page (server-sent events, HTML Living
// Standard section 9.2): "part" brings the page's live part, "go" the page to
// go on to.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	defer s.presence.enter()()
	w.Header().Set("Content-Type", "text/event-stream")
	stream := &stream{w: w, control: http.NewResponseController(w)}
	stream.send(":", "") // the answer begins
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()

	var statuses <-chan Status
	page := r.URL.Query().Get("page")
	if page == "start" || page == "forgotten" || page == "change" {
		statuses = s.engine.Watch(r.Context())
	}
	var tested <-chan struct{}
	run := s.checkups.find(r)
	switch {
	case page == "testing" && run != nil:
		tested = run.done
	case page == "testing":
		stream.send("go", "/troubleshooting") // somebody has seen the report already
	}
	for {
		changed := s.engine.Changed() // before looking, so that no change is missed
		if page == "working" {
			s.progress(stream)
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.presence.stopping:
			return
		case status, ok := <-statuses:
			if !ok {
				return
			}
			s.sendStatus(stream, r, page, status)
		case <-tested:
			tested = nil
			stream.send("go", run.address())
		case <-changed:
		case <-beat.C:
			stream.send(":", "")
		}
		if stream.err != nil {
			return
		}
	}
}

// progress brings the working page up to date, or leads away from it.
func (s *server) progress(stream *stream) {
	v := s.view()
	if v.Step != StepWorking {
		stream.send("go", path(v.Step))
		return
	}
	html, err := s.pages.Part("working", "progress", working(v))
	if err != nil {
		s.log.Error("progress not shown", "err", err)
		return
	}
	stream.send("part", string(html))
}

func (s *server) sendStatus(stream *stream, r *http.Request, page string, status Status) {
	purpose := map[string]api.Purpose{"forgotten": api.PurposeForgotten, "change": changing}[page]
	if purpose == "" {
		purpose = api.PurposeLocked
	}
	part := describe(status, purpose).with(s.memory.of(r))
	if purpose == changing && part.CanStart {
		stream.send("go", "/change") // where the form is now
		return
	}
	html, err := s.pages.Part(page, "status", part)
	if err != nil {
		s.log.Error("status not shown", "err", problem.From(err))
		return
	}
	stream.send("part", string(html))
}

// stream writes events; after a fault it writes no more.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	last    string
	err     error
}

// send writes an event with a string as JSON, which has no line breaks. An
// event of the same words as the last one is left out. ":" is a comment.
func (s *stream) send(event, data string) {
	if s.err != nil {
		return
	}
	text := ":\n\n"
	if event != ":" {
		encoded, _ := json.Marshal(data) // a string always encodes
		text = fmt.Sprintf("event: %s\ndata: %s\n\n", event, encoded)
		if text == s.last {
			return
		}
		s.last = text
	}
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = s.control.Flush()
	}
}

// presence knows how many pages are open.
type presence struct {
	mu       sync.Mutex
	open     int
	changed  chan struct{} // closed at the next change of open
	stopping chan struct{} // closed when the application ends
	stop     func()
}

func newPresence() *presence {
	p := &presence{changed: make(chan struct{}), stopping: make(chan struct{})}
	p.stop = sync.OnceFunc(func() { close(p.stopping) })
	return p
}

// enter counts a page in; the function that it gives counts it out.
func (p *presence) enter() (leave func()) {
	p.count(1)
	return func() { p.count(-1) }
}

func (p *presence) count(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open += by
	close(p.changed)
	p.changed = make(chan struct{})
}

// look gives how many pages are open and what closes at the next change.
func (p *presence) look() (int, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, p.changed
}
