package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/kafkalog"
	"github.com/tributary-dicom/tributary/pipeline/eventlog/locallog"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob"
	"github.com/tributary-dicom/tributary/storage/blob/s3blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// eventLog is what a node needs of a log, wherever it is kept.
type eventLog interface {
	eventlog.Log
	// Since calls fn for every event of the instances topic made at or after t.
	Since(ctx context.Context, t time.Time, fn func(event.Envelope) error) error
	Ready(ctx context.Context) error
}

// engines are where a node keeps things.
type engines struct {
	places places
	blobs  blob.Store
	events eventLog
	local  *locallog.Log // events, when the log is this node's own; nil when it is shared
	kafka  *kafkalog.Log // events, when the log is shared
	spool  *locallog.Log // of kafka
	index  *index.DB
	log    *slog.Logger
}

// engineOptions of openEngines.
type engineOptions struct {
	reserve int64 // free disk space that is left alone, bytes
	log     *slog.Logger
}

// openEngines opens blobs, log and index, last of all the index, which is a view of the log.
func openEngines(ctx context.Context, at places, opt engineOptions) (e *engines, err error) {
	e = &engines{places: at, log: opt.log}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	for _, dir := range []string{at.state, filepath.Dir(at.spool), filepath.Dir(at.log.path), filepath.Dir(at.index.path)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return e, fmt.Errorf("make the data folder: %w", err)
		}
	}
	if err := e.openBlobs(ctx, opt); err != nil {
		return e, fmt.Errorf("open blobs %s: %w", at.blobs, err)
	}
	if err := e.openLog(ctx); err != nil {
		return e, fmt.Errorf("open log %s: %w", at.log, err)
	}
	if err := e.openIndex(ctx); err != nil {
		return e, fmt.Errorf("open index %s: %w", at.index, err)
	}
	return e, nil
}

// openBlobs opens the blob store. A folder is locked, so a second node on the same data ends here.
func (e *engines) openBlobs(ctx context.Context, opt engineOptions) error {
	if e.places.blobs.shared() {
		store, err := s3blob.Open(ctx, e.places.blobs.url, s3blob.Options{UserAgent: "tributary/" + version, Log: e.log})
		if err == nil {
			e.blobs = store
		}
		return err
	}
	store, err := dirblob.Open(e.places.blobs.path, dirblob.Options{ReserveBytes: opt.reserve, Log: e.log})
	if err == nil {
		e.blobs = store
	}
	return err
}

func (e *engines) openLog(ctx context.Context) error {
	if e.places.log.shared() {
		return e.openKafka(ctx)
	}
	log, err := locallog.Open(ctx, e.places.log.path, locallog.Options{Logger: e.log})
	if err == nil {
		e.local, e.events = log, log
	}
	return err
}

// openKafka opens the shared log, and this node's own one, which takes its place while Kafka is away.
func (e *engines) openKafka(ctx context.Context) error {
	spool, err := locallog.Open(ctx, e.places.spool, locallog.Options{Logger: e.log})
	if err != nil {
		return fmt.Errorf("open the spool %s: %w", e.places.spool, err)
	}
	e.spool = spool
	log, err := kafkalog.Open(ctx, e.places.log.url, kafkalog.Options{Spool: spool, Logger: e.log})
	if err == nil {
		e.kafka, e.events = log, log
	}
	return err
}

func (e *engines) openIndex(ctx context.Context) (err error) {
	if e.places.index.shared() {
		// Studies are taken in while it is away, also by a node that starts then.
		e.index, err = index.OpenPostgres(ctx, e.places.index.url, index.Options{Attachments: attachments{e.blobs}, Patient: true})
		return err
	}
	return e.openIndexFile(ctx)
}

// close closes what was opened, last first.
func (e *engines) close() error {
	var errs []error
	if e.index != nil {
		errs = append(errs, e.index.Close())
	}
	if e.events != nil {
		errs = append(errs, e.events.Close())
	}
	if e.spool != nil {
		errs = append(errs, e.spool.Close())
	}
	if e.blobs != nil {
		errs = append(errs, e.blobs.Close())
	}
	return errors.Join(errs...)
}

// engineOrder is how engines are told to people.
var engineOrder = []string{"blobs", "log", "index"}

// ready asks the named engines how they are, side by side; nil for those that are well.
func (e *engines) ready(ctx context.Context, names []string) map[string]error {
	ask := map[string]func(context.Context) error{"blobs": e.blobs.Ready, "log": e.events.Ready, "index": e.index.Ready}
	var mu sync.Mutex
	var asking sync.WaitGroup
	said := map[string]error{}
	for _, name := range names {
		asking.Go(func() {
			err := ask[name](ctx)
			mu.Lock()
			defer mu.Unlock()
			said[name] = err
		})
	}
	asking.Wait()
	return said
}

// adoptedMark is where the last look for orphans is noted.
func (e *engines) adoptedMark() string { return filepath.Join(e.places.state, "adopted-until") }
