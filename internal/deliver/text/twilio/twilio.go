// Package twilio sends text messages through Twilio: the Messages resource of
// its API 2010-04-01, and its signed status callbacks.
package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/wire"
	"latchkey/internal/problem"
)

// Name of this provider.
const Name = "twilio"

// Options of Twilio.
type Options struct {
	Account   string           // account SID, "AC..."
	Key       string           // API key SID, "SK..."; "" uses the account and its token
	Secret    string           // of the API key
	AuthToken string           // of the account: signs callbacks, and authenticates where Key is ""
	From      string           // a number, an alphanumeric sender or a messaging service ("MG...")
	Callback  string           // our address for receipts, as Twilio shall call it; "" asks for none
	BaseURL   string           // "" is https://api.twilio.com
	Now       func() time.Time // nil is time.Now
}

// Twilio is Twilio's Programmable Messaging.
type Twilio struct {
	o        Options
	callback *url.URL // nil for none
	client   *http.Client
}

const defaultBaseURL = "https://api.twilio.com"

var (
	accountSID = regexp.MustCompile(`^AC[0-9A-Fa-f]{32}$`)
	keySID     = regexp.MustCompile(`^SK[0-9A-Fa-f]{32}$`)
	serviceSID = regexp.MustCompile(`^MG[0-9A-Fa-f]{32}$`)
)

// New makes the provider. Error: problem.ConfigInvalid; it shows no secret.
func New(o Options) (*Twilio, error) {
	if o.BaseURL == "" {
		o.BaseURL = defaultBaseURL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Twilio{o: o, client: wire.NewClient()}
	if err := t.check(); err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("twilio: %w", err))
	}
	t.o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	return t, nil
}

func (t *Twilio) check() error {
	o := t.o
	switch {
	case !accountSID.MatchString(o.Account):
		return errors.New("the account is not an account SID (AC and 32 hexadecimal digits)")
	case o.Key != "" && !keySID.MatchString(o.Key):
		return errors.New("the key is not an API key SID (SK and 32 hexadecimal digits)")
	case o.Key != "" && o.Secret == "":
		return errors.New("the secret of the API key is missing")
	case o.Key == "" && o.AuthToken == "":
		return errors.New("neither an API key nor the account's auth token is given")
	case o.From == "":
		return errors.New("the sender is missing")
	case o.Callback != "" && o.AuthToken == "":
		return errors.New("receipts need the account's auth token, which signs them")
	}
	if _, err := wire.BaseURL(o.BaseURL); err != nil {
		return fmt.Errorf("the address of the API %w", err)
	}
	if o.Callback != "" {
		var err error
		if t.callback, err = wire.BaseURL(o.Callback); err != nil {
			return fmt.Errorf("the address for receipts %w", err)
		}
	}
	return nil
}

// Name implements text.Provider.
func (t *Twilio) Name() string { return Name }

// Send implements text.Provider.
func (t *Twilio) Send(ctx context.Context, m text.Message) (text.Sent, error) {
	if err := text.Check(Name, m); err != nil {
		return text.Sent{}, err
	}
	from := t.o.From
	if m.Sender != "" {
		from = m.Sender
	}
	form := url.Values{"To": {m.To}, "Body": {m.Body}}
	if serviceSID.MatchString(from) {
		form.Set("MessagingServiceSid", from)
	} else {
		form.Set("From", from)
	}
	if t.callback != nil {
		form.Set("StatusCallback", t.callbackFor(m.Reference))
	}
	req, err := wire.Post(t.o.BaseURL+"/2010-04-01/Accounts/"+t.o.Account+"/Messages.json",
		"application/x-www-form-urlencoded", []byte(form.Encode()))
	if err != nil {
		return text.Sent{}, &text.Error{Provider: Name, Kind: text.Refused, Code: "address", Err: err}
	}
	if t.o.Key != "" {
		req.SetBasicAuth(t.o.Key, t.o.Secret)
	} else {
		req.SetBasicAuth(t.o.Account, t.o.AuthToken)
	}
	a, err := wire.Do(ctx, t.client, Name, req)
	if err != nil {
		return text.Sent{}, err
	}
	if a.Status != http.StatusCreated {
		return text.Sent{}, t.failure(a)
	}
	return taken(a)
}

// callbackFor is our address with the message's reference in it: Twilio does
// not give one back otherwise.
func (t *Twilio) callbackFor(reference string) string {
	u := *t.callback
	if reference != "" {
		q := u.Query()
		q.Set(referenceParameter, reference)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// taken reads a message resource.
func taken(a wire.Answer) (text.Sent, error) {
	var said struct {
		SID      string `json:"sid"`
		Segments string `json:"num_segments"` // "0" where a messaging service has yet to choose the sender
		Status   string `json:"status"`
		Error    *int   `json:"error_code"`
	}
	if json.Unmarshal(a.Body, &said) != nil || said.SID == "" {
		return text.Sent{}, wire.Garbled(Name)
	}
	if (said.Status == "failed" || said.Status == "undelivered") && said.Error != nil {
		return text.Sent{}, &text.Error{Provider: Name, Kind: kindOf(*said.Error, text.Refused), Code: strconv.Itoa(*said.Error)}
	}
	parts, _ := strconv.Atoi(said.Segments)
	return text.Sent{Provider: Name, ID: said.SID, Parts: max(parts, 0)}, nil
}

// failure reads {"code", "message", "more_info", "status"}.
func (t *Twilio) failure(a wire.Answer) *text.Error {
	var said struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(a.Body, &said) != nil || said.Code == 0 {
		return wire.Failure(Name, a, "", t.o.Now())
	}
	e := wire.Failure(Name, a, strconv.Itoa(said.Code), t.o.Now())
	e.Kind = kindOf(said.Code, e.Kind)
	return e
}

// kindOf says what Twilio's error codes mean, where that is more than their
// HTTP status says. A recipient who has unsubscribed (21610), a country that is
// switched off (21408) and a route that does not exist (21612) are no
// impossibility: they are about this account and its senders.
func kindOf(code int, otherwise text.Kind) text.Kind {
	switch code {
	case 21211, // the number is not valid
		21604, // no number
		21614, // not a mobile number
		21635: // a landline
		return text.Impossible
	case 14107, // too many between two numbers
		20429, // too many requests
		20500, // internal
		20503, // unavailable
		21611, // the sender's queue is full
		30001: // queue overflow
		return text.Away
	}
	return otherwise
}

var _ text.Receiver = (*Twilio)(nil)
