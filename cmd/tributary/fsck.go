package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/index"
)

type fsckCmd struct {
	engineFlags
	Sample int           `help:"How many objects are read and hashed again, chosen by chance (default: ${default})." default:"1000" placeholder:"N"`
	Full   bool          `help:"Read and hash all of them, and the attachments."`
	Repair bool          `help:"Mend what can be mended safely; bytes of objects are never touched."`
	Keep   time.Duration `help:"With --repair: how old a header or layout that nothing names must be to be removed." default:"24h"`
	List   int           `help:"How many findings of a kind are listed; all are counted (default: ${default})." default:"1000" placeholder:"N"`
	JSON   bool          `help:"Print the report as JSON." name:"json"`
	Settle time.Duration `help:"How old a blob must be to be missed in a log that others write too; 0 when no node runs." hidden:"" default:"1m"`
}

// Run audits, and fails when something is wrong.
func (c *fsckCmd) Run(ctx context.Context, std streams) (err error) {
	at, err := c.places()
	if err != nil {
		return err
	}
	if c.Sample < 0 || c.List <= 0 || c.Keep < 0 || c.Settle < 0 {
		return usagef("--sample, --keep and --settle are not less than 0, --list is not less than 1")
	}
	swept := 0
	if !at.blobs.shared() {
		swept = files(filepath.Join(at.blobs.path, "tmp"))
	}
	o, err := openOffline(ctx, at, std, c.Repair)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	engines := audit.Engines{Blobs: o.blobs, Log: o.source, Kept: ingest.Kept}
	if engines.NoIndex, err = o.openIndexAsItIs(ctx); err != nil {
		return err
	}
	if o.index != nil {
		engines.Index = o.index
	}
	opt := audit.Options{Sample: c.Sample, Full: c.Full, Most: c.List}
	if opt.Found, err = spooled(ctx, at); err != nil {
		return err
	}
	if at.blobs.shared() || at.log.shared() {
		opt.Settle = c.Settle
	}
	if exists(at.state) {
		opt.Dir = at.state
	}
	report, err := c.look(ctx, std, o, engines, opt)
	if report == nil {
		return err
	}
	if bucket, ok := o.blobs.(sweeper); ok && c.Repair {
		n, err := bucket.Sweep(ctx, c.Keep)
		did := audit.Action{Code: audit.Leftover, Did: "ended uploads to the bucket that were broken off", Count: int64(n)}
		if err != nil {
			did.Error = err.Error()
		}
		report.Actions = append(report.Actions, did)
	}
	if swept > 0 {
		report.Actions = append(report.Actions, audit.Action{Code: audit.Leftover, Did: "swept unfinished writes of the blob folder, as each start does", Count: int64(swept)})
	}
	if c.JSON {
		err = errors.Join(err, printJSON(std.out, report))
	} else {
		err = errors.Join(err, report.WriteText(std.out))
	}
	if err != nil {
		return err
	}
	return verdict(report, c.Repair)
}

// sweeper is a blob store with unfinished uploads that nobody sees; s3blob.Store is one.
type sweeper interface {
	Sweep(ctx context.Context, olderThan time.Duration) (int, error)
}

// spooled finds events that this node keeps for a shared log. A spool that a node has is the node's to drain.
func spooled(ctx context.Context, at places) ([]audit.Finding, error) {
	if !at.log.shared() || !exists(at.spool) {
		return nil, nil
	}
	spool, err := locallog.Open(ctx, at.spool, locallog.Options{})
	if errors.Is(err, locallog.ErrInUse) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open spool %s: %w", at.spool, err)
	}
	defer spool.Close()
	n, _, err := spool.Usage(ctx, event.TopicInstances)
	if err != nil || n == 0 {
		return nil, err
	}
	return []audit.Finding{{Code: audit.SpoolUndrained, Detail: fmt.Sprintf("%d events in %s", n, at.spool)}}, nil
}

// look runs the audit with its progress.
func (c *fsckCmd) look(ctx context.Context, std streams, o *offline, engines audit.Engines, opt audit.Options) (*audit.Report, error) {
	phase, watch := "", startProgress(std.err, true, "", 0, 0)
	defer func() { watch.finish() }()
	opt.Tell = func(now string, done int64) {
		if now != phase {
			watch.finish()
			phase, watch = now, startProgress(std.err, c.JSON, "fsck: "+now, 0, 0)
		}
		watch.items.Store(done)
	}
	if !c.Repair {
		return audit.Verify(ctx, engines, opt)
	}
	intake := o.intake()
	return audit.Repair(ctx, engines, opt, audit.Tools{
		Adopt: intake.Adopt, Redescribe: intake.Redescribe, Remove: o.blobs.Delete, Keep: c.Keep,
		Index: func(ctx context.Context, anew bool) (int64, error) {
			if anew {
				done, err := o.reindex(ctx, nil)
				return done.Records, err
			}
			done, err := rebuild.FromLog(ctx, o.source, o.index, rebuild.Options{})
			return done.Records, err
		},
	})
}

// openIndexAsItIs opens the index without mending it, and says why there is none.
func (o *offline) openIndexAsItIs(ctx context.Context) (none string, err error) {
	if o.places.index.shared() {
		o.index, err = index.OpenPostgres(ctx, o.places.index.url, index.Options{})
		return "", err
	}
	path := o.places.index.path
	if !exists(path) {
		return "there is none at " + path, nil
	}
	o.index, err = index.OpenSQLite(ctx, path, index.Options{})
	if errors.Is(err, index.ErrDamaged) {
		return err.Error(), nil
	}
	if err != nil {
		return "", fmt.Errorf("open index %s: %w", path, err)
	}
	return "", nil
}

// verdict is nil when nothing is wrong, or all of it was mended.
func verdict(r *audit.Report, repaired bool) error {
	var all, left int64
	for code, n := range r.Counts {
		all += n
		if _, mends := code.Advice(); !mends {
			left += n
		}
	}
	failed := 0
	for _, a := range r.Actions {
		if a.Error != "" {
			failed++
		}
	}
	switch {
	case all == 0 && failed == 0:
		return nil
	case !repaired:
		return fmt.Errorf("%d findings", all)
	case failed > 0:
		return fmt.Errorf("%d findings; %d repairs failed", all, failed)
	case left > 0:
		return fmt.Errorf("%d findings; %d of them are left to people", all, left)
	}
	return nil
}

// files counts what lies in a folder.
func files(dir string) int {
	names, _ := os.ReadDir(dir) // one that is not there has none
	return len(names)
}
