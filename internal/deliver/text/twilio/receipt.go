package twilio

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/wire"
)

// referenceParameter carries a message's reference in the query of our address.
const referenceParameter = "reference"

// Receive implements text.Receiver. A status callback proves itself by
// X-Twilio-Signature, made with the account's auth token over the address that
// was called and all parameters. It has no time in it: a callback that is sent
// again is genuine again, and says the same.
func (t *Twilio) Receive(r *http.Request) ([]text.Receipt, error) {
	if t.callback == nil || r.Method != http.MethodPost {
		return nil, text.ErrNotAuthentic
	}
	body, err := wire.Body(r)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, text.ErrMalformed
	}
	// Behind a proxy the request does not tell how it was called: the address is
	// the one that we gave Twilio, but for the query that it came with.
	called := *t.callback
	called.RawQuery = r.URL.RawQuery
	if !t.signed(&called, form, r.Header.Get("X-Twilio-Signature")) {
		return nil, text.ErrNotAuthentic
	}
	if form.Get("AccountSid") != t.o.Account {
		return nil, text.ErrNotAuthentic
	}
	return t.receipts(form, r.URL.Query().Get(referenceParameter))
}

// signed compares with the signature of the address as it is, and with the
// standard port added or left out: which of them Twilio signs has varied.
func (t *Twilio) signed(called *url.URL, form url.Values, signature string) bool {
	given, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	other := *called
	if called.Port() == "" {
		other.Host += map[string]string{"https": ":443", "http": ":80"}[called.Scheme]
	} else {
		other.Host = strings.TrimSuffix(called.Host, ":"+called.Port())
	}
	as, with := hmac.Equal(given, Sign(t.o.AuthToken, called.String(), form)), hmac.Equal(given, Sign(t.o.AuthToken, other.String(), form))
	return as || with
}

// Sign is Twilio's signature of a request: HMAC-SHA1 under the auth token of
// the address and, in the order of their names, each parameter's name and value.
func Sign(authToken, address string, form url.Values) []byte {
	mac := hmac.New(sha1.New, []byte(authToken))
	mac.Write([]byte(address))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range slices.Sorted(slices.Values(form[name])) {
			mac.Write([]byte(name + value))
		}
	}
	return mac.Sum(nil)
}

// receipts reads a genuine callback: none for a state on the way.
func (t *Twilio) receipts(form url.Values, reference string) ([]text.Receipt, error) {
	receipt := text.Receipt{Provider: Name, ID: form.Get("MessageSid"), Reference: reference, At: t.o.Now()}
	if receipt.ID == "" {
		return nil, text.ErrMalformed
	}
	switch form.Get("MessageStatus") {
	case "":
		return nil, text.ErrMalformed
	case "sent":
		receipt.State = text.StateSent
	case "delivered", "read":
		receipt.State = text.StateDelivered
	case "failed", "undelivered", "canceled":
		receipt.State = text.StateFailed
		receipt.Reason = text.Code(form.Get("ErrorCode"), form.Get("MessageStatus"))
	default: // accepted, scheduled, queued, sending
		return nil, nil
	}
	return []text.Receipt{receipt}, nil
}
