// Package byterange reads the headers of conditional and range requests (RFC 9110 §13, §14) for readers that send
// stored bytes.
package byterange

import (
	"net/http"
	"strconv"
	"strings"
)

// Max is how many ranges a Range header may list. Overlapping ranges by the thousand are an
// attack (RFC 9110 §14.2), and no viewer sends more than one.
const Max = 16

// Parse reads a Range header for a body of size bytes. part is false when the whole body is to be
// sent: no header, another unit, nonsense, or several ranges, which RFC 9110 §14.2 lets us ignore. ok is
// false when nothing can be sent: 416.
func Parse(header string, size int64) (off, n int64, part, ok bool) {
	list, found := strings.CutPrefix(header, "bytes=")
	if !found || size == 0 {
		return 0, size, false, true
	}
	if strings.Count(list, ",") >= Max {
		return 0, 0, false, false
	}
	ranges, satisfiable := 0, 0
	for spec := range strings.SplitSeq(list, ",") {
		spec = strings.TrimSpace(spec)
		if spec == "" {
			continue
		}
		o, length, valid := oneRange(spec, size)
		if !valid {
			return 0, size, false, true
		}
		ranges++
		if length > 0 {
			satisfiable++
			off, n = o, length
		}
	}
	switch {
	case ranges == 0:
		return 0, size, false, true
	case satisfiable == 0:
		return 0, 0, false, false
	case ranges > 1:
		return 0, size, false, true
	}
	return off, n, true, true
}

// oneRange reads "first-last", "first-" or "-suffix". A length of 0 means outside of the body.
func oneRange(spec string, size int64) (off, n int64, valid bool) {
	first, last, found := strings.Cut(spec, "-")
	if !found || !digits(first) || !digits(last) || first == "" && last == "" {
		return 0, 0, false
	}
	if first == "" {
		n = min(atoi(last), size)
		return size - n, n, true
	}
	off = atoi(first)
	end := size - 1
	if last != "" {
		e := atoi(last)
		if e < off {
			return 0, 0, false
		}
		end = min(e, end)
	}
	if off >= size {
		return 0, 0, true
	}
	return off, end - off + 1, true
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// atoi reads digits; what overflows is the largest int64.
func atoi(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // saturates on overflow
	return n
}

// Unchanged reports whether If-None-Match names etag (RFC 9110 §13.1.2, weak comparison).
func Unchanged(r *http.Request, etag string) bool {
	if etag == "" {
		return false
	}
	for _, v := range r.Header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(v, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
				return true
			}
		}
	}
	return false
}

// Wanted returns the Range header unless If-Range says that it is for another version
// (RFC 9110 §13.1.5). Dates are not compared: objects never change under an ETag.
func Wanted(r *http.Request, etag string) string {
	if c := r.Header.Get("If-Range"); c != "" && c != etag {
		return ""
	}
	return r.Header.Get("Range")
}
