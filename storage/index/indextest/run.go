package indextest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Index is what every engine offers.
type Index interface {
	Apply(ctx context.Context, records []eventlog.Record) error
	Applied(ctx context.Context, topic string, partition int32) (int64, error)
	Search(ctx context.Context, q index.Query) ([]index.Row, error)
	Objects(ctx context.Context, s index.Scope, w index.Want, fn func(index.Object) error) error
	Lookup(ctx context.Context, tenant, sopInstanceUID string) ([]index.Version, string, error)
	Quarantine(ctx context.Context, tenant string, limit, offset int) ([]index.Quarantined, error)
	QuarantineEntry(ctx context.Context, tenant, id string) (index.Quarantined, error)
	QuarantinedBytes(ctx context.Context, tenant, sha256 string) (index.Quarantined, error)
	Conflicts(ctx context.Context, tenant string, limit, offset int) ([]index.Conflict, error)
	PatientConflicts(ctx context.Context, tenant string, limit, offset int) ([]index.PatientConflict, error)
	Original(ctx context.Context, tenant, id string) (index.Original, error)
	Recordings(ctx context.Context, q index.RecordingQuery) ([]index.RecordingRow, error)
	Arrivals(ctx context.Context, q index.ArrivalQuery) ([]index.Arrival, error)
	Arrival(ctx context.Context, tenant, objectID string) (index.Arrival, error)
	Readings(ctx context.Context, q index.ReadingQuery, after index.ReadingPlace, most int) (found []index.Reading, next index.ReadingPlace, last bool, err error)
	Said(ctx context.Context, r index.Reading) (index.Said, error)
	StudyState(ctx context.Context, tenant, study string) (index.StudyState, error)
	StudyStates(ctx context.Context, tenant string, studies []string) (map[string]index.StudyState, error)
	OpenStudies(ctx context.Context, q index.OpenQuery) ([]index.OpenStudy, error)
	OpenStats(ctx context.Context) (index.OpenStats, error)
	WholeStudy(ctx context.Context, tenant, study string) (index.Whole, error)
	Announce(ctx context.Context, records []event.Envelope) (kept int, err error)
	Announcements(ctx context.Context, limit int) ([]event.Envelope, error)
	Lease(ctx context.Context, name, owner string, d time.Duration) (held bool, err error)
	Rewind(ctx context.Context, topic string, partition int32) error
	Stats(ctx context.Context) (index.Stats, error)
	Ready(ctx context.Context) error
	Dump(ctx context.Context, w io.Writer) error
	Skipped() int64
	Close() error
}

// Run checks one engine. open returns an empty index whose Attachments read from blobs; the suite
// closes it.
func Run(t *testing.T, open func(t *testing.T, blobs index.Attachments) Index) {
	t.Helper()
	for _, c := range []struct {
		name  string
		check func(*testing.T, Index)
	}{
		{"an empty index answers", empty},
		{"matching", matching},
		{"order and paging", ordering},
		{"pages far behind", deepPages},
		{"rows of each level", rows},
		{"objects in order", objects},
		{"attachments beside the blob", attachments},
		{"offsets and repetition", offsets},
		{"records that cannot be applied", poison},
		{"versions of an instance", versions},
		{"a version of another study", movedVersion},
		{"an object whose bytes were replaced", replacedBytes},
		{"another transfer syntax", otherSyntax},
		{"quarantine", quarantine},
		{"several patients in a study", severalPatients},
		{"originals are no instances", originals},
		{"an original and what is made of it", derived},
		{"what recordings say", recordings},
		{"pages of recordings", recordingPages},
		{"recordings of versions", recordingVersions},
		{"names in Han characters, typed in letters", spelled},
		{"what came in", arrivals},
		{"pages of what came in", arrivalPages},
		{"whether studies are complete", studyStates},
		{"studies that wait", openStudies},
		{"announcements", announcements},
		{"announcements taken again", rewinding},
		{"text that is too long, or none", longText},
		{"tenants don't meet", tenants},
		{"a cancelled context", cancelled},
		{"what parsers read", readings},
		{"what parsers said", saying},
		{"newer parsers count", parserVersions},
		{"newer parsers of originals count", parsersOfOriginals},
		{"newer parsers bring nothing back", parsersAndDecisions},
		{"objects made again", madeAgain},
		{"the newest parsers in any order", newestParsers},
		{"any order gives one view", func(t *testing.T, _ Index) { anyOrder(t, open) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := open(t, Blobs)
			t.Cleanup(func() {
				if err := x.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			c.check(t, x)
		})
	}
}

// Blobs is the blob store of the suite.
var Blobs = blobs{}

type blobs map[string][]byte

func (b blobs) ReadBlob(_ context.Context, key string, most int64) ([]byte, error) {
	data, ok := b[key]
	if !ok || int64(len(data)) > most {
		return nil, errors.New("no such blob, or too long")
	}
	return data, nil
}

func apply(t testing.TB, x Index, records ...eventlog.Record) {
	t.Helper()
	if err := x.Apply(t.Context(), records); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

func dump(t testing.TB, x Index) string {
	t.Helper()
	var b bytes.Buffer
	if err := x.Dump(t.Context(), &b); err != nil {
		t.Fatalf("Dump: %v", err)
	}
	return b.String()
}

func search(t testing.TB, x Index, q index.Query) []index.Row {
	t.Helper()
	if q.Tenant == "" {
		q.Tenant = "clinic"
	}
	rows, err := x.Search(t.Context(), q)
	if err != nil {
		t.Fatalf("Search(%+v): %v", q, err)
	}
	return rows
}

// column returns one attribute of all rows.
func column(rows []index.Row, keyword string) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r.Attributes[keyword])
	}
	return out
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}

func empty(t *testing.T, x Index) {
	ctx := t.Context()
	if err := x.Ready(ctx); err != nil {
		t.Errorf("Ready: %v", err)
	}
	if got := search(t, x, index.Query{}); len(got) != 0 {
		t.Errorf("Search = %v", got)
	}
	if got, err := x.Applied(ctx, event.TopicInstances, 0); got != -1 || err != nil {
		t.Errorf("Applied = %d, %v; want -1", got, err)
	}
	if v, current, err := x.Lookup(ctx, "clinic", "1.2"); v != nil || current != "" || err != nil {
		t.Errorf("Lookup = %v, %q, %v", v, current, err)
	}
	err := x.Objects(ctx, index.Scope{Tenant: "clinic"}, index.Want{}, func(index.Object) error { return nil })
	if !errors.Is(err, index.ErrNotFound) {
		t.Errorf("Objects = %v, want ErrNotFound", err)
	}
	if _, err := x.QuarantineEntry(ctx, "clinic", "1"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("QuarantineEntry = %v, want ErrNotFound", err)
	}
	if _, err := x.Original(ctx, "clinic", "1"); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("Original = %v, want ErrNotFound", err)
	}
	if got, err := x.Recordings(ctx, index.RecordingQuery{Tenant: "clinic"}); len(got) != 0 || err != nil {
		t.Errorf("Recordings = %v, %v", got, err)
	}
	if got, err := x.Stats(ctx); err != nil || got != (index.Stats{}) {
		t.Errorf("Stats = %+v, %v", got, err)
	}
	if err := x.Apply(ctx, nil); err != nil {
		t.Errorf("Apply of nothing: %v", err)
	}
	if got := dump(t, x); got != "" {
		t.Errorf("Dump = %q", got)
	}
}

func cancelled(t *testing.T, x Index) {
	tape := NewTape(t)
	tape.Stored(Instance{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Apply(ctx, tape.Records); !errors.Is(err, context.Canceled) {
		t.Errorf("Apply = %v, want context.Canceled", err)
	}
	if _, err := x.Search(ctx, index.Query{Tenant: "clinic"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Search = %v, want context.Canceled", err)
	}
	apply(t, x, tape.Records...)
	if got := search(t, x, index.Query{}); len(got) != 1 {
		t.Errorf("%d rows after a second try, want 1", len(got))
	}
}
