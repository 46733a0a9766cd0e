package texttest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/webhook"
)

const webhookSecret = "whsec_c3RhbmQtaW4gZm9yIGEgZ2F0ZXdheSBvZiBvdXIgb3du"

// Webhook stands in for an organisation's own gateway.
type Webhook struct {
	web
	now  func() time.Time
	keys webhook.Keys

	mu        sync.Mutex
	callbacks map[string]string // by message
	seen      map[string]string // message by event
}

// StartWebhook starts it. now is its clock, nil for time.Now.
func StartWebhook(now func() time.Time) (*Webhook, error) {
	if now == nil {
		now = time.Now
	}
	keys, err := webhook.ParseKeys(webhookSecret)
	if err != nil {
		return nil, err
	}
	w := &Webhook{now: now, keys: keys, callbacks: map[string]string{}, seen: map[string]string{}}
	return w, w.start(w.serve)
}

// Options fit the stand-in. callback is our address for receipts, "" for none.
func (w *Webhook) Options(callback string) webhook.Options {
	return webhook.Options{URL: w.URL() + "/texts", Secret: webhookSecret, Sender: "Latchkey", Callback: callback, Now: w.now}
}

func webhookFault(rw http.ResponseWriter, status int, kind text.Kind, code string) {
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	_ = json.NewEncoder(rw).Encode(webhook.Fault{Kind: kind, Code: code})
}

func (w *Webhook) serve(rw http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil || w.keys.Verify(r.Header, w.now(), raw) != nil {
		webhookFault(rw, http.StatusUnauthorized, text.Refused, "signature")
		return
	}
	var in webhook.Event[webhook.Outgoing]
	if err := json.Unmarshal(raw, &in); err != nil || in.Type != webhook.TypeMessage {
		webhookFault(rw, http.StatusBadRequest, text.Refused, "event")
		return
	}
	f := w.failNow()
	if w.common(rw, r, f, http.StatusOK) {
		return
	}
	switch f {
	case Down:
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	case Throttled:
		rw.Header().Set("Retry-After", "11")
		webhookFault(rw, http.StatusTooManyRequests, "", "too-many")
		return
	case Unauthorised:
		webhookFault(rw, http.StatusUnauthorized, text.Refused, "signature")
		return
	case Rejected:
		webhookFault(rw, http.StatusUnprocessableEntity, text.Refused, "country")
		return
	case BadNumber:
		webhookFault(rw, http.StatusUnprocessableEntity, text.Impossible, "number")
		return
	}
	w.take(rw, r.Header.Get("webhook-id"), in.Data)
}

// take keeps a message once, however often its event comes.
func (w *Webhook) take(rw http.ResponseWriter, event string, in webhook.Outgoing) {
	w.mu.Lock()
	id, again := w.seen[event]
	if !again {
		id = identifier(w.number())
		w.seen[event], w.callbacks[id] = id, in.Callback
	}
	w.mu.Unlock()
	parts := text.Measure(in.Body).Parts
	if !again {
		w.catch(Message{ID: id, To: in.To, Body: in.Body, Sender: in.Sender, Reference: in.Reference, Parts: parts})
	}
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(webhook.Taken{ID: id, Parts: parts})
}

// Receipt implements Caught: it calls the address that came with the message.
func (w *Webhook) Receipt(ctx context.Context, id string, state text.State) error {
	m, err := w.byID(id)
	if err != nil {
		return err
	}
	w.mu.Lock()
	callback := w.callbacks[id]
	w.mu.Unlock()
	if callback == "" {
		return errors.New("no callback was asked for")
	}
	data := webhook.Incoming{ID: id, Reference: m.Reference, State: state}
	if state == text.StateFailed {
		data.Reason = "absent-subscriber"
	}
	body, err := json.Marshal(webhook.Event[webhook.Incoming]{Type: webhook.TypeReceipt, Timestamp: w.now().UTC(), Data: data})
	if err != nil {
		return err
	}
	header := http.Header{"Content-Type": {"application/json"}}
	w.keys.Sign(header, "rcpt_"+id+"_"+string(state), w.now(), body)
	return post(ctx, callback, header, string(body))
}

var _ Caught = (*Webhook)(nil)
