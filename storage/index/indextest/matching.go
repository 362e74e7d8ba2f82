package indextest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/storage/index"
)

// people are studies 1.2.1, 1.2.2, …; a name in the key of a case is its number.
var people = []map[string]string{
	1: {
		"PatientName": "Zhang^San=张^三", "PatientID": "P-001", "IssuerOfPatientID": "Village A", "PatientBirthDate": "19500412",
		"PatientSex": "M", "AccessionNumber": "A100", "StudyDate": "20260103", "StudyTime": "101500", "Modality": "US",
		"StudyDescription": "腹部超声 Abdomen", "ReferringPhysicianName": "Li^Wei=李^伟", "StudyID": "7", "SeriesNumber": "2",
		"RequestAttributesSequence.ScheduledProcedureStepID": `SPS1\SPS2`, "BodyPartExamined": "ABDOMEN",
		"PerformedProcedureStepStartDate": "20260103", "InstanceNumber": "+4", "Rows": "0480", "ContentTime": "101530.25",
		"AcquisitionDateTime": "20260103101500.5+0800", "OtherPatientIDs": `X1\X2`,
	},
	2: {
		"PatientName": "ZHANG^SI^^^", "PatientID": "p-002", "AccessionNumber": "A200", "StudyDate": "20260215", "StudyTime": "1015",
		"Modality": "CT", "StudyDescription": "Chest 50%_~x", "ReferringPhysicianName": `Wang^Fang\Zhao^Lei`, "StudyID": "70",
		"PerformedProcedureStepStartDate": "20260214",
	},
	3: {
		"PatientName": "=王^小明", "PatientID": "003", "AccessionNumber": "B300", "StudyDate": "20261231", "StudyTime": "235959.999999",
		"Modality": "US", "StudyDescription": "Ｆｕｌｌ　Ｗｉｄｔｈ", "AcquisitionDateTime": "2026",
	},
	4: {
		"PatientName": "", "PatientID": "100%", "StudyDate": "2026-13-45", "StudyTime": "99", "Modality": "ECG",
		"StudyDescription": `a*b?c[d]`, "PatientSex": "F",
	},
	5: {
		"PatientName": "Müller^Jürgen=ミュラー^ユルゲン=みゅらー^ゆるげん", "PatientID": "100_", "AccessionNumber": "A1000",
		"StudyDate": "2026.02.15", "StudyTime": "10:15:00", "Modality": "OT", "StudyDescription": "O'Brien \"quoted\" ; --",
	},
	6: {
		"PatientName": "张三丰", "PatientID": "a%c", "AccessionNumber": "a_c", "StudyDate": "19991231", "StudyTime": "000000",
		"Modality": "us", "StudyDescription": "ABC",
	},
}

type matchCase struct {
	keyword string
	value   string // values divided by " | "
	want    string // studies found, ascending, "" for none
}

const everybody = "1 2 3 4 5 6"

var matchCases = []matchCase{
	// Single value, text: no regard to case or padding, LIKE's and GLOB's signs are text.
	{"PatientID", "P-001", "1"},
	{"PatientID", "p-001 ", "1"},
	{"PatientID", "P-00", ""},
	{"PatientID", "100%", "4"},
	{"PatientID", "100_", "5"},
	{"PatientID", "a%c", "6"},
	{"PatientID", "%", ""},
	{"PatientID", "_____", ""},
	{"PatientID", "[p]-001", ""},
	{"PatientID", "P-001 | 003", "1 3"},
	{"AccessionNumber", "a100", "1"},
	{"AccessionNumber", "a_c", "6"},
	{"StudyDescription", "full width", "3"},
	{"StudyDescription", "chest 50%_~x", "2"},
	{"StudyDescription", "O'Brien \"quoted\" ; --", "5"},
	{"StudyDescription", "' OR 1=1 --", ""},

	// Universal.
	{"PatientID", "", everybody},
	{"PatientID", "*", everybody},
	{"PatientID", "**", everybody},
	{"PatientName", "*", everybody},
	{"PatientName", "^", everybody},
	{"StudyDate", "", everybody},
	{"StudyDate", "*", everybody},
	{"StudyInstanceUID", "", everybody},
	{"ModalitiesInStudy", "*", everybody},

	// Wildcards.
	{"PatientID", "P*", "1 2"},
	{"PatientID", "*00?", "1 2 3 4 5"},
	{"PatientID", "*-*", "1 2"},
	{"PatientID", "p?001", "1"},
	{"PatientID", "100?", "4 5"},
	{"PatientID", "a?c", "6"},
	{"PatientID", "?*", everybody},
	{"PatientID", "*%*", "4 6"},
	{"PatientID", "*_*", "5"},
	{"AccessionNumber", "*100*", "1 5"},
	{"AccessionNumber", "?*", "1 2 3 5 6"},
	{"StudyDescription", "*腹部*", "1"},
	{"StudyDescription", "腹?超*", "1"},
	{"StudyDescription", "*ｗｉｄｔｈ", "3"},
	{"StudyDescription", "*[d]*", "4"},
	{"StudyDescription", "*[a-z]*", ""},
	{"StudyDescription", "A*C", "6"},
	{"StudyDescription", "*50%*", "2"},
	{"StudyDescription", "*~x", "2"},

	// Names: any component group, trailing ^ does not count. What is in Han characters alone is found by letters too.
	{"PatientName", "zhang^san", "1"},
	{"PatientName", "ZHANG^SAN^^^", "1"},
	{"PatientName", "zhang", ""},
	{"PatientName", "张^三", "1"},
	{"PatientName", "*Zhang*", "1 2 6"},
	{"PatientName", "*ZHANG*", "1 2 6"},
	{"PatientName", "*hang^s*", "1 2 6"},
	{"PatientName", "zhang^s*", "1 2 6"},
	{"PatientName", "zhang^si^*", "2"},
	{"PatientName", "zhang^*", "1 2 6"},
	{"PatientName", "张*", "1 6"},
	{"PatientName", "*张*", "1 6"},
	{"PatientName", "张?三", "1"},
	{"PatientName", "?^小明", "3"},
	{"PatientName", "*小*", "3"},
	{"PatientName", "*三", "1"},
	{"PatientName", "zhang*三", ""},
	{"PatientName", "*san*张*", ""},
	{"PatientName", "z*n", "1"},
	{"PatientName", "*müller*", "5"},
	{"PatientName", "*MU\u0308LLER*", "5"}, // decomposed
	{"PatientName", "みゅら*", "5"},
	{"PatientName", "ﾐｭﾗｰ*", "5"}, // half-width katakana
	{"PatientName", "nobody=王^小明", "3"},
	{"PatientName", "Ｚｈａｎｇ*", "1 2 6"},
	{"PatientName", "%", ""},
	{"PatientName", "zhang_san", ""},
	{"ReferringPhysicianName", "li^wei", "1"},
	{"ReferringPhysicianName", "李*", "1"},
	{"ReferringPhysicianName", "zhao^lei", "2"},
	{"ReferringPhysicianName", "zhao*", "2"},
	{"ReferringPhysicianName", "*lei*", "2"},
	{"ReferringPhysicianName", "wang*lei", ""},
	{"ReferringPhysicianName", "w?ng*", "2"},
	{"ReferringPhysicianName", "*.*", ""},

	// Attributes without a column; several values.
	{"StudyID", "7", "1"},
	{"StudyID", "7*", "1 2"},
	{"PatientSex", "m", "1"},
	{"IssuerOfPatientID", "village a", "1"},
	{"OtherPatientIDs", "x2", "1"},
	{"OtherPatientIDs", "X?", "1"},
	{"OtherPatientIDs", "X1*X2", ""},

	// Lists of UIDs.
	{"StudyInstanceUID", "1.2.1", "1"},
	{"StudyInstanceUID", "1.2.1 | 1.2.3 | 9.9", "1 3"},
	{"StudyInstanceUID", `1.2.2\1.2.4`, "2 4"},
	{"StudyInstanceUID", "1.2.?", ""},
	{"StudyInstanceUID", "1.2.*", ""},
	{"SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.6.1", everybody},
	{"SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.6", ""},

	// Modalities, several.
	{"ModalitiesInStudy", "US", "1 3 6"},
	{"ModalitiesInStudy", "CT | ECG", "2 4"},
	{"ModalitiesInStudy", `CT\ECG`, "2 4"},
	{"ModalitiesInStudy", "U", ""},
	{"ModalitiesInStudy", "?T", "2 5"},
	{"ModalitiesInStudy", "E*", "4"},

	// Ranges.
	{"StudyDate", "20260103", "1"},
	{"StudyDate", "20260101-20261130", "1 2 5"},
	{"StudyDate", "20260215-", "2 3 5"},
	{"StudyDate", "-20260103", "1 6"},
	{"StudyDate", "2026.02.15", "2 5"},
	{"StudyDate", "20260103 | 20261231", "1 3"},
	{"StudyDate", "20261231-20260101", ""},
	{"StudyDate", "20260201-20260231", "2 5"}, // no such day: the end of that month
	{"StudyDate", "-20260231", "1 2 5 6"},
	{"StudyDate", "20260231-", "3"}, // or the beginning of the next
	{"StudyDate", "2026.02.01-2026.02.30", "2 5"},
	{"StudyDate", "20260230-20260231", ""},
	{"StudyDate", "20260231-20260231", ""},
	{"StudyTime", "101500", "1 2 5"},
	{"StudyTime", "10", "1 2 5"},
	{"StudyTime", "1016-235959", "3"},
	{"StudyTime", "23-", "3"},
	{"StudyTime", "-0000", "6"},
	{"PatientBirthDate", "19500101-19501231", "1"},
}

var lowerCases = map[index.Level][]matchCase{
	index.SeriesLevel: {
		{"Modality", "us", "1 3 6"},
		{"Modality", "?T", "2 5"},
		{"SeriesNumber", "2", "1"},
		{"SeriesNumber", "02", "1"},
		{"BodyPartExamined", "abd*", "1"},
		{"PerformedProcedureStepStartDate", "20260101-20260201", "1"},
		{"RequestAttributesSequence.ScheduledProcedureStepID", "sps2", "1"},
		{"RequestAttributesSequence.ScheduledProcedureStepID", "SPS?", "1"},
		{"RequestAttributesSequence.ScheduledProcedureStepID", "SPS3", ""},
		{"RequestAttributesSequence.ScheduledProcedureStepID", "", everybody},
		{"SeriesInstanceUID", "1.2.3.1 | 1.2.4.1", "3 4"},
		{"PatientName", "*zhang*", "1 2 6"},
		{"ModalitiesInStudy", "CT", "2"},
	},
	index.InstanceLevel: {
		{"SOPInstanceUID", "1.2.5.1.1", "5"},
		{"SOPInstanceUID", "1.2.5.1.1 | 1.2.6.1.1", "5 6"},
		{"SOPClassUID", "1.2.840.10008.5.1.4.1.1.6.1", everybody},
		{"InstanceNumber", "4", "1"},
		{"Rows", "480", "1"},
		{"ContentTime", "1015", "1"},
		{"ContentTime", "101530.25", "1"},
		{"ContentTime", "101530.26-", ""},
		{"AvailableTransferSyntaxUID", "1.2.840.10008.1.2.1", everybody},
		{"AcquisitionDateTime", "20260103021500.5", "1"}, // 10:15 at +0800
		{"AcquisitionDateTime", "20260103101500.5+0800", "1"},
		{"AcquisitionDateTime", "2026-2027", "1 3"},
		{"AcquisitionDateTime", "20260102-", "1"},
		{"AcquisitionDateTime", "-20260101", "3"},
		{"Modality", "CT", "2"},
	},
}

var fuzzyCases = []matchCase{
	{"PatientName", "zhang", "1 2 6"},
	{"PatientName", "san zhang", "1 6"},
	{"PatientName", "zh s", "1 2 6"},
	{"PatientName", "hang", ""},
	{"PatientName", "*hang*", "1 2 6"}, // a wildcard still works
	{"PatientName", "张三", "1 6"},
	{"PatientName", "三", "1 6"},
	{"PatientName", "小明 王", "3"},
	{"PatientName", "丰三", ""},
	{"PatientName", "jürgen müll", "5"},
	{"PatientName", "", everybody},
	{"ReferringPhysicianName", "wei", "1"},
	{"ReferringPhysicianName", "fang wang", "2"},
	{"ReferringPhysicianName", "ei", ""},
	{"ReferringPhysicianName", "李伟", "1"},
	{"PatientID", "P", ""}, // names only
}

func matching(t *testing.T, x Index) {
	tape := NewTape(t)
	for i, p := range people {
		if i > 0 {
			tape.Stored(Instance{Study: fmt.Sprintf("1.2.%d", i), Attributes: p})
		}
	}
	apply(t, x, tape.Records...)

	check := func(level index.Level, fuzzy bool, c matchCase) {
		t.Helper()
		rows := search(t, x, index.Query{
			Level: level, Fuzzy: fuzzy, Matches: []index.Match{{Keyword: c.keyword, Values: strings.Split(c.value, " | ")}},
		})
		found := column(rows, "StudyInstanceUID")
		for i := range found {
			found[i] = strings.TrimPrefix(found[i], "1.2.")
		}
		slices.Sort(found)
		if got := strings.Join(found, " "); got != c.want {
			t.Errorf("level %d fuzzy %t: %s=%q finds %q, want %q", level, fuzzy, c.keyword, c.value, got, c.want)
		}
	}
	for _, c := range matchCases {
		check(index.StudyLevel, false, c)
		check(index.InstanceLevel, false, c) // attributes of the levels above
	}
	for level, cases := range lowerCases {
		for _, c := range cases {
			check(level, false, c)
		}
	}
	for _, c := range fuzzyCases {
		check(index.StudyLevel, true, c)
		check(index.SeriesLevel, true, c)
	}

	both := index.Query{Matches: []index.Match{
		{Keyword: "PatientName", Values: []string{"*zhang*"}}, {Keyword: "ModalitiesInStudy", Values: []string{"CT"}},
	}}
	same(t, "name and modality", column(search(t, x, both), "StudyInstanceUID"), []string{"1.2.2"})

	for _, c := range []struct {
		level          index.Level
		keyword, value string
		want           error
	}{
		{index.StudyLevel, "StudyDate", "yesterday", index.ErrBadQuery},
		{index.StudyLevel, "StudyDate", "20260230", index.ErrBadQuery},
		{index.StudyLevel, "StudyDate", "20260201-20260232", index.ErrBadQuery},
		{index.StudyLevel, "StudyDate", "20260200-20260228", index.ErrBadQuery},
		{index.StudyLevel, "StudyDate", "20260201-20261301", index.ErrBadQuery},
		{index.StudyLevel, "StudyDate", "20260001-20260201", index.ErrBadQuery},
		{index.StudyLevel, "StudyDate", "20260201-2026023", index.ErrBadQuery},
		{index.StudyLevel, "StudyTime", "1000-2460", index.ErrBadQuery},
		{index.StudyLevel, "StudyDate", "-", index.ErrBadQuery},
		{index.StudyLevel, "StudyTime", "25", index.ErrBadQuery},
		{index.SeriesLevel, "SeriesNumber", "two", index.ErrBadQuery},
		{index.StudyLevel, "PatientName", strings.Repeat("*a", 100), index.ErrBadQuery},
		{index.StudyLevel, "PatientName", strings.Repeat("a", 5000), index.ErrBadQuery},
		{index.StudyLevel, "PixelData", "1", index.ErrUnsupportedMatch},
		{index.StudyLevel, "", "1", index.ErrUnsupportedMatch},
		{index.StudyLevel, "Modality", "US", index.ErrUnsupportedMatch}, // of a lower level
		{index.StudyLevel, "PatientName; DROP TABLE studies", "", index.ErrUnsupportedMatch},
		{index.Level(7), "PatientID", "1", index.ErrBadQuery},
	} {
		_, err := x.Search(t.Context(), index.Query{
			Tenant: "clinic", Level: c.level, Matches: []index.Match{{Keyword: c.keyword, Values: []string{c.value}}},
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s=%.20q: %v, want %v", c.keyword, c.value, err, c.want)
		}
	}
}
