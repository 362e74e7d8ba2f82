package sim

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// errTimeout is what a caller hears when the answer did not come: the object may be there.
var errTimeout = fmt.Errorf("no answer in time: %w", blob.ErrUnavailable)

// errServer is a 500 or a 503 SlowDown: nothing was done.
var errServer = fmt.Errorf("status 503, SlowDown: %w", blob.ErrUnavailable)

// maxMeta bounds the JSON of a blob's meta, bytes, as blob.Meta says.
const maxMeta = 16 << 10

// listLag is how long an object may be missing from lists.
const listLag = 2 * time.Second

// simS3 is a blob store as S3 is one: atomic, strongly consistent by key, with lists that may lag, answers that get
// lost and days on which it says 500. Objects are stamped by its own clock.
type simS3 struct {
	w     *World
	clock wallClock

	mu      sync.Mutex
	objects map[string]object
	made    int
	closed  bool
}

var errClosed = errors.New("blob store is closed")

// usable tells why a call cannot be done: the store is closed, or the caller has gone.
func (s *simS3) usable(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	return ctx.Err()
}

type object struct {
	data  []byte
	info  blob.Info
	since time.Time // when it was made, by no clock that anybody reads
}

var _ blob.Store = (*simS3)(nil)

// Create implements blob.Store.
func (s *simS3) Create(ctx context.Context) (blob.Writer, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if s.w.chance(20) {
		return nil, errServer
	}
	return &s3Writer{s: s}, nil
}

type s3Writer struct {
	s     *simS3
	buf   bytes.Buffer
	spent bool
}

func (w *s3Writer) Write(p []byte) (int, error) {
	if w.spent {
		return 0, errors.New("writer is spent")
	}
	return w.buf.Write(p)
}

func (w *s3Writer) Abort() { w.spent = true }

func (w *s3Writer) Commit(ctx context.Context, meta blob.Meta) (blob.Info, error) {
	if w.spent {
		return blob.Info{}, errors.New("writer is spent")
	}
	w.spent = true
	if err := w.s.usable(ctx); err != nil {
		return blob.Info{}, err
	}
	if text, err := json.Marshal(meta); err != nil || len(text) > maxMeta {
		return blob.Info{}, fmt.Errorf("meta of %d bytes", len(text))
	}
	if w.s.w.chance(80) {
		return blob.Info{}, errServer
	}
	info := w.s.put(w.s.key(), w.buf.Bytes(), meta)
	if w.s.w.chance(50) {
		return blob.Info{}, errTimeout // after success
	}
	return info, nil
}

func (s *simS3) key() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return fmt.Sprintf("o/%06d", s.made)
}

func (s *simS3) put(key string, data []byte, meta blob.Meta) blob.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := object{bytes.Clone(data), blob.Info{Key: key, Bytes: int64(len(data)), Meta: maps.Clone(meta), Created: s.clock.now()}, time.Now()}
	s.objects[key] = o
	return o.info
}

func (s *simS3) get(key string) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return o, blob.ErrNotFound
	}
	return o, nil
}

// Open implements blob.Store.
func (s *simS3) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if s.w.chance(30) {
		return nil, errServer
	}
	if off < 0 {
		return nil, fmt.Errorf("offset %d", off)
	}
	o, err := s.get(key)
	if err := cmp.Or(s.usable(ctx), err); err != nil {
		return nil, err
	}
	b := o.data[min(off, int64(len(o.data))):]
	if n >= 0 {
		b = b[:min(n, int64(len(b)))]
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Stat implements blob.Store.
func (s *simS3) Stat(ctx context.Context, key string) (blob.Info, error) {
	o, err := s.get(key)
	if err != nil {
		return blob.Info{}, err
	}
	return o.info, s.usable(ctx)
}

// Delete implements blob.Store.
func (s *simS3) Delete(ctx context.Context, key string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return nil
}

// List implements blob.Store.
func (s *simS3) List(ctx context.Context, since time.Time, fn func(blob.Info) error) error {
	s.mu.Lock()
	keys := slices.Sorted(maps.Keys(s.objects))
	s.mu.Unlock()
	for i, key := range keys {
		if i > 0 && i%50 == 0 && s.w.chance(50) {
			return errServer // the next page
		}
		o, err := s.get(key)
		if err != nil || o.info.Created.Before(since) || s.w.faulty && time.Since(o.since) < listLag {
			continue
		}
		if err := fn(o.info); err != nil {
			return err
		}
	}
	return s.usable(ctx)
}

// Ready implements blob.Store.
func (s *simS3) Ready(ctx context.Context) error { return s.usable(ctx) }

// Close implements blob.Store.
func (s *simS3) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
