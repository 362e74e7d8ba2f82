package pages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/tributary-dicom/tributary/fixtures"
	"github.com/tributary-dicom/tributary/parsers/dict"
	"github.com/tributary-dicom/tributary/parsers/uid"
)

// Transfer Syntaxes of the files below.
const (
	cineExplicit = uid.ExplicitVRLittleEndian
	cineRLE      = "1.2.840.10008.1.2.5"
	cineJ2K      = "1.2.840.10008.1.2.4.90"
	cineH264     = "1.2.840.10008.1.2.4.102"
)

// cineFile is a small file with pixels of our choice, which fixtures do not make.
type cineFile struct {
	class, syntax     string
	modality          string
	number            int // Instance Number; tells instances apart
	columns, rows     int
	samples           int
	photometric       string
	allocated, stored int
	signed            bool
	more              map[string]string // further attributes of text or numbers, by keyword
	native            []byte            // pixels of all frames, or
	fragments         [][]byte          // one a frame
}

const (
	cineCT           = "1.2.840.10008.5.1.4.1.1.2"
	cineUSMultiFrame = "1.2.840.10008.5.1.4.1.1.3.1"
	cineSecondary    = "1.2.840.10008.5.1.4.1.1.7"
)

// instance returns where the file will be; cineStudy and the number tell it.
func (f cineFile) instance(study string) fixtures.Instance {
	series := study + ".1"
	return fixtures.Instance{
		SOPClassUID: f.class, TransferSyntaxUID: f.syntax, Modality: f.modality,
		StudyInstanceUID: study, SeriesInstanceUID: series, SOPInstanceUID: fmt.Sprintf("%s.%d", series, f.number),
	}
}

// bytes writes the file: Explicit VR Little Endian with one fragment a frame where the syntax is encapsulated.
func (f cineFile) bytes(t testing.TB, study string) []byte {
	t.Helper()
	i := f.instance(study)
	var b bytes.Buffer
	b.Write(make([]byte, 128))
	b.WriteString("DICM")
	var meta bytes.Buffer
	cineElement(&meta, 0x00020001, "OB", []byte{0, 1})
	cineElement(&meta, 0x00020002, "UI", []byte(f.class))
	cineElement(&meta, 0x00020003, "UI", []byte(i.SOPInstanceUID))
	cineElement(&meta, 0x00020010, "UI", []byte(f.syntax))
	cineElement(&meta, 0x00020012, "UI", []byte("1.2.276.0.7230010.3.0.3.6.7"))
	cineElement(&b, 0x00020000, "UL", binary.LittleEndian.AppendUint32(nil, uint32(meta.Len())))
	b.Write(meta.Bytes())

	values := map[uint32][]byte{}
	set := func(keyword string, v any) {
		tag, ok := dict.Tag(keyword)
		if !ok {
			t.Fatalf("no attribute %s", keyword)
		}
		switch v := v.(type) {
		case string:
			values[tag] = []byte(v)
		case int:
			values[tag] = binary.LittleEndian.AppendUint16(nil, uint16(v))
		}
	}
	set("SpecificCharacterSet", "ISO_IR 192")
	set("SOPClassUID", f.class)
	set("SOPInstanceUID", i.SOPInstanceUID)
	set("StudyInstanceUID", study)
	set("SeriesInstanceUID", i.SeriesInstanceUID)
	set("StudyDate", "20260301")
	set("StudyDescription", "阅片测试")
	set("Modality", f.modality)
	set("SeriesNumber", "1")
	set("InstanceNumber", fmt.Sprint(f.number))
	set("PatientName", "Ce^Shi=测^试")
	set("PatientID", "CINE-1")
	set("IssuerOfPatientID", "PAGES")
	set("PatientBirthDate", "19800101")
	set("PatientSex", "M")
	set("SamplesPerPixel", f.samples)
	set("PhotometricInterpretation", f.photometric)
	set("Rows", f.rows)
	set("Columns", f.columns)
	set("BitsAllocated", f.allocated)
	set("BitsStored", f.stored)
	set("HighBit", f.stored-1)
	set("PixelRepresentation", map[bool]int{true: 1}[f.signed])
	if f.samples == 3 {
		set("PlanarConfiguration", 0)
	}
	for keyword, v := range f.more {
		set(keyword, v)
	}
	for _, tag := range slices.Sorted(maps.Keys(values)) {
		vr := dict.VR(tag)
		if vr == "US/SS" {
			vr = "US"
		}
		cineElement(&b, tag, vr, values[tag])
	}
	if f.fragments == nil {
		cineElement(&b, 0x7FE00010, "OW", f.native)
		return b.Bytes()
	}
	cineTag(&b, 0x7FE00010)
	b.WriteString("OB\x00\x00\xFF\xFF\xFF\xFF")
	cineTag(&b, 0xFFFEE000)
	b.Write(make([]byte, 4))
	for _, one := range f.fragments {
		if len(one)%2 == 1 {
			one = append(one[:len(one):len(one)], 0)
		}
		cineTag(&b, 0xFFFEE000)
		_ = binary.Write(&b, binary.LittleEndian, uint32(len(one)))
		b.Write(one)
	}
	cineTag(&b, 0xFFFEE0DD)
	b.Write(make([]byte, 4))
	return b.Bytes()
}

func cineTag(b *bytes.Buffer, tag uint32) {
	b.Write(binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(tag>>16)), uint16(tag)))
}

func cineElement(b *bytes.Buffer, tag uint32, vr string, v []byte) {
	if len(v)%2 == 1 {
		pad := byte(' ')
		if vr == "UI" || vr == "OB" {
			pad = 0
		}
		v = append(v[:len(v):len(v)], pad)
	}
	cineTag(b, tag)
	b.WriteString(vr)
	if vr == "OB" || vr == "OW" {
		b.Write([]byte{0, 0})
		_ = binary.Write(b, binary.LittleEndian, uint32(len(v)))
	} else {
		_ = binary.Write(b, binary.LittleEndian, uint16(len(v)))
	}
	b.Write(v)
}

// cineRLEOf compresses a frame (PS3.5 Annex G) of samples of width bytes, color-by-pixel.
func cineRLEOf(pixels []byte, samples, width int) []byte {
	head := make([]byte, 64)
	binary.LittleEndian.PutUint32(head, uint32(samples*width))
	var body []byte
	for s := range samples * width {
		binary.LittleEndian.PutUint32(head[4+4*s:], uint32(64+len(body)))
		at := s/width*width + width - 1 - s%width
		for from := at; from < len(pixels); {
			run := 1
			for run < 128 && from+run*samples*width < len(pixels) && pixels[from+run*samples*width] == pixels[from] {
				run++
			}
			if run > 1 {
				body = append(body, byte(257-run), pixels[from])
			} else {
				body = append(body, 0, pixels[from])
			}
			from += run * samples * width
		}
		if len(body)%2 == 1 {
			body = append(body, 0x80)
		}
	}
	return append(head, body...)
}

// cineRamp is the value of a pixel of the 16-bit pictures: -1,024 to some 3,000, another one in each frame.
func cineRamp(x, y, frame int) int16 { return int16(-1024 + 11*x + 7*y + 40*frame) }

const (
	cineColumns = 128
	cineRows    = 96
)

func cineRamps(frames int) (all [][]byte) {
	for f := range frames {
		var one []byte
		for y := range cineRows {
			for x := range cineColumns {
				one = binary.LittleEndian.AppendUint16(one, uint16(cineRamp(x, y, f)))
			}
		}
		all = append(all, one)
	}
	return all
}

// cineGrey is what a linear window makes of a value (PS3.3 §C.11.2.1.2.1).
func cineGrey(v, center, width float64) byte {
	switch y := (v - (center - 0.5)) / (width - 1); {
	case y <= -0.5:
		return 0
	case y > 0.5:
		return 255
	default:
		return byte(math.Floor(255*(y+0.5) + 0.5))
	}
}

// cineColour is a pixel of the colour pictures.
func cineColour(x, y int) [3]byte { return [3]byte{byte(2 * x), byte(2 * y), byte(x ^ y)} }

func cineColours() []byte {
	var b []byte
	for y := range cineRows {
		for x := range cineColumns {
			c := cineColour(x, y)
			b = append(b, c[:]...)
		}
	}
	return b
}
