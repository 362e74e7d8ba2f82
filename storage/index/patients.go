package index

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A study should be of one patient. Devices that make Study Instance UIDs anew after a restart, and people who
// choose the wrong entry of a worklist, make studies of two. Readers must find those by either patient, and
// operators must hear of them. Each instance carries a hash of who it says the patient is; a study whose
// instances agree, as nearly all do, needs nothing else. Of a study whose instances differ, the table patients
// has a row for each way in which they tell the patient, made anew with every change of the study.

// maxPatients bounds the rows of one study; those count whose instances were received first.
const maxPatients = 32

// patientHash identifies how attributes tell the patient: id and its issuer, name and date of birth, folded.
func patientHash(all []pair) int64 {
	w := whoIs(all)
	issuer := fold(find(all, "IssuerOfPatientID"))
	sum := sha256.Sum256([]byte(strings.Join([]string{w.id, issuer, w.birthDay, w.groups[0], w.groups[1], w.groups[2]}, separator)))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// told is one way in which the instances of a study tell the patient.
type told struct {
	hash      int64
	first     place
	instance  int64
	instances int64
	who
	issuer string
	all    []pair
}

// another reports whether a and b cannot be one person: their ids differ, or their dates of birth, or, where one
// has no id, their names. One id with two spellings of a name is one person.
func (a *told) another(b *told) bool {
	both := func(x, y string) bool { return x != "" && y != "" && x != y }
	if both(a.id, b.id) || a.id != "" && a.id == b.id && both(a.issuer, b.issuer) || both(a.birthDay, b.birthDay) {
		return true
	}
	if a.id != "" && b.id != "" {
		return false
	}
	differ, agree := false, false
	for i := range a.groups {
		differ = differ || both(a.groups[i], b.groups[i])
		agree = agree || a.groups[i] != "" && a.groups[i] == b.groups[i]
	}
	return differ && !agree
}

var insertPatient = `INSERT INTO patients (study_id, tenant, first_received, first_object, instances, birth_day, patient_id,
	name_alphabetic, name_ideographic, name_phonetic, name_pinyin, names, words, terms, attributes)
	VALUES (` + parameters(1, 15) + ")"

// recomputePatients writes who the patients of a study are; s is its row in memory, or nil.
func (b *batch) recomputePatients(study int64, s *studyRow) error {
	var all []*told
	byHash := make(map[int64]*told)
	err := b.each(func(scan scanner) error {
		var at place
		var id, hash int64
		if err := scan(&id, &at.received, &at.object, &hash); err != nil {
			return err
		}
		p := byHash[hash]
		if p == nil {
			p = &told{hash: hash, first: at, instance: id}
			byHash[hash] = p
			all = append(all, p)
		}
		if at.before(p.first) {
			p.first, p.instance = at, id
		}
		p.instances++
		return nil
	}, "SELECT i.id, i.received, i.object_id, i.patient FROM series e JOIN instances i ON i.series_id = e.id WHERE e.study_id = $1", study)
	if err != nil {
		return err
	}
	if err := b.exec("DELETE FROM patients WHERE study_id = $1", study); err != nil || len(all) == 0 {
		return err
	}
	slices.SortFunc(all, func(p, q *told) int {
		return cmp.Or(cmp.Compare(p.first.received, q.first.received), strings.Compare(p.first.object, q.first.object))
	})
	all = all[:min(len(all), maxPatients)]
	mixed := int64(0)
	if len(all) > 1 {
		tenant := ""
		err := b.each(func(scan scanner) error { return scan(&tenant) }, "SELECT tenant FROM studies WHERE id = $1", study)
		if err != nil {
			return err
		}
		for i, p := range all {
			if p.all, err = b.attributesOf(p.instance); err != nil {
				return err
			}
			p.who, p.issuer = whoIs(p.all), fold(find(p.all, "IssuerOfPatientID"))
			for _, q := range all[:i] {
				if p.another(q) {
					mixed = 1
				}
			}
		}
		for _, p := range all {
			own := slices.DeleteFunc(slices.Clone(p.all), func(x pair) bool { return !ofPatient[x.keyword] })
			n := spellName(p.groups)
			err := b.exec(insertPatient, study, tenant, p.first.received, p.first.object, p.instances, p.birthDay, orNull(p.id),
				orNull(p.groups[0]), orNull(p.groups[1]), orNull(p.groups[2]), orNull(n.pinyin), n.all, n.words, terms(own, StudyLevel), pack(own, -1))
			if err != nil {
				return err
			}
		}
	}
	if s != nil {
		s.patient, s.patients = all[0].hash, int64(len(all))
	}
	return b.exec("UPDATE studies SET patient = $1, patients = $2, mixed = $3 WHERE id = $4", all[0].hash, int64(len(all)), mixed, study)
}

// PatientConflict is a study whose instances are of more than one patient.
type PatientConflict struct {
	StudyInstanceUID string    `json:"study"`
	Patients         []Patient `json:"patients"` // the one whose instance was received first comes first
}

// Patient is one way in which instances of a study tell the patient, as they have it.
type Patient struct {
	PatientID         string `json:"patient_id"`
	IssuerOfPatientID string `json:"issuer_of_patient_id,omitempty"`
	PatientName       string `json:"patient_name"`
	PatientBirthDate  string `json:"patient_birth_date,omitempty"`
	Instances         int64  `json:"instances"`
	ReceivedAt        string `json:"received_at"` // RFC 3339, of the first instance
}

// PatientConflicts lists studies whose instances are of more than one patient, newest first: PatientIDs or dates
// of birth differ, or names where an id is missing. Searches find them by each of these patients; their rows show
// the first one. A limit of 0 or less means all.
func (db *DB) PatientConflicts(ctx context.Context, tenant string, limit, offset int) ([]PatientConflict, error) {
	const op = "read patient conflicts"
	most, skip := window(limit, offset)
	found, err := db.engine.query(ctx, `SELECT id, study_instance_uid FROM studies WHERE tenant = $1 AND mixed = 1
		ORDER BY first_received DESC, study_instance_uid DESC LIMIT $2 OFFSET $3`, tenant, most, skip)
	if err != nil {
		return nil, db.failed(ctx, op, err)
	}
	defer found.Close()
	var out []PatientConflict
	var ids []int64
	for found.Next() {
		var c PatientConflict
		var id int64
		if err := found.Scan(&id, &c.StudyInstanceUID); err != nil {
			return nil, db.failed(ctx, op, err)
		}
		out, ids = append(out, c), append(ids, id)
	}
	if err := found.Err(); err != nil {
		return nil, db.failed(ctx, op, err)
	}
	found.Close() //nolint:errcheck // read to its end; the next query may need the connection
	for i, id := range ids {
		if out[i].Patients, err = db.patientsOf(ctx, id); err != nil {
			return nil, db.failed(ctx, op, err)
		}
	}
	return out, nil
}

func (db *DB) patientsOf(ctx context.Context, study int64) ([]Patient, error) {
	found, err := db.engine.query(ctx, `SELECT first_received, instances, attributes FROM patients WHERE study_id = $1
		ORDER BY first_received, first_object`, study)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var out []Patient
	for found.Next() {
		var p Patient
		var received int64
		var packed []byte
		if err := found.Scan(&received, &p.Instances, &packed); err != nil {
			return nil, err
		}
		m := make(map[string]string)
		if err := unpackInto(m, packed); err != nil {
			return nil, fmt.Errorf("patient: %w", err)
		}
		p.PatientID, p.IssuerOfPatientID = m["PatientID"], m["IssuerOfPatientID"]
		p.PatientName, p.PatientBirthDate = m["PatientName"], m["PatientBirthDate"]
		p.ReceivedAt = instant(received)
		out = append(out, p)
	}
	return out, found.Err()
}
