package sim

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/indexer"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
)

// Node is one process of Tributary, from its start to its crash.
type Node struct {
	w      *World
	name   string
	clock  *wallClock
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	dead   atomic.Bool

	blobs  blob.Store // without the turns; set by start
	log    busOf
	db     dbOf
	stage  *indexer.Indexer
	intake *ingest.Intake
	ready  atomic.Bool // it takes objects

	version int         // of its parsers; 0 is this release's
	jobs    atomic.Bool // it reprocesses
}

// allTime is the until of a look for orphans at a start: no door is open yet, so every blob without an event is one,
// also those that a clock which has gone back stamped with what is now the future.
var allTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// boot starts a node. It is ready some turns later.
func (w *World) boot(i int) {
	n := &Node{w: w, name: fmt.Sprintf("node-%d", i), clock: w.clocks[i]}
	if w.opt.Releases {
		n.version = 1 + w.rng.IntN(releases)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	w.nodes[i] = n
	n.wg.Go(n.start)
}

// kill ends a node as SIGKILL does: what it has asked an engine for may or may not have happened.
func (n *Node) kill() {
	n.dead.Store(true)
	n.cancel()
	n.w.turns.release(n)
	n.wg.Wait()
	delete(n.w.pending, n)
}

// start does what the command does: blobs, then the index, then orphans, then the doors. What fails is tried again,
// as the janitor and a supervisor would.
func (n *Node) start() {
	for ; ; _ = n.pause(time.Second) {
		if n.w.turns.await(n, "start") != nil {
			return
		}
		store, err := n.w.openBlobs(n)
		if err == nil {
			n.blobs = store
			break
		}
		if n.w.disk.Crashed() {
			return
		}
	}
	n.log, n.db = busOf{n.w.bus, n}, dbOf{n.w.db, n}
	n.stage = indexer.New(indexer.Config{Log: n.log, Index: n.db, Source: n.name, Version: "sim", Batch: 32})
	n.intake = n.newIntake(n.version)
	n.wg.Go(func() {
		for ; n.ctx.Err() == nil; _ = n.pause(time.Second) { // a supervisor
			if err := n.stage.Run(n.ctx); err != nil && !n.dead.Load() {
				n.w.note("stage of %s: %v", n.name, err)
			}
		}
	})
	for part := range n.w.bus.parts {
		head := n.w.bus.head(part)
		for head.Offset > 0 && n.stage.WaitApplied(n.ctx, head) != nil {
			if n.pause(time.Second) != nil {
				return
			}
		}
	}
	for n.w.opt.Lie != NoAdoption && n.adopt() != nil {
		if n.pause(time.Second) != nil {
			return
		}
	}
	n.ready.Store(true)
}

// pause sleeps; its error is that of a node that died meanwhile.
func (n *Node) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.ctx.Done():
	}
	return n.ctx.Err()
}

// adopt looks for orphans once.
func (n *Node) adopt() error {
	found, err := n.intake.AdoptOrphans(n.ctx, shelf{n.blobs, n}, n.log, time.Time{}, allTime)
	n.w.adopted.Add(int64(found))
	return err
}

// openBlobs opens what the world has for blobs.
func (w *World) openBlobs(n *Node) (blob.Store, error) {
	if w.opt.Engine == S3 {
		return w.s3, nil
	}
	o := dirblob.Options{
		// Packs close after a few records, so that every kind of event happens within a few calls.
		FS: w.disk, SmallBytes: 12 << 10, PackBytes: 40 << 10, PrewriteBytes: 16 << 10, BufferBytes: 64 << 10, Now: n.clock.now,
	}
	if w.opt.Lie == SkipSync {
		o.FS = forgetful{w.disk}
	}
	return dirblob.Open("/blobs", o)
}

// caughtUp tells whether the index has all that the log has.
func (w *World) caughtUp(ctx context.Context) (bool, error) {
	for n := range w.bus.parts {
		applied, err := w.db.db.Applied(ctx, event.TopicInstances, int32(n))
		if err != nil || max(applied, 0) < w.bus.head(n).Offset {
			return false, err
		}
	}
	return true, nil
}
