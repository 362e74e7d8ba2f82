package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// Bounds of uploads by the page.
const (
	// tusThreshold is from which size on files go by pieces, bytes: with a slow line that drops, sending less again
	// costs less than two requests more.
	tusThreshold = 8 << 20

	// maxReceipts bounds the door's answer to a form, bytes: of 10,000 files it has some 4 MB.
	maxReceipts = 16 << 20

	// maxShownReceipts is how many of them one page shows.
	maxShownReceipts = 1000
)

type uploadData struct {
	Takes     bool  // this node takes files
	Threshold int64 // tusThreshold
}

// uploadPage lets a person choose files. Without scripts its form sends all of them at once to uploadForm; a script
// sends each by itself, large ones by pieces, and can go on after a line dropped.
func (o *operators) uploadPage(w http.ResponseWriter, r *http.Request) error {
	return o.show(w, r, http.StatusOK, page{
		Name: "operators_upload", Title: langOf(r).text("operators.upload.title"), Section: "upload", Bundle: "operators",
		Texts: []string{"operators.up.", "operators.status.", "operators.why.", "operators.next.", "operators.reason.", "operators.todo."},
		Data:  uploadData{o.cfg.Upload != nil, tusThreshold},
	})
}

// receipt is what the door answers for one file, kept (ingest.Receipt) or refused (upload.Refusal).
type receipt struct {
	ID     string `json:"id"`
	Format string `json:"format"`
	Bytes  int64  `json:"bytes"`
	Study  string `json:"study"`
	Status string `json:"status"`
	Reason string `json:"reason"`
}

type uploadedRow struct {
	receipt
	Number  int
	Word    statusWord
	Advice  advice
	Study   string
	Receipt string
}

type uploadedData struct {
	Rows  []uploadedRow
	Kept  int // of all files
	Total int
	More  int // that are not shown
}

// uploadForm gives a form to this node's door, and shows its answer as a page.
func (o *operators) uploadForm(w http.ResponseWriter, r *http.Request) error {
	if o.cfg.Upload == nil {
		return errNoIntake
	}
	lang := langOf(r)
	answer := &captured{ResponseWriter: w, header: http.Header{}, status: http.StatusOK}
	o.cfg.Upload.ServeHTTP(answer, r)
	receipts, err := readReceipts(answer.body.Bytes())
	if err != nil || answer.full {
		return errors.New("the upload door gave an answer that is no list of receipts")
	}
	data := uploadedData{Total: len(receipts), More: max(0, len(receipts)-maxShownReceipts)}
	for i, rec := range receipts {
		if rec.Status != statusRefused {
			data.Kept++
		}
		if i < maxShownReceipts {
			data.Rows = append(data.Rows, lang.uploadedRow(i+1, rec))
		}
	}
	if after := answer.header.Get("Retry-After"); after != "" {
		w.Header().Set("Retry-After", after)
	}
	if answer.status == http.StatusRequestTimeout { // browsers would send the whole form again by themselves
		answer.status = http.StatusBadRequest
	}
	return o.show(w, r, answer.status, page{
		Name: "operators_uploaded", Title: lang.text("operators.uploaded.title"), Section: "upload", Bundle: "operators", Data: data,
	})
}

func (l Lang) uploadedRow(number int, rec receipt) uploadedRow {
	row := uploadedRow{receipt: rec, Number: number, Word: l.status(rec.Status), Advice: l.adviceOf(rec.Status, rec.Reason)}
	if validID(rec.ID) {
		row.Receipt = "/pages/receipts/" + url.PathEscape(rec.ID)
	}
	if rec.Status != "quarantined" && rec.Status != statusRefused {
		row.Study = studyPath(rec.Study)
	}
	return row
}

// readReceipts reads the door's answer: a list for a form, one for a body that never was one.
func readReceipts(answer []byte) ([]receipt, error) {
	var list []receipt
	if err := json.Unmarshal(answer, &list); err == nil {
		return list, nil
	}
	var one receipt
	if err := json.Unmarshal(answer, &one); err != nil {
		return nil, err
	}
	if one.Status == "" {
		return nil, errors.New("no status")
	}
	return []receipt{one}, nil
}

// captured keeps a handler's answer, bounded, instead of sending it. Deadlines and 100-continue go to the connection.
type captured struct {
	http.ResponseWriter
	header http.Header
	status int
	wrote  bool
	full   bool // the answer was longer than maxReceipts; the rest is not kept
	body   bytes.Buffer
}

// Unwrap lets http.ResponseController find the connection.
func (c *captured) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Header implements http.ResponseWriter.
func (c *captured) Header() http.Header { return c.header }

// WriteHeader implements http.ResponseWriter.
func (c *captured) WriteHeader(status int) {
	if !c.wrote && status >= http.StatusOK {
		c.status, c.wrote = status, true
	}
}

// Write implements http.ResponseWriter.
func (c *captured) Write(b []byte) (int, error) {
	c.wrote = true
	if c.body.Len()+len(b) > maxReceipts {
		c.full = true
		return len(b), nil
	}
	return c.body.Write(b)
}
