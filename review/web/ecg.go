package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/sync/semaphore"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// ECGObjects finds instances, and the files that they were made of.
type ECGObjects interface {
	// Objects calls fn for each current instance in scope; nothing in scope is no call, or index.ErrNotFound.
	Objects(ctx context.Context, s index.Scope, w index.Want, fn func(index.Object) error) error

	// Original returns a file by its object id, or index.ErrNotFound.
	Original(ctx context.Context, tenant, id string) (index.Original, error)
}

// ECGBlobs reads what was stored.
type ECGBlobs interface {
	// Open returns the bytes [off, off+n) of a blob.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// ECGConfig is what these pages need beside Config. Without Objects and Blobs there are none.
type ECGConfig struct {
	Objects ECGObjects
	Blobs   ECGBlobs
}

// ecgBase is where the pages of recordings are.
const ecgBase = "/pages/ecg/"

// ecgPages serves recordings: the page, and what its script draws.
type ecgPages struct {
	*pages
	shelf  *ecgShelf
	memory *semaphore.Weighted // bytes of windows that are being sent
	passes chan struct{}       // has a token for each recording that is being read from end to end
}

// routesECG registers the pages of this file.
func (p *pages) routesECG(mux *http.ServeMux) {
	if p.ECG.Objects == nil || p.ECG.Blobs == nil {
		return
	}
	e := &ecgPages{pages: p, shelf: newECGShelf(), memory: semaphore.NewWeighted(ecgWindowMemory), passes: make(chan struct{}, ecgPasses)}
	const at = "GET " + ecgBase + "{study}/{series}/{instance}"
	p.handle(mux, at, e.page)
	for name, fn := range map[string]func(http.ResponseWriter, *http.Request, *ecgRecord) error{
		"recording": e.recording, "samples": e.samples, "overview": e.overview, "spikes": e.spikes,
	} {
		mux.HandleFunc(at+"/"+name, func(w http.ResponseWriter, r *http.Request) {
			secure(w.Header())
			rec, err := e.open(r)
			if err == nil {
				err = fn(w, r, rec)
			}
			if err != nil {
				e.failData(w, r, err)
			}
		})
	}
}

var (
	errNotECG = &failure{http.StatusUnsupportedMediaType, "ecg.error.not", "ecg.error.not.text"}
	errBadECG = &failure{http.StatusUnprocessableEntity, "ecg.error.bad", "ecg.error.bad.text"}
)

// ecgScope reads the UIDs of the path.
func (p *pages) ecgScope(r *http.Request) (index.Scope, error) {
	s := index.Scope{
		Tenant: p.Tenant(r), StudyInstanceUID: r.PathValue("study"), SeriesInstanceUID: r.PathValue("series"), SOPInstanceUID: r.PathValue("instance"),
	}
	if !validUID(s.StudyInstanceUID) || !validUID(s.SeriesInstanceUID) || !validUID(s.SOPInstanceUID) {
		return s, errNotFound
	}
	return s, nil
}

// find returns the instance in scope.
func (e *ecgPages) find(ctx context.Context, s index.Scope, w index.Want) (o index.Object, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	found := false
	err = e.ECG.Objects.Objects(ctx, s, w, func(each index.Object) error {
		if !found {
			o, found = each, true
		}
		return nil
	})
	if err == nil && !found {
		err = index.ErrNotFound
	}
	return o, err
}

// open returns the recording that a request means. It is asked for each time which object is the current one.
func (e *ecgPages) open(r *http.Request) (*ecgRecord, error) {
	s, err := e.ecgScope(r)
	if err != nil {
		return nil, err
	}
	o, err := e.find(r.Context(), s, index.Want{})
	if err != nil {
		return nil, err
	}
	if o.MediaType != "" && o.MediaType != "application/dicom" {
		return nil, errNotECG
	}
	rec, err := e.shelf.get(r.Context(), o.ObjectID+" "+o.BlobKey+" "+o.Reading, func() (*ecgRecord, error) {
		o, err := e.find(r.Context(), s, index.Want{Header: true, Layout: true})
		if err != nil {
			return nil, err
		}
		return openECG(r.Context(), e.ECG.Blobs, o)
	})
	var refused *reject.Error
	if errors.As(err, &refused) {
		if refused.Code == reject.UnsupportedFormat || refused.Code == reject.NotParsed {
			return nil, errNotECG
		}
		return nil, errBadECG
	}
	return rec, err
}

// failData answers an error to a script, as JSON: {"error": …} in the language of the page.
func (e *ecgPages) failData(w http.ResponseWriter, r *http.Request, err error) {
	var f *failure
	switch {
	case errors.As(err, &f):
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody listens
	case errors.Is(err, index.ErrNotFound):
		f = errNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, index.ErrTimeout):
		f = errLate
	case errors.Is(err, index.ErrUnavailable), errors.Is(err, blob.ErrUnavailable):
		f = errUnavailable
		e.Log.WarnContext(r.Context(), "recording cannot be read now", "route", r.Pattern, "error", err)
	default:
		f = errInternal
		e.Log.ErrorContext(r.Context(), "recording cannot be read", "route", r.Pattern, "error", err)
	}
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	sendECG(w, f.status, map[string]string{"error": langOf(r).text(f.title)})
}

func sendECG(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // of values that always marshal
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// ecgKnown is what the index knows of a recording; of one that it does not know, nothing.
type ecgKnown struct {
	index.RecordingRow
	told *ecgTold // by the file that the object was made of, else by the object; nil when nothing
}

// ecgTold is the member ecg of an event (docs/events.md), as far as an object cannot say the same.
type ecgTold struct {
	AcquiredAt  string         `json:"acquired_at"`
	AcquiredRaw string         `json:"acquired_raw"`
	Paced       *bool          `json:"paced"`
	Statements  []ecgStatement `json:"statements"`
}

// known asks the index for a recording.
func (e *ecgPages) known(ctx context.Context, s index.Scope) (k ecgKnown, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	rows, err := e.Index.Recordings(ctx, index.RecordingQuery{Tenant: s.Tenant, StudyInstanceUID: s.StudyInstanceUID, Limit: ecgStudyRows})
	if err != nil {
		return k, err
	}
	for _, row := range rows {
		if row.SOPInstanceUID == s.SOPInstanceUID {
			k.RecordingRow = row
		}
	}
	facts := k.Facts
	if k.DerivedFrom != "" {
		switch o, err := e.ECG.Objects.Original(ctx, s.Tenant, k.DerivedFrom); {
		case err == nil && o.Facts != nil:
			facts = o.Facts
		case err != nil && !errors.Is(err, index.ErrNotFound):
			return k, err
		}
	}
	var told ecgTold
	if facts != nil && json.Unmarshal(facts, &told) == nil {
		k.told = &told
	}
	return k, nil
}

// ecgStudyRows is how many recordings of one study are looked through for the one that is shown. More than a day of
// Holter in pieces of five minutes; a study of more is shown without its priority.
const ecgStudyRows = 400

// page shows a recording. Without scripts it is the server's drawing.
func (e *ecgPages) page(w http.ResponseWriter, r *http.Request) error {
	rec, err := e.open(r)
	if errors.Is(err, blob.ErrUnavailable) {
		err = errors.Join(errUnavailable, err)
	}
	if err != nil {
		return err
	}
	s, err := e.ecgScope(r)
	if err != nil {
		return err
	}
	known, err := e.known(r.Context(), s)
	if err != nil {
		return err
	}
	lang := langOf(r)
	instance := e.DICOMWeb + "/studies/" + s.StudyInstanceUID + "/series/" + s.SeriesInstanceUID + "/instances/" + s.SOPInstanceUID
	data := ecgData{
		Banner: lang.ecgBanner(rec.Recording, known), Base: r.URL.EscapedPath(), Rendered: instance + "/rendered",
		Paper: ecgPaper[lang], Study: "/pages/studies/" + s.StudyInstanceUID, File: instance, Drawable: rec.drawable(),
	}
	if e.Viewer != "" {
		data.OHIF = e.Viewer + "viewer?" + url.Values{"StudyInstanceUIDs": {s.StudyInstanceUID}}.Encode()
	}
	if known.DerivedFrom != "" {
		data.Original = "/originals/" + url.PathEscape(known.DerivedFrom)
	}
	return e.show(w, r, http.StatusOK, page{
		Name: "ecg", Title: lang.text("ecg.title"), Bundle: "ecg", Texts: []string{"ecg.js."}, Data: data,
	})
}

// ecgPaper is the parameter lang of drawings.
var ecgPaper = map[Lang]string{Chinese: "zh", English: "en"}

// ecgData is what ecg.html shows.
type ecgData struct {
	Banner   ecgBanner
	Base     string // of this page, without a slash at the end
	Rendered string // the server's drawing
	Paper    string // its language
	Study    string
	OHIF     string // or ""
	Original string // the file as the device sent it, or ""
	File     string // the DICOM object
	Drawable bool
}

// drawable reports whether there is a lead with a voltage.
func (r *ecgRecord) drawable() bool {
	for _, g := range r.Groups {
		for i := range g.Leads {
			if g.Kind != ecg.OtherSignals && g.Leads[i].Voltage() && g.Leads[i].Length > 0 {
				return true
			}
		}
	}
	return false
}
