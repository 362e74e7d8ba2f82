package uid

// Syntax is a transfer syntax (PS3.5 §10 and Annex A). A syntax that is not BigEndian is little endian.
type Syntax struct {
	UID, Name string

	ExplicitVR   bool // data elements carry their VR
	BigEndian    bool // the whole data set
	Deflated     bool // the data set after File Meta is one deflate stream (PS3.5 §A.5)
	Encapsulated bool // PixelData is a sequence of fragments (PS3.5 §A.4)
	Video        bool // moving pictures as one stream, not frame by frame
	Retired      bool
}

// Transfer syntaxes that other packages name.
const (
	ImplicitVRLittleEndian         = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian         = "1.2.840.10008.1.2.1"
	DeflatedExplicitVRLittleEndian = "1.2.840.10008.1.2.1.99"
	ExplicitVRBigEndian            = "1.2.840.10008.1.2.2"
	JPEGBaseline8Bit               = "1.2.840.10008.1.2.4.50"
	GEPrivateBigEndianPixels       = "1.2.840.113619.5.2"
)

// Ways to encode, as the table below combines them.
const (
	explicit = 1 << iota
	bigEndian
	deflated
	encapsulated
	video
	retired
)

const (
	image = explicit | encapsulated
	movie = image | video
)

// syntaxes are the transfer syntaxes of PS3.6 Table A-1 and one private one that archives are full of.
var syntaxes = [...]struct {
	uid, name string
	flags     uint8
}{
	{ImplicitVRLittleEndian, "Implicit VR Little Endian", 0},
	{ExplicitVRLittleEndian, "Explicit VR Little Endian", explicit},
	{"1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", image},
	{DeflatedExplicitVRLittleEndian, "Deflated Explicit VR Little Endian", explicit | deflated},
	{ExplicitVRBigEndian, "Explicit VR Big Endian", explicit | bigEndian | retired},
	{JPEGBaseline8Bit, "JPEG Baseline (Process 1)", image},
	{"1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 & 4)", image},
	{"1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 & 5)", image | retired},
	{"1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 & 8)", image | retired},
	{"1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 & 9)", image | retired},
	{"1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 & 12)", image | retired},
	{"1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 & 13)", image | retired},
	{"1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", image},
	{"1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)", image | retired},
	{"1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 & 18)", image | retired},
	{"1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 & 19)", image | retired},
	{"1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 & 22)", image | retired},
	{"1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 & 23)", image | retired},
	{"1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 & 26)", image | retired},
	{"1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 & 27)", image | retired},
	{"1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)", image | retired},
	{"1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)", image | retired},
	{"1.2.840.10008.1.2.4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])", image},
	{"1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", image},
	{"1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", image},
	{"1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", image},
	{"1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", image},
	{"1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)", image},
	{"1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression", image},
	// JPIP objects name a server instead of carrying PixelData (PS3.5 §A.6, §A.7): nothing is encapsulated.
	{"1.2.840.10008.1.2.4.94", "JPIP Referenced", explicit},
	{"1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", explicit | deflated},
	{"1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", movie},
	{"1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", movie},
	{"1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", movie},
	{"1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", movie},
	{"1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", movie},
	{"1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", movie},
	{"1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", movie},
	{"1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", movie},
	{"1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", movie},
	{"1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", movie},
	{"1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", movie},
	{"1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", movie},
	{"1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", movie},
	{"1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", movie},
	{"1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", movie},
	{"1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", movie},
	{"1.2.840.10008.1.2.4.110", "JPEG XL Lossless", image},
	{"1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", image},
	{"1.2.840.10008.1.2.4.112", "JPEG XL", image},
	{"1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", image},
	{"1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)", image},
	{"1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", image},
	{"1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", explicit},
	{"1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", explicit | deflated},
	{"1.2.840.10008.1.2.5", "RLE Lossless", image},
	{"1.2.840.10008.1.2.6.1", "RFC 2557 MIME Encapsulation", explicit | retired},
	{"1.2.840.10008.1.2.6.2", "XML Encoding", explicit | retired},
	// The pictures and sound of these three flow beside the data set, over RTP (PS3.22).
	{"1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video", explicit | video},
	{"1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video", explicit | video},
	{"1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio", explicit},
	// Each frame is deflated by itself; the data set around it is not (PS3.5 §A.4.13).
	{"1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", image},
	{"1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", retired},
	// Known as "implicit big endian", but only the words of PixelData are: the data set around them is
	// Implicit VR Little Endian.
	{GEPrivateBigEndianPixels, "GE Private Implicit VR Little Endian, Big Endian Pixel Data", 0},
}

// TransferSyntax returns the transfer syntax named uid, false when uid is none that we know. uid must be
// without padding.
func TransferSyntax(uid string) (Syntax, bool) {
	for i := range syntaxes {
		if s := &syntaxes[i]; s.uid == uid {
			return Syntax{
				UID: s.uid, Name: s.name,
				ExplicitVR:   s.flags&explicit != 0,
				BigEndian:    s.flags&bigEndian != 0,
				Deflated:     s.flags&deflated != 0,
				Encapsulated: s.flags&encapsulated != 0,
				Video:        s.flags&video != 0,
				Retired:      s.flags&retired != 0,
			}, true
		}
	}
	return Syntax{}, false
}

// TransferSyntaxes returns the UIDs of all transfer syntaxes that TransferSyntax knows.
func TransferSyntaxes() []string {
	uids := make([]string, len(syntaxes))
	for i := range syntaxes {
		uids[i] = syntaxes[i].uid
	}
	return uids
}
