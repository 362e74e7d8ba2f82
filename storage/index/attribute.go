package index

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// attribute is what the index knows of a DICOM attribute: where it belongs and how it is matched.
type attribute struct {
	level  Level
	vr     string
	column string // of the level's table; "" for those kept in terms
}

// known is every attribute that can be matched. Events may carry more: those are kept and shown with
// the instance.
var known = map[string]attribute{
	"StudyInstanceUID": {StudyLevel, "UI", "study_instance_uid"},
	"StudyDate":        {StudyLevel, "DA", "day"},
	"StudyTime":        {StudyLevel, "TM", "clock"},
	"PatientBirthDate": {StudyLevel, "DA", "birth_day"},
	"PatientID":        {StudyLevel, "LO", "patient_id"},
	"AccessionNumber":  {StudyLevel, "SH", "accession_number"},
	"StudyDescription": {StudyLevel, "LO", "description"},
	"PatientName":      {StudyLevel, "PN", "names"},

	"AdmissionID":                   {StudyLevel, "LO", ""},
	"AdmittingDiagnosesDescription": {StudyLevel, "LO", ""},
	"ConsultingPhysicianName":       {StudyLevel, "PN", ""},
	"EthnicGroup":                   {StudyLevel, "SH", ""},
	"IssuerOfPatientID":             {StudyLevel, "LO", ""},
	"NameOfPhysiciansReadingStudy":  {StudyLevel, "PN", ""},
	"Occupation":                    {StudyLevel, "SH", ""},
	"OtherPatientIDs":               {StudyLevel, "LO", ""},
	"OtherPatientNames":             {StudyLevel, "PN", ""},
	"PatientAge":                    {StudyLevel, "AS", ""},
	"PatientComments":               {StudyLevel, "LT", ""},
	"PatientSex":                    {StudyLevel, "CS", ""},
	"PatientSize":                   {StudyLevel, "DS", ""},
	"PatientWeight":                 {StudyLevel, "DS", ""},
	"PhysiciansOfRecord":            {StudyLevel, "PN", ""},
	"ReferringPhysicianName":        {StudyLevel, "PN", ""},
	"RequestingPhysician":           {StudyLevel, "PN", ""},
	"RequestingService":             {StudyLevel, "LO", ""},
	"ServiceEpisodeID":              {StudyLevel, "LO", ""},
	"StudyComments":                 {StudyLevel, "LT", ""},
	"StudyID":                       {StudyLevel, "SH", ""},
	"TimezoneOffsetFromUTC":         {StudyLevel, "SH", ""},
	"TypeOfPatientID":               {StudyLevel, "CS", ""},

	"SeriesInstanceUID":               {SeriesLevel, "UI", "series_instance_uid"},
	"SeriesNumber":                    {SeriesLevel, "IS", "number"},
	"Modality":                        {SeriesLevel, "CS", "modality"},
	"SeriesDate":                      {SeriesLevel, "DA", "day"},
	"SeriesTime":                      {SeriesLevel, "TM", "clock"},
	"PerformedProcedureStepStartDate": {SeriesLevel, "DA", "step_day"},
	"PerformedProcedureStepStartTime": {SeriesLevel, "TM", "step_clock"},

	"BodyPartExamined":                  {SeriesLevel, "CS", ""},
	"DeviceSerialNumber":                {SeriesLevel, "LO", ""},
	"FrameOfReferenceUID":               {SeriesLevel, "UI", ""},
	"InstitutionName":                   {SeriesLevel, "LO", ""},
	"InstitutionalDepartmentName":       {SeriesLevel, "LO", ""},
	"Laterality":                        {SeriesLevel, "CS", ""},
	"Manufacturer":                      {SeriesLevel, "LO", ""},
	"ManufacturerModelName":             {SeriesLevel, "LO", ""},
	"OperatorsName":                     {SeriesLevel, "PN", ""},
	"PatientPosition":                   {SeriesLevel, "CS", ""},
	"PerformedProcedureStepDescription": {SeriesLevel, "LO", ""},
	"PerformedProcedureStepID":          {SeriesLevel, "SH", ""},
	"PerformingPhysicianName":           {SeriesLevel, "PN", ""},
	"ProtocolName":                      {SeriesLevel, "LO", ""},
	"SeriesDescription":                 {SeriesLevel, "LO", ""},
	"SoftwareVersions":                  {SeriesLevel, "LO", ""},
	"StationName":                       {SeriesLevel, "SH", ""},

	"RequestAttributesSequence.AccessionNumber":                   {SeriesLevel, "SH", ""},
	"RequestAttributesSequence.RequestedProcedureDescription":     {SeriesLevel, "LO", ""},
	"RequestAttributesSequence.RequestedProcedureID":              {SeriesLevel, "SH", ""},
	"RequestAttributesSequence.ScheduledProcedureStepDescription": {SeriesLevel, "LO", ""},
	"RequestAttributesSequence.ScheduledProcedureStepID":          {SeriesLevel, "SH", ""},
	"RequestAttributesSequence.StudyInstanceUID":                  {SeriesLevel, "UI", ""},

	"SOPInstanceUID":      {InstanceLevel, "UI", "sop_instance_uid"},
	"SOPClassUID":         {InstanceLevel, "UI", "sop_class_uid"},
	"InstanceNumber":      {InstanceLevel, "IS", "number"},
	"ContentDate":         {InstanceLevel, "DA", "content_day"},
	"ContentTime":         {InstanceLevel, "TM", "content_clock"},
	"AcquisitionDate":     {InstanceLevel, "DA", "acquisition_day"},
	"AcquisitionTime":     {InstanceLevel, "TM", "acquisition_clock"},
	"AcquisitionDateTime": {InstanceLevel, "DT", "acquired"},

	"AcquisitionNumber":         {InstanceLevel, "IS", ""},
	"BitsAllocated":             {InstanceLevel, "US", ""},
	"Columns":                   {InstanceLevel, "US", ""},
	"ContentLabel":              {InstanceLevel, "CS", ""},
	"DocumentTitle":             {InstanceLevel, "ST", ""},
	"ImageType":                 {InstanceLevel, "CS", ""},
	"NumberOfFrames":            {InstanceLevel, "IS", ""},
	"PhotometricInterpretation": {InstanceLevel, "CS", ""},
	"Rows":                      {InstanceLevel, "US", ""},
	"SamplesPerPixel":           {InstanceLevel, "US", ""},
	"SpecificCharacterSet":      {InstanceLevel, "CS", ""},

	"ConceptNameCodeSequence.CodeMeaning": {InstanceLevel, "LO", ""},
	"MIMETypeOfEncapsulatedDocument":      {InstanceLevel, "LO", ""},

	// Computed ones (PS3.4 Table C.6-5, PS3.18 Table 10.6.1-5).
	"ModalitiesInStudy":          {StudyLevel, "CS", "modalities"},
	"SOPClassesInStudy":          {StudyLevel, "UI", "sop_classes"},
	"AvailableTransferSyntaxUID": {InstanceLevel, "UI", "transfer_syntax_uid"},
}

// ofPatient is what searches compare with each patient of a study that has several.
var ofPatient = map[string]bool{
	"PatientName": true, "PatientID": true, "IssuerOfPatientID": true, "TypeOfPatientID": true, "PatientBirthDate": true,
	"PatientSex": true, "OtherPatientIDs": true, "OtherPatientNames": true, "EthnicGroup": true, "PatientComments": true,
}

// computed attributes come from the index itself, never from an event.
var computed = map[string]bool{
	"ModalitiesInStudy": true, "SOPClassesInStudy": true, "NumberOfStudyRelatedSeries": true,
	"NumberOfStudyRelatedInstances": true, "NumberOfSeriesRelatedInstances": true,
	"AvailableTransferSyntaxUID": true, "InstanceAvailability": true,
}

// levelOf tells where an attribute of an event belongs.
func levelOf(keyword string) Level {
	if a, ok := known[keyword]; ok {
		return a.level
	}
	if strings.HasPrefix(keyword, "RequestAttributesSequence.") {
		return SeriesLevel
	}
	return InstanceLevel
}

// pair is one attribute with its value.
type pair struct{ keyword, value string }

// pairs sorts a map of attributes.
func pairs(m map[string]string) []pair {
	out := make([]pair, 0, len(m))
	for k, v := range m {
		if v != "" && !computed[k] {
			out = append(out, pair{k, v})
		}
	}
	slices.SortFunc(out, func(a, b pair) int { return strings.Compare(a.keyword, b.keyword) })
	return out
}

// pack writes the attributes of one level, of all for a negative level: keyword and value in turn, each
// behind its length. Reading it costs a tenth of reading JSON, which counts for 101 rows.
func pack(all []pair, level Level) []byte {
	size := 0
	for _, p := range all {
		size += len(p.keyword) + len(p.value) + 4
	}
	out := make([]byte, 0, size)
	for _, p := range all {
		if level < 0 || levelOf(p.keyword) == level {
			out = binary.AppendUvarint(out, uint64(len(p.keyword)))
			out = append(out, p.keyword...)
			out = binary.AppendUvarint(out, uint64(len(p.value)))
			out = append(out, p.value...)
		}
	}
	return out
}

var errPacked = errors.New("attributes of a row are damaged")

// unpackInto adds packed attributes to m.
func unpackInto(m map[string]string, packed []byte) error {
	s := string(packed) // one allocation for all values
	next := func() (string, bool) {
		n, used := binary.Uvarint(packed)
		if used <= 0 || n > uint64(len(packed)-used) {
			return "", false
		}
		out := s[used : used+int(n)]
		s, packed = s[used+int(n):], packed[used+int(n):]
		return out, true
	}
	for len(packed) > 0 {
		k, ok1 := next()
		v, ok2 := next()
		if !ok1 || !ok2 {
			return errPacked
		}
		m[k] = v
	}
	return nil
}

// noNumber stands for a SeriesNumber or InstanceNumber that is absent or no number: it sorts last.
const noNumber = math.MaxInt64

func number(s string) int64 {
	n, err := strconv.ParseInt(strings.Trim(s, " \x00"), 10, 32) // PS3.5 §6.2: IS fits 32 bits
	if err != nil {
		return noNumber
	}
	return n
}

// isNumber tells VRs that are compared as whole numbers.
func isNumber(vr string) bool { return vr == "IS" || vr == "US" }

// foldValue is the form in which a value of vr is compared.
func foldValue(vr, v string) string {
	switch {
	case vr == "UI":
		return foldUID(v)
	case isNumber(vr):
		if n := number(v); n != noNumber {
			return strconv.FormatInt(n, 10)
		}
	}
	return fold(v)
}

// terms joins the attributes of a level that have no column: separator, keyword, "=", value; closed by
// a separator. Each value of several and each component group of a name stands for itself.
func terms(all []pair, level Level) string {
	var b strings.Builder
	add := func(keyword, folded string) {
		if folded == "" {
			return
		}
		b.WriteString(separator)
		b.WriteString(keyword)
		b.WriteByte('=')
		b.WriteString(folded)
	}
	for _, p := range all {
		a, ok := known[p.keyword]
		if !ok || a.level != level || a.column != "" {
			continue
		}
		for rest, more := p.value, true; more; {
			var v string
			v, rest, more = strings.Cut(rest, `\`)
			if a.vr != "PN" {
				add(p.keyword, foldValue(a.vr, v))
				continue
			}
			for _, g := range nameGroups(v) {
				add(p.keyword, g)
			}
		}
	}
	if b.Len() > 0 {
		b.WriteString(separator)
	}
	return b.String()
}

// set is a sorted set of values, written \a\b\ and "" when it is empty.
type set []string

func parseSet(s string) set {
	if s = strings.Trim(s, `\`); s == "" {
		return nil
	}
	return strings.Split(s, `\`)
}

// with returns s with v; s itself when it is there already, or v is empty.
func (s set) with(v string) set {
	at, found := slices.BinarySearch(s, v)
	if found || v == "" {
		return s
	}
	return slices.Insert(slices.Clone(s), at, v)
}

// maxSet bounds the values of a set that lies in an index. Those kept are the first in order, so that they do not
// depend on which came first. Studies have one to four modalities.
const maxSet = 12

func (s set) bounded() set { return s[:min(len(s), maxSet)] }

func (s set) String() string {
	if len(s) == 0 {
		return ""
	}
	return `\` + strings.Join(s, `\`) + `\`
}
