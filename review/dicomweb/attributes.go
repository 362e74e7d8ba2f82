package dicomweb

import (
	"slices"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/dict"
	"github.com/tributary-dicom/tributary/storage/index"
)

// Tags that are not copied from a row but made or treated by name.
const (
	tagSpecificCharacterSet       = 0x00080005
	tagInstanceAvailability       = 0x00080056
	tagRetrieveURL                = 0x00081190
	tagAvailableTransferSyntaxUID = 0x00083002
)

// column is one attribute of a search result.
type column struct {
	tag      uint32
	vr       string
	keyword  string
	required bool     // present without a value when unknown (type 1 and 2 of PS3.18 §10.6.3.3)
	items    []column // of a sequence, whose row keys are "keyword.item keyword"
	header   bool     // from the header JSON when the row does not have it
}

// plan is a set of columns in ascending order of tags, as DICOM JSON wants (PS3.18 §F.2.2).
type plan []column

// Result attributes by level, PS3.18 Tables 10.6.3-3, 10.6.3-4 and 10.6.3-5. What is not required is
// returned when known. Descriptions and the issuer are ours: every client asks for the former, and a
// Patient ID without its issuer is a danger to patients.
var (
	studyColumns = plan{
		{tag: tagSpecificCharacterSet, vr: "CS", keyword: "SpecificCharacterSet", required: true},
		{tag: 0x00080020, vr: "DA", keyword: "StudyDate", required: true},
		{tag: 0x00080030, vr: "TM", keyword: "StudyTime", required: true},
		{tag: 0x00080050, vr: "SH", keyword: "AccessionNumber", required: true},
		{tag: tagInstanceAvailability, vr: "CS", keyword: "InstanceAvailability", required: true},
		{tag: 0x00080061, vr: "CS", keyword: "ModalitiesInStudy", required: true},
		{tag: 0x00080090, vr: "PN", keyword: "ReferringPhysicianName", required: true},
		{tag: 0x00080201, vr: "SH", keyword: "TimezoneOffsetFromUTC"},
		{tag: 0x00081030, vr: "LO", keyword: "StudyDescription"},
		{tag: tagRetrieveURL, vr: "UR", keyword: "RetrieveURL", required: true},
		{tag: 0x00100010, vr: "PN", keyword: "PatientName", required: true},
		{tag: 0x00100020, vr: "LO", keyword: "PatientID", required: true},
		{tag: 0x00100021, vr: "LO", keyword: "IssuerOfPatientID"},
		{tag: 0x00100030, vr: "DA", keyword: "PatientBirthDate", required: true},
		{tag: 0x00100040, vr: "CS", keyword: "PatientSex", required: true},
		{tag: 0x0020000D, vr: "UI", keyword: "StudyInstanceUID", required: true},
		{tag: 0x00200010, vr: "SH", keyword: "StudyID", required: true},
		{tag: 0x00201206, vr: "IS", keyword: "NumberOfStudyRelatedSeries", required: true},
		{tag: 0x00201208, vr: "IS", keyword: "NumberOfStudyRelatedInstances", required: true},
	}
	seriesColumns = plan{
		{tag: tagSpecificCharacterSet, vr: "CS", keyword: "SpecificCharacterSet", required: true},
		{tag: 0x00080060, vr: "CS", keyword: "Modality", required: true},
		{tag: 0x00080201, vr: "SH", keyword: "TimezoneOffsetFromUTC"},
		{tag: 0x0008103E, vr: "LO", keyword: "SeriesDescription"},
		{tag: tagRetrieveURL, vr: "UR", keyword: "RetrieveURL", required: true},
		{tag: 0x0020000D, vr: "UI", keyword: "StudyInstanceUID", required: true},
		{tag: 0x0020000E, vr: "UI", keyword: "SeriesInstanceUID", required: true},
		{tag: 0x00200011, vr: "IS", keyword: "SeriesNumber", required: true},
		{tag: 0x00201209, vr: "IS", keyword: "NumberOfSeriesRelatedInstances", required: true},
		{tag: 0x00400244, vr: "DA", keyword: "PerformedProcedureStepStartDate"},
		{tag: 0x00400245, vr: "TM", keyword: "PerformedProcedureStepStartTime"},
		{tag: 0x00400275, vr: "SQ", keyword: "RequestAttributesSequence", items: []column{
			{tag: 0x00400009, vr: "SH", keyword: "ScheduledProcedureStepID"},
			{tag: 0x00401001, vr: "SH", keyword: "RequestedProcedureID"},
		}},
	}
	instanceColumns = plan{
		{tag: tagSpecificCharacterSet, vr: "CS", keyword: "SpecificCharacterSet", required: true},
		{tag: 0x00080016, vr: "UI", keyword: "SOPClassUID", required: true},
		{tag: 0x00080018, vr: "UI", keyword: "SOPInstanceUID", required: true},
		{tag: tagInstanceAvailability, vr: "CS", keyword: "InstanceAvailability", required: true},
		{tag: 0x00080201, vr: "SH", keyword: "TimezoneOffsetFromUTC"},
		{tag: tagRetrieveURL, vr: "UR", keyword: "RetrieveURL", required: true},
		{tag: tagAvailableTransferSyntaxUID, vr: "UI", keyword: "AvailableTransferSyntaxUID", required: true},
		{tag: 0x0020000D, vr: "UI", keyword: "StudyInstanceUID", required: true},
		{tag: 0x0020000E, vr: "UI", keyword: "SeriesInstanceUID", required: true},
		{tag: 0x00200013, vr: "IS", keyword: "InstanceNumber", required: true},
		{tag: 0x00280008, vr: "IS", keyword: "NumberOfFrames"},
		{tag: 0x00280010, vr: "US", keyword: "Rows"},
		{tag: 0x00280011, vr: "US", keyword: "Columns"},
		{tag: 0x00280100, vr: "US", keyword: "BitsAllocated"},
	}
)

// merge returns the union of plans, each tag once, in ascending order.
func merge(plans ...plan) plan {
	var out plan
	for _, p := range plans {
		for _, c := range p {
			i, found := slices.BinarySearchFunc(out, c.tag, func(c column, tag uint32) int { return compareTags(c.tag, tag) })
			if !found {
				out = slices.Insert(out, i, c)
			} else if c.required {
				out[i].required = true
			}
		}
	}
	return out
}

func compareTags(a, b uint32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// defaults returns the columns of a search: those of its level, and those of the levels above it that
// the path does not pin (PS3.18 §10.6.3.3).
func defaults(level index.Level, sc index.Scope) plan {
	switch {
	case level == index.StudyLevel:
		return studyColumns
	case level == index.SeriesLevel && sc.StudyInstanceUID != "":
		return seriesColumns
	case level == index.SeriesLevel:
		return merge(studyColumns, seriesColumns)
	case sc.SeriesInstanceUID != "":
		return instanceColumns
	case sc.StudyInstanceUID != "":
		return merge(seriesColumns, instanceColumns)
	}
	return merge(studyColumns, seriesColumns, instanceColumns)
}

// extend adds the attributes that a search asks for.
func extend(p plan, level index.Level, include []uint32) plan {
	var extra plan
	for _, tag := range include {
		extra = append(extra, columnOf(tag, level))
	}
	return merge(p, extra)
}

// columnOf describes any attribute. An attribute of a group that no header JSON has (File Meta, group
// length) never gets a value.
func columnOf(tag uint32, level index.Level) column {
	for _, p := range []plan{studyColumns, seriesColumns, instanceColumns} {
		if i, found := slices.BinarySearchFunc(p, tag, func(c column, tag uint32) int { return compareTags(c.tag, tag) }); found {
			c := p[i]
			c.required = false
			c.header = fromHeader(c, level)
			return c
		}
	}
	vr, _, _ := strings.Cut(dict.VR(tag), "/")
	c := column{tag: tag, vr: vr, keyword: dict.Keyword(tag)}
	c.header = fromHeader(c, level)
	return c
}

// fromHeader reports whether an attribute that the row lacks is worth opening the header JSON of an
// instance. The header is one instance's: what is true of a study must be an attribute of the study, so
// that /studies?includefield=00080060, which OHIF sends all day, costs nothing and says nothing wrong.
func fromHeader(c column, level index.Level) bool {
	switch {
	case computed[c.keyword], isIndexed(c.keyword):
		return false
	case level == index.InstanceLevel:
		return true
	case level == index.SeriesLevel && seriesTags[c.tag]:
		return true
	}
	return c.tag>>16 == 0x0010 || c.tag>>16 == 0x0032 || studyTags[c.tag]
}

// computed are attributes that the index makes, by keyword; no header has them with our meaning.
var computed = map[string]bool{
	"ModalitiesInStudy": true, "SOPClassesInStudy": true, "NumberOfStudyRelatedSeries": true,
	"NumberOfStudyRelatedInstances": true, "NumberOfSeriesRelatedInstances": true,
	"AvailableTransferSyntaxUID": true, "InstanceAvailability": true, "RetrieveURL": true,
	"SpecificCharacterSet": true, "NumberOfPatientRelatedStudies": true,
	"NumberOfPatientRelatedSeries": true, "NumberOfPatientRelatedInstances": true,
}

// studyTags are attributes of the study outside groups 0010 and 0032 (PS3.3 §C.7.2).
var studyTags = map[uint32]bool{
	0x00080020: true, 0x00080030: true, 0x00080050: true, 0x00080051: true, 0x00080090: true,
	0x00080096: true, 0x0008009C: true, 0x00080201: true, 0x00081030: true, 0x00081032: true,
	0x00081048: true, 0x00081049: true, 0x00081060: true, 0x00081062: true, 0x00081078: true,
	0x00081080: true, 0x00081084: true, 0x00081110: true, 0x00200010: true, 0x0020000D: true,
	0x00401012: true,
}

// seriesTags are attributes of the series and its equipment (PS3.3 §C.7.3.1, §C.7.5.1).
var seriesTags = map[uint32]bool{
	0x00080021: true, 0x00080031: true, 0x00080060: true, 0x00080070: true, 0x00080080: true,
	0x00080081: true, 0x00081010: true, 0x0008103E: true, 0x0008103F: true, 0x00081040: true,
	0x00081050: true, 0x00081052: true, 0x00081070: true, 0x00081072: true, 0x00081090: true,
	0x00081111: true, 0x00180015: true, 0x00181000: true, 0x00181020: true, 0x00181030: true,
	0x00185100: true, 0x00200011: true, 0x0020000E: true, 0x00200060: true, 0x00200052: true,
	0x00201040: true, 0x00400244: true, 0x00400245: true, 0x00400250: true, 0x00400251: true,
	0x00400253: true, 0x00400254: true, 0x00400260: true, 0x00400275: true,
}
