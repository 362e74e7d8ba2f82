package part10

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tributary-dicom/tributary/fixtures/hostile"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// maker writes data sets element by element.
type maker struct {
	b        []byte
	big      bool
	implicit bool
}

func (m *maker) order() binary.AppendByteOrder {
	if m.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (m *maker) tag(tag uint32) {
	m.b = m.order().AppendUint16(m.b, uint16(tag>>16))
	m.b = m.order().AppendUint16(m.b, uint16(tag))
}

func (m *maker) head(tag uint32, v string, length uint32) {
	m.tag(tag)
	if m.implicit {
		m.b = m.order().AppendUint32(m.b, length)
		return
	}
	m.b = append(m.b, v...)
	if code, _ := parseVR(v[0], v[1]); vrs[code].long {
		m.b = append(m.b, 0, 0)
		m.b = m.order().AppendUint32(m.b, length)
		return
	}
	m.b = m.order().AppendUint16(m.b, uint16(length))
}

func (m *maker) el(tag uint32, v, value string) {
	if len(value)%2 == 1 {
		pad := " "
		if v == "UI" || v == "OB" || v == "UN" {
			pad = "\x00"
		}
		value += pad
	}
	m.head(tag, v, uint32(len(value)))
	m.b = append(m.b, value...)
}

func (m *maker) us(tag uint32, n uint16) {
	m.el(tag, "US", string(m.order().AppendUint16(nil, n)))
}

func (m *maker) item(tag, length uint32) {
	m.tag(tag)
	m.b = m.order().AppendUint32(m.b, length)
}

func (m *maker) ids() {
	m.el(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7")
	m.el(0x00080018, "UI", "2.25.1")
}

func (m *maker) patient() {
	m.el(0x00100010, "PN", "Doe^Jane")
	m.el(0x00100020, "LO", "P1")
	m.el(0x0020000D, "UI", "2.25.2")
	m.el(0x0020000E, "UI", "2.25.3")
}

func (m *maker) image(rows, columns, bits uint16, frames string) {
	m.us(0x00280002, 1)
	m.el(0x00280004, "CS", "MONOCHROME2")
	if frames != "" {
		m.el(0x00280008, "IS", frames)
	}
	m.us(0x00280010, rows)
	m.us(0x00280011, columns)
	m.us(0x00280100, bits)
}

func (m *maker) file(syntax string) []byte {
	return append(AppendFileMeta(nil, FileMeta{
		MediaStorageSOPClassUID: "1.2.840.10008.5.1.4.1.1.7", MediaStorageSOPInstanceUID: "2.25.1", TransferSyntaxUID: syntax,
	}), m.b...)
}

func scan(t testing.TB, data []byte, opt Options) (*Object, error) {
	t.Helper()
	obj, err := Scan(bytes.NewReader(data), opt)
	if obj.Size != int64(len(data)) {
		t.Errorf("size %d, want %d", obj.Size, len(data))
	}
	if obj.Header != nil && !json.Valid(obj.Header) {
		t.Errorf("header is not JSON: %s", obj.Header)
	}
	return obj, err
}

// small is a file with nested sequences of both kinds, private elements, text and fragments.
func small() (data []byte, ends map[int]bool) {
	m := &maker{}
	ends = map[int]bool{}
	at := func() { ends[len(m.b)] = true }
	m.el(0x00080005, "CS", "ISO_IR 100")
	at()
	m.ids()
	at()
	m.head(0x00081140, "SQ", undefinedLength)
	m.item(tagItem, undefinedLength)
	m.el(0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.7")
	m.item(tagItemEnd, 0)
	m.item(tagSequenceEnd, 0)
	at()
	inner := &maker{}
	inner.el(0x00080100, "SH", "CODE")
	m.head(0x00082218, "SQ", uint32(len(inner.b)+8))
	m.item(tagItem, uint32(len(inner.b)))
	m.b = append(m.b, inner.b...)
	at()
	m.el(0x00090010, "LO", "OURS")
	m.el(0x00091001, "UN", "\x01\x02\x03\x04")
	m.patient()
	at()
	m.image(2, 2, 8, "2")
	at()
	m.head(tagPixelData, "OB", undefinedLength)
	m.item(tagItem, 8)
	m.b = append(m.b, 0, 0, 0, 0, 12, 0, 0, 0)
	m.item(tagItem, 4)
	m.b = append(m.b, 0xFF, 0xD8, 0xFF, 0xE0)
	m.item(tagItem, 2)
	m.b = append(m.b, 0xFF, 0xD8)
	m.item(tagSequenceEnd, 0)
	at()
	data = m.file("1.2.840.10008.1.2.4.50")
	front := len(data) - len(m.b)
	shifted := map[int]bool{}
	for n := range ends {
		shifted[n+front] = true
	}
	return data, shifted
}

func TestWhole(t *testing.T) {
	data, _ := small()
	obj, err := scan(t, data, Options{HashBulk: true})
	if err != nil {
		t.Fatal(err, obj.Warnings)
	}
	f := obj.Frames
	if f.Kind != Encapsulated || f.Source != FromBasicOffsetTable || f.Count != 2 || !reflect.DeepEqual(f.First, []int{0, 1}) {
		t.Errorf("frames %+v", f)
	}
	if got := string(data[f.Fragments[0].Offset:][:f.Fragments[0].Length]); got != "\xff\xd8\xff\xe0" {
		t.Errorf("fragment %q", got)
	}
	const want = `"00081140":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.7"]}}]}`
	if !strings.Contains(string(obj.Header), want) {
		t.Errorf("no %s in %s", want, obj.Header)
	}
	if len(obj.Bulk) != 1 || obj.Bulk[0].Path != "7FE00010" || obj.Bulk[0].Length != 16+12+10 {
		t.Errorf("bulk %+v", obj.Bulk)
	}
}

// TestCut cuts a file after every byte: never whole, never a panic, and at each place the right word.
func TestCut(t *testing.T) {
	data, ends := small()
	front := 0
	for n := range ends {
		if front == 0 || n < front {
			front = n
		}
	}
	for n := 0; n < len(data); n++ {
		obj, err := scan(t, data[:n], Options{})
		code := reject.CodeOf(err)
		switch {
		case err == nil:
			// Between two elements of the top level nobody can tell; what follows is then merely absent.
			if len(obj.Warnings) == 0 && len(obj.Attributes["Rows"]) > 0 && obj.Attributes["BitsAllocated"] != "" {
				t.Errorf("cut after %d of %d bytes: nobody noticed", n, len(data))
			}
		case n == 0 && code == reject.Empty, n < 132 && code == reject.UnsupportedFormat:
		case code == reject.Truncated, code == reject.MissingUID && n >= 132, code == reject.NoTransferSyntax && n < front:
		default:
			t.Errorf("cut after %d bytes: %v", n, err)
		}
		if ends[n] && code == reject.Truncated {
			t.Errorf("cut between elements after %d bytes: %v", n, err)
		}
	}
}

func TestSameInSmallReads(t *testing.T) {
	files := map[string][]byte{}
	files["small"], _ = small()
	files["ultrasound"] = ultrasound()
	for _, c := range hostile.DICOM() {
		if b, err := io.ReadAll(io.LimitReader(c.Data(), 64<<10)); err == nil && len(b) < 64<<10 {
			files[c.Name] = b
		}
	}
	for name, data := range files {
		whole, werr := scan(t, data, Options{HashBulk: true})
		for kind, r := range map[string]io.Reader{
			"bytes": iotest.OneByteReader(bytes.NewReader(data)), "halves": iotest.HalfReader(bytes.NewReader(data)),
			"with EOF": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			obj, err := Scan(r, Options{HashBulk: true})
			if (err == nil) != (werr == nil) || err != nil && err.Error() != werr.Error() {
				t.Errorf("%s in %s: %v, want %v", name, kind, err, werr)
			}
			if !reflect.DeepEqual(obj, whole) {
				t.Errorf("%s in %s: %+v, want %+v", name, kind, obj, whole)
			}
		}
	}
}

func TestReadErrorIsNoVerdict(t *testing.T) {
	data, _ := small()
	broken := errors.New("line is down")
	for n := 0; n <= len(data); n++ {
		obj, err := Scan(io.MultiReader(bytes.NewReader(data[:n]), iotest.ErrReader(broken)), Options{})
		var verdict *reject.Error
		if !errors.Is(err, broken) || errors.As(err, &verdict) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		if obj == nil || obj.Size != int64(n) {
			t.Fatalf("after %d bytes: %+v", n, obj)
		}
	}
}

func TestEncodings(t *testing.T) {
	build := func(m *maker) []byte {
		m.ids()
		m.patient()
		m.image(3, 5, 16, "")
		m.us(0x00280103, 1)
		m.el(0x00280106, "SS", string(m.order().AppendUint16(nil, 0xFFFE))) // US or SS
		m.el(tagPixelData, "OW", strings.Repeat("\x01\x02", 15))
		return m.b
	}
	var squeezed bytes.Buffer
	w, _ := flate.NewWriter(&squeezed, 6)
	w.Write(build(&maker{}))
	w.Close()
	deflated := &maker{b: squeezed.Bytes()}
	for name, c := range map[string]struct {
		m      *maker
		syntax string
		bare   bool
	}{
		"explicit":      {&maker{}, explicitLittleEndian, false},
		"implicit":      {&maker{implicit: true}, implicitLittleEndian, false},
		"big":           {&maker{big: true}, explicitBigEndian, false},
		"deflated":      {deflated, deflatedLittleEndian, false},
		"bare explicit": {&maker{}, explicitLittleEndian, true},
		"bare implicit": {&maker{implicit: true}, implicitLittleEndian, true},
		"bare big":      {&maker{big: true}, explicitBigEndian, true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.m != deflated {
				build(c.m)
			}
			data := c.m.file(c.syntax)
			if c.bare {
				data = c.m.b
			}
			obj, err := scan(t, data, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if obj.TransferSyntaxUID != c.syntax || obj.HasPreamble == c.bare {
				t.Errorf("syntax %s, preamble %t", obj.TransferSyntaxUID, obj.HasPreamble)
			}
			if obj.Attributes["Rows"] != "3" || obj.Attributes["Columns"] != "5" {
				t.Errorf("attributes %v", obj.Attributes)
			}
			if !strings.Contains(string(obj.Header), `"00280106":{"vr":"SS","Value":[-2]}`) {
				t.Errorf("header %s", obj.Header)
			}
			f := obj.Frames
			if f.Kind != Native || f.Count != 1 || f.FrameBits != 240 || f.Problem != "" || f.Inflated != (c.m == deflated) {
				t.Errorf("frames %+v", f)
			}
			if !f.Inflated && string(data[f.Offset:f.Offset+2]) != "\x01\x02" {
				t.Errorf("pixels at %d", f.Offset)
			}
		})
	}
}

func TestHeaderJSON(t *testing.T) {
	f64 := func(f float64) string { return string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(f))) }
	for _, c := range []struct {
		tag     uint32
		v, text string
		want    string
	}{
		{0x00080020, "DA", "", `{"vr":"DA"}`},
		{0x00080008, "CS", `A\\B `, `{"vr":"CS","Value":["A",null,"B"]}`},
		{0x00081030, "LO", " quote \" and \x07", `{"vr":"LO","Value":["quote \" and \u0007"]}`},
		{0x00104000, "LT", " kept\\whole\r\n ", `{"vr":"LT","Value":[" kept\\whole\r\n"]}`},
		{0x00201041, "DS", `+1.50\.5\-5.\007\1e3\x\1e400\ `, `{"vr":"DS","Value":[1.50,0.5,-5,7,1e3,null,null,null]}`},
		{0x00200011, "IS", `-12\2147483648`, `{"vr":"IS","Value":[-12,null]}`},
		{0x00187052, "FD", f64(0.25) + f64(math.NaN()), `{"vr":"FD","Value":[0.25,null]}`},
		{0x00080040, "AT", "\x10\x00\x20\x00", `{"vr":"AT","Value":["00100020"]}`},
		{0x00080301, "UV", "\xff\xff\xff\xff\xff\xff\xff\xff", `{"vr":"UV","Value":["18446744073709551615"]}`},
		{0x00080302, "SV", "\xff\xff\xff\xff\xff\xff\xff\xff", `{"vr":"SV","Value":[-1]}`},
		{0x00091001, "OB", "\x01\x02\x03\x04", `{"vr":"OB","InlineBinary":"AQIDBA=="}`},
		{0x00081070, "PN", `A^B=C=D\\=E`, `{"vr":"PN","Value":[{"Alphabetic":"A^B","Ideographic":"C","Phonetic":"D"},null,{"Ideographic":"E"}]}`},
		{0x00089215, "UN", "\xfe\xff\x00\xe0\x0c\x00\x00\x00\x08\x00\x04\x01\x04\x00\x00\x00text", `{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["text"]}}]}`},
	} {
		m := &maker{}
		m.ids()
		m.patient()
		m.el(c.tag, c.v, c.text)
		obj, err := scan(t, m.file(explicitLittleEndian), Options{})
		if err != nil {
			t.Errorf("%s %q: %v", c.v, c.text, err)
		}
		if want := `"` + tagPath(c.tag) + `":` + c.want; !strings.Contains(string(obj.Header), want) {
			t.Errorf("no %s in %s", want, obj.Header)
		}
	}
}

func TestHeaderOrderAndCharset(t *testing.T) {
	m := &maker{}
	m.ids()
	m.el(0x00100010, "PN", "M\xfcller") // before the character set, which comes late
	m.el(0x00100020, "LO", "P1")
	m.el(0x0020000D, "UI", "2.25.2")
	m.el(0x0020000E, "UI", "2.25.3")
	m.el(0x00080005, "CS", "ISO_IR 100")
	m.el(0x00200010, "SH", "S1")
	m.el(0x00200010, "SH", "S2")
	obj, err := scan(t, m.file(explicitLittleEndian), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if obj.Attributes["PatientName"] != "Müller" || obj.Attributes["SpecificCharacterSet"] != "ISO_IR 100" || obj.Attributes["StudyID"] != "S1" {
		t.Errorf("attributes %v", obj.Attributes)
	}
	if !strings.HasPrefix(string(obj.Header), `{"00080005":{"vr":"CS","Value":["ISO_IR 192"]},"00080016":`) {
		t.Errorf("header %s", obj.Header)
	}
	codes := map[string]bool{}
	for _, w := range obj.Warnings {
		codes[w.Code] = true
	}
	if !codes[WarnOrder] || !codes[WarnDuplicate] {
		t.Errorf("warnings %v", obj.Warnings)
	}
}

// Two character sets make two names of one patient: nobody can tell which is meant.
func TestTwoCharacterSets(t *testing.T) {
	m := &maker{}
	m.el(0x00080005, "CS", "ISO_IR 100")
	m.el(0x00080005, "CS", "ISO_IR 144")
	m.ids()
	m.patient()
	if _, err := scan(t, m.file(explicitLittleEndian), Options{}); reject.CodeOf(err) != reject.DuplicateElement {
		t.Errorf("%v, want %s", err, reject.DuplicateElement)
	}
}

func TestFileMetaRoundTrip(t *testing.T) {
	want := FileMeta{
		MediaStorageSOPClassUID: "1.2.840.10008.5.1.4.1.1.7", MediaStorageSOPInstanceUID: "2.25.1",
		TransferSyntaxUID: explicitLittleEndian, SourceAETitle: "CART7",
	}
	m := &maker{}
	m.ids()
	m.patient()
	front := AppendFileMeta(nil, want)
	obj, err := scan(t, append(front, m.b...), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want.ImplementationClassUID, want.ImplementationVersionName = ImplementationClassUID, ImplementationVersionName
	if obj.Meta != want || obj.DatasetOffset != int64(len(front)) || !obj.HasPreamble {
		t.Errorf("%+v at %d", obj.Meta, obj.DatasetOffset)
	}
	for _, w := range obj.Warnings {
		if strings.HasPrefix(w.Code, "meta") {
			t.Errorf("warning %v", w)
		}
	}
}

func FuzzScan(f *testing.F) {
	data, _ := small()
	f.Add(data)
	f.Add(ultrasound()[:4096])
	for _, c := range hostile.DICOM() {
		if b, err := io.ReadAll(io.LimitReader(c.Data(), 8<<10)); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		opt := Options{HashBulk: true, Limits: Limits{Inflated: 8 << 20}}
		obj, err := scan(t, in, opt)
		again, err2 := Scan(iotest.HalfReader(bytes.NewReader(in)), opt)
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(obj, again) {
			t.Fatalf("two readings differ: %v, %v", err, err2)
		}
		if err == nil && (obj.StudyInstanceUID == "" || obj.Header == nil) {
			t.Fatalf("accepted without identifiers or header: %+v", obj)
		}
		for _, b := range obj.Bulk {
			if b.Offset < 0 || b.Length < 0 || !b.Inflated && b.Offset+b.Length > int64(len(in)) {
				t.Fatalf("bulk outside the file: %+v", b)
			}
		}
		for _, r := range obj.Frames.Fragments {
			if !obj.Frames.Inflated && (r.Offset < 0 || r.Offset+r.Length > int64(len(in))) && err == nil {
				t.Fatalf("fragment outside the file: %+v", r)
			}
		}
	})
}

func TestSyntaxThatIsNoUID(t *testing.T) {
	m := &maker{}
	m.ids()
	m.patient()
	obj, err := scan(t, m.file("1.2\r\nX-Evil: 1"), Options{})
	if reject.CodeOf(err) != reject.NoTransferSyntax || obj.TransferSyntaxUID != explicitLittleEndian || obj.Meta.TransferSyntaxUID != "" {
		t.Errorf("%v, %q", err, obj.TransferSyntaxUID)
	}
	if obj.StudyInstanceUID != "2.25.2" || obj.Attributes["PatientID"] != "P1" {
		t.Errorf("learnt %+v", obj)
	}
}

func TestLeadingZeros(t *testing.T) {
	m := &maker{}
	m.el(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7")
	m.el(0x00080018, "UI", "2.25.1")
	m.el(0x0020000D, "UI", "1.2.20260102.070512")
	m.el(0x0020000E, "UI", "2.25.3")
	data := m.file(explicitLittleEndian)
	if _, err := scan(t, data, Options{}); reject.CodeOf(err) != reject.Malformed {
		t.Errorf("strict: %v", err)
	}
	if _, err := scan(t, data, Options{LeadingZeros: true}); err != nil {
		t.Errorf("lenient: %v", err)
	}
}
