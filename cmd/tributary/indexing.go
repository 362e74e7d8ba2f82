package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
)

// Pauses between tries of an index stage that cannot go on, and how long one must work to count as well.
const (
	stageFirst = time.Second
	stageMost  = 30 * time.Second
	stageWell  = 20 * time.Second
)

// indexing runs the index stage until ctx ends. With a log of the node's own its error ends the node: nothing
// else is there to mend it. With a shared one the doors stay open, readiness tells what is wrong, and the stage
// is tried again: people mend the index from wherever they are (fsck --repair).
func (n *node) indexing(ctx context.Context) error {
	for pause := stageFirst; ; pause = min(2*pause, stageMost) {
		well := time.AfterFunc(stageWell, func() { n.stuck.Store(nil) })
		err := n.indexer.Run(ctx)
		well.Stop()
		if err == nil || ctx.Err() != nil || n.local != nil || errors.Is(err, eventlog.ErrClosed) {
			return err
		}
		n.stuck.Store(&err)
		n.cfg.log.Error("the index stage stands still and is tried again", "error", err.Error())
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// ready asks the engines that roles need; nil for those that are well. Doors do without a shared log, for as
// long as the spool has room; the index stage does not.
func (n *node) ready(ctx context.Context, roles []string) map[string]error {
	said := n.engines.ready(ctx, enginesOf(roles))
	if !slices.Contains(roles, roleIndex) {
		return said
	}
	if n.kafka != nil && said["log"] == nil && !n.kafka.Stats().BrokersUp {
		if _, said["log"] = n.kafka.State(); said["log"] == nil {
			said["log"] = kafkalog.ErrUnavailable
		}
	}
	if stuck := n.stuck.Load(); stuck != nil && said["index"] == nil {
		said["index"] = *stuck
	}
	return said
}

// wellness is what is said of an engine that is ready: a shared log may be so by its spool alone.
func (n *node) wellness(engine string) string {
	if engine == "log" && n.kafka != nil {
		if health, why := n.kafka.State(); health == kafkalog.Degraded {
			return "degraded: " + why.Error()
		}
	}
	return "ok"
}
