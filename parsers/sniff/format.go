package sniff

// Format names what a file is. Names are stored with objects: they are added, never renamed.
type Format string

// What the first bytes can tell.
const (
	Unknown Format = "unknown"

	DICOM Format = "dicom" // PS3.10, with or without preamble

	// Recordings of the heart.
	SCPECG     Format = "scp-ecg"        // EN 1064, ISO 41064
	AECG       Format = "aecg"           // HL7 annotated ECG
	MUSE       Format = "muse-xml"       // GE MUSE RestingECG
	Sierra     Format = "sierra-xml"     // Philips restingecgdata
	CardioSoft Format = "cardiosoft-xml" // GE CardioSoft, CASE, MAC
	ELI        Format = "eli-xml"        // Mortara, Hillrom
	Schiller   Format = "schiller-xml"
	Zoncare    Format = "zoncare-xml"
	EDF        Format = "edf" // and EDF+
	BDF        Format = "bdf"
	ISHNE      Format = "ishne"
	ISHNEAnn   Format = "ishne-ann" // companion of an ISHNE recording
	MFER       Format = "mfer"      // ISO 22077
	WFDBHeader Format = "wfdb-header"
	Contec     Format = "contec-ecg"
	HealForce  Format = "healforce-ecg" // named .SCP by its maker, and not SCP-ECG
	FHIR       Format = "fhir"          // a FHIR resource, JSON or XML

	// Documents and pictures.
	PDF  Format = "pdf"
	JPEG Format = "jpeg"
	PNG  Format = "png"
	MP4  Format = "mp4"
	XML  Format = "xml" // of no known kind

	// Wrappings.
	ZIP  Format = "zip"
	GZIP Format = "gzip"
	TAR  Format = "tar"
)

// String returns the name.
func (f Format) String() string { return string(f) }

// MediaType returns the Content-Type under which a file of the format is given out.
func (f Format) MediaType() string {
	switch f {
	case DICOM:
		return "application/dicom"
	case AECG, MUSE, Sierra, CardioSoft, ELI, Schiller, Zoncare, XML:
		return "application/xml"
	case EDF, BDF:
		return "application/x-" + string(f)
	case PDF:
		return "application/pdf"
	case JPEG:
		return "image/jpeg"
	case PNG:
		return "image/png"
	case MP4:
		return "video/mp4"
	case ZIP:
		return "application/zip"
	case GZIP:
		return "application/gzip"
	case TAR:
		return "application/x-tar"
	}
	return "application/octet-stream"
}

// ECG reports whether the format is a recording of the heart other than DICOM.
func (f Format) ECG() bool {
	switch f {
	case SCPECG, AECG, MUSE, Sierra, CardioSoft, ELI, Schiller, Zoncare, EDF, BDF, ISHNE, ISHNEAnn, MFER, WFDBHeader,
		Contec, HealForce:
		return true
	}
	return false
}

// Kept reports whether files of the format are about a patient, so that they are worth keeping even
// where nothing reads them yet.
func (f Format) Kept() bool { return f == DICOM || f == PDF || f == FHIR || f.ECG() }

// Archive reports whether the format wraps other files.
func (f Format) Archive() bool { return f == ZIP || f == GZIP || f == TAR }
