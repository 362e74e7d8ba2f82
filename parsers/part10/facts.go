package part10

import (
	"bytes"
	"strings"

	"github.com/tributary-dicom/tributary/parsers/reject"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// facts are what the verdict and the frame table need of the data set's top level.
type facts struct {
	sopClass, sopInstance, study, series string

	rows, columns, samples, bitsAllocated uint32
	frames                                int64 // Number of Frames; 0 for what is no number
	hasFrames                             bool
	subsampled                            bool // chrominance is stored once for two pixels
	signed                                bool // Pixel Representation (0028,0103) is 1
	transfers                             bool // PixelData, or a URL in its place
}

// trimValue removes padding: spaces and NULs at the end (PS3.5 §6.2).
func trimValue(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == 0) {
		b = b[:len(b)-1]
	}
	return b
}

// collectFacts goes over the top level's elements, which are in ascending order now.
func (s *scanner) collectFacts() {
	f := &s.facts
	var last *entry
	for i := 0; i < len(s.entries); i += int(s.entries[i].span) {
		e := &s.entries[i]
		if last != nil && last.tag == e.tag {
			s.checkDuplicate(last, e)
			continue
		}
		last = e
		switch e.tag {
		case 0x00080016:
			f.sopClass = s.uidValue(e)
		case 0x00080018:
			f.sopInstance = s.uidValue(e)
		case 0x0020000D:
			f.study = s.uidValue(e)
		case 0x0020000E:
			f.series = s.uidValue(e)
		case 0x00280002:
			f.samples = s.shortValue(e)
		case 0x00280004:
			p := string(bytes.TrimSpace(trimValue(s.bytesOf(e))))
			f.subsampled = p == "YBR_FULL_422" || p == "YBR_PARTIAL_422"
		case 0x00280008:
			if e.kind == kindValue && e.len > 0 {
				f.hasFrames, f.frames = true, s.intValue(e)
			}
		case 0x00280010:
			f.rows = s.shortValue(e)
		case 0x00280011:
			f.columns = s.shortValue(e)
		case 0x00280100:
			f.bitsAllocated = s.shortValue(e)
		case 0x00280103:
			f.signed = s.shortValue(e) == 1
		case 0x00287FE0: // Pixel Data Provider URL
			f.transfers = true
		}
	}
}

func (s *scanner) bytesOf(e *entry) []byte {
	if e.kind != kindValue {
		return nil
	}
	return s.header[e.off : e.off+e.len]
}

// identifying tells elements of which an object may not say two things: which instance of whom it is, what
// its names mean, and how its pixels lie.
func identifying(tag uint32) bool {
	switch tag {
	case 0x00080005, 0x00080016, 0x00080018, 0x00080050, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x0020000D, 0x0020000E,
		0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280103,
		tagPixelData, tagFloatPixelData, tagDoublePixelData, tagDocument:
		return true
	}
	return false
}

func (s *scanner) checkDuplicate(first, second *entry) {
	if identifying(first.tag) && (first.kind != kindValue || second.kind != kindValue ||
		!bytes.Equal(trimValue(s.bytesOf(first)), trimValue(s.bytesOf(second)))) {
		s.verdict(reject.New(reject.DuplicateElement, op, "(%04X,%04X) occurs twice with different values",
			first.tag>>16, first.tag&0xFFFF))
	}
}

// uidValue returns a UID without padding; what is wrong with it shows later.
func (s *scanner) uidValue(e *entry) string {
	raw := s.bytesOf(e)
	b := bytes.Trim(trimValue(raw), " ")
	if len(raw) > 0 && (raw[0] == ' ' || len(b) > 0 && len(raw) > len(b) && raw[len(b)] == ' ') {
		s.warn(WarnUIDPadding, tagPath(e.tag), 0)
	}
	return string(b)
}

// shortValue returns the value of an image description attribute, which must be US: an object that says
// otherwise would be drawn differently by every reader.
func (s *scanner) shortValue(e *entry) uint32 {
	if e.kind == kindValue && e.len == 0 {
		return 0
	}
	if e.kind != kindValue || e.vr != vrUS || e.len < 2 {
		s.verdict(reject.New(reject.Malformed, op, "(%04X,%04X) is not an unsigned short but %s",
			e.tag>>16, e.tag&0xFFFF, vrs[e.vr].name))
		return 0
	}
	return uint32(u16(s.bytesOf(e), e.big))
}

// intValue returns an IS, or a number in another dress; 0 for anything else.
func (s *scanner) intValue(e *entry) int64 {
	b := bytes.Trim(trimValue(s.bytesOf(e)), " ")
	if info := vrs[e.vr]; info.form == formNumber && info.unit == 2 && e.len >= 2 {
		return int64(u16(s.bytesOf(e), e.big))
	}
	if i := bytes.IndexByte(b, '\\'); i >= 0 {
		b = b[:i]
	}
	b = bytes.TrimPrefix(b, []byte("+"))
	if len(b) == 0 || len(b) > 12 {
		return 0
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// judge says what becomes of the object: err is the verdict of the walk, nil for none.
func (s *scanner) judge(err error) error {
	if err := s.file.readError(); err != nil {
		return err
	}
	obj, f := s.obj, &s.facts
	obj.SOPClassUID = firstUID(f.sopClass, obj.Meta.MediaStorageSOPClassUID)
	obj.SOPInstanceUID = firstUID(f.sopInstance, obj.Meta.MediaStorageSOPInstanceUID)
	obj.StudyInstanceUID, obj.SeriesInstanceUID = firstUID(f.study), firstUID(f.series)

	// Refusals go first: what must not be kept is not kept for another reason either.
	ids := [...]struct{ name, value string }{
		{"SOP Instance UID", f.sopInstance},
		{"Study Instance UID", f.study},
		{"Series Instance UID", f.series},
		{"SOP Class UID", f.sopClass},
	}
	for _, id := range ids {
		if id.value != "" && !harmless(id.value) {
			return reject.New(reject.BadUID, op, "%s has %d characters or others than digits and dots", id.name, len(id.value))
		}
	}
	if obj.SOPClassUID != "" && harmless(obj.SOPClassUID) && uid.ValidLenient(obj.SOPClassUID) == nil && !uid.IsStorage(obj.SOPClassUID) {
		return reject.New(reject.NotStorageObject, op, "SOP class %s is no storage class", obj.SOPClassUID)
	}
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id.value == "" {
			return reject.New(reject.MissingUID, op, "%s is missing or empty", id.name)
		}
	}
	if m := obj.Meta.MediaStorageSOPInstanceUID; m != "" && m != f.sopInstance {
		return reject.New(reject.UIDContradiction, op, "File Meta and data set name different SOP Instance UIDs")
	}
	for _, id := range ids {
		if uid.ValidLenient(id.value) != nil || !s.opt.LeadingZeros && uid.Valid(id.value) != nil {
			return reject.New(reject.Malformed, op, "%s has an empty component or one with a leading zero", id.name)
		}
	}
	s.blemishes()
	return nil
}

// firstUID returns the first that is there and may be shown, stored and used as a key.
func firstUID(of ...string) string {
	for _, u := range of {
		if u != "" {
			if harmless(u) {
				return u
			}
			return ""
		}
	}
	return ""
}

// harmless tells a string that is at least made of what UIDs are made of (PS3.5 §9.1).
func harmless(s string) bool {
	return len(s) <= uid.MaxLength && strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) < 0
}

// blemishes notes what readers of an indexed object may stumble over.
func (s *scanner) blemishes() {
	obj, f := s.obj, &s.facts
	if obj.Attributes["PatientID"] == "" {
		s.warn(WarnNoPatientID, "00100020", 0)
	}
	if obj.Attributes["Modality"] == "" {
		s.warn(WarnNoModality, "00080060", 0)
	}
	if m := obj.Meta.MediaStorageSOPClassUID; obj.MetaElements > 0 && (m == "" || obj.Meta.MediaStorageSOPInstanceUID == "") {
		s.warn(WarnMissingMetaUID, "00020002", 0)
	} else if m != "" && m != f.sopClass {
		s.warn(WarnMetaSOPClass, "00020002", 0)
	}
	if _, known := uid.SOPClassName(f.sopClass); !known {
		s.warn(WarnUnknownClass, "00080016", 0)
	}
	if f.rows > 0 && f.columns > 0 && f.bitsAllocated > 0 && !s.sawPixel && !f.transfers {
		s.warn(WarnNoPixelData, tagPath(tagPixelData), 0)
	}
}
