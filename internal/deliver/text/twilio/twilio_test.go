package twilio_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/deliver/text/twilio"
	"latchkey/internal/problem"
)

const (
	account  = "ACb0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
	key      = "SKc1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"
	token    = "auth-token-of-the-account"
	callback = "https://unlock.example.org/callbacks/text?by=twilio"
)

var now = time.Unix(1e9, 0)

func good() twilio.Options {
	return twilio.Options{Account: account, Key: key, Secret: "hunter2", AuthToken: token, From: "Latchkey", Callback: callback,
		Now: func() time.Time { return now }}
}

func TestOptions(t *testing.T) {
	if _, err := twilio.New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*twilio.Options){
		"no account":             func(o *twilio.Options) { o.Account = "" },
		"a key for an account":   func(o *twilio.Options) { o.Account = key },
		"an account for a key":   func(o *twilio.Options) { o.Key = account },
		"no secret":              func(o *twilio.Options) { o.Secret = "" },
		"nothing to prove it by": func(o *twilio.Options) { o.Key, o.AuthToken, o.Callback = "", "", "" },
		"no sender":              func(o *twilio.Options) { o.From = "" },
		"receipts unproven":      func(o *twilio.Options) { o.AuthToken = "" },
		"receipts without TLS":   func(o *twilio.Options) { o.Callback = "http://unlock.example.org/" },
		"no https":               func(o *twilio.Options) { o.BaseURL = "http://api.example.org" },
	} {
		o := good()
		spoil(&o)
		_, err := twilio.New(o)
		if problem.CodeOf(err) != problem.ConfigInvalid || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSenders(t *testing.T) {
	s, err := texttest.StartTwilio()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const messaging = "MGd2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2"
	for name, c := range map[string]struct {
		change func(*twilio.Options)
		sender string
		want   string
		parts  int
	}{
		"a number":            {func(*twilio.Options) {}, "", "+447700900999", 1},
		"the account's token": {func(o *twilio.Options) { o.Key, o.Secret = "", "" }, "", "+447700900999", 1},
		"the message's":       {func(*twilio.Options) {}, "Kent RA", "Kent RA", 1},
		"a messaging service": {func(o *twilio.Options) { o.From = messaging }, "", messaging, 0},
	} {
		o := s.Options("")
		c.change(&o)
		p, err := twilio.New(o)
		if err != nil {
			t.Fatal(err)
		}
		sent, err := p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x", Sender: c.sender})
		caught := s.Messages()
		if err != nil || sent.Parts != c.parts || caught[len(caught)-1].Sender != c.want {
			t.Errorf("%s: %+v, %v, %+v", name, sent, err, caught[len(caught)-1])
		}
	}
}

// TestErrors are codes that the stand-in does not give by itself.
func TestErrors(t *testing.T) {
	for body, want := range map[string]text.Error{
		`{"code":21211,"status":400}`: {Kind: text.Impossible, Code: "21211"},
		`{"code":21614,"status":400}`: {Kind: text.Impossible, Code: "21614"},
		`{"code":21635,"status":400}`: {Kind: text.Impossible, Code: "21635"},
		`{"code":21408,"status":400}`: {Kind: text.Refused, Code: "21408"},
		`{"code":21612,"status":400}`: {Kind: text.Refused, Code: "21612"},
		`{"code":21606,"status":400}`: {Kind: text.Refused, Code: "21606"},
		`{"code":20005,"status":400}`: {Kind: text.Refused, Code: "20005"},
		`{"code":21611,"status":400}`: {Kind: text.Away, Code: "21611"},
		`{"code":14107,"status":400}`: {Kind: text.Away, Code: "14107"},
		`{"message":"+447700900123"}`: {Kind: text.Refused, Code: "http-400"},
		`nonsense`:                    {Kind: text.Refused, Code: "http-400"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(body))
		}))
		o := good()
		o.BaseURL = s.URL
		p, err := twilio.New(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x"})
		s.Close()
		var e *text.Error
		want.Provider = "twilio"
		if !errors.As(err, &e) || *e != want {
			t.Errorf("%s: %+v", body, err)
		}
	}
}

// TestFailedAtOnce is a message that was made and has failed in the same breath.
func TestFailedAtOnce(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"sid":"SM1","status":"failed","error_code":30001,"num_segments":"1"}`))
	}))
	defer s.Close()
	o := good()
	o.BaseURL = s.URL
	p, err := twilio.New(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Send(t.Context(), text.Message{To: "+447700900123", Body: "x"})
	var e *text.Error
	if !errors.As(err, &e) || e.Kind != text.Away || e.Code != "30001" {
		t.Errorf("%+v", err)
	}
}

// TestSignature is an example whose signature was made with OpenSSL's HMAC, not
// with ours.
func TestSignature(t *testing.T) {
	form := url.Values{"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"}}
	got := base64.StdEncoding.EncodeToString(twilio.Sign("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form))
	if want := "RSOYDt4T1cUTdK1PDd93/VVr8B8="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func status(change func(url.Values)) url.Values {
	form := url.Values{"AccountSid": {account}, "MessageSid": {"SM1"}, "MessageStatus": {"delivered"}, "To": {"+447700900123"}, "Empty": {""}}
	change(form)
	return form
}

func call(signature, query string, form url.Values) *http.Request {
	// As it comes from a proxy: another host, no TLS.
	r := httptest.NewRequest(http.MethodPost, "http://10.0.0.7:8080/callbacks/text?"+query, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Twilio-Signature", signature)
	return r
}

const called = "https://unlock.example.org/callbacks/text?by=twilio&reference=ref"

func TestForgedReceipts(t *testing.T) {
	p, err := twilio.New(good())
	if err != nil {
		t.Fatal(err)
	}
	form := status(func(url.Values) {})
	foreign := status(func(f url.Values) { f.Set("AccountSid", "ACff") })
	for name, c := range map[string]struct {
		signature string
		query     string
		form      url.Values
		good      bool
	}{
		"the genuine one":      {texttest.TwilioSignature(called, form), "by=twilio&reference=ref", form, true},
		"signed with the port": {texttest.TwilioSignature(strings.Replace(called, ".org/", ".org:443/", 1), form), "by=twilio&reference=ref", form, true},
		"no signature":         {"", "by=twilio&reference=ref", form, false},
		"not base64":           {"?", "by=twilio&reference=ref", form, false},
		"another token":        {base64.StdEncoding.EncodeToString(twilio.Sign("x", called, form)), "by=twilio&reference=ref", form, false},
		"no token":             {base64.StdEncoding.EncodeToString(twilio.Sign("", called, form)), "by=twilio&reference=ref", form, false},
		"another reference":    {texttest.TwilioSignature(called, form), "by=twilio&reference=other", form, false},
		"another port":         {texttest.TwilioSignature(strings.Replace(called, ".org/", ".org:8443/", 1), form), "by=twilio&reference=ref", form, false},
		"a parameter more":     {texttest.TwilioSignature(called, form), "by=twilio&reference=ref", status(func(f url.Values) { f.Set("x", "y") }), false},
		"another state":        {texttest.TwilioSignature(called, form), "by=twilio&reference=ref", status(func(f url.Values) { f.Set("MessageStatus", "failed") }), false},
		"of another account":   {texttest.TwilioSignature(called, foreign), "by=twilio&reference=ref", foreign, false},
	} {
		got, err := p.Receive(call(c.signature, c.query, c.form))
		if c.good != (err == nil) || !c.good && !errors.Is(err, text.ErrNotAuthentic) || c.good != (len(got) == 1) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	r := call(texttest.TwilioSignature(called, form), "by=twilio&reference=ref", form)
	r.Method = http.MethodGet
	if _, err := p.Receive(r); !errors.Is(err, text.ErrNotAuthentic) {
		t.Errorf("a GET: %v", err)
	}
	o := good()
	o.Callback = ""
	if p, err = twilio.New(o); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Receive(call(texttest.TwilioSignature(called, form), "by=twilio&reference=ref", form)); !errors.Is(err, text.ErrNotAuthentic) {
		t.Errorf("where none is expected: %v", err)
	}
}

func TestReadReceipt(t *testing.T) {
	p, err := twilio.New(good())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(url.Values)
		state  text.State
		reason string
		err    error
	}{
		"delivered":     {func(url.Values) {}, text.StateDelivered, "", nil},
		"read":          {func(f url.Values) { f.Set("MessageStatus", "read") }, text.StateDelivered, "", nil},
		"sent":          {func(f url.Values) { f.Set("MessageStatus", "sent") }, text.StateSent, "", nil},
		"undelivered":   {func(f url.Values) { f.Set("MessageStatus", "undelivered"); f.Set("ErrorCode", "30003") }, text.StateFailed, "30003", nil},
		"failed":        {func(f url.Values) { f.Set("MessageStatus", "failed") }, text.StateFailed, "failed", nil},
		"canceled":      {func(f url.Values) { f.Set("MessageStatus", "canceled"); f.Set("ErrorCode", "+447700900123") }, text.StateFailed, "canceled", nil},
		"queued":        {func(f url.Values) { f.Set("MessageStatus", "queued") }, "", "", nil},
		"no state":      {func(f url.Values) { f.Del("MessageStatus") }, "", "", text.ErrMalformed},
		"no identifier": {func(f url.Values) { f.Del("MessageSid") }, "", "", text.ErrMalformed},
	} {
		form := status(c.change)
		got, err := p.Receive(call(texttest.TwilioSignature(called, form), "by=twilio&reference=ref", form))
		want := text.Receipt{Provider: "twilio", ID: "SM1", Reference: "ref", State: c.state, Reason: c.reason, At: now}
		if !errors.Is(err, c.err) || len(got) == 1 != (c.state != "") || len(got) == 1 && got[0] != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzReceive(f *testing.F) {
	p, err := twilio.New(good())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("MessageSid=SM1&MessageStatus=delivered&AccountSid="+account, "reference=ref", true)
	f.Add("%zz", "a=%zz", true)
	f.Add("MessageSid=SM1&MessageSid=SM2&MessageStatus=failed", "", false)
	f.Fuzz(func(t *testing.T, body, query string, sign bool) {
		r := httptest.NewRequest(http.MethodPost, "/callbacks/text", strings.NewReader(body))
		r.URL.RawQuery = query
		form, bad := url.ParseQuery(body)
		if sign && bad == nil {
			address := url.URL{Scheme: "https", Host: "unlock.example.org", Path: "/callbacks/text", RawQuery: query}
			r.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(twilio.Sign(token, address.String(), form)))
		}
		got, err := p.Receive(r)
		if !sign && err == nil {
			t.Fatalf("%q was taken unsigned", body)
		}
		if sign && bad == nil && form.Get("AccountSid") == account && errors.Is(err, text.ErrNotAuthentic) {
			t.Fatalf("%q is signed and was not taken", body)
		}
		for _, r := range got {
			if err != nil || r.ID == "" || r.State == "" {
				t.Fatalf("%+v, %v", r, err)
			}
		}
	})
}
