package main

import (
	"context"
	"fmt"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/desk"
	"github.com/tributary-dicom/tributary/pipeline/completeness"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/storage/index"
)

// completenessFlags say when a study counts as complete.
type completenessFlags struct {
	QuietPeriod string `help:"How long nothing of a study must have come until it counts as complete, by modality: US=2m,ECG=10s,*=2m (default: ECG=10s, CT, MR, PT and NM 5m, all others 2m)." env:"TRIBUTARY_QUIET_PERIOD" placeholder:"MODALITY=DURATION,…"`
}

// check reads the flags.
func (f completenessFlags) check() (completeness.Periods, error) {
	p, err := completeness.ParsePeriods(f.QuietPeriod)
	if err != nil {
		return p, fmt.Errorf("--quiet-period: %w", err)
	}
	return p, nil
}

// completing announces complete studies until ctx ends. It belongs to the role index: what it knows lies there.
func (n *node) completing(ctx context.Context) error {
	return completeness.Run(ctx, completeness.Config{
		Log: announcing{n.source(), n.events}, Index: completenessIndex{n.index}, Periods: n.cfg.periods,
		Source: "/tributary/" + n.cfg.Node, Version: version, Metrics: n.completeMetrics, Logger: n.cfg.log,
	})
}

// source is the log as it is read at any place.
func (n *node) source() rebuild.Log {
	if n.local != nil {
		return rebuild.Of(n.local)
	}
	return rebuild.OfMany(n.kafka)
}

// announcing is a log that is read at any place and appended to.
type announcing struct {
	rebuild.Log
	events eventlog.Log
}

func (a announcing) Append(ctx context.Context, events ...event.Envelope) ([]eventlog.Position, error) {
	return a.events.Append(ctx, events...)
}

// completenessIndex is the index in the words of the stage.
type completenessIndex struct{ *index.DB }

func (x completenessIndex) Open(ctx context.Context, q completeness.Query) ([]completeness.Study, error) {
	found, err := x.OpenStudies(ctx, index.OpenQuery{Urgent: q.Urgent, Until: q.Until, After: index.OpenStudy(q.After), Limit: q.Limit})
	studies := make([]completeness.Study, len(found))
	for i := range found {
		studies[i] = completeness.Study(found[i])
	}
	return studies, err
}

func (x completenessIndex) Whole(ctx context.Context, tenant, study string) (completeness.Whole, error) {
	w, err := x.WholeStudy(ctx, tenant, study)
	return completeness.Whole(w), err
}

func (x completenessIndex) Stats(ctx context.Context) (completeness.Stats, error) {
	s, err := x.OpenStats(ctx)
	return completeness.Stats(s), err
}

// completenessDoor reads what is known of studies, and hears that some were sent whole: each where the node has the
// role for it.
func (n *node) completenessDoor() desk.CompletenessConfig {
	cfg := desk.CompletenessConfig{Tenant: ingest.DefaultTenant, Logger: n.cfg.log}
	if n.cfg.has(roleReview) {
		cfg.States = n.index
	}
	if n.cfg.has(roleIntake) {
		cfg.Signals = n.intake
	}
	return cfg
}
