package wfdb

import (
	"regexp"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// fieldMark is "<age>:" or "Age:" at the start of a comment, or further marks in brackets behind it.
var fieldMark = regexp.MustCompile(`<([A-Za-z ]{1,30})>:?`)

// mitComment is the first comment of the MIT-BIH database: age, sex and the numbers of tape and recorder.
var mitComment = regexp.MustCompile(`^(\d{1,3}) ([MF])( |$)`)

// comments reads what databases write into comments: age, sex, diagnoses, medication. All of them are kept as
// remarks where they say anything else.
func (d *decoder) comments(lines []string) {
	for _, line := range lines {
		if line == "" {
			continue
		}
		if marks := fieldMark.FindAllStringSubmatchIndex(line, -1); len(marks) > 0 && marks[0][0] == 0 {
			for i, m := range marks {
				end := len(line)
				if i+1 < len(marks) {
					end = marks[i+1][0]
				}
				d.field(line[m[2]:m[3]], strings.TrimSpace(line[m[1]:end]), "")
			}
			continue
		}
		if m := mitComment.FindStringSubmatch(line); m != nil {
			d.field("age", m[1], "")
			d.field("sex", m[2], "")
			d.remark(line)
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			d.remark(line)
			continue
		}
		d.field(strings.TrimSpace(name), strings.TrimSpace(value), line)
	}
}

// remark keeps a comment about the patient.
func (d *decoder) remark(line string) {
	if line != "" && len(d.rec.Patient.Remarks) < maxComments {
		d.rec.Patient.Remarks = append(d.rec.Patient.Remarks, line)
	}
}

// field reads one named comment; line is the whole of it, kept when the name says nothing to us.
func (d *decoder) field(name, value, line string) {
	p := &d.rec.Patient
	switch strings.ToLower(value) {
	case "", "n/a", "(none)", "none", "unknown", "nan", "?":
		return
	}
	switch strings.ToLower(name) {
	case "age":
		if n, err := ecg.ParseRat(value); err == nil && n.Sign() >= 0 && n.Cmp(ecg.Int(150)) <= 0 {
			p.Age = ecg.Quantity{Value: n, Unit: "a"}
		}
	case "sex", "gender":
		switch strings.ToLower(value) {
		case "m", "male", "男":
			p.Sex = "M"
		case "f", "female", "女":
			p.Sex = "F"
		}
	case "dx", "diagnoses", "diagnosis", "diagnose":
		for _, part := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' }) {
			part = strings.TrimSpace(part)
			if part == "" || len(d.rec.Statements) >= d.lim.Statements {
				continue
			}
			s := ecg.Statement{Text: part}
			if strings.Trim(part, "0123456789") == "" { // SNOMED CT, in the CinC challenges
				s.Code = part
			}
			d.rec.Statements = append(d.rec.Statements, s)
		}
	case "rx", "medications", "medication":
		if strings.Trim(strings.ToLower(value), "unkow ") != "" && len(p.Medication) < maxComments {
			p.Medication = append(p.Medication, value)
		}
	case "height":
		if n, err := ecg.ParseRat(value); err == nil && n.Sign() > 0 {
			p.HeightCM = n
		}
	case "weight":
		if n, err := ecg.ParseRat(value); err == nil && n.Sign() > 0 {
			p.WeightKG = n
		}
	case "reason for admission":
		d.rec.Context.Reason = value
		d.remark(line)
	default:
		d.remark(line)
	}
}
