package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"latchkey/internal/card/emulator"
	"latchkey/internal/card/iso7816"
	"latchkey/internal/card/vpcd"
)

type runCommand struct {
	Family string `default:"piv" enum:"piv,yubikey,gids,openpgp,iso7816" help:"What a new card is: ${enum}. A yubikey has PIV and OpenPGP; iso7816 is what a profile says."`
	Vpcd   string `default:"127.0.0.1:35963" help:"Address of the virtual reader." placeholder:"HOST:PORT"`
	State  string `required:"" help:"File that the card keeps its state in; made where it is not there." placeholder:"FILE"`
	Locked bool   `help:"The card's PIN is blocked."`

	PIN       string   `group:"A new card" default:"123456" help:"PIN of a new card."`
	PUK       string   `group:"A new card" default:"12345678" help:"PUK of a new card."`
	PINTries  int      `group:"A new card" name:"pin-tries" default:"3" help:"Tries of the PIN."`
	PUKTries  int      `group:"A new card" name:"puk-tries" default:"3" help:"Tries of the PUK, admin PIN or resetting code."`
	Plain     bool     `group:"A new card" help:"Without YubiKey's metadata, serial number and version."`
	Alg       string   `group:"A new card" default:"p256" enum:"p256,p384,rsa2048,ed25519" help:"Algorithm of its keys: ${enum} (ed25519: OpenPGP alone; GIDS cards always have RSA)."`
	Serial    uint32   `group:"A new card" help:"Serial number; random where not given."`
	GUID      string   `group:"A new card" name:"guid" help:"GUID, or identifier of a GIDS card, in hexadecimal; random where not given."`
	CACert    string   `group:"A new card" name:"ca-cert" type:"existingfile" help:"Issuer's certificate (PEM)."`
	CAKey     string   `group:"A new card" name:"ca-key" type:"existingfile" help:"Issuer's key (PEM)."`
	No9e      bool     `group:"A new card" name:"no-9e" help:"Without a card authentication key."`
	History   bool     `group:"A new card" help:"Refuses the PIN that it has as a new one."`
	RefusePIN []string `group:"A new card" name:"refuse-pin" help:"Refuses this PIN as a new one (repeatable)." placeholder:"PIN"`

	Firmware    string `group:"A new YubiKey" placeholder:"VERSION" help:"Version of its firmware (default 5.4.3)."`
	PUKDisabled bool   `group:"A new YubiKey" name:"puk-disabled" help:"Its PUK was blocked on purpose, as its minidriver does."`

	AdminKey     string `group:"A new GIDS card" placeholder:"HEX" help:"Administration key, 24 bytes."`
	ExternalOnly bool   `group:"A new GIDS card" help:"Refuses mutual authentication."`
	Blank        bool   `group:"A new GIDS card" help:"As from the factory, for gids-tool --initialize."`

	AdminPIN      string `group:"A new OpenPGP card" name:"admin-pin" default:"12345678" help:"Admin PIN (PW3)."`
	ResettingCode string `group:"A new OpenPGP card" help:"Resetting code; none is set where not given." placeholder:"CODE"`
	KDF           bool   `group:"A new OpenPGP card" name:"kdf" help:"Its PINs are derived before they are presented."`
	WrongAnswers  string `group:"A new OpenPGP card" enum:",count,alike" default:"" help:"What it says to a wrong PIN: count (63Cx), alike (6982, and when blocked too)."`

	Profile     string `group:"A new ISO 7816 card" default:"generic-puk" help:"Name or file of its profile." placeholder:"PROFILE"`
	EmptyCounts bool   `group:"A new ISO 7816 card" help:"Takes an empty VERIFY for a wrong try."`

	Delay      time.Duration `group:"Faults" help:"Wait before each answer."`
	TearAfter  []int         `group:"Faults" help:"Taken out after the Nth command, its answer lost (repeatable)." placeholder:"N"`
	TearBefore []int         `group:"Faults" help:"Taken out before the Nth command (repeatable)." placeholder:"N"`
	Answer     []string      `group:"Faults" help:"Answer commands of an INS with a status word (repeatable)." placeholder:"INS=SW"`
	BackAfter  time.Duration `group:"Faults" default:"1500ms" help:"How long the card stays out; 0 for good."`
}

func (c runCommand) Run(ctx context.Context, s streams) error {
	faults, err := c.faults()
	if err != nil {
		return err
	}
	card, err := c.card()
	if err != nil {
		return err
	}
	if c.Locked {
		if err := card.Lock(); err != nil {
			return err
		}
	}
	card.SetFaults(faults)
	log := slog.New(slog.NewTextHandler(s.err, nil))
	first := true
	return vpcd.Serve(ctx, c.Vpcd, card, vpcd.Options{BackAfter: c.BackAfter, Log: log, Ready: func() {
		if first {
			fmt.Fprintf(s.out, "The card %s is in the reader at %s.\n", card.State().Identifier(), c.Vpcd)
		}
		first = false
	}})
}

// maxTries is the most tries that a status word 63Cx can tell.
const maxTries = 15

// card takes up the card of the state file, or makes a new one.
func (c runCommand) card() (*emulator.Card, error) {
	if exists(c.State) {
		return emulator.Load(c.State)
	}
	if min(c.PINTries, c.PUKTries) < 1 || max(c.PINTries, c.PUKTries) > maxTries {
		return nil, fmt.Errorf("--pin-tries and --puk-tries: want 1 to %d", maxTries)
	}
	o := emulator.Options{Family: c.Family, Serial: c.Serial, Plain: c.Plain, Firmware: c.Firmware, PIN: c.PIN, PUK: c.PUK,
		PINTries: c.PINTries, PUKTries: c.PUKTries, PUKDisabled: c.PUKDisabled, Algorithm: c.Alg, NoCardAuth: c.No9e,
		History: c.History, RefusePINs: c.RefusePIN, ExternalOnly: c.ExternalOnly, Blank: c.Blank,
		AdminPIN: c.AdminPIN, ResettingCode: c.ResettingCode, KDF: c.KDF, Answers: c.WrongAnswers}
	profiles, err := iso7816.Load(c.Profile)
	if err != nil {
		return nil, err
	}
	o.Profile, o.EmptyCounts = &profiles[0], c.EmptyCounts
	if o.GUID, err = guid(c.GUID); err != nil {
		return nil, err
	}
	if c.AdminKey != "" {
		if o.AdminKey, err = hex.DecodeString(c.AdminKey); err != nil {
			return nil, errors.New("--admin-key: want 24 bytes in hexadecimal")
		}
	}
	if (c.CACert == "") != (c.CAKey == "") {
		return nil, errors.New("give both --ca-cert and --ca-key, or neither")
	}
	if c.CACert != "" {
		pair, err := tls.LoadX509KeyPair(c.CACert, c.CAKey)
		if err != nil {
			return nil, fmt.Errorf("issuer: %w", err)
		}
		signer, ok := pair.PrivateKey.(crypto.Signer)
		if !ok {
			return nil, errors.New("issuer: the key cannot sign")
		}
		if o.Issuer, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("issuer: %w", err)
		}
		o.IssuerKey = signer
	}
	return emulator.Create(c.State, o)
}

// faults turns the flags into what goes wrong.
func (c runCommand) faults() (emulator.Faults, error) {
	answers := map[byte][]byte{}
	for _, a := range c.Answer {
		name, text, _ := strings.Cut(a, "=")
		ins, insErr := hex.DecodeString(name)
		sw, swErr := hex.DecodeString(text)
		if insErr != nil || swErr != nil || len(ins) != 1 || len(sw) != 2 {
			return nil, fmt.Errorf("--answer %s: want an INS and a status word in hexadecimal, such as 2C=6983", a)
		}
		answers[ins[0]] = sw
	}
	return func(n int, command []byte) emulator.Fault {
		f := emulator.Fault{Delay: c.Delay, TearAfter: slices.Contains(c.TearAfter, n), TearBefore: slices.Contains(c.TearBefore, n)}
		if len(command) > 1 {
			f.Answer = answers[command[1]]
		}
		return f
	}, nil
}
