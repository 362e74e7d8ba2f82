package scpecg_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// plain is a record of two leads with everything that most have.
func plain() *scptest.Record {
	return &scptest.Record{
		Tags:    []scptest.Tag{scptest.Text(0, "Doe"), scptest.Text(2, "7"), scptest.Date(25, 2026, 3, 4)},
		Default: true, Encoding: 2, Leads: waves(600, 1, 2),
	}
}

func TestChecksums(t *testing.T) {
	r := plain()
	if rec := decode(t, r); len(rec.Warnings) != 0 {
		t.Errorf("sound record: %v", rec.Warnings)
	}
	for id, where := range map[int]string{-1: "file", 0: "section 0", 1: "section 1", 6: "section 6"} {
		r.BadCRC = []int{id}
		rec := decode(t, r)
		if len(rec.Warnings) != 1 || !hasWarning(rec, ecg.WarnChecksum, where) {
			t.Errorf("%s: %v", where, rec.Warnings)
		}
		sameLeads(t, rec.Groups[0], samplesOf(r.Leads), 1000)
	}
	b := plain().Bytes()
	b[0], b[1] = 0, 0
	if rec, err := scpecg.Decode(ecgtest.Source("", b), ecg.Limits{}); err != nil || !hasWarning(rec, ecg.WarnChecksumAbsent, "file") {
		t.Errorf("CRC 0: %v", err)
	}
}

func TestNameOfSection0(t *testing.T) {
	r := plain()
	r.NoName = true
	rec, err := formats.Decode(ecgtest.Source("", r.Bytes()), ecg.Limits{})
	if err != nil || !hasWarning(rec, ecg.WarnLayout, "section 0") || rec.Patient.Name != "Doe" {
		t.Fatalf("%v", err)
	}
	r.BadCRC = []int{0}
	if _, err := scpecg.Decode(ecgtest.Source("", r.Bytes()), ecg.Limits{}); reject.CodeOf(err) != reject.Malformed {
		t.Errorf("neither name nor CRC: %v", err)
	}
}

func TestSectionsOutOfOrder(t *testing.T) {
	r, _ := subtraction(5000, 2500)
	r.Order = []int{6, 5, 3, 1, 4, 2}
	rec := decode(t, r)
	if len(rec.Warnings) != 0 {
		t.Errorf("%v", rec.Warnings)
	}
	sameLeads(t, rec.Groups[1], r.Reference.Leads, 2500)
}

func TestWrongPointers(t *testing.T) {
	// Row 66 of the hostile files, in both forms. Walking from section to section finds them.
	for name, pointer := range map[string]uint32{"past the end": 1 << 31, "before the sections": 0, "one off": 0xFFFFFFFF, "inside another": 60} {
		for _, id := range []int{1, 2, 3, 6} {
			r := plain()
			r.Pointers = map[int]uint32{id: pointer}
			rec := decode(t, r)
			sameLeads(t, rec.Groups[0], samplesOf(r.Leads), 1000)
			if !hasWarning(rec, ecg.WarnHeaderDiffers, "pointer to section") {
				t.Errorf("%s, section %d: %v", name, id, rec.Warnings)
			}
		}
	}
	// Where walking does not find it either, a needed section is missed and another is not.
	b := plain().Bytes()
	for id, want := range map[int]reject.Code{6: reject.Truncated, 3: reject.Truncated, 2: reject.Truncated, 1: ""} {
		bad := bytes.Clone(b)
		entry := bad[6+16+10*id:]
		at := binary.LittleEndian.Uint32(entry[6:]) - 1
		binary.LittleEndian.PutUint32(entry[6:], 1<<31)
		binary.LittleEndian.PutUint16(bad[at+2:], 200)
		_, err := scpecg.Decode(ecgtest.Source("", bad), ecg.Limits{})
		if want == "" && err != nil || want != "" && reject.CodeOf(err) != want {
			t.Errorf("section %d: %v", id, err)
		}
	}
}

func TestLengthOfSectionDiffers(t *testing.T) {
	r := plain()
	b := r.Bytes()
	binary.LittleEndian.PutUint32(b[6+16+10*6+2:], 1<<30) // section 6, in its pointer
	rec, err := scpecg.Decode(ecgtest.Source("", b), ecg.Limits{})
	if err != nil || !hasWarning(rec, ecg.WarnHeaderDiffers, "length of section 6") {
		t.Fatalf("%v", err)
	}
	sameLeads(t, rec.Groups[0], samplesOf(r.Leads), 1000)
}

func TestLongLeads(t *testing.T) {
	const n = 70_000 // 140,000 bytes: two overflows of 16 bits, raw
	for name, set := range map[string]func(*scptest.Record){
		"raw, lengths cut to 16 bits":     func(r *scptest.Record) { r.Cut16 = true },
		"raw, lengths of 32 bits":         func(r *scptest.Record) { r.WideLengths = true },
		"Huffman, lengths cut to 16 bits": func(r *scptest.Record) { r.Cut16, r.Default = true, true },
		"Huffman, lengths of 32 bits":     func(r *scptest.Record) { r.WideLengths, r.Default = true, true },
	} {
		r := &scptest.Record{Leads: waves(n, 1, 2)}
		set(r)
		rec := decode(t, r)
		sameLeads(t, rec.Groups[0], samplesOf(r.Leads), 1000)
		if !hasWarning(rec, ecg.WarnLayout, "lead lengths") {
			t.Errorf("%s: %v", name, rec.Warnings)
		}
	}
	// What was cut away is gone, and said to be.
	leads := waves(32767, 1, 2)
	leads[0].End, leads[1].End = 37855, 37855
	rec := decode(t, &scptest.Record{Leads: leads})
	sameLeads(t, rec.Groups[0], samplesOf(leads), 1000)
	if !hasWarning(rec, ecg.WarnLengthDiffers, "rhythm II") {
		t.Errorf("%v", rec.Warnings)
	}
}

func TestRangesFromZero(t *testing.T) {
	for _, table := range []bool{true, false} {
		r := &scptest.Record{Leads: waves(1000, 1, 2), Default: table, ZeroBased: true}
		rec := decode(t, r)
		sameLeads(t, rec.Groups[0], samplesOf(r.Leads), 1000)
		if !hasWarning(rec, ecg.WarnLayout, "section 3") || hasWarning(rec, ecg.WarnLengthDiffers, "") {
			t.Errorf("%v", rec.Warnings)
		}
	}
}

func TestRecordSizeDiffers(t *testing.T) {
	b := plain().Bytes()
	rec, err := scpecg.Decode(ecgtest.Source("", append(bytes.Clone(b), "behind"...)), ecg.Limits{})
	if err != nil || len(rec.Warnings) != 1 || !hasWarning(rec, ecg.WarnTrailingBytes, "file") {
		t.Errorf("trailing bytes: %v", err)
	}
	if _, err := scpecg.Decode(ecgtest.Source("", b[:len(b)-100]), ecg.Limits{}); reject.CodeOf(err) != reject.Truncated {
		t.Errorf("cut file: %v", err)
	}
}

func TestHostile(t *testing.T) {
	stated := func(leads int, samples uint32) *scptest.Record {
		r := &scptest.Record{Default: true}
		for range leads {
			r.Leads = append(r.Leads, scptest.Lead{ID: 1, End: samples, Samples: []int16{1, 2}})
		}
		return r
	}
	far := plain()
	far.Leads[1].Start, far.Leads[1].End = 4e9, 4e9+600
	overlap := &scptest.Record{Subtracted: true, BeatMillis: 1200, Fiducial: 1, Leads: waves(600, 1, 2), Reference: &scptest.Signal{AVM: 1, Interval: 2000, Leads: [][]int16{wave(600, 1), wave(600, 2)}}}
	for range 60_000 {
		overlap.Beats = append(overlap.Beats, scptest.Beat{From: 1, Center: 1, Till: 600})
	}
	table := func(codes ...scptest.Code) *scptest.Record {
		return &scptest.Record{Other: map[int][]byte{2: section2(codes)}, Leads: waves(600, 1, 2)}
	}
	for name, c := range map[string]struct {
		r    *scptest.Record
		want reject.Code
	}{
		"leads x samples = 2^47, row 67": {stated(255, 0xFFFFFFFE), reject.TooManyElements},
		"one lead of 2^32 samples":       {stated(1, 0xFFFFFFFE), reject.TooManyElements},
		"a lead that starts in 92 days":  {far, reject.TooManyElements},
		"zones on top of each other":     {overlap, reject.Malformed},
		"no leads for section 3":         {&scptest.Record{Other: map[int][]byte{3: {255, 4, 0}}}, reject.Malformed},
		"lead that ends before it starts": {
			&scptest.Record{Other: map[int][]byte{3: {1, 4, 9, 0, 0, 0, 1, 0, 0, 0, 1}}}, reject.Malformed,
		},
		"60000 tables":             {&scptest.Record{Other: map[int][]byte{2: {0, 0xEA}}}, reject.TooManyElements},
		"more codes than bytes":    {&scptest.Record{Other: map[int][]byte{2: {1, 0, 0xFF, 0xFF, 1, 1, 1}}}, reject.Malformed},
		"prefix of 200 bits":       {table(scptest.Code{Prefix: bitsOf(200)}), reject.Malformed},
		"sample of 60 bits":        {table(scptest.Code{Prefix: "0", Extra: 60}), reject.Malformed},
		"empty prefix beside one":  {table(scptest.Code{}, scptest.Code{Prefix: "1"}), reject.Malformed},
		"switch to no table":       {table(scptest.Code{Prefix: "0", Base: 2, Switch: true}), reject.Malformed},
		"no code fits":             {table(scptest.Code{Prefix: bitsOf(31), Base: 1}), reject.Malformed},
		"encoding 3":               {&scptest.Record{Leads: waves(9, 1), Encoding: 3}, reject.Malformed},
		"no interval":              {&scptest.Record{Leads: waves(9, 1), Other: map[int][]byte{6: {1, 0, 0, 0, 0, 0, 18, 0}}}, reject.Malformed},
		"section 6 too short":      {&scptest.Record{Leads: waves(9, 1), Other: map[int][]byte{6: {1}}}, reject.Truncated},
		"leads longer than it":     {&scptest.Record{Leads: waves(9, 1), Other: map[int][]byte{6: {1, 0, 1, 0, 0, 0, 0xFF, 0xFF}}}, reject.Truncated},
		"nothing but section 0":    {&scptest.Record{Order: []int{}}, reject.Malformed},
		"decimation by no integer": {&scptest.Record{Leads: waves(9, 1), Bimodal: true, Interval: 3000, BeatMillis: 20, Reference: &scptest.Signal{AVM: 1, Interval: 2000, Leads: [][]int16{{1}}}}, reject.Malformed},
	} {
		if _, err := scpecg.Decode(ecgtest.Source("", c.r.Bytes()), ecg.Limits{}); reject.CodeOf(err) != c.want || err == nil {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	// A table that only switches to itself ends with the data.
	loop := table(scptest.Code{Prefix: "0", Base: 1, Switch: true}, scptest.Code{Prefix: "1", Base: 1, Switch: true})
	ecgtest.Survive(t, scpecg.Decode, loop.Bytes())
	// Thousands of pointers to the whole file cost two CRCs of it, not thousands.
	many := plain().Bytes()
	section0 := make([]byte, 16+10*1000)
	binary.LittleEndian.PutUint32(section0[4:], uint32(len(section0)))
	copy(section0[10:], "SCPECG")
	for i := range 1000 {
		binary.LittleEndian.PutUint16(section0[16+10*i:], uint16(20+i))
		binary.LittleEndian.PutUint32(section0[18+10*i:], 1<<20)
		binary.LittleEndian.PutUint32(section0[22+10*i:], uint32(6+len(section0)+1+16*i))
	}
	file := append(append(many[:6:6], section0...), make([]byte, 2<<20)...)
	for i := range 1000 {
		at := 6 + len(section0) + 16*i
		binary.LittleEndian.PutUint16(file[at+2:], uint16(20+i))
		binary.LittleEndian.PutUint32(file[at+4:], 1<<20)
	}
	if _, err := scpecg.Decode(ecgtest.Source("", file), ecg.Limits{}); reject.CodeOf(err) != reject.Malformed {
		t.Errorf("overlapping sections: %v", err)
	}
}

func bitsOf(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '1'
	}
	return string(b)
}

// section2 is a section 2 of one table that its writer would not use.
func section2(codes []scptest.Code) []byte {
	b := []byte{1, 0, byte(len(codes)), 0}
	for _, c := range codes {
		mode := byte(1)
		if c.Switch {
			mode = 0
		}
		b = append(b, byte(len(c.Prefix)), byte(len(c.Prefix)+c.Extra), mode, byte(c.Base), byte(c.Base>>8))
		bits := uint32(0)
		for i, bit := range c.Prefix {
			if bit == '1' && i < 32 {
				bits |= 1 << i
			}
		}
		b = binary.LittleEndian.AppendUint32(b, bits)
	}
	return b
}

// everything is a record with all that is read.
func everything() *scptest.Record {
	r, _ := subtraction(20000, 5000)
	r.Leads[0].Samples = r.Leads[0].Samples[:1600]
	r.Protocol = 30
	r.Tags = manyTags()
	r.Other = map[int][]byte{7: globals(), 8: statements(), 9: {1, 2, 3}, 10: perLead(), 11: universal(), 12: longTerm(3, 50), 15: {1}}
	return r
}

func TestDamage(t *testing.T) {
	ecgtest.Check(t, scpecg.Decode, everything().Bytes())
	small := plain()
	small.Tables, small.Default = own, false
	small.Leads = waves(40, 1, 2)
	ecgtest.Check(t, scpecg.Decode, small.Bytes())
}

func FuzzDecode(f *testing.F) {
	beats := &scptest.Record{
		Default: true, Encoding: 2, Subtracted: true, BeatMillis: 40, Fiducial: 9, AVM: 20000, Tags: manyTags(),
		Reference: &scptest.Signal{AVM: 5000, Interval: 2000, Encoding: 1, Leads: [][]int16{wave(20, 1)}},
		Beats:     []scptest.Beat{{From: 3, Center: 10, Till: 20}, {From: 30, Center: 38, Till: 41}}, Leads: waves(60, 1),
		Other: map[int][]byte{7: globals(), 8: statements(), 10: perLead(), 11: universal()},
	}
	f.Add(beats.Bytes())
	tables := &scptest.Record{Leads: waves(30, 1, 2), Tables: own, Encoding: 1}
	f.Add(tables.Bytes())
	packed := &scptest.Record{Leads: waves(40, 1), Bimodal: true, Interval: 8000, Beats: []scptest.Beat{{Type: 1, QRSFrom: 5, QRSTill: 9}}}
	packed.Leads[0].End = 5 + 4*31 + 4
	f.Add(packed.Bytes())
	long := &scptest.Record{Protocol: 30, Other: map[int][]byte{12: longTerm(2, 9)}}
	f.Add(long.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, scpecg.Decode, in) })
}
