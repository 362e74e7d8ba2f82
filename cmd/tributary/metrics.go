package main

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-dicom/tributary/dimse"
)

// dimseMetrics are the upper layer's figures for Prometheus.
type dimseMetrics struct {
	open     prometheus.Gauge
	ended    *prometheus.CounterVec
	refused  *prometheus.CounterVec
	failed   *prometheus.CounterVec
	messages *prometheus.CounterVec
	panics   prometheus.Counter
}

func newDIMSEMetrics(reg prometheus.Registerer) *dimseMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &dimseMetrics{
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_dimse_associations_open", Help: "Associations that are open now.",
		}),
		ended:    counter("tributary_dimse_associations_total", "Associations that ended, by how.", "end"),
		refused:  counter("tributary_dimse_associations_rejected_total", "A-ASSOCIATE-RJ sent, by its codes.", "code"),
		failed:   counter("tributary_dimse_requests_failed_total", "Connections that never became an Association, by how they ended.", "end"),
		messages: counter("tributary_dimse_messages_total", "Messages answered, by command and status.", "command", "status"),
		panics:   prometheus.NewCounter(prometheus.CounterOpts{Name: "tributary_dimse_panics_total", Help: "Panics that ended an Association: bugs."}),
	}
	reg.MustRegister(m.open, m.ended, m.refused, m.failed, m.messages, m.panics)
	return m
}

func (m *dimseMetrics) AssociationOpened() { m.open.Inc() }

func (m *dimseMetrics) AssociationClosed(how dimse.End, _ time.Duration) {
	m.open.Dec()
	m.ended.WithLabelValues(string(how)).Inc()
}

func (m *dimseMetrics) AssociationRefused(rj dimse.AssociateRJ) {
	m.refused.WithLabelValues(fmt.Sprintf("%d,%d,%d", rj.Result, rj.Source, rj.Reason)).Inc()
}

func (m *dimseMetrics) RequestFailed(how dimse.End) { m.failed.WithLabelValues(string(how)).Inc() }

func (m *dimseMetrics) MessageServed(field dimse.CommandField, status uint16, _ int64, _ time.Duration) {
	command := map[dimse.CommandField]string{dimse.CEchoRQ: "C-ECHO", dimse.CStoreRQ: "C-STORE"}[field]
	if command == "" {
		command = "other"
	}
	m.messages.WithLabelValues(command, fmt.Sprintf("%04X", status)).Inc()
}

func (m *dimseMetrics) HandlerPanicked() { m.panics.Inc() }
