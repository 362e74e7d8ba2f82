package part10

// indexedAttribute is an attribute that goes into Object.Attributes.
type indexedAttribute struct {
	tag  uint32
	name string
}

// indexed are the attributes of the data set's top level that queries ask for (PS3.18 §10.6.3.3, PS3.4
// §C.6) or pages show, in ascending order.
var indexed = [...]indexedAttribute{
	{0x00080005, "SpecificCharacterSet"},
	{0x00080008, "ImageType"},
	{0x00080016, "SOPClassUID"},
	{0x00080018, "SOPInstanceUID"},
	{0x00080020, "StudyDate"},
	{0x00080021, "SeriesDate"},
	{0x00080022, "AcquisitionDate"},
	{0x00080023, "ContentDate"},
	{0x0008002A, "AcquisitionDateTime"},
	{0x00080030, "StudyTime"},
	{0x00080031, "SeriesTime"},
	{0x00080032, "AcquisitionTime"},
	{0x00080033, "ContentTime"},
	{0x00080050, "AccessionNumber"},
	{0x00080060, "Modality"},
	{0x00080070, "Manufacturer"},
	{0x00080080, "InstitutionName"},
	{0x00080090, "ReferringPhysicianName"},
	{0x00080201, "TimezoneOffsetFromUTC"},
	{0x00081010, "StationName"},
	{0x00081030, "StudyDescription"},
	{0x0008103E, "SeriesDescription"},
	{0x00081050, "PerformingPhysicianName"},
	{0x00081070, "OperatorsName"},
	{0x00081090, "ManufacturerModelName"},
	{0x00100010, "PatientName"},
	{0x00100020, "PatientID"},
	{0x00100021, "IssuerOfPatientID"},
	{0x00100030, "PatientBirthDate"},
	{0x00100040, "PatientSex"},
	{0x00101000, "OtherPatientIDs"},
	{0x00101010, "PatientAge"},
	{0x00180015, "BodyPartExamined"},
	{0x00181030, "ProtocolName"},
	{0x0020000D, "StudyInstanceUID"},
	{0x0020000E, "SeriesInstanceUID"},
	{0x00200010, "StudyID"},
	{0x00200011, "SeriesNumber"},
	{0x00200013, "InstanceNumber"},
	{0x00200060, "Laterality"},
	{0x00280002, "SamplesPerPixel"},
	{0x00280004, "PhotometricInterpretation"},
	{0x00280008, "NumberOfFrames"},
	{0x00280010, "Rows"},
	{0x00280011, "Columns"},
	{0x00280100, "BitsAllocated"},
	{0x00400244, "PerformedProcedureStepStartDate"},
	{0x00400245, "PerformedProcedureStepStartTime"},
	{0x00420010, "DocumentTitle"},
	{0x00420012, "MIMETypeOfEncapsulatedDocument"},
}

const (
	tagRequestAttributes = 0x00400275
	tagConceptNameCode   = 0x0040A043
)

// indexedInItem returns the name of an indexed attribute of an item of a top-level sequence, "" for all
// others.
func indexedInItem(sequence, tag uint32) string {
	switch {
	case sequence == tagRequestAttributes && tag == 0x00400009:
		return "RequestAttributesSequence.ScheduledProcedureStepID"
	case sequence == tagRequestAttributes && tag == 0x00401001:
		return "RequestAttributesSequence.RequestedProcedureID"
	case sequence == tagConceptNameCode && tag == 0x00080104:
		return "ConceptNameCodeSequence.CodeMeaning"
	}
	return ""
}

// IndexedAttributes are the keys that Object.Attributes may have.
var IndexedAttributes = func() []string {
	names := make([]string, 0, len(indexed)+3)
	for _, a := range indexed {
		names = append(names, a.name)
	}
	return append(names,
		indexedInItem(tagRequestAttributes, 0x00400009),
		indexedInItem(tagRequestAttributes, 0x00401001),
		indexedInItem(tagConceptNameCode, 0x00080104))
}()

// Bounds of one index attribute, characters: what an index column and a page can carry. The header has
// the whole value.
const (
	maxAttribute  = 1024
	maxPersonName = 5 * 64
)
