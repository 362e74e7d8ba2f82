package indextest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// Mess makes n events about few objects that meet in every way: versions of one instance in several studies,
// copies, replaced bytes, decisions before what they are about, quarantine, several patients in a study. The
// same seed gives the same events.
func Mess(t testing.TB, seed uint64, n int) []eventlog.Record {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 5))
	tape := NewTape(t)
	pool := make([]Instance, max(8, n/4))
	for i := range pool {
		study := fmt.Sprintf("1.9.%d", random.IntN(max(5, n/8)))
		pool[i] = Instance{
			Tenant: []string{"clinic", "clinic", "clinic", "county"}[random.IntN(4)],
			Study:  study, Series: fmt.Sprintf("%s.%d", study, random.IntN(3)), SOP: fmt.Sprintf("1.7.%d", random.IntN(len(pool)*2/3)),
			Object: fmt.Sprintf("01OBJECT%05d", i), Bytes: fmt.Sprint(random.IntN(3)), Syntax: fmt.Sprintf("1.2.%d", random.IntN(2)),
			Received: Epoch.Add(time.Duration(random.IntN(9)) * time.Minute),
		}
		if random.IntN(3) == 0 {
			pool[i].DerivedFrom, pool[i].DerivedVersion = "01ORIGINAL", random.IntN(3)
		}
	}
	announced := map[string][]announcement{}
	people := []map[string]string{
		{"PatientID": "1", "PatientName": "Zhang^San=张^三", "PatientBirthDate": "19500412"},
		{"PatientID": "1", "PatientName": "ZHANG^SAN", "PatientBirthDate": "19500412"},
		{"PatientID": "2", "PatientName": "Li^Si=李^四", "PatientSex": "F"},
		{"PatientName": "Müller^Jürgen"},
	}
	for i := range n {
		in := pool[random.IntN(len(pool))]
		at := Epoch.Add(time.Duration(random.IntN(9)) * time.Minute)
		switch kind := random.IntN(12); {
		case kind < 8:
			in.Header, in.Class = fmt.Sprint(i), fmt.Sprintf("1.2.%d", random.IntN(2))
			in.Attributes = map[string]string{
				"StudyDate": fmt.Sprintf("2026010%d", 1+random.IntN(3)), "Modality": []string{"", "US", "CT", "Ｅcg"}[random.IntN(4)],
				"InstanceNumber": fmt.Sprint(random.IntN(4)), "SeriesNumber": fmt.Sprint(random.IntN(3)), "StudyID": fmt.Sprint(random.IntN(2)),
			}
			for k, v := range people[min(random.IntN(12), len(people)-1)*random.IntN(2)] {
				in.Attributes[k] = v
			}
			in.ECG = randomECG(random.IntN(8))
			if in.ECG != nil && random.IntN(2) == 0 {
				in.Findings = []string{"asystole", "acute-mi"}[random.IntN(2):]
			}
			kept := in.ECG != nil && random.IntN(2) == 0
			if kept {
				in.Object += ".o"
			}
			in.Parsers, in.Layout = random.IntN(3), fmt.Sprint(i)
			before := announced[in.Object]
			if again := len(before) > 0 && random.IntN(2) == 0; again { // what another parser says of bytes that are there
				a := before[random.IntN(len(before))]
				in.Redescribes, in.Key = a.event, a.key
			} else {
				in.Key = fmt.Sprintf("blobs/%s/%d", in.Object, i)
			}
			var r eventlog.Record
			switch {
			case kept:
				r = tape.Kept(in)
			case kind == 7:
				r = tape.Conflict(in, "01OBJECT00000")
			default:
				r = tape.Stored(in)
			}
			if in.Redescribes == "" {
				announced[in.Object] = append(before, announcement{r.Event.ID, in.Key})
			}
		case kind == 8:
			tape.Refused(in.Object, at, random.IntN(3))
		case kind == 9:
			tape.Resolved(event.TypeQuarantineResolved, in.Object, []string{"removed", "retried", "other"}[random.IntN(3)], at)
		default:
			tape.Resolved(event.TypeConflictResolved, in.Object, []string{"promoted", "promoted", "kept"}[random.IntN(3)], at)
		}
	}
	return tape.Records
}

// announcement is a record that told of an object's bytes first.
type announcement struct{ event, key string }

// Deal shuffles records, repeats some, and gives them to the partitions of a topic, as a log has them after
// producers and consumers came and went.
func Deal(seed uint64, records []eventlog.Record, partitions int) [][]eventlog.Record {
	random := rand.New(rand.NewPCG(seed, 6))
	all := slices.Clone(records)
	for range len(records) / 3 {
		all = append(all, records[random.IntN(len(records))])
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	out := make([][]eventlog.Record, partitions)
	for _, r := range all {
		n := random.IntN(partitions)
		r.Partition, r.Offset = int32(n), int64(len(out[n])) //nolint:gosec // few
		out[n] = append(out[n], r)
	}
	return out
}
