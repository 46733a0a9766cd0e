package service

import (
	"context"
	"net/http"
	"sync"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/unlock"
)

const (
	// framesRead is how long the frames of a scan may be on their way.
	framesRead = 45 * time.Second
	// framesPatience is how long they may take with the decision.
	framesPatience = 70 * time.Second
	// frameSlots is how many requests with frames are held in memory at once.
	// Each takes up to three times api.MaxFaceBody.
	frameSlots = 16
)

// bounds are how long a call may take and how large its body may be. For frames
// they are wider, and so are the connection's deadlines.
func bounds(w http.ResponseWriter, path string) (longest time.Duration, largest int64) {
	if path != api.PathFaceFrames {
		return patience, api.MaxBody
	}
	c, now := http.NewResponseController(w), time.Now()
	// A connection without deadlines has those of ctx.
	_ = c.SetReadDeadline(now.Add(framesRead))
	_ = c.SetWriteDeadline(now.Add(framesPatience + 5*time.Second))
	return framesPatience, api.MaxFaceBody
}

// turns has the frames of one session come one after another, so that it holds
// one place of frameSlots at most. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	taken map[unlock.Credentials]chan struct{} // closed when the turn is over
}

// take waits for a turn until ctx ends, and gives what ends it.
func (t *turns) take(ctx context.Context, who unlock.Credentials) (end func(), err error) {
	for {
		t.mu.Lock()
		before, busy := t.taken[who]
		if !busy {
			mine := make(chan struct{})
			if t.taken == nil {
				t.taken = map[unlock.Credentials]chan struct{}{}
			}
			t.taken[who] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.taken, who)
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, problem.Wrap(problem.DatabaseBusy, ctx.Err())
		}
	}
}

// frames takes the frames of a scan. They are read only for a session that waits
// for them, and are in memory alone.
func (v *Server) frames(r *http.Request) (int, any, error) {
	end, err := v.turns.take(r.Context(), credentials(r))
	if err != nil {
		return 0, nil, err
	}
	defer end()
	if err := v.sessions.FaceWaits(r.Context(), credentials(r)); err != nil {
		return 0, nil, err
	}
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-r.Context().Done():
		return 0, nil, problem.Wrap(problem.DatabaseBusy, r.Context().Err())
	}
	body, err := read[api.FaceFrames](r)
	if err != nil {
		return 0, nil, err
	}
	out, err := v.sessions.SendFaces(r.Context(), credentials(r), body)
	return http.StatusOK, out, err
}
