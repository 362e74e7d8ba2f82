package ohif

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Files of these endings shrink to a third and less. Source maps do too, but only developers ask for them.
var worthIt = []string{".html", ".js", ".mjs", ".css", ".wasm", ".json", ".jsonc", ".svg", ".xml", ".txt", ".webapp", ".webmanifest", ".ico", ".ttf"}

// Sizes between which files are compressed, bytes: below, headers weigh as much; above, the result would take the whole
// cache. The largest of OHIF 3.13 that a browser asks for has 20 MB.
const (
	minCompressed = 1 << 10
	maxCompressed = 64 << 20
)

func compressible(name string, size int64) bool {
	return size >= minCompressed && size <= maxCompressed && slices.Contains(worthIt, strings.ToLower(path.Ext(name)))
}

// acceptsGzip reports whether an Accept-Encoding names gzip with a weight above 0 (RFC 9110 §12.5.3).
func acceptsGzip(values []string) bool {
	star := false
	for _, value := range values {
		for coding := range strings.SplitSeq(value, ",") {
			name, weight, weighted := strings.Cut(coding, ";")
			yes := true
			if weighted {
				_, q, ok := strings.Cut(strings.ToLower(weight), "q=")
				f, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
				yes = ok && err == nil && f > 0
			}
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return yes
			case "*":
				star = yes
			}
		}
	}
	return star
}

// cache holds compressed files, each made when it is first asked for and kept while its file stays the same. Its bytes
// have a limit; what does not fit is sent as it is.
type cache struct {
	limit int64
	slots chan struct{} // compressions at once

	mu    sync.Mutex
	used  int64 // bytes of all entries
	files map[string]*entry
}

// entry is one file. done is closed when body and err are set; then they do not change.
type entry struct {
	stamp string
	done  chan struct{}
	body  []byte // nil when it does not fit or err is set
	err   error
}

func newCache(limit int64) cache {
	return cache{limit: limit, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), files: map[string]*entry{}}
}

// gzip returns the compressed form of what from has, nil when there is no room for it. stamp changes when the file does.
// Of requests that come at the same time one compresses and the others wait.
func (c *cache) gzip(ctx context.Context, name, stamp string, from io.Reader) ([]byte, error) {
	c.mu.Lock()
	e := c.files[name]
	mine := e == nil || e.stamp != stamp
	if mine {
		if e != nil {
			c.used -= int64(cap(e.body))
		}
		e = &entry{stamp: stamp, done: make(chan struct{})}
		c.files[name] = e
	}
	c.mu.Unlock()
	if !mine {
		select {
		case <-e.done:
			return e.body, e.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.slots <- struct{}{}
	body, err := compress(from, c.limit)
	<-c.slots

	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(e.done)
	switch {
	case errors.Is(err, errNoRoom):
	case err != nil:
		e.err = err
		if c.files[name] == e {
			delete(c.files, name) // the next request tries again
		}
	case c.files[name] != e: // the file changed meanwhile; this form is for those who wait
		e.body = body
	case c.used+int64(cap(body)) <= c.limit:
		e.body = body
		c.used += int64(cap(body))
	}
	return e.body, e.err
}

var errNoRoom = errors.New("the compressed form is larger than the cache")

// compress returns from in gzip, errNoRoom when that has more than limit bytes.
func compress(from io.Reader, limit int64) ([]byte, error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&bounded{&out, limit}, gzip.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(zip, from); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(out.Bytes()), nil // without the buffer's spare room
}

// bounded writes at most left bytes.
type bounded struct {
	to   io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errNoRoom
	}
	return b.to.Write(p)
}
