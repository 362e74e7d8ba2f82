package rebuild

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Shelf lists the blobs that are to have an event: objects and decisions.
type Shelf interface {
	Each(ctx context.Context, fn func(key string, bytes int64) error) error
}

// Maker appends the event of a blob to the log; ingest.Intake has it.
type Maker interface {
	Adopt(ctx context.Context, key string) error
}

// Keys is a set of blob keys, which may be far more than memory holds.
type Keys interface {
	Add(ctx context.Context, keys ...string) error
	Has(ctx context.Context, key string) (bool, error)
}

// Blobs is what FromBlobs works with. All but the last three are required.
type Blobs struct {
	Log   Log
	Shelf Shelf
	Maker Maker
	Keys  Keys // empty

	// OfBlob tells whether an error is about one blob alone (it is damaged, or gone meanwhile). The others
	// go on then; any other error ends the run. nil ends it always.
	OfBlob func(error) bool

	Workers int                    // blobs that are read at a time; 0 means as many as there are CPUs
	Done    func(blobs, bytes int) // hears of each blob that has its event now; nil for nobody
}

// maxFailures bounds the failures that are told one by one.
const maxFailures = 100

// Failure is a blob that got no event.
type Failure struct {
	Key string `json:"blob"`
	Err string `json:"error"`
}

// BlobsResult is what FromBlobs did.
type BlobsResult struct {
	Known    int64     `json:"known"` // blobs that had their event
	Made     int64     `json:"made"`  // events made
	Bytes    int64     `json:"bytes"` // read for them
	Failed   int64     `json:"failed"`
	Failures []Failure `json:"failures,omitempty"` // the first hundred
}

// FromBlobs gives an event to every blob that has none in the log: to all of them where the log is new.
// Events come in no particular order, which the index does not mind. A run that was killed is gone on
// with by the next one, since what it made is in the log.
func FromBlobs(ctx context.Context, b Blobs) (BlobsResult, error) {
	if b.Workers <= 0 {
		b.Workers = runtime.GOMAXPROCS(0)
	}
	if b.OfBlob == nil {
		b.OfBlob = func(error) bool { return false }
	}
	if b.Done == nil {
		b.Done = func(int, int) {}
	}
	known, err := Announced(ctx, b.Log, b.Keys)
	if err != nil {
		return BlobsResult{}, err
	}
	var mu sync.Mutex
	var result BlobsResult
	fail := func(key string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if result.Failed++; result.Failed <= maxFailures {
			result.Failures = append(result.Failures, Failure{key, err.Error()})
		}
	}
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(b.Workers)
	err = b.Shelf.Each(working, func(key string, bytes int64) error {
		if known > 0 {
			switch has, err := b.Keys.Has(working, key); {
			case err != nil:
				return err
			case has:
				result.Known++ // of this goroutine alone
				return nil
			}
		}
		g.Go(func() error {
			if err := b.Maker.Adopt(working, key); err != nil {
				if working.Err() == nil && b.OfBlob(err) {
					fail(key, err)
					return nil
				}
				return fmt.Errorf("make the event of %s: %w", key, err)
			}
			mu.Lock()
			result.Made++
			result.Bytes += bytes
			mu.Unlock()
			b.Done(1, int(bytes))
			return nil
		})
		return working.Err()
	})
	if werr := g.Wait(); werr != nil {
		return result, werr
	}
	if err != nil && b.OfBlob(err) {
		fail("", err) // the others were listed
		err = nil
	}
	if err != nil {
		return result, fmt.Errorf("list blobs: %w", err)
	}
	return result, nil
}

// Announced adds the keys of all blobs that have an event in the log to a set, and returns how many events
// there are.
func Announced(ctx context.Context, log Log, keys Keys) (events int64, err error) {
	err = Each(ctx, log, func(records []eventlog.Record) error {
		some := make([]string, 0, len(records))
		for i := range records {
			if key, err := event.BlobKey(records[i].Event); err == nil {
				some = append(some, key)
			}
		}
		events += int64(len(records))
		return keys.Add(ctx, some...)
	})
	return events, err
}

// Each calls fn for all records of the instances topic that are there now, in batches, partition by
// partition.
func Each(ctx context.Context, log Log, fn func([]eventlog.Record) error) error {
	heads, err := log.Heads(ctx, event.TopicInstances)
	if err != nil {
		return fmt.Errorf("find the ends of the log: %w", err)
	}
	for _, head := range heads {
		from := eventlog.Position{Topic: event.TopicInstances, Partition: head.Partition}
		for from.Offset <= head.Offset {
			records, err := log.ReadFrom(ctx, event.TopicInstances, from, 512)
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if len(records) == 0 {
				break
			}
			from.Offset = records[len(records)-1].Offset + 1
			if err := fn(records); err != nil {
				return err
			}
		}
	}
	return nil
}
