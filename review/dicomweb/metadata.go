package dicomweb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"

	"github.com/tributary-dicom/tributary/storage/index"
)

// metadata serves the headers of instances as DICOM JSON (PS3.18 §10.4.1.1.5): the header JSON that
// admission recorded, with Bulk Data URIs made server-relative, one after another. Headers are asked for
// one by one, so that memory holds one of them and no index cursor waits for a slow client.
func (s *server) metadata(w http.ResponseWriter, r *http.Request) error {
	sc, accept, err := s.start(r)
	if err != nil {
		return err
	}
	contentType, err := jsonType(accept)
	if err != nil {
		return err
	}
	items := []item{{study: sc.StudyInstanceUID, series: sc.SeriesInstanceUID, instance: sc.SOPInstanceUID}}
	one := sc.SOPInstanceUID != ""
	if !one {
		if items, err = s.list(r.Context(), sc); err != nil {
			return err
		}
		// Headers are read when an object comes in, or comes in again by newer parsers (index.Object.Reading).
		if notModified(w, r, weakTag(hashOf(items), "metadata"), 0) {
			return nil
		}
	}
	out := newJSONBody(w, r, contentType)
	defer out.release()
	sep := "["
	for _, it := range items {
		sc.SeriesInstanceUID, sc.SOPInstanceUID = it.series, it.instance
		done, err := s.oneHeader(w, r, sc, out, sep, one)
		switch {
		case errors.Is(err, errNoHeader):
			continue // gone since the list was made, or not DICOM
		case err != nil && out.started:
			s.broken(r, err)
		case err != nil || done:
			return err
		}
		sep = ","
	}
	if sep == "[" {
		return index.ErrNotFound
	}
	_, err = io.WriteString(out, "]")
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		s.broken(r, err)
	}
	return nil
}

var errNoHeader = errors.New("no header")

// oneHeader writes the header of one instance behind sep. done reports that the whole request was answered: it was for
// this one instance, and the client has its metadata.
func (s *server) oneHeader(w http.ResponseWriter, r *http.Request, sc index.Scope, out *jsonBody, sep string, one bool) (done bool, err error) {
	o, free, err := s.headerToSend(r.Context(), sc)
	if errors.Is(err, index.ErrNotFound) {
		return false, errNoHeader
	}
	if err != nil {
		return false, err
	}
	defer free()
	if len(o.Header) == 0 {
		return false, errNoHeader
	}
	if one {
		modified := o.Modified
		if o.Reread { // when it was received tells nothing of its header
			modified = 0
		}
		if notModified(w, r, metadataTag(o), modified) {
			return true, nil
		}
	}
	if _, err := io.WriteString(out, sep); err != nil {
		return false, err
	}
	return false, writeHeader(out, o.Header, instanceURL(s.Prefix, o.StudyInstanceUID, o.SeriesInstanceUID, o.SOPInstanceUID), o.TransferSyntaxUID)
}

// headerToSend returns an instance with its header, and what to call when it is no longer needed. Where others have
// taken all the memory for large ones it waits, and holds none meanwhile.
func (s *server) headerToSend(ctx context.Context, sc index.Scope) (o index.Object, free func(), err error) {
	if o, err = s.first(ctx, sc, index.Want{Header: true}); err != nil {
		return o, nil, err
	}
	n := int64(len(o.Header))
	if free = s.tryHold(n); free != nil {
		return o, free, nil
	}
	if free, err = s.hold(ctx, n); err != nil {
		return o, nil, err
	}
	if o, err = s.first(ctx, sc, index.Want{Header: true}); err != nil {
		free()
	}
	return o, free, err
}

// metadataTag is of the header and not of the file, whose header a later version may read better.
func metadataTag(o index.Object) string {
	sum := sha256.Sum256(o.Header)
	return weakTag(hex.EncodeToString(sum[:16]), "metadata")
}
