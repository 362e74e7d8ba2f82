package mfer

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestGolden(t *testing.T) { ecgtest.Golden(t, "mfer", Decode, ecgtest.Options{}) }

// tlv writes a tag; form says how many bytes the length takes, 0 for the short form.
func tlv(tag byte, form int, value ...byte) []byte {
	out := []byte{tag}
	if form == 0 {
		return append(append(out, byte(len(value))), value...)
	}
	out = append(out, 0x80|byte(form))
	for i := form - 1; i >= 0; i-- {
		out = append(out, byte(len(value)>>(8*i)))
	}
	return append(out, value...)
}

func text(tag byte, s string) []byte { return tlv(tag, 0, []byte(s)...) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func shorts(order binary.AppendByteOrder, v ...int16) (out []byte) {
	for _, n := range v {
		out = order.AppendUint16(out, uint16(n))
	}
	return out
}

// monitor is a big-endian file as monitors write it: two ECG channels of blocks of 4 at 500 Hz, a pressure of
// blocks of 2 at 250 Hz, two sequences, attributes in definite and indefinite length, channel 2 by a number of
// two bytes, a data part in two pieces.
func monitor() []byte {
	be := binary.BigEndian
	sequence := func(k int16) []byte {
		return join(shorts(be, k, k+1, -32768, k+3), shorts(be, 10*k, -1, -2, -3), []byte{byte(100 + k), 101})
	}
	return join(
		text(0x40, "MFR Monitor"), tlv(0x02, 0, 1, 2, 3),
		text(0x03, "UTF-16LE"), tlv(0x81, 0, 0x20, 0x5f, 0x09, 0x4e), // 张三
		text(0x03, "ASCII"), text(0x82, "M-1"), text(0x17, "NIHON KOHDEN^CNS6000^V1^42"),
		tlv(0x84, 0, 2), tlv(0x83, 0, 67, 0, 9, 0x07, 0xA0, 3, 31),
		tlv(0x85, 0, 0x07, 0xE3, 6, 19, 13, 20, 0, 0, 250, 1, 244),
		tlv(0x04, 0, 4), tlv(0x05, 0, 3), tlv(0x06, 2, 0, 2), tlv(0x0B, 3, 1, 0xFD, 2), tlv(0x0C, 0, 0, 0xFA, 2), tlv(0x12, 0, 0x80, 0),
		[]byte{0x3F, 0, 0x80}, tlv(0x09, 0, 0, 2), []byte{0, 0},
		[]byte{0x3F, 1, 0x81, 10}, tlv(0x09, 0, 0, 7), tlv(0x0D, 0, 0, 5), []byte{0x11, 0},
		[]byte{0x3F, 0x80, 2, 18}, tlv(0x09, 0, 0, 143, 'A', 'R', 'T'), tlv(0x0A, 0, 3), tlv(0x04, 0, 2), tlv(0x0B, 0, 0, 1, 25),
		[]byte{0x3F, 2, 5}, tlv(0x0C, 0, 1, 0, 1),
		tlv(0x41, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 10, 'b', 'e', 'e', 'p'),
		tlv(0x1E, 8, sequence(1)...), tlv(0x1E, 0, sequence(2)...), []byte{0, 0, 0x80, 0},
	)
}

func TestMonitor(t *testing.T) {
	file := monitor()
	rec := ecgtest.Survive(t, Decode, file)
	if rec == nil {
		_, err := Decode(ecgtest.Source("", file), ecg.Limits{})
		t.Fatal(err)
	}
	p := rec.Patient
	if p.Name != "张三" || p.ID != "M-1" || p.Sex != "F" || p.BirthDate != "1952-03-31" || p.Age.Value.String() != "67" {
		t.Errorf("%+v", p)
	}
	if rec.Acquired.String() != "2019-06-19T13:20:00.2505" || rec.FormatVersion != "1.2.3" || rec.Device.Model != "CNS6000" || rec.Device.Serial != "42" {
		t.Errorf("%s %s %+v", rec.Acquired, rec.FormatVersion, rec.Device)
	}
	if len(rec.Groups) != 2 {
		t.Fatalf("%d groups %v", len(rec.Groups), rec.Warnings)
	}
	g := rec.Groups[0]
	counts, missing, err := g.ReadAll(1000)
	if err != nil {
		t.Fatal(err)
	}
	if g.Rate.String() != "500" || g.Kind != ecg.Rhythm || !reflect.DeepEqual(counts[0], []int32{1, 2, -32768, 4, 2, 3, -32768, 5}) || !missing[0][2] || missing[1] != nil {
		t.Errorf("%s %v %v", g.Rate, counts, missing)
	}
	if l := g.Leads[1]; l.Name != "V5" || l.Value(10).String() != "10" { // (10 − 5)·2 µV
		t.Errorf("%+v %s", l, l.Value(10))
	}
	g = rec.Groups[1]
	counts, _, err = g.ReadAll(1000)
	if err != nil || g.Rate.String() != "250" || !reflect.DeepEqual(counts[0], []int32{101, 101, 102, 101}) || g.Leads[0].Unit != "mm[Hg]" || g.Leads[0].Name != "ART" {
		t.Errorf("%v %s %v %+v", err, g.Rate, counts, g.Leads[0])
	}
	if a := rec.Annotations; len(a) != 1 || a[0].Onset.String() != "10" || a[0].Duration.String() != "20" || a[0].Text != "beep" || a[0].Code != "7" {
		t.Errorf("%+v", a)
	}
}

// TestTypes writes one sample of each type, in both orders.
func TestTypes(t *testing.T) {
	for kind, c := range []struct {
		bits uint64
		want string
	}{
		{0xFFFE, "-2"},
		{0xFFFE, "65534"},
		{0xFFFFFFFE, "-2"},
		{0xFE, "254"},
		{0xFFFE, "65534"},
		{0xFE, "-2"},
		{0xFFFFFFFE, "4294967294"},
		{uint64(math.Float32bits(-12.3)), "-12.3"},
		{math.Float64bits(12.34), "12.3"},
	} {
		for _, little := range []byte{0, 1} {
			raw := make([]byte, typeBytes[kind])
			for i := range raw {
				at := i
				if little == 0 {
					at = len(raw) - 1 - i
				}
				raw[at] = byte(c.bits >> (8 * i))
			}
			file := join(text(0x40, "MFR "), tlv(1, 0, little), tlv(0x0A, 0, byte(kind)), tlv(0x09, 0, 1), tlv(0x0C, 0, 0, 0xFA, 1), tlv(0x1E, 0, raw...))
			rec := ecgtest.Survive(t, Decode, file)
			if rec == nil {
				t.Fatal(kind)
			}
			counts, _, err := rec.Groups[0].ReadAll(10)
			if err != nil {
				t.Fatal(err)
			}
			if got := rec.Groups[0].Leads[0].Value(counts[0][0]).String(); got != c.want || rec.Groups[0].Rate.String() != "1000" {
				t.Errorf("type %d, order %d: %s, want %s", kind, little, got, c.want)
			}
			if (kind == statusType) != (rec.Groups[0].Kind == ecg.OtherSignals) {
				t.Errorf("type %d is %s", kind, rec.Groups[0].Kind)
			}
		}
	}
}

func TestCharsets(t *testing.T) {
	for set, name := range map[string]string{
		"Shift_JIS": "\x8eR\x93c", "EUC-JP": "\xbb\xb3\xc5\xc4", "ISO-2022-JP": "\x1b$B;3ED\x1b(B", "UTF-8": "山田", "UTF-16BE": "\x5c\x71\x75\x30",
		"GB18030": "\xc9\xbd\xcc\xef", "ASCII": "山田",
	} {
		rec := ecgtest.Survive(t, Decode, join(text(0x40, "MFR "), text(3, set), text(0x81, name)))
		if rec == nil || rec.Patient.Name != "山田" {
			t.Errorf("%s: %+v", set, rec.Patient)
		}
	}
}

// TestSecondDefinition: data behind new definitions are other groups, later by their time.
func TestSecondDefinition(t *testing.T) {
	when := func(s byte) []byte { return tlv(0x85, 0, 0x07, 0xE3, 6, 19, 13, 20, s) }
	rec := ecgtest.Survive(t, Decode, join(text(0x40, "MFR "), tlv(9, 0, 2), tlv(0x0C, 0, 0, 0xFA, 1), when(0), tlv(0x1E, 0, 0, 1, 0, 2), when(30), tlv(0x1E, 0, 0, 3)))
	if len(rec.Groups) != 2 || rec.Groups[1].StartOffset.String() != "30000" || rec.Groups[1].Length != 1 {
		t.Errorf("%+v", rec.Groups)
	}
}

// TestRefused: row 69 of the hostile files and its relatives.
func TestRefused(t *testing.T) {
	head := join(text(0x40, "MFR "), tlv(9, 0, 2))
	for name, c := range map[string]struct {
		in   []byte
		want reject.Code
	}{
		"length of 2⁶⁴":            {join(head, []byte{0x16, 0x88}, bytes.Repeat([]byte{0xFF}, 8)), reject.Malformed},
		"length of 127 bytes":      {join(head, []byte{0x16, 0xFF}, bytes.Repeat([]byte{0xFF}, 127)), reject.Malformed},
		"length chain":             {join(head, []byte{0x3F, 0, 0x84, 0x7F, 0xFF, 0xFF, 0xFF}), reject.Truncated},
		"length past the parent":   {join(head, []byte{0x3F, 0, 4, 9, 100, 0, 2}, make([]byte, 200)), reject.Malformed},
		"attributes in each other": {join(head, []byte{0x3F, 0, 9, 0x3F, 0, 2, 9, 0, 0, 0, 0, 0}), reject.Malformed},
		"no length":                {join(head, []byte{0x81, 0x80, 'A', 0, 0}), reject.Malformed},
		"channel 2²¹":              {join(head, []byte{0x3F, 0x80, 0x80, 0x80, 0}), reject.Malformed},
		"channel 9999":             {join(head, []byte{0x3F, 0xCE, 0x0F, 0}), reject.TooManyElements},
		"9999 channels":            {join(head, tlv(5, 0, 0x27, 0x0F)), reject.TooManyElements},
		"0 channels":               {join(head, tlv(5, 0, 0)), reject.Malformed},
		"block of 2³²":             {join(head, tlv(4, 0, 0xFF, 0xFF, 0xFF, 0xFF)), reject.Malformed},
		"block of 0":               {join(head, tlv(4, 0, 0)), reject.Malformed},
		"2⁴⁰ sequences":            {join(head, tlv(6, 0, 1, 0, 0, 0, 0, 0)), reject.Malformed},
		"compressed":               {join(head, tlv(0x0E, 0, 0, 1)), reject.NotParsed},
		"AHA":                      {join(head, tlv(0x0A, 0, 9)), reject.NotParsed},
		"less than a sequence":     {join(head, tlv(4, 0, 9), tlv(0x1E, 0, 0, 1)), reject.Truncated},
		"cut":                      {head[:len(head)-1], reject.Truncated},
	} {
		if _, err := Decode(ecgtest.Source("", c.in), ecg.Limits{}); err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	// Data that say they are longer than the file are read as far as they go.
	rec := ecgtest.Survive(t, Decode, join(head, []byte{0x1E, 0x84, 0x7F, 0, 0, 0, 0, 1, 0, 2}))
	if rec == nil || rec.Groups[0].Length != 2 || len(rec.Warnings) == 0 {
		t.Errorf("%+v", rec)
	}
	many := join(head, bytes.Repeat(join(tlv(9, 0, 2), tlv(0x1E, 0, 0, 1)), 65))
	if _, err := Decode(ecgtest.Source("", many), ecg.Limits{}); reject.CodeOf(err) != reject.TooManyElements {
		t.Error(err)
	}
	if _, err := Decode(ecgtest.Source("", []byte(strings.Repeat("\x16\x00", maxTags+1))), ecg.Limits{}); reject.CodeOf(err) != reject.TooManyElements {
		t.Error(err)
	}
}

func TestHostile(t *testing.T) { ecgtest.Check(t, Decode, monitor()) }

func FuzzDecode(f *testing.F) {
	f.Add(monitor())
	f.Add(join(text(0x40, "MFR "), tlv(1, 0, 1), tlv(0x0A, 0, 7), tlv(0x1E, 3, 0, 0, 0x80, 0x3F)))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}
