// Package smpp sends text messages to a message centre by the Short Message
// Peer to Peer protocol 3.4, bound as a transceiver.
//
// Texts go as GSM-7 (data_coding 0, one octet for each septet, as nearly every
// message centre's default alphabet is) or UCS-2 (data_coding 8). What came of a
// message is told in deliver_sm over the same connection.
package smpp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/problem"
)

// Name of this provider.
const Name = "smpp"

// Options of a message centre.
type Options struct {
	Address  string           // "host:port"
	TLS      bool             // TLS from the first byte; without it only a loopback or a private network is safe
	CAFile   string           // certificate authorities (PEM) beside the system's; "" for none
	SystemID string           // at most 15 characters
	Password string           // at most 8 characters (SMPP 3.4 section 5.2.2)
	Sender   string           // number or alphanumeric; "" is the message centre's default
	Payload  bool             // long messages in one message_payload instead of parts with a header
	Now      func() time.Time // nil is time.Now
}

const (
	bindTimeout   = 10 * time.Second // to connect and be let in
	answerTimeout = 10 * time.Second // for one part of a message
	enquireEvery  = 30 * time.Second // of silence: SMPP 3.4 section 4.11
	windowSize    = 10               // requests on the way at a time

	firstPause, longestPause = time.Second, time.Minute // between attempts to connect
)

// SMPP is one message centre. It connects when the first message is sent or
// receipts are asked for, and again whenever the connection was lost.
type SMPP struct {
	o    Options
	dial func(ctx context.Context) (net.Conn, error)

	binding chan struct{} // held while connecting
	stop    chan struct{} // closed by Close
	keeper  sync.Once
	kept    sync.WaitGroup

	mu     sync.Mutex
	link   *link // nil while not bound
	closed bool

	telling sync.Mutex // one receipt at a time; guards took
	took    func(text.Receipt)
}

// New makes the provider. It does not connect yet. Error:
// problem.ConfigInvalid; it shows no secret.
func New(o Options) (*SMPP, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &SMPP{o: o, binding: make(chan struct{}, 1), stop: make(chan struct{})}
	if err := s.check(); err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("smpp: %w", err))
	}
	return s, nil
}

func (s *SMPP) check() error {
	o := s.o
	host, _, err := net.SplitHostPort(o.Address)
	switch {
	case err != nil || host == "":
		return errors.New("the address is not host:port")
	case o.SystemID == "" || len(o.SystemID) > 15 || !ascii(o.SystemID):
		return errors.New("the system identifier is not 1 to 15 characters of ASCII")
	case len(o.Password) > 8 || !ascii(o.Password):
		return errors.New("the password is not up to 8 characters of ASCII")
	case o.CAFile != "" && !o.TLS:
		return errors.New("certificate authorities are of no use without TLS")
	}
	if _, err := source(o.Sender); err != nil {
		return err
	}
	plain := &net.Dialer{Timeout: bindTimeout, KeepAlive: 30 * time.Second}
	s.dial = func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, "tcp", o.Address) }
	if !o.TLS {
		return nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return fmt.Errorf("certificate authorities: %w", err)
		}
		if conf.RootCAs, err = x509.SystemCertPool(); err != nil {
			conf.RootCAs = x509.NewCertPool()
		}
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate", o.CAFile)
		}
	}
	secure := &tls.Dialer{NetDialer: plain, Config: conf}
	s.dial = func(ctx context.Context) (net.Conn, error) { return secure.DialContext(ctx, "tcp", o.Address) }
	return nil
}

// ascii says whether s is printable ASCII: the library leaves out the end of
// any other string, and with it the rest of the request makes no sense.
func ascii(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// Name implements text.Provider.
func (s *SMPP) Name() string { return Name }

// Receipts implements text.Listener. A receipt that is told is acknowledged
// when took returns.
func (s *SMPP) Receipts(took func(text.Receipt)) {
	s.telling.Lock()
	s.took = took
	s.telling.Unlock()
	if took != nil {
		s.keep()
	}
}

// tell hands on a receipt; false where nobody takes it.
func (s *SMPP) tell(r text.Receipt) bool {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.took == nil {
		return false
	}
	s.took(r)
	return true
}

var errClosed = errors.New("the provider is closed")

// bound gives the connection, made anew where there is none.
func (s *SMPP) bound(ctx context.Context) (*link, error) {
	select {
	case s.binding <- struct{}{}:
		defer func() { <-s.binding }()
	case <-ctx.Done():
		return nil, &text.Error{Provider: Name, Kind: text.Away, Code: "unreachable", Err: ctx.Err()}
	}
	s.mu.Lock()
	l, closed := s.link, s.closed
	s.mu.Unlock()
	if closed {
		return nil, &text.Error{Provider: Name, Kind: text.Away, Code: "closed", Err: errClosed}
	}
	if l != nil && l.alive() {
		return l, nil
	}
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, &text.Error{Provider: Name, Kind: text.Away, Code: "unreachable", Err: err}
	}
	l, err = bind(ctx, conn, s.o, s.deliver)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		l.close(errClosed)
		return nil, &text.Error{Provider: Name, Kind: text.Away, Code: "closed", Err: errClosed}
	}
	s.link = l
	return l, nil
}

// keep makes sure, once and for all, that there is a connection: receipts come
// at any time.
func (s *SMPP) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.keeper.Do(func() {
		s.kept.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			s.kept.Go(func() { // ends what is under way when the provider is closed
				select {
				case <-s.stop:
					cancel()
				case <-ctx.Done():
				}
			})
			s.keeping(ctx)
		})
	})
}

func (s *SMPP) keeping(ctx context.Context) {
	pause := firstPause
	for {
		l, err := s.bound(ctx)
		if err == nil {
			pause = firstPause
			select {
			case <-l.done:
			case <-ctx.Done():
				return
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, longestPause)
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Close unbinds and closes the connection. Messages on the way are unclear.
func (s *SMPP) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	l := s.link
	s.mu.Unlock()
	close(s.stop)
	if l != nil {
		l.unbind()
	}
	s.kept.Wait()
	return nil
}

var _ text.Listener = (*SMPP)(nil)
