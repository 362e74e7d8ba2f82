package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/pipeline/rebuild"
	"github.com/tributary-dicom/tributary/storage/audit"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// offline are a node's engines without the node, for fsck and reindex. What is embedded is locked against a
// node that runs, and by one.
type offline struct {
	*engines
	source rebuild.Log
}

// openOffline opens blobs and log. Where there is no log it is made if create is set; otherwise it counts
// as empty, and nothing is made.
func openOffline(ctx context.Context, at places, std streams, create bool) (o *offline, err error) {
	o = &offline{engines: &engines{places: at, log: slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))}}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	if !at.blobs.shared() && !exists(at.blobs.path) {
		return o, fmt.Errorf("there are no blobs in %s: name the data with --data, or with --blobs, --log and --index", at.blobs)
	}
	// A reserve is for a node: what is left here may be what a full disk is repaired with.
	if err := o.openBlobs(ctx, engineOptions{reserve: -1, log: o.log}); err != nil {
		return o, held(fmt.Errorf("open blobs %s: %w", at.blobs, err))
	}
	if !at.log.shared() && !exists(at.log.path) && !create {
		o.source = nothing{}
		return o, nil
	}
	for _, dir := range []string{at.state, filepath.Dir(at.log.path), filepath.Dir(at.index.path)} {
		if !create {
			break
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return o, fmt.Errorf("make the data folder: %w", err)
		}
	}
	if at.log.shared() {
		// Without a spool: that is a node's, and may be in use beside us.
		log, err := kafkalog.Open(ctx, at.log.url, kafkalog.Options{Logger: o.log})
		if err != nil {
			return o, fmt.Errorf("open log %s: %w", at.log, err)
		}
		o.events, o.source = log, rebuild.OfMany(log)
		return o, nil
	}
	log, err := locallog.Open(ctx, at.log.path, locallog.Options{Logger: o.log})
	if err != nil {
		return o, held(fmt.Errorf("open log %s: %w", at.log, err))
	}
	o.local, o.events, o.source = log, log, rebuild.Of(log)
	return o, nil
}

// held says what to do when a node has the data.
func held(err error) error {
	if errors.Is(err, locallog.ErrInUse) {
		return fmt.Errorf("%w: stop the node that uses it (tributary serve), then try again", err)
	}
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// nothing is a log that is not there.
type nothing struct{}

func (nothing) Heads(context.Context, string) ([]eventlog.Position, error) { return nil, nil }

func (nothing) ReadFrom(context.Context, string, eventlog.Position, int) ([]eventlog.Record, error) {
	return nil, nil
}

// intake makes events of blobs again; it admits nothing.
func (o *offline) intake() *ingest.Intake {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	return ingest.New(ingest.Config{Node: "/tributary/" + host, Logger: o.log}, o.blobs, o.events, nil)
}

// freshIndex is an index beside the one in use.
type freshIndex interface {
	rebuild.Index
	Swap() error    // closes it, in the place of the one in use
	Discard() error // closes and removes it
	Close() error   // closes it, to be gone on with
}

func (o *offline) freshIndex(ctx context.Context) (freshIndex, error) {
	if o.places.index.shared() {
		return index.FreshPostgres(ctx, o.places.index.url, index.Options{})
	}
	return index.FreshSQLite(ctx, o.places.index.path, index.Options{})
}

// reindex makes the index anew from the log and puts it in place. After an error the next call goes on.
func (o *offline) reindex(ctx context.Context, applied func(records int)) (rebuild.Result, error) {
	if !o.places.index.shared() && o.places.log.shared() && exists(o.places.spool) {
		// Neither bucket nor Kafka tells whether a node has our file open; its spool does.
		spool, err := locallog.Open(ctx, o.places.spool, locallog.Options{})
		if err != nil {
			return rebuild.Result{}, held(fmt.Errorf("open spool %s: %w", o.places.spool, err))
		}
		defer spool.Close()
	}
	if o.index != nil {
		if err := o.index.Close(); err != nil {
			return rebuild.Result{}, err
		}
		o.index = nil
	}
	fresh, err := o.freshIndex(ctx)
	if err != nil {
		return rebuild.Result{}, err
	}
	opt := rebuild.Options{Applied: applied}
	result, err := rebuild.FromLog(ctx, o.source, fresh, opt)
	if errors.Is(err, rebuild.ErrForeign) { // what an earlier run began is of a log that is not there any more
		if err := fresh.Discard(); err != nil {
			return result, err
		}
		if fresh, err = o.freshIndex(ctx); err != nil {
			return result, err
		}
		result, err = rebuild.FromLog(ctx, o.source, fresh, opt)
	}
	if err != nil {
		return result, errors.Join(err, fresh.Close())
	}
	return result, fresh.Swap()
}

// records is how many events the log has, at most: offsets may have gaps.
func (o *offline) records(ctx context.Context) (n int64, err error) {
	ends, err := o.source.Heads(ctx, event.TopicInstances)
	for _, p := range ends {
		n += p.Offset
		if o.local == nil {
			n++ // Kafka counts from 0
		}
	}
	return n, err
}

// ownEvents lists the blobs that are to have an event of their own.
type ownEvents struct{ blobs blob.Store }

func (s ownEvents) Each(ctx context.Context, fn func(key string, bytes int64) error) error {
	return s.blobs.List(ctx, time.Time{}, func(info blob.Info) error {
		if !ingest.OwnEvent(info.Meta) {
			return nil
		}
		return fn(info.Key, info.Bytes)
	})
}

// ofBlob tells whether an error is about one blob alone.
func ofBlob(err error) bool {
	return errors.Is(err, blob.ErrCorrupt) || errors.Is(err, blob.ErrNotFound) || errors.Is(err, ingest.ErrNoEvent)
}

// refill makes the events of all blobs that have none.
func (o *offline) refill(ctx context.Context, done func(blobs, bytes int)) (result rebuild.BlobsResult, err error) {
	if err := os.MkdirAll(o.places.state, 0o700); err != nil {
		return result, fmt.Errorf("make the state folder: %w", err)
	}
	keys, err := audit.NewKeys(ctx, o.places.state)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	return rebuild.FromBlobs(ctx, rebuild.Blobs{
		Log: o.source, Shelf: ownEvents{o.blobs}, Maker: o.intake(), Keys: keys, OfBlob: ofBlob, Done: done,
	})
}

// shown is progress of long work: a line that is drawn for a person, or JSON lines for a program.
type shown struct {
	*progress
	json    io.Writer
	stopped chan struct{}
	ended   chan struct{}
}

// jsonEvery is how often a program hears of progress.
const jsonEvery = time.Second

func show(std streams, asJSON bool, phase string, items, bytes int64) *shown {
	s := &shown{progress: startProgress(std.err, asJSON, phase, items, bytes)}
	if !asJSON {
		return s
	}
	s.json, s.stopped, s.ended = std.out, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(s.ended)
		tick := time.NewTicker(jsonEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.line()
			case <-s.stopped:
				return
			}
		}
	}()
	return s
}

func (s *shown) line() {
	fmt.Fprintf(s.json, `{"phase":%q,"done":%d,"total":%d,"bytes":%d,"total_bytes":%d}`+"\n",
		s.what, s.items.Load(), s.totalItems, s.bytes.Load(), s.totalBytes)
}

func (s *shown) finish() {
	s.progress.finish()
	if s.json != nil {
		close(s.stopped)
		<-s.ended
		s.line()
	}
}
