package dicomweb

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// heldJSON is how much of a JSON answer is held back, bytes. A worklist page fits and goes out with its
// length known; more would be held per request, less costs a flush for each small answer.
const heldJSON = 64 << 10

// compressFrom is the size from which compression pays, bytes: below, the answer fits a network packet.
const compressFrom = 1400

var (
	jsonBuffers = sync.Pool{New: func() any { b := make([]byte, 0, heldJSON+16<<10); return &b }}
	compressors = map[string]*sync.Pool{
		"gzip": {New: func() any { w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed); return w }},
		"zstd": {New: func() any {
			// A small window: JSON repeats itself nearby, and each reader costs one of these.
			w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
				zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
			return w
		}},
	}
)

// compressor is what gzip.Writer and zstd.Encoder have in common.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// jsonBody writes a JSON answer of any length: small ones with a Content-Length, longer ones as they
// come, compressed when the client takes zstd or gzip. Nothing is sent before flush or Close, so that an error
// until then can still be answered as one.
type jsonBody struct {
	w       http.ResponseWriter
	buf     *[]byte
	coder   compressor
	coding  string // that the client likes best; "" for none
	started bool
}

func newJSONBody(w http.ResponseWriter, r *http.Request, contentType string) *jsonBody {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept, Accept-Encoding")
	return &jsonBody{w: w, buf: jsonBuffers.Get().(*[]byte), coding: codingOf(r)}
}

// codingOf reads Accept-Encoding (RFC 9110 §12.5.3): the client's favourite of zstd and gzip, and zstd among
// equals. "*" alone is taken for gzip, which everybody reads.
func codingOf(r *http.Request) string {
	best, bestQ := "", 0
	budget := maxAcceptBytes
	for _, v := range r.Header.Values("Accept-Encoding") {
		if budget -= len(v); budget < 0 {
			break
		}
		for element := range strings.SplitSeq(v, ",") {
			name, weight, _ := strings.Cut(element, ";")
			q := 1000
			if _, text, found := strings.Cut(weight, "="); found {
				q = parseWeight(strings.TrimSpace(text))
			}
			name = strings.ToLower(strings.TrimSpace(name))
			switch name {
			case "x-gzip":
				name = "gzip"
			case "*":
				if best == "" && q > 0 {
					best = "gzip"
				}
				continue
			case "gzip", "zstd":
			default:
				continue
			}
			if q == 0 && best == name {
				best = ""
			}
			if q > bestQ || q == bestQ && q > 0 && name == "zstd" {
				best, bestQ = name, q
			}
		}
	}
	return best
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
		if j.coding != "" {
			j.w.Header().Set("Content-Encoding", j.coding)
			j.coder = compressors[j.coding].Get().(compressor)
			j.coder.Reset(j.w)
		}
		j.w.WriteHeader(http.StatusOK)
	}
	_, err := j.out(*j.buf)
	*j.buf = (*j.buf)[:0]
	return err
}

func (j *jsonBody) out(p []byte) (int, error) {
	if j.coder != nil {
		return j.coder.Write(p)
	}
	return j.w.Write(p)
}

// Close sends what is held. The answer is complete when it returns nil.
func (j *jsonBody) Close() error {
	defer j.release()
	if !j.started && (j.coding == "" || len(*j.buf) < compressFrom) {
		j.w.Header().Set("Content-Length", strconv.Itoa(len(*j.buf)))
		j.coding = ""
	}
	if err := j.flush(); err != nil {
		return err
	}
	if j.coder != nil {
		return j.coder.Close()
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
	if j.coder != nil {
		j.coder.Reset(nil) // keeps nothing of the connection
		compressors[j.coding].Put(j.coder)
		j.coder = nil
	}
}
