package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/blob"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Blobs is what an audit needs of a blob store; blob.Store has it.
type Blobs interface {
	List(ctx context.Context, since time.Time, fn func(blob.Info) error) error
	Stat(ctx context.Context, key string) (blob.Info, error)
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)
}

// Log is what an audit reads of the log.
type Log interface {
	// Heads returns the newest position of each partition of a topic that has records.
	Heads(ctx context.Context, topic string) ([]eventlog.Position, error)
	// ReadFrom returns up to most records of from.Partition at and behind from.Offset, oldest first, none
	// when there are none.
	ReadFrom(ctx context.Context, topic string, from eventlog.Position, most int) ([]eventlog.Record, error)
}

// Index is what an audit reads of the index; *index.DB has it.
type Index interface {
	EachRow(ctx context.Context, fn func(index.RowOf) error) error
	Miscounted(ctx context.Context) (int64, error)
	LastApplied(ctx context.Context, topic string, partition int32) (offset int64, eventID string, err error)
}

// Kinds of blobs (Engines.Kept).
const (
	KindObject   = "object"
	KindDecision = "decision"
	KindHeader   = "header"
	KindLayout   = "layout"
)

// Engines are what is compared.
type Engines struct {
	Blobs Blobs
	Log   Log

	// Index may be nil, which is a finding; NoIndex then says why, in words.
	Index   Index
	NoIndex string

	// Kept reads what admission wrote beside a blob: its kind, whose object it is, and the blobs of the
	// object's attachments, "" for none. Blobs of other kinds than the four are let alone.
	Kept func(blob.Meta) (kind, objectID, header, layout string)
}

// Options of Verify. The zero value compares without reading any bytes.
type Options struct {
	// Sample is how many objects are read again and hashed, chosen by chance; Full means all of them, and
	// the attachments too.
	Sample int
	Full   bool

	// Settle is how old a blob must be before it is missed in the log. 0 is right when no node runs; a
	// minute when one does.
	Settle time.Duration

	Most  int                            // findings of one code that are listed; 0 means 1000
	Dir   string                         // of the scratch file, about 1 KiB an object; "" means the system's
	Found []Finding                      // what the caller found by itself (Leftover, SpoolUndrained)
	Tell  func(phase string, done int64) // hears of progress, from one goroutine at a time; nil for nobody
}

// Verify compares blobs, events and rows, and changes none. An error means that it could not look;
// what is wrong is in the report. It may run beside nodes that use the same engines.
func Verify(ctx context.Context, e Engines, opt Options) (*Report, error) {
	a, err := look(ctx, e, opt)
	if err != nil {
		return nil, err
	}
	return &a.report, a.file.close()
}

// audit is one look. The scratch file is used by one goroutine.
type audit struct {
	Engines
	opt    Options
	file   *scratch
	report Report
	mu     sync.Mutex // guards report while bytes are read side by side

	read     map[int32]int64 // last offset of each partition that was read
	applied  map[int32]int64
	tailed   time.Time
	foreign  bool // the index is of another log
	placesIn error
	broken   bool // an event's blob was found to be damaged
}

const schema = `
CREATE TABLE blobs (n INTEGER PRIMARY KEY, key TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, created INTEGER NOT NULL,
	header TEXT NOT NULL, layout TEXT NOT NULL);
CREATE TABLE events (n INTEGER PRIMARY KEY, id TEXT NOT NULL, type INTEGER NOT NULL, part INTEGER NOT NULL, off INTEGER NOT NULL,
	object TEXT NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL, bytes INTEGER NOT NULL, sha TEXT NOT NULL, dsha TEXT NOT NULL,
	dsoff INTEGER NOT NULL, sop TEXT NOT NULL, syntax TEXT NOT NULL, announced TEXT NOT NULL DEFAULT '');
CREATE TABLE attached (n INTEGER PRIMARY KEY, event INTEGER NOT NULL, key TEXT NOT NULL, encoding TEXT NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE found (n INTEGER PRIMARY KEY, kind TEXT NOT NULL, tenant TEXT NOT NULL, object TEXT NOT NULL, event TEXT NOT NULL,
	sop TEXT NOT NULL, dsha TEXT NOT NULL, syntax TEXT NOT NULL, key TEXT NOT NULL, sha TEXT NOT NULL, bytes INTEGER NOT NULL);
`

// Types of events in the scratch file.
const (
	stored = iota + 1
	conflict
	quarantinedObject
	quarantineResolved
	conflictResolved
)

var types = map[string]int{
	event.TypeInstanceStored: stored, event.TypeInstanceConflict: conflict, event.TypeInstanceQuarantined: quarantinedObject,
	event.TypeQuarantineResolved: quarantineResolved, event.TypeConflictResolved: conflictResolved,
}

// look gathers and compares. The caller closes the scratch file.
func look(ctx context.Context, e Engines, opt Options) (_ *audit, err error) {
	if opt.Most == 0 {
		opt.Most = 1000
	}
	if opt.Tell == nil {
		opt.Tell = func(string, int64) {}
	}
	a := &audit{Engines: e, opt: opt, read: map[int32]int64{}, applied: map[int32]int64{}}
	a.report = Report{Version: 1, Began: time.Now().UTC(), Counts: map[Code]int64{}, Findings: []Finding{}, Actions: []Action{}, most: opt.Most}
	if a.file, err = openScratch(ctx, opt.Dir, schema); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.file.close())
		}
	}()
	for _, f := range opt.Found {
		a.report.add(f)
	}
	for _, step := range []func(context.Context) error{a.rows, a.blobs, a.events, a.arrange, a.compare, a.reread} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if a.placesIn != nil && !a.broken {
		a.report.add(Finding{Code: StoreDamaged, Detail: a.placesIn.Error()})
	}
	a.report.sort()
	a.report.Ended = time.Now().UTC()
	return a, nil
}

// rows reads the index, and before that how far it is: every event up to there must be in what is read.
func (a *audit) rows(ctx context.Context) error {
	if a.Index == nil {
		a.report.add(Finding{Code: IndexMissing, Detail: a.NoIndex})
		return nil
	}
	heads, err := a.Log.Heads(ctx, event.TopicInstances)
	if err != nil {
		return fmt.Errorf("find the ends of the log: %w", err)
	}
	ends := map[int32]int64{0: -1} // an embedded log that was lost has no partition to tell of
	for _, h := range heads {
		ends[h.Partition] = h.Offset
	}
	for partition, end := range ends {
		if err := a.place(ctx, partition, end); err != nil {
			return err
		}
	}
	if a.foreign {
		return nil
	}
	err = a.Index.EachRow(ctx, func(r index.RowOf) error {
		a.report.Rows++
		a.opt.Tell("index", a.report.Rows)
		if !r.Whole {
			a.report.add(Finding{Code: RowBroken, ObjectID: r.ObjectID, EventID: r.EventID, Tenant: r.Tenant, Blob: r.BlobKey})
		}
		return a.file.insert(ctx, `INSERT INTO found (kind, tenant, object, event, sop, dsha, syntax, key, sha, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.Kind, r.Tenant, r.ObjectID, r.EventID, r.SOPInstanceUID, r.DatasetSHA256, r.TransferSyntaxUID, r.BlobKey, r.SHA256, r.Bytes)
	})
	var n int64
	if err == nil {
		n, err = a.Index.Miscounted(ctx)
	}
	if errors.Is(err, index.ErrDamaged) {
		a.Index = nil
		a.report.add(Finding{Code: IndexMissing, Detail: err.Error()})
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	if n > 0 {
		a.report.add(Finding{Code: IndexMiscounted, Detail: strconv.FormatInt(n, 10) + " series or studies"})
	}
	return nil
}

// place notes how far the index is in a partition that ends at end, and whether that can be.
func (a *audit) place(ctx context.Context, partition int32, end int64) error {
	offset, id, err := a.Index.LastApplied(ctx, event.TopicInstances, partition)
	if err != nil {
		return fmt.Errorf("find the place of the index: %w", err)
	}
	a.applied[partition] = offset
	if offset < 0 {
		return nil
	}
	at := eventlog.Position{Topic: event.TopicInstances, Partition: partition, Offset: offset}
	var records []eventlog.Record
	if offset <= end {
		if records, err = a.Log.ReadFrom(ctx, event.TopicInstances, at, 1); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
	}
	if len(records) == 0 || records[0].Offset != offset || id != "" && records[0].Event.ID != id {
		a.foreign = true
		a.report.add(Finding{
			Code: IndexForeign, Record: place(partition, offset), EventID: id,
			Detail: "the index goes up to here, and the log has another record there or none",
		})
	}
	return nil
}

func place(partition int32, offset int64) string { return fmt.Sprintf("%d@%d", partition, offset) }

// blobs lists the store.
func (a *audit) blobs(ctx context.Context) error {
	err := a.Blobs.List(ctx, time.Time{}, func(info blob.Info) error {
		a.report.Blobs++
		a.report.BlobBytes += info.Bytes
		a.opt.Tell("blobs", a.report.Blobs)
		kind, object, header, layout := a.Kept(info.Meta)
		return a.file.insert(ctx, "INSERT INTO blobs (key, kind, object, created, header, layout) VALUES (?, ?, ?, ?, ?, ?)",
			info.Key, kind, object, info.Created.UnixMicro(), header, layout)
	})
	if errors.Is(err, blob.ErrCorrupt) {
		a.placesIn, err = err, nil // the others were listed
	}
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	return nil
}

// events reads the log from where it was read to before.
func (a *audit) events(ctx context.Context) error {
	a.tailed = time.Now()
	heads, err := a.Log.Heads(ctx, event.TopicInstances)
	if err != nil {
		return fmt.Errorf("find the ends of the log: %w", err)
	}
	for _, head := range heads {
		from := eventlog.Position{Topic: event.TopicInstances, Partition: head.Partition}
		if last, ok := a.read[head.Partition]; ok {
			from.Offset = last + 1
		}
		for from.Offset <= head.Offset {
			records, err := a.Log.ReadFrom(ctx, event.TopicInstances, from, 512)
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if len(records) == 0 {
				break
			}
			for i := range records {
				if err := a.event(ctx, records[i]); err != nil {
					return err
				}
			}
			from.Offset = records[len(records)-1].Offset + 1
			a.read[head.Partition] = from.Offset - 1
			a.opt.Tell("log", a.report.Events)
		}
	}
	return nil
}

func (a *audit) event(ctx context.Context, r eventlog.Record) error {
	a.report.Events++
	kind := types[r.Event.Type]
	body, err := event.DecodeRecord(r.Event)
	if err != nil {
		body = nil // what err says may quote a body
	}
	const insert = `INSERT INTO events (n, id, type, part, off, object, tenant, key, bytes, sha, dsha, dsoff, sop, syntax, announced)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	n := a.report.Events
	switch body := body.(type) {
	case *event.Instance:
		for _, att := range []*event.Attachment{body.Header, body.Frames} {
			if att == nil || att.BlobKey == "" {
				continue
			}
			err := a.file.insert(ctx, "INSERT INTO attached (event, key, encoding, bytes) VALUES (?, ?, ?, ?)", n, att.BlobKey, att.Encoding, att.Bytes)
			if err != nil {
				return err
			}
		}
		return a.file.insert(ctx, insert, n, r.Event.ID, kind, r.Partition, r.Offset, body.ObjectID, body.Tenant, body.Blob.Key, body.Blob.Bytes,
			body.Blob.SHA256, body.Blob.DatasetSHA256, body.Blob.DatasetOffset, body.IDs.SOPInstanceUID, body.Blob.TransferSyntaxUID, body.Redescribes)
	case *event.Resolution:
		// A decision about an object that is resolved takes the bytes away (type and action together).
		if kind == quarantineResolved && body.Action != "removed" && body.Action != "retried" {
			kind = conflictResolved
		}
		return a.file.insert(ctx, insert, n, r.Event.ID, kind, r.Partition, r.Offset, body.ObjectID, body.Tenant, body.BlobKey, 0, "", "", 0, "", "", "")
	}
	if _, signal := body.(*event.StudySent); signal {
		return nil // it is about no bytes
	}
	a.report.add(Finding{Code: EventUnreadable, EventID: r.Event.ID, Record: place(r.Partition, r.Offset)})
	return nil
}

// arrange makes what the comparison looks up. Sorting once beats keeping order while rows come.
func (a *audit) arrange(ctx context.Context) error {
	a.opt.Tell("sort", 0)
	return a.file.run(
		ctx,
		"CREATE INDEX events_id ON events (id)",
		// The same event may be in the log more than once.
		"DELETE FROM events WHERE EXISTS (SELECT 1 FROM events f WHERE f.id = events.id AND f.n < events.n)",
		"CREATE INDEX events_key ON events (key)",
		"CREATE INDEX events_announced ON events (announced) WHERE announced <> ''",
		"CREATE INDEX events_object ON events (object, type)",
		"CREATE INDEX blobs_key ON blobs (key)",
		"CREATE INDEX blobs_decision ON blobs (object) WHERE kind = 'decision'",
		"CREATE INDEX attached_key ON attached (key)",
		"CREATE INDEX attached_event ON attached (event)",
		"CREATE INDEX found_event ON found (event)",
		"CREATE INDEX found_identity ON found (sop, dsha, syntax, tenant) WHERE kind = 'instance'",
		"CREATE INDEX found_object ON found (object)",
	)
}
