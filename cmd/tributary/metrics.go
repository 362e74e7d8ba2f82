package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-dicom/tributary/dimse"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
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

// registerSpool shows how a shared log is, and what waits for it.
func registerSpool(reg prometheus.Registerer, stats func() kafkalog.Stats) {
	for _, g := range []struct {
		name, help string
		value      func(kafkalog.Stats) float64
	}{
		{"tributary_log_up", "1 while the shared log answers.", func(s kafkalog.Stats) float64 {
			if s.BrokersUp {
				return 1
			}
			return 0
		}},
		{"tributary_log_spool_events", "Events of this node that wait for the shared log.", func(s kafkalog.Stats) float64 { return float64(s.SpoolRecords) }},
		{"tributary_log_spool_bytes", "About their bytes.", func(s kafkalog.Stats) float64 { return float64(s.SpoolBytes) }},
		{"tributary_log_spool_limit_bytes", "Bytes of waiting events beyond which nothing is taken in.", func(s kafkalog.Stats) float64 { return float64(s.SpoolLimit) }},
		{"tributary_log_spool_age_seconds", "Age of the oldest event that waits.", func(s kafkalog.Stats) float64 { return s.SpoolAge.Seconds() }},
	} {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 { return g.value(stats()) }))
	}
}

// engineCollector asks the engines how they are whenever somebody collects.
type engineCollector struct {
	up  *prometheus.Desc
	ask func(ctx context.Context) map[string]error
}

func newEngineCollector(ask func(ctx context.Context) map[string]error) engineCollector {
	return engineCollector{prometheus.NewDesc("tributary_engine_up", "1 while the engine can do what this node needs of it.", []string{"engine"}, nil), ask}
}

func (c engineCollector) Describe(descs chan<- *prometheus.Desc) { descs <- c.up }

func (c engineCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for name, err := range c.ask(ctx) {
		up := 1.0
		if err != nil {
			up = 0
		}
		metrics <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up, name)
	}
}
