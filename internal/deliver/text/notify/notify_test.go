package notify_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/notify"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/problem"
)

const (
	service = "26785a09-ab16-4eb0-8407-a37497a57506"
	secret  = "3d844edf-8d35-48ac-975b-e847b4f122b0"
	token   = "a-token-for-receipts"
)

func good() notify.Options {
	return notify.Options{Key: "name-with-hyphens-" + service + "-" + secret, Template: service, CallbackToken: token,
		Now: func() time.Time { return time.Unix(1e9, 0) }}
}

func TestOptions(t *testing.T) {
	if _, err := notify.New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*notify.Options){
		"no key":                 func(o *notify.Options) { o.Key = "" },
		"no name":                func(o *notify.Options) { o.Key = service + "-" + secret },
		"not a service":          func(o *notify.Options) { o.Key = "name-" + strings.Replace(service, "-", "x", 1) + "-" + secret },
		"not a secret":           func(o *notify.Options) { o.Key = "name-" + service + "-" + strings.Replace(secret, "3", "g", 1) },
		"not joined by a hyphen": func(o *notify.Options) { o.Key = "name-" + service + "x" + secret },
		"no template":            func(o *notify.Options) { o.Template = "" },
		"a sender by name":       func(o *notify.Options) { o.Sender = "Latchkey" },
		"a short token":          func(o *notify.Options) { o.CallbackToken = "123456789012345" },
		"no https":               func(o *notify.Options) { o.BaseURL = "http://api.example.org" },
	} {
		o := good()
		spoil(&o)
		_, err := notify.New(o)
		if problem.CodeOf(err) != problem.ConfigInvalid || strings.Contains(err.Error(), secret[:8]) || strings.Contains(err.Error(), "12345") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClock sends by a clock that is wrong: Notify takes a token for 30 seconds.
func TestClock(t *testing.T) {
	now := time.Unix(1e9, 0)
	s, err := texttest.StartNotify(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for off, kind := range map[time.Duration]text.Kind{30 * time.Second: "", -30 * time.Second: "", 31 * time.Second: text.Refused, -31 * time.Second: text.Refused} {
		o := s.Options()
		o.Now = func() time.Time { return now.Add(off) }
		p, err := notify.New(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x"})
		var e *text.Error
		if errors.As(err, &e); kind == "" && err != nil || kind != "" && (e == nil || e.Kind != kind || e.Code != "AuthError") {
			t.Errorf("%s off: %v", off, err)
		}
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Unix(1e9, 0)
	s, err := texttest.StartNotify(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Limit(2)
	p, err := notify.New(s.Options())
	if err != nil {
		t.Fatal(err)
	}
	send := func() error {
		_, err := p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x"})
		return err
	}
	if err := errors.Join(send(), send()); err != nil {
		t.Fatal(err)
	}
	var e *text.Error
	if err := send(); !errors.As(err, &e) || e.Kind != text.Away || e.Code != "RateLimitError" {
		t.Errorf("the third in a minute: %v", err)
	}
	now = now.Add(time.Minute)
	if err := send(); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

const receipt = `{"id":"740e5834-3a29-46b4-9a6f-16142fde533a","reference":"ref","to":"07700900123","status":"delivered",
"created_at":"2017-05-14T12:15:30.000000Z","completed_at":"2017-05-14T12:15:31.000000Z","sent_at":null,
"notification_type":"sms","template_id":"f33517ff-2a88-4f6e-b855-c550268ce08a","template_version":1}`

func call(authorization, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/callbacks/notify", strings.NewReader(body))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

func TestForgedReceipts(t *testing.T) {
	p, err := notify.New(good())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Receive(call("Bearer "+token, receipt)); err != nil || len(got) != 1 {
		t.Fatalf("the genuine one: %v, %v", got, err)
	}
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer " + token + "x", "Bearer " + token[1:], "bearer " + token, token, "Basic " + token} {
		if got, err := p.Receive(call(authorization, receipt)); !errors.Is(err, text.ErrNotAuthentic) || got != nil {
			t.Errorf("%q: %v, %v", authorization, got, err)
		}
	}
	o := good()
	o.CallbackToken = ""
	if p, err = notify.New(o); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Receive(call("Bearer ", receipt)); !errors.Is(err, text.ErrNotAuthentic) {
		t.Errorf("without a token of ours: %v", err)
	}
}

func TestReadReceipt(t *testing.T) {
	p, err := notify.New(good())
	if err != nil {
		t.Fatal(err)
	}
	id, at := "740e5834-3a29-46b4-9a6f-16142fde533a", time.Date(2017, 5, 14, 12, 15, 31, 0, time.UTC)
	for name, c := range map[string]struct {
		old, new string
		want     text.Receipt
		err      error
	}{
		"as it is":          {"", "", text.Receipt{Provider: "notify", ID: id, Reference: "ref", State: text.StateDelivered, At: at}, nil},
		"permanent":         {`"delivered"`, `"permanent-failure"`, text.Receipt{Provider: "notify", ID: id, Reference: "ref", State: text.StateFailed, Reason: "permanent-failure", At: at}, nil},
		"temporary":         {`"delivered"`, `"temporary-failure"`, text.Receipt{Provider: "notify", ID: id, Reference: "ref", State: text.StateFailed, Reason: "temporary-failure", At: at}, nil},
		"technical":         {`"delivered"`, `"technical-failure"`, text.Receipt{Provider: "notify", ID: id, Reference: "ref", State: text.StateFailed, Reason: "technical-failure", At: at}, nil},
		"no reference":      {`"ref"`, `null`, text.Receipt{Provider: "notify", ID: id, State: text.StateDelivered, At: at}, nil},
		"no time":           {`"2017-05-14T12:15:31.000000Z"`, `null`, text.Receipt{Provider: "notify", ID: id, Reference: "ref", State: text.StateDelivered, At: time.Unix(1e9, 0)}, nil},
		"on the way":        {`"delivered"`, `"sending"`, text.Receipt{}, nil},
		"of an email":       {`"sms"`, `"email"`, text.Receipt{}, nil},
		"no identifier":     {id, "", text.Receipt{}, text.ErrMalformed},
		"not JSON":          {"{", "[", text.Receipt{}, text.ErrMalformed},
		"not a time":        {"2017-05-14T12:15:31.000000Z", "yesterday", text.Receipt{}, text.ErrMalformed},
		"more than allowed": {`"ref"`, `"` + strings.Repeat("x", 65<<10) + `"`, text.Receipt{}, text.ErrMalformed},
	} {
		got, err := p.Receive(call("Bearer "+token, strings.Replace(receipt, c.old, c.new, 1)))
		if !errors.Is(err, c.err) || len(got) > 1 || len(got) == 1 != (c.want != text.Receipt{}) || len(got) == 1 && got[0] != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzReceive(f *testing.F) {
	p, err := notify.New(good())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token, receipt)
	f.Add("", "{}")
	f.Add(token, `{"id":"x","notification_type":"sms","status":"delivered","completed_at":null}`)
	f.Fuzz(func(t *testing.T, given, body string) {
		r := call("", body)
		r.Header["Authorization"] = []string{"Bearer " + given}
		got, err := p.Receive(r)
		if given != token && !errors.Is(err, text.ErrNotAuthentic) {
			t.Fatalf("%q was taken for the token", given)
		}
		for _, r := range got {
			if err != nil || r.ID == "" || r.At.IsZero() || r.State != text.StateDelivered && (r.State != text.StateFailed || r.Reason == "") {
				t.Fatalf("%+v, %v", r, err)
			}
		}
	})
}
