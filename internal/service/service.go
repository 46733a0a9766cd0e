// Package service is the HTTP edge of the service: it reads requests of
// package api, hands them to package unlock and turns errors into RFC 9457
// problems. It decides nothing.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"latchkey/internal/api"
	"latchkey/internal/problem"
	"latchkey/internal/unlock"
)

// Sessions is what the edge needs of the heart.
type Sessions interface {
	Info(ctx context.Context) (api.Service, error)
	Start(ctx context.Context, r api.StartRequest, network string) (api.Session, error)
	Get(ctx context.Context, who unlock.Credentials) (api.Session, error)
	Abandon(ctx context.Context, who unlock.Credentials) error
	Prove(ctx context.Context, who unlock.Credentials, r api.ProofRequest) (api.Session, error)
	SendCode(ctx context.Context, who unlock.Credentials, r api.CodeRequest) (api.CodeSent, error)
	CheckCode(ctx context.Context, who unlock.Credentials, r api.CodeCheck) (api.Session, error)
	StartFace(ctx context.Context, who unlock.Credentials, r api.FaceRequest) (api.FaceScan, error)
	FaceStep(ctx context.Context, who unlock.Credentials, r api.FaceStepDone) (api.FaceStep, error)
	FaceWaits(ctx context.Context, who unlock.Credentials) error
	SendFaces(ctx context.Context, who unlock.Credentials, r api.FaceFrames) (api.Session, error)
	Release(ctx context.Context, who unlock.Credentials, r api.ReleaseRequest) (api.Envelope, error)
	Report(ctx context.Context, who unlock.Credentials, r api.Report) (api.Reported, error)
}

// patience is how long one request may take.
const patience = 20 * time.Second

// Server answers for the service.
type Server struct {
	sessions Sessions
	receipts Receipts // nil: none are taken
	log      *slog.Logger
	registry *prometheus.Registry
	seconds  *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	slots    chan struct{} // of requests with frames
	turns    turns         // of sessions with frames
}

// New makes a Server.
func New(s Sessions, log *slog.Logger) *Server {
	v := &Server{sessions: s, log: log, registry: prometheus.NewRegistry(), slots: make(chan struct{}, frameSlots),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "latchkey_request_seconds",
			Help: "Time to answer a request.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)}, []string{"call"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_problems_total",
			Help: "Requests answered with a problem, by its code."}, []string{"call", "code"})}
	v.registry.MustRegister(v.seconds, v.refusals)
	return v
}

// Metrics serves the figures for Prometheus.
func (v *Server) Metrics() http.Handler {
	return promhttp.HandlerFor(v.registry, promhttp.HandlerOpts{})
}

// answer is what a call comes to: a status with a body, which may be nil, or an
// error.
type answer func(*http.Request) (status int, body any, err error)

// route is one call.
type route struct {
	method, path string
	answer       answer
}

// routes is every call of package api; its openapi.yaml describes the same.
func (v *Server) routes() []route {
	return []route{
		{"GET", api.PathService, func(r *http.Request) (int, any, error) {
			info, err := v.sessions.Info(r.Context())
			return http.StatusOK, info, err
		}},
		{"GET", "/health", func(r *http.Request) (int, any, error) {
			_, err := v.sessions.Info(r.Context()) // reads the database's clock
			return http.StatusOK, map[string]string{"status": "ok"}, err
		}},
		{"POST", api.PathSessions, func(r *http.Request) (int, any, error) {
			body, err := read[api.StartRequest](r)
			if err != nil {
				return 0, nil, err
			}
			out, err := v.sessions.Start(r.Context(), body, network(r))
			return http.StatusCreated, out, err
		}},
		{"GET", api.PathSession, func(r *http.Request) (int, any, error) {
			out, err := v.sessions.Get(r.Context(), credentials(r))
			return http.StatusOK, out, err
		}},
		{"DELETE", api.PathSession, func(r *http.Request) (int, any, error) {
			return http.StatusNoContent, nil, v.sessions.Abandon(r.Context(), credentials(r))
		}},
		{"POST", api.PathProof, post(http.StatusOK, v.sessions.Prove)},
		{"POST", api.PathCode, post(http.StatusAccepted, v.sessions.SendCode)},
		{"POST", api.PathCodeCheck, post(http.StatusOK, v.sessions.CheckCode)},
		{"POST", api.PathFace, post(http.StatusCreated, v.sessions.StartFace)},
		{"POST", api.PathFaceStep, post(http.StatusOK, v.sessions.FaceStep)},
		{"POST", api.PathFaceFrames, v.frames},
		{"POST", api.PathRelease, post(http.StatusOK, v.sessions.Release)},
		{"POST", api.PathReport, post(http.StatusOK, v.sessions.Report)},
		{"POST", api.PathReceipts, v.receipt},
	}
}

// Handler answers every call of package api, and anything else with
// problem.NoSuchPage.
func (v *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range v.routes() {
		v.call(mux, r.method, r.path, r.answer)
	}
	v.call(mux, "", "/", func(*http.Request) (int, any, error) {
		return 0, nil, problem.New(problem.NoSuchPage)
	})
	return mux
}

// post answers a call of one session with a request body.
func post[Q, A any](status int, f func(context.Context, unlock.Credentials, Q) (A, error)) answer {
	return func(r *http.Request) (int, any, error) {
		body, err := read[Q](r)
		if err != nil {
			return 0, nil, err
		}
		out, err := f(r.Context(), credentials(r), body)
		return status, out, err
	}
}

// call adds a call with what is common to all: time, headers, faults.
func (v *Server) call(mux *http.ServeMux, method, path string, f answer) {
	mux.HandleFunc(strings.TrimSpace(method+" "+path), func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		longest, largest := bounds(w, path)
		ctx, cancel := context.WithTimeout(r.Context(), longest)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, largest)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.TLS != nil {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		status, body, err := v.guard(r, f)
		v.seconds.WithLabelValues(path).Observe(time.Since(began).Seconds())
		if err != nil && errors.Is(r.Context().Err(), context.Canceled) {
			v.log.DebugContext(ctx, "the client is gone", "path", path, "err", err)
			w.WriteHeader(http.StatusRequestTimeout) // nobody's fault, and mostly nobody to tell
			return
		}
		if err != nil {
			v.refusals.WithLabelValues(path, string(problem.CodeOf(err))).Inc()
			if problem.From(err).Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110 section 15.5.2
			}
			problem.Write(w, r, v.log, err)
			return
		}
		v.answer(w, r, status, body)
	})
}

// guard turns a panic into an error with its stack for the log.
func (v *Server) guard(r *http.Request, f answer) (status int, body any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f(r)
}

func (v *Server) answer(w http.ResponseWriter, r *http.Request, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	raw, err := json.Marshal(body)
	if err != nil {
		problem.Write(w, r, v.log, fmt.Errorf("encode answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client may be gone
}

// read decodes a request body. Members that are not known are left alone, so
// that an application may be newer.
func read[T any](r *http.Request) (T, error) {
	var none T
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return none, problem.Wrap(problem.RequestMalformed, fmt.Errorf("content type %q", r.Header.Get("Content-Type")))
	}
	d := json.NewDecoder(r.Body)
	var v *T
	err := d.Decode(&v)
	if err == nil {
		_, err = d.Token()
		switch {
		case errors.Is(err, io.EOF) && v != nil:
			return *v, nil
		case errors.Is(err, io.EOF):
			err = errors.New("null is no request")
		case err == nil:
			err = errors.New("something follows the JSON value")
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return none, problem.Wrap(problem.RequestTooLarge, err)
	}
	return none, problem.Wrap(problem.RequestMalformed, err)
}

// credentials are those of the request; anything missing is an unknown session.
func credentials(r *http.Request) unlock.Credentials {
	who := unlock.Credentials{ID: r.PathValue("id")}
	// The scheme's case does not matter (RFC 9110 section 11.1).
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		who.Token = token
	}
	return who
}

// network is the address that limits count by: the client's own, for IPv6 the
// /64 that one customer usually has (RFC 6177).
func network(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
