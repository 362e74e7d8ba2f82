package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/storage/blob"
)

type reindexCmd struct {
	engineFlags
	From   string `help:"What to make the index from: log, or blobs when the log is gone too; then the log is made first." enum:"log,blobs" default:"log"`
	DryRun bool   `help:"Say what would be done, and do nothing."`
	JSON   bool   `help:"Print JSON lines: progress, and at last the result." name:"json"`
}

// reindexResult is the last line of --json.
type reindexResult struct {
	From   string               `json:"from"`
	DryRun bool                 `json:"dry_run"`
	Plan   *reindexPlan         `json:"plan,omitempty"`
	Blobs  *rebuild.BlobsResult `json:"blobs,omitempty"`
	Index  *rebuild.Result      `json:"index,omitempty"`
}

// reindexPlan is what there is to do.
type reindexPlan struct {
	Records       int64   `json:"records_at_most"` // in the log now
	Objects       int64   `json:"objects"`         // --from blobs: that are to have an event, with decisions
	Bytes         int64   `json:"bytes"`           // of those, to be read
	IndexBytes    int64   `json:"index_bytes"`     // of the index in use, which stays until the new one is whole
	Begun         bool    `json:"begun"`           // an earlier run began, and is gone on with
	AboutSeconds  float64 `json:"about_seconds"`
	perRecord     time.Duration
	perObject     time.Duration
	bytesASeconds int64
}

// What the work costs on two cores of 2024, rounded up (docs/benchmarks.md): the estimate of --dry-run.
var costs = reindexPlan{perRecord: 100 * time.Microsecond, perObject: 400 * time.Microsecond, bytesASeconds: 400 << 20}

// Run makes the index again.
func (c *reindexCmd) Run(ctx context.Context, std streams) (err error) {
	at, err := c.places()
	if err != nil {
		return err
	}
	if c.From == "log" && !at.log.shared() && !exists(at.log.path) {
		return fmt.Errorf("there is no log at %s; when it is lost, --from blobs makes it again", at.log)
	}
	o, err := openOffline(ctx, at, std, !c.DryRun)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	result := reindexResult{From: c.From, DryRun: c.DryRun}
	plan, err := o.plan(ctx, c.From == "blobs")
	if err != nil {
		return err
	}
	if c.DryRun {
		result.Plan = &plan
		return c.tell(std, result)
	}
	if c.From == "blobs" {
		watch := show(std, c.JSON, "blobs", plan.Objects, plan.Bytes)
		made, err := o.refill(ctx, func(blobs, bytes int) {
			watch.items.Add(int64(blobs))
			watch.bytes.Add(int64(bytes))
		})
		watch.finish()
		result.Blobs = &made
		if err != nil {
			return goOn(err)
		}
		if plan.Records, err = o.records(ctx); err != nil {
			return err
		}
	}
	watch := show(std, c.JSON, "index", plan.Records, 0)
	done, err := o.reindex(ctx, func(records int) { watch.items.Add(int64(records)) })
	watch.finish()
	if err != nil {
		return goOn(err)
	}
	result.Index = &done
	if err := c.tell(std, result); err != nil {
		return err
	}
	if result.Blobs != nil && result.Blobs.Failed > 0 {
		return fmt.Errorf("%d blobs are damaged and have no event; tributary fsck names what is wrong", result.Blobs.Failed)
	}
	return nil
}

// goOn says that nothing is lost.
func goOn(err error) error {
	return fmt.Errorf("%w (what is done is kept; the same command goes on)", err)
}

// plan counts what there is to do.
func (o *offline) plan(ctx context.Context, blobs bool) (p reindexPlan, err error) {
	if p.Records, err = o.records(ctx); err != nil {
		return p, err
	}
	if info, err := os.Stat(o.places.index.path); err == nil && !o.places.index.shared() {
		p.IndexBytes = info.Size()
	}
	p.Begun = !o.places.index.shared() && exists(o.places.index.path+".new")
	if blobs {
		err := o.blobs.List(ctx, time.Time{}, func(info blob.Info) error {
			if ingest.OwnEvent(info.Meta) {
				p.Objects++
				p.Bytes += info.Bytes
			}
			return nil
		})
		if err != nil && !errors.Is(err, blob.ErrCorrupt) {
			return p, fmt.Errorf("list blobs: %w", err)
		}
	}
	took := time.Duration(max(p.Records, p.Objects))*costs.perRecord + time.Duration(p.Objects)*costs.perObject
	p.AboutSeconds = took.Seconds() + float64(p.Bytes)/float64(costs.bytesASeconds)
	return p, nil
}

// tell prints the result.
func (c *reindexCmd) tell(std streams, r reindexResult) error {
	if c.JSON {
		return json.NewEncoder(std.out).Encode(r)
	}
	if p := r.Plan; p != nil {
		if r.From == "blobs" {
			fmt.Fprintf(std.out, "would read %d objects and decisions (%s) and make the events that are missing in the log\n", p.Objects, byteCount(p.Bytes))
		}
		fmt.Fprintf(std.out, "would make the index anew from at most %d records; the one in use (%s) stays until the new one is whole\n",
			max(p.Records, p.Objects), byteCount(p.IndexBytes))
		if p.Begun {
			fmt.Fprintln(std.out, "an earlier run began; it is gone on with")
		}
		fmt.Fprintf(std.out, "about %v\n", time.Duration(p.AboutSeconds*float64(time.Second)).Round(time.Second))
		return nil
	}
	if b := r.Blobs; b != nil {
		fmt.Fprintf(std.out, "log: %d events made from blobs (%s), %d were there, %d blobs failed\n", b.Made, byteCount(b.Bytes), b.Known, b.Failed)
		for _, f := range b.Failures {
			fmt.Fprintf(std.out, "  %s: %s\n", f.Key, f.Err)
		}
	}
	if x := r.Index; x != nil {
		fmt.Fprintf(std.out, "index: made from %d records of %s\n", x.Records, counted(int64(x.Partitions), "partition"))
		if x.Resumed {
			fmt.Fprintln(std.out, "index: went on where an earlier run stopped")
		}
		if x.Unreadable > 0 {
			fmt.Fprintf(std.out, "index: %d records can never be applied, the first in partition %d at %d\n",
				x.Unreadable, x.FirstUnreadable.Partition, x.FirstUnreadable.Offset)
		}
	}
	return nil
}

// counted is a number with what it counts: "1 partition", "8 partitions".
func counted(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.FormatInt(n, 10) + " " + what
}
