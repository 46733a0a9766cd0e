// Package texttest has stand-ins for the providers of text messages: servers on
// loopback that ask for the same credentials, take the same requests, give the
// same answers, refuse in the same words and call back in the same way.
//
// They are written after the published contracts and deliver nothing.
package texttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"latchkey/internal/deliver/text"
)

// Message is one message that a stand-in took.
type Message struct {
	ID        string // that the stand-in gave it: text.Sent.ID
	To        string // E.164
	Body      string
	Sender    string // as it was asked for, "" where it was not
	Reference string // "" where the provider does not take one
	Parts     int
	At        time.Time // when it was taken
}

// Fault is a way for the next requests to fail.
type Fault int

// The faults. Each stand-in does them as its provider would.
const (
	Down         Fault = iota + 1 // a fault of its own, 503
	Throttled                     // too many requests, 429
	Unauthorised                  // the credentials are not taken
	Rejected                      // this account may not send there
	BadNumber                     // no such number
	Silent                        // takes the message and breaks off without an answer
	Garbled                       // a success that makes no sense
	Endless                       // a success that does not end
	Redirected                    // another address, which has the same stand-in behind it
)

// Caught is what all stand-ins have in common.
type Caught interface {
	// Messages are those that were taken, the oldest first.
	Messages() []Message
	// Wait gives the newest message that fits, as soon as there is one.
	Wait(ctx context.Context, fits func(Message) bool) (Message, error)
	// FailNext lets the next n requests fail.
	FailNext(n int, f Fault)
	// Receipt tells what came of a message, as the provider would. An error
	// where nobody took it, or the provider has no receipts.
	Receipt(ctx context.Context, id string, state text.State) error
	Close() error
}

// box holds the messages of one stand-in and the faults to come.
type box struct {
	mu       sync.Mutex
	messages []Message
	changed  chan struct{}
	fault    Fault
	passing  int // before the first that fails
	failing  int
	next     int
}

// Messages implements Caught.
func (b *box) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Message(nil), b.messages...)
}

// Wait implements Caught.
func (b *box) Wait(ctx context.Context, fits func(Message) bool) (Message, error) {
	for {
		b.mu.Lock()
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		for i := len(b.messages) - 1; i >= 0; i-- {
			if fits(b.messages[i]) {
				defer b.mu.Unlock()
				return b.messages[i], nil
			}
		}
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("wait for a text message: %w", ctx.Err())
		}
	}
}

// FailNext implements Caught.
func (b *box) FailNext(n int, f Fault) { b.FailLater(0, n, f) }

// FailLater is FailNext after some requests that do not fail.
func (b *box) FailLater(pass, n int, f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passing, b.failing, b.fault = pass, n, f
}

// failNow is the fault for this request, 0 for none.
func (b *box) failNow() Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failing == 0 {
		return 0
	}
	if b.passing > 0 {
		b.passing--
		return 0
	}
	b.failing--
	return b.fault
}

// number counts what is given an identifier.
func (b *box) number() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.next
}

func (b *box) catch(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.At = time.Now()
	b.messages = append(b.messages, m)
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

func (b *box) byID(id string) (Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if m.ID == id {
			return m, nil
		}
	}
	return Message{}, fmt.Errorf("no message %q was taken", id)
}

// web is a stand-in that speaks HTTP.
type web struct {
	box
	server   *http.Server
	listener net.Listener
	served   chan struct{}
}

// start serves handle on a free loopback port. Faults that are the same for
// everybody who speaks HTTP are done here.
func (w *web) start(handle http.HandlerFunc) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("stand in for a provider: %w", err)
	}
	w.listener, w.served = l, make(chan struct{})
	w.server = &http.Server{Handler: handle, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(w.served)
		_ = w.server.Serve(l) // ends with Close
	}()
	return nil
}

// URL of the stand-in, without a path.
func (w *web) URL() string { return "http://" + w.listener.Addr().String() }

// Close ends the stand-in.
func (w *web) Close() error {
	err := w.server.Close()
	<-w.served
	return err
}

// common does a fault that is none of the provider's own; false where it is.
func (w *web) common(rw http.ResponseWriter, r *http.Request, f Fault, success int) bool {
	switch f {
	case Garbled:
		rw.WriteHeader(success)
		_, _ = rw.Write([]byte("<html>welcome to the wireless network</html>"))
	case Endless:
		rw.WriteHeader(success)
		for chunk := make([]byte, 32<<10); r.Context().Err() == nil; {
			if _, err := rw.Write(chunk); err != nil {
				return true
			}
		}
	case Redirected:
		http.Redirect(rw, r, r.URL.String()+"?again", http.StatusTemporaryRedirect)
	case Silent:
		panic(http.ErrAbortHandler) // closes the connection
	default:
		return false
	}
	return true
}

// post calls back and takes any success for an answer.
func post(ctx context.Context, to string, header http.Header, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		err = fmt.Errorf("the callback was answered %d", resp.StatusCode)
	}
	return errors.Join(err, resp.Body.Close())
}

// identifier is a made up UUID that tells the count.
func identifier(n int) string {
	return "740e5834-3a29-46b4-9a6f-" + fmt.Sprintf("%012s", strconv.Itoa(n))
}
