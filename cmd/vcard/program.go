package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"latchkey/internal/card/emulator"
	"latchkey/internal/version"
)

// program is the command line.
type program struct {
	Run     runCommand     `cmd:"" default:"withargs" help:"Put the card into a virtual reader (the default)."`
	Show    showCommand    `cmd:"" help:"Show what the card remembers, its PIN and PUK too: it is for tests."`
	Export  exportCommand  `cmd:"" help:"Print the card as a file for latchkeyd import cards."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// run runs the program and gives its exit code: 0, 1 for a fault, 2 for a
// command line that is not right.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var p program
	ended := -1
	parser, err := kong.New(&p, kong.Name("vcard"), kong.Description("A smartcard in software for the virtual reader vpcd."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { ended = code }), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(stderr, "vcard:", err)
		return 1
	}
	command, err := parser.Parse(args)
	if ended >= 0 { // help was asked for
		return ended
	}
	if err != nil {
		fmt.Fprintf(stderr, "vcard: %v\n  vcard --help shows what can be given.\n", err)
		return 2
	}
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(streams{stdout, stderr}); err != nil {
		fmt.Fprintln(stderr, "vcard:", err)
		return 1
	}
	return 0
}

type showCommand struct {
	State string `required:"" help:"File that the card keeps its state in." placeholder:"FILE"`
	JSON  bool   `help:"As JSON."`
}

// shown is what a card remembers, without its private keys.
type shown struct {
	Family   string        `json:"family"`
	GUID     string        `json:"guid"` // of PIV
	Serial   uint32        `json:"serial"`
	YubiKey  bool          `json:"yubikey"`
	Firmware string        `json:"firmware,omitempty"`
	PIN      string        `json:"pin"`
	PUK      string        `json:"puk"`
	PINTries int           `json:"pin_tries"`
	PUKTries int           `json:"puk_tries"`
	Keys     []string      `json:"keys"`
	GIDS     *shownGIDS    `json:"gids,omitempty"`
	OpenPGP  *shownOpenPGP `json:"openpgp,omitempty"`
	ISO      *shownISO     `json:"iso7816,omitempty"`
}

type shownISO struct {
	Profile  string `json:"profile"`
	ID       string `json:"id"`
	PIN      string `json:"pin"`
	PUK      string `json:"puk"`
	PINTries int    `json:"pin_tries"`
	PUKTries int    `json:"puk_tries"`
}

type shownGIDS struct {
	ID       string `json:"id"`
	PIN      string `json:"pin"`
	PINTries int    `json:"pin_tries"`
	AdminKey string `json:"administration_key"`
}

type shownOpenPGP struct {
	ID            string          `json:"id"`
	PIN           emulator.Secret `json:"pin"`
	AdminPIN      emulator.Secret `json:"admin_pin"`
	ResettingCode emulator.Secret `json:"resetting_code"`
	PINTries      int             `json:"pin_tries"`
	AdminTries    int             `json:"admin_pin_tries"`
	CodeTries     int             `json:"resetting_code_tries"`
}

func show(state emulator.State) shown {
	v := shown{Family: state.Family, Serial: state.Serial, YubiKey: state.YubiKey, Firmware: state.Firmware}
	if p := state.PIV; p != nil {
		v.GUID, v.PIN, v.PUK, v.PINTries, v.PUKTries = p.GUID, p.PIN, p.PUK, p.PINTries, p.PUKTries
		for _, k := range p.Keys {
			v.Keys = append(v.Keys, k.Slot)
		}
	}
	if g := state.GIDS; g != nil {
		v.GIDS = &shownGIDS{g.Identifier(), g.PIN, g.PINTries, g.AdminKey}
	}
	if o := state.OpenPGP; o != nil {
		v.OpenPGP = &shownOpenPGP{o.Identifier(), o.PIN, o.AdminPIN, o.ResettingCode, o.PINTries, o.AdminTries, o.CodeTries}
	}
	if i := state.ISO; i != nil {
		v.ISO = &shownISO{i.Profile.Name, i.Number, i.PIN, i.PUK, i.PINTries, i.PUKTries}
	}
	return v
}

func (c showCommand) Run(s streams) error {
	state, err := emulator.LoadState(c.State)
	if err != nil {
		return err
	}
	v := show(state)
	if c.JSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	_, err = io.WriteString(s.out, v.text())
	return err
}

// text is a line for each thing.
func (v shown) text() string {
	var b strings.Builder
	pin := func(value fmt.Stringer, tries int) {
		locked := ""
		if tries == 0 {
			locked = " (locked)"
		}
		fmt.Fprintf(&b, "PIN        %s, %d tries left%s\n", value, tries, locked)
	}
	if v.GUID != "" {
		fmt.Fprintf(&b, "GUID       %s\nserial     %d\n", v.GUID, v.Serial)
		pin(plain(v.PIN), v.PINTries)
		fmt.Fprintf(&b, "PUK        %s, %d tries left\nkeys       %s\n", v.PUK, v.PUKTries, strings.Join(v.Keys, " "))
	}
	if g := v.GIDS; g != nil {
		fmt.Fprintf(&b, "GIDS card  %s\n", g.ID)
		pin(plain(g.PIN), g.PINTries)
		fmt.Fprintf(&b, "admin key  %s\n", g.AdminKey)
	}
	if o := v.OpenPGP; o != nil {
		fmt.Fprintf(&b, "OpenPGP    %s\n", o.ID)
		pin(o.PIN, o.PINTries)
		fmt.Fprintf(&b, "admin PIN  %s, %d tries left\nreset code %s, %d tries left\n", o.AdminPIN, o.AdminTries, o.ResettingCode, o.CodeTries)
	}
	if i := v.ISO; i != nil {
		fmt.Fprintf(&b, "card       %s of profile %s\n", i.ID, i.Profile)
		pin(plain(i.PIN), i.PINTries)
		fmt.Fprintf(&b, "PUK        %s, %d tries left\n", i.PUK, i.PUKTries)
	}
	return b.String()
}

// plain is a text that prints as it is.
type plain string

func (p plain) String() string { return string(p) }

type exportCommand struct {
	State       string `required:"" help:"File that the card keeps its state in." placeholder:"FILE"`
	StaffNumber string `required:"" help:"Staff number of the cardholder."`
	NoHeader    bool   `help:"Leave the header line out."`
}

func (c exportCommand) Run(s streams) error {
	state, err := emulator.LoadState(c.State)
	if err != nil {
		return err
	}
	text, err := state.ExportCSV(c.StaffNumber, !c.NoHeader)
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.out, text)
	return err
}

type versionCommand struct{}

func (versionCommand) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, "vcard", version.String())
	return err
}

// guid is 16 bytes in hex, with or without hyphens.
func guid(text string) (out [16]byte, err error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if text != "" && (err != nil || len(raw) != len(out)) {
		return out, errors.New("--guid: want 16 bytes in hexadecimal")
	}
	copy(out[:], raw)
	return out, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
