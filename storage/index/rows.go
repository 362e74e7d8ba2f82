package index

import "strings"

type studyKey struct{ tenant, uid string }

// studyRow is a row of studies as the writer remembers it. Its attributes are those of the study's
// first instance by place, so that they do not depend on the order of events.
type studyRow struct {
	id int64
	studyKey
	first         place
	firstInstance int64
	modalities    set // folded
	classes       set
	patient       int64 // identity of all instances' patient, or of the first one's
	patients      int64 // identities that the instances have, 0 before there is one

	fresh bool   // not in the table yet
	from  []pair // attributes to write; nil when they are written
	sets  bool   // modalities or classes changed
}

const readStudy = `SELECT id, study_instance_uid, first_received, first_object, first_instance, modalities, sop_classes, patient, patients
	FROM studies `

// scan reads a row of readStudy.
func (s *studyRow) scan(scan scanner) error {
	var modalities, classes string
	err := scan(&s.id, &s.uid, &s.first.received, &s.first.object, &s.firstInstance, &modalities, &classes, &s.patient, &s.patients)
	s.modalities, s.classes = parseSet(modalities), parseSet(classes)
	return err
}

type seriesKey struct {
	study int64
	uid   string
}

// seriesRow is a row of series, likewise.
type seriesRow struct {
	id int64
	seriesKey
	first         place
	firstInstance int64
	modality      string // folded
	classes       set
	instances     int64

	fresh   bool
	from    []pair
	counted bool // instances or classes changed
}

const readSeries = `SELECT id, study_id, series_instance_uid, first_received, first_object, first_instance, modality, sop_classes, instances
	FROM series `

// scan reads a row of readSeries.
func (s *seriesRow) scan(scan scanner) error {
	var modality *string
	var classes string
	err := scan(&s.id, &s.study, &s.uid, &s.first.received, &s.first.object, &s.firstInstance, &modality, &classes, &s.instances)
	if modality != nil {
		s.modality = *modality
	}
	s.classes = parseSet(classes)
	return err
}

// maxIndexed bounds, in bytes, the text of a column that lies in an index: all of an entry must fit a third of
// a page of 8 KiB (PostgreSQL's btree). Values as PS3.5 §6.2 allows them (64 characters) fit whole; longer ones
// are found by their beginning.
const maxIndexed = 256

// indexed cuts folded text to maxIndexed.
func indexed(s string) string {
	if len(s) <= maxIndexed {
		return s
	}
	return strings.TrimRight(strings.ToValidUTF8(s[:maxIndexed], ""), " ^")
}

// modalityOf returns the modality of attributes as searches compare it (CS: at most 16 characters).
func modalityOf(all []pair) string {
	m := setValue(fold(find(all, "Modality")))
	if len(m) > 32 {
		m = strings.ToValidUTF8(m[:32], "")
	}
	return m
}

// who is what rows say of the patient, as far as it tells one from another.
type who struct {
	birthDay string
	id       string
	groups   [3]string // of the name: alphabetic, ideographic, phonetic
}

func whoIs(all []pair) who {
	w := who{birthDay: momentKey("DA", find(all, "PatientBirthDate")), id: indexed(fold(find(all, "PatientID")))}
	w.groups = nameGroups(find(all, "PatientName"))
	for i, g := range w.groups {
		w.groups[i] = indexed(g)
	}
	return w
}

func (s *studyRow) values() []any {
	get := func(keyword string) string { return find(s.from, keyword) }
	p := whoIs(s.from)
	n := spellName(p.groups)
	return []any{
		s.tenant, s.uid, s.first.received, s.first.object, s.firstInstance,
		momentKey("DA", get("StudyDate")), momentKey("TM", get("StudyTime")), p.birthDay,
		orNull(p.id), orNull(indexed(fold(get("AccessionNumber")))), orNull(indexed(fold(get("StudyDescription")))),
		orNull(p.groups[0]), orNull(p.groups[1]), orNull(p.groups[2]), orNull(n.pinyin), n.all, n.words,
		s.modalities.String(), s.classes.String(), terms(s.from, StudyLevel), pack(s.from, StudyLevel),
	}
}

func (s *seriesRow) values() []any {
	get := func(keyword string) string { return find(s.from, keyword) }
	return []any{
		s.study, s.uid, s.first.received, s.first.object, s.firstInstance, number(get("SeriesNumber")),
		orNull(s.modality), momentKey("DA", get("SeriesDate")), momentKey("TM", get("SeriesTime")),
		momentKey("DA", get("PerformedProcedureStepStartDate")), momentKey("TM", get("PerformedProcedureStepStartTime")),
		s.classes.String(), s.instances, terms(s.from, SeriesLevel), pack(s.from, SeriesLevel),
	}
}

// values of a row that belongs to a series, or to none with superseded set.
func (in *instance) values(superseded string, series int64) []any {
	return []any{
		in.tenant, in.sop, superseded, in.datasetSHA256, series, number(in.value("InstanceNumber")), in.object, in.eventID,
		in.received, in.door, in.remote, in.sopClass, in.syntax, in.mediaType, in.blobKey, in.bytes, in.sha256,
		in.datasetOffset, momentKey("DA", in.value("ContentDate")), momentKey("TM", in.value("ContentTime")),
		momentKey("DA", in.value("AcquisitionDate")), momentKey("TM", in.value("AcquisitionTime")),
		momentKey("DT", in.value("AcquisitionDateTime")), terms(in.all, InstanceLevel), pack(in.all, InstanceLevel), in.patient, in.derivedFrom, in.device, orNoBytes(in.origin),
		in.told.version, in.told.record, in.told.version, in.told.record, in.derivedVersion,
	}
}

func (in *instance) documents() []any {
	out := append(make([]any, 0, 10), pack(in.all, -1))
	if a := in.header; a != nil {
		out = append(out, plain(a.Encoding), a.Bytes, plain(a.BlobKey), a.Data)
	} else {
		out = append(out, "", int64(0), "", nil)
	}
	if a := in.layout; a != nil {
		return append(out, plain(a.Encoding), a.Bytes, plain(a.BlobKey), a.Data)
	}
	return append(out, "", int64(0), "", nil)
}

func orNoBytes(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
