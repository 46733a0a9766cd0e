package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/alecthomas/kong"

	"latchkey/internal/config"
	"latchkey/internal/daemon"
	"latchkey/internal/problem"
	"latchkey/internal/version"
)

// environment is what the program has of the world around it.
type environment struct {
	in       io.Reader
	out, err io.Writer
	lookup   func(string) (string, bool)
}

// program is the command line.
type program struct {
	Config string `name:"config-file" short:"c" type:"path" help:"Configuration file (TOML); default is /etc/latchkey/latchkeyd.toml where it is there."`
	kong.Plugins

	Init     initCommand     `cmd:"" help:"Make the data folder and the key files of a new installation."`
	Serve    serveCommand    `cmd:"" help:"Run the service."`
	Import   importCommand   `cmd:"" help:"Import cardholders or cards from a CSV file."`
	Card     cardCommand     `cmd:"" help:"Commands for one card."`
	Holder   holderCommand   `cmd:"" help:"Commands for one cardholder."`
	Audit    auditCommand    `cmd:"" help:"Check or export the audit trail."`
	Keys     keysCommand     `cmd:"" help:"The unlocking keys and what seals them: status, verify, rewrap, reconcile, import."`
	Releases releasesCommand `cmd:"" help:"Stop and start the release of unlocking keys."`
	Messages messagesCommand `cmd:"" help:"What became of emails and text messages."`
	Face     faceCommand     `cmd:"" help:"Commands for faces and profile photos."`
	Trust    trustCommand    `cmd:"" help:"The certificates of cards: authorities, CRLs, OCSP."`
	Show     configCommand   `cmd:"" name:"config" help:"Print the effective configuration, secrets hidden."`
	Demo     demoCommand     `cmd:"" help:"Try Latchkey on this computer: service, inbox, a locked card in software, the application."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// shared is what commands get.
type shared struct {
	environment
	load func() (*config.Config, error)
}

// run runs the program and gives its exit code: 0, 1 for a fault, 2 for a
// command line that is not right.
func run(ctx context.Context, args []string, e environment) int {
	flags := config.NewFlags()
	p := program{Plugins: kong.Plugins{flags.Struct()}}
	ended := -1
	parser, err := kong.New(&p, kong.Name("latchkeyd"), kong.Description("The service of Latchkey, with which people unlock their smartcards themselves."),
		kong.Writers(e.out, e.err), kong.Exit(func(code int) { ended = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return fail(e, err)
	}
	command, err := parser.Parse(args)
	if ended >= 0 { // help was asked for
		return ended
	}
	if err != nil {
		fmt.Fprintf(e.err, "latchkeyd: %v\n  latchkeyd --help shows what can be given.\n", err)
		return 2
	}
	command.BindTo(ctx, (*context.Context)(nil))
	s := shared{environment: e, load: func() (*config.Config, error) { return config.Load(flags.Values(), e.lookup, p.Config) }}
	err = command.Run(s)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(e.err, "latchkeyd: stopped before it was done. It can be started again.")
		return 1
	}
	if err != nil {
		return fail(e, err)
	}
	return 0
}

// fail says what went wrong, with its code and what to do next.
func fail(e environment, err error) int {
	p := problem.From(err)
	fmt.Fprintf(e.err, "%s %s\n  %s\n  %s\n", p.Code, p.Title, p.What(), p.Next)
	if p.Cause != nil && p.Detail == "" {
		fmt.Fprintf(e.err, "  (%v)\n", p.Cause)
	}
	return 1
}

func (s shared) logger(c *config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // Validate has refused any other
	}
	o := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(s.err, o))
	}
	return slog.New(slog.NewTextHandler(s.err, o))
}

// open gives a command the database and what belongs to it. A command says
// itself what it did: of the log it shows what is wrong, or all where
// log_level is debug.
func (s shared) open(ctx context.Context, suffix string) (*daemon.Base, error) {
	c, err := s.load()
	if err != nil {
		return nil, err
	}
	if c.LogLevel == "info" {
		c.LogLevel = "warn"
	}
	return daemon.Open(ctx, c, s.logger(c), suffix)
}

type initCommand struct{}

func (initCommand) Run(s shared) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	public, err := daemon.Init(c)
	if err != nil {
		return err
	}
	kek := ""
	if c.KeyProvider == config.KeysFile {
		kek = fmt.Sprintf("  %s  seals everything in the database. Without it nothing can be read: keep a copy in a safe place.\n", c.KeyPath())
	}
	_, err = fmt.Fprintf(s.out, `Made the key files of a new installation:
%s  %s  signs what applications accept.
For the applications' configuration:
  service_key = %q
`, kek, c.SigningKeyPath(), base64.StdEncoding.EncodeToString(public))
	return err
}

type serveCommand struct{}

func (serveCommand) Run(ctx context.Context, s shared) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	return daemon.Run(ctx, c, s.logger(c), nil)
}

type configCommand struct{}

// Run prints what is in effect even where it is not right, and then says what
// is not.
func (configCommand) Run(s shared) error {
	c, err := s.load()
	if c == nil {
		return err
	}
	return errors.Join(c.Print(s.out), err)
}

type versionCommand struct{}

func (versionCommand) Run(s shared) error {
	_, err := fmt.Fprintln(s.out, "latchkeyd", version.String())
	return err
}
