package stage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics hears what one stage does. Its methods return at once.
type Metrics interface {
	Handled(records int, took time.Duration) // a call of Handle succeeded
	Failed(permanent bool)                   // a call of Handle failed
	DeadLettered()                           // a record became a dead letter
	Lag(records int64, age time.Duration)    // at each fetch and behind it: at most so many records to do, the oldest so old
}

type noMetrics struct{}

func (noMetrics) Handled(int, time.Duration) {}
func (noMetrics) Failed(bool)                {}
func (noMetrics) DeadLettered()              {}
func (noMetrics) Lag(int64, time.Duration)   {}

// Collectors are the Prometheus metrics of all stages of a node, labelled by stage.
type Collectors struct {
	records    *prometheus.CounterVec
	failures   *prometheus.CounterVec
	letters    *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	lagRecords *prometheus.GaugeVec
	lagSeconds *prometheus.GaugeVec
}

// NewCollectors makes the metrics and registers them.
func NewCollectors(r prometheus.Registerer) (*Collectors, error) {
	stage := []string{"stage"}
	c := &Collectors{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_stage_records_total", Help: "Records that a stage handled.",
		}, stage),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_stage_failures_total", Help: "Calls of a stage's handler that failed, by kind: transient or permanent.",
		}, []string{"stage", "kind"}),
		letters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_stage_dead_letters_total", Help: "Records that a stage gave up and kept as dead letters.",
		}, stage),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tributary_stage_batch_duration_seconds", Help: "Time that a stage took for a batch.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		}, stage),
		lagRecords: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tributary_stage_lag_records", Help: "Records that a stage had to do at its last fetch, at most; 0 once it caught up.",
		}, stage),
		lagSeconds: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tributary_stage_lag_seconds", Help: "Age of the oldest record that a stage had to do at its last fetch; 0 once it caught up.",
		}, stage),
	}
	for _, collector := range []prometheus.Collector{c.records, c.failures, c.letters, c.seconds, c.lagRecords, c.lagSeconds} {
		if err := r.Register(collector); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// For returns the metrics of one stage.
func (c *Collectors) For(stage string) Metrics {
	return &labelled{
		records: c.records.WithLabelValues(stage), letters: c.letters.WithLabelValues(stage),
		transient: c.failures.WithLabelValues(stage, "transient"), permanent: c.failures.WithLabelValues(stage, "permanent"),
		seconds:    c.seconds.WithLabelValues(stage),
		lagRecords: c.lagRecords.WithLabelValues(stage), lagSeconds: c.lagSeconds.WithLabelValues(stage),
	}
}

type labelled struct {
	records, letters, transient, permanent prometheus.Counter
	seconds                                prometheus.Observer
	lagRecords, lagSeconds                 prometheus.Gauge
}

func (l *labelled) Handled(records int, took time.Duration) {
	l.records.Add(float64(records))
	l.seconds.Observe(took.Seconds())
}

func (l *labelled) Failed(permanent bool) {
	if permanent {
		l.permanent.Inc()
	} else {
		l.transient.Inc()
	}
}

func (l *labelled) DeadLettered() { l.letters.Inc() }

func (l *labelled) Lag(records int64, age time.Duration) {
	l.lagRecords.Set(float64(records))
	l.lagSeconds.Set(age.Seconds())
}
