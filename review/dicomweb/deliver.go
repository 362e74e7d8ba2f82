package dicomweb

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/tributary-dicom/tributary/review/byterange"
)

// single is an answer of one body, without multipart around it.
type single struct {
	body
	contentType string
	location    string // Content-Location; "" for none
	filename    string // of Content-Disposition: attachment; "" for none
	etag        string
	modified    int64 // Unix milliseconds; 0 for unknown
}

// deliver sends one body: conditional, by range, or whole.
func (s *server) deliver(w http.ResponseWriter, r *http.Request, a single) error {
	h := w.Header()
	h.Add("Vary", "Accept")
	h.Set("Accept-Ranges", "bytes")
	if notModified(w, r, a.etag, a.modified) {
		return nil
	}
	off, n, part, ok := byterange.Parse(byterange.Wanted(r, a.etag), a.length)
	if !ok {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", a.length))
		return fail(http.StatusRequestedRangeNotSatisfiable, "no such range in %d bytes (at most %d ranges)", a.length, byterange.Max)
	}
	var out *sending
	if r.Method != http.MethodHead && n > 0 {
		src, err := a.open(r.Context(), off, n)
		if err != nil {
			return err
		}
		defer src.Close() // only read from
		if out, err = begin(src, n); err != nil {
			return err
		}
		defer out.free()
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	if a.location != "" {
		h.Set("Content-Location", a.location)
	}
	if a.filename != "" {
		h.Set("Content-Disposition", `attachment; filename="`+a.filename+`"`)
	}
	status := http.StatusOK
	if part {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, a.length))
	}
	w.WriteHeader(status)
	if out == nil {
		return nil
	}
	if err := out.to(w); err != nil {
		s.broken(r, err)
	}
	return nil
}

// part is one part of a multipart answer.
type part struct {
	body
	contentType string
	location    string
}

// multi is an answer of several bodies (RFC 2387, PS3.18 §8.6.1.2).
type multi struct {
	count    int
	part     func(i int) part // asked twice for each i: once for its length, once to send it
	name     string           // media type of the root part
	etag     string           // weak: the boundary differs each time
	modified int64            // Unix milliseconds; 0 for unknown
	ahead    int              // how many parts to open before their turn; 0 when they share a stream
}

// deliverParts sends a multipart/related answer. Its length is known before the first byte: clients show
// progress, and a broken answer cannot pass for a whole one.
func (s *server) deliverParts(w http.ResponseWriter, r *http.Request, m multi) error {
	h := w.Header()
	h.Add("Vary", "Accept")
	if notModified(w, r, m.etag, m.modified) {
		return nil
	}
	boundary := "tributary-" + rand.Text()
	closing := "\r\n--" + boundary + "--\r\n"
	total := int64(len(closing))
	var head []byte
	for i := range m.count {
		p := m.part(i)
		head = appendPartHead(head[:0], boundary, i, p)
		total += int64(len(head)) + p.length
	}
	var next func() (io.ReadCloser, error)
	if r.Method != http.MethodHead {
		ctx, cancel := context.WithCancel(r.Context())
		var stop func()
		next, stop = openParts(ctx, m)
		defer stop()
		defer cancel()
	}
	var src io.ReadCloser
	var out *sending
	if next != nil { // before the status line, so that it can still fail
		var err error
		if src, err = next(); err != nil {
			return err
		}
		if out, err = begin(src, m.part(0).length); err != nil {
			_ = src.Close() // only read from
			return err
		}
	}
	h.Set("Content-Type", fmt.Sprintf(`%s; type="%s"; boundary=%s`, typeRelated, m.name, boundary))
	h.Set("Content-Length", strconv.FormatInt(total, 10))
	w.WriteHeader(http.StatusOK)
	if next == nil {
		return nil
	}
	for i := range m.count {
		p := m.part(i)
		var err error
		if i > 0 {
			if src, err = next(); err != nil {
				s.broken(r, err)
			}
			out, err = begin(src, p.length)
		}
		if err == nil {
			_, err = w.Write(appendPartHead(head[:0], boundary, i, p))
			if err == nil {
				err = out.to(w)
			}
			out.free()
		}
		_ = src.Close() // only read from
		if err != nil {
			s.broken(r, err)
		}
	}
	if _, err := io.WriteString(w, closing); err != nil {
		s.broken(r, err)
	}
	return nil
}

// appendPartHead adds delimiter and header fields of part i (RFC 2046 §5.1).
func appendPartHead(dst []byte, boundary string, i int, p part) []byte {
	if i > 0 {
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "--"...)
	dst = append(dst, boundary...)
	dst = append(dst, "\r\nContent-Type: "...)
	dst = append(dst, p.contentType...)
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, p.length, 10)
	if p.location != "" {
		dst = append(dst, "\r\nContent-Location: "...)
		dst = append(dst, p.location...)
	}
	return append(dst, "\r\n\r\n"...)
}

// openParts returns a function that yields the open parts in order, some of them opened ahead: with a
// remote store, the wait for the next object then falls into the sending of the one before. stop closes
// what was not taken; the context must be done by then.
func openParts(ctx context.Context, m multi) (next func() (io.ReadCloser, error), stop func()) {
	if m.ahead <= 0 || m.count == 1 {
		i := -1
		return func() (io.ReadCloser, error) {
			i++
			p := m.part(i)
			return p.open(ctx, 0, p.length)
		}, func() {}
	}
	type opened struct {
		rc  io.ReadCloser
		err error
	}
	queue := make(chan opened, m.ahead)
	go func() {
		defer close(queue)
		for i := range m.count {
			p := m.part(i)
			rc, err := p.open(ctx, 0, p.length)
			select {
			case queue <- opened{rc, err}:
			case <-ctx.Done():
				if err == nil {
					_ = rc.Close() // only read from
				}
				return
			}
			if err != nil {
				return
			}
		}
	}()
	next = func() (io.ReadCloser, error) {
		o, ok := <-queue
		if !ok {
			return nil, ctx.Err()
		}
		return o.rc, o.err
	}
	stop = func() {
		for o := range queue {
			if o.err == nil {
				_ = o.rc.Close() // only read from
			}
		}
	}
	return next, stop
}
