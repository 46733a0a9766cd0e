// Package doctor tests everything on this computer that an unlock needs
// (product.md line 9) and says in plain words what is wrong and what to do.
// Nothing in its report is secret: it is made to be copied to a help desk.
package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/card"
	"latchkey/internal/card/recognise"
	"latchkey/internal/journey"
	"latchkey/internal/plain"
	"latchkey/internal/problem"
)

// Report is what the tests found.
type Report struct {
	Findings []Finding `json:"findings"`
	Text     string    `json:"-"` // the whole report to copy, without anything secret
}

// Finding is the outcome of one test.
type Finding struct {
	Name   string       `json:"name"` // "Card reader"
	Level  Level        `json:"level"`
	Detail string       `json:"detail"`
	Next   string       `json:"next,omitempty"` // what to do, where something is wrong
	Code   problem.Code `json:"code,omitempty"` // "" where nothing is wrong
	// InPage says that the page can test this, and only the page: a program of
	// a terminal has no camera.
	InPage bool `json:"in_page,omitempty"`
}

// Level is how good or bad a finding is.
type Level string

// The levels.
const (
	LevelGood    Level = "good"
	LevelWarning Level = "warning"
	LevelBad     Level = "bad"
	LevelUnknown Level = "not tested"
)

// Service is what is asked of the service.
type Service interface {
	Address() string
	Service(ctx context.Context) (api.Service, error)
}

// Doctor tests a computer.
type Doctor struct {
	Readers     card.Readers
	Recognise   recognise.Recogniser
	Service     Service // nil: none can be used
	Unset       error   // why; nil: none is set
	Pins        *api.Pins
	Workstation string
	Application string
	Reader      string // this reader only; "" for all
	Now         func() time.Time
	// Browser names the browser that a window is opened with; "" for none.
	Browser func() string
}

const (
	readerPatience  = 5 * time.Second
	servicePatience = 10 * time.Second
	// clockTolerance is how far the clocks may be apart.
	clockTolerance = 5 * time.Minute
	// expiresSoon is when a certificate's end is worth a warning.
	expiresSoon = 30 * 24 * time.Hour
)

// Run runs every test.
func (d *Doctor) Run(ctx context.Context) Report {
	var r Report
	service := make(chan []Finding, 1)
	go func() { service <- d.service(ctx) }() // it may take a while
	r.Findings = append(r.Findings, d.readers(ctx)...)
	r.Findings = append(r.Findings, <-service...)
	r.Findings = append(r.Findings, d.browser(),
		Finding{Name: "Version", Level: LevelGood, Detail: fmt.Sprintf("Latchkey %s on %s.", d.Application, system())})
	r.Text = d.text(r.Findings)
	return r
}

func system() string {
	return map[string]string{"linux": "Linux", "windows": "Windows", "darwin": "macOS"}[runtime.GOOS] + " (" + runtime.GOARCH + ")"
}

func good(name, detail string) Finding { return Finding{Name: name, Level: LevelGood, Detail: detail} }

func unknown(name, detail string) Finding {
	return Finding{Name: name, Level: LevelUnknown, Detail: detail}
}

func bad(name string, err error) Finding {
	p := journey.Fault(err)
	return Finding{Name: name, Level: LevelBad, Detail: p.Title + ". " + p.What(), Next: p.Next, Code: p.Code}
}

const untested = "This could not be tested, because of what is said above."

// readers tests the way to the card.
func (d *Doctor) readers(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, readerPatience)
	defer cancel()
	const service, reader, smartcard, certificates = "Smartcard service", "Card reader", "Smartcard", "Certificates"
	rest := func(names ...string) (out []Finding) {
		for _, n := range names {
			out = append(out, unknown(n, untested))
		}
		return out
	}
	var snapshot card.Snapshot
	select {
	case snapshot = <-d.Readers.Watch(ctx):
	case <-ctx.Done():
		snapshot.Err = card.ErrNoService
	}
	if errors.Is(snapshot.Err, card.ErrNoService) {
		return append([]Finding{bad(service, snapshot.Err)}, rest(reader, smartcard, certificates)...)
	}
	found := []Finding{good(service, "It is running.")}
	var names []string
	var with []card.Reader
	for _, r := range snapshot.Readers {
		if d.Reader != "" && r.Name != d.Reader {
			continue
		}
		names = append(names, plain.Text(r.Name))
		if r.Presence != card.Empty {
			with = append(with, r)
		}
	}
	if len(names) == 0 {
		return append(append(found, bad(reader, card.ErrNoReader)), rest(smartcard, certificates)...)
	}
	found = append(found, good(reader, "Found: "+strings.Join(names, ", ")+"."))
	if len(with) == 0 {
		return append(append(found, bad(smartcard, card.ErrNoCard)), rest(certificates)...)
	}
	for _, r := range with {
		found = append(found, d.card(ctx, r)...)
	}
	return found
}

// card tests one card. It spends no try.
func (d *Doctor) card(ctx context.Context, r card.Reader) []Finding {
	name := "Smartcard"
	if r.Presence == card.Mute {
		return []Finding{bad(name, card.ErrMute), unknown("Certificates", untested)}
	}
	id, state, kinds, certificates, err := d.read(ctx, r.Name)
	if err != nil {
		return []Finding{bad(name, err), unknown("Certificates", untested)}
	}
	detail := id.Model
	if id.Serial != "" {
		detail += ", serial number " + id.Serial
	}
	switch {
	case state.PIN.Blocked():
		detail += ". It is locked."
	case state.PIN.Known:
		detail += fmt.Sprintf(". It is not locked: %d tries of the passcode are left.", state.PIN.Left)
	default:
		detail += ". It does not say whether it is locked."
	}
	f := good(name, detail)
	if err := journey.Spare(state, kinds, 1); err != nil {
		f = bad(name, err)
	}
	return []Finding{f, d.certificates(certificates)}
}

func (d *Doctor) read(ctx context.Context, reader string) (id card.Identity, state card.State, kinds []card.KeyKind, certificates []card.Certificate, err error) {
	conn, err := d.Readers.Connect(ctx, reader)
	if err != nil {
		return id, state, nil, nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.Begin(ctx); err != nil {
		return id, state, nil, nil, err
	}
	defer func() { err = errors.Join(err, conn.End(card.LeaveCard)) }()
	c, err := d.Recognise.Open(ctx, conn)
	if err != nil {
		return id, state, nil, nil, err
	}
	if id, err = c.Identity(ctx); err != nil {
		return id, state, nil, nil, err
	}
	if state, err = c.State(ctx); err != nil {
		return id, state, nil, nil, err
	}
	certificates, err = c.Certificates(ctx)
	return id, state, card.KeyKinds(c), certificates, err
}

// certificates says which of them expires first.
func (d *Doctor) certificates(all []card.Certificate) Finding {
	const name = "Certificates"
	var first time.Time
	for _, c := range all {
		cert, err := x509.ParseCertificate(c.DER)
		if err == nil && (first.IsZero() || cert.NotAfter.Before(first)) {
			first = cert.NotAfter
		}
	}
	now := d.Now()
	switch {
	case first.IsZero():
		return Finding{Name: name, Level: LevelWarning, Detail: "There are no certificates on the card that can be read.",
			Next: "If you cannot log in with the card, contact your Registration Authority."}
	case now.After(first):
		return bad(name, problem.New(problem.CertExpired))
	case first.Sub(now) < expiresSoon:
		return Finding{Name: name, Level: LevelWarning, Detail: "The card expires on " + first.Format("2 January 2006") + ".",
			Next: "Ask your Registration Authority for a new card now."}
	}
	return good(name, "They are valid until "+first.Format("2 January 2006")+".")
}

// service tests the way to the service.
func (d *Doctor) service(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, servicePatience)
	defer cancel()
	const service, safe, clock = "Latchkey service", "Safe connection", "Clock"
	if d.Service == nil {
		why := d.Unset
		if why == nil {
			why = problem.New(problem.ServiceUnset)
		}
		return []Finding{bad(service, why), unknown(safe, untested), unknown(clock, untested), camera(nil)}
	}
	info, err := d.Service.Service(ctx)
	if err != nil {
		f := []Finding{bad(service, err), unknown(safe, untested), unknown(clock, untested), camera(nil)}
		if problem.CodeOf(err) == problem.ServiceCertificate {
			f[0], f[1] = unknown(service, untested), bad(safe, err)
		}
		return f
	}
	found := []Finding{good(service, d.Service.Address()+" answers.")}
	if info.APIVersion > api.Version {
		found[0] = bad(service, problem.New(problem.NewerService))
	}
	if err := d.Pins.Check(d.Service.Address(), info.SigningKey); err != nil {
		found = append(found, bad(safe, err))
	} else if strings.HasPrefix(d.Service.Address(), "https://") {
		found = append(found, good(safe, "The connection is encrypted, and it is the service that this computer knows."))
	} else {
		found = append(found, good(safe, "The service is on this computer, and it is the one that this computer knows."))
	}
	if off := d.Now().Sub(info.Time).Abs(); off > clockTolerance {
		return append(found, bad(clock, problem.New(problem.ClockWrong)), camera(info.Methods))
	}
	return append(found, good(clock, "It agrees with the service's."), camera(info.Methods))
}

// camera says where the camera is tested, or that none is needed. methods are
// the organisation's; nil where they are not known.
func camera(methods []api.MethodStatus) Finding {
	const name = "Camera"
	offered := methods == nil
	for _, m := range methods {
		offered = offered || m.Method == api.MethodFace && m.Available
	}
	if !offered {
		return unknown(name, "Your organisation does not offer face verification at the moment, so no camera is needed.")
	}
	f := unknown(name, "Face verification needs one. It can be tested in Latchkey's window alone.")
	f.InPage = true
	return f
}

func (d *Doctor) browser() Finding {
	const name = "Browser"
	if d.Browser == nil {
		return unknown(name, "This was not asked for.")
	}
	if found := d.Browser(); found != "" {
		return good(name, "Latchkey opens its own window with "+found+".")
	}
	return Finding{Name: name, Level: LevelWarning, Detail: "No browser was found that Latchkey can open its own window with. It uses the default browser, with your extensions in it.",
		Next: "Ask your IT help desk to install Chromium, Chrome or Edge."}
}

// text is the report to copy.
func (d *Doctor) text(all []Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Latchkey report of %s\nComputer: %s\n\n", d.Now().UTC().Format("2006-01-02 15:04 MST"), d.Workstation)
	for _, f := range all {
		fmt.Fprintf(&b, "%s: %s. %s", f.Name, f.Level, f.Detail)
		if f.Code != "" {
			fmt.Fprintf(&b, " [%s]", f.Code)
		}
		b.WriteString("\n")
	}
	return b.String()
}
