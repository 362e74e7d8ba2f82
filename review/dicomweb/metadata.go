package dicomweb

import (
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
		// Headers are read when an object comes in: other headers are another object, or another of its versions.
		if notModified(w, r, weakTag(hashOf(items), "metadata"), 0) {
			return nil
		}
	}
	out := newJSONBody(w, r, contentType)
	defer out.release()
	sep := "["
	for _, it := range items {
		sc.SeriesInstanceUID, sc.SOPInstanceUID = it.series, it.instance
		o, err := s.first(r.Context(), sc, index.Want{Header: true})
		switch {
		case errors.Is(err, index.ErrNotFound), err == nil && len(o.Header) == 0:
			continue // gone since the list was made, or not DICOM
		case err == nil && one:
			if notModified(w, r, metadataTag(o), o.Modified) {
				return nil
			}
		}
		if err == nil {
			_, err = io.WriteString(out, sep)
			sep = ","
		}
		if err == nil {
			base := instanceURL(s.Prefix, o.StudyInstanceUID, o.SeriesInstanceUID, o.SOPInstanceUID)
			err = writeHeader(out, o.Header, base, o.TransferSyntaxUID)
		}
		if err != nil && out.started {
			s.broken(r, err)
		}
		if err != nil {
			return err
		}
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

// metadataTag is of the header and not of the file, whose header a later version may read better.
func metadataTag(o index.Object) string {
	sum := sha256.Sum256(o.Header)
	return weakTag(hex.EncodeToString(sum[:16]), "metadata")
}
