package part10

// Object is what one pass over a DICOM file told. Offsets count bytes from the start of the file as
// stored (preamble included), unless FrameTable.Inflated or Bulk.Inflated says otherwise.
type Object struct {
	Meta          FileMeta
	HasPreamble   bool  // 128 bytes and "DICM" were there
	DatasetOffset int64 // first byte of the data set
	Size          int64 // bytes read in all

	// TransferSyntaxUID is the syntax by which the data set was read: File Meta's, or the one that was
	// told safely for a file without File Meta.
	TransferSyntaxUID string

	SOPClassUID       string // of the data set (0008,0016); File Meta's where the data set has none
	SOPInstanceUID    string // of the data set (0008,0018); File Meta's where the data set has none
	StudyInstanceUID  string
	SeriesInstanceUID string

	// Attributes are the index attributes that the data set has, by keyword, decoded to UTF-8 and
	// trimmed; values of one attribute are joined by a backslash. Attributes of sequence items are keyed
	// "RequestAttributesSequence.ScheduledProcedureStepID". See IndexedAttributes for the list.
	Attributes map[string]string

	// Header is the data set without File Meta as DICOM JSON (PS3.18 Annex F), UTF-8. Bulk values are
	// {"vr":"OW","BulkDataURI":"bulkdata/PATH"} with Bulk.Path; readers put the server's prefix before
	// "bulkdata/".
	Header []byte

	Bulk   []Bulk
	Frames FrameTable

	Warnings []Warning

	// Data elements without items and delimiters: of File Meta, of the data set's top level, and of the
	// data set with everything nested.
	MetaElements, TopElements, AllElements int
}

// FileMeta is what the File Meta Information group said (PS3.10 §7.1).
type FileMeta struct {
	MediaStorageSOPClassUID    string // (0002,0002)
	MediaStorageSOPInstanceUID string // (0002,0003)
	TransferSyntaxUID          string // (0002,0010)
	ImplementationClassUID     string // (0002,0012)
	ImplementationVersionName  string // (0002,0013)
	SourceAETitle              string // (0002,0016)
}

// Bulk is one value that stays in the file: PixelData, WaveformData, Encapsulated Document and every
// value above Limits.InlineValue bytes.
type Bulk struct {
	Path     string `json:"path"` // tags and 0-based item numbers: "7FE00010", "54000100/0/54001010"
	VR       string `json:"vr"`
	Offset   int64  `json:"offset"` // first byte of the value; of the first item for encapsulated PixelData
	Length   int64  `json:"length"` // bytes; all fragments with their item headers for encapsulated PixelData
	Inflated bool   `json:"inflated,omitempty"`
	SHA256   string `json:"sha256,omitempty"` // hex, only with Options.HashBulk; see there
}

// Range is a run of bytes.
type Range struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// Kinds of FrameTable.
const (
	NoFrames     = ""
	Native       = "native"
	Encapsulated = "encapsulated"
)

// Where an encapsulated FrameTable's boundaries came from.
const (
	FromBasicOffsetTable    = "bot"       // PS3.5 §A.4
	FromExtendedOffsetTable = "eot"       // PS3.3 §C.7.6.3.1.8
	FromFragments           = "fragments" // no table: one fragment a frame, all of a single frame, or by codestream markers
)

// FrameTable says where each frame lies, so that any frame is one range read (or one per fragment).
type FrameTable struct {
	Kind  string `json:"kind,omitempty"`
	Count int    `json:"count,omitempty"` // frames that can be read

	// Native: frame i (0-based) has the bits [i·FrameBits, (i+1)·FrameBits) of the value at Offset;
	// byte aligned unless BitsAllocated is 1.
	Offset    int64 `json:"offset,omitempty"`
	FrameBits int64 `json:"frame_bits,omitempty"`

	// Encapsulated: Fragments are the payloads without item headers; First[i] is the index of frame i's
	// first fragment.
	Source    string  `json:"source,omitempty"`
	Fragments []Range `json:"fragments,omitempty"`
	First     []int   `json:"first,omitempty"`

	// Inflated: offsets count in the inflated data set (Deflated Explicit VR Little Endian).
	Inflated bool `json:"inflated,omitempty"`

	// Problem is why frames cannot be told apart ("" when they can), in words for an operator.
	Problem string `json:"problem,omitempty"`
}

// Warning is a blemish of an object that is kept and indexed all the same.
type Warning struct {
	Code   string `json:"code"`             // from the closed list of Warn… constants
	Path   string `json:"path,omitempty"`   // element, as in Bulk.Path
	Offset int64  `json:"offset,omitempty"` // bytes from the start of the file
}

// Limits bounds what Scan trusts. The zero value means DefaultLimits.
type Limits struct {
	Depth       int   // nested sequences
	Elements    int   // data elements in all
	Items       int   // sequence items in all
	Header      int64 // bytes of header kept in memory
	InlineValue int64 // bytes of a value kept in the header; longer ones become Bulk
	Fragments   int   // pixel data fragments that are recorded
	Inflated    int64 // bytes that a deflated data set may become
	Ratio       int64 // inflated bytes for each deflated one, beyond the first MiB
}

// DefaultLimits are design limits: a lower one refuses real objects (enhanced multi-frame headers reach
// several MiB and 100,000 elements), a higher one lets a single hostile object hold the node's memory.
var DefaultLimits = Limits{
	Depth: 64, Elements: 200_000, Items: 100_000, Header: 16 << 20, InlineValue: 64 << 10,
	Fragments: 2_000_000, Inflated: 4 << 30, Ratio: 200,
}

// Options of Scan.
type Options struct {
	Limits Limits

	// HashBulk makes Scan fill Bulk.SHA256: over the value as stored, for encapsulated PixelData over
	// the concatenated fragments without item headers and Basic Offset Table. It costs a second hash of
	// most bytes; admission leaves it off.
	HashBulk bool

	// OnDataset, when set, is called once, as soon as the first byte of the data set is known and before
	// its header is read: admission hashes the data set apart from the File Meta in front of it. offset
	// counts bytes from the start of the file. It is not called for a file that breaks off before.
	OnDataset func(offset int64)

	// Grow, when set, is called with how many bytes more Scan keeps of the object, each time that half a
	// mebibyte has come together: whoever scans many objects at a time bounds there what all of them take.
	// Header, entries and fragments count; what is made of them at the end takes several times as much. An
	// error ends the walk and is the object's verdict, unless it had one.
	Grow func(bytes int64) error

	// LeadingZeros lets identifiers with leading zeros in a component pass, as some devices build them
	// from dates and times. Without it such an object goes to quarantine (reject.Malformed).
	LeadingZeros bool
}
