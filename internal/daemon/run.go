package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/internal/audit"
	"latchkey/internal/config"
	"latchkey/internal/problem"
	"latchkey/internal/service"
	"latchkey/internal/store"
	"latchkey/internal/unlock"
	"latchkey/internal/version"
)

const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	// grace is how long requests and messages under way may take at the end.
	grace      = 10 * time.Second
	maxHeader  = 16 << 10
	cleanEvery = time.Hour
)

// Run serves until ctx ends. ready is called with the address once requests
// are answered.
func Run(ctx context.Context, c *config.Config, log *slog.Logger, ready func(address string)) (err error) {
	base, err := Open(ctx, c, log, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	parts, err := base.unlocking(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, parts.faces.Close()) }()
	if parts.trust != nil {
		defer parts.trust.Close()
	}
	certificates, err := loadCertificates(c.TLSCert, c.TLSKey, log)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	var figures net.Listener
	if c.MetricsListen != "" {
		if figures, err = listen(ctx, c.MetricsListen); err != nil {
			return err
		}
		defer figures.Close()
	}
	if base.Journal != nil {
		if err := base.Journal.Start(ctx, base.DB); err != nil {
			return err
		}
	} else {
		log.Warn("there is no key journal: a database that was restored goes unnoticed, and cards can be lost", "setting", "key_journal")
	}
	// From here on nothing fails before the service is stopped in order.
	if err := base.note(ctx, audit.ServiceStarted); err != nil {
		return err
	}
	// Messages under way are let finish when ctx ends, so theirs is another.
	if err := parts.queue.Start(context.WithoutCancel(ctx), parts.sessions); err != nil {
		return err
	}
	cleaning, stopCleaning := context.WithCancel(ctx)
	defer stopCleaning() // before the database closes
	go clean(cleaning, parts.sessions, log)
	edge := service.New(parts.sessions, log)
	edge.TakeReceipts(parts.queue)
	state := newReleaseFigures()
	collectors := []prometheus.Collector{parts.queue.Collector(), parts.alerts, state.state}
	if parts.trust != nil {
		collectors = append(collectors, parts.trust)
		go parts.trust.Run(cleaning)
	}
	for _, collector := range collectors {
		if err := edge.Register(collector); err != nil {
			return fmt.Errorf("register figures: %w", err)
		}
	}
	last := base.look(ctx, log, state, "")
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		base.watch(cleaning, log, state, last)
	}()
	defer func() {
		stopCleaning()
		<-watching
	}()
	served := make(chan error, 2)
	web := serve(edge.Handler(), listener, certificates, log, served)
	var metrics *http.Server
	if figures != nil {
		metrics = serveMetrics(figures, edge, log, served)
	}
	log.Info("latchkeyd is ready", "address", listener.Addr().String(), "tls", certificates != nil, "database", base.DB.Dialect(), "version", version.String())
	if ready != nil {
		ready(listener.Addr().String())
	}
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	return errors.Join(err, base.stop(context.WithoutCancel(ctx), parts, log, web, metrics))
}

// stop ends everything that runs, letting what is under way finish.
func (b *Base) stop(ctx context.Context, parts unlocking, log *slog.Logger, servers ...*http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	log.Info("latchkeyd is stopping")
	var err error
	for _, s := range servers {
		if s != nil {
			err = errors.Join(err, s.Shutdown(ctx))
		}
	}
	err = errors.Join(err, parts.queue.Stop(ctx), b.note(ctx, audit.ServiceStopped))
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

func (b *Base) note(ctx context.Context, action string) error {
	return b.DB.Update(ctx, func(tx *store.Tx) error {
		return audit.Append(ctx, tx, audit.Event{Actor: audit.ActorService, Action: action,
			Details: map[string]string{"version": version.String()}})
	})
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, problem.Wrap(problem.AddressInUse, err)
	}
	if err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("listen: %w", err))
	}
	return l, nil
}

func serve(h http.Handler, l net.Listener, c *certificates, log *slog.Logger, served chan<- error) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	if c != nil {
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	}
	go func() {
		var err error
		if c != nil {
			err = s.ServeTLS(l, "", "")
		} else {
			err = s.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			served <- fmt.Errorf("serve: %w", err)
		}
	}()
	return s
}

func serveMetrics(l net.Listener, edge *service.Server, log *slog.Logger, served chan<- error) *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", edge.Metrics())
	return serve(mux, l, nil, log, served)
}

// clean removes what has been over for a long time, again and again.
func clean(ctx context.Context, s *unlock.Service, log *slog.Logger) {
	t := time.NewTicker(cleanEvery)
	defer t.Stop()
	for {
		if err := s.Clean(ctx); err != nil && ctx.Err() == nil {
			log.Warn("old sessions not removed", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
