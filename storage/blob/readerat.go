package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Opener opens ranges of blobs; Store has it.
type Opener interface {
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// Pages of a large blob that At keeps: 16 MiB in all.
const (
	pageBytes = 1 << 20
	maxPages  = 16
	wholeUpTo = 8 << 20 // bytes; a smaller blob is read once
)

// At returns random access to a blob of size bytes, for as long as ctx lasts. It holds a small blob in memory
// and pages of a large one, so that parsers may read a few bytes at a time. Safe for concurrent use.
func At(ctx context.Context, from Opener, key string, size int64) (io.ReaderAt, error) {
	r := &pages{ctx: ctx, from: from, key: key, size: size, page: pageBytes, held: map[int64][]byte{}}
	if size > wholeUpTo {
		return r, nil
	}
	r.page = max(size, 1)
	_, err := r.get(0)
	return r, err
}

type pages struct {
	ctx  context.Context
	from Opener
	key  string
	size int64
	page int64 // bytes

	mu    sync.Mutex
	held  map[int64][]byte
	order []int64 // of held, the oldest first
}

// ReadAt implements io.ReaderAt.
func (r *pages) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("blob: read before the beginning")
	}
	for n < len(p) {
		if off >= r.size {
			return n, io.EOF
		}
		page, err := r.get(off / r.page)
		if err != nil {
			return n, err
		}
		m := copy(p[n:], page[off%r.page:])
		n, off = n+m, off+int64(m)
	}
	return n, nil
}

// get returns a page, which nobody changes.
func (r *pages) get(number int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if page, ok := r.held[number]; ok {
		return page, nil
	}
	page := make([]byte, min(r.page, r.size-number*r.page))
	body, err := r.from.Open(r.ctx, r.key, number*r.page, int64(len(page)))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if _, err := io.ReadFull(body, page); err != nil {
		return nil, fmt.Errorf("read blob %s: %w", r.key, err)
	}
	// A store tells damage at the end of what was asked for.
	if n, err := body.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return nil, fmt.Errorf("read blob %s: %w", r.key, errors.Join(err, io.ErrUnexpectedEOF))
	}
	if len(r.order) == maxPages {
		delete(r.held, r.order[0])
		r.order = r.order[1:]
	}
	r.held[number] = page
	r.order = append(r.order, number)
	return page, nil
}
