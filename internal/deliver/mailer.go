package deliver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"latchkey/internal/api"
	"latchkey/internal/problem"
)

// Security of the connection to the mail server.
const (
	SecuritySTARTTLS = "starttls" // RFC 3207, required
	SecurityTLS      = "tls"      // RFC 8314
	SecurityNone     = "none"     // for a server on this machine
)

// MailerOptions say how messages leave.
type MailerOptions struct {
	Host     string // "" sends nothing: messages go to Dir alone
	Port     int    // 0: 587, or 465 with SecurityTLS
	Security string
	Username string // "" sends without
	Password string
	CAFile   string
	Hello    string
	From     string
	ReplyTo  string
	// Dir is a folder that every message is also written to, one file each
	// (RFC 5322); "" for none.
	Dir          string
	Organisation string
	Contact      api.Contact
	Now          func() time.Time // nil is time.Now
}

// Mailer writes and sends messages.
type Mailer struct {
	o       MailerOptions
	from    *netmail.Address
	options []mail.Option
	words   *words
	dial    mail.DialContextFunc
}

// Names in the records of those who take messages and are no provider of
// package text.
const (
	providerSMTP   = "smtp"
	providerFolder = "folder"
)

const (
	// connectTimeout bounds each wait for the mail server, messageTimeout the
	// whole of one message: less than the queue's sendTimeout.
	connectTimeout = 10 * time.Second
	messageTimeout = 30 * time.Second
	portSTARTTLS   = 587
	portTLS        = 465
)

// NewMailer makes a Mailer. Error: problem.ConfigInvalid.
func NewMailer(o MailerOptions) (*Mailer, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Mailer{o: o, from: &netmail.Address{Name: o.Organisation, Address: "no-reply@localhost"}, dial: (&net.Dialer{}).DialContext}
	var err error
	if o.From != "" {
		if m.from, err = netmail.ParseAddress(o.From); err != nil {
			return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("sender: %w", err))
		}
	}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("folder of messages: %w", err))
		}
	}
	if m.options, err = clientOptions(o); err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, err)
	}
	m.words, err = newWords(o.Organisation, o.Contact)
	return m, err
}

func clientOptions(o MailerOptions) ([]mail.Option, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.Host}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("certificate authorities of the mail server: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.CAFile)
		}
		conf.RootCAs = roots
	}
	port := o.Port
	options := []mail.Option{mail.WithTimeout(connectTimeout), mail.WithTLSConfig(conf), mail.WithoutNoop()}
	switch o.Security {
	case SecurityTLS:
		options, port = append(options, mail.WithSSL()), or(port, portTLS)
	case SecurityNone:
		options, port = append(options, mail.WithTLSPolicy(mail.NoTLS)), or(port, portSTARTTLS)
	default:
		options, port = append(options, mail.WithTLSPolicy(mail.TLSMandatory)), or(port, portSTARTTLS)
	}
	options = append(options, mail.WithPort(port))
	if o.Hello != "" {
		options = append(options, mail.WithHELO(o.Hello))
	}
	if o.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(o.Username), mail.WithPassword(o.Password))
	}
	return options, nil
}

func or(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// SendCode sends a security code.
func (m *Mailer) SendCode(ctx context.Context, c CodeMessage) error {
	return m.send(ctx, c.To.Address, "Your smartcard security code", "code", codeWords{
		Name: oneLine(c.Name), Code: c.Code[:len(c.Code)/2] + " " + c.Code[len(c.Code)/2:],
		Where: where(c.Workstation), When: clock(c.AskedAt), Until: clock(c.ValidUntil)})
}

// SendNotice tells a holder what happens to their card.
func (m *Mailer) SendNotice(ctx context.Context, n NoticeMessage) error {
	subject := "Your smartcard is being unlocked"
	if n.Kind == NoticeUnlocked {
		subject = "Your smartcard has been unlocked"
	}
	return m.send(ctx, n.To.Address, subject, n.Kind, noticeWords{Name: oneLine(n.Name), Where: where(n.Workstation), When: clock(n.At)})
}

func (m *Mailer) send(ctx context.Context, to, subject, template string, data any) error {
	msg, err := m.compose(to, subject, template, data)
	if err != nil {
		return err
	}
	if m.o.Host != "" {
		if err := m.post(ctx, msg); err != nil {
			return err
		}
		if err := m.keep(msg); err != nil {
			return notKept{err}
		}
		return nil
	}
	return m.keep(msg)
}

// post hands a message to the mail server.
func (m *Mailer) post(ctx context.Context, msg *mail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	options := m.options
	if m.o.Security != SecurityTLS {
		options = append(slices.Clip(options), mail.WithDialContextFunc(m.closing(ctx)))
	}
	client, err := mail.NewClient(m.o.Host, options...)
	if err != nil {
		return fmt.Errorf("set up the connection to the mail server: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	// A server that has taken the message and then drops the connection has
	// it: sent again, it would arrive twice.
	if err == nil || msg.IsDelivered() {
		return nil
	}
	if late := ctx.Err(); late != nil {
		err = fmt.Errorf("%w: %w", late, err)
	}
	return fmt.Errorf("send: %w", err)
}

// closing connects, and closes the connection when ctx ends: the client looks
// at no context once it is connected, and leaves the connection open to a
// server that does not greet.
func (m *Mailer) closing(ctx context.Context) mail.DialContextFunc {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		c, err := m.dial(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = c.Close() })
		}
		return c, err
	}
}

// notKept says that a message is on its way but not in the folder of messages.
type notKept struct{ error }

var errAddress = errors.New("the recipient's address is none")

func (m *Mailer) compose(to, subject, template string, data any) (*mail.Msg, error) {
	// The library would take line ends out of it and send to what is left.
	if a, err := netmail.ParseAddress("<" + to + ">"); err != nil || a.Address != to {
		return nil, errAddress
	}
	text, html, err := m.words.render(template, data)
	if err != nil {
		return nil, err
	}
	msg := mail.NewMsg()
	msg.FromMailAddress(m.from)
	msg.ToMailAddress(&netmail.Address{Address: to})
	if m.o.ReplyTo != "" {
		if err := msg.ReplyTo(m.o.ReplyTo); err != nil {
			return nil, fmt.Errorf("reply address: %w", err)
		}
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	msg.SetMessageIDWithValue(strings.ToLower(rand.Text()) + "@" + domain)
	msg.SetDateWithValue(m.o.Now())
	msg.Subject(subject)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 section 5
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetBodyString(mail.TypeTextPlain, text)
	msg.AddAlternativeString(mail.TypeTextHTML, html)
	return msg, nil
}

// keep writes a message to the folder, under its name only when it is whole.
func (m *Mailer) keep(msg *mail.Msg) error {
	if m.o.Dir == "" {
		return nil
	}
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	return keepFile(m.o.Dir, m.o.Now(), ".eml", raw.Bytes())
}

// keepFile writes a message to a folder. Names sort by time.
func keepFile(dir string, at time.Time, suffix string, raw []byte) error {
	f, err := os.CreateTemp(dir, ".message-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err == nil {
		name := at.UTC().Format("20060102T150405.000000000") + "-" + strings.ToLower(rand.Text()[:6]) + suffix
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	return nil
}

// provider names how this mailer sends in the records.
func (m *Mailer) provider() string {
	if m.o.Host == "" {
		return providerFolder
	}
	return providerSMTP
}

// permanent says that sending again will not help: the server refused the
// message for good (RFC 5321 section 4.2.1, 5yz).
func permanent(err error) bool {
	var failed *mail.SendError
	return errors.Is(err, errAddress) || errors.As(err, &failed) && !failed.IsTemp() && failed.ErrorCode() >= 500
}

// nameless is a failure for the log: a mail server's refusal would name the
// address.
func nameless(err error) string {
	var failed *mail.SendError
	if errors.As(err, &failed) {
		return failed.Reason.String()
	}
	return err.Error()
}

// reason is a failure without anything of the message or the address.
func reason(err error) string {
	var failed *mail.SendError
	switch {
	case errors.Is(err, errAddress):
		return errAddress.Error()
	case errors.As(err, &failed) && failed.ErrorCode() != 0:
		return fmt.Sprintf("the mail server answered %d", failed.ErrorCode())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "the mail server takes too long"
	}
	return "the mail server cannot be used"
}
