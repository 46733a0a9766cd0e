package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/deliver/text/webhook"
	"latchkey/internal/problem"
)

var now = time.Unix(1e9, 0)

func secret(fill string, n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(fill, n)))
}

func good() webhook.Options {
	return webhook.Options{URL: "https://sms.example.org/send", Secret: secret("a", 32), Callback: "https://unlock.example.org/callbacks/webhook",
		Now: func() time.Time { return now }}
}

func TestOptions(t *testing.T) {
	if _, err := webhook.New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*webhook.Options){
		"no address":            func(o *webhook.Options) { o.URL = "" },
		"no TLS":                func(o *webhook.Options) { o.URL = "http://sms.example.org/send" },
		"no secret":             func(o *webhook.Options) { o.Secret = " " },
		"no prefix":             func(o *webhook.Options) { o.Secret = o.Secret[6:] },
		"not base64":            func(o *webhook.Options) { o.Secret = "whsec_hunter2!" },
		"too short":             func(o *webhook.Options) { o.Secret = secret("a", 23) },
		"too long":              func(o *webhook.Options) { o.Secret = secret("a", 65) },
		"one of two":            func(o *webhook.Options) { o.Secret += " hunter2" },
		"receipts without TLS":  func(o *webhook.Options) { o.Callback = "http://unlock.example.org" },
		"receipts without host": func(o *webhook.Options) { o.Callback = "/callbacks" },
	} {
		o := good()
		spoil(&o)
		_, err := webhook.New(o)
		if problem.CodeOf(err) != problem.ConfigInvalid || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "YWFh") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSignature is the example of the specification's own test vectors: a
// signature that was not made here.
func TestSignature(t *testing.T) {
	keys, err := webhook.ParseKeys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	keys.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if got, want := h.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOneEventForOneMessage(t *testing.T) {
	s, err := texttest.StartWebhook(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := webhook.New(s.Options(""))
	if err != nil {
		t.Fatal(err)
	}
	send := func(reference string) string {
		sent, err := p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x", Reference: reference, Sender: "Kent RA"})
		if err != nil {
			t.Fatal(err)
		}
		return sent.ID
	}
	if a, again, b := send("ref.1"), send("ref.1"), send("ref.2"); a != again || a == b {
		t.Errorf("the same message is %s and %s, another %s", a, again, b)
	}
	if a, b := send(""), send(""); a == b {
		t.Error("two without a reference are one")
	}
	if n := len(s.Messages()); n != 4 {
		t.Errorf("%d messages were taken, want 4", n)
	}
	if got := s.Messages()[0].Sender; got != "Kent RA" {
		t.Errorf("the sender is %q", got)
	}
}

func TestRotation(t *testing.T) {
	old, next := secret("a", 24), secret("b", 64)
	both, err := webhook.ParseKeys(old + " " + next)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	both.Sign(h, "id", now, []byte("body"))
	for _, s := range []string{old, next, next + " " + old} {
		keys, err := webhook.ParseKeys(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.Verify(h, now, []byte("body")); err != nil {
			t.Errorf("signed with both, known one: %v", err)
		}
	}
	other, err := webhook.ParseKeys(secret("c", 32))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Verify(h, now, []byte("body")); !errors.Is(err, text.ErrNotAuthentic) {
		t.Errorf("another secret: %v", err)
	}
}

const receipt = `{"type":"text.receipt","timestamp":"2001-09-09T01:46:40Z","data":{"id":"m1","reference":"ref","state":"delivered"}}`

func call(h http.Header, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/callbacks/webhook", strings.NewReader(body))
	r.Header = h
	return r
}

func signed(t testing.TB, id string, at time.Time, body string) http.Header {
	keys, err := webhook.ParseKeys(secret("a", 32))
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	keys.Sign(h, id, at, []byte(body))
	return h
}

func TestForgedReceipts(t *testing.T) {
	p, err := webhook.New(good())
	if err != nil {
		t.Fatal(err)
	}
	change := func(name, value string) http.Header {
		h := signed(t, "rcpt_1", now, receipt)
		if h.Set(name, value); value == "" {
			h.Del(name)
		}
		return h
	}
	genuine := signed(t, "rcpt_1", now, receipt).Get("webhook-signature")
	for name, c := range map[string]struct {
		header http.Header
		body   string
		good   bool
	}{
		"the genuine one":                 {signed(t, "rcpt_1", now, receipt), receipt, true},
		"five minutes old":                {signed(t, "rcpt_1", now.Add(-webhook.Tolerance), receipt), receipt, true},
		"five minutes ahead":              {signed(t, "rcpt_1", now.Add(webhook.Tolerance), receipt), receipt, true},
		"after an unknown scheme":         {change("webhook-signature", "v1a,AAAA v2,AAAA "+genuine), receipt, true},
		"older":                           {signed(t, "rcpt_1", now.Add(-webhook.Tolerance-time.Second), receipt), receipt, false},
		"further ahead":                   {signed(t, "rcpt_1", now.Add(webhook.Tolerance+time.Second), receipt), receipt, false},
		"no signature":                    {change("webhook-signature", ""), receipt, false},
		"no time":                         {change("webhook-timestamp", ""), receipt, false},
		"no identifier":                   {change("webhook-id", ""), receipt, false},
		"another identifier":              {change("webhook-id", "rcpt_2"), receipt, false},
		"another time":                    {change("webhook-timestamp", strconv.FormatInt(now.Unix()+1, 10)), receipt, false},
		"a time that is none":             {change("webhook-timestamp", "1e9"), receipt, false},
		"a time beyond all":               {change("webhook-timestamp", "9223372036854775807"), receipt, false},
		"a time before all":               {change("webhook-timestamp", "-9223372036854775808"), receipt, false},
		"another body":                    {signed(t, "rcpt_1", now, receipt), strings.Replace(receipt, "m1", "m2", 1), false},
		"the signature without a scheme":  {change("webhook-signature", genuine[3:]), receipt, false},
		"the signature as another scheme": {change("webhook-signature", "v1a"+genuine[2:]), receipt, false},
		"an empty signature":              {change("webhook-signature", "v1,"), receipt, false},
		"a dot that moves the border":     {signed(t, "rcpt.1", now, receipt), receipt, false},
	} {
		got, err := p.Receive(call(c.header, c.body))
		if c.good != (err == nil) || !c.good && !errors.Is(err, text.ErrNotAuthentic) || c.good != (len(got) == 1) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestReflected sends us our own request as if it were a receipt: both are
// signed with one secret.
func TestReflected(t *testing.T) {
	p, err := webhook.New(good())
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(webhook.Event[webhook.Outgoing]{Type: webhook.TypeMessage, Timestamp: now, Data: webhook.Outgoing{To: "+447700900123", Body: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Receive(call(signed(t, "msg_1", now, string(body)), string(body))); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReadReceipt(t *testing.T) {
	p, err := webhook.New(good())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		old, new string
		state    text.State
		reason   string
		err      error
	}{
		"delivered":            {"", "", text.StateDelivered, "", nil},
		"sent":                 {`"delivered"`, `"sent"`, text.StateSent, "", nil},
		"failed":               {`"delivered"`, `"failed","reason":"absent"`, text.StateFailed, "absent", nil},
		"failed for a number":  {`"delivered"`, `"failed","reason":"+447700900123 is off"`, text.StateFailed, "failed", nil},
		"another event":        {`text.receipt`, `text.price`, "", "", nil},
		"a state of its own":   {`"delivered"`, `"read"`, "", "", text.ErrMalformed},
		"no identifier":        {`"m1"`, `""`, "", "", text.ErrMalformed},
		"no time":              {`"timestamp"`, `"time"`, "", "", text.ErrMalformed},
		"data of another form": {`"ref"`, `7`, "", "", text.ErrMalformed},
		"not JSON":             {`{`, ``, "", "", text.ErrMalformed},
	} {
		body := strings.Replace(receipt, c.old, c.new, 1)
		got, err := p.Receive(call(signed(t, "rcpt_1", now, body), body))
		want := text.Receipt{Provider: "webhook", ID: "m1", Reference: "ref", State: c.state, Reason: c.reason, At: now.UTC()}
		if !errors.Is(err, c.err) || len(got) == 1 != (c.state != "") || len(got) == 1 && got[0] != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestAnswers are of a gateway that says less, or more, than the contract asks.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"taken, with another success":    {202, `{"id":"m1"}`, "m1"},
		"an identifier is needed":        {200, `{}`, "unclear garbled"},
		"nothing but a status":           {400, ``, "refused http-400"},
		"gone":                           {410, ``, "refused http-410"},
		"out of order":                   {500, `oops`, "away http-500"},
		"what it calls it":               {400, `{"kind":"away","code":"maintenance"}`, "away maintenance"},
		"unclear is not for it to say":   {400, `{"kind":"unclear","code":"x"}`, "refused x"},
		"a code that could be a number":  {422, `{"kind":"impossible","code":"+447700900123"}`, "impossible http-422"},
		"less than no parts":             {200, `{"id":"m1","parts":-3}`, "m1"},
		"a gateway that heard nothing":   {504, ``, "unclear http-504"},
		"an identifier of another shape": {200, `{"id":7}`, "unclear garbled"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		o := good()
		o.URL = s.URL
		p, err := webhook.New(o)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x"})
		s.Close()
		got := sent.ID
		var e *text.Error
		if errors.As(err, &e) {
			got = fmt.Sprintf("%s %s", e.Kind, e.Code)
		}
		if got != c.want || sent.Parts != 0 {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzReceive(f *testing.F) {
	p, err := webhook.New(good())
	if err != nil {
		f.Fatal(err)
	}
	genuine := signed(f, "rcpt_1", now, receipt)
	f.Add("rcpt_1", genuine.Get("webhook-timestamp"), genuine.Get("webhook-signature"), receipt, false)
	f.Add("a.b", "1000000000", "v1, v1,AA== v1a,AA==", "{}", true)
	f.Add("x", "", "", `{"type":"text.receipt","data":{"id":"","state":"sent"}}`, true)
	f.Fuzz(func(t *testing.T, id, timestamp, signature, body string, sign bool) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		if sign {
			h = signed(t, "rcpt_1", now, body)
		}
		got, err := p.Receive(call(h, body))
		forged := !sign && (body != receipt || id != "rcpt_1" || timestamp != genuine.Get("webhook-timestamp"))
		if forged && err == nil {
			t.Fatalf("%q was taken", body)
		}
		if sign && errors.Is(err, text.ErrNotAuthentic) {
			t.Fatalf("%q is signed and was not taken", body)
		}
		for _, r := range got {
			if err != nil || r.ID == "" || r.At.IsZero() || r.State == "" {
				t.Fatalf("%+v, %v", r, err)
			}
		}
	})
}
