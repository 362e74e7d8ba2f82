package dicomweb

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/tributary-dicom/tributary/parsers/part10"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// renderOther serves what is no picture: a PDF as it is, a video as it is, an ECG drawn. It reports whether
// the instance was one of them.
func (s *server) renderOther(w http.ResponseWriter, r *http.Request, d *drawn, q asking) (bool, error) {
	if !d.isDICOM() {
		return true, fail(http.StatusNotAcceptable, "this object is not stored as DICOM and is not rendered; retrieve the instance")
	}
	ts, _ := uid.TransferSyntax(d.syntax)
	switch {
	case d.has(encapsulatedDocument):
		return true, s.sendDocument(w, r, d, q)
	case ts.Video && d.frames.Kind == part10.Encapsulated:
		return true, s.sendVideo(w, r, d, q)
	case d.frames.Kind == part10.NoFrames && d.has(waveformSequence):
		return true, s.sendWaveform(w, r, d, q)
	}
	return false, nil
}

// sendDocument serves an encapsulated PDF with range requests. Other documents are not shown: a browser that
// shows what a device claims runs what a device claims.
func (s *server) sendDocument(w http.ResponseWriter, r *http.Request, d *drawn, q asking) error {
	if q.thumbnail {
		return fail(http.StatusNotAcceptable, "a document has no thumbnail; /rendered serves it")
	}
	value, err := d.find(encapsulatedDocument)
	if err != nil {
		return err
	}
	var head struct {
		Type struct {
			Value []string
		} `json:"00420012"`
		Length struct {
			Value []int64
		} `json:"00420015"`
	}
	if err := json.Unmarshal(d.header, &head); err != nil || len(head.Type.Value) == 0 || head.Type.Value[0] != typePDF {
		return fail(http.StatusNotAcceptable, "this document is no PDF and is not rendered; /bulkdata/%s serves its bytes", encapsulatedDocument)
	}
	length := value.Length
	if l := head.Length.Value; len(l) > 0 && l[0] == length-1 { // without the byte that made it even
		length--
	}
	src, free := s.source(d.layout, value.Inflated)
	defer free()
	return s.sendAsItIs(w, r, d, q, typePDF, runBody(src, part10.Range{Offset: value.Offset, Length: length}))
}

// sendVideo serves the one stream of a video object, named by what it is: Transfer Syntaxes tell the codec,
// and players ask for the container.
func (s *server) sendVideo(w http.ResponseWriter, r *http.Request, d *drawn, q asking) error {
	if q.thumbnail {
		return fail(http.StatusNotAcceptable, "a video has no thumbnail: no decoder is kept for transfer syntax %s", d.syntax)
	}
	stream, err := d.frame(stored{s.Blobs, d.key}, 1)
	if err != nil {
		return err
	}
	head, err := readFirst(r.Context(), stream, min(stream.length, 16))
	if err != nil {
		return err
	}
	return s.sendAsItIs(w, r, d, q, videoType(head, d.syntax), stream)
}

// videoType tells the container of a stream by its first bytes, and the codec of one without any.
func videoType(head []byte, syntax string) string {
	switch {
	case len(head) >= 8 && bytes.Equal(head[4:8], []byte("ftyp")):
		return "video/mp4"
	case len(head) > 0 && head[0] == 0x47: // sync byte, ISO/IEC 13818-1 §2.4.3.2
		return "video/mp2t"
	case bytes.HasPrefix(head, []byte{0, 0, 1, 0xBA}), bytes.HasPrefix(head, []byte{0, 0, 1, 0xB3}):
		return "video/mpeg"
	}
	switch syntax {
	case "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101":
		return "video/mpeg"
	case "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108":
		return "video/h265"
	}
	return "video/h264"
}

// sendAsItIs serves a run of stored bytes as a single body.
func (s *server) sendAsItIs(w http.ResponseWriter, r *http.Request, d *drawn, q asking, mediaType string, b body) error {
	offers := []offer{{name: mediaType}}
	if len(choices(q.accept, offers)) == 0 {
		return notAcceptable(offers, "this instance is not rendered otherwise")
	}
	return s.deliver(w, r, single{
		body: b, contentType: mediaType, etag: strongTag(d.sha256, "rendered"), modified: d.modified,
		location: instanceURL(s.Prefix, d.study, d.series, d.instance) + "/rendered",
	})
}
