package patient

import (
	"testing"

	"github.com/tributary-dicom/tributary/storage/index"
)

func study(uid string, pairs ...string) index.Row {
	r := index.Row{Attributes: map[string]string{"StudyInstanceUID": uid, "PatientID": "7"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		r.Attributes[pairs[i]] = pairs[i+1]
	}
	return r
}

func TestSame(t *testing.T) {
	const issuer, born, name, id = "IssuerOfPatientID", "PatientBirthDate", "PatientName", "PatientID"
	several := study("1.2", issuer, "EAST")
	several.SeveralPatients = true
	for what, c := range map[string]struct {
		a, b index.Row
		want bool
	}{
		"the study itself":                    {study("1.1"), study("1.1", id, "8"), true},
		"one issuer":                          {study("1.1", issuer, "EAST"), study("1.2", issuer, "east "), true},
		"one issuer, one date of birth":       {study("1.1", issuer, "EAST", born, "19700101"), study("1.2", issuer, "EAST"), true},
		"one issuer, dates of birth differ":   {study("1.1", issuer, "EAST", born, "19700101"), study("1.2", issuer, "EAST", born, "19700102"), false},
		"issuers differ":                      {study("1.1", issuer, "EAST", born, "19700101"), study("1.2", issuer, "WEST", born, "19700101"), false},
		"one issuer and none":                 {study("1.1", issuer, "EAST", born, "19700101"), study("1.2", born, "19700101"), false},
		"no issuer, one date of birth":        {study("1.1", born, "19700101"), study("1.2", born, "19700101"), true},
		"no issuer, one date, names differ":   {study("1.1", born, "19000101", name, "Zhang^San"), study("1.2", born, "19000101", name, "Li^Si"), false},
		"no issuer, one date, hanzi once":     {study("1.1", born, "19000101", name, "Zhang^San"), study("1.2", born, "19000101", name, "=张^三"), true},
		"no issuer, one group is the same":    {study("1.1", born, "19000101", name, "Zhang^San=张^三"), study("1.2", born, "19000101", name, "Zhang San=張^三"), true},
		"no issuer, one date, sexes differ":   {study("1.1", born, "19000101", "PatientSex", "F"), study("1.2", born, "19000101", "PatientSex", "M"), false},
		"one issuer, another name":            {study("1.1", issuer, "EAST", name, "Wang^Li"), study("1.2", issuer, "EAST", name, "Zhang^Li"), true},
		"no issuer, a date of birth once":     {study("1.1", born, "19700101", name, "A"), study("1.2", name, "A"), false},
		"no issuer, no date, one name":        {study("1.1", name, "Zhang^San=张^三"), study("1.2", name, "ZHANG^SAN=张^三"), true},
		"no issuer, no date, names differ":    {study("1.1", name, "A"), study("1.2", name, "B"), false},
		"nothing but the id":                  {study("1.1"), study("1.2"), false},
		"ids differ":                          {study("1.1", issuer, "EAST"), study("1.2", issuer, "EAST", id, "8"), false},
		"instances of several patients in it": {study("1.1", issuer, "EAST"), several, false},
	} {
		if got := Same(c.a, c.b); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
		if got := Same(c.b, c.a); got != c.want {
			t.Errorf("%s, the other way: %v", what, got)
		}
	}
}

func TestNarrow(t *testing.T) {
	for what, c := range map[string]struct {
		of      index.Row
		keyword string
	}{
		"issuer":              {study("1", "IssuerOfPatientID", " EAST", "PatientBirthDate", "19700101"), "IssuerOfPatientID"},
		"date of birth":       {study("1", "PatientBirthDate", "19700101"), "PatientBirthDate"},
		"no date":             {study("1", "PatientBirthDate", "1970"), ""},
		"a wildcard":          {study("1", "IssuerOfPatientID", "E*"), ""},
		"nothing to go after": {study("1"), ""},
	} {
		m, ok := Narrow(c.of)
		if ok != (c.keyword != "") || ok && m.Keyword != c.keyword {
			t.Errorf("%s: %v %v", what, m, ok)
		}
	}
}
