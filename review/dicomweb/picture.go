package dicomweb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/review/render"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Bounds of what drawing takes, bytes. Every request waits for its share of the first; no request counts for
// less than the second, which bounds how many are drawn at a time. The largest frame takes 450 MiB.
const (
	drawingMemory = 512 << 20
	drawingLeast  = 16 << 20
)

// pictureVersion is part of the entity tags of what is drawn: a change of drawing makes others of them.
const pictureVersion = "1"

// drawn is an instance that pictures are made of.
type drawn struct {
	*layout
	header []byte
	free   func() // gives the layout back
}

// toDraw opens an instance for drawing.
func (s *server) toDraw(ctx context.Context, sc index.Scope) (*drawn, error) {
	lay, free, err := s.layoutOf(ctx, sc)
	if err != nil {
		return nil, err
	}
	o, err := s.first(ctx, sc, index.Want{Header: true})
	if err != nil {
		free()
		return nil, err
	}
	return &drawn{lay, o.Header, free}, nil
}

// frameReader is one frame, ready to be drawn or sent.
type frameReader struct {
	number int
	module *render.Module
	body   body // little endian where native
	jpeg   bool // a browser shows the stored bytes as they are
}

// openFrame checks frame n, counted from 1, without reading more than its head.
func (s *server) openFrame(ctx context.Context, d *drawn, n int, view viewing) (*frameReader, error) {
	if err := d.drawable(n); err != nil {
		return nil, err
	}
	values := func(path string) ([]byte, error) { return s.lookupTable(ctx, d, path) }
	m, err := render.ReadModule(d.header, n, values)
	if err != nil {
		return nil, drawingError(err)
	}
	src, free := s.source(d.layout, d.frames.Inflated)
	if d.frames.Kind == part10.Native {
		src = d.ordered(src, d.pixels())
	}
	b, err := d.frame(src, n)
	if err != nil {
		free()
		return nil, err
	}
	open := b.open
	b.open = func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		rc, err := open(ctx, off, n)
		if err != nil {
			free()
			return nil, err
		}
		return joined{rc, closeBoth{rc, free}}, nil
	}
	if b.length > m.MaxStoredBytes() {
		return nil, fail(http.StatusUnprocessableEntity, "frame %d has %d bytes, more than its pixels account for", n, b.length)
	}
	f := &frameReader{number: n, module: m, body: b}
	if view.asStored() && render.IsJPEG(d.syntax) {
		if f.jpeg, err = f.shows(ctx, d.syntax); err != nil {
			return nil, err
		}
	}
	return f, nil
}

type closeBoth struct {
	io.Closer
	free func()
}

func (c closeBoth) Close() error {
	defer c.free()
	return c.Closer.Close()
}

// drawable reports why frame n cannot be drawn, before its header is looked at.
func (d *drawn) drawable(n int) error {
	ft := &d.frames
	switch {
	case ft.Count == 0 && ft.Problem != "":
		return fail(http.StatusUnprocessableEntity, "the pixels of this instance cannot be drawn: its frames cannot be told apart")
	case ft.Count == 0:
		return fail(http.StatusNotAcceptable, "this instance has no pixels to draw; served are the instance itself and /metadata")
	case n > ft.Count || n < 1:
		return fail(http.StatusNotFound, "this instance has %d frames; there is no frame %d", ft.Count, n)
	}
	if err := render.CanDecode(d.syntax); err != nil {
		return drawingError(err)
	}
	return nil
}

// drawingError tells a client why a picture cannot be drawn: 406 for a codec that is not kept, 422 for pixels
// that are broken. Other errors stay what they are.
func drawingError(err error) error {
	var none *render.NoDecoderError
	var pixels *render.PixelError
	switch {
	case errors.As(err, &none):
		return fail(http.StatusNotAcceptable, "%s; /frames serves the frames as they are stored", none.Error())
	case errors.As(err, &pixels):
		return fail(http.StatusUnprocessableEntity, "the pixels cannot be drawn: %s", pixels.Text)
	}
	return err
}

// shows reads the head of a JPEG frame and reports whether the stored bytes are the picture.
func (f *frameReader) shows(ctx context.Context, syntax string) (bool, error) {
	for _, n := range []int64{16 << 10, render.MaxJPEGHead} {
		b, err := readFirst(ctx, f.body, min(n, f.body.length))
		if err != nil {
			return false, err
		}
		head, ok := render.ReadJPEGHead(b)
		if !ok {
			continue
		}
		if err := head.Check(f.module, syntax); err != nil {
			return false, drawingError(err)
		}
		return head.Shows(f.module), nil
	}
	return false, fail(http.StatusUnprocessableEntity, "the pixels cannot be drawn: the frame is no JPEG stream")
}

// readFirst reads the first n bytes of a body.
func readFirst(ctx context.Context, b body, n int64) ([]byte, error) {
	rc, err := b.open(ctx, 0, n)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	out := make([]byte, n)
	if _, err := io.ReadFull(rc, out); err != nil {
		return nil, fmt.Errorf("read frame: %w", noEOF(err))
	}
	return out, ended(rc)
}

// encode draws a frame as a picture of a media type, and returns what to call when it was sent.
func (s *server) encode(ctx context.Context, d *drawn, f *frameReader, mediaType string, view viewing) ([]byte, func(), error) {
	opt := view.options(f.module)
	cost := max(drawingLeast, min(opt.Memory(f.module, f.body.length), drawingMemory))
	if err := s.drawing.Acquire(ctx, cost); err != nil {
		return nil, nil, err
	}
	defer s.drawing.Release(cost)
	frame, err := readFirst(ctx, f.body, f.body.length)
	if err != nil {
		return nil, nil, err
	}
	picture, err := render.Draw(f.module, d.syntax, frame, opt)
	if err != nil {
		return nil, nil, drawingError(err)
	}
	var out bytes.Buffer
	if err := render.Encode(&out, picture, mediaType, view.quality); err != nil {
		return nil, nil, fmt.Errorf("encode picture: %w", err)
	}
	free, err := s.hold(ctx, int64(out.Cap())) // while the share of drawing is still ours
	return out.Bytes(), free, err
}

// lookupTable reads a table that is too long for the header.
func (s *server) lookupTable(ctx context.Context, d *drawn, path string) ([]byte, error) {
	value, err := d.find(path)
	if err != nil || value.Offset < 0 || value.Length < 0 || value.Length > render.MaxLUTBytes {
		return nil, &render.PixelError{Text: "a lookup table is missing or longer than any can be"}
	}
	src, free := s.source(d.layout, value.Inflated)
	defer free()
	return readFirst(ctx, runBody(d.ordered(src, value), part10.Range{Offset: value.Offset, Length: value.Length}), value.Length)
}

// representative is the frame that stands for an instance: the one that it names (0028,6010), or else the
// middle one of a thumbnail and the first one of a rendered instance.
func (d *drawn) representative(thumbnail bool) int {
	if d.frames.Count <= 1 {
		return 1
	}
	if n := render.Representative(d.header); n >= 1 && n <= d.frames.Count {
		return n
	}
	if thumbnail {
		return (d.frames.Count + 1) / 2
	}
	return 1
}

// has reports whether the instance has bulk data at a path that begins so.
func (d *drawn) has(prefix string) bool {
	for _, b := range d.bulk {
		if strings.HasPrefix(b.Path, prefix) {
			return true
		}
	}
	return false
}
