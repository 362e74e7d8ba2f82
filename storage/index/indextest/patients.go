package indextest

import (
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/storage/index"
)

// severalPatients checks that a study of two patients is found by each of them, at each level, and listed.
func severalPatients(t *testing.T, x Index) {
	ctx := t.Context()
	tape := NewTape(t)
	at := func(n int) time.Time { return Epoch.Add(time.Duration(n) * time.Minute) }
	zhang := map[string]string{
		"PatientID": "Z-1", "PatientName": "Zhang^San=张^三", "PatientBirthDate": "19500412", "PatientSex": "M",
		"IssuerOfPatientID": "Village A", "StudyDate": "20260301",
	}
	li := map[string]string{
		"PatientID": "L-2", "PatientName": "Li^Si=李^四=りー", "PatientBirthDate": "19610101", "PatientSex": "F",
		"IssuerOfPatientID": "Village B", "OtherPatientIDs": "L-3", "StudyDate": "20260301",
	}
	other := map[string]string{"PatientID": "Z-1", "PatientName": "Zhang^San=张^三", "StudyDate": "20260101"}
	tape.Stored(Instance{Study: "1.1", SOP: "1", Attributes: zhang, Received: at(2)})
	tape.Stored(Instance{Study: "1.2", SOP: "5", Attributes: other, Received: at(0)})
	apply(t, x, tape.Records...)
	conflicts := func(want ...string) []index.PatientConflict {
		t.Helper()
		list, err := x.PatientConflicts(ctx, "clinic", 10, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, c := range list {
			got = append(got, c.StudyInstanceUID)
		}
		same(t, "studies of several patients", got, want)
		if s, err := x.Stats(ctx); err != nil || s.PatientConflicts != int64(len(want)) {
			t.Errorf("Stats = %+v, %v", s, err)
		}
		return list
	}
	conflicts()
	find := func(fuzzy bool, keyword, value, want string) {
		t.Helper()
		for level := index.StudyLevel; level <= index.InstanceLevel; level++ {
			found := map[string]bool{}
			for _, limit := range []int{0, 50} {
				for _, r := range search(t, x, index.Query{
					Level: level, Fuzzy: fuzzy, Limit: limit, Matches: []index.Match{{Keyword: keyword, Values: strings.Split(value, " | ")}},
				}) {
					found[r.Attributes["StudyInstanceUID"]] = true
				}
			}
			got := ""
			for _, uid := range []string{"1.1", "1.2"} {
				if found[uid] {
					got += uid + " "
				}
			}
			if strings.TrimSpace(got) != want {
				t.Errorf("level %d: %s=%q finds %q, want %q", level, keyword, value, got, want)
			}
		}
	}
	find(false, "PatientID", "L-2", "")

	second := tape.Stored(Instance{Study: "1.1", SOP: "2", Object: "02", Bytes: "b", Attributes: li, Received: at(3)})
	apply(t, x, second)
	for _, c := range []struct{ keyword, value, want string }{
		{"PatientID", "L-2", "1.1"},
		{"PatientID", "l-2 | nobody", "1.1"},
		{"PatientID", "L*", "1.1"},
		{"PatientID", "*-2", "1.1"},
		{"PatientID", "?-?", "1.1 1.2"},
		{"PatientID", "Z-1", "1.1 1.2"},
		{"PatientID", "L-3", ""},
		{"PatientName", "li^si", "1.1"},
		{"PatientName", "李^四", "1.1"},
		{"PatientName", "りー", "1.1"},
		{"PatientName", "li*", "1.1"},
		{"PatientName", "*四*", "1.1"},
		{"PatientName", "l?^s*", "1.1"},
		{"PatientName", "zhang^san", "1.1 1.2"},
		{"PatientName", "*san*", "1.1 1.2"},
		{"PatientBirthDate", "19610101", "1.1"},
		{"PatientBirthDate", "19600101-", "1.1"},
		{"PatientBirthDate", "19500412", "1.1"},
		{"PatientSex", "F", "1.1"},
		{"PatientSex", "M", "1.1"},
		{"IssuerOfPatientID", "village b", "1.1"},
		{"IssuerOfPatientID", "*b", "1.1"},
		{"OtherPatientIDs", "L-3", "1.1"},
	} {
		find(false, c.keyword, c.value, c.want)
	}
	find(true, "PatientName", "si li", "1.1")
	find(true, "PatientName", "四李", "")
	find(true, "PatientName", "李四", "1.1")
	rows := search(t, x, index.Query{})
	same(t, "name of the first", column(rows, "PatientName"), []string{"Zhang^San=张^三", "Zhang^San=张^三"})
	if !rows[0].SeveralPatients || rows[1].SeveralPatients {
		t.Errorf("flags %t, %t", rows[0].SeveralPatients, rows[1].SeveralPatients)
	}
	list := conflicts("1.1")
	if p := list[0].Patients; len(p) != 2 || p[0].PatientID != "Z-1" || p[1] != (index.Patient{
		PatientID: "L-2", IssuerOfPatientID: "Village B", PatientName: "Li^Si=李^四=りー", PatientBirthDate: "19610101",
		Instances: 1, ReceivedAt: "2026-03-01T08:03:00Z",
	}) {
		t.Errorf("patients %+v", p)
	}
	if other, err := x.PatientConflicts(ctx, "other", 10, 0); err != nil || len(other) != 0 {
		t.Errorf("another tenant sees %v, %v", other, err)
	}

	// More instances count; one that was received earlier changes who comes first.
	apply(t, x, tape.Stored(Instance{Study: "1.1", SOP: "3", Attributes: li, Received: at(1)}))
	if p := conflicts("1.1")[0].Patients; len(p) != 2 || p[0].PatientID != "L-2" || p[0].Instances != 2 || p[1].Instances != 1 {
		t.Errorf("patients %+v", p)
	}
	same(t, "name of the first", column(search(t, x, index.Query{Limit: 1}), "PatientName"), []string{"Li^Si=李^四=りー"})

	// One spelling more of one person's name is found and no conflict.
	spelled := map[string]string{"PatientID": "Z-1", "PatientName": "ZHANG SAN=張^三", "StudyDate": "20260101"}
	apply(t, x, tape.Stored(Instance{Study: "1.2", SOP: "6", Attributes: spelled, Received: at(1)}))
	find(false, "PatientName", "張^三", "1.2")
	find(false, "PatientName", "zhang san", "1.2")
	conflicts("1.1")
	// The same id of another issuer is another person.
	foreign := map[string]string{"PatientID": "Z-1", "PatientName": "Zhang^San=张^三", "IssuerOfPatientID": "Village A", "StudyDate": "20260101"}
	apply(t, x, tape.Stored(Instance{Study: "1.2", SOP: "7", Attributes: foreign, Received: at(1)}))
	conflicts("1.1")
	foreign["IssuerOfPatientID"] = "Village C"
	apply(t, x, tape.Stored(Instance{Study: "1.2", SOP: "8", Attributes: foreign, Received: at(1)}))
	conflicts("1.1", "1.2")

	// Without an id the names tell.
	tape.Stored(Instance{Study: "1.3", SOP: "31", Attributes: map[string]string{"PatientName": "Wang^Fang=王^芳"}, Received: at(7)})
	tape.Stored(Instance{Study: "1.3", SOP: "32", Attributes: map[string]string{"PatientName": "=王^芳"}, Received: at(7)})
	apply(t, x, tape.Records...)
	conflicts("1.1", "1.2")
	apply(t, x, tape.Stored(Instance{Study: "1.3", SOP: "33", Attributes: map[string]string{"PatientName": "Zhao^Lei"}, Received: at(7)}))
	conflicts("1.3", "1.1", "1.2")

	// What superseded versions say does not count, and a decision takes a patient out.
	right := Instance{Study: "1.1", SOP: "2", Object: "03", Bytes: "c", Attributes: zhang, Received: at(4)}
	apply(t, x, tape.Conflict(right, "02"), tape.Resolved(event.TypeConflictResolved, "03", "promoted", at(9)))
	if p := conflicts("1.3", "1.1", "1.2")[1].Patients; len(p) != 2 || p[0].Instances != 1 || p[1].Instances != 2 {
		t.Errorf("patients %+v", p)
	}
	apply(t, x, tape.Conflict(Instance{Study: "1.1", SOP: "3", Object: "04", Bytes: "d", Attributes: zhang, Received: at(5)}, "01"),
		tape.Resolved(event.TypeConflictResolved, "04", "promoted", at(9)))
	conflicts("1.3", "1.2")
	find(false, "PatientID", "L-2", "")
	find(false, "PatientName", "*四*", "")
}

// longText checks that values beyond what the standard allows, and text that engines do not take, neither break
// a batch nor hide an instance.
func longText(t *testing.T, x Index) {
	// Text that does not compress, so that no engine makes it fit by itself.
	noise := func(seed, n int) string {
		var b strings.Builder
		v := uint32(seed)*2654435761 + 1
		for b.Len() < n {
			v ^= v << 13
			v ^= v >> 17
			v ^= v << 5
			b.WriteRune(rune(0x4e00 + v%0x5000))
		}
		return b.String()
	}
	tape := NewTape(t)
	a := map[string]string{
		"PatientID": "id" + noise(1, 5000), "PatientName": "Zhang^" + noise(2, 5000) + "=" + noise(3, 5000) + "=" + noise(4, 5000),
		"AccessionNumber": "acc" + noise(5, 5000), "StudyDescription": noise(6, 5000), "Modality": noise(7, 5000), "StudyDate": "20260301",
		"PatientComments": "nul\x00 and \x1f" + noise(8, 20_000), "StudyID": "\x00", "SeriesDescription": noise(9, 9000),
	}
	for i := range 40 { // as many modalities
		b := map[string]string{"Modality": noise(100+i, 5000)}
		for k, v := range a {
			if k != "Modality" {
				b[k] = v
			}
		}
		tape.Stored(Instance{Study: "1.1", Series: "1.1." + string(rune('a'+i)), SOP: "1." + string(rune('a'+i)), Attributes: b})
	}
	apply(t, x, tape.Records...)
	for _, m := range []index.Match{
		{Keyword: "PatientID", Values: []string{"ID*"}},
		{Keyword: "PatientName", Values: []string{"zhang^*"}},
		{Keyword: "AccessionNumber", Values: []string{"acc*"}},
		{Keyword: "StudyInstanceUID", Values: []string{"1.1"}},
	} {
		rows := search(t, x, index.Query{Limit: 5, Matches: []index.Match{m}})
		if len(rows) != 1 || rows[0].Attributes["PatientID"] != a["PatientID"] || rows[0].Attributes["PatientComments"] != a["PatientComments"] {
			t.Errorf("%s: %d rows, or cut", m.Keyword, len(rows))
		}
	}
	for _, text := range []string{"\x00", "a\x00b", "\xff\xfe", "1.1\x00", strings.Repeat("\xc3", 9)} {
		for _, keyword := range []string{"PatientID", "PatientName", "StudyInstanceUID", "StudyID"} {
			search(t, x, index.Query{Limit: 5, Matches: []index.Match{{Keyword: keyword, Values: []string{text, text + "*"}}}})
		}
		if got := uids(t, x, index.Scope{StudyInstanceUID: "1.1", SOPInstanceUID: text}); len(got) != 0 {
			t.Errorf("%q is found", text)
		}
		if _, _, err := x.Lookup(t.Context(), text, text); err != nil {
			t.Errorf("Lookup: %v", err)
		}
	}
}
