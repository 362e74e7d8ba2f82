package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tributary-dicom/tributary/storage/index"
)

// States tells whether studies are complete; *index.DB has it.
type States interface {
	// StudyStates returns the states of those of the studies that are known.
	StudyStates(ctx context.Context, tenant string, studies []string) (map[string]index.StudyState, error)
}

// result is a study in the list.
type result struct {
	UID         string
	Name        personName
	ID, Issuer  string
	Sex, Age    string
	Date, Time  string // as people write them
	Modalities  []string
	Description string
	Accession   string
	Series      string
	Instances   string
	Several     bool // patients
	Urgent      bool // an ECG that its own device or reader calls critical
	State       *index.StudyState
	Received    string
}

// searchData is what search.html shows.
type searchData struct {
	Form       searchForm
	Within     int // chosen days, kept when the form is sent again
	Results    []result
	Prev, Next string // addresses, "" for none
	First      int    // number of the first row
	Last       int
	Bounded    bool // there is more, and the pager ends here
	States     bool // the columns of completeness and arrival are there
	Upload     bool // this node takes files
	Modalities []string
	Presets    []preset
	Undated    string // this search without dates, "" when it has none
	Unmodal    string // without modality
	Clear      string
	Live       bool // the first page: new studies come on top of it
}

// preset is a button that chooses a range of days; 0 is any date.
type preset struct {
	Days   int
	Text   string // key
	Chosen bool
}

// modalities are what the form offers beside any: what village kits and county hospitals have.
var modalities = []string{"ECG", "US", "CR", "DX", "CT", "MR", "MG", "ES", "XA", "DOC", "OT"}

// searchPage answers GET /.
func (p *pages) searchPage(w http.ResponseWriter, r *http.Request) error {
	lang := langOf(r)
	now := p.Now()
	form := parseSearch(r.URL.Query())
	tenant := p.Tenant(r)
	ctx, cancel := context.WithTimeout(r.Context(), p.Timeout)
	defer cancel()
	got, err := p.find(ctx, tenant, form, now)
	if errors.Is(err, index.ErrBadQuery) {
		form.Faults = append(form.Faults, fault{"q", "frame.search.fault.text"})
		got, err = found{}, nil
	}
	if err != nil {
		return err
	}
	d := searchData{Form: form, Within: form.Days, Modalities: modalities, States: p.States != nil, Upload: p.Operators.Upload != nil, Live: form.Page == 0}
	for _, n := range append([]int{0}, dayPresets...) {
		d.Presets = append(d.Presets, preset{n, map[int]string{
			0: "frame.search.any", 1: "frame.search.today", 7: "frame.search.week", 31: "frame.search.month",
		}[n], form.Days == n && (n > 0 || !form.Dated())})
	}
	if d.Results, err = p.results(ctx, tenant, lang, got.rows); err != nil {
		return err
	}
	d.First, d.Last = form.Page*pageRows+1, form.Page*pageRows+len(d.Results)
	other := func(page int) string { f := form; f.Page = page; return f.Href() }
	if form.Page > 0 {
		d.Prev = other(form.Page - 1)
	}
	if got.more && form.Page+1 < maxPages {
		d.Next = other(form.Page + 1)
	}
	if form.Page > 0 || !form.Empty() {
		d.Clear = "/"
	}
	d.Bounded = got.more && d.Next == ""
	if form.Dated() {
		f := form
		f.Page, f.From, f.To, f.Days = 0, "", "", 0
		d.Undated = f.Href()
	}
	if form.Modality != "" {
		f := form
		f.Page, f.Modality = 0, ""
		d.Unmodal = f.Href()
	}
	status := http.StatusOK
	if len(form.Faults) > 0 {
		status = http.StatusBadRequest
	}
	return p.show(w, r, status, page{Name: "search", Section: "search", Title: lang.text("frame.search.title"), Data: d})
}

// results tells of each study what the list shows.
func (p *pages) results(ctx context.Context, tenant string, lang Lang, rows []index.Row) ([]result, error) {
	states, err := p.states(ctx, tenant, rows)
	if err != nil {
		return nil, err
	}
	out := make([]result, 0, len(rows))
	for _, row := range rows {
		a := row.Attributes
		s := result{
			UID: a["StudyInstanceUID"], Name: nameParts(a["PatientName"]), ID: a["PatientID"], Issuer: a["IssuerOfPatientID"],
			Sex: lang.sex(a["PatientSex"]), Age: lang.age(a["PatientAge"], a["PatientBirthDate"], a["StudyDate"]),
			Date: displayDate(a["StudyDate"]), Time: displayTime(a["StudyTime"]),
			Modalities: splitValues(a["ModalitiesInStudy"]), Description: a["StudyDescription"], Accession: a["AccessionNumber"],
			Series: a["NumberOfStudyRelatedSeries"], Instances: a["NumberOfStudyRelatedInstances"], Several: row.SeveralPatients,
		}
		if state, ok := states[s.UID]; ok {
			s.State, s.Received = &state, displayInstant(state.LastReceived)
		}
		if s.Urgent, err = p.urgent(ctx, tenant, s.UID, s.Modalities); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// states returns what is known of the rows' completeness.
func (p *pages) states(ctx context.Context, tenant string, rows []index.Row) (map[string]index.StudyState, error) {
	if p.States == nil || len(rows) == 0 {
		return nil, nil
	}
	uids := make([]string, len(rows))
	for i, row := range rows {
		uids[i] = row.Attributes["StudyInstanceUID"]
	}
	return p.States.StudyStates(ctx, tenant, uids)
}

// urgent reports whether a study has a recording that is marked critical.
func (p *pages) urgent(ctx context.Context, tenant, study string, modalities []string) (bool, error) {
	for _, m := range modalities {
		switch m {
		case "ECG", "HD", "EPS", "OT":
			rows, err := p.Index.Recordings(ctx, index.RecordingQuery{Tenant: tenant, StudyInstanceUID: study, Priority: priorityStat, Limit: 1})
			return len(rows) > 0, err
		}
	}
	return false, nil
}

// priorityStat is event.PriorityStat, in the words of the index.
const priorityStat = "STAT"

// displayInstant writes a time to the minute in the node's time zone, "" for none.
func displayInstant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}
