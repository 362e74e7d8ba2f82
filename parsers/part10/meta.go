package part10

import (
	"bytes"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

const (
	preambleLength = 128 // PS3.10 §7.1
	magic          = "DICM"

	// maxMeta bounds File Meta, bytes: it has a dozen short elements and perhaps private information
	// (0002,0102); beyond this it is an attack or nonsense.
	maxMeta = 1 << 20

	implicitLittleEndian = "1.2.840.10008.1.2"
	explicitLittleEndian = "1.2.840.10008.1.2.1"
	deflatedLittleEndian = "1.2.840.10008.1.2.1.99"
	explicitBigEndian    = "1.2.840.10008.1.2.2"
)

// LooksLikeDICOM tells whether head, the first bytes of a file (HeadNeeded or fewer), may start a DICOM
// file: "DICM" behind a preamble, File Meta without one, or a bare data set whose first element leaves no
// doubt about its encoding.
func LooksLikeDICOM(head []byte) bool {
	if HasPreamble(head) {
		return true
	}
	if bytes.HasPrefix(head, []byte(magic)) && startsMeta(head[4:]) {
		return true
	}
	if startsMeta(head) {
		return true
	}
	_, ok := tellSyntax(head)
	return ok
}

// HeadNeeded is how many bytes LooksLikeDICOM needs to be sure.
const HeadNeeded = preambleLength + 4

// HasPreamble tells whether head, the first bytes of a file (HeadNeeded or more), has "DICM" behind a preamble, and not merely as text within a data set.
func HasPreamble(head []byte) bool {
	const at = preambleLength + len(magic)
	if len(head) < at || string(head[preambleLength:at]) != magic {
		return false
	}
	if len(head) < at+2 || u16(head[at:], false) == 2 {
		return true
	}
	_, bare := tellSyntax(head)
	return !bare
}

// startsMeta tells whether b starts with a File Meta element in Explicit VR Little Endian.
func startsMeta(b []byte) bool {
	if len(b) < 8 || b[0] != 2 || b[1] != 0 || b[3] != 0 {
		return false
	}
	v, _ := parseVR(b[4], b[5])
	return v != vrNone
}

// tellSyntax tells the transfer syntax of a data set without File Meta by its first element, which is of
// group 0008 in every instance that has a SOP Class UID.
func tellSyntax(b []byte) (string, bool) {
	if len(b) < 8 {
		return "", false
	}
	v, _ := parseVR(b[4], b[5])
	switch {
	case b[0] == 8 && b[1] == 0 && v != vrNone && plausibleFirst(uint16(b[2])|uint16(b[3])<<8):
		return explicitLittleEndian, true
	case b[0] == 0 && b[1] == 8 && v != vrNone && plausibleFirst(uint16(b[3])|uint16(b[2])<<8):
		return explicitBigEndian, true
	case b[0] == 8 && b[1] == 0 && plausibleFirst(uint16(b[2])|uint16(b[3])<<8):
		if n := u32(b[4:], false); n < 1<<10 {
			return implicitLittleEndian, true
		}
	}
	return "", false
}

// plausibleFirst tells whether a data set may start with element e of group 0008: nothing that instances
// must have comes after (0008,0018) SOP Instance UID.
func plausibleFirst(e uint16) bool { return e <= 0x0018 }

// readStart finds where the data set begins and in which syntax it is; refusals say that this is no DICOM.
func (s *scanner) readStart() (uid.Syntax, error) {
	head := s.file.peek(preambleLength + 4 + 8)
	obj := s.obj
	switch {
	case len(head) == 0:
		if s.file.readError() != nil {
			return uid.Syntax{}, s.file.err
		}
		return uid.Syntax{}, reject.New(reject.Empty, op, "no bytes")
	case HasPreamble(head):
		obj.HasPreamble = true
		s.file.skip(preambleLength+4, nil)
	case bytes.HasPrefix(head, []byte(magic)) && startsMeta(head[4:]):
		s.warn(WarnNoPreamble, "", 0)
		s.file.skip(4, nil)
	case startsMeta(head):
		s.warn(WarnNoPreamble, "", 0)
	default:
		name, ok := tellSyntax(head)
		if !ok {
			if s.file.readError() != nil {
				return uid.Syntax{}, s.file.err
			}
			return uid.Syntax{}, reject.At(reject.UnsupportedFormat, op, 0, "neither DICM nor a data set that starts plainly")
		}
		s.warn(WarnNoPreamble, "", 0)
		obj.TransferSyntaxUID = name
		return syntaxOf(name), nil
	}
	if err := s.readMeta(); err != nil {
		return uid.Syntax{}, err
	}
	obj.DatasetOffset = s.file.off()
	obj.TransferSyntaxUID = obj.Meta.TransferSyntaxUID
	if obj.TransferSyntaxUID == "" || !harmless(obj.TransferSyntaxUID) {
		obj.TransferSyntaxUID, obj.Meta.TransferSyntaxUID = "", "" // readers hear it in Content-Type
		// Nobody may guess what a device meant; but what its operators look for is read all the same.
		s.verdict(reject.At(reject.NoTransferSyntax, op, obj.DatasetOffset, "File Meta has no Transfer Syntax UID, or one that is no UID"))
		name, ok := tellSyntax(s.file.peek(8))
		if !ok {
			return uid.Syntax{}, s.verdictSoFar
		}
		obj.TransferSyntaxUID = name
		return syntaxOf(name), nil
	}
	syn, known := uid.TransferSyntax(obj.TransferSyntaxUID)
	if !known {
		s.warn(WarnUnknownSyntax, "00020010", 0)
		syn = uid.Syntax{UID: obj.TransferSyntaxUID, ExplicitVR: true}
	}
	return syn, nil
}

// syntaxOf returns one of the four syntaxes that this package knows by itself.
func syntaxOf(name string) uid.Syntax {
	return uid.Syntax{
		UID: name, ExplicitVR: name != implicitLittleEndian,
		BigEndian: name == explicitBigEndian, Deflated: name == deflatedLittleEndian,
	}
}

// readMeta reads the elements of group 0002, by tag: the group length (0002,0000) is wrong in too many
// files to be trusted. File Meta is always Explicit VR Little Endian (PS3.10 §7.1).
func (s *scanner) readMeta() error {
	start := s.file.off()
	groupLength, groupEnd := int64(-1), int64(0)
	for {
		off := s.file.off()
		h := s.file.peek(12)
		if len(h) < 2 || u16(h, false) != 2 {
			break
		}
		if len(h) < 8 {
			return s.cut(s.file, off, "File Meta")
		}
		tag := tagAt(h, false)
		v, letters := parseVR(h[4], h[5])
		var length uint32
		size := 8
		switch {
		case v != vrNone && vrs[v].long:
			if len(h) < 12 {
				return s.cut(s.file, off, "File Meta")
			}
			length, size = u32(h[8:], false), 12
		case v != vrNone:
			length = uint32(u16(h[6:], false))
		case letters:
			return reject.At(reject.Malformed, op, off, "File Meta element (0002,%04X) has no VR of the standard", uint16(tag))
		default: // written with implicit VR by a few old toolkits
			length = u32(h[4:], false)
			s.warn(WarnMetaEncoding, tagPath(tag), off)
		}
		if int64(length) > maxMeta || off+int64(size)+int64(length)-start > maxMeta {
			return reject.At(reject.Malformed, op, off, "File Meta element (0002,%04X) declares %d bytes", uint16(tag), length)
		}
		if s.elements++; s.elements > s.limits.Elements {
			return reject.At(reject.TooManyElements, op, off, "more than %d elements", s.limits.Elements)
		}
		s.obj.MetaElements++
		s.file.skip(int64(size), nil)
		value, err := s.metaValue(tag, length)
		if err != nil {
			return err
		}
		if tag == 0x00020000 && length == 4 {
			groupLength, groupEnd = int64(u32(value, false)), s.file.off()
		}
	}
	if s.obj.MetaElements == 0 {
		if err := s.file.readError(); err != nil {
			return err
		}
		if len(s.file.peek(8)) < 8 {
			return s.cut(s.file, s.file.off(), "File Meta")
		}
		return reject.At(reject.Malformed, op, start, "no File Meta behind DICM")
	}
	if got := s.file.off() - groupEnd; groupLength != got {
		if groupLength > maxMeta {
			return reject.At(reject.Malformed, op, start, "File Meta group length declares %d bytes", groupLength)
		}
		s.warn(WarnMetaGroupLength, "00020000", start)
	}
	return nil
}

// metaValue reads one value of File Meta; long ones, such as certificates, only pass.
func (s *scanner) metaValue(tag, length uint32) ([]byte, error) {
	const keep = 8 << 10
	off := s.file.off()
	if length > keep {
		if s.file.skip(int64(length), nil) < int64(length) {
			return nil, s.cut(s.file, off, "File Meta")
		}
		if tag == 0x00020010 {
			return nil, reject.At(reject.Malformed, op, off, "Transfer Syntax UID has %d bytes", length)
		}
		return nil, nil
	}
	b := s.file.peek(int(length))
	if len(b) < int(length) {
		return nil, s.cut(s.file, off, "File Meta")
	}
	m := &s.obj.Meta
	var field *string
	switch tag {
	case 0x00020002:
		field = &m.MediaStorageSOPClassUID
	case 0x00020003:
		field = &m.MediaStorageSOPInstanceUID
	case 0x00020010:
		field = &m.TransferSyntaxUID
	case 0x00020012:
		field = &m.ImplementationClassUID
	case 0x00020013:
		field = &m.ImplementationVersionName
	case 0x00020016:
		field = &m.SourceAETitle
	}
	if field != nil && *field == "" {
		*field = strings.ToValidUTF8(string(trimValue(b)), "\uFFFD")
	}
	s.file.pos += int(length)
	return b, nil
}

// AppendFileMeta appends preamble, "DICM" and a File Meta group for m to dst (PS3.10 §7.1). What names
// the implementation is ours where m leaves it empty. The result is what a C-STORE data set needs in
// front to be a file.
func AppendFileMeta(dst []byte, m FileMeta) []byte {
	if m.ImplementationClassUID == "" {
		m.ImplementationClassUID = ImplementationClassUID
		m.ImplementationVersionName = ImplementationVersionName
	}
	dst = append(dst, make([]byte, preambleLength)...)
	dst = append(dst, magic...)
	dst = append(dst, 2, 0, 0, 0, 'U', 'L', 4, 0)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, 2, 0, 1, 0, 'O', 'B', 0, 0, 2, 0, 0, 0, 0, 1) // File Meta Information Version
	dst = appendMeta(dst, 0x02, "UI", m.MediaStorageSOPClassUID, 0)
	dst = appendMeta(dst, 0x03, "UI", m.MediaStorageSOPInstanceUID, 0)
	dst = appendMeta(dst, 0x10, "UI", m.TransferSyntaxUID, 0)
	dst = appendMeta(dst, 0x12, "UI", m.ImplementationClassUID, 0)
	if m.ImplementationVersionName != "" {
		dst = appendMeta(dst, 0x13, "SH", m.ImplementationVersionName, ' ')
	}
	if m.SourceAETitle != "" {
		dst = appendMeta(dst, 0x16, "AE", m.SourceAETitle, ' ')
	}
	n := uint32(len(dst) - at - 4)
	dst[at], dst[at+1], dst[at+2], dst[at+3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
	return dst
}

func appendMeta(dst []byte, element byte, v, value string, pad byte) []byte {
	const longest = 0xFFFE // what a 16-bit length can say, even
	if len(value) > longest {
		value = value[:longest]
	}
	n := (len(value) + 1) &^ 1
	dst = append(dst, 2, 0, element, 0, v[0], v[1], byte(n), byte(n>>8))
	dst = append(dst, value...)
	if n > len(value) {
		dst = append(dst, pad)
	}
	return dst
}

// Who wrote the File Meta group (PS3.7 §D.3.3.2); also what our associations announce.
const (
	// ImplementationClassUID is derived from a random UUID (PS3.5 §B.2) and stays for all releases.
	ImplementationClassUID    = "2.25.190748562003561279844310772953617840295"
	ImplementationVersionName = "TRIBUTARY_1"
)
