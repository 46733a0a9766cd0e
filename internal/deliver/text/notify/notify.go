// Package notify sends text messages through GOV.UK Notify: its REST API of
// version 2, and the delivery receipts that it calls back with.
//
// Notify sends templates, not texts. The template is made of one placeholder
// alone, "((message))", and the whole text goes into that.
package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/wire"
	"latchkey/internal/problem"
)

// Name of this provider.
const Name = "notify"

// Options of GOV.UK Notify.
type Options struct {
	Key           string           // API key as Notify shows it: name, service, secret, joined by hyphens
	Template      string           // identifier (UUID) of a text message template
	Placeholder   string           // of the template, for the whole text; "" is "message"
	Sender        string           // identifier (UUID) of a text message sender; "" is the service's default
	CallbackToken string           // bearer token of delivery receipts, at least 16 characters; "" takes none
	BaseURL       string           // "" is https://api.notifications.service.gov.uk
	Now           func() time.Time // nil is time.Now
}

// Notify is GOV.UK Notify.
type Notify struct {
	o       Options
	service string
	secret  []byte
	client  *http.Client
}

const (
	defaultBaseURL = "https://api.notifications.service.gov.uk"
	uuidLength     = 36
	leastToken     = 16
)

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// New makes the provider. Error: problem.ConfigInvalid; it shows no secret.
func New(o Options) (*Notify, error) {
	if o.Placeholder == "" {
		o.Placeholder = "message"
	}
	if o.BaseURL == "" {
		o.BaseURL = defaultBaseURL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	n := &Notify{o: o, client: wire.NewClient()}
	if err := n.check(); err != nil {
		return nil, problem.Wrap(problem.ConfigInvalid, fmt.Errorf("GOV.UK Notify: %w", err))
	}
	n.o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	return n, nil
}

func (n *Notify) check() error {
	// The name in front of the two identifiers may have hyphens too.
	rest := len(n.o.Key) - 2*uuidLength - 1
	if rest < 1 || n.o.Key[rest-1] != '-' || n.o.Key[rest+uuidLength] != '-' {
		return errors.New("the API key is not name-service-secret")
	}
	service, secret := n.o.Key[rest:rest+uuidLength], n.o.Key[rest+uuidLength+1:]
	if !uuid.MatchString(service) || !uuid.MatchString(secret) {
		return errors.New("the API key is not name-service-secret")
	}
	n.service, n.secret = service, []byte(secret)
	if !uuid.MatchString(n.o.Template) {
		return errors.New("the template is not an identifier (UUID)")
	}
	if n.o.Sender != "" && !uuid.MatchString(n.o.Sender) {
		return errors.New("the sender is not an identifier (UUID) of a text message sender")
	}
	if n.o.CallbackToken != "" && len(n.o.CallbackToken) < leastToken {
		return fmt.Errorf("the callback token is shorter than %d characters", leastToken)
	}
	if _, err := wire.BaseURL(n.o.BaseURL); err != nil {
		return fmt.Errorf("the address of the API %w", err)
	}
	return nil
}

// Name implements text.Provider.
func (n *Notify) Name() string { return Name }

type request struct {
	PhoneNumber     string            `json:"phone_number"`
	TemplateID      string            `json:"template_id"`
	Personalisation map[string]string `json:"personalisation"`
	Reference       string            `json:"reference,omitempty"`
	SenderID        string            `json:"sms_sender_id,omitempty"`
}

// Send implements text.Provider. Message.Sender is not used: Notify knows its
// senders by identifier alone (Options.Sender).
func (n *Notify) Send(ctx context.Context, m text.Message) (text.Sent, error) {
	if err := text.Check(Name, m); err != nil {
		return text.Sent{}, err
	}
	body, err := json.Marshal(request{PhoneNumber: m.To, TemplateID: n.o.Template, Reference: m.Reference,
		Personalisation: map[string]string{n.o.Placeholder: m.Body}, SenderID: n.o.Sender})
	if err != nil {
		return text.Sent{}, &text.Error{Provider: Name, Kind: text.Impossible, Code: "body"}
	}
	req, err := wire.Post(n.o.BaseURL+"/v2/notifications/sms", "application/json", body)
	if err != nil {
		return text.Sent{}, &text.Error{Provider: Name, Kind: text.Refused, Code: "address", Err: err}
	}
	req.Header.Set("Authorization", "Bearer "+n.token())
	a, err := wire.Do(ctx, n.client, Name, req)
	if err != nil {
		return text.Sent{}, err
	}
	if a.Status != http.StatusCreated {
		return text.Sent{}, n.failure(a)
	}
	var taken struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(a.Body, &taken) != nil || taken.ID == "" {
		return text.Sent{}, wire.Garbled(Name)
	}
	return text.Sent{Provider: Name, ID: taken.ID}, nil
}

// token is a JSON Web Token (RFC 7519, HS256) that says which service asks, and
// when: Notify takes it for 30 seconds.
func (n *Notify) token() string {
	enc := base64.RawURLEncoding
	claims := fmt.Sprintf(`{"iss":%q,"iat":%d}`, n.service, n.o.Now().Unix())
	signed := enc.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, n.secret)
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

// failure reads {"status_code", "errors": [{"error", "message"}]}. Notify asks
// not to rely on its messages, so the status decides; one thing is in the
// message alone: that a validation error is about the number. Were that worded
// otherwise, the next provider would be asked, and say.
func (n *Notify) failure(a wire.Answer) *text.Error {
	var said struct {
		Errors []struct {
			Error   string `json:"error"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	code, number := "", false
	if json.Unmarshal(a.Body, &said) == nil && len(said.Errors) > 0 {
		code = said.Errors[0].Error
		number = code == "ValidationError" && strings.HasPrefix(said.Errors[0].Message, "phone_number ")
	}
	e := wire.Failure(Name, a, code, n.o.Now())
	if a.Status == http.StatusBadRequest && number {
		e.Kind = text.Impossible
	}
	return e
}

// Receive implements text.Receiver. A receipt proves itself by the bearer token
// that was given to Notify with our address.
func (n *Notify) Receive(r *http.Request) ([]text.Receipt, error) {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || n.o.CallbackToken == "" || !same(given, n.o.CallbackToken) {
		return nil, text.ErrNotAuthentic
	}
	body, err := wire.Body(r)
	if err != nil {
		return nil, err
	}
	return parseReceipt(body, n.o.Now())
}

// same compares without telling where or whether the lengths differ.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// parseReceipt reads a delivery receipt: none where it is about something else.
func parseReceipt(body []byte, now time.Time) ([]text.Receipt, error) {
	var said struct {
		ID        string    `json:"id"`
		Reference *string   `json:"reference"`
		Status    string    `json:"status"`
		Type      string    `json:"notification_type"`
		Completed time.Time `json:"completed_at"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.ID == "" {
		return nil, text.ErrMalformed
	}
	if said.Type != "sms" {
		return nil, nil
	}
	receipt := text.Receipt{Provider: Name, ID: said.ID, At: said.Completed}
	if said.Reference != nil {
		receipt.Reference = *said.Reference
	}
	if receipt.At.IsZero() {
		receipt.At = now
	}
	switch said.Status {
	case "delivered":
		receipt.State = text.StateDelivered
	case "permanent-failure", "temporary-failure", "technical-failure":
		// Temporary means that the phone was off or full: Notify does not try
		// again either.
		receipt.State, receipt.Reason = text.StateFailed, said.Status
	default:
		return nil, nil
	}
	return []text.Receipt{receipt}, nil
}

var _ text.Receiver = (*Notify)(nil)
