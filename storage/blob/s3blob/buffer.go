package s3blob

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// chunkBytes is the grain in which blobs take memory: an ECG takes one, a part sixty-four.
const chunkBytes = 128 << 10

var chunks = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

// budget bounds the memory of all writers. It refuses and never makes anybody wait.
type budget struct {
	max  int64
	used atomic.Int64
}

func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.max {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// part is a stretch of a blob that is sent with one request: its beginning in memory, the rest in a file
// without a name where memory is scarce or the part is large.
type part struct {
	budget *budget
	dir    string // for the file
	limit  int64  // bytes that may be in memory
	chunks []*[chunkBytes]byte
	inMem  int64 // bytes in chunks; final once there is a file
	file   *os.File
	size   int64
	sum    checksum
}

// write appends. wait is asked when memory is scarce, and returns true when some may have come free.
func (p *part) write(b []byte, wait func() bool) error {
	p.sum.add(b)
	for len(b) > 0 {
		if p.file == nil && !p.reserve(wait) {
			if err := p.openFile(); err != nil {
				return err
			}
		}
		n := len(b)
		if p.file != nil {
			if _, err := p.file.WriteAt(b, p.size-p.inMem); err != nil {
				return spillError(err)
			}
		} else {
			n = copy(p.chunks[p.size/chunkBytes][p.size%chunkBytes:], b)
			p.inMem += int64(n)
		}
		p.size += int64(n)
		b = b[n:]
	}
	return nil
}

// reserve makes room for another byte in memory.
func (p *part) reserve(wait func() bool) bool {
	if p.size < int64(len(p.chunks))*chunkBytes {
		return true
	}
	if p.size >= p.limit {
		return false
	}
	for !p.budget.take(chunkBytes) {
		if !wait() {
			return false
		}
	}
	p.chunks = append(p.chunks, chunks.Get().(*[chunkBytes]byte))
	return true
}

// openFile makes a file that is gone with its descriptor, where the system has such files.
func (p *part) openFile() error {
	f, err := os.CreateTemp(p.dir, "tributary-part-*")
	if err != nil {
		return spillError(err)
	}
	_ = os.Remove(f.Name()) // fails on Windows, where free removes it
	p.file = f
	return nil
}

func spillError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("gather part in temporary file: %w: %w", blob.ErrNoSpace, err)
	}
	return fmt.Errorf("gather part in temporary file: %w", err)
}

// ReadAt reads what was written. io.EOF comes with the last byte at the earliest.
func (p *part) ReadAt(b []byte, off int64) (int, error) {
	if off >= p.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.size-off)]
	if off >= p.inMem {
		return p.file.ReadAt(b, off-p.inMem)
	}
	b = b[:min(int64(len(b)), p.inMem-off)]
	return copy(b, p.chunks[off/chunkBytes][off%chunkBytes:]), nil
}

// free gives everything back. Nobody may be reading.
func (p *part) free() {
	for _, c := range p.chunks {
		chunks.Put(c)
	}
	p.budget.give(int64(len(p.chunks)) * chunkBytes)
	p.chunks = nil
	if p.file != nil {
		_ = p.file.Close()
		_ = os.Remove(p.file.Name())
		p.file = nil
	}
}

// body is one request's reading of a part. The transport may go on reading after a request has failed; stop
// ends that, so that the memory can be used again.
type body struct {
	mu      sync.Mutex
	part    *part
	off     int64
	touch   func()
	stopped bool
}

var errStopped = errors.New("request is over")

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return 0, errStopped
	}
	n, err := b.part.ReadAt(p, b.off)
	b.off += int64(n)
	b.touch()
	return n, err
}

// Seek goes back to the start, as the library does before it sends a body.
func (b *body) Seek(off int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if whence != io.SeekStart || off < 0 {
		return 0, errors.New("a body is read from its start")
	}
	b.off = off
	return off, nil
}

func (b *body) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
}
