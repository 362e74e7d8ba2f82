package sim

import (
	"bytes"
	"context"
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

// listLag is how long an object may be missing from lists.
const listLag = 2 * time.Second

// SimS3 is a blob store as S3 is one: atomic, strongly consistent by key, with lists that may lag, answers that get
// lost and days on which it says 500. Objects are stamped by its own clock.
type SimS3 struct {
	w     *World
	clock wallClock

	mu      sync.Mutex
	objects map[string]object
	made    int
}

type object struct {
	data  []byte
	info  blob.Info
	since time.Time // when it was made, by no clock that anybody reads
}

var _ blob.Store = (*SimS3)(nil)

// Create implements blob.Store.
func (s *SimS3) Create(ctx context.Context) (blob.Writer, error) {
	if s.w.chance(20) {
		return nil, errServer
	}
	return &s3Writer{s: s}, ended(ctx)
}

type s3Writer struct {
	s     *SimS3
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
	if w.s.w.chance(80) {
		return blob.Info{}, errServer
	}
	info := w.s.put(w.s.key(), w.buf.Bytes(), meta)
	if w.s.w.chance(50) {
		return blob.Info{}, errTimeout // after success
	}
	return info, ended(ctx)
}

func (s *SimS3) key() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return fmt.Sprintf("o/%06d", s.made)
}

func (s *SimS3) put(key string, data []byte, meta blob.Meta) blob.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := object{bytes.Clone(data), blob.Info{Key: key, Bytes: int64(len(data)), Meta: maps.Clone(meta), Created: s.clock.now()}, time.Now()}
	s.objects[key] = o
	return o.info
}

func (s *SimS3) get(key string) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return o, blob.ErrNotFound
	}
	return o, nil
}

// Open implements blob.Store.
func (s *SimS3) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if s.w.chance(30) {
		return nil, errServer
	}
	o, err := s.get(key)
	if err != nil {
		return nil, err
	}
	b := o.data[min(off, int64(len(o.data))):]
	if n >= 0 {
		b = b[:min(n, int64(len(b)))]
	}
	return io.NopCloser(bytes.NewReader(b)), ended(ctx)
}

// Stat implements blob.Store.
func (s *SimS3) Stat(ctx context.Context, key string) (blob.Info, error) {
	o, err := s.get(key)
	if err != nil {
		return blob.Info{}, err
	}
	return o.info, ended(ctx)
}

// Delete implements blob.Store.
func (s *SimS3) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
	return ended(ctx)
}

// List implements blob.Store.
func (s *SimS3) List(ctx context.Context, since time.Time, fn func(blob.Info) error) error {
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
	return ended(ctx)
}

// Ready implements blob.Store.
func (s *SimS3) Ready(ctx context.Context) error { return ended(ctx) }

// Close implements blob.Store.
func (s *SimS3) Close() error { return nil }
