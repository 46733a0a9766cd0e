package exhaustive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"
)

var errLost = errors.New("connection reset by peer")

// cable is an application's way to the service. Messages cross it as bytes.
type cable struct {
	w    *world
	dead *atomic.Bool // the application was killed
	kill func()
}

func (c *cable) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.dead.Load() {
		return nil, errLost
	}
	var raw bytes.Buffer
	if err := r.Write(&raw); err != nil {
		return nil, err
	}
	w := c.w
	w.network.busy <- struct{}{}
	defer func() { <-w.network.busy }()
	kind, to := w.atCall()
	switch kind {
	case requestLost:
		return nil, errLost
	case networkAway:
		w.network.away = time.Now().Add(away)
	case repliesAway:
		w.network.silent = time.Now().Add(away)
	case appKilledBeforeCall:
		c.kill()
		return nil, errLost
	case hourOn:
		w.jump(time.Hour)
	case daysOn:
		w.jump(40 * 24 * time.Hour)
	case hourBack:
		w.jump(-time.Hour)
	case restored, failedOver, restoredLate, failedOverLate:
		w.goBack(kind, to)
	}
	if time.Now().Before(w.network.away) {
		return nil, errLost
	}
	earlier := w.network.reply
	reply, err := w.deliver(r.Context(), raw.Bytes())
	if kind == twice {
		reply, err = w.deliver(r.Context(), raw.Bytes())
	}
	switch {
	case err != nil:
		return nil, err
	case kind == appKilledAfterCall:
		c.kill()
		return nil, errLost
	case kind == replyLost, time.Now().Before(w.network.silent):
		return nil, errLost
	case kind == earlierReply && earlier != nil:
		reply = earlier
	}
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(reply)), r)
}

// network is what a network remembers.
type network struct {
	busy   chan struct{} // one message at a time, so that a run can be repeated
	away   time.Time
	silent time.Time
	reply  []byte // the newest
}

func newNetwork() *network { return &network{busy: make(chan struct{}, 1)} }

// deliver brings a request to the service, and gives its reply. A service that
// dies over it gives none, and is started again.
func (w *world) deliver(ctx context.Context, raw []byte) ([]byte, error) {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = "127.0.0.1:40000"
	answer := httptest.NewRecorder()
	w.service.ServeHTTP(answer, r.WithContext(ctx))
	if w.gate.killed() {
		w.startService()
		return nil, errLost
	}
	var reply bytes.Buffer
	if err := answer.Result().Write(&reply); err != nil {
		return nil, err
	}
	w.network.reply = reply.Bytes()
	return w.network.reply, nil
}
