// Package demo runs everything on one computer: the service on a temporary
// SQLite, catchers of mail and text messages with an inbox page, a locked card in software behind a
// real PC/SC service where one can run, and the application. At its end nothing
// is left behind.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"latchkey/internal/api"
	"latchkey/internal/app"
	"latchkey/internal/app/browser"
	"latchkey/internal/card"
	"latchkey/internal/card/emulator"
	"latchkey/internal/card/pcsc"
	"latchkey/internal/card/pcsctest"
	"latchkey/internal/card/vpcd"
	"latchkey/internal/config"
	"latchkey/internal/daemon"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/deliver/text/webhook"
	"latchkey/internal/doctor"
	"latchkey/internal/journey"
	"latchkey/internal/mailcatcher"
	"latchkey/internal/version"
)

// Email and Mobile are the demonstration holder's address and number.
const (
	Email  = "sam.taylor@example.org"
	Mobile = "07700 900123"
)

const (
	staffNumber  = "1001"
	holderName   = "Sam Taylor"
	organisation = "St Example's Hospital"
	backAfter    = 1500 * time.Millisecond
)

// Options of Run.
type Options struct {
	NoBrowser bool // print the address, open nothing
	Out       io.Writer
	Log       *slog.Logger
	// Ready is called with the demo's address; nil: it is printed.
	Ready func(address string)
}

// demo is what runs, in the order in which it is started.
type demo struct {
	o       Options
	folder  string
	config  *config.Config
	mail    *mailcatcher.Catcher
	texts   *texttest.Webhook
	card    *emulator.Card
	readers card.Readers
	stack   *pcsctest.Service // nil: the card is in this process
	how     string            // how the card is reached, in words
	errs    chan error
}

// Run runs the demo until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &demo{o: o, errs: make(chan error, 4)}
	if d.folder, err = os.MkdirTemp("", "latchkey-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.folder)) }()
	if d.mail, err = mailcatcher.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.mail.Close()) }()
	if d.texts, err = texttest.StartWebhook(nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.texts.Close()) }()
	if err := d.putCard(ctx); err != nil {
		return err
	}
	if d.stack != nil {
		defer func() { err = errors.Join(err, d.stack.Close()) }()
	}
	serving, stopService := context.WithCancel(context.WithoutCancel(ctx))
	address, stopped, err := d.service(ctx, serving)
	if err != nil {
		stopService()
		return err
	}
	defer func() {
		stopService()
		err = errors.Join(err, <-stopped)
	}()
	return d.application(ctx, address)
}

// putCard makes a locked card and puts it into a reader: of a PC/SC service of
// our own where one can run, else in this process.
func (d *demo) putCard(ctx context.Context) error {
	var err error
	if d.card, err = emulator.Create(filepath.Join(d.folder, "card.json"), emulator.Options{PIN: "246813", PUK: "73519264"}); err != nil {
		return err
	}
	if err := d.card.Lock(); err != nil {
		return err
	}
	d.stack, err = pcsctest.Run()
	if err != nil {
		d.o.Log.Info("the card is in this process", "why", err)
		readers := emulator.NewReaders("Demo reader")
		readers.Insert("Demo reader", d.card)
		d.readers, d.how = readers, "in this program, because no smartcard service can be started here"
		return nil
	}
	d.readers, d.how = pcsc.New(pcsc.Options{Socket: d.stack.Socket, Log: d.o.Log}), "behind a real smartcard service (pcscd) and a virtual reader"
	go func() {
		if err := vpcd.Serve(ctx, d.stack.VPCDAddress, d.card, vpcd.Options{BackAfter: backAfter, Log: d.o.Log}); err != nil {
			d.errs <- fmt.Errorf("card: %w", err)
		}
	}()
	return nil
}

// service sets the service up and runs it. stopped tells how it ended.
func (d *demo) service(ctx, serving context.Context) (address string, stopped <-chan error, err error) {
	c := config.Default()
	c.Data, c.Listen = filepath.Join(d.folder, "service"), "127.0.0.1:0"
	c.Organisation, c.ContactName = organisation, "Registration Authority, "+organisation
	c.ContactPhone, c.ContactEmail, c.ContactHours = "020 7946 0000", "ra@example.org", "Monday to Friday, 8am to 6pm"
	c.SMTPHost, c.SMTPPort, c.SMTPSecurity = "127.0.0.1", d.mail.Address().Port, "none"
	c.MailFrom, c.MailDir = organisation+" <no-reply@example.org>", os.Getenv("LATCHKEYD_MAIL_DIR")
	gateway := d.texts.Options("")
	c.TextProviders, c.WebhookURL, c.WebhookSecret, c.WebhookSender = []string{webhook.Name}, gateway.URL, gateway.Secret, gateway.Sender
	c.FaceEnabled = true
	d.config = c
	if _, err := daemon.Init(c); err != nil {
		return "", nil, err
	}
	if err := d.enrol(ctx); err != nil {
		return "", nil, err
	}
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- daemon.Run(serving, c, d.o.Log, func(a string) { ready <- a }) }()
	select {
	case a := <-ready:
		return "http://" + a, done, nil
	case err := <-done:
		return "", nil, err
	}
}

// enrol imports the holder and the card as an operator would.
func (d *demo) enrol(ctx context.Context) (err error) {
	base, err := daemon.Open(ctx, d.config, d.o.Log, "-import")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	holders := fmt.Sprintf("staff_number,name,email,mobile\n%s,%s,%s,%s\n", staffNumber, holderName, Email, Mobile)
	if _, err := base.Directory.ImportCardholders(ctx, base.DB, strings.NewReader(holders), importOptions()); err != nil {
		return err
	}
	cards, err := d.card.State().ExportCSV(staffNumber, true)
	if err != nil {
		return err
	}
	_, err = base.Directory.ImportCards(ctx, base.DB, strings.NewReader(cards), importOptions())
	return err
}

// application runs the pages and the demo's own page until ctx ends.
func (d *demo) application(ctx context.Context, service string) error {
	client, err := api.NewClient(service, nil)
	if err != nil {
		return err
	}
	pins, err := api.NewPins("", filepath.Join(d.folder, "known_services"))
	if err != nil {
		return err
	}
	name, _ := os.Hostname() // shown to people only
	engine := journey.New(ctx, journey.Options{Readers: d.readers, Service: client, Pins: pins, Workstation: name,
		Application: version.Version, Log: d.o.Log})
	defer engine.Close(context.WithoutCancel(ctx))
	go engine.Meet(ctx)
	check := &doctor.Doctor{Readers: d.readers, Service: client, Pins: pins, Workstation: name, Application: version.String(),
		Now: time.Now, Browser: browser.Name}
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, app.Config{Engine: engine, Doctor: check.Run, Organisation: organisation, Version: version.Version,
			Out: d.o.Out, Log: d.o.Log, Ready: func(launch, origin string) { d.errs <- d.landing(ctx, launch, origin) }})
	}()
	for {
		select {
		case err := <-ended:
			return err
		case err := <-d.errs:
			if err != nil {
				return err
			}
		}
	}
}

// landing serves the demo's own page, prints its address and opens it.
func (d *demo) landing(ctx context.Context, launch, origin string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: d.pages(launch, origin), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = web.Serve(l) }() // it ends with Close
	context.AfterFunc(ctx, func() { _ = web.Close() })
	address := "http://" + l.Addr().String() + "/"
	if d.o.Ready != nil {
		d.o.Ready(address)
		return nil
	}
	fmt.Fprintf(d.o.Out, "\nThe Latchkey demo is ready: %s\nPress Ctrl-C to end it. Nothing stays behind.\n\n", address)
	if d.o.NoBrowser {
		return nil
	}
	window, err := browser.Open(ctx, address, os.Geteuid() == 0)
	if err != nil {
		d.o.Log.Debug("no browser was opened", "err", err)
		return nil
	}
	context.AfterFunc(ctx, func() { _ = window.Close() })
	return nil
}
