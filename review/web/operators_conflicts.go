package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/tributary-dicom/tributary/storage/index"
)

// mostVersions is how many data sets of one SOP Instance UID are shown, the newest and the one that readers see.
const mostVersions = 20

// versionRow is one data set of a SOP Instance UID.
type versionRow struct {
	index.Version
	When    instant
	Origin  origin
	Syntax  string // the transfer syntax in words
	Current bool
	Receipt string // paths
	Promote string // "" where it cannot be chosen
	Differs comparison
}

// conflictRow is a SOP Instance UID with several data sets.
type conflictRow struct {
	index.Conflict
	Path, Study string
	Count       int
	First, Last instant
}

// mixedRow is a study of several patients.
type mixedRow struct {
	index.PatientConflict
	Study    string
	Patients []patientRow
}

type patientRow struct {
	index.Patient
	When instant
}

type conflictsData struct {
	Rows  []conflictRow
	Pager pager

	Mixed      []mixedRow
	MixedPager pager
}

// conflictsPage lists both kinds of conflicts: ?offset= pages the first, ?patients= the second.
func (o *operators) conflictsPage(w http.ResponseWriter, r *http.Request) error {
	lang, q := langOf(r), r.URL.Query()
	offset, at := parseOffset(q), parseOffset(url.Values{"offset": {q.Get("patients")}})
	ctx, cancel := o.patience(r)
	defer cancel()
	found, err := o.cfg.Desk.Conflicts(ctx, o.Tenant(r), conflictsPageRows+1, offset)
	if err != nil {
		return failed(err, errNotFound)
	}
	mixed, err := o.cfg.Desk.PatientConflicts(ctx, o.Tenant(r), conflictsPageRows+1, at)
	if err != nil {
		return failed(err, errNotFound)
	}
	data := conflictsData{
		Pager:      offsetPager("/pages/conflicts", offset, conflictsPageRows, len(found) > conflictsPageRows),
		MixedPager: offsetPager("/pages/conflicts", at, conflictsPageRows, len(mixed) > conflictsPageRows).of("patients"),
	}
	for _, c := range found[:min(len(found), conflictsPageRows)] {
		row := conflictRow{Conflict: c, Path: conflictPath(c.SOPInstanceUID), Study: studyPath(c.StudyInstanceUID), Count: len(c.Versions)}
		if row.Count > 0 {
			row.First, row.Last = instantOf(c.Versions[0].ReceivedAt), instantOf(c.Versions[row.Count-1].ReceivedAt)
		}
		data.Rows = append(data.Rows, row)
	}
	for _, c := range mixed[:min(len(mixed), conflictsPageRows)] {
		row := mixedRow{PatientConflict: c, Study: studyPath(c.StudyInstanceUID)}
		for _, p := range c.Patients[:min(len(c.Patients), mostVersions)] {
			row.Patients = append(row.Patients, patientRow{p, instantOf(p.ReceivedAt)})
		}
		data.Mixed = append(data.Mixed, row)
	}
	return o.show(w, r, http.StatusOK, page{
		Name: "operators_conflicts", Title: lang.text("operators.conflicts.title"), Section: "conflicts", Bundle: "operators", Data: data,
	})
}

func conflictPath(instance string) string { return "/pages/conflicts/" + url.PathEscape(instance) }

// conflict returns the versions of the instance that the address names. Decided ones count: a person may think again.
func (o *operators) conflict(ctx context.Context, r *http.Request) (index.Conflict, error) {
	c := index.Conflict{SOPInstanceUID: r.PathValue("instance")}
	if !validUID(c.SOPInstanceUID) {
		return c, errNotFound
	}
	var err error
	if c.Versions, c.Current, err = o.cfg.Desk.Lookup(ctx, o.Tenant(r), c.SOPInstanceUID); err != nil {
		return c, failed(err, errNotFound)
	}
	if len(c.Versions) < 2 {
		return c, errNotFound
	}
	// The study is the key that keeps the decision behind its object's records.
	err = o.cfg.Desk.Objects(ctx, index.Scope{Tenant: o.Tenant(r), SOPInstanceUID: c.SOPInstanceUID}, index.Want{}, func(at index.Object) error {
		c.StudyInstanceUID, c.SeriesInstanceUID = at.StudyInstanceUID, at.SeriesInstanceUID
		return nil
	})
	return c, failed(err, errNotFound)
}

type conflictData struct {
	index.Conflict
	Versions []versionRow
	More     int  // versions that are not shown
	Open     bool // a person must choose
	Study    string
	Keep     string // path, "" where nothing can be decided
	Done     string
}

// conflictPage puts the versions of an instance side by side.
func (o *operators) conflictPage(w http.ResponseWriter, r *http.Request) error {
	lang := langOf(r)
	ctx, cancel := o.patience(r)
	defer cancel()
	c, err := o.conflict(ctx, r)
	if err != nil {
		return err
	}
	data := conflictData{Conflict: c, Study: studyPath(c.StudyInstanceUID)}
	switch r.URL.Query().Get("done") {
	case "kept":
		data.Done = lang.text("operators.done.kept")
	case "promoted":
		data.Done = lang.text("operators.done.promoted")
	}
	shown := newestOf(c, mostVersions)
	differs := o.compare(ctx, c, shown)
	for _, v := range shown {
		row := versionRow{
			Version: v, When: instantOf(v.ReceivedAt), Current: v.ObjectID == c.Current, Syntax: syntaxName(v.TransferSyntaxUID),
			Receipt: "/pages/receipts/" + url.PathEscape(v.ObjectID), Origin: lang.originOf(v.Door, "", "", "", v.Remote),
			Differs: differs[v.ObjectID],
		}
		a, err := o.cfg.Desk.Arrival(ctx, o.Tenant(r), v.ObjectID)
		switch {
		case err == nil:
			row.Origin = lang.originOf(a.Door, a.Device, a.Facility, a.CallingAE, a.Remote)
			data.Open = data.Open || a.Undecided
		case !errors.Is(err, index.ErrNotFound):
			return failed(err, errNotFound)
		}
		if o.cfg.Decisions != nil && !row.Current {
			row.Promote = conflictPath(c.SOPInstanceUID) + "/promote/" + url.PathEscape(v.ObjectID)
		}
		data.Versions = append(data.Versions, row)
	}
	data.More = len(c.Versions) - len(data.Versions)
	if o.cfg.Decisions != nil && data.Open {
		data.Keep = conflictPath(c.SOPInstanceUID) + "/keep/" + url.PathEscape(c.Current)
	}
	return o.show(w, r, http.StatusOK, page{
		Name: "operators_conflict", Title: lang.text("operators.conflict.title"), Section: "conflicts", Bundle: "operators", Data: data,
	})
}

// newestOf are at most n versions in their order: the newest, and the one that readers see.
func newestOf(c index.Conflict, n int) []index.Version {
	if len(c.Versions) <= n {
		return c.Versions
	}
	out := slices.Clone(c.Versions[len(c.Versions)-n:])
	if i := slices.IndexFunc(c.Versions, func(v index.Version) bool { return v.ObjectID == c.Current }); i >= 0 && i < len(c.Versions)-n {
		out[0] = c.Versions[i]
	}
	return out
}

// version checks what the address of an action names, and returns the version that it is about.
func (o *operators) version(ctx context.Context, r *http.Request) (c index.Conflict, v index.Version, err error) {
	action, id := r.PathValue("action"), r.PathValue("id")
	if action != "promote" && action != "keep" || !validID(id) {
		return c, v, errNotFound
	}
	if c, err = o.conflict(ctx, r); err != nil {
		return c, v, err
	}
	i := slices.IndexFunc(c.Versions, func(v index.Version) bool { return v.ObjectID == id })
	switch {
	case i < 0:
		return c, v, errNotFound
	case (action == "keep") != (id == c.Current): // somebody else decided meanwhile
		return c, v, errSettled
	}
	return c, c.Versions[i], nil
}

// askConflict asks whether to promote or to keep.
func (o *operators) askConflict(w http.ResponseWriter, r *http.Request) error {
	lang := langOf(r)
	ctx, cancel := o.patience(r)
	defer cancel()
	c, v, err := o.version(ctx, r)
	if err != nil {
		return err
	}
	back := conflictPath(c.SOPInstanceUID)
	data := askData{
		Title: lang.text("operators.promote.title"), Question: lang.text("operators.promote.question"),
		Detail: lang.text("operators.promote.detail"), Button: lang.text("operators.promote.do"),
		Action: back + "/promote/" + url.PathEscape(v.ObjectID), Back: back,
		Facts: [][2]string{
			{lang.text("operators.fact.instance"), c.SOPInstanceUID},
			{lang.text("operators.fact.version"), v.ObjectID},
			{lang.text("operators.fact.received"), instantOf(v.ReceivedAt).Text},
			{lang.text("operators.fact.size"), displayBytes(v.Bytes)},
			{lang.text("operators.fact.sha256"), v.SHA256},
		},
	}
	if r.PathValue("action") == "keep" {
		data.Title, data.Question = lang.text("operators.keep.title"), lang.text("operators.keep.question")
		data.Detail, data.Button = lang.text("operators.keep.detail"), lang.text("operators.keep.do")
		data.Action = back + "/keep/" + url.PathEscape(v.ObjectID)
	}
	return o.ask(w, r, "conflicts", data)
}

func (o *operators) actConflict(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := o.patience(r)
	defer cancel()
	c, v, err := o.version(ctx, r)
	if err != nil {
		return err
	}
	tenant, done := o.Tenant(r), "kept"
	defer o.waiting.forget(tenant)
	if r.PathValue("action") == "keep" {
		err = o.cfg.Decisions.Keep(r.Context(), tenant, c, v.ObjectID, by(r))
	} else {
		done = "promoted"
		err = o.cfg.Decisions.Promote(r.Context(), tenant, c, v.ObjectID, by(r))
	}
	if err != nil {
		return failed(err, errNotFound)
	}
	http.Redirect(w, r, conflictPath(c.SOPInstanceUID)+"?done="+done, http.StatusSeeOther)
	return nil
}
