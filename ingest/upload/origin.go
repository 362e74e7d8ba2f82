package upload

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/pipeline/event"
)

// Bounds of what a sender says about itself, in characters. Longer values are cut.
const (
	maxFilename = 255
	maxName     = 64
)

// fillOrigin adds to what Identify told.
func fillOrigin(o *event.Origin, door string, r *http.Request) {
	o.Door = door
	if o.Device == "" {
		o.Device = cleanText(r.Header.Get("X-Device"), maxName)
	}
	if o.Facility == "" {
		o.Facility = cleanText(r.Header.Get("X-Facility"), maxName)
	}
	if o.Remote == "" {
		o.Remote = r.RemoteAddr
	}
}

// requestFilename is the name that a request gives its file: X-Filename, percent-encoded where it is not
// ASCII since browsers can send it in no other way, or Content-Disposition (RFC 6266).
func requestFilename(h http.Header) string {
	if name := h.Get("X-Filename"); name != "" {
		if plain, err := url.PathUnescape(name); err == nil {
			name = plain
		}
		return cleanFilename(name)
	}
	_, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return cleanFilename(params["filename"])
}

// cleanFilename makes a name that is safe to show; it is never used as a path, and has none in it.
func cleanFilename(s string) string {
	if i := strings.LastIndexAny(s, `/\`); i >= 0 {
		s = s[i+1:]
	}
	s = cleanText(s, maxFilename)
	if s == "." || s == ".." {
		return ""
	}
	return s
}

// cleanText drops what cannot be printed and cuts after max characters.
func cleanText(s string, max int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == max {
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			continue
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}

// detailOf is the words of a refusal, without the names of our functions.
func detailOf(err error) string {
	var e *reject.Error
	if errors.As(err, &e) && e.Err != nil {
		var inner *reject.Error
		if errors.As(e.Err, &inner) { // a door's own refusal that came back through admission
			return detailOf(inner)
		}
		return e.Err.Error()
	}
	return ""
}
