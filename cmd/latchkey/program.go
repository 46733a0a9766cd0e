package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/alecthomas/kong"

	"latchkey/internal/api"
	"latchkey/internal/app"
	"latchkey/internal/app/browser"
	"latchkey/internal/card"
	"latchkey/internal/card/pcsc"
	"latchkey/internal/card/recognise"
	"latchkey/internal/doctor"
	"latchkey/internal/journey"
	"latchkey/internal/plain"
	"latchkey/internal/problem"
	"latchkey/internal/settings"
	"latchkey/internal/terminal"
	"latchkey/internal/ui"
	"latchkey/internal/version"
)

// environment is what the program has of the world around it.
type environment struct {
	in       io.Reader
	out, err io.Writer
	lookup   func(string) (string, bool)
	// machineFile is the machine's configuration, "" for the usual one.
	machineFile string
	// readers replace the computer's PC/SC service; nil does not.
	readers card.Readers
}

// program is the command line.
type program struct {
	settings.Settings `embed:""`

	Pages   pagesCommand   `cmd:"" default:"1" help:"Open the pages in a window (the default)."`
	Unlock  unlockCommand  `cmd:"" help:"Unlock a smartcard in this terminal."`
	Change  changeCommand  `cmd:"" help:"Change a passcode that you know; needs no service."`
	Status  statusCommand  `cmd:"" help:"Say what the card readers see."`
	Doctor  doctorCommand  `cmd:"" help:"Test everything on this computer that an unlock needs."`
	Profile profileCommand `cmd:"" help:"Card profiles: which there are, and whether one fits a card."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// run runs the program and gives its exit code: 0, 1 for a fault, 2 for a
// command line that is not right.
func run(ctx context.Context, args []string, e environment) int {
	var p program
	ended := -1
	if e.machineFile == "" {
		e.machineFile = settings.MachineFile(runtime.GOOS, os.Getenv)
	}
	resolver, err := settings.Resolver(e.machineFile, e.lookup)
	if err != nil {
		return fail(e, err, api.Contact{})
	}
	parser, err := kong.New(&p, kong.Name("latchkey"), kong.Description("Unlock your smartcard yourself."), kong.Resolvers(resolver),
		kong.Writers(e.out, e.err), kong.Exit(func(code int) { ended = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return fail(e, err, api.Contact{})
	}
	command, err := parser.Parse(args)
	if ended >= 0 { // help was asked for
		return ended
	}
	if err != nil {
		fmt.Fprintf(e.err, "latchkey: %v\n  latchkey --help shows what can be given.\n", err)
		return 2
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cards, err := p.Recogniser()
	if err != nil {
		return fail(e, err, api.Contact{})
	}
	w := newWorkstation(ctx, p.Settings, cards, e)
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(w)
	w.close(ctx)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(e.err, "latchkey: stopped. If your smartcard is still locked, start again.")
		return 1
	}
	if err != nil {
		return fail(e, err, w.contact())
	}
	return 0
}

// fail says what went wrong, with its code, what to do next and whom to ask.
func fail(e environment, err error, ra api.Contact) int {
	p := journey.Fault(err)
	fmt.Fprintf(e.err, "%s %s\n  %s\n  %s\n", p.Code, plain.Text(p.Title), plain.Text(p.What()), plain.Text(p.Next))
	if p.Code == problem.Internal && p.Cause != nil {
		fmt.Fprintf(e.err, "  (%s)\n", plain.Text(p.Cause.Error()))
	}
	if p.RetryAfter != nil {
		fmt.Fprintf(e.err, "  You can try again in %s.\n", ui.Duration(time.Duration(*p.RetryAfter)*time.Second))
	}
	for _, line := range []string{ra.Name, ra.Phone, ra.Email, ra.Hours} {
		if line != "" {
			fmt.Fprintf(e.err, "  %s\n", plain.Text(line))
		}
	}
	return 1
}

// workstation is what the commands work with.
type workstation struct {
	environment
	settings.Settings
	log     *slog.Logger
	readers card.Readers
	cards   recognise.Recogniser
	client  *api.Client // nil where no service can be used
	unset   error       // why
	pins    *api.Pins
	name    string
	engine  *journey.Engine
}

// newWorkstation puts the parts together. That no service can be used is no
// fault of commands that need none.
func newWorkstation(ctx context.Context, s settings.Settings, cards recognise.Recogniser, e environment) *workstation {
	w := &workstation{environment: e, Settings: s, cards: cards, log: logger(e.err, s.Verbose), readers: e.readers}
	if w.readers == nil {
		w.readers = pcsc.New(pcsc.Options{Log: w.log})
	}
	w.name, _ = os.Hostname() // shown to people only
	w.client, w.unset = s.Client()
	folder, err := os.UserConfigDir()
	if err == nil {
		w.pins, err = s.Pins(folder)
	}
	if err != nil && w.unset == nil {
		w.client, w.unset = nil, err
	}
	if w.pins != nil {
		w.pins.FirstUse = func(address string) {
			fmt.Fprintf(e.err, "This is the first time that this computer uses %s: its key is trusted from now on.\n", address)
		}
	}
	contact := ""
	if err == nil {
		contact = settings.ContactFile(folder)
	}
	o := journey.Options{Readers: w.readers, ContactFile: contact, Pins: w.pins, Workstation: w.name, Application: version.Version, Reader: s.Reader, Recognise: cards, Log: w.log}
	if w.client != nil {
		o.Service = w.client
	}
	w.engine = journey.New(ctx, o)
	return w
}

func logger(out io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelError
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
}

// closePatience is how long the end waits for reports that the service has not
// had yet.
const closePatience = 3 * time.Second

func (w *workstation) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
	defer cancel()
	w.engine.Close(ctx)
}

func (w *workstation) contact() api.Contact { return w.engine.Service().Contact }

func (w *workstation) doctor() *doctor.Doctor {
	d := &doctor.Doctor{Readers: w.readers, Recognise: w.cards, Pins: w.pins, Workstation: w.name, Application: version.String(), Reader: w.Reader,
		Now: time.Now, Browser: browser.Name}
	if w.client != nil {
		d.Service = w.client
	}
	d.Unset = w.unset
	return d
}

type pagesCommand struct{}

func (pagesCommand) Run(ctx context.Context, w *workstation) error {
	if w.unset != nil && problem.CodeOf(w.unset) != problem.ServiceUnset {
		return w.unset
	}
	var logo *ui.Logo
	if w.Logo != "" {
		var err error
		if logo, err = ui.ReadLogo(w.Logo); err != nil {
			return problem.Wrap(problem.ConfigInvalid, fmt.Errorf("logo: %w", err))
		}
	}
	go w.engine.Meet(ctx)
	return app.Run(ctx, app.Config{Engine: w.engine, Doctor: w.doctor().Run, Listen: w.Listen, NoBrowser: w.NoBrowser,
		Organisation: w.Organisation, Logo: logo, Version: version.Version, Out: w.out, Log: w.log})
}

type unlockCommand struct {
	Email     string `help:"Your email address, for a security code by email." placeholder:"ADDRESS" xor:"address"`
	Mobile    string `help:"Your mobile phone number, for a security code by text message." placeholder:"NUMBER" xor:"address"`
	Forgotten bool   `help:"The card is not locked, but you have forgotten its passcode."`
}

func (c unlockCommand) Run(ctx context.Context, w *workstation) error {
	if w.unset != nil {
		return w.unset
	}
	return terminal.New(w.engine, w.in, w.out).Unlock(ctx, terminal.Given{Email: c.Email, Mobile: c.Mobile}, c.Forgotten)
}

type changeCommand struct{}

func (changeCommand) Run(ctx context.Context, w *workstation) error {
	return terminal.New(w.engine, w.in, w.out).Change(ctx)
}

type statusCommand struct {
	JSON bool `help:"As JSON."`
}

func (c statusCommand) Run(ctx context.Context, w *workstation) error {
	return terminal.Status(ctx, w.engine, w.out, c.JSON)
}

type doctorCommand struct {
	JSON bool `help:"As JSON."`
}

func (c doctorCommand) Run(ctx context.Context, w *workstation) error {
	report := w.doctor().Run(ctx)
	if c.JSON {
		e := json.NewEncoder(w.out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	fmt.Fprint(w.out, report.Text)
	for _, f := range report.Findings {
		name := f.Name
		if f.Code != "" {
			name += fmt.Sprintf(" (%s)", f.Code)
		}
		if f.Next != "" {
			fmt.Fprintf(w.out, "\n%s\n  %s\n", name, f.Next)
		}
	}
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(w *workstation) error {
	_, err := fmt.Fprintln(w.out, "latchkey", version.String())
	return err
}
