package dirblob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/blob/dirblob/disk"
)

// found is an open file with the checked header of a blob in it.
type found struct {
	place  place
	file   disk.File
	header header
}

// find opens the file of a blob and checks that the key names one that was committed and not deleted.
func (s *Store) find(key string) (_ found, err error) {
	p, err := parseKey(key)
	if err != nil {
		return found{}, err
	}
	if s.closed.Load() {
		return found{}, ErrClosed
	}
	limit, limited := s.sight.limit(p.file())
	if limited && limit <= p.offset {
		return found{}, fmt.Errorf("blob %s: %w", key, blob.ErrNotFound)
	}
	f, err := s.fs.Open(s.path(p.file()))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return found{}, fmt.Errorf("blob %s: %w", key, blob.ErrNotFound)
	}
	if err != nil {
		return found{}, fmt.Errorf("open blob: %w", err)
	}
	h, err := p.check(f)
	if err != nil {
		return found{}, errors.Join(fmt.Errorf("blob %s: %w", key, err), f.Close())
	}
	return found{p, f, h}, nil
}

// check reads the header that the place points to.
func (p place) check(f disk.File) (header, error) {
	var want *[8]byte
	if p.packed() {
		id, ok, err := readPackID(f)
		if err != nil {
			return header{}, err
		}
		if !ok {
			return header{}, fmt.Errorf("pack head: %w", blob.ErrCorrupt)
		}
		want = &id
	}
	h, err := readHeader(f, p.offset, want)
	switch {
	case errors.Is(err, errRottenHeader), errors.Is(err, errNoHeader) && !p.packed():
		return header{}, fmt.Errorf("header: %w", blob.ErrCorrupt)
	case errors.Is(err, errNoHeader):
		return header{}, blob.ErrNotFound
	case err != nil:
		return header{}, err
	}
	size, err := f.Size()
	switch {
	case err != nil:
		return header{}, err
	case p.packed() && (h.kind != kindPacked || h.payload != p.length):
		return header{}, blob.ErrNotFound
	case !p.packed() && h.kind != kindFile:
		return header{}, fmt.Errorf("header: %w", blob.ErrCorrupt)
	case h.mark == markDeleted:
		return header{}, blob.ErrNotFound
	case h.mark != markLive:
		return header{}, fmt.Errorf("torn by a crash: %w", blob.ErrCorrupt)
	case h.sumsOffset()+h.sums > size:
		return header{}, fmt.Errorf("file was cut short: %w", blob.ErrCorrupt)
	}
	return h, nil
}

// info reads the meta that belongs to a header.
func (h *header) info(key string, f io.ReaderAt) (blob.Info, error) {
	info := blob.Info{Key: key, Bytes: h.payload, Created: time.Unix(0, h.created).UTC()}
	if h.meta == 0 {
		return info, nil
	}
	text := make([]byte, h.meta) // at most maxMetaBytes: decodeHeader
	if n, err := f.ReadAt(text, h.metaOffset()); n < len(text) {
		if errors.Is(err, io.EOF) {
			err = blob.ErrCorrupt
		}
		return info, fmt.Errorf("read meta: %w", err)
	}
	if crc32.Checksum(text, castagnoli) != h.metaCRC {
		return info, fmt.Errorf("meta: %w", blob.ErrCorrupt)
	}
	if err := json.Unmarshal(text, &info.Meta); err != nil {
		return info, fmt.Errorf("meta: %w", blob.ErrCorrupt)
	}
	return info, nil
}

// Stat returns a blob's description. It checks header and meta, not the payload.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := ctx.Err(); err != nil {
		return blob.Info{}, err
	}
	at, err := s.find(key)
	if err != nil {
		return blob.Info{}, err
	}
	info, err := at.header.info(key, at.file)
	if err := errors.Join(err, at.file.Close()); err != nil {
		return blob.Info{}, fmt.Errorf("blob %s: %w", key, err)
	}
	return info, nil
}

// Verify reads a whole blob and returns blob.ErrCorrupt when it is not what was stored.
func (s *Store) Verify(ctx context.Context, key string) error {
	if _, err := s.Stat(ctx, key); err != nil {
		return err
	}
	r, err := s.Open(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	buf := stages.Get().(*[stageBytes]byte)
	defer stages.Put(buf)
	for err == nil {
		if err = ctx.Err(); err == nil {
			_, err = r.Read(buf[:])
		}
	}
	return errors.Join(ignoreEOF(err), r.Close())
}

// Open returns a reader that also is an io.WriterTo. A read from the first byte to the last ends in
// blob.ErrCorrupt instead of io.EOF when the checksum differs. A shorter range is compared piece by piece
// before its bytes are given out.
func (s *Store) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if off < 0 {
		return nil, fmt.Errorf("open blob: negative offset %d", off)
	}
	s.readers.add(key) // before the look at the mark, so that a deletion after it finds us
	at, err := s.find(key)
	if err != nil {
		s.readers.done(key)
		return nil, err
	}
	h := &at.header
	off = min(off, h.payload)
	left := h.payload - off
	if n >= 0 {
		left = min(left, n)
	}
	return &reader{
		s: s, key: key, at: at,
		pos:   h.payloadOffset() + off,
		left:  left,
		check: left == h.payload,
		sound: sound{from: -1},
	}, nil
}

// reader reads a range of one blob.
type reader struct {
	s      *Store
	key    string
	at     found
	pos    int64
	left   int64
	crc    uint32
	check  bool // the range is the whole payload
	sound  sound
	err    error
	closed bool
}

func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.closed:
		return 0, fs.ErrClosed
	case r.err != nil:
		return 0, r.err
	case r.left == 0:
		r.err = io.EOF
		if r.check && r.crc != r.at.header.payloadCRC {
			r.err = fmt.Errorf("blob %s: payload: %w", r.key, blob.ErrCorrupt)
		}
		return 0, r.err
	case len(p) == 0:
		return 0, nil
	}
	most := min(int64(len(p)), r.left)
	if !r.check {
		if most, r.err = r.sound.upTo(r, most); r.err != nil {
			return 0, r.err
		}
	}
	n, err := r.at.file.ReadAt(p[:most], r.pos)
	if n == 0 && err != nil {
		if errors.Is(err, io.EOF) {
			err = blob.ErrCorrupt // the file became shorter
		}
		r.err = fmt.Errorf("read blob %s: %w", r.key, err)
		return 0, r.err
	}
	if r.check {
		r.crc = crc32.Update(r.crc, castagnoli, p[:n])
	}
	r.pos += int64(n)
	r.left -= int64(n)
	return n, nil
}

// WriteTo reads in large pieces, whatever buffer the caller would have taken.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	buf := stages.Get().(*[stageBytes]byte)
	defer stages.Put(buf)
	var total int64
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
			if m < n {
				return total, io.ErrShortWrite
			}
		}
		if err != nil {
			return total, ignoreEOF(err)
		}
	}
}

func (r *reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.at.file.Close()
	if r.s.readers.done(r.key) {
		r.s.wipeLate(r.at.place, r.at.header)
	}
	return err
}

// readerCount knows which blobs are being read, so that a deletion does not turn their bytes into zeros.
type readerCount struct {
	mu    sync.Mutex
	count map[string]int
	wipe  map[string]bool // deleted while being read
}

func (c *readerCount) add(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count, c.wipe = map[string]int{}, map[string]bool{}
	}
	c.count[key]++
}

// done returns true when the caller must wipe the blob.
func (c *readerCount) done(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[key]--; c.count[key] > 0 {
		return false
	}
	delete(c.count, key)
	wipe := c.wipe[key]
	delete(c.wipe, key)
	return wipe
}

// mayWipe returns true when nobody reads the blob; otherwise the last reader will be told to wipe it.
func (c *readerCount) mayWipe(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[key] == 0 {
		return true
	}
	c.wipe[key] = true
	return false
}
