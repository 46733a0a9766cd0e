package texttest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/notify"
	"latchkey/internal/deliver/text/smpp"
	"latchkey/internal/deliver/text/sns"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/deliver/text/twilio"
	"latchkey/internal/deliver/text/webhook"
)

// one is a provider with its stand-in.
type one struct {
	provider text.Provider
	caught   texttest.Caught
	receipts func() []text.Receipt
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// callbacks serves our side: what the service does with a callback.
func callbacks(t *testing.T, provider *text.Receiver) (address string, receipts func() []text.Receipt) {
	var mu sync.Mutex
	var got []text.Receipt
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		in, err := (*provider).Receive(r)
		switch {
		case errors.Is(err, text.ErrNotAuthentic):
			w.WriteHeader(http.StatusForbidden)
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
		}
		got = append(got, in...)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + l.Addr().String() + "/callbacks/text", func() []text.Receipt {
		mu.Lock()
		defer mu.Unlock()
		return append([]text.Receipt(nil), got...)
	}
}

func close(t *testing.T, c interface{ Close() error }) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// all are the providers by name.
var all = map[string]func(t *testing.T) one{
	notify.Name: func(t *testing.T) one {
		var r text.Receiver
		callback, receipts := callbacks(t, &r)
		s := must(texttest.StartNotify(nil))(t)
		close(t, s)
		s.CallBack(callback)
		r = must(notify.New(s.Options()))(t)
		return one{r, s, receipts}
	},
	twilio.Name: func(t *testing.T) one {
		var r text.Receiver
		callback, receipts := callbacks(t, &r)
		s := must(texttest.StartTwilio())(t)
		close(t, s)
		r = must(twilio.New(s.Options(callback)))(t)
		return one{r, s, receipts}
	},
	sns.Name: func(t *testing.T) one {
		s := must(texttest.StartSNS())(t)
		close(t, s)
		return one{must(sns.New(t.Context(), s.Options()))(t), s, nil}
	},
	webhook.Name: func(t *testing.T) one {
		var r text.Receiver
		callback, receipts := callbacks(t, &r)
		s := must(texttest.StartWebhook(nil))(t)
		close(t, s)
		r = must(webhook.New(s.Options(callback)))(t)
		return one{r, s, receipts}
	},
	smpp.Name: func(t *testing.T) one {
		s := must(texttest.StartSMPP(nil))(t)
		close(t, s)
		p := must(smpp.New(s.Options()))(t)
		close(t, p)
		var mu sync.Mutex
		var got []text.Receipt
		p.Receipts(func(r text.Receipt) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r)
		})
		return one{p, s, func() []text.Receipt {
			mu.Lock()
			defer mu.Unlock()
			return append([]text.Receipt(nil), got...)
		}}
	},
}

const someone = "+447700900123"

var bodies = map[string]struct {
	text  string
	parts int
}{
	"GSM-7":                 {"Your security code for unlocking your smartcard is 123456", 1},
	"extended":              {"Cost: €5 {net} [~10%] ^ | \\ @£$", 1},
	"Welsh":                 {"Eich cod diogelwch yw 123456. Peidiwch â’i rannu ŵ ŷ", 1},
	"emoji":                 {"🔑 123456", 1},
	"long GSM-7":            {strings.Repeat("a", 152) + "€" + strings.Repeat("b", 20), 2},
	"long UCS-2":            {strings.Repeat("ŵ", 66) + "🔑" + strings.Repeat("y", 10), 2},
	"as long as one can be": {strings.Repeat("x", 160), 1},
}

func TestEveryProviderSends(t *testing.T) {
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			if o.provider.Name() != name {
				t.Errorf("is called %q", o.provider.Name())
			}
			for what, body := range bodies {
				m := text.Message{To: someone, Body: body.text, Reference: "ref " + what}
				sent, err := o.provider.Send(t.Context(), m)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				caught := o.caught.Messages()
				got := caught[len(caught)-1]
				if sent.Provider != name || sent.ID == "" || sent.ID != got.ID {
					t.Errorf("%s: sent %+v, caught %+v", what, sent, got)
				}
				if got.To != m.To || got.Body != m.Body || got.Parts != body.parts {
					t.Errorf("%s: caught %+v", what, got)
				}
				if sent.Parts != 0 && sent.Parts != body.parts {
					t.Errorf("%s: in %d parts, want %d", what, sent.Parts, body.parts)
				}
				if name != sns.Name && name != smpp.Name && got.Reference != m.Reference {
					t.Errorf("%s: the reference is %q", what, got.Reference)
				}
			}
		})
	}
}

// want is what a fault means to those who send.
type want struct {
	kind  text.Kind
	code  string
	after time.Duration
}

var faults = map[string]map[texttest.Fault]want{
	notify.Name: {
		texttest.Down:         {text.Away, "Exception", 7 * time.Second},
		texttest.Throttled:    {text.Away, "TooManyRequestsError", 0},
		texttest.Unauthorised: {text.Refused, "AuthError", 0},
		texttest.Rejected:     {text.Refused, "BadRequestError", 0},
		texttest.BadNumber:    {text.Impossible, "ValidationError", 0},
		texttest.Silent:       {text.Unclear, "no-answer", 0},
		texttest.Garbled:      {text.Unclear, "garbled", 0},
		texttest.Endless:      {text.Unclear, "garbled", 0},
		texttest.Redirected:   {text.Refused, "http-307", 0},
	},
	twilio.Name: {
		texttest.Down:         {text.Away, "20503", 0},
		texttest.Throttled:    {text.Away, "20429", 2 * time.Second},
		texttest.Unauthorised: {text.Refused, "20003", 0},
		texttest.Rejected:     {text.Refused, "21610", 0},
		texttest.BadNumber:    {text.Impossible, "21211", 0},
		texttest.Silent:       {text.Unclear, "no-answer", 0},
		texttest.Garbled:      {text.Unclear, "garbled", 0},
		texttest.Endless:      {text.Unclear, "garbled", 0},
		texttest.Redirected:   {text.Refused, "http-307", 0},
	},
	sns.Name: {
		texttest.Down:         {text.Away, "InternalError", 0},
		texttest.Throttled:    {text.Away, "Throttling", 0},
		texttest.Unauthorised: {text.Refused, "InvalidClientTokenId", 0},
		texttest.Rejected:     {text.Refused, "OptedOut", 0},
		texttest.BadNumber:    {text.Refused, "InvalidParameter", 0},
		texttest.Silent:       {text.Unclear, "no-answer", 0},
		texttest.Garbled:      {text.Unclear, "garbled", 0},
		texttest.Endless:      {text.Unclear, "garbled", 0},
		texttest.Redirected:   {text.Refused, "http-307", 0},
	},
	webhook.Name: {
		texttest.Down:         {text.Away, "http-503", 0},
		texttest.Throttled:    {text.Away, "too-many", 11 * time.Second},
		texttest.Unauthorised: {text.Refused, "signature", 0},
		texttest.Rejected:     {text.Refused, "country", 0},
		texttest.BadNumber:    {text.Impossible, "number", 0},
		texttest.Silent:       {text.Unclear, "no-answer", 0},
		texttest.Garbled:      {text.Unclear, "garbled", 0},
		texttest.Endless:      {text.Unclear, "garbled", 0},
		texttest.Redirected:   {text.Refused, "http-307", 0},
	},
	smpp.Name: {
		texttest.Down:         {text.Away, "ESME_RSYSERR", 0},
		texttest.Throttled:    {text.Away, "ESME_RTHROTTLED", 0},
		texttest.Unauthorised: {text.Away, "ESME_RINVBNDSTS", 0},
		texttest.Rejected:     {text.Refused, "0x00000401", 0},
		texttest.BadNumber:    {text.Impossible, "ESME_RINVDSTADR", 0},
		texttest.Silent:       {text.Unclear, "no-answer", 0},
		texttest.Garbled:      {text.Unclear, "garbled", 0},
		texttest.Endless:      {text.Unclear, "no-answer", 0},
	},
}

func TestWhatAFailureMeans(t *testing.T) {
	const body = "the words of the message"
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			for fault, want := range faults[name] {
				o.caught.FailNext(1, fault)
				sent, err := o.provider.Send(t.Context(), text.Message{To: someone, Body: body, Reference: "ref"})
				var e *text.Error
				if !errors.As(err, &e) || sent != (text.Sent{}) {
					t.Fatalf("fault %d: %+v, %v", fault, sent, err)
				}
				if e.Provider != name || e.Kind != want.kind || e.Code != want.code || e.RetryAfter != want.after {
					t.Errorf("fault %d: %+v, want %+v", fault, *e, want)
				}
				silent(t, err, body)
				// It is over with that one request.
				if _, err := o.provider.Send(t.Context(), text.Message{To: someone, Body: body}); err != nil {
					t.Fatalf("after fault %d: %v", fault, err)
				}
			}
			if n := len(o.caught.Messages()); n != len(faults[name]) {
				t.Errorf("%d messages were taken, want %d", n, len(faults[name]))
			}
		})
	}
}

// silent makes sure that an error, and everything behind it, shows nothing.
func silent(t *testing.T, err error, body string) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, said := range []string{e.Error(), fmt.Sprintf("%v", e)} {
			for _, secret := range []string{someone[1:], body, "ACb0b0", "secret", "whsec", "pa55word", "token-of", "Bearer"} {
				if strings.Contains(said, secret) {
					t.Errorf("%q shows %q", said, secret)
				}
			}
		}
	}
}

func TestNobodyThere(t *testing.T) {
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			if err := o.caught.Close(); err != nil {
				t.Fatal(err)
			}
			if centre, ok := o.caught.(*texttest.SMPP); ok { // one that was never bound
				p := must(smpp.New(centre.Options()))(t)
				close(t, p)
				o.provider = p
			}
			_, err := o.provider.Send(t.Context(), text.Message{To: someone, Body: "x"})
			var e *text.Error
			if !errors.As(err, &e) || e.Kind != text.Away || e.Code != "unreachable" {
				t.Errorf("nobody there: %+v", err)
			}
			silent(t, err, "the words")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err = o.provider.Send(ctx, text.Message{To: someone, Body: "x"}); !errors.As(err, &e) || e.Kind != text.Away {
				t.Errorf("given up before: %+v", err)
			}
		})
	}
}

func TestNotAMessage(t *testing.T) {
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			for want, m := range map[string]text.Message{
				"number": {To: "07700900123", Body: "x"},
				"body":   {To: someone},
				"length": {To: someone, Body: strings.Repeat("x", 1531)},
			} {
				_, err := o.provider.Send(t.Context(), m)
				var e *text.Error
				if !errors.As(err, &e) || e.Kind != text.Impossible || e.Code != want || e.Provider != name {
					t.Errorf("%s: %+v", want, err)
				}
			}
			if n := len(o.caught.Messages()); n != 0 {
				t.Errorf("%d were taken", n)
			}
		})
	}
}

func TestReceipts(t *testing.T) {
	reasons := map[string]string{notify.Name: "permanent-failure", twilio.Name: "30003", webhook.Name: "absent-subscriber", smpp.Name: "UNDELIV-075"}
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := start(t)
			sent, err := o.provider.Send(t.Context(), text.Message{To: someone, Body: strings.Repeat("long ", 40), Reference: "ref-1"})
			if err != nil {
				t.Fatal(err)
			}
			if name == sns.Name {
				if err := o.caught.Receipt(t.Context(), sent.ID, text.StateDelivered); err == nil {
					t.Error("there are receipts")
				}
				return
			}
			want := []text.State{text.StateSent, text.StateDelivered, text.StateFailed}
			if name == notify.Name {
				want = want[1:]
			}
			for _, state := range want {
				if err := o.caught.Receipt(t.Context(), sent.ID, state); err != nil {
					t.Fatalf("%s: %v", state, err)
				}
			}
			got := o.receipts()
			if len(got) != len(want) {
				t.Fatalf("%d receipts, want %d: %+v", len(got), len(want), got)
			}
			for i, r := range got {
				if r.Provider != name || r.ID != sent.ID || r.State != want[i] || r.At.IsZero() {
					t.Errorf("%+v, want %s of %s", r, want[i], sent.ID)
				}
				if name != smpp.Name && r.Reference != "ref-1" {
					t.Errorf("the reference is %q", r.Reference)
				}
				if r.State == text.StateFailed && r.Reason != reasons[name] {
					t.Errorf("the reason is %q, want %q", r.Reason, reasons[name])
				}
			}
		})
	}
}
