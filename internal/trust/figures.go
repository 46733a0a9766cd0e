package trust

import "github.com/prometheus/client_golang/prometheus"

// figures are those for Prometheus.
type figures struct {
	checks, fetches *prometheus.CounterVec
	left            *prometheus.Desc
}

func newFigures() *figures {
	f := &figures{
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_card_certificates_total",
			Help: "Certificates of cards that were judged: good, expired, untrusted, revoked, unknown."}, []string{"status"}),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "latchkey_revocation_fetches_total",
			Help: "CRLs and OCSP answers that were looked for, and whether they could be used."}, []string{"of", "outcome"}),
		left: prometheus.NewDesc("latchkey_crl_seconds_left", "Time until a CRL is too old; below 0 it is. None: there is no CRL.", []string{"place"}, nil)}
	for _, s := range Statuses() {
		f.checks.WithLabelValues(string(s))
	}
	return f
}

// Describe implements prometheus.Collector.
func (c *Checker) Describe(ch chan<- *prometheus.Desc) {
	c.figures.checks.Describe(ch)
	c.figures.fetches.Describe(ch)
	ch <- c.figures.left
}

// Collect implements prometheus.Collector.
func (c *Checker) Collect(ch chan<- prometheus.Metric) {
	c.figures.checks.Collect(ch)
	c.figures.fetches.Collect(ch)
	now := c.o.Now()
	for _, l := range c.Lists() {
		if !l.NextUpdate.IsZero() {
			ch <- prometheus.MustNewConstMetric(c.figures.left, prometheus.GaugeValue, l.NextUpdate.Sub(now).Seconds(), l.Place)
		}
	}
}
