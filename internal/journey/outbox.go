package journey

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/problem"
)

const (
	firstRetry = 2 * time.Second
	lastRetry  = 30 * time.Second
)

// outbox keeps reports that the service has not had yet and sends them when
// it can be reached. They are taken after the session's end too.
type outbox struct {
	service Service
	log     *slog.Logger
	mu      sync.Mutex
	waiting []letter
	posted  chan struct{}
}

type letter struct {
	who    api.Credentials
	report api.Report
}

func newOutbox(s Service, log *slog.Logger) *outbox {
	return &outbox{service: s, log: log, posted: make(chan struct{}, 1)}
}

func (o *outbox) add(who api.Credentials, r api.Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, letter{who, r})
	select {
	case o.posted <- struct{}{}:
	default:
	}
}

func (o *outbox) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.posted:
		}
		for pause := firstRetry; !o.flush(ctx); pause = min(2*pause, lastRetry) {
			t := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
		}
	}
}

// flush sends what is waiting, in order. True: nothing is left.
func (o *outbox) flush(ctx context.Context) bool {
	for {
		o.mu.Lock()
		if len(o.waiting) == 0 {
			o.mu.Unlock()
			return true
		}
		l := o.waiting[0]
		o.mu.Unlock()
		_, err := o.service.Report(ctx, l.who, l.report)
		if err != nil && (ctx.Err() != nil || passing(problem.From(err)) || problem.CodeOf(err) == problem.Internal) {
			return false
		}
		if err != nil {
			o.log.Warn("the service did not take a report", "code", problem.CodeOf(err))
		}
		o.mu.Lock()
		// Another flush may have sent it meanwhile: reports can be sent twice.
		if len(o.waiting) > 0 && o.waiting[0].report.Step == l.report.Step && o.waiting[0].who == l.who {
			o.waiting = o.waiting[1:]
		}
		o.mu.Unlock()
	}
}
