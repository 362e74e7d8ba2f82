package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/pipeline/event"
	"github.com/tributary-dicom/tributary/pipeline/eventlog"
)

// growCounty fills an index with a county's studies, the same for the same arguments, past the decoder: events
// of a million instances would take longer than the test.
func growCounty(t testing.TB, db *DB, studies, instancesEach int) {
	t.Helper()
	surnames := strings.Fields("Zhang=张 Wang=王 Li=李 Liu=刘 Chen=陈 Yang=杨 Zhao=赵 Huang=黄 Zhou=周 Wu=吴 Xu=徐 Sun=孙 Hu=胡 Zhu=朱 Gao=高 Lin=林 He=何 Guo=郭 Ma=马 Luo=罗")
	given := strings.Fields("Wei=伟 Fang=芳 Na=娜 Min=敏 Jing=静 Lei=磊 Jun=军 Yang=洋 Yan=艳 Jie=杰 Tao=涛 Ming=明 Xiaoming=小明 Guoqiang=国强 Meihua=美华")
	kinds := strings.Fields("US US US ECG ECG DX CT SR")
	random := rand.New(rand.NewPCG(7, 11))
	header := event.Attach([]byte("{" + strings.Repeat(`"00081140":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2.840.113619.2.55.3"]}}]},`, 16) + `"00100020":{"vr":"LO"}}`))
	layout := event.Attach([]byte(`{"frames":{"kind":"native","count":1,"offset":2048,"frame_bits":7372800},"bulk":[{"path":"7FE00010","vr":"OW","offset":2048,"length":921600}]}`))
	var changes []*change
	offset := int64(0)
	apply := func() {
		if err := db.engine.apply(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
		changes = changes[:0]
	}
	for i := range studies {
		surname, hanzi, _ := strings.Cut(surnames[random.IntN(len(surnames))], "=")
		name, character, _ := strings.Cut(given[random.IntN(len(given))], "=")
		day := time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, random.IntN(3650)).Format("20060102")
		clock := fmt.Sprintf("%02d%02d%02d", random.IntN(24), random.IntN(60), random.IntN(60))
		study := fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d", 10_000_000+i)
		birth := fmt.Sprintf("19%02d%02d%02d", random.IntN(100), 1+random.IntN(12), 1+random.IntN(28))
		modality := kinds[random.IntN(len(kinds))]
		written := surname + "^" + name + "=" + hanzi + "^" + character
		if i%4 == 0 { // what devices without letters send
			written = "=" + hanzi + "^" + character
		}
		for n := range instancesEach {
			series := fmt.Sprintf("%s.%d", study, 1+n*2/instancesEach*(i%5/4))
			m := map[string]string{
				"PatientName": written, "PatientID": fmt.Sprintf("P%07d", i*7919%max(studies*2/3, 1)),
				"IssuerOfPatientID": "COUNTY", "PatientBirthDate": birth, "PatientSex": "F", "StudyDate": day, "StudyTime": clock,
				"AccessionNumber": fmt.Sprintf("A%08d", i), "StudyDescription": "腹部超声 Abdomen", "StudyID": fmt.Sprint(i),
				"ReferringPhysicianName": "Li^Wei=李^伟", "Modality": modality, "SeriesNumber": fmt.Sprint(1 + n*2/instancesEach),
				"SeriesDescription": "Liver", "BodyPartExamined": "ABDOMEN", "Manufacturer": "Example", "StationName": "KIT-7",
				"InstitutionName": "Township hospital", "InstanceNumber": fmt.Sprint(n + 1), "Rows": "480", "Columns": "640",
				"ContentDate": day, "ContentTime": clock, "ImageType": `ORIGINAL\PRIMARY`, "StudyInstanceUID": study, "SeriesInstanceUID": series,
				"SOPInstanceUID": fmt.Sprintf("%s.%d", series, n+1), "SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1",
			}
			hash := fmt.Sprintf("%064x", offset*2654435761)
			in := &instance{
				tenant: "clinic", study: study, series: series, sop: m["SOPInstanceUID"],
				place:   place{1_772_352_000_000_000 + offset, fmt.Sprintf("01J%023d", offset)},
				eventID: fmt.Sprintf("01E%023d", offset), door: "dimse", remote: "192.0.2.7:50112", sopClass: m["SOPClassUID"],
				syntax: "1.2.840.10008.1.2.1", mediaType: "application/dicom", blobKey: fmt.Sprintf("clinic/2026/11/22/01J%023d", offset),
				bytes: 100 << 10, sha256: hash, datasetSHA256: hash, datasetOffset: 350, all: pairs(m), header: header, layout: layout,
			}
			in.patient = patientHash(in.all)
			changes = append(changes, &change{instance: in, record: eventlog.Record{Position: eventlog.Position{Topic: event.TopicInstances, Offset: offset}}})
			offset++
		}
		if len(changes) >= 500 {
			apply()
		}
	}
	apply()
}

// viewerQuery is one that viewers send, with the index of PostgreSQL that serves it.
type viewerQuery struct {
	name  string
	level Level
	fuzzy bool
	limit int
	keys  []Match
	index string
}

// viewerQueries are those of recorded viewers (Q1 to Q9 of OHIF; M1 and F1 are TestObjectPlans) and of others.
func viewerQueries(studies int) []viewerQuery {
	key := func(keyword string, values ...string) []Match { return []Match{{Keyword: keyword, Values: values}} }
	study := fmt.Sprintf("1.2.826.0.1.3680043.8.498.%d", 10_000_000+studies/2)
	return []viewerQuery{
		{"Q1 newest", StudyLevel, false, 101, nil, "studies_newest"},
		{"Q1 newest, third page", StudyLevel, false, 101, nil, "studies_newest"},
		{"Q1 newest, page 900", StudyLevel, false, 101, nil, "studies_newest"},
		{"Q1 newest, page 900, jumped to", StudyLevel, false, 101, nil, "studies_newest"},
		{"Q5 description contains, page 900", StudyLevel, false, 101, key("StudyDescription", "*腹部*"), "studies_newest"},
		{"Q2 name contains", StudyLevel, false, 101, key("PatientName", "*Zhang*"), "studies_newest"},
		{"Q2 name contains hanzi", StudyLevel, false, 101, key("PatientName", "*小明*"), "studies_newest"},
		{"Q2 name contains, nobody", StudyLevel, false, 101, key("PatientName", "*nobody*"), "studies_newest"},
		{"Q2 pinyin contains", StudyLevel, false, 101, key("PatientName", "*zhangxiaoming*"), "studies_newest"},
		{"Q2 pinyin contains, in words", StudyLevel, false, 101, key("PatientName", "*zhang xiaoming*"), "studies_newest"},
		{"pinyin fuzzy", StudyLevel, true, 101, key("PatientName", "zhangxiaom"), "studies_newest"},
		{"pinyin fuzzy, initials", StudyLevel, true, 101, key("PatientName", "zxm"), "studies_newest"},
		{"name begins", StudyLevel, false, 101, key("PatientName", "zhang^w*"), "studies_alphabetic"},
		{"pinyin begins", StudyLevel, false, 101, key("PatientName", "zhang^xiaom*"), "studies_pinyin"},
		{"name in hanzi", StudyLevel, false, 101, key("PatientName", "张^小明"), "studies_ideographic"},
		{"name fuzzy", StudyLevel, true, 50, key("PatientName", "wei zh"), "studies_newest"},
		{"Q3 patient contains", StudyLevel, false, 101, key("PatientID", "*00042*"), "studies_newest"},
		{"Q3 patient", StudyLevel, false, 101, key("PatientID", "P0000042"), "studies_patient"},
		{"patient begins", StudyLevel, false, 101, key("PatientID", "P00000*"), "studies_patient"},
		{"Q4 accession contains", StudyLevel, false, 101, key("AccessionNumber", "*0042*"), "studies_newest"},
		{"accession", StudyLevel, false, 101, key("AccessionNumber", "A00000042"), "studies_accession"},
		{"Q5 description contains", StudyLevel, false, 101, key("StudyDescription", "*腹部*"), "studies_newest"},
		{"Q6 modality", StudyLevel, false, 101, key("ModalitiesInStudy", "US"), "studies_newest"},
		{"Q6 modality, rare", StudyLevel, false, 101, key("ModalitiesInStudy", "XA"), "studies_newest"},
		{"Q7 dates", StudyLevel, false, 101, key("StudyDate", "20000101-20261121"), "studies_newest"},
		{"Q7 dates and modality", StudyLevel, false, 101, append(key("StudyDate", "20200101-20200331"), key("ModalitiesInStudy", "CT")...), "studies_newest"},
		{"Q8 study", StudyLevel, false, 101, key("StudyInstanceUID", study), "studies_uid"},
		{"Q8 studies", StudyLevel, false, 101, key("StudyInstanceUID", study, study+"9", study[:len(study)-1]+"0"), "studies_uid"},
		{"Q9 series of a study", SeriesLevel, false, 0, key("StudyInstanceUID", study), "series_of_study"},
		{"a series", SeriesLevel, false, 0, append(key("StudyInstanceUID", study), key("SeriesInstanceUID", study+".1")...), "series_uid"},
		{"newest series", SeriesLevel, false, 101, nil, "studies_newest"},
		{"newest series, page 900", SeriesLevel, false, 101, nil, "studies_newest"},
		{"T2 instances of a series", InstanceLevel, false, 1, append(key("StudyInstanceUID", study), key("SeriesInstanceUID", study+".1")...), "instances_of_series"},
		{"instances of a study", InstanceLevel, false, 101, key("StudyInstanceUID", study), "instances_of_series"},
		{"an instance", InstanceLevel, false, 101, key("SOPInstanceUID", study+".1.1"), "instances_uid"},
	}
}

func (q viewerQuery) query() Query {
	out := Query{Tenant: "clinic", Level: q.level, Fuzzy: q.fuzzy, Limit: q.limit, Matches: q.keys}
	if strings.HasSuffix(q.name, "third page") {
		out.Offset = 202
	}
	if strings.Contains(q.name, "page 900") {
		out.Offset = 899 * 101
	}
	return out
}

// arrivalQuery is one of the operators' pages, with the index that serves it.
type arrivalQuery struct {
	name   string
	query  ArrivalQuery
	object string
	index  string
}

func arrivalQueries(studies int) []arrivalQuery {
	middle := fmt.Sprintf("01J%023d", studies/2)
	return []arrivalQuery{
		{"arrivals", ArrivalQuery{Tenant: "clinic", Limit: 100}, "", "instances_arrived"},
		{"arrivals, middle", ArrivalQuery{Tenant: "clinic", Limit: 100, Before: middle}, "", "instances_arrived"},
		{"arrivals of a door", ArrivalQuery{Tenant: "clinic", Limit: 100, Door: "dimse"}, "", "instances_arrived"},
		{"arrivals of a device that there is not", ArrivalQuery{Tenant: "clinic", Limit: 100, Device: "nobody"}, "", "instances_arrived"},
		{"arrivals that conflict", ArrivalQuery{Tenant: "clinic", Limit: 100, Status: ArrivalConflict}, "", "instances_superseded"},
		{"an arrival", ArrivalQuery{Tenant: "clinic", Limit: 100}, middle, "instances_arrived"},
	}
}

// explainJSON returns the plan of a statement as PostgreSQL tells it.
func explainJSON(ctx context.Context, db *DB, format, text string, args ...any) (string, error) {
	found, err := db.engine.query(ctx, "EXPLAIN ("+format+") "+text, args...)
	if err != nil {
		return "", err
	}
	defer found.Close()
	var out []string
	for found.Next() {
		var line string
		if err := found.Scan(&line); err != nil {
			return "", err
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n"), found.Err()
}
