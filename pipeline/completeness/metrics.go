package completeness

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Metrics are the stage's figures for Prometheus. A nil one counts nothing.
type Metrics struct {
	open      prometheus.Gauge
	oldest    prometheus.Gauge
	pending   prometheus.Gauge
	working   prometheus.Gauge
	completed *prometheus.CounterVec
	updated   prometheus.Counter
	failures  prometheus.Counter
	lag       prometheus.Histogram
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "tributary_completeness_" + name, Help: help})
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "tributary_completeness_" + name, Help: help}
	}
	m := &Metrics{
		open:      gauge("studies_waiting", "Studies whose content was not announced yet. 0 on nodes that are not at work."),
		oldest:    gauge("oldest_waiting_seconds", "Since when the study that waits longest has been quiet."),
		pending:   gauge("announcements_pending", "Announcements that are decided, and were not met in the log yet."),
		working:   gauge("working", "1 on the node that announces studies."),
		completed: prometheus.NewCounterVec(counter("studies_completed_total", "Studies announced as complete, by why."), []string{"reason"}),
		updated:   prometheus.NewCounter(counter("studies_updated_total", "Complete studies announced as changed.")),
		failures:  prometheus.NewCounter(counter("failures_total", "Rounds that failed and are tried again.")),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tributary_completeness_lag_seconds", Help: "From when a study was complete until that was decided.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 15, 60, 600, 3600},
		}),
	}
	for _, c := range []prometheus.Collector{m.open, m.oldest, m.pending, m.working, m.completed, m.updated, m.failures, m.lag} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// reasons are the labels of studies_completed_total. Signals come from other releases too.
var reasons = map[string]bool{
	event.ReasonQuiet: true, event.ReasonSignal + event.SignalSTOW: true, event.ReasonSignal + event.SignalUpload: true,
	event.ReasonSignal + event.SignalImport: true, event.ReasonSignal + event.SignalAPI: true,
}

// announced counts a record that was appended.
func (m *Metrics) announced(e event.Envelope) {
	if m == nil {
		return
	}
	if e.Type == event.TypeStudyUpdated {
		m.updated.Inc()
		return
	}
	body, err := event.Decode[event.Study](e.Data)
	if err != nil {
		return // we made it
	}
	if !reasons[body.Reason] {
		body.Reason = strings.TrimSuffix(event.ReasonSignal, ":")
	}
	m.completed.WithLabelValues(body.Reason).Inc()
	m.lag.Observe(max(e.Time.Sub(body.At), 0).Seconds())
}

func (m *Metrics) waiting(s Stats) {
	m.working.Set(1)
	m.open.Set(float64(s.Open))
	m.pending.Set(float64(s.Announced))
	age := 0.0
	if !s.Oldest.IsZero() {
		age = max(time.Since(s.Oldest), 0).Seconds()
	}
	m.oldest.Set(age)
}

// idle is for a node that another one works for.
func (m *Metrics) idle() {
	if m != nil {
		for _, g := range []prometheus.Gauge{m.working, m.open, m.pending, m.oldest} {
			g.Set(0)
		}
	}
}

func (m *Metrics) failed() {
	if m != nil {
		m.failures.Inc()
	}
}
