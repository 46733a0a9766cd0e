package service_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/service"
	"latchkey/internal/unlock"
)

const framesPath = "/v1/sessions/s1/face/frames"

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the frames are read")
	return 0, io.EOF
}

// TestFramesAreReadForThoseWhoWait: anybody else is refused before anything of
// the body is taken into memory.
func TestFramesAreReadForThoseWhoWait(t *testing.T) {
	for _, code := range []problem.Code{problem.SessionUnknown, problem.FaceScanOver, problem.SessionState} {
		e := newEdge()
		e.waits = problem.New(code)
		r := httptest.NewRequest("POST", framesPath, unread{t})
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, r)
		wantProblem(t, w, code)
		if len(e.calls) != 0 {
			t.Errorf("it got through: %v", e.calls)
		}
	}
}

// TestRefusedFramesAreNotSent: the client asks before it sends megabytes, and
// gets the answer.
func TestRefusedFramesAreNotSent(t *testing.T) {
	e := newEdge()
	e.waits = problem.New(problem.FaceScanOver)
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	client, err := api.NewClient(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	frames := api.FaceFrames{Scan: "f1"}
	for range 40 {
		frames.Frames = append(frames.Frames, api.FaceFrame{Step: 1, JPEG: make([]byte, api.MaxFrame)})
	}
	if _, err := client.SendFaces(t.Context(), api.Credentials{ID: "s1", Token: "t"}, frames); problem.CodeOf(err) != problem.FaceScanOver {
		t.Errorf("got %v", err)
	}
	e.waits = nil
	if _, err := client.SendFaces(t.Context(), api.Credentials{ID: "s1", Token: "t"}, frames); err != nil {
		t.Error(err)
	}
	if got, ok := e.body.(api.FaceFrames); !ok || len(got.Frames) != 40 || len(got.Frames[39].JPEG) != api.MaxFrame {
		t.Errorf("a body of %T", e.body)
	}
}

// crowd is a heart whose decisions take as long as the test wants.
type crowd struct {
	heart
	inside atomic.Int64
	left   atomic.Int64 // nanoseconds of the deadline
	gate   chan struct{}
}

func (c *crowd) SendFaces(ctx context.Context, who unlock.Credentials, _ api.FaceFrames) (api.Session, error) {
	c.inside.Add(1)
	defer c.inside.Add(-1)
	if at, ok := ctx.Deadline(); ok {
		c.left.Store(int64(time.Until(at)))
	}
	<-c.gate
	return api.Session{ID: who.ID}, nil
}

// TestFramesInMemory: only so many requests with frames are held at once. The
// others wait, and are told that the service is busy where that takes too long.
func TestFramesInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{gate: make(chan struct{})}
		handler := service.New(c, slog.New(slog.DiscardHandler)).Handler()
		answers := make(chan *httptest.ResponseRecorder, 20)
		for n := range 20 {
			go func() {
				r := httptest.NewRequest("POST", fmt.Sprintf("/v1/sessions/s%d/face/frames", n), strings.NewReader(`{"scan":"f1","frames":[]}`))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				answers <- w
			}()
		}
		synctest.Wait()
		if n := c.inside.Load(); n != 16 {
			t.Errorf("%d are let in", n)
		}
		if left := time.Duration(c.left.Load()); left != 70*time.Second {
			t.Errorf("a decision may take %s", left)
		}
		time.Sleep(71 * time.Second)
		for range 4 {
			wantProblem(t, <-answers, problem.DatabaseBusy)
		}
		close(c.gate)
		for range 16 {
			if w := <-answers; w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	})
}

// TestFramesOfOneSession: one session holds one place, however often it sends.
func TestFramesOfOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{gate: make(chan struct{})}
		handler := service.New(c, slog.New(slog.DiscardHandler)).Handler()
		answers := make(chan *httptest.ResponseRecorder, 20)
		send := func(session, token string) {
			r := httptest.NewRequest("POST", "/v1/sessions/"+session+"/face/frames", strings.NewReader(`{"scan":"f1","frames":[]}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			answers <- w
		}
		for range 18 {
			go send("s1", "t")
		}
		synctest.Wait()
		if n := c.inside.Load(); n != 1 {
			t.Errorf("%d of one session are let in", n)
		}
		go send("s2", "t")
		go send("s1", "another") // whoever has not the token can't be in the way
		synctest.Wait()
		if n := c.inside.Load(); n != 3 {
			t.Errorf("%d are let in", n)
		}
		close(c.gate)
		for range 20 {
			if w := <-answers; w.Code != http.StatusOK {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	})
}

// one is a listener with one connection.
type one struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l one) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l one) Close() error   { close(l.done); return nil }
func (l one) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowFrames: frames may come over a line that is too slow for any other
// call, but not for ever.
func TestSlowFrames(t *testing.T) {
	for _, k := range []struct {
		path  string
		pause time.Duration
		right bool
	}{
		{framesPath, 40 * time.Second, true},
		{framesPath, 50 * time.Second, false},
		{"/v1/sessions/s1/face/step", 16 * time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := newEdge()
			server := &http.Server{Handler: e.Handler(), ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
				ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
			l := one{make(chan net.Conn, 1), make(chan struct{})}
			ended := make(chan error)
			go func() { ended <- server.Serve(l) }()
			near, far := net.Pipe()
			l.conns <- far
			const body = `{"scan":"f1","frames":[]}`
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				fmt.Fprintf(near, "POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", k.path, len(body), body[:5])
				time.Sleep(k.pause)
				_, _ = io.WriteString(near, body[5:]) // nobody may be there any more
			}()
			w, err := http.ReadResponse(bufio.NewReader(near), nil)
			right := err == nil && w.StatusCode == http.StatusOK
			if right != k.right || (len(e.calls) == 1) != k.right {
				t.Errorf("%s after %s: %v, %v, calls %v", k.path, k.pause, w, err, e.calls)
			}
			_ = near.Close()
			<-sent
			if err := server.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
}
