package s3blob

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/tributary-dicom/tributary/storage/blob"
)

const (
	// listPage is what S3 tells at most in one answer.
	listPage = 1000

	// listBatch records are fetched before fn hears of them, listAtOnce at a time.
	listBatch  = 128
	listAtOnce = 16

	// clockSlack is how far the clocks of those who share a bucket may differ.
	clockSlack = time.Hour
)

// List calls fn for every blob created at or after since, in the order of keys, from the day that since
// names: a page of a thousand keys is one request, and each blob that fn hears of one more, for its meta.
// A large blob is named when it is begun and created when it is committed, within a day; those of a day
// before since are therefore looked at too, once, and remembered. Damaged blobs do not stop it: they are left
// out, and an error that wraps blob.ErrCorrupt counts them at the end.
func (s *Store) List(ctx context.Context, since time.Time, fn func(blob.Info) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if since.UTC().Year() > 9999 { // years of four digits sort as text
		return nil
	}
	joined, cancel := s.join(ctx)
	defer cancel()
	l := lister{s: s, ctx: joined, since: since, fn: fn}
	after := ""
	if before := keyBefore(since.Add(-maxUploadAge - clockSlack)); before != "" {
		after = s.client.name(before)
	}
	for {
		names, err := s.listNames(joined, after)
		if err != nil {
			return explain(joined, "list blobs", err, false)
		}
		if err := l.page(names); err != nil {
			return err
		}
		if len(names) < listPage {
			break
		}
		after = names[len(names)-1]
	}
	if l.damaged > 0 {
		return fmt.Errorf("%d blobs, first %s: %w", l.damaged, l.first, blob.ErrCorrupt)
	}
	return nil
}

// listNames returns a page of names of objects, in order.
func (s *Store) listNames(ctx context.Context, after string) ([]string, error) {
	var names []string
	err := s.do(ctx, 0, func(ctx context.Context, _ *watch) error {
		names = names[:0]
		for obj := range s.client.core.ListObjectsIter(ctx, s.client.bucket, minio.ListObjectsOptions{
			Prefix: s.client.prefix, Recursive: true, StartAfter: after, MaxKeys: listPage,
		}) {
			if obj.Err != nil {
				return obj.Err
			}
			if names = append(names, obj.Key); len(names) == listPage {
				break
			}
		}
		return nil
	})
	return names, err
}

type lister struct {
	s       *Store
	ctx     context.Context
	since   time.Time
	fn      func(blob.Info) error
	damaged int
	first   string
}

// page tells of the blobs among these names.
func (l *lister) page(names []string) error {
	var keys []string
	for _, name := range names {
		key, ok := strings.CutPrefix(name, l.s.client.prefix)
		if ok && l.wanted(key) {
			keys = append(keys, key)
		}
		if len(keys) == listBatch {
			if err := l.batch(keys); err != nil {
				return err
			}
			keys = keys[:0]
		}
	}
	return l.batch(keys)
}

// wanted leaves out what is no blob, and what a key or an earlier look tells to be too old.
func (l *lister) wanted(key string) bool {
	named, err := parseKey(key)
	if err != nil || l.s.doubts.has(key) {
		return false
	}
	if !isTrailed(key) {
		return !named.Before(l.since) // named when it was committed
	}
	created, ok := l.s.known.get(key)
	return !ok || !created.Before(l.since)
}

// batch fetches records side by side and tells of them in turn.
func (l *lister) batch(keys []string) error {
	type found struct {
		info blob.Info
		err  error
	}
	results := make([]found, len(keys))
	var wg sync.WaitGroup
	slots := make(chan struct{}, listAtOnce)
	for i, key := range keys {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			r, err := l.s.fetchRecord(l.ctx, key)
			if err == nil {
				l.s.known.put(key, r.created)
				results[i].info, err = r.info(key)
			}
			results[i].err = err
		})
	}
	wg.Wait()
	for i, f := range results {
		if err := context.Cause(l.ctx); err != nil {
			return fmt.Errorf("list blobs: %w", err)
		}
		switch {
		case f.err == nil:
			if f.info.Created.Before(l.since) || l.s.doubts.has(keys[i]) {
				continue
			}
			if err := l.fn(f.info); err != nil {
				return err
			}
		case errors.Is(f.err, blob.ErrCorrupt):
			if l.damaged == 0 {
				l.first = keys[i]
			}
			l.damaged++
		case judge(f.err) == missing: // deleted meanwhile
		default:
			return explain(l.ctx, "list blobs", f.err, false)
		}
	}
	return nil
}

// knownTimes remembers when large blobs were created, so that those of the day before since are looked at
// once and not in every round of a janitor.
type knownTimes struct {
	mu    sync.Mutex
	times map[string]time.Time
}

// maxKnown take some 8 MiB: large blobs of a few days of a large hospital.
const maxKnown = 64 << 10

func (k *knownTimes) get(key string) (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t, ok := k.times[key]
	return t, ok
}

func (k *knownTimes) put(key string, created time.Time) {
	if !isTrailed(key) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.times == nil || len(k.times) >= maxKnown {
		k.times = map[string]time.Time{}
	}
	k.times[key] = created
}
