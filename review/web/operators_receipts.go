package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/tributary-dicom/tributary/storage/index"
)

// receiptRow is one line of the list.
type receiptRow struct {
	index.Arrival
	When   instant
	Word   statusWord
	Origin origin
	Study  string // path, "" where there is no study to see
}

func (l Lang) receiptRow(a index.Arrival) receiptRow {
	row := receiptRow{
		Arrival: a, When: instantOf(a.ReceivedAt), Word: l.status(a.Status),
		Origin: l.originOf(a.Door, a.Device, a.Facility, a.CallingAE, a.Remote),
	}
	switch a.Status {
	case index.ArrivalStored, index.ArrivalDerived, index.ArrivalConflict, index.ArrivalDuplicate:
		row.Study = studyPath(a.StudyInstanceUID)
	}
	return row
}

// choice is an <option>.
type choice struct {
	Value, Text string
	Chosen      bool
}

func choices(all []string, chosen string, text func(string) string) []choice {
	var out []choice
	for _, v := range all {
		out = append(out, choice{v, text(v), v == chosen})
	}
	return out
}

// receiptsData is what the list shows.
type receiptsData struct {
	Rows     []receiptRow
	Statuses []choice
	Doors    []choice
	Device   string
	Filtered bool
	First    string // the newest page, "" when this is it
	Older    string // the next page, "" when there is none
}

// receiptsPage lists what came in, newest first. ?id= leads to one receipt, for people with a slip of paper.
func (o *operators) receiptsPage(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if id := strings.TrimSpace(q.Get("id")); id != "" {
		if !validID(id) {
			return errReceipt
		}
		http.Redirect(w, r, "/pages/receipts/"+url.PathEscape(id), http.StatusSeeOther)
		return nil
	}
	lang, f := langOf(r), parseReceiptFilter(q)
	ctx, cancel := o.patience(r)
	defer cancel()
	found, err := o.cfg.Desk.Arrivals(ctx, f.query(o.Tenant(r), receiptsPageRows+1))
	if err != nil {
		return failed(err, errNotFound)
	}
	data := receiptsData{
		Statuses: choices(listedStatuses, f.Status, func(s string) string { return lang.status(s).Text }),
		Doors:    choices(listedDoors, f.Door, lang.door),
		Device:   f.Device,
		Filtered: f.Status != "" || f.Door != "" || f.Device != "",
	}
	if f.Before != "" {
		first := f
		first.Before = ""
		data.First = first.link()
	}
	if len(found) > receiptsPageRows {
		found = found[:receiptsPageRows]
		older := f
		if older.Before = found[len(found)-1].ObjectID; validCursor(older.Before) {
			data.Older = older.link()
		}
	}
	for _, a := range found {
		data.Rows = append(data.Rows, lang.receiptRow(a))
	}
	return o.show(w, r, http.StatusOK, page{
		Name: "operators_receipts", Title: lang.text("operators.receipts.title"), Section: "receipts", Bundle: "operators", Data: data,
	})
}

// receiptData is what the page of one receipt shows.
type receiptData struct {
	receiptRow
	Advice     advice
	Done       string // what an operator just did, in words
	Quarantine string // paths, "" where there is nothing
	Conflict   string
	Original   string
	ECG        string
}

// receiptPage tells all that is known of one object, by the id that its sender was given.
func (o *operators) receiptPage(w http.ResponseWriter, r *http.Request) error {
	lang, id := langOf(r), r.PathValue("id")
	if !validID(id) {
		return errReceipt
	}
	ctx, cancel := o.patience(r)
	defer cancel()
	a, err := o.cfg.Desk.Arrival(ctx, o.Tenant(r), id)
	done := r.URL.Query().Get("done")
	if errors.Is(err, index.ErrNotFound) && done != "" {
		return errLate // the decision is kept; the index has not reached it
	}
	if err != nil {
		return failed(err, errReceipt)
	}
	data := receiptData{receiptRow: lang.receiptRow(a), Advice: lang.adviceOf(a.Status, a.Reason)}
	if done == "retried" {
		data.Done = lang.text("operators.done.retried")
		if r.URL.Query().Get("as") == statusDuplicate {
			data.Done = lang.text("operators.done.retried.duplicate")
		}
	}
	if a.Undecided && a.Status == index.ArrivalStored {
		data.Advice.Next = lang.text("operators.next.undecided")
	}
	switch a.Status {
	case index.ArrivalQuarantined:
		data.Quarantine = "/pages/quarantine/" + url.PathEscape(a.ObjectID)
	case index.ArrivalKept, index.ArrivalDerived:
		data.Original = "/originals/" + url.PathEscape(a.ObjectID)
	}
	if (a.Undecided || a.Status == index.ArrivalConflict) && validUID(a.SOPInstanceUID) {
		data.Conflict = "/pages/conflicts/" + url.PathEscape(a.SOPInstanceUID)
	}
	if a.Status == index.ArrivalDerived && validUID(a.StudyInstanceUID) && validUID(a.SeriesInstanceUID) && validUID(a.DerivedUID) {
		data.ECG = "/pages/ecg/" + a.StudyInstanceUID + "/" + a.SeriesInstanceUID + "/" + a.DerivedUID
	}
	return o.show(w, r, http.StatusOK, page{
		Name: "operators_receipt", Title: lang.text("operators.receipt.title"), Section: "receipts", Bundle: "operators", Data: data,
	})
}
