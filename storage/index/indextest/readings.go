package indextest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
)

// readings holds that everything kept can be walked over in any steps, and be selected.
func readings(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	at := func(minutes int) time.Time { return Epoch.Add(time.Duration(minutes) * time.Minute) }
	tape.Stored(Instance{Study: "1.1", SOP: "7", Object: "01", Bytes: "a", Received: at(1), Parsers: 1, Attributes: map[string]string{"Modality": "CT"}})
	tape.Conflict(Instance{Study: "1.2", SOP: "7", Object: "02", Bytes: "b", Received: at(2), Parsers: 2, Attributes: map[string]string{"Modality": "US"}}, "01")
	tape.Stored(Instance{Study: "1.2", SOP: "8", Object: "03", Received: at(3), Parsers: 2, Class: "1.2.9", Attributes: map[string]string{"Modality": "US"}})
	tape.Kept(Instance{Study: "1.3", Object: "04", Bytes: "scp", Received: at(4), Parsers: 1, Attributes: map[string]string{"Modality": "ECG"}})
	tape.Refused("05", at(5), 0)
	tape.Refused("06", at(6), 3)
	tape.Stored(Instance{Tenant: "county", SOP: "9", Object: "07", Received: at(7)})
	apply(t, x, tape.Records...)
	apply(t, x, tape.Resolved(event.TypeQuarantineResolved, "06", "removed", at(8)))
	for name, c := range map[string]struct {
		q    index.ReadingQuery
		want string
	}{
		"all":                        {index.ReadingQuery{}, "01 02 03 04 05"},
		"instances":                  {index.ReadingQuery{Kinds: []string{index.RowInstance}}, "01 02 03"},
		"quarantine and originals":   {index.ReadingQuery{Kinds: []string{index.RowQuarantine, index.RowOriginal}}, "04 05"},
		"older parsers":              {index.ReadingQuery{Below: 2}, "01 04 05"},
		"a study with its conflicts": {index.ReadingQuery{Studies: []string{"1.1"}}, "01 02"},
		"two studies":                {index.ReadingQuery{Studies: []string{"1.2", "1.3"}}, "03 04"},
		"no such study":              {index.ReadingQuery{Studies: []string{"1.9"}}, ""},
		"a modality":                 {index.ReadingQuery{Modalities: []string{"US", "ECG"}}, "02 03 04"},
		"a class":                    {index.ReadingQuery{SOPClasses: []string{"1.2.9"}}, "03"},
		"a format":                   {index.ReadingQuery{Formats: []string{"scp-ecg"}}, "04"},
		"a reason":                   {index.ReadingQuery{Reasons: []string{"truncated", "malformed"}}, "05"},
		"received from":              {index.ReadingQuery{From: at(3)}, "03 04 05"},
		"received before":            {index.ReadingQuery{To: at(3)}, "01 02"},
		"all at once":                {index.ReadingQuery{Below: 3, Studies: []string{"1.2"}, Modalities: []string{"US"}, SOPClasses: []string{"1.2.9"}, From: at(1), To: at(9)}, "03"},
		"another tenant's":           {index.ReadingQuery{Tenant: "county"}, "07"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.q.Tenant == "" {
				c.q.Tenant = "clinic"
			}
			for _, most := range []int{1, 2, 100} {
				var got []string
				var place index.ReadingPlace
				for last := false; !last; {
					var page []index.Reading
					var err error
					if page, place, last, err = x.Readings(ctx, c.q, place, most); err != nil {
						t.Fatal(err)
					}
					if len(page) > most {
						t.Errorf("%d readings, asked for %d", len(page), most)
					}
					for _, r := range page {
						got = append(got, r.ObjectID)
						if r.BlobKey != "blobs/"+r.ObjectID || r.Bytes == 0 && r.Kind != index.RowQuarantine || r.Tenant != c.q.Tenant || r.Format == "" || r.Received.Before(Epoch) {
							t.Errorf("reading %+v", r)
						}
					}
				}
				slices.Sort(got)
				if text := fmt.Sprint(got); text != "["+c.want+"]" {
					t.Errorf("%d at a time: %s, want %s", most, text, c.want)
				}
			}
		})
	}
}

// saying holds that what the index says of an object is what its record said.
func saying(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	instance := Instance{
		SOP: "7", Object: "01", Attributes: map[string]string{"PatientName": "Zhang^San=张^三", "PatientID": "1"}, Header: `{"00100010":{}}`,
		Layout: `{"frames":{}}`, ECG: randomECG(2), Findings: []string{"asystole"},
	}
	plain := Instance{SOP: "8", Object: "03", Header: "{}", Layout: "{}"}
	original := Instance{Object: "02", Bytes: "scp", Attributes: map[string]string{"PatientName": "李四"}, ECG: randomECG(3)}
	apply(t, x, tape.Stored(instance), tape.Stored(plain), tape.Kept(original), tape.Refused("04", Epoch, 1))
	told := map[string]event.Instance{"01": instance.Body(), "03": plain.Body(), "02": original.Original()}
	said := func(id string, change func(*event.Instance)) index.Said {
		t.Helper()
		body := told[id]
		attributes := map[string]string{}
		for k, v := range body.Attributes {
			attributes[k] = v
		}
		body.Attributes = attributes
		change(&body)
		s, err := index.SaidBy(&body)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	all, _, _, err := x.Readings(ctx, index.ReadingQuery{Tenant: "clinic"}, index.ReadingPlace{}, 100)
	if err != nil || len(all) != 4 {
		t.Fatalf("%d readings, %v", len(all), err)
	}
	for _, r := range all {
		is, err := x.Said(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if r.Kind == index.RowQuarantine {
			if is.Reason != "truncated" || is.Detail != "as version 1 tells it" {
				t.Errorf("of an entry: %+v", is)
			}
			continue
		}
		if parts, keywords := is.Differences(said(r.ObjectID, func(*event.Instance) {})); parts != nil || keywords != nil {
			t.Errorf("%s differs from its record in %q, %q", r.ObjectID, parts, keywords)
		}
		for name, c := range map[string]struct {
			change func(*event.Instance)
			want   string
		}{
			"an attribute":  {func(b *event.Instance) { b.Attributes["PatientName"] = "Wang" }, "[attributes] [PatientName]"},
			"an identifier": {func(b *event.Instance) { b.IDs.StudyInstanceUID = "1.9" }, "[attributes] [StudyInstanceUID]"},
			"facts":         {func(b *event.Instance) { b.ECG = randomECG(1) }, "[recording] []"},
			"priority":      {func(b *event.Instance) { b.ECG = nil; b.Priority = "HIGH"; b.Findings = nil }, "[recording] []"},
			"header":        {func(b *event.Instance) { b.Header = event.Attach([]byte(`{"1":{}}`)) }, "[header] []"},
			"layout beside": {func(b *event.Instance) { b.Frames = &event.Attachment{Encoding: "zstd", Bytes: 5, BlobKey: "x"} }, "[layout] []"},
			"same header, packed otherwise": {func(b *event.Instance) {
				if b.Header != nil && b.Header.Encoding == "identity" {
					b.Header = &event.Attachment{Encoding: "identity", Bytes: b.Header.Bytes, Data: append([]byte{}, b.Header.Data...)}
				}
			}, "[] []"},
		} {
			parts, keywords := is.Differences(said(r.ObjectID, c.change))
			if got := fmt.Sprint(parts, keywords); got != c.want {
				t.Errorf("%s, %s: %s, want %s", r.ObjectID, name, got, c.want)
			}
		}
	}
	if _, _, _, err := x.Readings(ctx, index.ReadingQuery{Tenant: "clinic", Studies: make([]string, 65)}, index.ReadingPlace{}, 1); !errors.Is(err, index.ErrBadQuery) {
		t.Errorf("of too many studies: %v", err)
	}
	if _, err := x.Said(ctx, index.Reading{Kind: index.RowInstance, Tenant: "clinic", SOPInstanceUID: "7", DatasetSHA256: "other"}); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
	if _, err := x.Said(ctx, index.Reading{Kind: index.RowQuarantine, Tenant: "clinic", ObjectID: "gone"}); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("of none in quarantine: %v", err)
	}
}
