package dicomweb

import (
	"context"
	"net/http"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/storage/index"
)

// encapsulatedDocument is the path of (0042,0011), whose media type (0042,0012) names.
const encapsulatedDocument = "00420011"

// bulkData serves one value that /metadata refers to (PS3.18 §10.4.1.1.5): its bytes in little endian
// order, as one body or, where asked, as the one part of a multipart body. Encapsulated pixel data is
// sent as it lies in the file, with item headers; frames have a resource of their own.
func (s *server) bulkData(w http.ResponseWriter, r *http.Request) error {
	sc, accept, err := s.start(r)
	if err != nil {
		return err
	}
	path := strings.Trim(r.PathValue("path"), "/")
	if !bulkPath(path) {
		return fail(http.StatusBadRequest, "a bulk data path is tags and item numbers, as in /metadata")
	}
	lay, done, err := s.layoutOf(r.Context(), sc)
	if err != nil {
		return err
	}
	defer done()
	value, err := lay.find(path)
	if err != nil {
		return err
	}
	if value.Offset < 0 || value.Length < 0 {
		return fail(http.StatusInternalServerError, "the recorded bulk table of this instance is damaged; retrieve the whole instance, and tell an operator")
	}
	names := []string{typeOctetStream}
	if value.Path == encapsulatedDocument {
		pdf, err := s.isPDF(r.Context(), sc)
		if err != nil {
			return err
		}
		if pdf {
			names = append(names, typePDF)
		}
	}
	var offers []offer
	for _, multipart := range []bool{false, true} {
		for _, n := range names {
			offers = append(offers, offer{multipart, n})
		}
	}
	c := choices(accept, offers)
	if len(c) == 0 {
		return notAcceptable(offers, "bulk data is sent as bytes")
	}
	src, free := s.source(lay, value.Inflated)
	defer free()
	b := runBody(lay.ordered(src, value), part10.Range{Offset: value.Offset, Length: value.Length})
	location := instanceURL(s.Prefix, lay.study, lay.series, lay.instance) + "/bulkdata/" + value.Path
	resource := strings.ReplaceAll(value.Path, "/", "-")
	if c[0].multipart {
		return s.deliverParts(w, r, multi{
			count: 1, name: c[0].name, etag: weakTag(lay.sha256, resource+"-parts"), modified: lay.modified,
			part: func(int) part { return part{b, c[0].name, location} },
		})
	}
	return s.deliver(w, r, single{
		body: b, contentType: c[0].name, location: location, etag: strongTag(lay.sha256, resource), modified: lay.modified,
		filename: filenameOf(c[0].name, resource),
	})
}

// filenameOf makes a browser save what has no page of its own; a PDF it may show.
func filenameOf(mediaType, resource string) string {
	if mediaType == typePDF {
		return ""
	}
	return resource + ".bin"
}

// bulkPath reports whether path has the form of part10.Bulk.Path: eight hexadecimal digits, then pairs
// of an item number and a tag.
func bulkPath(path string) bool {
	const most = 64 * 20 // nesting of 64, PS3.5 tags and item numbers
	if path == "" || len(path) > most {
		return false
	}
	i := 0
	for name := range strings.SplitSeq(path, "/") {
		if i%2 == 0 && (len(name) != 8 || strings.Trim(name, "0123456789ABCDEFabcdef") != "") {
			return false
		}
		if i%2 == 1 && (name == "" || len(name) > 9 || !digits(name)) {
			return false
		}
		i++
	}
	return i%2 == 1
}

// isPDF reports whether the instance says that its document is a PDF. Other document types (XML, say)
// are bytes: a browser that shows what a device claims runs what a device claims.
func (s *server) isPDF(ctx context.Context, sc index.Scope) (bool, error) {
	o, err := s.first(ctx, sc, index.Want{Header: true})
	if err != nil {
		return false, err
	}
	m, err := newMembers(o.Header)
	for err == nil {
		var key, value []byte
		if key, _, value, err = m.next(); key == nil {
			break
		}
		if string(key) == "00420012" {
			return strings.Contains(string(value), `"`+typePDF+`"`), nil
		}
	}
	return false, err
}
