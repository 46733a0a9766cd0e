package deliver

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/internal/deliver/text"
	"latchkey/internal/store"
)

// figuresTimeout bounds how long a look at the database's figures may take.
const figuresTimeout = 5 * time.Second

// figures are what Prometheus reads of messages.
type figures struct {
	db       *store.DB
	messages *prometheus.CounterVec
	refused  *prometheus.CounterVec
	receipts *prometheus.CounterVec
	asked    *prometheus.CounterVec
	waiting  *prometheus.Desc
}

func newFigures(db *store.DB) *figures {
	return &figures{db: db,
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_messages_total",
			Help: "Messages by what this node saw become of them: sent, delivered, failed, dead."}, []string{"method", "provider", "state"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_text_guard_refusals_total",
			Help: "Text messages that were not sent because a limit of the hour was reached: that of a country, or all."}, []string{"limit"}),
		receipts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_text_receipts_total",
			Help: "Receipts of providers: taken, known already, of no message of ours, forged."}, []string{"provider", "result"}),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_text_provider_answers_total",
			Help: "How providers of text messages answered: taken, away, refused, impossible, unclear."}, []string{"provider", "answer"}),
		waiting: prometheus.NewDesc("latchkey_messages_waiting",
			"Messages in the database that wait to be sent (queued) or were given up (dead), of all nodes.", []string{"method", "state"}, nil),
	}
}

func (f *figures) count(method, provider string, state store.MessageState) {
	f.messages.WithLabelValues(method, provider, string(state)).Inc()
}

// observe counts an answer of a provider.
func (f *figures) observe(provider string, err error) {
	answer := "taken"
	if e := (*text.Error)(nil); errors.As(err, &e) {
		answer = string(e.Kind)
	} else if err != nil {
		answer = string(text.Unclear)
	}
	f.asked.WithLabelValues(provider, answer).Inc()
}

// Collector gives the figures of messages to Prometheus.
func (q *Queue) Collector() prometheus.Collector { return q.figures }

// Describe implements prometheus.Collector.
func (f *figures) Describe(c chan<- *prometheus.Desc) {
	for _, v := range []prometheus.Collector{f.messages, f.refused, f.receipts, f.asked} {
		v.Describe(c)
	}
	c <- f.waiting
}

// Collect implements prometheus.Collector. What waits is read from the
// database; where that fails its figure is missing.
func (f *figures) Collect(c chan<- prometheus.Metric) {
	for _, v := range []prometheus.Collector{f.messages, f.refused, f.receipts, f.asked} {
		v.Collect(c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), figuresTimeout)
	defer cancel()
	var counts []store.MessageCount
	err := f.db.View(ctx, func(tx *store.Tx) (err error) {
		counts, err = tx.WaitingMessages(ctx)
		return err
	})
	if err != nil {
		return
	}
	all := map[[2]string]int{}
	for _, method := range []string{methodEmail, methodSMS} {
		for _, state := range []store.MessageState{store.MessageQueued, store.MessageDead} {
			all[[2]string{method, string(state)}] = 0 // an alert needs the nought
		}
	}
	for _, n := range counts {
		all[[2]string{n.Method, string(n.State)}] = n.Count
	}
	for labels, n := range all {
		c <- prometheus.MustNewConstMetric(f.waiting, prometheus.GaugeValue, float64(n), labels[0], labels[1])
	}
}
