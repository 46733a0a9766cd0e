package texttest

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/twilio"
)

// The account of the stand-in for Twilio.
const (
	twilioAccount = "ACb0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
	twilioKey     = "SKc1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"
	twilioSecret  = "secret-of-the-key"
	twilioToken   = "auth-token-of-the-account"
	twilioFrom    = "+447700900999"
)

// Twilio stands in for Twilio's Messages resource.
type Twilio struct {
	web

	mu        sync.Mutex
	callbacks map[string]string // by message
}

// StartTwilio starts it.
func StartTwilio() (*Twilio, error) {
	t := &Twilio{callbacks: map[string]string{}}
	return t, t.start(t.serve)
}

// Options fit the stand-in. callback is our address for receipts, "" for none.
func (t *Twilio) Options(callback string) twilio.Options {
	return twilio.Options{Account: twilioAccount, Key: twilioKey, Secret: twilioSecret, AuthToken: twilioToken, From: twilioFrom,
		Callback: callback, BaseURL: t.URL()}
}

func twilioError(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": message, "status": status,
		"more_info": "https://www.twilio.com/docs/errors/" + strconv.Itoa(code)})
}

func (t *Twilio) serve(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if (user != twilioKey || password != twilioSecret) && (user != twilioAccount || password != twilioToken) {
		twilioError(w, http.StatusUnauthorized, 20003, "Authenticate")
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/2010-04-01/Accounts/"+twilioAccount+"/Messages.json" {
		twilioError(w, http.StatusNotFound, 20404, "The requested resource "+r.URL.Path+" was not found")
		return
	}
	if err := r.ParseForm(); err != nil {
		twilioError(w, http.StatusBadRequest, 20001, "Bad request")
		return
	}
	in := r.PostForm
	from := in.Get("From") + in.Get("MessagingServiceSid")
	if t.faulty(w, r, in.Get("To")) {
		return
	}
	switch {
	case from == "":
		twilioError(w, http.StatusBadRequest, 21603, "A 'From' phone number is required.")
		return
	case in.Get("Body") == "":
		twilioError(w, http.StatusBadRequest, 21602, "Message body is required.")
		return
	case len([]rune(in.Get("Body"))) > 1600:
		twilioError(w, http.StatusBadRequest, 21617, "The concatenated message body exceeds the 1600 character limit.")
		return
	}
	m := Message{ID: fmt.Sprintf("SM%032x", t.number()), To: in.Get("To"), Body: in.Get("Body"), Sender: from, Parts: text.Measure(in.Get("Body")).Parts}
	if callback := in.Get("StatusCallback"); callback != "" {
		t.mu.Lock()
		t.callbacks[m.ID] = callback
		t.mu.Unlock()
		if u, err := url.Parse(callback); err == nil {
			m.Reference = u.Query().Get("reference")
		}
	}
	t.catch(m)
	segments, status := strconv.Itoa(m.Parts), "queued"
	if in.Get("MessagingServiceSid") != "" {
		segments, status = "0", "accepted"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"sid": m.ID, "account_sid": twilioAccount, "to": m.To, "from": in.Get("From"), "body": m.Body,
		"status": status, "num_segments": segments, "direction": "outbound-api", "error_code": nil, "error_message": nil, "api_version": "2010-04-01"})
}

func (t *Twilio) faulty(w http.ResponseWriter, r *http.Request, number string) bool {
	f := t.failNow()
	if t.common(w, r, f, http.StatusCreated) {
		return true
	}
	switch {
	case f == Down:
		twilioError(w, http.StatusServiceUnavailable, 20503, "Service unavailable")
	case f == Throttled:
		w.Header().Set("Retry-After", "2")
		twilioError(w, http.StatusTooManyRequests, 20429, "Too Many Requests")
	case f == Unauthorised:
		twilioError(w, http.StatusUnauthorized, 20003, "Authenticate")
	case f == Rejected:
		twilioError(w, http.StatusBadRequest, 21610, "Attempt to send to unsubscribed recipient")
	case f == BadNumber, !notifyNumber.MatchString(number):
		twilioError(w, http.StatusBadRequest, 21211, "Invalid 'To' Phone Number: "+number)
	default:
		return false
	}
	return true
}

// Receipt implements Caught: it calls the address that came with the message.
func (t *Twilio) Receipt(ctx context.Context, id string, state text.State) error {
	m, err := t.byID(id)
	if err != nil {
		return err
	}
	t.mu.Lock()
	callback := t.callbacks[id]
	t.mu.Unlock()
	if callback == "" {
		return errors.New("no callback was asked for")
	}
	status := map[text.State]string{text.StateSent: "sent", text.StateDelivered: "delivered", text.StateFailed: "undelivered"}[state]
	form := url.Values{"AccountSid": {twilioAccount}, "ApiVersion": {"2010-04-01"}, "From": {twilioFrom}, "To": {m.To},
		"MessageSid": {id}, "MessageStatus": {status}, "SmsSid": {id}, "SmsStatus": {status}}
	if state == text.StateFailed {
		form.Set("ErrorCode", "30003")
	}
	return post(ctx, callback, http.Header{"Content-Type": {"application/x-www-form-urlencoded"},
		"X-Twilio-Signature": {TwilioSignature(callback, form)}}, form.Encode())
}

// TwilioSignature is X-Twilio-Signature of the stand-in's account.
func TwilioSignature(address string, form url.Values) string {
	var names []string
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	signed := address
	for _, name := range names {
		signed += name + form.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(twilioToken))
	mac.Write([]byte(signed))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

var _ Caught = (*Twilio)(nil)
