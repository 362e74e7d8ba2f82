package index

import (
	"fmt"
	"strings"
)

// table is a table that rows are added to by the thousand.
type table struct {
	name    string
	columns []column // the id is the last one
	insert  string   // one row; the values in the columns' order
	sorted  int      // column by whose text many rows are added in order, so that two writers wait in one order; -1 for none
}

// column of a table.
type column struct {
	name string
	kind kind
}

type kind int

const (
	textual  kind = iota
	optional      // text or NULL
	whole         // 64 bits
	real          // 64 bits with a fraction, or NULL
	binaries      // bytes or NULL
)

var kinds = map[string]kind{"": textual, "null": optional, "int": whole, "real": real, "bytes": binaries}

// newTable takes columns as "name" or "name:kind", divided by spaces.
func newTable(name, columns string, sorted int) *table {
	t := &table{name: name, sorted: sorted}
	var names []string
	for _, c := range strings.Fields(columns) {
		name, k, _ := strings.Cut(c, ":")
		t.columns = append(t.columns, column{name, kinds[k]})
		names = append(names, name)
	}
	t.insert = fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", name, strings.Join(names, ", "), parameters(1, len(names)))
	return t
}

var (
	studiesTable = newTable("studies", `tenant study_instance_uid first_received:int first_object first_instance:int day clock birth_day
		patient_id:null accession_number:null description:null name_alphabetic:null name_ideographic:null name_phonetic:null
		name_pinyin:null names words modalities sop_classes terms attributes:bytes patient:int patients:int mixed:int id:int`, 1)
	seriesTable = newTable("series", `study_id:int series_instance_uid first_received:int first_object first_instance:int number:int
		modality:null day clock step_day step_clock sop_classes instances:int terms attributes:bytes id:int`, -1)
	instancesTable = newTable("instances", `tenant sop_instance_uid superseded dataset_sha256 series_id:int number:int object_id event_id
		received:int door remote sop_class_uid transfer_syntax_uid media_type blob_key bytes:int sha256 dataset_offset:int
		content_day content_clock acquisition_day acquisition_clock acquired terms attributes:bytes patient:int derived_from
		device origin:bytes parser_version:int described_by located_version:int located_by derived_version:int id:int`, 1)
	documentsTable = newTable("documents", `attributes:bytes header_encoding header_bytes:int header_key header:bytes
		layout_encoding layout_bytes:int layout_key layout:bytes instance_id:int`, -1)
	originalsTable = newTable("originals", originalColumns+" tenant object_id", 1)
	// Rows of one instance or original are never changed, only made anew.
	recordingsTable = newTable("recordings", `instance_id:int tenant original object_id derived_from derived_uid study_instance_uid
		series_instance_uid sop_instance_uid received:int day patient_id:null priority findings paced:int leads statements
		ventricular_rate:real pr_interval:real qrs_duration:real qt_interval:real qtc_interval:real qrs_axis:real
		duration:real sampling_frequency:real`, -1)
	recordingDocumentsTable = newTable("recording_documents", "instance_id:int tenant original attributes:bytes facts:bytes reasons:bytes", -1)

	// Who the patients of a study are is written apart from the rest (recomputePatients).
	updateStudy  = studiesTable.update("patient", "patients", "mixed")
	updateSeries = seriesTable.update()
)

// update returns a statement that takes the columns' values, without those left out, and the id last.
func (t *table) update(without ...string) string {
	var set []string
	last := len(t.columns) - 1
columns:
	for _, c := range t.columns[:last] {
		for _, w := range without {
			if c.name == w {
				continue columns
			}
		}
		set = append(set, fmt.Sprintf("%s = $%d", c.name, len(set)+1))
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s = $%d", t.name, strings.Join(set, ", "), t.columns[last].name, len(set)+1)
}
