package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// Code names a kind of finding. The list is closed; operators quote it: add, never rename.
type Code string

// Codes, worst first: what is lost, what is damaged, what is only not in step.
const (
	BlobMissing        Code = "blob-missing"        // an object's event without its bytes
	BlobDamaged        Code = "blob-damaged"        // bytes that are not those that were stored
	HashMismatch       Code = "hash-mismatch"       // whole bytes with another SHA-256 than the event's
	QuarantineMissing  Code = "quarantine-missing"  // an entry of the quarantine without its bytes
	DecisionMissing    Code = "decision-missing"    // a decision's event without its blob
	EventUnreadable    Code = "event-unreadable"    // a record that does not decode
	StoreDamaged       Code = "store-damaged"       // places in the blob store that are nothing whole
	BlobWithoutEvent   Code = "blob-without-event"  // an object or decision that the log does not tell of
	IndexMissing       Code = "index-missing"       // no index, or one that cannot be read
	IndexForeign       Code = "index-foreign"       // the index has applied what the log does not have
	RowMissing         Code = "row-missing"         // an event that took no effect in the index
	RowWithoutEvent    Code = "row-without-event"   // a row of the index whose event is not in the log
	RowDiffers         Code = "row-differs"         // a row that says something else than its event
	RowBroken          Code = "row-broken"          // a row without those that belong to it
	IndexMiscounted    Code = "index-miscounted"    // series or studies that do not fit their instances
	AttachmentMissing  Code = "attachment-missing"  // a header or layout beside a blob that is not there
	AttachmentOrphaned Code = "attachment-orphaned" // a header or layout that no event names
	ResolvedBytes      Code = "resolved-bytes"      // bytes of a quarantine entry that was removed or retried
	Leftover           Code = "leftover"            // unfinished uploads of the blob store
	SpoolUndrained     Code = "spool-undrained"     // events that wait for the shared log
)

// advice is what to do, for people. The order is that of the report.
var advice = []struct {
	code   Code
	mends  bool // Repair takes care of it
	advice string
}{
	{BlobMissing, false, "the bytes are gone: restore the blob store from a backup, or have the study sent again; look at the disk"},
	{BlobDamaged, false, "restore the blob from a backup, or have the study sent again: the same data set takes its place; look at the disk"},
	{HashMismatch, false, "the store holds other bytes than were received: restore from a backup, or have the study sent again"},
	{QuarantineMissing, false, "restore from a backup, or forget the entry: tributary quarantine rm ID"},
	{DecisionMissing, false, "nothing now; the decision is in the log, and would be lost with it: back up the log"},
	{EventUnreadable, false, "written by a newer release, or damaged: update, or restore the log from a backup"},
	{StoreDamaged, false, "what lay there is reported by its event, where it has one; look at the disk"},
	{BlobWithoutEvent, true, "fsck --repair gives it its event; so does the next start of a node"},
	{IndexMissing, true, "tributary reindex --from log (fsck --repair does it)"},
	{IndexForeign, true, "tributary reindex --from log (fsck --repair does it)"},
	{RowMissing, true, "tributary reindex --from log (fsck --repair does it)"},
	{RowWithoutEvent, true, "tributary reindex --from log (fsck --repair does it)"},
	{RowDiffers, true, "tributary reindex --from log (fsck --repair does it)"},
	{RowBroken, true, "tributary reindex --from log (fsck --repair does it)"},
	{IndexMiscounted, true, "tributary reindex --from log (fsck --repair does it)"},
	{AttachmentMissing, true, "fsck --repair reads it from the object's bytes again"},
	{AttachmentOrphaned, true, "fsck --repair removes it when it is old enough; it takes space only"},
	{ResolvedBytes, false, "takes space only; the object was resolved by an operator, and its bytes could not be deleted then"},
	{Leftover, false, "takes space only; a folder is swept when a node starts, a bucket by its lifecycle rule (runbook)"},
	{SpoolUndrained, false, "start the node and let it reach the shared log"},
}

// Advice says what a person is to do about a code, and whether Repair does it.
func (c Code) Advice() (text string, mends bool) {
	for _, a := range advice {
		if a.code == c {
			return a.advice, a.mends
		}
	}
	return "", false
}

func (c Code) rank() int {
	for i, a := range advice {
		if a.code == c {
			return i
		}
	}
	return len(advice)
}

// Finding is one thing that is wrong. It has no patient data: ids, keys and hashes only.
type Finding struct {
	Code     Code   `json:"code"`
	Blob     string `json:"blob,omitempty"`
	ObjectID string `json:"object_id,omitempty"`
	EventID  string `json:"event_id,omitempty"`
	Record   string `json:"record,omitempty"` // partition@offset
	Tenant   string `json:"tenant,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// Action is what Repair did, or could not.
type Action struct {
	Code  Code   `json:"code"` // what it was about
	Did   string `json:"did"`
	Count int64  `json:"count"`
	Error string `json:"error,omitempty"`
}

// Report is what an audit found. Its JSON only grows.
type Report struct {
	Version int       `json:"version"` // 1
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`

	// What was looked at.
	Blobs       int64 `json:"blobs"`
	BlobBytes   int64 `json:"blob_bytes"`
	Events      int64 `json:"events"`
	Rows        int64 `json:"rows"`
	Reread      int64 `json:"reread"` // blobs whose bytes were hashed
	RereadBytes int64 `json:"reread_bytes"`
	Waiting     int64 `json:"waiting"` // events that the index had not reached; no fault

	Counts   map[Code]int64 `json:"counts"`   // exact
	Findings []Finding      `json:"findings"` // worst first; of each code the first ones only
	Cut      bool           `json:"cut"`      // there are more findings than are listed
	Actions  []Action       `json:"actions"`  // of Repair

	most int
}

// Clean reports whether nothing is wrong.
func (r *Report) Clean() bool { return len(r.Counts) == 0 }

func (r *Report) add(f Finding) {
	if r.Counts == nil {
		r.Counts = map[Code]int64{}
	}
	if r.Counts[f.Code]++; r.Counts[f.Code] > int64(r.most) {
		r.Cut = true
		return
	}
	r.Findings = append(r.Findings, f)
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(a.Code.rank(), b.Code.rank()) })
}

// WriteText tells a person, worst first.
func (r *Report) WriteText(w io.Writer) error {
	p := printer{w: w}
	p.line("%d blobs, %d events, %d index rows compared; %d blobs read again (%d bytes)", r.Blobs, r.Events, r.Rows, r.Reread, r.RereadBytes)
	if r.Waiting > 0 {
		p.line("%d events wait for the index stage, which is no fault", r.Waiting)
	}
	if r.Clean() {
		p.line("Nothing is wrong.")
	}
	for _, a := range advice {
		n := r.Counts[a.code]
		if n == 0 {
			continue
		}
		p.line("\n%s: %d\n  to do: %s", a.code, n, a.advice)
		shown := int64(0)
		for _, f := range r.Findings {
			if f.Code == a.code {
				p.line("  - %s", f)
				shown++
			}
		}
		if shown < n {
			p.line("  … and %d more", n-shown)
		}
	}
	if len(r.Actions) > 0 {
		p.line("\nRepair:")
	}
	for _, a := range r.Actions {
		if a.Error != "" {
			p.line("  - %s: %s: %d, then failed: %s", a.Code, a.Did, a.Count, a.Error)
			continue
		}
		p.line("  - %s: %s: %d", a.Code, a.Did, a.Count)
	}
	return p.err
}

// String is the finding in one line.
func (f Finding) String() string {
	s := ""
	for _, part := range []struct{ name, value string }{
		{"object", f.ObjectID}, {"blob", f.Blob}, {"event", f.EventID}, {"record", f.Record}, {"tenant", f.Tenant},
	} {
		if part.value != "" {
			s += part.name + " " + part.value + "  "
		}
	}
	return s + f.Detail
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
