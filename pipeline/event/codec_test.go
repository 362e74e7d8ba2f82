package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
)

var sampleTime = time.Date(2025, 3, 1, 8, 30, 16, 0, time.UTC)

// samples returns a record of every type.
func samples(t testing.TB) map[string]event.Envelope {
	t.Helper()
	all := map[string]event.Envelope{}
	add := func(name string, e event.Envelope, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all[name] = e
	}
	stored := sample()
	stored.ConflictOf, stored.Reason, stored.ReasonDetail, stored.ReasonOffset = "", "", "", 0
	e, err := event.NewInstance(event.TypeInstanceStored, "/tributary/county-1", sampleTime, stored)
	add("stored", e, err)
	e, err = event.NewInstance(event.TypeInstanceStored, "/tributary/county-1", sampleTime, stored)
	add("redescribed", e, err)
	e, err = event.NewInstance(event.TypeInstanceConflict, "/tributary/county-1", sampleTime, sample())
	add("conflict", e, err)
	e, err = event.NewInstance(event.TypeInstanceQuarantined, "/tributary/county-1", sampleTime, &event.Instance{
		ObjectID: "01JEXAMPLE0000000000000003", Origin: event.Origin{Door: "stow"},
		Blob: event.Blob{Key: "k/3", Bytes: 10, SHA256: strings.Repeat("0", 64)}, Reason: "malformed",
	})
	add("quarantined", e, err)
	r := &event.Resolution{
		ObjectID: "01JEXAMPLE0000000000000003", Action: "retried", By: "operator@example.org", At: sampleTime, NewObjectID: "01JEXAMPLE0000000000000004",
		BlobKey: "k/4",
	}
	e, err = event.NewResolution(event.TypeQuarantineResolved, "/tributary/county-1", "", "county-1", r)
	add("quarantine resolved", e, err)
	e, err = event.NewResolution(event.TypeConflictResolved, "/tributary/county-1", "2.25.1001", "county-1", r)
	add("conflict resolved", e, err)
	e, err = event.NewStudySent("/tributary/county-1", &event.StudySent{
		Tenant: "county-1", StudyInstanceUID: "2.25.1001", Signal: event.SignalImport, At: sampleTime,
	})
	add("study sent", e, err)
	for name, typ := range map[string]string{"study complete": event.TypeStudyComplete, "study updated": event.TypeStudyUpdated} {
		study := sampleStudy()
		if typ == event.TypeStudyUpdated {
			study.Reason, study.Priority, study.Instances = event.ReasonChanged, "", 13
		}
		e, err = event.NewStudy(typ, "/tributary/county-1", sampleTime.Add(time.Minute), study)
		add(name, e, err)
	}
	for name, data := range map[string]string{"dead letter": `{"a":1}`, "dead letter of no JSON": "\xff\x00"} {
		failed := all["stored"]
		failed.Data = []byte(data)
		e, err = event.NewDeadLetter("/tributary/county-1", failed, &event.DeadLetter{
			Group: "index", Topic: event.TopicInstances, Partition: 2, Offset: 77, Error: "constraint failed", Panic: true, Tries: 5, Version: "v0.1.0",
			FailedAt: sampleTime,
		})
		add(name, e, err)
	}
	return all
}

func TestRecordsDecode(t *testing.T) {
	for name, e := range samples(t) {
		body, err := event.DecodeRecord(e)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := json.Marshal(body)
		if err != nil || !bytes.Equal(again, e.Data) {
			t.Errorf("%s: decoded and encoded again: %s, %v; want %s", name, again, err, e.Data)
		}
		if e.ID == "" || e.Key == "" || e.Subject == "" || e.Time.IsZero() || e.Source != "/tributary/county-1" {
			t.Errorf("%s: envelope %+v", name, e)
		}
	}
	if _, err := event.DecodeRecord(event.Envelope{Type: "org.example.other"}); !errors.Is(err, event.ErrUnknownType) {
		t.Errorf("unknown type: %v", err)
	}
}

func TestKeysAndSubjects(t *testing.T) {
	all := samples(t)
	for name, want := range map[string][2]string{
		"stored":              {"2.25.1001", "2.25.1001/2.25.1002/2.25.1003"},
		"quarantined":         {"01JEXAMPLE0000000000000003", "k/3"},
		"quarantine resolved": {"01JEXAMPLE0000000000000003", "k/4"}, // behind the record of its object
		"conflict resolved":   {"2.25.1001", "k/4"},
		"dead letter":         {"2.25.1001", all["stored"].ID},
		"study sent":          {"2.25.1001", "2.25.1001"}, // behind the records of its objects
		"study complete":      {"2.25.1001", "2.25.1001"},
		"study updated":       {"2.25.1001", "2.25.1001"},
	} {
		if got := [2]string{all[name].Key, all[name].Subject}; got != want {
			t.Errorf("%s: key and subject %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"stored": sample().Blob.Key, "quarantined": "k/3", "conflict resolved": "k/4"} {
		if got, err := event.BlobKey(all[name]); err != nil || got != want {
			t.Errorf("%s: blob key %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := event.BlobKey(all["dead letter"]); !errors.Is(err, event.ErrUnknownType) {
		t.Errorf("blob key of a dead letter: %v", err)
	}
}

// The encoder of Instance writes what encoding/json writes, whatever the fields hold.
func TestEncodeIsEncodingJSON(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	pieces := []string{"", "a", "<b>&", `"\`, "\x00\x1f\x7f", "\n\r\t\b\f", "é", "朝", "\u2028\u2029", "\xff", "\xe2\x80", "\ufffd", "😀", "2.25.1"}
	text := func() string { return pieces[random.IntN(len(pieces))] + pieces[random.IntN(len(pieces))] }
	for range 2000 {
		in := &event.Instance{}
		fill(reflect.ValueOf(in).Elem(), random, text)
		want, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.Encode(in)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("encoded %s, %v\nwant    %s", got, err, want)
		}
		in.ObjectID, in.Blob.Key = "o", "k"
		if want, err = json.Marshal(in); err != nil {
			t.Fatal(err)
		}
		sameDecoding(t, want)
	}
	in := sample()
	in.Origin.ReceivedAt = in.Origin.ReceivedAt.AddDate(9000, 0, 0)
	if _, err := event.Encode(in); err == nil {
		t.Error("a year of five digits was encoded")
	}
}

// fill sets every field, half of them to zero.
func fill(v reflect.Value, random *rand.Rand, text func() string) {
	if v.Kind() != reflect.Struct && random.IntN(2) == 0 {
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(random.Int64N(4e9), random.Int64N(1e9)).In(time.FixedZone("", random.IntN(24)*1800-6*3600))))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), random, text)
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), random, text)
	case v.Kind() == reflect.String:
		v.SetString(text())
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{text(), "k", ""} {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, random, text)
			v.SetMapIndex(reflect.ValueOf(key), value)
		}
	case v.CanFloat():
		v.SetFloat(random.NormFloat64() * 1e3)
	case v.Type() == reflect.TypeFor[[]byte]():
		v.SetBytes([]byte(text()))
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), random, text)
		fill(v.Index(1), random, text)
	default:
		v.SetInt(random.Int64N(1<<40) - 1<<39) // every other kind here is an integer
	}
}

// sameDecoding checks that Decode says of data what encoding/json says.
func sameDecoding(t *testing.T, data []byte) {
	t.Helper()
	got, err := event.Decode[event.Instance](data)
	want := &event.Instance{}
	wantErr := json.Unmarshal(data, want)
	if wantErr == nil && (want.ObjectID == "" || want.Blob.Key == "") {
		wantErr = errors.New("incomplete")
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("decode: %v, encoding/json: %v", err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("decode:        %+v\nencoding/json: %+v", got, want)
	}
	if err != nil {
		var d *event.DecodeError
		if !errors.As(err, &d) || !d.Permanent() {
			t.Fatalf("error %T is no DecodeError", err)
		}
	}
}

func TestDecodeLikeEncodingJSON(t *testing.T) {
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `{"object_id":"a"}`, `{"object_id":"a","blob":{"key":"b"}}`, `{"object_id":"a","blob":{"key":"b"}} x`,
		` { "object_id" : "a" , "blob" : { "key" : "b" } } `, `{"object_id":"a","blob":{"key":"b"},}`, `{"object_id":"a","blob":{"key":"b"},"new":[{"x":1}]}`,
		`{"OBJECT_ID":"a","Blob":{"KEY":"b"}}`, `{"object_id":"a","blob":{"key":"b"},"header":null,"warnings":null,"attributes":null}`,
		`{"object_id":"\ud83d\ude00","blob":{"key":"\ud800"}}`, `{"object_id":"\u00e9\/\"\\\b","blob":{"key":"b","bytes":-0}}`,
		`{"object_id":"a","blob":{"key":"b","bytes":01}}`, `{"object_id":"a","blob":{"key":"b","bytes":1e3}}`, `{"object_id":"a","blob":{"key":"b","bytes":9223372036854775808}}`,
		`{"object_id":"a","blob":{"key":"b"},"scanner_version":"3"}`, `{"object_id":"a","blob":{"key":"b"},"adopted":tru}`,
		`{"object_id":"a","blob":{"key":"b"},"header":{"data":"!!"}}`, `{"object_id":"a","blob":{"key":"b"},"header":{"data":""}}`,
		`{"object_id":"a","blob":{"key":"b"},"header":{"data":"QUJD","bytes":3},"header":{"bytes":4}}`,
		`{"object_id":"a","blob":{"key":"b"},"warnings":[{"code":"]"}],"warnings":[{"path":"x"}]}`,
		`{"object_id":"a","blob":{"key":"b"},"warnings":[]}`, `{"object_id":"a","blob":{"key":"b"},"attributes":{}}`,
		`{"object_id":"a","blob":{"key":"b"},"origin":{"received_at":"2025-03-01T08:30:15.1+08:00"}}`,
		`{"object_id":"a","blob":{"key":"b"},"origin":{"received_at":"now"}}`, "{\"object_id\":\"a\xff\",\"blob\":{\"key\":\"b\"}}",
		"{\"object_id\":\"a\n\",\"blob\":{\"key\":\"b\"}}", `{"object_id":"a\`, `{"object_id":"a\u12`, `{"object_id":"\x","blob":{"key":"b"}}`,
		strings.Repeat(`{"object_id":`, 20000), strings.Repeat("[", 100000),
	} {
		sameDecoding(t, []byte(text))
	}
	if _, err := event.Decode[event.Instance](bytes.Repeat([]byte(" "), 5<<20)); err == nil {
		t.Error("5 MiB were decoded")
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range samples(f) {
		f.Add(e.Data)
	}
	f.Add([]byte(`{"object_id":"a","blob":{"key":"b"},"warnings":[{"code":"x"}],"header":{"data":"QQ=="}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		sameDecoding(t, data)
		if in, err := event.Decode[event.Instance](data); err == nil {
			for _, a := range []*event.Attachment{in.Header, in.Frames} {
				if a != nil && a.Bytes < 1<<20 {
					_, _ = a.Open(a.Data)
				}
			}
			if year := in.Origin.ReceivedAt.Year(); year >= 0 && year <= 9999 {
				again, err := event.Encode(in)
				if err != nil {
					t.Fatal(err)
				}
				sameDecoding(t, again)
			}
		}
		_, _ = event.Decode[event.Resolution](data)
		_, _ = event.Decode[event.DeadLetter](data)
		_, _ = event.Decode[event.StudySent](data)
		if s, err := event.Decode[event.Study](data); err == nil {
			if c, err := event.ParseContent(s.Digest); err == nil && !strings.EqualFold(c.String(), s.Digest) {
				t.Fatalf("digest %q reads as %v", s.Digest, c)
			}
			if e, err := event.NewStudy(event.TypeStudyComplete, "/n", s.At, s); err == nil && len(e.ID) != 26 {
				t.Fatalf("id %q", e.ID)
			}
		}
		_, _ = event.DecodeLayout(data)
		for _, typ := range event.Types() {
			_, _ = event.BlobKey(event.Envelope{Type: typ, Data: data})
		}
	})
}

func TestIDsGrowAndDiffer(t *testing.T) {
	const each = 2000
	var wg sync.WaitGroup
	lists := make([][]string, 8)
	for i := range lists {
		wg.Go(func() {
			for range each {
				lists[i] = append(lists[i], event.NewID())
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, list := range lists {
		if !slices.IsSorted(list) {
			t.Error("ids of one goroutine do not grow")
		}
		for _, id := range list {
			if len(id) != 26 || seen[id] {
				t.Fatalf("id %q", id)
			}
			seen[id] = true
		}
	}
}

func TestLayout(t *testing.T) {
	doc, err := event.EncodeLayout(event.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	if l, err := event.DecodeLayout(doc); err != nil || !reflect.DeepEqual(l, event.Layout{}) {
		t.Fatalf("layout %+v, %v", l, err)
	}
	if _, err := event.DecodeLayout([]byte("[")); err == nil {
		t.Fatal("decoded")
	}
}
