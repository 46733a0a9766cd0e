package texttest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/notify"
)

// The account of the stand-in for Notify.
const (
	notifyService  = "26785a09-ab16-4eb0-8407-a37497a57506"
	notifySecret   = "3d844edf-8d35-48ac-975b-e847b4f122b0"
	notifyTemplate = "f33517ff-2a88-4f6e-b855-c550268ce08a"
	notifySender   = "8e222534-7f05-4972-86e3-17c5d9f894e2"
	notifyToken    = "receipts-of-the-stand-in"
)

// Notify stands in for GOV.UK Notify.
type Notify struct {
	web
	now func() time.Time

	mu       sync.Mutex
	callback string
	limit    int
	requests []time.Time // within the last minute
}

// StartNotify starts it. now is its clock, nil for time.Now: a token's time must
// be within 30 seconds of it.
func StartNotify(now func() time.Time) (*Notify, error) {
	if now == nil {
		now = time.Now
	}
	n := &Notify{now: now, limit: 3000}
	return n, n.start(n.serve)
}

// Options fit the stand-in.
func (n *Notify) Options() notify.Options {
	return notify.Options{Key: "stand-in-" + notifyService + "-" + notifySecret, Template: notifyTemplate, Sender: notifySender,
		CallbackToken: notifyToken, BaseURL: n.URL(), Now: n.now}
}

// CallBack sets the address for receipts, as on the page of the service.
func (n *Notify) CallBack(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.callback = address
}

// Limit sets how many requests are taken a minute: 3,000 at first.
func (n *Notify) Limit(perMinute int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.limit = perMinute
}

func (n *Notify) within() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	for len(n.requests) > 0 && now.Sub(n.requests[0]) >= time.Minute {
		n.requests = n.requests[1:]
	}
	if len(n.requests) >= n.limit {
		return false
	}
	n.requests = append(n.requests, now)
	return true
}

func notifyError(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status_code": status, "errors": []map[string]string{{"error": kind, "message": message}}})
}

func (n *Notify) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v2/notifications/sms" {
		notifyError(w, http.StatusNotFound, "NoResultFound", "No result found")
		return
	}
	if message := n.authorised(r.Header.Get("Authorization")); message != "" {
		notifyError(w, http.StatusForbidden, "AuthError", message)
		return
	}
	if !n.within() {
		notifyError(w, http.StatusTooManyRequests, "RateLimitError", "Exceeded rate limit for key type LIVE of 3000 requests per 60 seconds")
		return
	}
	var in struct {
		PhoneNumber     string            `json:"phone_number"`
		TemplateID      string            `json:"template_id"`
		Personalisation map[string]string `json:"personalisation"`
		Reference       *string           `json:"reference"`
		SenderID        string            `json:"sms_sender_id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/json" {
		notifyError(w, http.StatusBadRequest, "BadRequestError", "Invalid JSON supplied in POST data")
		return
	}
	if n.faulty(w, r, in.PhoneNumber) {
		return
	}
	body, ok := in.Personalisation["message"]
	switch {
	case in.TemplateID != notifyTemplate:
		notifyError(w, http.StatusBadRequest, "BadRequestError", "Template not found")
		return
	case !ok:
		notifyError(w, http.StatusBadRequest, "BadRequestError", "Missing personalisation: message")
		return
	case in.SenderID != "" && in.SenderID != notifySender:
		notifyError(w, http.StatusBadRequest, "BadRequestError", "sms_sender_id "+in.SenderID+" does not exist in database for service id "+notifyService)
		return
	}
	m := Message{ID: identifier(n.number()), To: in.PhoneNumber, Body: body, Sender: in.SenderID, Parts: text.Measure(body).Parts}
	if in.Reference != nil {
		m.Reference = *in.Reference
	}
	n.catch(m)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"id": m.ID, "reference": in.Reference,
		"content":  map[string]string{"body": body, "from_number": "GOVUK"},
		"uri":      n.URL() + "/v2/notifications/" + m.ID,
		"template": map[string]any{"id": notifyTemplate, "version": 1, "uri": n.URL() + "/v2/template/" + notifyTemplate}})
}

var notifyNumber = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// faulty does the fault that is due.
func (n *Notify) faulty(w http.ResponseWriter, r *http.Request, number string) bool {
	f := n.failNow()
	if n.common(w, r, f, http.StatusCreated) {
		return true
	}
	switch {
	case f == Down:
		w.Header().Set("Retry-After", "7")
		notifyError(w, http.StatusServiceUnavailable, "Exception", "Internal server error")
	case f == Throttled:
		notifyError(w, http.StatusTooManyRequests, "TooManyRequestsError", "Exceeded send limits (250000) for today")
	case f == Unauthorised:
		notifyError(w, http.StatusForbidden, "AuthError", "Invalid token: API key not found")
	case f == Rejected:
		notifyError(w, http.StatusBadRequest, "BadRequestError", "Cannot send to international mobile numbers")
	case f == BadNumber, !notifyNumber.MatchString(number):
		notifyError(w, http.StatusBadRequest, "ValidationError", "phone_number Not enough digits")
	default:
		return false
	}
	return true
}

// authorised checks a JSON Web Token and gives Notify's words for what is wrong
// with it.
func (n *Notify) authorised(header string) string {
	token, ok := strings.CutPrefix(header, "Bearer ")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 {
		return "Unauthorized: authentication bearer scheme must be used"
	}
	var head struct{ Alg, Typ string }
	var claims struct {
		Iss string
		Iat int64
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err = errors.Join(err, decode(parts[0], &head), decode(parts[1], &claims)); err != nil || head.Alg != "HS256" || head.Typ != "JWT" {
		return "Invalid token: API key not found"
	}
	mac := hmac.New(sha256.New, []byte(notifySecret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if claims.Iss != notifyService || !hmac.Equal(signature, mac.Sum(nil)) {
		return "Invalid token: API key not found"
	}
	if away := n.now().Sub(time.Unix(claims.Iat, 0)).Abs(); away > 30*time.Second {
		return "Error: Your system clock must be accurate to within 30 seconds"
	}
	return ""
}

func decode(segment string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// Receipt implements Caught. Notify has no receipt for a message that was sent
// and not delivered yet.
func (n *Notify) Receipt(ctx context.Context, id string, state text.State) error {
	status, ok := map[text.State]string{text.StateDelivered: "delivered", text.StateFailed: "permanent-failure"}[state]
	if !ok {
		return errors.New("there is no receipt for the state " + strconv.Quote(string(state)))
	}
	m, err := n.byID(id)
	if err != nil {
		return err
	}
	n.mu.Lock()
	callback := n.callback
	n.mu.Unlock()
	at := n.now().UTC().Format("2006-01-02T15:04:05.000000Z")
	body, err := json.Marshal(map[string]any{"id": m.ID, "reference": m.Reference, "to": m.To, "status": status,
		"created_at": at, "completed_at": at, "sent_at": at, "notification_type": "sms", "template_id": notifyTemplate, "template_version": 1})
	if err != nil {
		return err
	}
	return post(ctx, callback, http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + notifyToken}}, string(body))
}

var _ Caught = (*Notify)(nil)
