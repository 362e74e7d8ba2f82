package part10

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestNativeFrames(t *testing.T) {
	for _, c := range []struct {
		name                string
		rows, columns, bits uint16
		frames, photometric string
		samples             uint16
		bytes               int
		count               int
		frameBits           int64
		problem             bool
	}{
		{"one", 2, 3, 16, "", "MONOCHROME2", 1, 12, 1, 96, false},
		{"three", 2, 3, 8, "3", "MONOCHROME2", 1, 18, 3, 48, false},
		{"padded", 1, 3, 8, "", "MONOCHROME2", 1, 8, 1, 24, false},
		{"bits across bytes", 3, 3, 1, "5", "MONOCHROME2", 1, 6, 5, 9, false},
		{"too short", 2, 3, 8, "4", "MONOCHROME2", 1, 18, 3, 48, true},
		{"colour", 2, 2, 8, "2", "RGB", 3, 24, 2, 96, false},
		{"subsampled", 2, 2, 8, "2", "YBR_FULL_422", 3, 16, 2, 64, false},
		{"said to be subsampled", 2, 2, 8, "2", "YBR_FULL_422", 3, 24, 2, 96, false},
		{"no frames", 2, 2, 8, "0", "MONOCHROME2", 1, 4, 0, 0, true},
		{"no number", 2, 2, 8, "many", "MONOCHROME2", 1, 4, 0, 0, true},
		{"huge", 65535, 65535, 64, "999999999999", "MONOCHROME2", 65535, 10, 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &maker{}
			m.ids()
			m.patient()
			m.us(0x00280002, c.samples)
			m.el(0x00280004, "CS", c.photometric)
			if c.frames != "" {
				m.el(0x00280008, "IS", c.frames)
			}
			m.us(0x00280010, c.rows)
			m.us(0x00280011, c.columns)
			m.us(0x00280100, c.bits)
			m.el(tagPixelData, "OW", strings.Repeat("x", c.bytes))
			obj, err := scan(t, m.file(explicitLittleEndian), Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := obj.Frames
			if f.Kind != Native || f.Count != c.count || f.Problem != "" != c.problem {
				t.Errorf("%+v", f)
			}
			if c.name != "huge" && f.FrameBits != c.frameBits {
				t.Errorf("frame of %d bits, want %d", f.FrameBits, c.frameBits)
			}
		})
	}
}

func TestEncapsulatedFrames(t *testing.T) {
	const soi, rest = "\xff\xd8\xff\xe0", "more"
	table := func(size int, offsets ...uint64) string {
		var b []byte
		for _, o := range offsets {
			if size == 4 {
				b = binary.LittleEndian.AppendUint32(b, uint32(o))
			} else {
				b = binary.LittleEndian.AppendUint64(b, o)
			}
		}
		return string(b)
	}
	const video = "1.2.840.10008.1.2.4.102"
	for _, c := range []struct {
		name, syntax, frames    string
		offsets, lengths, basic string
		fragments               []string
		source                  string
		first                   []int
		problem                 bool
	}{
		{name: "single", fragments: []string{soi, rest, rest}, source: FromFragments, first: []int{0}},
		{name: "one each", frames: "2", fragments: []string{soi, soi}, source: FromFragments, first: []int{0, 1}},
		{name: "markers", frames: "2", fragments: []string{soi, rest, soi, rest, rest}, source: FromFragments, first: []int{0, 2}},
		{name: "no markers", frames: "2", fragments: []string{rest, rest, rest}, source: FromFragments, problem: true},
		{name: "basic", frames: "2", basic: table(4, 0, 24), fragments: []string{soi, rest, soi}, source: FromBasicOffsetTable, first: []int{0, 2}},
		{name: "basic beside", frames: "2", basic: table(4, 0, 20), fragments: []string{soi, rest, soi}, source: FromBasicOffsetTable, problem: true},
		{name: "basic descending", frames: "3", basic: table(4, 0, 12, 12), fragments: []string{soi, rest, soi, soi}, source: FromBasicOffsetTable, problem: true},
		{name: "basic of fewer", frames: "3", basic: table(4, 0), fragments: []string{soi, soi, soi}, source: FromFragments, first: []int{0, 1, 2}},
		{name: "extended", frames: "2", offsets: table(8, 0, 12), lengths: table(8, 4, 3), fragments: []string{soi, rest}, source: FromExtendedOffsetTable, first: []int{0, 1}},
		{name: "extended too long", frames: "2", offsets: table(8, 0, 12), lengths: table(8, 4, 5), fragments: []string{soi, rest}, source: FromExtendedOffsetTable, problem: true},
		{name: "extended outside", frames: "2", offsets: table(8, 0, 1<<63), lengths: table(8, 4, 4), fragments: []string{soi, rest}, source: FromExtendedOffsetTable, problem: true},
		{name: "video", syntax: video, frames: "250", fragments: []string{rest, rest}, source: FromFragments, first: []int{0}},
		{name: "nothing", frames: "2", problem: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &maker{}
			m.ids()
			m.patient()
			m.image(8, 8, 8, c.frames)
			if c.offsets != "" {
				m.el(tagOffsets, "OV", c.offsets)
				m.el(tagOffsetLengths, "OV", c.lengths)
			}
			m.head(tagPixelData, "OB", undefinedLength)
			m.item(tagItem, uint32(len(c.basic)))
			m.b = append(m.b, c.basic...)
			for _, f := range c.fragments {
				m.item(tagItem, uint32(len(f)))
				m.b = append(m.b, f...)
			}
			m.item(tagSequenceEnd, 0)
			syntax := c.syntax
			if syntax == "" {
				syntax = "1.2.840.10008.1.2.4.50"
			}
			data := m.file(syntax)
			// The same with every table too long for the header.
			for _, opt := range []Options{{}, {Limits: Limits{InlineValue: 64}}} {
				obj, err := scan(t, data, opt)
				if err != nil {
					t.Fatal(err)
				}
				f := obj.Frames
				if f.Kind != Encapsulated || f.Source != c.source || f.Problem != "" != c.problem ||
					!slices.Equal(f.First, c.first) || f.Count != len(c.first) {
					t.Errorf("%+v", f)
				}
				for i, r := range f.Fragments {
					if string(data[r.Offset:r.Offset+r.Length]) != c.fragments[i] {
						t.Errorf("fragment %d at %+v", i, r)
					}
				}
			}
		})
	}
}

func TestBulkPaths(t *testing.T) {
	m := &maker{}
	m.ids()
	m.patient()
	m.head(0x00880200, "SQ", undefinedLength) // Icon Image Sequence
	m.item(tagItem, undefinedLength)
	m.el(tagPixelData, "OB", "icon")
	m.item(tagItemEnd, 0)
	m.item(tagSequenceEnd, 0)
	m.head(0x54000100, "SQ", undefinedLength)
	for _, wave := range []string{"rhythm", "median"} {
		m.item(tagItem, undefinedLength)
		m.el(tagWaveformData, "OW", wave)
		m.item(tagItemEnd, 0)
	}
	m.item(tagSequenceEnd, 0)
	m.el(0x00420011, "OB", "%PDF-1")
	data := m.file(explicitLittleEndian)
	obj, err := scan(t, data, Options{HashBulk: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, b := range obj.Bulk {
		got[b.Path] = string(data[b.Offset : b.Offset+b.Length])
		if !strings.Contains(string(obj.Header), `"BulkDataURI":"bulkdata/`+b.Path+`"`) || len(b.SHA256) != 64 {
			t.Errorf("%+v in %s", b, obj.Header)
		}
	}
	want := map[string]string{
		"00880200/0/7FE00010": "icon", "54000100/0/54001010": "rhythm", "54000100/1/54001010": "median", "00420011": "%PDF-1",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("bulk %q, want %q", got, want)
	}
	if obj.Frames.Kind != NoFrames {
		t.Errorf("frames of an icon: %+v", obj.Frames)
	}
}

// TestPadBehindOddFragment: some writers give the length without the pad byte that they write.
func TestPadBehindOddFragment(t *testing.T) {
	m := &maker{}
	m.ids()
	m.patient()
	m.image(8, 8, 8, "3")
	m.head(tagPixelData, "OB", undefinedLength)
	m.item(tagItem, 0)
	for _, f := range []string{"one", "three", "four"} {
		m.item(tagItem, uint32(len(f)))
		m.b = append(m.b, f...)
		if len(f)%2 == 1 {
			m.b = append(m.b, 0)
		}
	}
	m.item(tagSequenceEnd, 0)
	data := m.file("1.2.840.10008.1.2.4.50")
	obj, err := scan(t, data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range obj.Frames.Fragments {
		got = append(got, string(data[r.Offset:r.Offset+r.Length]))
	}
	if !slices.Equal(got, []string{"one", "three", "four"}) || obj.Frames.Count != 3 {
		t.Errorf("fragments %q, %+v", got, obj.Frames)
	}
}
