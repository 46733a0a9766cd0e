package deliver

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"latchkey/internal/api"
	"latchkey/internal/store/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	username = "latchkey"
	password = "correct horse"
	sam      = "sam.taylor@example.org"
)

// asked is when the codes of these tests were asked for.
var asked = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

func codeMail() CodeMessage {
	return CodeMessage{To: To{Method: methodEmail, Address: sam}, Name: "Sam Taylor", Code: "123456", Workstation: "ward-7", AskedAt: asked, ValidUntil: asked.Add(15 * time.Minute)}
}

// post is a mail server. What it does wrong is set before it is used.
type post struct {
	server   *smtp.Server
	listener *door
	ca       string // file of the authority of its certificate
	// refuse answers a step ("MAIL", "RCPT", "DATA") of a message to an address.
	refuse func(step, to string) error

	mu  sync.Mutex
	got []letter
}

// letter is what arrived, and how.
type letter struct {
	from, to, user string
	tls            bool
	raw            []byte
}

// open starts a mail server on loopback.
func open(t testing.TB, change func(*post)) *post {
	t.Helper()
	p := &post{refuse: func(string, string) error { return nil }}
	p.server = smtp.NewServer(p)
	p.server.Domain, p.server.ErrorLog = "localhost", quietLog{}
	p.server.TLSConfig, p.ca = certificate(t)
	p.server.AllowInsecureAuth = true // whether ours does it is what is tested
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p.listener = &door{Listener: l, knocks: make(chan struct{}, 100)}
	if change != nil {
		change(p)
	}
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(p.listener) }()
	t.Cleanup(func() {
		if err := errors.Join(p.server.Close(), ended(l.Close()), ended(<-served)); err != nil {
			t.Error(err)
		}
	})
	return p
}

func ended(err error) error {
	if errors.Is(err, smtp.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

type quietLog struct{}

func (quietLog) Printf(string, ...any) {}
func (quietLog) Println(...any)        {}

// certificate is one for 127.0.0.1 with the file of its authority.
func certificate(t testing.TB) (*tls.Config, string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	return &tls.Config{Certificates: s.TLS.Certificates}, path
}

// door is a listener that can be shut: who comes then is turned away, as by a
// server that is not running, and the port stays ours.
type door struct {
	net.Listener
	knocks chan struct{} // one for each that was turned away

	mu   sync.Mutex
	shut bool
}

func (d *door) set(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
}

func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return c, err
		}
		d.mu.Lock()
		shut := d.shut
		d.mu.Unlock()
		if !shut {
			return c, nil
		}
		_ = c.Close()
		d.knocks <- struct{}{}
	}
}

// tlsListener is p's for SecurityTLS.
func tlsListener(p *post) net.Listener {
	return tls.NewListener(p.listener.Listener, p.server.TLSConfig)
}

// options are for a mailer that sends through p.
func (p *post) options() MailerOptions {
	return MailerOptions{Host: "127.0.0.1", Port: p.listener.Addr().(*net.TCPAddr).Port, Security: SecuritySTARTTLS, CAFile: p.ca,
		Hello: "latchkey.example.org", From: "Smartcards <no-reply@example.org>", ReplyTo: "ra@example.org", Organisation: "St Example's",
		Contact: api.Contact{Name: "Registration Authority", Phone: "020 7946 0000", Email: "ra@example.org", Hours: "Always"},
		Now:     func() time.Time { return asked }}
}

func (p *post) letters() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]letter(nil), p.got...)
}

func mailer(t testing.TB, o MailerOptions) *Mailer {
	t.Helper()
	m, err := NewMailer(o)
	must(t, err)
	return m
}

// NewSession implements smtp.Backend.
func (p *post) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &visit{post: p, conn: c}, nil
}

type visit struct {
	post   *post
	conn   *smtp.Conn
	letter letter
	user   string
}

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, secret string) error {
		if user != username || secret != password {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "authentication failed"}
		}
		v.user = user
		return nil
	}), nil
}

func (v *visit) Mail(from string, _ *smtp.MailOptions) error {
	_, secured := v.conn.TLSConnectionState()
	v.letter = letter{from: from, user: v.user, tls: secured}
	return v.post.refuse("MAIL", "")
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	v.letter.to += to
	return v.post.refuse("RCPT", to)
}

func (v *visit) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := v.post.refuse("DATA", v.letter.to); err != nil {
		return err
	}
	v.letter.raw = raw
	v.post.mu.Lock()
	defer v.post.mu.Unlock()
	v.post.got = append(v.post.got, v.letter)
	return nil
}

func (v *visit) Reset()        { v.letter = letter{} }
func (v *visit) Logout() error { return nil }
