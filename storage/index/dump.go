package index

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
)

// dumps are the tables of the view by natural keys, without row ids. Offsets are not among them: they
// say how far, not what.
var dumps = []struct{ table, query string }{
	{"study", `SELECT s.tenant, s.study_instance_uid, s.first_received, s.first_object, f.sop_instance_uid, s.day, s.clock,
		s.birth_day, s.patient_id, s.accession_number, s.description, s.name_alphabetic, s.name_ideographic, s.name_phonetic,
		s.name_pinyin, s.names, s.words, s.modalities, s.sop_classes, s.terms, s.attributes, s.patient, s.patients, s.mixed
		FROM studies s LEFT JOIN instances f ON f.id = s.first_instance ORDER BY s.tenant, s.study_instance_uid`},
	{"series", `SELECT s.tenant, s.study_instance_uid, e.series_instance_uid, e.first_received, e.first_object,
		f.sop_instance_uid, e.number, e.modality, e.day, e.clock, e.step_day, e.step_clock, e.sop_classes, e.instances, e.terms,
		e.attributes FROM series e LEFT JOIN studies s ON s.id = e.study_id LEFT JOIN instances f ON f.id = e.first_instance
		ORDER BY s.tenant, s.study_instance_uid, e.series_instance_uid`},
	{"instance", `SELECT i.tenant, s.study_instance_uid, e.series_instance_uid, i.sop_instance_uid, i.superseded,
		i.dataset_sha256, i.number, i.object_id, i.event_id, i.received, i.door, i.remote, i.sop_class_uid,
		i.transfer_syntax_uid, i.media_type, i.blob_key, i.bytes, i.sha256, i.dataset_offset, i.content_day, i.content_clock,
		i.acquisition_day, i.acquisition_clock, i.acquired, i.terms, i.attributes, i.patient, i.derived_from, i.device, i.origin,
		i.parser_version, i.described_by, i.located_version, i.located_by, i.derived_version,
		d.attributes, d.header_encoding, d.header_bytes, d.header_key, d.header,
		d.layout_encoding, d.layout_bytes, d.layout_key, d.layout
		FROM instances i LEFT JOIN documents d ON d.instance_id = i.id LEFT JOIN series e ON e.id = i.series_id
		LEFT JOIN studies s ON s.id = e.study_id ORDER BY i.tenant, i.sop_instance_uid, i.superseded`},
	{"patient", `SELECT p.tenant, s.study_instance_uid, p.first_received, p.first_object, p.instances, p.birth_day, p.patient_id,
		p.name_alphabetic, p.name_ideographic, p.name_phonetic, p.name_pinyin, p.names, p.words, p.terms, p.attributes
		FROM patients p LEFT JOIN studies s ON s.id = p.study_id ORDER BY p.tenant, s.study_instance_uid, p.first_received, p.first_object`},
	{"original", `SELECT tenant, object_id, event_id, source_uid, derived_uid, study_instance_uid, series_instance_uid, received, door,
		remote, device, facility, filename, format, media_type, transfer_syntax_uid, blob_key, bytes, sha256, dataset_sha256, attributes,
		parser_version, described_by FROM originals ORDER BY tenant, object_id`},
	{"recording", `SELECT r.tenant, r.original, i.superseded, r.object_id, r.derived_from, r.derived_uid, r.study_instance_uid,
		r.series_instance_uid, r.sop_instance_uid, r.received, r.day, r.patient_id, r.priority, r.findings, r.paced, r.leads, r.statements,
		r.ventricular_rate, r.pr_interval, r.qrs_duration, r.qt_interval, r.qtc_interval, r.qrs_axis, r.duration, r.sampling_frequency,
		f.attributes, f.facts, f.reasons FROM recordings r LEFT JOIN instances i ON i.id = r.instance_id
		LEFT JOIN recording_documents f ON f.instance_id = r.instance_id AND f.tenant = r.tenant AND f.original = r.original
		ORDER BY r.tenant, r.sop_instance_uid, r.original, i.superseded`},
	{"sibling", "SELECT tenant, sop_instance_uid, dataset_sha256, object_id FROM siblings ORDER BY 1, 2, 3, 4"},
	{"conflict", "SELECT tenant, sop_instance_uid, received FROM conflicts ORDER BY 1, 2"},
	{"decision", "SELECT object_id, event_id, about, action, decided FROM decisions ORDER BY 1, 2"},
	// Without last_event: a record that was made again of its blob has a later time.
	{"completeness", `SELECT tenant, study_instance_uid, content, last_received, sent, signal, revision, announced, event_id, completed, reason,
		updated, state FROM completeness ORDER BY tenant, study_instance_uid`},
	{"quarantine", "SELECT tenant, object_id, event_id, received, door, device, entry, parser_version FROM quarantine ORDER BY 1, 2"},
}

// Dump writes all rows as text, one a line: equal views give equal bytes. Binary columns are written as
// their SHA-256. Rows have patients' names in them.
func (db *DB) Dump(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriter(w)
	err := db.engine.snapshot(ctx, func(query func(text string) (rows, error)) error {
		for _, d := range dumps {
			found, err := query(d.query)
			if err != nil {
				return err
			}
			err = dumpRows(out, d.table, found)
			found.Close() //nolint:errcheck // dumpRows returned what went wrong
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return db.failed(ctx, "dump", err)
	}
	return out.Flush()
}

func dumpRows(out *bufio.Writer, table string, rows rows) error {
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, dest := make([]any, len(columns)), make([]any, len(columns))
	for i := range dest {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		fields := make([]string, 0, len(columns))
		for i, v := range values {
			switch v := v.(type) {
			case nil:
				continue
			case []byte:
				if len(v) > 0 {
					fields = append(fields, fmt.Sprintf("%s=sha256:%x", columns[i], sha256.Sum256(v)))
				}
			case string:
				if v != "" {
					fields = append(fields, fmt.Sprintf("%s=%q", columns[i], v))
				}
			default:
				fields = append(fields, fmt.Sprintf("%s=%v", columns[i], v))
			}
		}
		if _, err := fmt.Fprintf(out, "%s %s\n", table, strings.Join(fields, " ")); err != nil {
			return err
		}
	}
	return rows.Err()
}
