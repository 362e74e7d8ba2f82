package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/storage/index"
)

// previewBytes is how much of a quarantined file is shown.
const previewBytes = 256

// entryRow is an entry of the quarantine as people read it.
type entryRow struct {
	index.Quarantined
	When   instant
	Origin origin
	Advice advice
	Path   string
}

func (l Lang) entryRow(q index.Quarantined) entryRow {
	return entryRow{
		Quarantined: q, When: instantOf(q.ReceivedAt), Advice: l.adviceOf(index.ArrivalQuarantined, q.Reason),
		Origin: l.originOf(q.Door, q.Device, q.Facility, q.CallingAE, q.Remote),
		Path:   "/pages/quarantine/" + url.PathEscape(q.ObjectID),
	}
}

type quarantineData struct {
	Rows  []entryRow
	Pager pager
	Done  string // what an operator just did, in words
	Acts  bool   // decisions can be made here
}

func (o *operators) quarantinePage(w http.ResponseWriter, r *http.Request) error {
	lang, offset := langOf(r), parseOffset(r.URL.Query())
	ctx, cancel := o.patience(r)
	defer cancel()
	found, err := o.cfg.Desk.Quarantine(ctx, o.Tenant(r), quarantinePageRows+1, offset)
	if err != nil {
		return failed(err, errNotFound)
	}
	more := len(found) > quarantinePageRows
	data := quarantineData{Pager: offsetPager("/pages/quarantine", offset, quarantinePageRows, more), Acts: o.cfg.Decisions != nil}
	if r.URL.Query().Get("done") == "removed" {
		data.Done = lang.text("operators.done.removed")
	}
	for _, q := range found[:min(len(found), quarantinePageRows)] {
		data.Rows = append(data.Rows, lang.entryRow(q))
	}
	return o.show(w, r, http.StatusOK, page{
		Name: "operators_quarantine", Title: lang.text("operators.quarantine.title"), Section: "quarantine", Bundle: "operators", Data: data,
	})
}

type entryData struct {
	entryRow
	Preview     []hexLine
	PreviewGone bool   // the bytes cannot be read now
	Shown       int64  // bytes of the preview
	File        string // path of the download
	Acts        bool
	Fault       string // why the last action did nothing, in words
	FaultNext   string
}

// entry reads the entry that the address names.
func (o *operators) entry(ctx context.Context, r *http.Request) (index.Quarantined, error) {
	id := r.PathValue("id")
	if !validID(id) {
		return index.Quarantined{}, errResolved
	}
	q, err := o.cfg.Desk.QuarantineEntry(ctx, o.Tenant(r), id)
	return q, failed(err, errResolved)
}

func (o *operators) entryPage(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := o.patience(r)
	defer cancel()
	q, err := o.entry(ctx, r)
	if err != nil {
		return err
	}
	return o.showEntry(ctx, w, r, http.StatusOK, q, nil)
}

// showEntry shows an entry; refusal is why an action left it where it is, nil when there was none.
func (o *operators) showEntry(ctx context.Context, w http.ResponseWriter, r *http.Request, status int, q index.Quarantined, refusal *reject.Error) error {
	lang := langOf(r)
	data := entryData{
		entryRow: lang.entryRow(q), File: "/quarantine/" + url.PathEscape(q.ObjectID) + "/file", Acts: o.cfg.Decisions != nil,
	}
	if refusal != nil {
		a := lang.adviceOf(statusRefused, string(refusal.Code))
		data.Fault, data.FaultNext = a.Why, a.Next
	}
	if o.cfg.Blobs != nil {
		head, err := o.preview(ctx, q.BlobKey)
		if err != nil {
			data.PreviewGone = true
			o.Log.WarnContext(ctx, "quarantined bytes cannot be read", "object_id", q.ObjectID, "error", err)
		}
		data.Preview, data.Shown = hexLines(head), int64(len(head))
	}
	return o.show(w, r, status, page{
		Name: "operators_entry", Title: lang.text("operators.entry.title"), Section: "quarantine", Bundle: "operators", Data: data,
	})
}

// preview reads the beginning of a blob.
func (o *operators) preview(ctx context.Context, key string) ([]byte, error) {
	body, err := o.cfg.Blobs.Open(ctx, key, 0, previewBytes)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, previewBytes))
}

// askData is a question before something is done.
type askData struct {
	Title, Question, Detail string
	Button                  string
	Danger                  bool
	Action                  string // path that the form is sent to
	Back                    string // path
	Facts                   [][2]string
}

// askEntry asks whether to retry or to remove.
func (o *operators) askEntry(w http.ResponseWriter, r *http.Request) error {
	lang := langOf(r)
	ctx, cancel := o.patience(r)
	defer cancel()
	action := r.PathValue("action")
	if action != "retry" && action != "remove" {
		return errNotFound
	}
	q, err := o.entry(ctx, r)
	if err != nil {
		return err
	}
	row := lang.entryRow(q)
	data := askData{
		Title: lang.text("operators.retry.title"), Button: lang.text("operators.retry.do"),
		Detail: lang.text("operators.retry.detail"), Action: row.Path + "/" + action, Back: row.Path,
		Facts: [][2]string{
			{lang.text("operators.fact.id"), q.ObjectID},
			{lang.text("operators.fact.filename"), q.Filename},
			{lang.text("operators.fact.size"), displayBytes(q.Bytes)},
			{lang.text("operators.fact.received"), row.When.Text},
			{lang.text("operators.fact.from"), row.Origin.From},
			{lang.text("operators.fact.reason"), row.Advice.Why},
		},
	}
	if action == "remove" {
		data.Title, data.Detail = lang.text("operators.remove.title"), lang.text("operators.remove.detail")
		data.Button, data.Danger = lang.text("operators.remove.do"), true
	}
	return o.ask(w, r, "quarantine", data)
}

func (o *operators) ask(w http.ResponseWriter, r *http.Request, section string, data askData) error {
	return o.show(w, r, http.StatusOK, page{Name: "operators_ask", Title: data.Title, Section: section, Bundle: "operators", Data: data})
}

// actEntry does it. Nothing bounds how long a retry may take: it reads the whole object.
func (o *operators) actEntry(w http.ResponseWriter, r *http.Request) error {
	action := r.PathValue("action")
	if action != "retry" && action != "remove" {
		return errNotFound
	}
	ctx, cancel := o.patience(r)
	defer cancel()
	q, err := o.entry(ctx, r)
	if err != nil {
		return err
	}
	tenant := o.Tenant(r)
	defer o.waiting.forget(tenant)
	if action == "remove" {
		if err := o.cfg.Decisions.Remove(r.Context(), tenant, q, by(r)); err != nil {
			return failed(err, errResolved)
		}
		http.Redirect(w, r, "/pages/quarantine?done=removed", http.StatusSeeOther)
		return nil
	}
	out, err := o.cfg.Decisions.Retry(r.Context(), tenant, q, by(r))
	var refusal *reject.Error
	if errors.As(err, &refusal) && refusal.Code != reject.Internal && !passing(refusal.Code) {
		ctx, cancel := o.patience(r) // the retry may have taken longer than the first
		defer cancel()
		return o.showEntry(ctx, w, r, http.StatusUnprocessableEntity, q, refusal)
	}
	if err != nil {
		return failed(err, errResolved)
	}
	to := url.Values{"done": {"retried"}, "as": {out.Status}}
	http.Redirect(w, r, "/pages/receipts/"+url.PathEscape(out.ID)+"?"+to.Encode(), http.StatusSeeOther)
	return nil
}
