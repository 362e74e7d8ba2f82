// Package patient tells whose a study is. Readers that show a person's other studies beside one ask it, so that none of
// them ever shows a stranger's (docs/decisions/0018-priors.md).
package patient

import (
	"strings"

	"github.com/tributary-dicom/tributary/storage/index"
)

// Same reports whether two studies with one Patient ID are of one person. Within one issuer they are, unless their dates
// of birth differ. Where nobody says who issued the id it proves nothing by itself: the date of birth must be the same, or
// without one in both the name, and neither name nor sex may contradict (kits write 19000101 for everybody). A study that has itself instances of several patients is nobody's but its own.
func Same(a, b index.Row) bool {
	x, y := a.Attributes, b.Attributes
	if x["StudyInstanceUID"] == y["StudyInstanceUID"] {
		return true
	}
	same := func(keyword string) bool { return SameText(x[keyword], y[keyword]) }
	known := func(keyword string) bool {
		return strings.TrimSpace(x[keyword]) != "" && strings.TrimSpace(y[keyword]) != ""
	}
	if a.SeveralPatients || b.SeveralPatients || !same("PatientID") || !same("IssuerOfPatientID") {
		return false
	}
	if known("IssuerOfPatientID") {
		return same("PatientBirthDate") || !known("PatientBirthDate")
	}
	if known("PatientSex") && !same("PatientSex") || otherName(x["PatientName"], y["PatientName"]) {
		return false
	}
	return same("PatientBirthDate") && (known("PatientBirthDate") || known("PatientName") && same("PatientName"))
}

// otherName reports whether two person names (PS3.5 §6.2.1) have component groups of one kind, and none of these is the
// same. Han characters and the letters that another device writes for them do not contradict.
func otherName(a, b string) bool {
	comparable := false
	theirs := strings.Split(b, "=")
	for i, ours := range strings.Split(a, "=") {
		ours = plainName(ours)
		if i >= len(theirs) || ours == "" || plainName(theirs[i]) == "" {
			continue
		}
		if strings.EqualFold(ours, plainName(theirs[i])) {
			return false
		}
		comparable = true
	}
	return comparable
}

// plainName is a component group by its words alone.
func plainName(group string) string {
	return strings.Join(strings.FieldsFunc(group, func(r rune) bool { return r == '^' || r == ' ' }), " ")
}

// Narrow returns what all studies of a study's patient have in common beside the Patient ID, so that a page of rows is not
// full of strangers' before Same sees it. It is false when there is nothing that the index could compare.
func Narrow(of index.Row) (m index.Match, ok bool) {
	// Within one issuer a study without a date of birth is the patient's all the same, so that is not asked for.
	keyword, v := "IssuerOfPatientID", strings.TrimSpace(of.Attributes["IssuerOfPatientID"])
	if v == "" {
		keyword, v = "PatientBirthDate", strings.TrimSpace(of.Attributes["PatientBirthDate"])
		if len(v) != 8 || strings.Trim(v, "0123456789") != "" {
			return m, false // no date that the index would take as one
		}
	}
	return index.Match{Keyword: keyword, Values: []string{v}}, !strings.ContainsAny(v, `*?\`)
}

// SameText compares as matching does: without regard to case and padding.
func SameText(a, b string) bool { return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)) }
