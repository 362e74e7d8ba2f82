package web

import (
	"context"
	"encoding/json"
	"math"
	"net/url"
	"strconv"

	"github.com/tributary-dicom/tributary/storage/index"
)

// ecgSummary is what a recording of the study says, on one panel.
type ecgSummary struct {
	Title    string // when it was recorded, or ""
	Href     string // viewer, "" while there is no DICOM object
	Original string // address of the file as the device sent it, or ""
	Urgent   bool
	Findings []string // the statements that make it critical
	Facts    []fact
	Says     []ecgSaid
	More     int // statements that are not shown
}

// ecgSaid is statements of one author, one after another.
type ecgSaid struct {
	Author    string // key
	Confirmed bool
	Lines     []string
}

// maxLines bounds the statements of a summary; the viewer shows all.
const maxLines = 12

// ecgFacts is the member ecg of an event (docs/events.md), as far as a summary needs it.
type ecgFacts struct {
	AcquiredAt   string `json:"acquired_at"`
	Measurements map[string]struct {
		Value   float64 `json:"value"`
		Unit    string  `json:"unit"`
		Formula string  `json:"formula"`
	} `json:"measurements"`
	Statements []struct {
		Text   string `json:"text"`
		Author string `json:"author"`
		Status string `json:"status"`
	} `json:"statements"`
}

// ecgsOf adds what the study's recordings say. One that waits for its DICOM object is told of too: a critical one waits
// for nothing.
func (p *pages) ecgsOf(ctx context.Context, lang Lang, tenant string, d *studyData) error {
	rows, err := p.Index.Recordings(ctx, index.RecordingQuery{Tenant: tenant, StudyInstanceUID: d.UID, Limit: maxStudyECGs})
	if err != nil {
		return err
	}
	for _, row := range rows {
		s := lang.ecgSummary(row)
		if !row.Original {
			s.Href = "/pages/ecg/" + url.PathEscape(row.StudyInstanceUID) + "/" + url.PathEscape(row.SeriesInstanceUID) + "/" + url.PathEscape(row.SOPInstanceUID)
		}
		d.Urgent = d.Urgent || s.Urgent
		d.ECGs = append(d.ECGs, s)
	}
	return nil
}

func (l Lang) ecgSummary(row index.RecordingRow) ecgSummary {
	s := ecgSummary{Urgent: row.Priority == priorityStat}
	switch {
	case row.Original:
		s.Original = "/originals/" + url.PathEscape(row.ObjectID)
	case row.DerivedFrom != "":
		s.Original = "/originals/" + url.PathEscape(row.DerivedFrom)
	}
	for _, f := range row.Findings {
		s.Findings = append(s.Findings, f.Statement)
	}
	var facts ecgFacts
	if len(row.Facts) == 0 || json.Unmarshal(row.Facts, &facts) != nil {
		return s // a later version's, say; the viewer reads the file itself
	}
	if len(facts.AcquiredAt) >= 16 {
		s.Title = facts.AcquiredAt[:10] + " " + facts.AcquiredAt[11:16]
	}
	for _, m := range []struct{ key, name string }{
		{"ventricular-rate", "frame.ecg.rate"},
		{"pr-interval", "frame.ecg.pr"},
		{"qrs-duration", "frame.ecg.qrs"},
		{"qt-interval", "frame.ecg.qt"},
		{"qtc-interval", "frame.ecg.qtc"},
		{"qrs-axis", "frame.ecg.axis"},
	} {
		v, ok := facts.Measurements[m.key]
		if !ok || math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
			continue
		}
		note := ""
		text := strconv.FormatFloat(math.Round(v.Value*10)/10, 'f', -1, 64)
		switch v.Unit {
		case "deg":
			text += "°"
		case "":
		default:
			text += " " + v.Unit
		}
		if m.key == "qtc-interval" {
			if v.Formula == "" {
				v.Formula = l.text("frame.ecg.formula")
			}
			note = v.Formula
		}
		s.Facts = append(s.Facts, fact{m.name, text, note})
	}
	shown := 0
	for _, st := range facts.Statements {
		if st.Text == "" {
			continue
		}
		if shown == maxLines {
			s.More++
			continue
		}
		shown++
		said := ecgSaid{Author: "frame.ecg.somebody", Confirmed: st.Status == "confirmed"}
		switch st.Author {
		case "machine":
			said.Author = "frame.ecg.machine"
		case "over-read":
			said.Author = "frame.ecg.overread"
		}
		if n := len(s.Says); n == 0 || s.Says[n-1].Author != said.Author || s.Says[n-1].Confirmed != said.Confirmed {
			s.Says = append(s.Says, said)
		}
		last := &s.Says[len(s.Says)-1]
		last.Lines = append(last.Lines, st.Text)
	}
	return s
}
