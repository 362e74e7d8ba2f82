package dicomweb

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tributary-dicom/tributary/review/patient"
	"github.com/tributary-dicom/tributary/storage/index"
)

// A viewer asks for a patient's earlier studies by Patient ID alone, as GET /studies?00100020=7. Village kits count
// their patients 1, 2, 3, so that answer would put strangers' studies beside the one on the screen. The question
// itself cannot be answered safely; what is on the screen tells whom it means (docs/decisions/0018-priors.md).

// maxOpened bounds the studies on the screen that are looked up.
const maxOpened = 16

// priors is what a search for a viewer's prior studies needs to know.
type priors struct {
	id     string      // Patient ID that was asked for
	opened []index.Row // the studies on the screen that have this id; none when the request does not tell
}

// askPriors reports whether a search of studies is a page's question for all of one Patient ID, and finds out whom it
// means. It returns nil for every other search: programs get what they ask for (PS3.18 §8.3.4).
func (s *server) askPriors(r *http.Request, level index.Level, sc index.Scope, q *request) (*priors, error) {
	if level != index.StudyLevel || !fromPage(r) {
		return nil, nil
	}
	id := ""
	for _, m := range q.matches {
		switch m.Keyword {
		case "PatientID":
			if len(m.Values) != 1 || strings.ContainsAny(m.Values[0], "*?") {
				return nil, nil // the study list's filter: its rows show names and dates
			}
			id = m.Values[0]
		case "IssuerOfPatientID", "StudyInstanceUID":
			return nil, nil
		}
	}
	if id == "" {
		return nil, nil
	}
	p := &priors{id: id}
	uids := openedStudies(r.Referer())
	if len(uids) == 0 {
		return p, nil
	}
	rows, err := s.ask(r.Context(), index.Query{
		Tenant: sc.Tenant, Level: level, Limit: maxOpened,
		Matches: []index.Match{{Keyword: "StudyInstanceUID", Values: uids}},
	})
	if err != nil {
		return nil, err
	}
	p.opened = slices.DeleteFunc(rows, func(row index.Row) bool { return !patient.SameText(row.Attributes["PatientID"], id) })
	return p, nil
}

// narrow adds what the studies that belong to the patient have in common, so that a page of rows is not full of
// strangers' before keep sees it.
func (p *priors) narrow(q *request) {
	if len(p.opened) != 1 {
		return
	}
	if m, ok := patient.Narrow(p.opened[0]); ok {
		q.matches = append(q.matches, m)
	}
}

// keep returns the rows that are of the patient on the screen. When the request does not tell which studies are, rows
// of one patient are returned, and of several none: a warning says why.
func (p *priors) keep(q *request, rows []index.Row) []index.Row {
	if len(p.opened) > 0 {
		return slices.DeleteFunc(rows, func(row index.Row) bool {
			return !slices.ContainsFunc(p.opened, func(open index.Row) bool { return patient.Same(open, row) })
		})
	}
	for i := range rows {
		if !patient.Same(rows[0], rows[i]) {
			q.warn("several patients have this Patient ID and none of their studies is returned; add IssuerOfPatientID")
			return nil
		}
	}
	return rows
}

// fromPage reports whether a page in a browser asks, not a program and not a person who typed the address. Browsers
// tell so themselves; a page cannot unset both.
func fromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "none" || r.Referer() != ""
}

// openedStudies are the Study Instance UIDs in the address of OHIF's viewer: StudyInstanceUIDs=1.2,1.3 or repeated. The
// address is the browser's word for what is on the screen; it opens nothing that a search by UID does not.
func openedStudies(address string) []string {
	const longest = 8 << 10
	if len(address) > longest {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	var uids []string
	for key, values := range u.Query() {
		if !strings.EqualFold(key, "StudyInstanceUIDs") {
			continue
		}
		for _, value := range values {
			for uid := range strings.SplitSeq(value, ",") {
				if uid = strings.TrimSpace(uid); len(uid) > 0 && len(uid) <= 64 && strings.Trim(uid, "0123456789.") == "" && len(uids) < maxOpened {
					uids = append(uids, uid)
				}
			}
		}
	}
	return uids
}
