package s3blob

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// sweepPage is how many uploads are asked for at once.
const sweepPage = 1000

// Sweep aborts uploads below the store's prefix that were begun longer than olderThan ago and are not this
// store's own, and returns how many. Others' are under way for maxUploadAge at most. Some servers (MinIO)
// list uploads by whole names only, find none here, and remove old ones by themselves.
func (s *Store) Sweep(ctx context.Context, olderThan time.Duration) (int, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := s.join(ctx)
	defer cancel()
	before := s.opt.Now().Add(-olderThan)
	swept, failed := 0, error(nil)
	var keyMarker, idMarker string
	for {
		var page minio.ListMultipartUploadsResult
		err := s.do(ctx, 0, func(ctx context.Context, _ *watch) error {
			var err error
			page, err = s.client.core.ListMultipartUploads(ctx, s.client.bucket, s.client.prefix, keyMarker, idMarker, "", sweepPage)
			return err
		})
		if err != nil {
			return swept, explain(ctx, "list uploads", err, false)
		}
		for _, u := range page.Uploads {
			key, ok := strings.CutPrefix(u.Key, s.client.prefix)
			if _, err := parseKey(key); !ok || err != nil || u.Initiated.After(before) || s.isOwn(u.UploadID) {
				continue
			}
			if err := s.abortUpload(ctx, u.Key, u.UploadID); err != nil {
				if failed == nil {
					failed = explain(ctx, "abort upload", err, true)
				}
				if context.Cause(ctx) != nil || s.health.cause() != nil {
					return swept, failed
				}
				continue
			}
			swept++
		}
		if !page.IsTruncated || page.NextKeyMarker == keyMarker && page.NextUploadIDMarker == idMarker {
			return swept, failed
		}
		keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

func (s *Store) isOwn(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uploads[id]
}

func (s *Store) sweepAtOpen() {
	if s.health.cause() != nil {
		return // the janitor will
	}
	n, err := s.Sweep(s.ctx, maxUploadAge)
	switch {
	case err != nil && !errors.Is(err, ErrClosed) && s.ctx.Err() == nil:
		s.opt.Log.Warn("unfinished uploads were not swept", "error", err.Error())
	case n > 0:
		s.opt.Log.Info("unfinished uploads were swept", "count", n)
	}
}
