package dirblob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tributary-dicom/tributary/storage/blob"
)

// chunkBytes is the grain in which small blobs take memory: an ECG takes one, a slice of a CT nine.
const chunkBytes = 64 << 10

var chunks = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

// budget bounds the memory of small blobs. It refuses and never makes anybody wait.
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

var (
	errSpent    = errors.New("blob writer is spent")
	errMetaSize = fmt.Errorf("meta exceeds %d bytes of JSON", maxMetaBytes)
)

// writer starts in memory and moves to a file when the blob is large or memory is scarce.
type writer struct {
	s      *Store
	n      int64
	crc    uint32 // while in memory
	sums   sums   // from then on
	chunks []*[chunkBytes]byte
	file   *tempFile // nil while in memory
	err    error     // of an earlier Write
	spent  bool
}

// Write fails with blob.ErrNoSpace or blob.ErrReadOnly; the blob cannot be committed then.
func (w *writer) Write(p []byte) (int, error) {
	if w.spent {
		return 0, errSpent
	}
	if w.err == nil {
		w.err = w.write(p)
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.file != nil {
		w.sums.add(p)
	} else {
		w.crc = crc32.Update(w.crc, castagnoli, p)
	}
	w.n += int64(len(p))
	return len(p), nil
}

func (w *writer) write(p []byte) error {
	if w.file == nil && (w.n+int64(len(p)) > w.s.opt.SmallBytes || !w.reserve(w.n+int64(len(p)))) {
		if err := w.spill(); err != nil {
			return err
		}
	}
	if w.file != nil {
		return w.file.write(p)
	}
	for at := w.n; len(p) > 0; {
		n := copy(w.chunks[at/chunkBytes][at%chunkBytes:], p)
		p = p[n:]
		at += int64(n)
	}
	return nil
}

// reserve makes room in memory for a blob of n bytes.
func (w *writer) reserve(n int64) bool {
	for int64(len(w.chunks))*chunkBytes < n {
		if !w.s.buffer.take(chunkBytes) {
			return false
		}
		w.chunks = append(w.chunks, chunks.Get().(*[chunkBytes]byte))
	}
	return true
}

// payload is what is in memory.
func (w *writer) payload() [][]byte {
	vec := make([][]byte, 0, len(w.chunks)+1)
	for left, i := w.n, 0; left > 0; i++ {
		n := min(left, chunkBytes)
		vec = append(vec, w.chunks[i][:n])
		left -= n
	}
	return vec
}

// spill moves the blob from memory to a file.
func (w *writer) spill() error {
	f, err := w.s.createTemp()
	if err != nil {
		return err
	}
	w.file = f
	for _, b := range w.payload() {
		if err := f.write(b); err != nil {
			return err
		}
		w.sums.add(b)
	}
	w.release()
	return nil
}

func (w *writer) release() {
	for _, c := range w.chunks {
		chunks.Put(c)
	}
	w.s.buffer.give(int64(len(w.chunks)) * chunkBytes)
	w.chunks = nil
}

// Abort drops the blob.
func (w *writer) Abort() {
	if w.spent {
		return
	}
	w.spent = true
	w.release()
	if w.file != nil {
		w.file.drop()
	}
}

// Commit looks at ctx once: a sync that has begun cannot be called back, and takes milliseconds.
func (w *writer) Commit(ctx context.Context, meta blob.Meta) (blob.Info, error) {
	if w.spent {
		return blob.Info{}, errSpent
	}
	defer w.Abort() // whatever happens below, nothing of it stays in tmp or in memory
	if err := errors.Join(w.err, ctx.Err()); err != nil {
		return blob.Info{}, fmt.Errorf("commit blob: %w", err)
	}
	text, err := encodeMeta(meta)
	if err != nil {
		return blob.Info{}, fmt.Errorf("commit blob: %w", err)
	}
	w.s.life.RLock()
	defer w.s.life.RUnlock()
	if w.s.closed.Load() {
		return blob.Info{}, ErrClosed
	}
	r := &record{
		header: header{
			payload:    w.n,
			payloadCRC: w.payloadCRC(),
			meta:       int64(len(text)),
			metaCRC:    crc32.Checksum(text, castagnoli),
		},
		payload: w.payloadInMemory(),
		meta:    text,
	}
	if w.file != nil || w.s.opt.SmallBytes < 0 {
		err = w.commitFile(r)
	} else {
		err = w.s.commitRecord(r)
	}
	if err != nil {
		return blob.Info{}, fmt.Errorf("commit blob: %w", err)
	}
	return blob.Info{Key: r.key, Bytes: w.n, Meta: maps.Clone(meta), Created: r.created}, nil
}

func (w *writer) payloadCRC() uint32 {
	if w.file != nil {
		return w.sums.payload()
	}
	return w.crc
}

func (w *writer) payloadInMemory() [][]byte {
	if w.file != nil {
		return nil
	}
	return w.payload()
}

// encodeMeta returns nothing for no meta, and else JSON with its keys sorted.
func encodeMeta(meta blob.Meta) ([]byte, error) {
	if len(meta) == 0 {
		return nil, nil
	}
	text := make([]byte, 0, 512)
	before := byte('{')
	keys := slices.AppendSeq(make([]string, 0, len(meta)), maps.Keys(meta))
	slices.Sort(keys)
	for _, key := range keys {
		text = appendText(append(text, before), key)
		text = appendText(append(text, ':'), meta[key])
		before = ','
	}
	text = append(text, '}')
	if len(text) > maxMetaBytes {
		return nil, errMetaSize
	}
	return text, nil
}

// appendText appends a JSON string (RFC 8259 §7). Most are plain ASCII.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var quoted bytes.Buffer
			enc := json.NewEncoder(&quoted)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(s) // never fails for a string
			return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
		}
	}
	b = append(append(b, '"'), s...)
	return append(b, '"')
}
