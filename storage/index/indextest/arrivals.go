package indextest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
)

// arrivers is what arrival lists ask of an Index.
type arrivers interface {
	Arrivals(ctx context.Context, q index.ArrivalQuery) ([]index.Arrival, error)
	Arrival(ctx context.Context, tenant, objectID string) (index.Arrival, error)
}

func arrived(t *testing.T, x arrivers, q index.ArrivalQuery) string {
	t.Helper()
	q.Tenant = "clinic"
	found, err := x.Arrivals(t.Context(), q)
	if err != nil {
		t.Fatalf("Arrivals(%+v): %v", q, err)
	}
	var out []string
	for _, a := range found {
		out = append(out, a.ObjectID+" "+a.Status)
	}
	return strings.Join(out, ", ")
}

// arrivals holds that lists of what came in have everything once, newest first, with what is known of it.
func arrivals(t *testing.T, x Index) {
	tape := NewTape(t)
	first := tape.Event(event.TypeInstanceStored, func() event.Instance {
		body := Instance{Object: "01A", Study: "1.2.1", Bytes: "first"}.Body()
		body.Origin.Device, body.Origin.Facility, body.Origin.Filename = "kit-7", "township", "a.dcm"
		return body
	}())
	other := Instance{Object: "01B", Study: "1.2.1", SOP: "1.2.1.1.1", Bytes: "other", Received: Epoch.Add(time.Second)}
	tape.Conflict(other, "01A")
	file := Instance{Object: "01C", Bytes: "recording"}
	tape.Kept(file)
	tape.Event(event.TypeInstanceQuarantined, func() event.Instance {
		body := Instance{Object: "01D", Received: Epoch.Add(time.Minute)}.Body()
		body.Origin.Door, body.Origin.Device, body.Origin.Facility, body.Origin.Filename = "upload", "kit-9", "city", "b.bin"
		body.Blob.Format, body.Blob.MediaType = "unknown", "application/octet-stream"
		body.IDs = event.IDs{StudyInstanceUID: "1.2.3"}
		body.Reason, body.ReasonDetail, body.ReasonOffset = "truncated", "ends inside an element", 512
		return body
	}())
	tape.Stored(Instance{Tenant: "elsewhere", Object: "01E", Study: "1.2.9"})
	tape.Stored(Instance{Object: "01F", Study: "1.2.1", SOP: "1.2.1.1.1", Bytes: "first", Received: Epoch.Add(time.Hour)})
	apply(t, x, tape.Records...)

	const all = "01D quarantined, 01C kept, 01B conflict, 01A stored"
	for _, c := range []struct {
		q    index.ArrivalQuery
		want string
	}{
		{index.ArrivalQuery{}, all},
		{index.ArrivalQuery{Limit: 4}, all},
		{index.ArrivalQuery{Limit: 2}, "01D quarantined, 01C kept"},
		{index.ArrivalQuery{Limit: 2, Before: "01C"}, "01B conflict, 01A stored"},
		{index.ArrivalQuery{Before: "01A"}, ""},
		{index.ArrivalQuery{Before: "01Z", Limit: index.MaxArrivals * 2}, all},
		{index.ArrivalQuery{Status: index.ArrivalStored}, "01A stored"},
		{index.ArrivalQuery{Status: index.ArrivalConflict}, "01B conflict"},
		{index.ArrivalQuery{Status: index.ArrivalKept}, "01C kept"},
		{index.ArrivalQuery{Status: index.ArrivalDerived}, ""},
		{index.ArrivalQuery{Status: index.ArrivalQuarantined}, "01D quarantined"},
		{index.ArrivalQuery{Door: "upload"}, "01D quarantined"},
		{index.ArrivalQuery{Door: "dimse"}, "01C kept, 01B conflict, 01A stored"},
		{index.ArrivalQuery{Door: "dim"}, ""},
		{index.ArrivalQuery{Device: "kit-7"}, "01A stored"},
		{index.ArrivalQuery{Device: "cart-3", Status: index.ArrivalKept}, "01C kept"},
		{index.ArrivalQuery{Device: "kit-9", Door: "dimse"}, ""},
	} {
		if got := arrived(t, x, c.q); got != c.want {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
	if _, err := x.Arrivals(t.Context(), index.ArrivalQuery{Tenant: "clinic", Status: "lost"}); !errors.Is(err, index.ErrBadQuery) {
		t.Errorf("a status that there is not: %v", err)
	}

	one := func(id string) index.Arrival {
		t.Helper()
		a, err := x.Arrival(t.Context(), "clinic", id)
		if err != nil {
			t.Fatalf("Arrival(%s): %v", id, err)
		}
		a.SHA256 = a.SHA256[:min(1, len(a.SHA256))]
		return a
	}
	at := func(d time.Duration) string { return Epoch.Add(d).Format(time.RFC3339Nano) }
	ids := file.Original()
	for _, want := range []index.Arrival{
		{
			ObjectID: "01A", ReceivedAt: at(0), Status: "stored", Undecided: true, Door: "dimse", Remote: "192.0.2.7:50112", Device: "kit-7",
			Facility: "township", CallingAE: "KIT", Filename: "a.dcm", Format: "dicom", MediaType: "application/dicom", Bytes: 5, SHA256: "f",
			BlobKey: "blobs/01A", StudyInstanceUID: "1.2.1", SeriesInstanceUID: "1.2.1.1", SOPInstanceUID: "1.2.1.1.1",
		},
		{
			ObjectID: "01B", ReceivedAt: at(time.Second), Status: "conflict", Undecided: true, Door: "dimse", Remote: "192.0.2.7:50112",
			CallingAE: "KIT", Format: "dicom", MediaType: "application/dicom", Bytes: 5, SHA256: "f", BlobKey: "blobs/01B",
			StudyInstanceUID: "1.2.1", SeriesInstanceUID: "1.2.1.1", SOPInstanceUID: "1.2.1.1.1",
		},
		{
			ObjectID: "01C", ReceivedAt: at(0), Status: "kept", Door: "dimse", Remote: "192.0.2.7:50112", Device: "cart-3", Facility: "township",
			Filename: "心电图 1.scp", Format: "scp-ecg", MediaType: "application/x-scp-ecg", Bytes: 9, SHA256: "f", BlobKey: "blobs/01C",
			StudyInstanceUID: ids.IDs.StudyInstanceUID, SeriesInstanceUID: ids.IDs.SeriesInstanceUID, SOPInstanceUID: ids.IDs.SOPInstanceUID,
		},
		{
			ObjectID: "01D", ReceivedAt: at(time.Minute), Status: "quarantined", Door: "upload", Remote: "192.0.2.7:50112", Device: "kit-9",
			Facility: "city", CallingAE: "KIT", Filename: "b.bin", Format: "unknown", MediaType: "application/octet-stream", Bytes: 9, SHA256: "f",
			BlobKey: "blobs/01D", Reason: "truncated", Detail: "ends inside an element", Offset: 512, StudyInstanceUID: "1.2.3",
		},
		{
			ObjectID: "01F", Status: "duplicate", DuplicateOf: "01A", Format: "dicom", MediaType: "application/dicom", Bytes: 5,
			StudyInstanceUID: "1.2.1", SeriesInstanceUID: "1.2.1.1", SOPInstanceUID: "1.2.1.1.1",
		},
	} {
		if got := one(want.ObjectID); got != want {
			t.Errorf("%s:\n%+v, want\n%+v", want.ObjectID, got, want)
		}
	}
	for _, missing := range []string{"01E", "01", "01Z", "", "'"} {
		if a, err := x.Arrival(t.Context(), "clinic", missing); !errors.Is(err, index.ErrNotFound) {
			t.Errorf("Arrival(%q) = %+v, %v; want ErrNotFound", missing, a, err)
		}
	}

	// The recording's DICOM object did not come in; whoever has its id finds it.
	tape.Stored(Instance{Object: "01G", Study: "1.2.7", SOP: file.DerivedUID(), DerivedFrom: "01C"})
	// The conflict is decided for the other, and the quarantined one is thrown away.
	tape.Resolved(event.TypeConflictResolved, "01B", "promoted", Epoch.Add(2*time.Hour))
	tape.Resolved(event.TypeQuarantineResolved, "01D", "removed", Epoch.Add(2*time.Hour))
	// The first one's bytes were replaced.
	replaced := Instance{Object: "01A", Study: "1.2.1", Bytes: "better"}
	tape.Stored(replaced)
	apply(t, x, tape.Records[first.Offset+6:]...)
	if got, want := arrived(t, x, index.ArrivalQuery{}), "01C derived, 01B stored, 01A conflict"; got != want {
		t.Errorf("later: %q, want %q", got, want)
	}
	for limit := 1; limit <= 3; limit++ {
		if got, want := walked(t, x, limit), "01C 01B 01A"; got != want {
			t.Errorf("in pages of %d: %q, want %q", limit, got, want)
		}
	}
	c := one("01C")
	if c.Status != "derived" || c.DerivedUID != file.DerivedUID() || c.DerivedObject != "01G" || c.StudyInstanceUID != "1.2.7" {
		t.Errorf("the original: %+v", c)
	}
	if g := one("01G"); g.Status != "stored" || g.DerivedFrom != "01C" || g.StudyInstanceUID != "1.2.7" {
		t.Errorf("what was made of it: %+v", g)
	}
}

// walked lists all arrivals by pages.
func walked(t *testing.T, x arrivers, limit int) string {
	t.Helper()
	var out []string
	before := ""
	for {
		page, err := x.Arrivals(t.Context(), index.ArrivalQuery{Tenant: "clinic", Limit: limit, Before: before})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			out = append(out, a.ObjectID)
		}
		if len(page) < limit {
			return strings.Join(out, " ")
		}
		before = out[len(out)-1]
	}
}

// arrivalPages holds that pages have every object once, whatever its kind, while others come in.
func arrivalPages(t *testing.T, x Index) {
	tape := NewTape(t)
	var want []string
	for i := range 60 {
		id := fmt.Sprintf("01%03d", i)
		want = append(want, id)
		switch i % 4 {
		case 0:
			tape.Quarantined(id, Epoch)
		case 1:
			tape.Kept(Instance{Object: id, Bytes: id})
		default:
			tape.Stored(Instance{Object: id, Study: fmt.Sprintf("1.2.%d", i/8), SOP: fmt.Sprintf("1.2.%d.1.%d", i/8, i)})
		}
	}
	apply(t, x, tape.Records...)
	slices.Reverse(want)
	for _, limit := range []int{1, 7, 20, 59, 60, 61} {
		if got := walked(t, x, limit); got != strings.Join(want, " ") {
			t.Errorf("in pages of %d: %s", limit, got)
		}
	}
	page, err := x.Arrivals(t.Context(), index.ArrivalQuery{Tenant: "clinic", Limit: 10})
	if err != nil || len(page) != 10 {
		t.Fatalf("%d arrivals, %v", len(page), err)
	}
	apply(t, x, tape.Stored(Instance{Object: "01999", Study: "1.2.999"}))
	next := arrived(t, x, index.ArrivalQuery{Limit: 1, Before: page[9].ObjectID})
	if id, _, _ := strings.Cut(next, " "); id != want[10] {
		t.Errorf("the second page begins with %q, want %s", next, want[10])
	}
}
