package deliver

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/riverqueue/river"

	"latchkey/internal/deliver/text"
	"latchkey/internal/deliver/text/texttest"
	"latchkey/internal/deliver/text/webhook"
	"latchkey/internal/problem"
	"latchkey/internal/store"
)

func wantForged(t testing.TB, err error) {
	t.Helper()
	if problem.CodeOf(err) != problem.ReceiptForged {
		t.Errorf("%v", err)
	}
}

// TestReceiptsInAnyOrder: a receipt brings a message forward alone, however
// often and in whatever order they come.
func TestReceiptsInAnyOrder(t *testing.T) {
	sent, delivered, failed := text.StateSent, text.StateDelivered, text.StateFailed
	for _, c := range []struct {
		states []text.State
		want   store.MessageState
	}{
		{[]text.State{sent}, store.MessageSent}, {[]text.State{sent, delivered}, store.MessageDelivered},
		{[]text.State{delivered, sent}, store.MessageDelivered}, {[]text.State{delivered, delivered, failed, sent}, store.MessageDelivered},
		{[]text.State{failed, sent}, store.MessageFailed}, {[]text.State{failed, failed}, store.MessageFailed},
		{[]text.State{failed, delivered}, store.MessageDelivered}, {[]text.State{"odd"}, store.MessageSent},
	} {
		w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), &gateway{name: "one"})
		w.start(home())
		id := w.text()
		w.wantKinds(river.EventKindJobCompleted)
		for _, s := range c.states {
			must(t, w.receipt(t.Context(), text.Receipt{Provider: "one", ID: "one-1", State: s, Reason: "27", At: asked}))
		}
		m := w.record(id)
		if m.State != c.want || (m.State == store.MessageFailed) != (m.Reason == "one: 27") {
			t.Errorf("%v: %+v", c.states, m)
		}
	}
}

// TestReceiptsOfOthers: what is of no message of ours, of an email, or of
// another provider or try than the last changes nothing, unless it says that
// the message has arrived.
func TestReceiptsOfOthers(t *testing.T) {
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), &gateway{name: "one"})
	w.start(home())
	id := w.text()
	w.wantKinds(river.EventKindJobCompleted)
	must(t, w.db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.QueueMessage(t.Context(), store.Message{ID: "mail", Method: methodEmail})
	}))
	for _, r := range []text.Receipt{
		{Provider: "one", ID: "another", State: text.StateFailed}, {Provider: "two", ID: "one-1", State: text.StateFailed},
		{Provider: "one", ID: "", State: text.StateFailed}, {Provider: "one", ID: "x", Reference: "mail", State: text.StateDelivered},
		{Provider: "two", ID: "two-1", Reference: id, State: text.StateFailed}, {Provider: "one", ID: "first try", Reference: id, State: text.StateFailed},
	} {
		must(t, w.receipt(t.Context(), r))
		if m := w.record(id); m.State != store.MessageSent || m.ProviderID != "one-1" {
			t.Errorf("%+v: %+v", r, m)
		}
	}
	if m := w.record("mail"); m.State != store.MessageQueued {
		t.Errorf("%+v", m)
	}
	must(t, w.receipt(t.Context(), text.Receipt{Provider: "two", ID: "two-1", Reference: id, State: text.StateDelivered}))
	if m := w.record(id); m.State != store.MessageDelivered || m.Provider != "two" {
		t.Errorf("%+v", m)
	}
}

// TestReceiptBeforeTheAnswer: the provider's receipt is faster than the note
// that it took the message.
func TestReceiptBeforeTheAnswer(t *testing.T) {
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), &gateway{name: "one"})
	id := w.text()
	d := dispatch{message: w.record(id), country: "GB", done: "done"}
	d.event.Details = map[string]string{}
	if goOn, err := w.begin(t.Context(), &d); !goOn || err != nil {
		t.Fatal(goOn, err)
	}
	must(t, w.receipt(t.Context(), text.Receipt{Provider: "one", ID: "one-1", Reference: id, State: text.StateDelivered, At: asked}))
	must(t, w.sent(t.Context(), d, text.Sent{Provider: "one", ID: "one-1", Parts: 1}))
	if m := w.record(id); m.State != store.MessageDelivered || m.ProviderID != "one-1" || m.Open != 0 {
		t.Errorf("%+v", m)
	}
}

// TestReceiptsOverHTTP: the stand-in for a gateway calls back; what is not its
// own is refused, and what comes again changes nothing.
func TestReceiptsOverHTTP(t *testing.T) {
	on(t, func(t *testing.T, database string) {
		catcher, err := texttest.StartWebhook(nil)
		must(t, err)
		t.Cleanup(func() { must(t, catcher.Close()) })
		var w *phones
		var last *http.Request
		var answers []error
		edge := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(rw, r.Body, 64<<10)
			err := w.Receive(r.Context(), "webhook", r)
			last, answers = r, append(answers, err)
			if err != nil {
				rw.WriteHeader(http.StatusForbidden)
			}
		}))
		t.Cleanup(edge.Close)
		provider, err := webhook.New(catcher.Options(edge.URL))
		must(t, err)
		w = hirePhones(t, database, roomy(), provider)
		w.start(home())
		id := w.text()
		w.wantKinds(river.EventKindJobCompleted)
		taken, err := catcher.Wait(t.Context(), func(m texttest.Message) bool { return m.Reference == id })
		must(t, err)
		for _, s := range []text.State{text.StateDelivered, text.StateDelivered, text.StateSent, text.StateFailed} {
			must(t, catcher.Receipt(t.Context(), taken.ID, s))
			if m := w.record(id); m.State != store.MessageDelivered {
				t.Errorf("after %s: %+v", s, m)
			}
		}
		wrong := []func(*http.Request){
			func(r *http.Request) { r.Header.Del("webhook-signature") },
			func(r *http.Request) { r.Header.Set("webhook-signature", "v1,AAAA") },
			func(*http.Request) {}, // the signature of another body
		}
		for i, spoil := range wrong {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, edge.URL, strings.NewReader(`{"type":"text.receipt"}`))
			must(t, err)
			r.Header = last.Header.Clone()
			spoil(r)
			resp, err := http.DefaultClient.Do(r)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusForbidden || problem.CodeOf(answers[len(answers)-1]) != problem.ReceiptForged {
				t.Errorf("forged receipt %d: %d, %v", i, resp.StatusCode, answers[len(answers)-1])
			}
		}
		wantForged(t, w.Receive(t.Context(), "nobody", last))
		if n := testutil.ToFloat64(w.figures.receipts.WithLabelValues("webhook", "forged")); n != float64(len(wrong)) {
			t.Errorf("%v forged receipts are counted", n)
		}
		if n := testutil.ToFloat64(w.figures.receipts.WithLabelValues("webhook", "taken")); n != 1 {
			t.Errorf("%v receipts are counted as taken", n)
		}
	})
}

// line is a provider that tells receipts over a connection of its own.
type line struct {
	gateway
	took   func(text.Receipt)
	closed bool
}

func (l *line) Receipts(took func(text.Receipt)) { l.took = took }
func (l *line) Close() error                     { l.closed = true; return nil }

func TestReceiptsOverAConnection(t *testing.T) {
	l := &line{gateway: gateway{name: "line"}}
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), l)
	w.start(home())
	id := w.text()
	w.wantKinds(river.EventKindJobCompleted)
	l.took(text.Receipt{Provider: "line", ID: "line-1", State: text.StateDelivered})
	w.wantRecord(id, store.MessageDelivered, "line", "")
	w.stop()
	if l.took != nil || !l.closed {
		t.Error("the connection stays")
	}
}

// TestReceiptWithoutADatabase: the provider is not told that it was taken.
func TestReceiptWithoutADatabase(t *testing.T) {
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), &gateway{name: "one"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.receipt(ctx, text.Receipt{Provider: "one", ID: "1", State: text.StateSent}); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestFiguresOfMessages(t *testing.T) {
	g := &gateway{name: "one", fail: []error{nil, failure("one", text.Refused)}}
	w := hirePhones(t, filepath.Join(t.TempDir(), "test.db"), roomy(), g)
	w.start(home())
	w.text()
	w.wantKinds(river.EventKindJobCompleted)
	w.text()
	w.wantKinds(river.EventKindJobCancelled)
	must(t, testutil.CollectAndCompare(w.Collector(), strings.NewReader(`
# HELP latchkey_messages_total Messages by what this node saw become of them: sent, delivered, failed, dead.
# TYPE latchkey_messages_total counter
latchkey_messages_total{method="sms",provider="one",state="dead"} 1
latchkey_messages_total{method="sms",provider="one",state="sent"} 1
# HELP latchkey_messages_waiting Messages in the database that wait to be sent (queued) or were given up (dead), of all nodes.
# TYPE latchkey_messages_waiting gauge
latchkey_messages_waiting{method="email",state="dead"} 0
latchkey_messages_waiting{method="email",state="queued"} 0
latchkey_messages_waiting{method="sms",state="dead"} 1
latchkey_messages_waiting{method="sms",state="queued"} 0
# HELP latchkey_text_provider_answers_total How providers of text messages answered: taken, away, refused, impossible, unclear.
# TYPE latchkey_text_provider_answers_total counter
latchkey_text_provider_answers_total{answer="refused",provider="one"} 1
latchkey_text_provider_answers_total{answer="taken",provider="one"} 1
`), "latchkey_messages_total", "latchkey_messages_waiting", "latchkey_text_provider_answers_total"))
	if problems, err := testutil.CollectAndLint(w.Collector()); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if got := slices.Collect(func(yield func(string) bool) { yield(w.log.String()) }); strings.Contains(got[0], mobile) {
		t.Error("the log tells the number")
	}
}
