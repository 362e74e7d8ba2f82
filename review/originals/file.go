package originals

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/tributary-dicom/tributary/review/byterange"
)

// file sends an original as its device sent it, whole or one range of it.
func (s *server) file(w http.ResponseWriter, r *http.Request) error {
	o, err := s.original(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Accept-Ranges", "bytes")
	etag := ""
	if o.SHA256 != "" {
		etag = `"` + o.SHA256 + `"`
		h.Set("ETag", etag)
	}
	if byterange.Unchanged(r, etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	off, n, part, ok := byterange.Parse(byterange.Wanted(r, etag), o.Bytes)
	if !ok {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", o.Bytes))
		return fail(http.StatusRequestedRangeNotSatisfiable, "no such range in %d bytes (at most %d ranges)", o.Bytes, byterange.Max)
	}
	var src io.ReadCloser
	if r.Method != http.MethodHead && n > 0 {
		if src, err = s.Blobs.Open(r.Context(), o.BlobKey, off, n); err != nil {
			return fmt.Errorf("open blob: %w", err)
		}
		defer src.Close() // only read from
	}
	out := &sending{src: src, left: n}
	if src != nil {
		if err := out.next(); err != nil { // while it can still be answered as an error
			return err
		}
	}
	h.Set("Content-Type", cmp.Or(o.MediaType, "application/octet-stream"))
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	h.Set("Content-Disposition", disposition(fileName(o.Filename, o.ObjectID)))
	status := http.StatusOK
	if part {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, o.Bytes))
	}
	w.WriteHeader(status)
	if src == nil {
		return nil
	}
	if err := out.to(w); err != nil {
		if r.Context().Err() == nil {
			s.Log.ErrorContext(r.Context(), "response broken off", "route", r.Pattern, "error", err)
		}
		panic(http.ErrAbortHandler) // a short body must not look whole
	}
	return nil
}

// piece is how much is read at a time, bytes.
const piece = 64 << 10

// sending is a file under way.
type sending struct {
	src  io.Reader
	left int64  // of src
	buf  []byte // read, not sent
}

// next reads a piece. The last one is given out when the source has come to its end: a store that finds a wrong
// checksum says so there, and the client then never has all of it.
func (s *sending) next() error {
	if s.buf == nil {
		s.buf = make([]byte, min(s.left, piece))
	}
	s.buf = s.buf[:min(s.left, piece)]
	if _, err := io.ReadFull(s.src, s.buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if s.left -= int64(len(s.buf)); s.left == 0 {
		var more [1]byte
		if extra, err := io.ReadFull(s.src, more[:]); extra > 0 || !errors.Is(err, io.EOF) {
			return cmp.Or(err, errors.New("the blob is longer than its record says"))
		}
	}
	return nil
}

// to sends what was read, and all that is left.
func (s *sending) to(w io.Writer) error {
	for {
		if _, err := w.Write(s.buf); err != nil || s.left == 0 {
			return err
		}
		if err := s.next(); err != nil {
			return err
		}
	}
}
