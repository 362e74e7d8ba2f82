package s3blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// Store keeps blobs in a bucket. Any number of stores, in any number of processes, may share one.
type Store struct {
	client *client
	cfg    Config
	opt    Options
	buffer budget
	health health
	doubts doubts
	known  knownTimes
	cache  recordCache

	ctx    context.Context // ends with Close
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	closed atomic.Bool

	mu      sync.Mutex
	uploads map[string]bool // multipart uploads of this store that are under way, by id
}

var _ blob.Store = (*Store)(nil)

// Open opens the bucket that a URL names (see ParseURL) and writes a small object to it, so that wrong rights
// show at once. A server that does not answer is no error: the store is then away (see Ready), and comes
// back by itself. Uploads that were left unfinished a day ago are removed in the background.
func Open(ctx context.Context, rawURL string, opt Options) (*Store, error) {
	cfg, err := ParseURL(rawURL, os.Getenv)
	if err != nil {
		return nil, err
	}
	opt = opt.withDefaults()
	c, err := newClient(ctx, cfg, opt)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	s := &Store{client: c, cfg: cfg, opt: opt, uploads: map[string]bool{}}
	s.buffer.max = opt.BufferBytes
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.health = health{ctx: s.ctx, wg: &s.wg, log: opt.Log, probe: s.probe}
	switch err := s.probe(ctx); {
	case err == nil:
		s.health.heard(nil)
	case ctx.Err() != nil:
		return nil, errors.Join(ctx.Err(), s.Close())
	case judge(err) == passing, judge(err) == full:
		s.health.refuse(err)
	default:
		return nil, errors.Join(explain(ctx, "open blob store: write to the bucket", err, true), s.Close())
	}
	s.wg.Go(s.sweepAtOpen)
	return s, nil
}

// probe writes a small object.
func (s *Store) probe(ctx context.Context) error {
	p := &part{budget: &s.buffer, limit: chunkBytes, dir: s.opt.TempDir, sum: s.client.algorithm.start()}
	defer p.free()
	if err := p.write([]byte(rand.Text()), func() bool { return false }); err != nil {
		return err
	}
	ctx, w := newWatch(ctx, min(probeTimeout, s.opt.Timeout))
	defer w.end()
	err := s.client.put(ctx, w, probeName, p, "", false)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// join makes a context that ends with ctx and with the store, whose cause says which.
func (s *Store) join(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	return ctx.Err()
}

// Ready returns nil when the store takes blobs, as far as it heard within the last ten seconds. Otherwise it
// asks the server, for five seconds at most. It reads only: where a bucket keeps versions, writing at every
// look would fill it.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.away(); err != nil || s.health.fresh() {
		return err
	}
	ctx, cancel := s.join(ctx)
	defer cancel()
	err := s.once(ctx, min(probeTimeout, s.opt.Timeout), func(ctx context.Context, _ *watch) error {
		_, err := s.client.core.StatObject(ctx, s.client.bucket, s.client.name(probeName), minio.StatObjectOptions{})
		return err
	})
	if err == nil || judge(err) == missing { // somebody tidied up
		return nil
	}
	if context.Cause(ctx) == nil {
		s.health.refuse(err)
	}
	return explain(ctx, "blob store", err, true)
}

// away returns why no blob can be begun, at once.
func (s *Store) away() error {
	if err := s.health.cause(); err != nil {
		return explain(s.ctx, "blob store", err, true)
	}
	return nil
}

// Stat returns a blob's description. It checks the record, not the payload.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := s.usable(ctx); err != nil {
		return blob.Info{}, err
	}
	if err := s.visible(key); err != nil {
		return blob.Info{}, err
	}
	ctx, cancel := s.join(ctx)
	defer cancel()
	r, err := s.fetchRecord(ctx, key)
	if err == nil {
		var info blob.Info
		if info, err = r.info(key); err == nil {
			return info, nil
		}
	}
	return blob.Info{}, explain(ctx, "blob "+key, err, false)
}

// visible refuses keys that this store never gave out, and those of blobs whose commit failed.
func (s *Store) visible(key string) error {
	if _, err := parseKey(key); err != nil {
		return err
	}
	if s.doubts.has(key) {
		return fmt.Errorf("blob %s: %w", key, blob.ErrNotFound)
	}
	return nil
}

// Delete forgets a blob. Where the bucket keeps versions, the server keeps the bytes until its rules remove
// them.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if _, err := parseKey(key); err != nil {
		return err
	}
	ctx, cancel := s.join(ctx)
	defer cancel()
	s.cache.forget(key)
	if err := s.remove(ctx, key); err != nil {
		return explain(ctx, "delete blob "+key, err, true)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, key string) error {
	err := s.do(ctx, 0, func(ctx context.Context, _ *watch) error {
		return s.client.core.RemoveObject(ctx, s.client.bucket, s.client.name(key), minio.RemoveObjectOptions{})
	})
	if err != nil && judge(err) == missing {
		return nil
	}
	return err
}

// Close ends what is under way. Blobs that are not committed are lost, and what they sent is removed by a
// later Sweep, or by their Abort.
func (s *Store) Close() error {
	s.mu.Lock()
	before := s.closed.Swap(true)
	s.mu.Unlock()
	if before {
		return nil
	}
	s.health.stop()
	s.cancel(ErrClosed)
	s.wg.Wait()
	s.client.transport.CloseIdleConnections()
	return nil
}

// background runs f, which must heed the context that it gets, unless the store is closed.
func (s *Store) background(f func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return
	}
	s.wg.Go(func() { f(s.ctx) })
}

// doubts are blobs whose commit failed, while it is not known whether the server has them. They are out of
// sight until they are deleted. When that fails for too long, they are blobs like any other, for a
// janitor to adopt.
type doubts struct {
	mu   sync.Mutex
	keys map[string]bool
}

func (d *doubts) add(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil {
		d.keys = map[string]bool{}
	}
	d.keys[key] = true
}

func (d *doubts) clear(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.keys, key)
}

func (d *doubts) has(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[key]
}

// discard removes a blob whose commit failed, if it is there. It may only do so before some janitor can
// have adopted it: afterwards an event may tell of it.
func (s *Store) discard(key string, created time.Time) {
	s.doubts.add(key)
	s.background(func(ctx context.Context) {
		defer s.doubts.clear(key)
		for wait := probeFirst; s.opt.Now().Sub(created) < adoptAfter && s.opt.Now().After(created.Add(-time.Minute)); wait = min(2*wait, probeMost) {
			err := s.once(ctx, s.opt.Timeout, func(ctx context.Context, _ *watch) error {
				return s.client.core.RemoveObject(ctx, s.client.bucket, s.client.name(key), minio.RemoveObjectOptions{})
			})
			if err == nil || judge(err) == missing || sleep(ctx, wait) != nil {
				return
			}
		}
		s.opt.Log.Warn("a blob whose commit failed may be there; it will be adopted", "blob", key)
	})
}
