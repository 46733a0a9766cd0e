// Package mailcatcher is a mail server that delivers nothing: it keeps what it
// gets in memory. For the demo and for tests, on
// loopback alone.
package mailcatcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

const (
	keptMessages = 200
	maxMessage   = 1 << 20
	idle         = 30 * time.Second
)

// Message is one message that was caught.
type Message struct {
	At      time.Time
	From    string
	To      []string
	Subject string
	Text    string // the plain text part
	Raw     []byte // RFC 5322
}

// Code is the 6-digit security code in the message, "" where there is none.
func (m Message) Code() string {
	return strings.ReplaceAll(regexp.MustCompile(`\b\d{3} \d{3}\b`).FindString(m.Text), " ", "")
}

// Catcher is a running mail server.
type Catcher struct {
	server   *smtp.Server
	listener net.Listener
	served   chan error

	mu       sync.Mutex
	messages []Message
	changed  chan struct{}
}

// Start listens on a free loopback port.
func Start() (*Catcher, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("catch mail: %w", err)
	}
	c := &Catcher{listener: l, served: make(chan error, 1), changed: make(chan struct{})}
	c.server = smtp.NewServer(c)
	c.server.Domain = "localhost"
	c.server.ReadTimeout, c.server.WriteTimeout = idle, idle
	c.server.MaxMessageBytes, c.server.MaxRecipients = maxMessage, 10
	c.server.ErrorLog = discard{}
	go func() { c.served <- c.server.Serve(l) }()
	return c, nil
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// Host and port of the server.
func (c *Catcher) Address() *net.TCPAddr { return c.listener.Addr().(*net.TCPAddr) }

// Close ends the server.
func (c *Catcher) Close() error {
	err := c.server.Close()
	_ = c.listener.Close() // a server that has not begun to serve does not know it yet
	if served := <-c.served; !errors.Is(served, smtp.ErrServerClosed) && !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Messages are those that were caught, the oldest first.
func (c *Catcher) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Message(nil), c.messages...)
}

// Wait gives the newest message that fits, as soon as there is one.
func (c *Catcher) Wait(ctx context.Context, fits func(Message) bool) (Message, error) {
	for {
		c.mu.Lock()
		changed := c.changed
		for i := len(c.messages) - 1; i >= 0; i-- {
			if fits(c.messages[i]) {
				defer c.mu.Unlock()
				return c.messages[i], nil
			}
		}
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("wait for a message: %w", ctx.Err())
		}
	}
}

// NewSession implements smtp.Backend.
func (c *Catcher) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{catcher: c}, nil }

type session struct {
	catcher *Catcher
	message Message
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.message = Message{From: from}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.message.To = append(s.message.To, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := s.message
	m.At, m.Raw = time.Now(), raw
	if m.Subject, m.Text, err = parse(raw); err != nil {
		return &smtp.SMTPError{Code: 554, Message: "the message cannot be read"}
	}
	c := s.catcher
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, m)
	if over := len(c.messages) - keptMessages; over > 0 {
		c.messages = c.messages[over:]
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

func (s *session) Reset()        { s.message = Message{} }
func (s *session) Logout() error { return nil }

// parse gives subject and plain text of a message.
func parse(raw []byte) (subject, text string, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "", "", err
	}
	if subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return "", "", err
	}
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return "", "", err
	}
	if !strings.HasPrefix(kind, "multipart/") {
		text, err = decode(m.Header.Get("Content-Transfer-Encoding"), m.Body)
		return subject, text, err
	}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for {
		p, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return subject, "", nil
		}
		if err != nil {
			return "", "", err
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/plain") {
			text, err := decode(p.Header.Get("Content-Transfer-Encoding"), p)
			return subject, text, err
		}
	}
}

func decode(encoding string, r io.Reader) (string, error) {
	if strings.EqualFold(encoding, "quoted-printable") {
		r = quotedprintable.NewReader(r)
	}
	raw, err := io.ReadAll(r)
	return strings.ReplaceAll(string(raw), "\r\n", "\n"), err
}
