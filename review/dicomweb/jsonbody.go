package dicomweb

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// heldJSON is how much of a JSON answer is held back, bytes. A worklist page fits and goes out with its
// length known; more would be held per request, less costs a flush for each small answer.
const heldJSON = 64 << 10

// gzipFrom is the size from which compression pays, bytes: below, the answer fits a network packet.
const gzipFrom = 1400

var (
	jsonBuffers = sync.Pool{New: func() any { b := make([]byte, 0, heldJSON+16<<10); return &b }}
	gzipWriters = sync.Pool{New: func() any { w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed); return w }}
)

// jsonBody writes a JSON answer of any length: small ones with a Content-Length, longer ones as they
// come, compressed when the client takes gzip. Nothing is sent before flush or Close, so that an error
// until then can still be answered as one.
type jsonBody struct {
	w       http.ResponseWriter
	buf     *[]byte
	gz      *gzip.Writer
	gzip    bool // the client takes it
	started bool
}

func newJSONBody(w http.ResponseWriter, r *http.Request, contentType string) *jsonBody {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept, Accept-Encoding")
	return &jsonBody{w: w, buf: jsonBuffers.Get().(*[]byte), gzip: takesGzip(r)}
}

// takesGzip reads Accept-Encoding (RFC 9110 §12.5.3). It has the same grammar as Accept without slashes.
func takesGzip(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept-Encoding") {
		for element := range strings.SplitSeq(v, ",") {
			name, weight, _ := strings.Cut(element, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != "gzip" && name != "x-gzip" {
				continue
			}
			_, q, found := strings.Cut(weight, "=")
			return !found || parseWeight(strings.TrimSpace(q)) > 0
		}
	}
	return false
}

// Write implements io.Writer.
func (j *jsonBody) Write(p []byte) (int, error) {
	if len(*j.buf)+len(p) <= heldJSON {
		*j.buf = append(*j.buf, p...)
		return len(p), nil
	}
	if err := j.flush(); err != nil {
		return 0, err
	}
	if len(p) <= heldJSON/2 {
		*j.buf = append(*j.buf, p...)
		return len(p), nil
	}
	return j.out(p)
}

func (j *jsonBody) flush() error {
	if !j.started {
		j.started = true
		if j.gzip {
			j.w.Header().Set("Content-Encoding", "gzip")
			j.gz = gzipWriters.Get().(*gzip.Writer)
			j.gz.Reset(j.w)
		}
		j.w.WriteHeader(http.StatusOK)
	}
	_, err := j.out(*j.buf)
	*j.buf = (*j.buf)[:0]
	return err
}

func (j *jsonBody) out(p []byte) (int, error) {
	if j.gz != nil {
		return j.gz.Write(p)
	}
	return j.w.Write(p)
}

// Close sends what is held. The answer is complete when it returns nil.
func (j *jsonBody) Close() error {
	defer j.release()
	if !j.started && (!j.gzip || len(*j.buf) < gzipFrom) {
		j.w.Header().Set("Content-Length", strconv.Itoa(len(*j.buf)))
		j.gzip = false
	}
	if err := j.flush(); err != nil {
		return err
	}
	if j.gz != nil {
		return j.gz.Close()
	}
	return nil
}

// release gives the buffers back without sending anything; after Close it does nothing.
func (j *jsonBody) release() {
	if j.buf == nil {
		return
	}
	*j.buf = (*j.buf)[:0]
	jsonBuffers.Put(j.buf)
	j.buf = nil
	if j.gz != nil {
		gzipWriters.Put(j.gz)
		j.gz = nil
	}
}
