package index

import (
	"fmt"
	"strings"
)

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

	fresh bool   // not in the table yet
	from  []pair // attributes to write; nil when they are written
	sets  bool   // modalities or classes changed
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

var studyColumns = []string{
	"tenant", "study_instance_uid", "first_received", "first_object", "first_instance", "day", "clock", "birth_day",
	"patient_id", "accession_number", "description", "name_alphabetic", "name_ideographic", "name_phonetic",
	"names", "words", "modalities", "sop_classes", "terms", "attributes",
}

func (s *studyRow) values() []any {
	get := func(keyword string) string { return find(s.from, keyword) }
	groups := nameGroups(get("PatientName"))
	names := ""
	for _, g := range groups {
		if g != "" {
			names += separator + g
		}
	}
	return []any{
		s.tenant, s.uid, s.first.received, s.first.object, s.firstInstance,
		momentKey("DA", get("StudyDate")), momentKey("TM", get("StudyTime")), momentKey("DA", get("PatientBirthDate")),
		orNull(fold(get("PatientID"))), orNull(fold(get("AccessionNumber"))), orNull(fold(get("StudyDescription"))),
		orNull(groups[0]), orNull(groups[1]), orNull(groups[2]), names, nameWords(groups),
		s.modalities.String(), s.classes.String(), terms(s.from, StudyLevel), pack(s.from, StudyLevel),
	}
}

var seriesColumns = []string{
	"study_id", "series_instance_uid", "first_received", "first_object", "first_instance", "number", "modality",
	"day", "clock", "step_day", "step_clock", "sop_classes", "instances", "terms", "attributes",
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

var instanceColumns = []string{
	"tenant", "sop_instance_uid", "superseded", "dataset_sha256", "series_id", "number", "object_id", "event_id",
	"received", "door", "remote", "sop_class_uid", "transfer_syntax_uid", "media_type", "blob_key", "bytes", "sha256",
	"dataset_offset", "content_day", "content_clock", "acquisition_day", "acquisition_clock",
	"acquired", "terms", "attributes",
}

// values of a row that belongs to a series, or to none with superseded set.
func (in *instance) values(superseded string, series int64) []any {
	return []any{
		in.tenant, in.sop, superseded, in.datasetSHA256, series, number(in.value("InstanceNumber")), in.object, in.eventID,
		in.received, in.door, in.remote, in.sopClass, in.syntax, in.mediaType, in.blobKey, in.bytes, in.sha256,
		in.datasetOffset, momentKey("DA", in.value("ContentDate")), momentKey("TM", in.value("ContentTime")),
		momentKey("DA", in.value("AcquisitionDate")), momentKey("TM", in.value("AcquisitionTime")),
		momentKey("DT", in.value("AcquisitionDateTime")), terms(in.all, InstanceLevel), pack(in.all, InstanceLevel),
	}
}

var documentColumns = []string{
	"attributes", "header_encoding", "header_bytes", "header_key", "header",
	"layout_encoding", "layout_bytes", "layout_key", "layout",
}

func (in *instance) documents() []any {
	out := append(make([]any, 0, 10), pack(in.all, -1))
	if a := in.header; a != nil {
		out = append(out, a.Encoding, a.Bytes, a.BlobKey, a.Data)
	} else {
		out = append(out, "", int64(0), "", nil)
	}
	if a := in.layout; a != nil {
		return append(out, a.Encoding, a.Bytes, a.BlobKey, a.Data)
	}
	return append(out, "", int64(0), "", nil)
}

var (
	insertStudy    = insert("studies", "id", studyColumns)
	updateStudy    = update("studies", "id", studyColumns)
	insertSeries   = insert("series", "id", seriesColumns)
	updateSeries   = update("series", "id", seriesColumns)
	insertInstance = insert("instances", "id", instanceColumns)
	updateInstance = update("instances", "id", instanceColumns)
	insertDocument = insert("documents", "instance_id", documentColumns)
	updateDocument = update("documents", "instance_id", documentColumns)
)

// insert and update take the columns' values first and the id last.
func insert(table, id string, columns []string) string {
	return fmt.Sprintf("INSERT INTO %s (%s, %s) VALUES (%s)", table, strings.Join(columns, ", "), id,
		parameters(1, len(columns)+1))
}

func update(table, id string, columns []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "UPDATE %s SET ", table)
	for i, c := range columns {
		fmt.Fprintf(&b, "%s = $%d, ", c, i+1)
	}
	return fmt.Sprintf("%s WHERE %s = $%d", strings.TrimSuffix(b.String(), ", "), id, len(columns)+1)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
