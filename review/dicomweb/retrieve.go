package dicomweb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/tributary-dicom/tributary/storage/index"
)

// item is what the retrieval of many instances keeps of each: about 310 bytes, so that no index cursor
// stays open while a slow client reads.
type item struct {
	study, series, instance string
	syntax                  string
	key                     string
	sha256                  string
	mediaType               string
	reading                 string // index.Object.Reading
	bytes                   int64
	modified                int64 // Unix milliseconds
}

func itemOf(o index.Object) item {
	return item{
		study: o.StudyInstanceUID, series: o.SeriesInstanceUID, instance: o.SOPInstanceUID, syntax: o.TransferSyntaxUID,
		key: o.BlobKey, sha256: o.SHA256, mediaType: o.MediaType, bytes: o.Bytes, reading: o.Reading,
		modified: o.Modified,
	}
}

// isDICOM reports whether the stored file is a DICOM file. Others (an SCP-ECG recording, say) have
// derived UIDs and can be fetched as what they are.
func (it item) isDICOM() bool { return it.mediaType == "" || it.mediaType == typeDICOM }

// list returns the current instances of a scope, or index.ErrNotFound.
func (s *server) list(ctx context.Context, sc index.Scope) ([]item, error) {
	var items []item
	err := s.objects(ctx, sc, index.Want{}, func(o index.Object) error {
		it := itemOf(o)
		if n := len(items); n > 0 { // one copy of what neighbours share
			last := &items[n-1]
			share(&it.study, last.study)
			share(&it.series, last.series)
			share(&it.syntax, last.syntax)
			share(&it.mediaType, last.mediaType)
		}
		items = append(items, it)
		return nil
	})
	if err == nil && len(items) == 0 {
		err = index.ErrNotFound
	}
	return items, err
}

func share(s *string, with string) {
	if *s == with {
		*s = with
	}
}

// retrieve serves whole instances (PS3.18 §10.4.1.1.1 to §10.4.1.1.3), bit for bit as they are stored:
// all of a study or series as multipart/related, a single one also as itself.
func (s *server) retrieve(w http.ResponseWriter, r *http.Request) error {
	sc, accept, err := s.start(r)
	if err != nil {
		return err
	}
	items, err := s.list(r.Context(), sc)
	if err != nil {
		return err
	}
	if sc.SOPInstanceUID != "" {
		return s.retrieveOne(w, r, accept, items[0])
	}
	items = slices.DeleteFunc(items, func(it item) bool { return !it.isDICOM() })
	if len(items) == 0 {
		return fail(http.StatusNotFound, "nothing here is stored as DICOM; retrieve the instances one by one")
	}
	offers := []offer{{multipart: true, name: typeDICOM}}
	c := choices(accept, offers)
	if len(c) == 0 {
		return notAcceptable(offers, "several instances are only sent in one multipart body")
	}
	for _, it := range items {
		if !syntaxTaken(accept, c[0], it.syntax) {
			return notAcceptable(offers, "nothing is transcoded; stored here are the transfer syntaxes %s, ask for transfer-syntax=*",
				strings.Join(syntaxesOf(items), ", "))
		}
	}
	m := s.parts(items)
	m.etag = weakTag(hashOf(items), "parts")
	return s.deliverParts(w, r, m)
}

func (s *server) retrieveOne(w http.ResponseWriter, r *http.Request, accept []mediaRange, it item) error {
	src := stored{s.Blobs, it.key}
	whole := body{it.bytes, src.open}
	if !it.isDICOM() {
		offers := []offer{{name: it.mediaType}, {name: typeOctetStream}}
		c := choices(accept, offers)
		if len(c) == 0 {
			return notAcceptable(offers, "this object is not stored as DICOM")
		}
		return s.deliver(w, r, single{body: whole, contentType: c[0].name, etag: strongTag(it.sha256, ""), modified: it.modified, filename: it.instance})
	}
	offers := []offer{{multipart: true, name: typeDICOM}, {name: typeDICOM}}
	taken := choices(accept, offers)
	for _, o := range taken {
		if !syntaxTaken(accept, o, it.syntax) {
			continue
		}
		if o.multipart {
			m := s.parts([]item{it})
			m.etag, m.modified = weakTag(it.sha256, "parts"), it.modified
			return s.deliverParts(w, r, m)
		}
		return s.deliver(w, r, single{
			body: whole, contentType: typeWithSyntax(typeDICOM, it.syntax), etag: strongTag(it.sha256, ""), modified: it.modified,
			location: instanceURL(s.Prefix, it.study, it.series, it.instance), filename: it.instance + ".dcm",
		})
	}
	if len(taken) > 0 {
		return notAcceptable(offers, "nothing is transcoded; this instance is stored in transfer syntax %s, ask for that or for transfer-syntax=*", it.syntax)
	}
	return notAcceptable(offers, "an instance is sent as DICOM")
}

// parts wraps items as parts of one answer.
func (s *server) parts(items []item) multi {
	const ahead = 2 // opened while the one before is sent; more would hold connections of a remote store
	return multi{
		count: len(items), name: typeDICOM, ahead: ahead,
		part: func(i int) part {
			it := &items[i]
			src := stored{s.Blobs, it.key}
			return part{
				body:        body{it.bytes, src.open},
				contentType: typeWithSyntax(typeDICOM, it.syntax),
				location:    instanceURL(s.Prefix, it.study, it.series, it.instance),
			}
		},
	}
}

// hashOf is of which objects there are, in their order.
func hashOf(items []item) string {
	h := sha256.New()
	for i := range items {
		it := &items[i]
		_, _ = io.WriteString(h, it.key+" "+it.sha256+" "+it.instance+" "+it.reading+"\n") // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

// start reads what every retrieval has: scope and Accept.
func (s *server) start(r *http.Request) (index.Scope, []mediaRange, error) {
	sc, err := s.scope(r)
	if err != nil {
		return sc, nil, err
	}
	params, err := parseParams(r.URL.RawQuery)
	if err != nil {
		return sc, nil, err
	}
	return sc, acceptOf(r, params), nil
}

// typeWithSyntax adds the transfer-syntax parameter of PS3.18 §8.7.3.5.2. It is left out when the file
// says something that is no UID.
func typeWithSyntax(mediaType, syntax string) string {
	if syntax == "" || len(syntax) > 64 || !digitsAndDots(syntax) {
		return mediaType
	}
	return mediaType + "; transfer-syntax=" + syntax
}

func syntaxesOf(items []item) []string {
	var out []string
	for _, it := range items {
		if !slices.Contains(out, it.syntax) {
			out = append(out, it.syntax)
		}
	}
	return out
}

// strongTag and weakTag are entity tags (RFC 9110 §8.8.3) of an object's resource. Objects never change,
// so their hash and the resource's name tell everything.
func strongTag(sha256, resource string) string {
	if sha256 == "" {
		return ""
	}
	if resource != "" {
		resource = "-" + resource
	}
	return `"` + sha256 + resource + `"`
}

func weakTag(sha256, resource string) string {
	if sha256 == "" {
		return ""
	}
	return "W/" + strongTag(sha256, resource)
}
