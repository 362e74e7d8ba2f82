package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/tributary-dicom/tributary/review/patient"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Bounds of a study's page. A study has a few series of a few pictures; a page shows all of those, and of a study of
// thousands its beginning, with pages for the rest.
const (
	maxStudySeries = 24  // series a page
	firstInstances = 12  // of each series
	seriesPage     = 96  // instances on a page of one series alone
	maxOthers      = 40  // other studies of the patient
	maxStudyECGs   = 12  // recordings whose summaries are shown
	maxConflicts   = 200 // undecided versions that are looked through for those of a study
	maxOpenOthers  = 8   // other studies that are listed before the list is folded
)

// patientBanner is who a page is about.
type patientBanner struct {
	Name             personName
	ID, Issuer       string
	Sex, Birth, Age  string
	Several          bool
	OtherIDs, Weight string
}

func (l Lang) patientBanner(row index.Row) patientBanner {
	a := row.Attributes
	return patientBanner{
		Name: nameParts(a["PatientName"]), ID: a["PatientID"], Issuer: a["IssuerOfPatientID"], Sex: l.sex(a["PatientSex"]),
		Birth: displayDate(a["PatientBirthDate"]), Age: l.age(a["PatientAge"], a["PatientBirthDate"], a["StudyDate"]),
		Several: row.SeveralPatients, OtherIDs: a["OtherPatientIDs"], Weight: a["PatientWeight"],
	}
}

// fact is a line of a list of facts: the key of what it is, its text, and what is said of that.
type fact struct{ Name, Text, Note string }

// studyData is what study.html shows.
type studyData struct {
	UID       string
	Patient   patientBanner
	Title     string // description, or what kind of study
	Date      string
	Facts     []fact
	State     *index.StudyState
	Received  string
	Completed string
	Why       string // key of why it was taken for complete, or ""
	Urgent    bool
	Versions  int    // SOP Instance UIDs of the study that have several data sets and wait for a decision
	Conflicts string // page of those, or ""
	OHIF      string
	Metadata  string
	Series    []seriesView
	More      string // address of the next series, or ""
	Less      string // of those before
	One       bool   // one series alone
	ECGs      []ecgSummary
	Others    []result
	Strangers bool // studies with the same Patient ID were left out: they are another person's, or it is not known whose
}

// studyPage answers GET /pages/studies/{study}: the study, its series with their first instances, and the patient's
// other studies. ?series=UID&page=N is all of one series; ?from=N goes on with series N.
func (p *pages) studyPage(w http.ResponseWriter, r *http.Request) error {
	uid := r.PathValue("study")
	if !validUID(uid) {
		return errNotFound
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.Timeout)
	defer cancel()
	lang, tenant := langOf(r), p.Tenant(r)
	rows, err := p.Index.Search(ctx, index.Query{
		Tenant: tenant, Level: index.StudyLevel, Limit: 1, Matches: []index.Match{{Keyword: "StudyInstanceUID", Values: []string{uid}}},
	})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errNotFound
	}
	row := rows[0]
	d := p.studyOf(lang, row)
	if err := p.stateOf(ctx, tenant, &d, row); err != nil {
		return err
	}
	if err := p.versionsOf(ctx, tenant, &d); err != nil {
		return err
	}
	if err := p.seriesOf(ctx, lang, tenant, &d, r.URL.Query()); err != nil {
		return err
	}
	if !d.One {
		if err := p.ecgsOf(ctx, lang, tenant, &d); err != nil {
			return err
		}
		if err := p.othersOf(ctx, lang, tenant, &d, row); err != nil {
			return err
		}
	}
	// No name: titles are kept by browsers, and seen by whoever looks at the screen.
	return p.show(w, r, http.StatusOK, page{Name: "study", Title: lang.text("frame.study.title"), Data: d})
}

// studyOf reads the row of a study.
func (p *pages) studyOf(lang Lang, row index.Row) studyData {
	a := row.Attributes
	d := studyData{
		UID: a["StudyInstanceUID"], Patient: lang.patientBanner(row), Title: a["StudyDescription"],
		Date: displayDate(a["StudyDate"]), Metadata: p.wado(a["StudyInstanceUID"]) + "/metadata",
	}
	if t := displayTime(a["StudyTime"]); t != "" {
		d.Date += " " + t
	}
	if d.Title == "" {
		for i, m := range splitValues(a["ModalitiesInStudy"]) {
			if i > 0 {
				d.Title += ", "
			}
			d.Title += lang.modality(m)
		}
	}
	for _, f := range []fact{
		{Name: "frame.study.date", Text: d.Date},
		{Name: "frame.study.accession", Text: a["AccessionNumber"]},
		{Name: "frame.study.id", Text: a["StudyID"]},
		{Name: "frame.study.referrer", Text: displayName(a["ReferringPhysicianName"])},
		{Name: "frame.study.reader", Text: displayName(a["NameOfPhysiciansReadingStudy"])},
		{Name: "frame.study.size", Text: lang.text("frame.study.size.text", a["NumberOfStudyRelatedSeries"], a["NumberOfStudyRelatedInstances"])},
	} {
		if f.Text != "" {
			d.Facts = append(d.Facts, f)
		}
	}
	if p.Viewer != "" {
		d.OHIF = p.Viewer + "viewer?" + url.Values{"StudyInstanceUIDs": {d.UID}}.Encode()
	}
	return d
}

// reasons are why a study is taken for complete, by the words of the log.
var reasons = map[string]string{
	"quiet-period": "frame.reason.quiet", "signal:stow": "frame.reason.stow", "signal:upload": "frame.reason.upload",
	"signal:import": "frame.reason.import", "signal:api": "frame.reason.api",
}

// stateOf adds whether the study is complete.
func (p *pages) stateOf(ctx context.Context, tenant string, d *studyData, row index.Row) error {
	states, err := p.states(ctx, tenant, []index.Row{row})
	if err != nil {
		return err
	}
	if s, ok := states[d.UID]; ok {
		d.State, d.Received, d.Completed = &s, displayInstant(s.LastReceived), displayInstant(s.CompletedAt)
		if s.Revision > 0 {
			d.Why = reasons[s.Reason]
		}
	}
	return nil
}

// versionsOf counts instances of the study that have several data sets.
func (p *pages) versionsOf(ctx context.Context, tenant string, d *studyData) error {
	desk := p.Operators.Desk
	if desk == nil {
		return nil
	}
	all, err := desk.Conflicts(ctx, tenant, maxConflicts, 0)
	if err != nil {
		return err
	}
	d.Conflicts = "/pages/conflicts"
	for _, c := range all {
		if c.StudyInstanceUID == d.UID {
			if d.Versions++; d.Versions == 1 {
				d.Conflicts = "/pages/conflicts/" + url.PathEscape(c.SOPInstanceUID)
			}
		}
	}
	if d.Versions > 1 {
		d.Conflicts = "/pages/conflicts"
	}
	return nil
}

// othersOf adds the patient's other studies, and nobody else's (docs/decisions/0018-priors.md).
func (p *pages) othersOf(ctx context.Context, lang Lang, tenant string, d *studyData, row index.Row) error {
	id := d.Patient.ID
	if id == "" || row.SeveralPatients || hasWildcard(id) {
		return nil
	}
	q := index.Query{
		Tenant: tenant, Level: index.StudyLevel, Limit: maxOthers + 1,
		Matches: []index.Match{{Keyword: "PatientID", Values: []string{id}}},
	}
	if m, ok := patient.Narrow(row); ok {
		q.Matches = append(q.Matches, m)
	}
	rows, err := p.Index.Search(ctx, q)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(other index.Row) bool {
		if other.Attributes["StudyInstanceUID"] == d.UID {
			return true
		}
		if !patient.Same(row, other) {
			d.Strangers = true
			return true
		}
		return false
	})
	d.Others, err = p.results(ctx, tenant, lang, rows[:min(len(rows), maxOthers)])
	return err
}

// hasWildcard reports whether a value would match more than itself.
func hasWildcard(s string) bool {
	for i := range len(s) {
		if s[i] == '*' || s[i] == '?' || s[i] == '\\' {
			return true
		}
	}
	return false
}

// wado is the DICOMweb path of a study, a series or an instance.
func (p *pages) wado(uids ...string) string {
	path := p.DICOMWeb
	for i, uid := range uids {
		path += "/" + [...]string{"studies", "series", "instances"}[i] + "/" + url.PathEscape(uid)
	}
	return path
}

// FewOthers reports whether the other studies are listed at once, or folded.
func (d studyData) FewOthers() bool { return len(d.Others) <= maxOpenOthers }

// whole reads a number of an address from 0 on; what is none is 0.
func whole(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<20 {
		return 0
	}
	return n
}
