package s3blob

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// endBytes is what is read of an object's end to find its trailer: the record of a blob of 3 GiB with the
// largest meta, in one request.
const endBytes = 64 << 10

// fetchRecord reads a blob's record. Its errors are the library's, or wrap blob.ErrCorrupt.
func (s *Store) fetchRecord(ctx context.Context, key string) (record, error) {
	var r record
	err := s.do(ctx, 0, func(ctx context.Context, w *watch) error {
		var err error
		if isTrailed(key) {
			r, err = s.client.trailer(ctx, w, key)
			return err
		}
		info, err := s.client.core.StatObject(ctx, s.client.bucket, s.client.name(key), minio.StatObjectOptions{})
		if err != nil {
			return err
		}
		r, err = bareRecord(key, info.UserMetadata[headerName], info.Size)
		return err
	})
	return r, err
}

// bareRecord reads the record of a blob whose object has so many bytes.
func bareRecord(key, header string, object int64) (record, error) {
	r, err := decodeHeader(key, header)
	if err != nil {
		return record{}, err
	}
	if r.object = object; object != r.payload {
		return record{}, fmt.Errorf("%d bytes of %d: %w", object, r.payload, blob.ErrCorrupt)
	}
	return r, nil
}

// trailer reads the record that an object ends with.
func (c *client) trailer(ctx context.Context, w *watch, key string) (record, error) {
	end, object, err := c.read(ctx, w, key, 0, -endBytes, endBytes)
	if err != nil {
		if judge(err) == noRange { // an empty object
			return record{}, errRecord
		}
		return record{}, err
	}
	n, err := trailerBytes(end)
	if err != nil || n > object {
		return record{}, errRecord
	}
	if n > int64(len(end)) {
		if end, object, err = c.read(ctx, w, key, object-n, object-1, n); err != nil {
			return record{}, err
		}
		if int64(len(end)) != n {
			return record{}, errRecord
		}
	}
	r, err := decodeRecord(key, end[int64(len(end))-n:])
	if err != nil {
		return record{}, err
	}
	if r.object = object; object != r.payload+n {
		return record{}, fmt.Errorf("%d bytes of %d: %w", object, r.payload+n, blob.ErrCorrupt)
	}
	return r, nil
}

// read returns the bytes of a range, as SetRange of the library names them, and the object's length. There
// must not be more than most.
func (c *client) read(ctx context.Context, w *watch, key string, from, to, most int64) (data []byte, object int64, err error) {
	var opts minio.GetObjectOptions
	if err := opts.SetRange(from, to); err != nil {
		return nil, 0, err
	}
	r, info, header, err := c.core.GetObject(ctx, c.bucket, c.name(key), opts)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	first, object, err := extent(info, header)
	if err != nil {
		return nil, 0, err
	}
	if to >= 0 && first != from || to < 0 && first+info.Size != object || info.Size > most {
		return nil, 0, errNoRanges
	}
	data = make([]byte, max(info.Size, 0))
	_, err = io.ReadFull(moving{r, w}, data)
	return data, object, err
}

// extent returns where an answer begins in its object, and the object's length.
func extent(info minio.ObjectInfo, header http.Header) (first, object int64, err error) {
	text := header.Get("Content-Range")
	if text == "" {
		return 0, info.Size, nil
	}
	spec, ok := strings.CutPrefix(text, "bytes ")
	span, length, ok2 := strings.Cut(spec, "/")
	begin, _, ok3 := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(begin, 10, 64)
	object, err2 := strconv.ParseInt(length, 10, 64)
	if !ok || !ok2 || !ok3 || err1 != nil || err2 != nil || first < 0 || object < first {
		return 0, 0, errNoRanges
	}
	return first, object, nil
}

// moving tells a watch of every read.
type moving struct {
	r io.Reader
	w *watch
}

func (m moving) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.w.touch()
	return n, err
}

// recordCache keeps records of large blobs, since frames of one are read one after another: each saves a
// request. Blobs never change; whether one is still there shows in the request for its bytes.
type recordCache struct {
	mu      sync.Mutex
	records map[string]record
	order   []string // oldest first
	bytes   int
}

const (
	cacheBytes     = 4 << 20
	cacheItemBytes = 256 << 10 // a blob of 16 GiB
)

func (r *record) weight() int { return len(r.sums) + len(r.meta) + 256 }

func (c *recordCache) get(key string) (record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.records[key]
	return r, ok
}

func (c *recordCache) put(key string, r record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.records[key]; ok || r.weight() > cacheItemBytes {
		return
	}
	if c.records == nil {
		c.records = map[string]record{}
	}
	c.records[key] = r
	c.order = append(c.order, key)
	for c.bytes += r.weight(); c.bytes > cacheBytes; {
		c.drop(c.order[0])
		c.order = c.order[1:]
	}
}

func (c *recordCache) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.records[key]; !ok {
		return
	}
	c.drop(key)
	for i, k := range c.order {
		if k == key {
			c.order = append(c.order[:i], c.order[i+1:]...)
			return
		}
	}
}

func (c *recordCache) drop(key string) {
	r := c.records[key]
	c.bytes -= r.weight()
	delete(c.records, key)
}
