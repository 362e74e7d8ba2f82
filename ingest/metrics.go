package ingest

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-dicom/tributary/parsers/reject"
)

// Metrics counts what admission does. A nil *Metrics counts nothing.
type Metrics struct {
	objects  *prometheus.CounterVec
	refused  *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	size     prometheus.Histogram
	orphans  prometheus.Counter
}

// NewMetrics registers the metrics of admission.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		objects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_ingest_objects_total", Help: "Objects kept, by door and outcome.",
		}, []string{"door", "status"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_ingest_objects_refused_total", Help: "Objects refused, nothing kept, by door and reason.",
		}, []string{"door", "code"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_ingest_bytes_total", Help: "Bytes of objects kept, by door.",
		}, []string{"door"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tributary_ingest_duration_seconds", Help: "From the first byte to the receipt, by door.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 18),
		}, []string{"door"}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tributary_ingest_object_size_bytes", Help: "Sizes of objects kept.",
			Buckets: prometheus.ExponentialBuckets(1<<10, 4, 12),
		}),
		orphans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tributary_ingest_adopted_total", Help: "Blobs without an event that were given one.",
		}),
	}
	reg.MustRegister(m.objects, m.refused, m.bytes, m.duration, m.size, m.orphans)
	return m
}

func (m *Metrics) admitted(door string, rec Receipt, err error, took time.Duration) {
	if m == nil {
		return
	}
	if err != nil {
		m.refused.WithLabelValues(door, string(reject.CodeOf(err))).Inc()
		return
	}
	m.objects.WithLabelValues(door, string(rec.Status)).Inc()
	m.bytes.WithLabelValues(door).Add(float64(rec.Bytes))
	m.duration.WithLabelValues(door).Observe(took.Seconds())
	m.size.Observe(float64(rec.Bytes))
}

func (m *Metrics) adopted() {
	if m != nil {
		m.orphans.Inc()
	}
}
