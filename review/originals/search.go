package originals

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/tributary-dicom/tributary/storage/index"
)

// list is the JSON of /ecgs.
type list struct {
	ECGs []row  `json:"ecgs"`           // newest received first
	Next string `json:"next,omitempty"` // path of the next page; left out on the last one
}

// row is one recording: a DICOM object, or an original of which none has been made (yet), without instance.
type row struct {
	ID         string `json:"id"`
	Study      string `json:"study"`
	Series     string `json:"series"`
	Instance   string `json:"instance,omitempty"`
	ReceivedAt string `json:"received_at"` // RFC 3339
	subject
	said
	Links links `json:"links"`
}

// linksTo are the links to an original.
func linksTo(object string) links {
	at := "/originals/" + url.PathEscape(object)
	return links{Original: at, About: at + "/about"}
}

func (s *server) search(w http.ResponseWriter, r *http.Request) error {
	q, err := parse(r.URL.RawQuery)
	if err != nil {
		return err
	}
	page := q.Limit
	q.Tenant, q.Limit = s.Tenant(r), page+1
	ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
	defer cancel()
	found, err := s.Index.Recordings(ctx, q)
	switch {
	case errors.Is(err, index.ErrBadQuery):
		return fail(http.StatusBadRequest, "a value does not fit its parameter: date is YYYYMMDD or a range (20260101-20260131, 20260101-, "+
			"-20260131); patient_id takes at most 16 of the wildcards * and ?; statement at most 1024 bytes")
	case err != nil:
		return err
	}
	out := list{ECGs: make([]row, 0, min(len(found), page))}
	for i := range found[:min(len(found), page)] {
		out.ECGs = append(out.ECGs, s.row(&found[i]))
	}
	if len(found) > page {
		out.Next = nextPage(r.URL.Query(), found[page-1].Place)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (s *server) row(f *index.RecordingRow) row {
	out := row{
		ID: f.ObjectID, Study: f.StudyInstanceUID, Series: f.SeriesInstanceUID, ReceivedAt: f.ReceivedAt,
		subject: subjectOf(f.Attributes), said: saidIn(f.RecordingFacts),
	}
	switch {
	case f.Original:
		out.Links = linksTo(f.ObjectID)
	case f.DerivedFrom != "":
		out.Links = linksTo(f.DerivedFrom)
	}
	if !f.Original {
		out.Instance = f.SOPInstanceUID
		out.Links.Instance = s.instanceLink(f.StudyInstanceUID, f.SeriesInstanceUID, f.SOPInstanceUID)
	}
	return out
}
