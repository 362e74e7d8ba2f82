package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/uid"
	"github.com/tributary-dicom/tributary/storage/index"
)

// CineConfig is what these pages need beside Config: nothing so far. Versions of an instance come from
// OperatorsConfig.Desk.
type CineConfig struct{}

// routesCine registers the pages of this file.
func (p *pages) routesCine(mux *http.ServeMux) {
	p.handle(mux, "GET /pages/view/{study}/{series}/{instance}", p.viewPage)
}

// Kinds of what the viewer shows.
const (
	kindPicture  = "picture"
	kindVideo    = "video"
	kindDocument = "document" // PDF
	kindECG      = "ecg"
	kindOther    = "other"
)

// maxNeighbours bounds how many instances of a series are listed to find those beside one.
const maxNeighbours = 2000

// viewed is one instance as its page shows it.
type viewed struct {
	Study, Series, Instance string
	Root                    string // its DICOMweb path
	Kind                    string
	Name                    personName
	ID, Issuer, Sex, Age    string
	Birth                   string
	Date, Time              string
	Description             string // of the study
	SeriesNumber            string
	SeriesDescription       string
	Modality                string
	Number                  string // Instance Number
	Place, Of               int    // in the series, from 1; 0 where not known
	Frames                  int
	Class                   string // the standard's name of the SOP class, or its UID
	Syntax, SyntaxName      string
	Lossy                   bool
	Ratio                   string // of lossy compression, "12.5:1"
	Derived                 bool
	Versions                int // data sets under this SOP Instance UID
	ConflictPage            string
	Several                 bool // the study has several patients
	OHIF, ECG, Document     string
	Before, After           string   // pages of the neighbours
	Stack                   []string // SOP Instance UIDs of a series of single pictures
}

// viewPage shows one instance. Its pictures are fetched by the page's script; what browsers show by themselves, and all
// that is said of the instance, needs none.
func (p *pages) viewPage(w http.ResponseWriter, r *http.Request) error {
	study, series, instance := r.PathValue("study"), r.PathValue("series"), r.PathValue("instance")
	if !validUID(study) || !validUID(series) || !validUID(instance) {
		return errNotFound
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.Timeout)
	defer cancel()
	tenant := p.Tenant(r)
	rows, err := p.Index.Search(ctx, index.Query{
		Tenant: tenant, Level: index.InstanceLevel, Limit: 1, WithHeader: true, Matches: []index.Match{
			{Keyword: "StudyInstanceUID", Values: []string{study}},
			{Keyword: "SeriesInstanceUID", Values: []string{series}},
			{Keyword: "SOPInstanceUID", Values: []string{instance}},
		},
	})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errNotFound
	}
	lang := langOf(r)
	v := p.viewedOf(lang, rows[0])
	if err := p.neighbours(ctx, tenant, &v); err != nil {
		return err
	}
	if desk := p.Operators.Desk; desk != nil {
		versions, _, err := desk.Lookup(ctx, tenant, instance)
		if err != nil {
			return err
		}
		if v.Versions = len(versions); v.Versions > 1 {
			v.ConflictPage = "/pages/conflicts/" + url.PathEscape(instance)
		}
	}
	title := lang.text("cine.title", v.Modality)
	return p.show(w, r, http.StatusOK, page{Name: "cine", Title: title, Bundle: "cine", Dark: true, Texts: []string{"cine."}, Data: v})
}

// viewedOf reads what is said of an instance out of its row and its header.
func (p *pages) viewedOf(lang Lang, row index.Row) viewed {
	a := row.Attributes
	v := viewed{
		Study: a["StudyInstanceUID"], Series: a["SeriesInstanceUID"], Instance: a["SOPInstanceUID"],
		Name: nameParts(a["PatientName"]), ID: a["PatientID"], Issuer: a["IssuerOfPatientID"], Sex: lang.sex(a["PatientSex"]),
		Age: lang.age(a["PatientAge"], a["PatientBirthDate"], a["StudyDate"]), Birth: displayDate(a["PatientBirthDate"]),
		Date: displayDate(a["StudyDate"]), Time: displayTime(a["StudyTime"]), Description: a["StudyDescription"],
		SeriesNumber: a["SeriesNumber"], SeriesDescription: a["SeriesDescription"], Modality: a["Modality"], Number: a["InstanceNumber"],
		Syntax: a["AvailableTransferSyntaxUID"], Several: row.SeveralPatients, Frames: 1,
	}
	v.Root = p.DICOMWeb + "/studies/" + v.Study + "/series/" + v.Series + "/instances/" + v.Instance
	if n, err := strconv.Atoi(strings.TrimSpace(a["NumberOfFrames"])); err == nil && n > 1 {
		v.Frames = n
	}
	v.Class = a["SOPClassUID"]
	if name, ok := uid.SOPClassName(v.Class); ok {
		v.Class = name
	}
	syntax, known := uid.TransferSyntax(v.Syntax)
	if known {
		v.SyntaxName = syntax.Name
	}
	v.read(row.Header, syntax.Video)
	v.patient(lang, row.Header, a["StudyDate"])
	if p.Viewer != "" {
		v.OHIF = p.Viewer + "viewer?" + url.Values{"StudyInstanceUIDs": {v.Study}}.Encode()
	}
	return v
}

// lossySyntaxes are those that always lose something; of others LossyImageCompression tells.
var lossySyntaxes = map[string]bool{
	"1.2.840.10008.1.2.4.50": true, "1.2.840.10008.1.2.4.51": true, "1.2.840.10008.1.2.4.81": true,
}

// read tells by the header what kind of object it is. A header that is not there, or is damaged, makes it another one.
func (v *viewed) read(header []byte, moving bool) {
	var h struct {
		Rows      cineValues       `json:"00280010"`
		Type      cineValues       `json:"00080008"`
		Lossy     cineValues       `json:"00282110"`
		Ratio     cineValues       `json:"00282112"`
		MIME      cineValues       `json:"00420012"`
		Document  *json.RawMessage `json:"00420011"`
		Waveforms cineValues       `json:"54000100"`
		Pixels    *json.RawMessage `json:"7FE00010"`
		Floats    *json.RawMessage `json:"7FE00008"`
		Doubles   *json.RawMessage `json:"7FE00009"`
	}
	v.Kind = kindOther
	if json.Unmarshal(header, &h) != nil {
		return
	}
	switch {
	case h.Document != nil && h.MIME.text(0) == "application/pdf":
		v.Kind, v.Document = kindDocument, v.Root+"/rendered"
	case moving && h.Pixels != nil:
		v.Kind = kindVideo
	case h.Pixels != nil || h.Floats != nil || h.Doubles != nil:
		v.Kind = kindPicture
	case len(h.Waveforms.Value) > 0:
		v.Kind, v.ECG = kindECG, "/pages/ecg/"+v.Study+"/"+v.Series+"/"+v.Instance
	}
	v.Derived = strings.EqualFold(h.Type.text(0), "DERIVED")
	v.Lossy = h.Lossy.text(0) == "01" || lossySyntaxes[v.Syntax] || v.Kind == kindVideo
	if f, err := strconv.ParseFloat(h.Ratio.text(len(h.Ratio.Value)-1), 64); err == nil && f > 1 && f < 1e6 {
		v.Ratio = strconv.FormatFloat(f, 'f', 1, 64) + ":1"
	}
}

// patient puts the patient that the instance itself names in place of the study's, which is that of its first instance.
func (v *viewed) patient(lang Lang, header []byte, studyDate string) {
	var h struct {
		Name struct {
			Value []struct{ Alphabetic, Ideographic, Phonetic string }
		} `json:"00100010"`
		ID     cineWords `json:"00100020"`
		Issuer cineWords `json:"00100021"`
		Birth  cineWords `json:"00100030"`
		Sex    cineWords `json:"00100040"`
		Age    cineWords `json:"00101010"`
	}
	if json.Unmarshal(header, &h) != nil {
		return
	}
	v.Name = personName{}
	if n := h.Name.Value; len(n) > 0 {
		v.Name = nameParts(strings.Join([]string{n[0].Alphabetic, n[0].Ideographic, n[0].Phonetic}, "="))
	}
	v.ID, v.Issuer = h.ID.first(), h.Issuer.first()
	v.Birth, v.Sex = displayDate(h.Birth.first()), lang.sex(h.Sex.first())
	v.Age = lang.age(h.Age.first(), h.Birth.first(), studyDate)
}

// cineWords is an attribute of text in DICOM JSON.
type cineWords struct{ Value []*string }

func (e cineWords) first() string {
	if len(e.Value) == 0 || e.Value[0] == nil {
		return ""
	}
	return strings.TrimSpace(*e.Value[0])
}

// cineValues are the values of an attribute in DICOM JSON, whatever they are.
type cineValues struct{ Value []json.RawMessage }

// text is value i as it is written, without quotes and spaces.
func (e cineValues) text(i int) string {
	if i < 0 || i >= len(e.Value) {
		return ""
	}
	return strings.TrimSpace(strings.Trim(string(e.Value[i]), `"`))
}

// neighbours finds the instances before and after one in its series.
func (p *pages) neighbours(ctx context.Context, tenant string, v *viewed) error {
	rows, err := p.Index.Search(ctx, index.Query{
		Tenant: tenant, Level: index.InstanceLevel, Limit: maxNeighbours, Matches: []index.Match{
			{Keyword: "StudyInstanceUID", Values: []string{v.Study}},
			{Keyword: "SeriesInstanceUID", Values: []string{v.Series}},
		},
	})
	if err != nil {
		return err
	}
	at := func(i int) string {
		return "/pages/view/" + v.Study + "/" + v.Series + "/" + rows[i].Attributes["SOPInstanceUID"]
	}
	// The head of the page follows a moment later than the picture: not where it may be another patient's.
	single := v.Kind == kindPicture && !v.Several && len(rows) > 1 && len(rows) < maxNeighbours
	for i, row := range rows {
		n := strings.TrimSpace(row.Attributes["NumberOfFrames"])
		single = single && (n == "" || n == "0" || n == "1") && row.Attributes["SOPClassUID"] == rows[0].Attributes["SOPClassUID"]
		if row.Attributes["SOPInstanceUID"] != v.Instance {
			continue
		}
		if len(rows) < maxNeighbours { // else there may be more
			v.Place, v.Of = i+1, len(rows)
		}
		if i > 0 {
			v.Before = at(i - 1)
		}
		if i+1 < len(rows) {
			v.After = at(i + 1)
		}
	}
	for i := 0; single && i < len(rows); i++ {
		v.Stack = append(v.Stack, rows[i].Attributes["SOPInstanceUID"])
	}
	return nil
}
