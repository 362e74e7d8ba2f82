package dirblob

import (
	"errors"
	"fmt"
	"io"
)

// walker goes from record to record through a pack without reading payloads.
type walker struct {
	visit func(h header) error // every record with a whole header, void ones included; an error ends the walk
	gap   func(from, to int64) // bytes that are no record; the last may reach the end
}

// walk visits the records in the first limit bytes. Where a header is damaged it looks for the next one
// block by block.
func (w walker) walk(f io.ReaderAt, id [8]byte, limit int64) error {
	win := window{f: f}
	gapFrom := int64(-1)
	for at := int64(packHeadSize); at < limit; {
		b, err := win.at(at)
		if err != nil {
			return err
		}
		h, err := decodeHeader(b, at, &id)
		if err != nil || h.kind == kindFile || h.end() > limit {
			if gapFrom < 0 {
				gapFrom = at
			}
			at += blockBytes
			continue
		}
		w.closeGap(&gapFrom, at)
		if err := w.visit(h); err != nil {
			return err
		}
		at = h.end()
	}
	w.closeGap(&gapFrom, limit)
	return nil
}

func (w walker) closeGap(from *int64, to int64) {
	if *from >= 0 && w.gap != nil {
		w.gap(*from, to)
	}
	*from = -1
}

// window reads ahead when headers lie close together, and only a block when they do not.
type window struct {
	f    io.ReaderAt
	buf  []byte
	off  int64
	size int
}

const maxWindow = 1 << 20

// at returns the bytes from off that are at hand, at least a header's unless the file ends there.
func (w *window) at(off int64) ([]byte, error) {
	if off >= w.off && off+headerBytes <= w.off+int64(len(w.buf)) {
		return w.buf[off-w.off:], nil
	}
	if w.size > 0 && off >= w.off && off <= w.off+2*int64(w.size) {
		w.size = min(4*w.size, maxWindow)
	} else {
		w.size = blockBytes
	}
	if cap(w.buf) < w.size {
		w.buf = make([]byte, w.size)
	}
	n, err := w.f.ReadAt(w.buf[:w.size], off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read pack: %w", err)
	}
	w.buf, w.off = w.buf[:n], off
	return w.buf, nil
}
