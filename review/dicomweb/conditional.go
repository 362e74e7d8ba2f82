package dicomweb

import (
	"net/http"
	"time"

	"github.com/tributary-dicom/tributary/review/byterange"
)

// notModified sets the validators of an answer, ETag and Last-Modified, and answers 304 where the request has
// one of them already. An If-Modified-Since is only looked at without If-None-Match (RFC 9110 §13.1.3).
func notModified(w http.ResponseWriter, r *http.Request, etag string, modified int64) bool {
	h := w.Header()
	if etag != "" {
		h.Set("ETag", etag)
	}
	date := ""
	if modified > 0 {
		date = time.UnixMilli(modified).UTC().Format(http.TimeFormat)
		h.Set("Last-Modified", date)
	}
	if len(r.Header.Values("If-None-Match")) > 0 {
		if !byterange.Unchanged(r, etag) {
			return false
		}
	} else if date == "" || r.Header.Get("If-Modified-Since") != date {
		// Only the very date counts, not any later one: when a conflict is settled the current data set may be
		// one that came earlier.
		return false
	}
	h.Del("Content-Type")
	w.WriteHeader(http.StatusNotModified)
	return true
}
