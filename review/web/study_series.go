package web

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/uid"
	"github.com/tributary-dicom/tributary/storage/index"
)

// seriesView is a series with instances of it.
type seriesView struct {
	UID         string
	Number      string
	Modality    string
	Description string
	Date        string
	Device      string
	Count       int
	Instances   []instanceView
	All         string // page of all of them, "" when they are shown
	Prev, Next  string // of a series alone: pages
	First, Last int    // of a series alone: numbers of the instances that are shown
}

// instanceView is an instance with the way to its viewer.
type instanceView struct {
	UID    string
	Number string
	What   string // key of its kind
	Href   string // viewer, or ""
	Tab    bool   // it is opened in a new tab
	Thumb  string // address of a small picture, or ""
	Frames int
	Size   string // "640 × 480", or ""
	Title  string // of a document
	Class  string
	Syntax string
	File   string // address of the DICOM file
}

// Few reports whether the series leaves room for another beside it.
func (s seriesView) Few() bool { return s.Count <= 2 }

// Kinds of instances, keys of phrases.
const (
	instancePicture  = "frame.kind.picture"
	instanceLoop     = "frame.kind.loop"
	instanceVideo    = "frame.kind.video"
	instanceECG      = "frame.kind.ecg"
	instanceWaveform = "frame.kind.waveform"
	instancePDF      = "frame.kind.pdf"
	instanceDocument = "frame.kind.document"
	instanceOther    = "frame.kind.other"
)

// SOP classes that are no pictures (PS3.4 Table B.5-1).
const (
	waveformClasses = "1.2.840.10008.5.1.4.1.1.9."    // PS3.3 §A.34
	classPDF        = "1.2.840.10008.5.1.4.1.1.104.1" // §A.45.1
	documentClasses = "1.2.840.10008.5.1.4.1.1.104."  // CDA, STL, …
	reportClasses   = "1.2.840.10008.5.1.4.1.1.88."   // structured reports
	stateClasses    = "1.2.840.10008.5.1.4.1.1.11."   // presentation states
	audioClasses    = "1.2.840.10008.5.1.4.1.1.9.4."  // voice
	classRawData    = "1.2.840.10008.5.1.4.1.1.66"    //
	ecgClasses      = "1.2.840.10008.5.1.4.1.1.9.1."  // 12-lead, general, ambulatory
	thumbnailBox    = "?viewport=160%2C120"           // CSS pixels of a tile
)

// Paper reports whether the small picture is drawn on white.
func (v instanceView) Paper() bool { return v.What == instanceECG || v.What == instanceWaveform }

// seriesOf adds the series of the study that the address asks for.
func (p *pages) seriesOf(ctx context.Context, lang Lang, tenant string, d *studyData, q url.Values) error {
	query := index.Query{
		Tenant: tenant, Level: index.SeriesLevel, Limit: maxStudySeries + 1,
		Matches: []index.Match{{Keyword: "StudyInstanceUID", Values: []string{d.UID}}},
	}
	only := q.Get("series")
	if d.One = only != ""; d.One {
		if !validUID(only) {
			return errNotFound
		}
		query.Matches, query.Limit = append(query.Matches, index.Match{Keyword: "SeriesInstanceUID", Values: []string{only}}), 1
	} else {
		query.Offset = whole(q.Get("from"))
	}
	rows, err := p.Index.Search(ctx, query)
	if err != nil {
		return err
	}
	if d.One && len(rows) == 0 {
		return errNotFound
	}
	here := studyPath(d.UID)
	if len(rows) > maxStudySeries {
		rows = rows[:maxStudySeries]
		d.More = here + "?from=" + strconv.Itoa(query.Offset+maxStudySeries)
	}
	if query.Offset > 0 {
		d.Less = here + "?from=" + strconv.Itoa(max(0, query.Offset-maxStudySeries))
	}
	for _, row := range rows {
		a := row.Attributes
		s := seriesView{
			UID: a["SeriesInstanceUID"], Number: a["SeriesNumber"], Modality: lang.modality(a["Modality"]),
			Description: a["SeriesDescription"], Device: deviceOf(a), Count: whole(a["NumberOfSeriesRelatedInstances"]),
			Date: strings.TrimSpace(displayDate(a["SeriesDate"]) + " " + displayTime(a["SeriesTime"])),
		}
		skip, limit := 0, firstInstances
		all := here + "?" + url.Values{"series": {s.UID}}.Encode()
		if d.One {
			skip, limit = whole(q.Get("page"))*seriesPage, seriesPage
			if skip > 0 {
				s.Prev = all + "&page=" + strconv.Itoa(skip/seriesPage-1)
			}
		}
		if err := p.instancesOf(ctx, tenant, d.UID, &s, skip, limit); err != nil {
			return err
		}
		switch more := s.Count > skip+len(s.Instances); {
		case more && d.One:
			s.Next = all + "&page=" + strconv.Itoa(skip/seriesPage+1)
		case more:
			s.All = all
		}
		s.First, s.Last = skip+1, skip+len(s.Instances)
		d.Series = append(d.Series, s)
	}
	return nil
}

// deviceOf tells where and with what a series was made.
func deviceOf(a map[string]string) string {
	var parts []string
	for _, keyword := range []string{"InstitutionName", "Manufacturer", "ManufacturerModelName", "StationName"} {
		if v := strings.TrimSpace(a[keyword]); v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " · ")
}

// instancesOf adds instances of a series.
func (p *pages) instancesOf(ctx context.Context, tenant, study string, s *seriesView, skip, limit int) error {
	rows, err := p.Index.Search(ctx, index.Query{
		Tenant: tenant, Level: index.InstanceLevel, Limit: limit, Offset: skip, Matches: []index.Match{
			{Keyword: "StudyInstanceUID", Values: []string{study}}, {Keyword: "SeriesInstanceUID", Values: []string{s.UID}},
		},
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		s.Instances = append(s.Instances, p.instanceOf(study, s.UID, row.Attributes))
	}
	return nil
}

// instanceOf tells of an instance what it is and where it is shown.
func (p *pages) instanceOf(study, series string, a map[string]string) instanceView {
	instance := a["SOPInstanceUID"]
	wado := p.wado(study, series, instance)
	viewer := func(kind string) string {
		return "/pages/" + kind + "/" + url.PathEscape(study) + "/" + url.PathEscape(series) + "/" + url.PathEscape(instance)
	}
	v := instanceView{
		UID: instance, Number: a["InstanceNumber"], Frames: max(1, whole(a["NumberOfFrames"])), Title: a["DocumentTitle"],
		Syntax: syntaxName(a["AvailableTransferSyntaxUID"]), File: wado + "?accept=application%2Fdicom",
	}
	class := a["SOPClassUID"]
	if name, ok := uid.SOPClassName(class); ok {
		v.Class = name
	} else {
		v.Class = class
	}
	if rows, columns := whole(a["Rows"]), whole(a["Columns"]); rows > 0 && columns > 0 {
		v.Size = strconv.Itoa(columns) + " × " + strconv.Itoa(rows)
	}
	syntax, _ := uid.TransferSyntax(a["AvailableTransferSyntaxUID"])
	begins := func(prefixes ...string) bool {
		for _, prefix := range prefixes {
			if strings.HasPrefix(class, prefix) {
				return true
			}
		}
		return false
	}
	switch {
	case class == classPDF:
		v.What, v.Href, v.Tab = instancePDF, wado+"/rendered?accept=application%2Fpdf", true
	case begins(ecgClasses):
		v.What, v.Href, v.Thumb = instanceECG, viewer("ecg"), wado+"/thumbnail"+thumbnailBox
	case begins(audioClasses):
		v.What = instanceOther
	case begins(waveformClasses):
		v.What, v.Href, v.Thumb = instanceWaveform, viewer("ecg"), wado+"/thumbnail"+thumbnailBox
	case begins(documentClasses, reportClasses):
		v.What = instanceDocument
	case begins(stateClasses) || class == classRawData:
		v.What = instanceOther
	case syntax.Video:
		v.What, v.Href = instanceVideo, viewer("view")
	case v.Size == "":
		v.What = instanceOther
	default:
		v.What, v.Href, v.Thumb = instancePicture, viewer("view"), wado+"/thumbnail"+thumbnailBox
		if v.Frames > 1 {
			v.What = instanceLoop
		}
	}
	return v
}
