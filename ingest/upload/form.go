package upload

import (
	"io"
	"mime"
	"net/http"
	"net/textproto"

	"github.com/tributary-dicom/tributary/ingest"
	"github.com/tributary-dicom/tributary/ingest/httpbody"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// result is what became of one file of a form.
type result struct {
	rec ingest.Receipt
	err error
}

// form admits the files of a multipart/form-data body (RFC 7578) as they come. Fields that are no files
// are passed over; the files of a WFDB record become one object.
func (h *handler) form(w http.ResponseWriter, r *http.Request, body *httpbody.Guard, boundary string, a ingest.Arrival) {
	var results []*result
	held := &heldParts{dir: h.cfg.HoldDir}
	defer held.close()
	broken := func() error {
		reader := httpbody.NewReader(body, boundary, httpbody.Limits{Parts: h.cfg.MaxFiles})
		lanes := httpbody.NewLanes(h.cfg.BufferBytes)
		defer lanes.Wait()
		for {
			part, err := reader.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			name, isFile := filePart(part.Header)
			if !isFile {
				continue
			}
			res := &result{err: reject.New(reject.Internal, "upload", "not admitted")}
			results = append(results, res)
			a := a
			a.Origin.Filename = name
			digests, err := parseDigests(http.Header(part.Header))
			if err != nil {
				res.err = err
				continue
			}
			src := &noted{Reader: part}
			waits, rest, err := held.take(src)
			switch {
			case err != nil:
			case waits != nil:
				waits.name, waits.a, waits.digests, waits.res = name, a, digests, res
				held.parts = append(held.parts, waits)
			default:
				err = lanes.Run(r.Context(), rest, func(b io.Reader) {
					a.Body = b
					res.rec, res.err = h.admit(r.Context(), a, digests)
				})
			}
			if src.err != nil {
				err = src.err
			}
			if err != nil {
				results = results[:len(results)-1] // told as the broken body
				return err
			}
		}
	}()
	h.admitHeld(r.Context(), held)
	h.completeForm(w, r, a.Tenant, results, broken)
	h.answerForm(w, body, results, broken)
}

// completeForm is complete for a form that was read to its end and whose files are all kept.
func (h *handler) completeForm(w http.ResponseWriter, r *http.Request, tenant string, results []*result, broken error) {
	kept := make([]ingest.Receipt, 0, len(results))
	for _, res := range results {
		if res.err != nil {
			return
		}
		kept = append(kept, res.rec)
	}
	if broken == nil && len(kept) > 0 {
		h.complete(w, r, tenant, kept...)
	}
}

// answerForm reports on each file; broken is why the body was not read to its end, nil when it was.
func (h *handler) answerForm(w http.ResponseWriter, body *httpbody.Guard, results []*result, broken error) {
	if broken != nil {
		if reject.CodeOf(broken) == reject.Internal { // io.ErrUnexpectedEOF
			broken = &reject.Error{Code: reject.Aborted, Op: "upload", Offset: -1, Err: broken}
		}
		results = append(results, &result{err: broken})
	}
	if len(results) == 0 {
		h.refuse(w, http.StatusBadRequest, reject.New(reject.Empty, "upload", "the form has no files"))
		return
	}
	kept, status := 0, 0
	answers := make([]any, len(results))
	for i, res := range results {
		if res.err == nil {
			kept++
			answers[i] = res.rec
			continue
		}
		answers[i] = refusal(res.err)
		if status == 0 {
			status = statusOf(res.err)
		}
	}
	switch {
	case kept == len(results):
		status = http.StatusCreated
	case kept > 0:
		status = http.StatusMultiStatus
	case body.Slow():
		status = http.StatusRequestTimeout
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", h.cfg.retryAfter())
	}
	writeJSON(w, status, answers)
}

// filePart tells whether a part is a file, which has a file name (RFC 7578 §4.2), be it empty.
func filePart(header textproto.MIMEHeader) (name string, ok bool) {
	_, params, err := mime.ParseMediaType(header.Get("Content-Disposition"))
	if err != nil {
		return "", false
	}
	name, ok = params["filename"]
	return cleanFilename(name), ok
}

// noted remembers why a part could not be read to its end.
type noted struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (n *noted) Read(p []byte) (int, error) {
	c, err := n.Reader.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return c, err
}
