package dicomweb

import (
	"context"
	"net/http"
	"strings"

	"github.com/tributary-dicom/tributary/review/render"
	"github.com/tributary-dicom/tributary/storage/index"
)

// uriRequest is the query of a WADO-URI request (PS3.18 §9.1.2), each parameter once, in the spelling of the standard.
type uriRequest map[string]string

// uriNames are the parameters by their names in lower case: clients spell requestType in every way.
var uriNames = func() map[string]string {
	names := map[string]string{}
	for _, n := range []string{
		"requestType", "studyUID", "seriesUID", "objectUID", "contentType", "charset", "anonymize", "annotation", "rows", "columns", "region",
		"windowCenter", "windowWidth", "frameNumber", "imageQuality", "presentationUID", "presentationSeriesUID", "transferSyntax",
	} {
		names[strings.ToLower(n)] = n
	}
	return names
}()

// readURI reads a query. A parameter may be repeated with the same value: viewers append what they are configured to.
func readURI(raw string) (uriRequest, error) {
	params, err := parseParams(raw)
	if err != nil {
		return nil, err
	}
	q := uriRequest{}
	for _, p := range params {
		name := uriNames[strings.ToLower(p.key)]
		if name == "" {
			continue
		}
		if v, twice := q[name]; twice && v != p.value {
			return nil, fail(http.StatusBadRequest, "the parameter %s is there twice", name)
		}
		q[name] = p.value
	}
	return q, nil
}

// wadoURI serves one instance by a query instead of a path (PS3.18 §9): the file itself, or what /rendered
// would serve. Parameters that are not known are ignored. Nothing is made anonymous and no presentation state is
// applied: who asks for that is refused, not answered with less.
func (s *server) wadoURI(w http.ResponseWriter, r *http.Request) error {
	q, err := readURI(r.URL.RawQuery)
	if err != nil {
		return err
	}
	sc, err := q.scope(s.Tenant(r))
	if err != nil {
		return err
	}
	if err := q.refuse(); err != nil {
		return err
	}
	items, err := s.list(r.Context(), sc)
	if err != nil {
		return err
	}
	it := items[0]
	asDICOM := offer{name: typeDICOM}
	accept := parseAccept([]string{q["contentType"]})
	if q["contentType"] == "" {
		if accept, err = s.usual(r.Context(), sc); err != nil {
			return err
		}
	}
	if len(choices(accept[:1], []offer{asDICOM})) > 0 {
		return s.retrieveOne(w, r, q.dicom(it), it)
	}
	ask := asking{accept: accept}
	if ask.viewing, err = q.viewing(); err != nil {
		return err
	}
	if q["frameNumber"] != "" {
		if ask.frames, err = parseFrames(q["frameNumber"]); err != nil || len(ask.frames) != 1 {
			return fail(http.StatusBadRequest, "frameNumber is one number from 1 up")
		}
	}
	return s.renderInstance(w, r, sc, ask)
}

func (q uriRequest) scope(tenant string) (index.Scope, error) {
	sc := index.Scope{Tenant: tenant}
	if !strings.EqualFold(q["requestType"], "WADO") {
		return sc, fail(http.StatusBadRequest, "requestType must be WADO (PS3.18 §9.1.2.1)")
	}
	for name, to := range map[string]*string{"studyUID": &sc.StudyInstanceUID, "seriesUID": &sc.SeriesInstanceUID, "objectUID": &sc.SOPInstanceUID} {
		if *to = q[name]; !isUID(*to) {
			return sc, fail(http.StatusBadRequest, "%s is missing or not a UID (PS3.5 §9.1)", name)
		}
	}
	return sc, nil
}

// refuse tells of parameters that change what the answer means and that are not served.
func (q uriRequest) refuse() error {
	if v := q["anonymize"]; v != "" && v != "no" {
		return fail(http.StatusBadRequest, "nothing is made anonymous here")
	}
	for _, name := range []string{"presentationUID", "presentationSeriesUID"} {
		if q[name] != "" {
			return fail(http.StatusBadRequest, "%s: presentation states are not applied here", name)
		}
	}
	return nil
}

// usual is the form of an answer without contentType (PS3.18 §9.1.2.2.2): a picture of a single frame that can
// be drawn, else the file.
func (s *server) usual(ctx context.Context, sc index.Scope) ([]mediaRange, error) {
	lay, done, err := s.layoutOf(ctx, sc)
	if err != nil {
		return nil, err
	}
	defer done()
	if lay.frames.Count == 1 && render.CanDecode(lay.syntax) == nil {
		return []mediaRange{{name: render.TypeJPEG, q: 1000}}, nil
	}
	return []mediaRange{{name: typeDICOM, q: 1000}}, nil
}

// dicom is the Accept header that asks for the same as a request for application/dicom. Without
// transferSyntax the stored one is sent: older readers decode what comes. Explicit VR Little Endian is sent whatever
// was asked for, as what there is where another one cannot be had (PS3.18 §9.1.2.2.3).
func (q uriRequest) dicom(it item) []mediaRange {
	m := mediaRange{name: typeDICOM, q: 1000}
	if !it.isDICOM() {
		m.name = "*/*"
	}
	if syntax := strings.TrimSpace(q["transferSyntax"]); syntax != "" && it.isDICOM() && it.syntax != explicitVRLittleEndian {
		m.params = map[string]string{"transfer-syntax": syntax}
	}
	return []mediaRange{m}
}

// viewing reads rows, columns, region, windowCenter, windowWidth and imageQuality (PS3.18 §9.1.2.5).
func (q uriRequest) viewing() (viewing, error) {
	v := viewing{quality: renderedQuality}
	for name, to := range map[string]*int{"rows": &v.height, "columns": &v.width} {
		if q[name] == "" {
			continue
		}
		n, ok := number(q[name])
		if !ok || n != float64(int(n)) || n < 1 || n > maxViewport {
			return v, badView("%s is a number from 1 to %d", name, maxViewport)
		}
		*to = int(n)
	}
	if text := q["region"]; text != "" {
		fields := strings.Split(text, ",")
		var corner [4]float64
		for i, f := range fields {
			x, ok := number(f)
			if len(fields) != 4 || !ok || x < 0 || x > 1 {
				return v, badView("region is xmin,ymin,xmax,ymax from 0 to 1 (PS3.18 §9.1.2.5.6)")
			}
			corner[i] = x
		}
		if len(fields) != 4 || corner[2] <= corner[0] || corner[3] <= corner[1] {
			return v, badView("region is xmin,ymin,xmax,ymax from 0 to 1 (PS3.18 §9.1.2.5.6)")
		}
		v.relative, v.part = true, [4]float64{corner[0], corner[1], corner[2] - corner[0], corner[3] - corner[1]}
	}
	center, width := q["windowCenter"], q["windowWidth"]
	if center != "" || width != "" {
		if err := v.readWindow(center + "," + width); err != nil {
			return v, badView("windowCenter and windowWidth are two numbers, the width above 0")
		}
	}
	if q["imageQuality"] != "" {
		return v, v.readQuality(q["imageQuality"])
	}
	return v, nil
}
