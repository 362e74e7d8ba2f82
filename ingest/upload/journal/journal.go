package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// MaxDocument bounds one document, bytes.
const MaxDocument = 256 << 10

// Key names a document.
type Key [16]byte

// Tag is the caller's mark on a document, not 0. It is kept in memory, so that Keys can choose by it.
type Tag uint8

// ErrClosed is returned by calls after Close.
var ErrClosed = errors.New("journal is closed")

// Options of Open. The zero value is what a node should use.
type Options struct {
	// SegmentBytes is how long a segment may become; 0 means 4 MiB. The last one takes this much disk from
	// the start.
	SegmentBytes int64

	// Logger hears of damage and of failed compactions; nil means nobody.
	Logger *slog.Logger
}

// Journal is a folder of documents. Safe for concurrent use; callers order changes of one key themselves.
// It takes some 80 bytes of memory a document, whatever its length.
type Journal struct {
	dir          string
	segmentBytes int64
	logger       *slog.Logger

	turn    chan struct{} // of capacity 1: its holder owns what follows, and alone changes segments
	active  *segment      // the last of segments; nil until the first commit
	suspect bool          // a write to active failed: it may have anything behind its end
	buf     []byte
	patient int64 // a compaction failed; none is tried before total is as large

	queue struct {
		sync.Mutex
		pending []*change
	}

	mu       sync.RWMutex // guards what follows, and the segments' files against being closed
	segments []*segment   // oldest first
	places   map[Key]place
	live     int64 // bytes of frames that count
	total    int64 // bytes of frames
	closed   bool
}

// segment is one file.
type segment struct {
	number uint64
	file   *os.File
	end    int64 // of its frames, bytes
}

// place is where a document's frame lies.
type place struct {
	segment *segment
	offset  uint32 // of the frame
	length  uint32 // of the frame
	tag     Tag
}

// change is one call that waits for its commit.
type change struct {
	key  Key
	tag  Tag // removed for none
	doc  []byte
	lazy bool // need not be synced
	done chan struct{}
	err  error
}

// Put keeps doc under key, in place of what was there, and returns when it is durable. It does not keep doc.
// After an error the document is the one from before, as long as the process lives; after a crash it may be
// either.
func (j *Journal) Put(key Key, tag Tag, doc []byte) error {
	return j.put(&change{key: key, tag: tag, doc: doc})
}

// PutLazily is Put without a sync: the process may be killed once it returns, but only the next Put or Remove,
// of whatever key, makes it outlive a power cut. Until then the document is as it was before, or this.
func (j *Journal) PutLazily(key Key, tag Tag, doc []byte) error {
	return j.put(&change{key: key, tag: tag, doc: doc, lazy: true})
}

func (j *Journal) put(c *change) error {
	if c.tag == removed {
		return errors.New("journal: tag 0 is no tag")
	}
	if len(c.doc) > MaxDocument || int64(len(c.doc)) > j.segmentBytes-frameHeader {
		return fmt.Errorf("journal: document of %d bytes is too long", len(c.doc))
	}
	return j.submit(c)
}

// Remove forgets key's document, durably when it returns. There may be none.
func (j *Journal) Remove(key Key) error {
	j.mu.RLock()
	_, ok := j.places[key]
	j.mu.RUnlock()
	if !ok {
		return nil
	}
	return j.submit(&change{key: key, tag: removed})
}

// Get returns key's document and its tag, fs.ErrNotExist for none.
func (j *Journal) Get(key Key) ([]byte, Tag, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	p, ok := j.places[key]
	switch {
	case j.closed:
		return nil, 0, ErrClosed
	case !ok:
		return nil, 0, fs.ErrNotExist
	}
	b := make([]byte, p.length)
	if _, err := p.segment.file.ReadAt(b, int64(p.offset)); err != nil {
		return nil, 0, fmt.Errorf("read journal: %w", err)
	}
	k, tag, doc, _, ok := parseFrame(b)
	if !ok || k != key {
		return nil, 0, fmt.Errorf("read journal: a document in segment %d is damaged", p.segment.number)
	}
	return doc, tag, nil
}

// Has tells whether there is a document, and its tag.
func (j *Journal) Has(key Key) (Tag, bool) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	p, ok := j.places[key]
	return p.tag, ok
}

// Keys lists the documents that have one of tags, or all when none is given.
func (j *Journal) Keys(tags ...Tag) []Key {
	j.mu.RLock()
	defer j.mu.RUnlock()
	var keys []Key
	for k, p := range j.places {
		if len(tags) == 0 || slices.Contains(tags, p.tag) {
			keys = append(keys, k)
		}
	}
	return keys
}

// Close waits for the commit that is under way and closes the files.
func (j *Journal) Close() error {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	var errs []error
	for _, s := range j.segments {
		errs = append(errs, s.file.Close())
	}
	j.segments, j.active = nil, nil
	return errors.Join(errs...)
}
