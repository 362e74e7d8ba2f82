package scpecg_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"unicode/utf16"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/scpecg/scptest"
)

func le16(v ...int) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, uint16(x))
	}
	return b
}

func manyTags() []scptest.Tag {
	return []scptest.Tag{
		scptest.Text(0, "García"), scptest.Text(1, "Ana"), scptest.Text(3, "Núñez"), scptest.Text(2, "ZY-0042"),
		scptest.Bytes(4, 63, 0, 1), scptest.Date(5, 1963, 2, 28), scptest.Bytes(6, 165, 0, 1), scptest.Bytes(7, 0x70, 0xFD, 2), // 64880 g
		scptest.Bytes(8, 2), scptest.Bytes(9, 1), scptest.Bytes(10, append([]byte{0, 1, 2}, "Digoxin\x00"...)...), scptest.Bytes(10, 0, 3, 4, 0),
		scptest.Bytes(11, le16(130)...), scptest.Bytes(12, le16(85)...), scptest.Text(13, "palpitations"),
		scptest.Device(0x37, "SE-12", "AN1.0", "SN77", "SW2", "SCP3", "Maker AG"),
		scptest.Bytes(15, scptest.Device(0x37, "HOST", "AN9.9").Value...),
		scptest.Text(16, "Clinic"), scptest.Text(17, "Reading centre"), scptest.Text(18, "ICU"), scptest.Text(20, "Dr R"),
		scptest.Text(21, "Dr C"), scptest.Text(22, "Tech"), scptest.Text(23, "Room 5"), scptest.Bytes(24, 3),
		scptest.Date(25, 2026, 3, 4), scptest.Bytes(26, 23, 59, 58), scptest.Bytes(27, le16(5)...), scptest.Bytes(28, le16(150)...), scptest.Bytes(29, 2|4),
		scptest.Text(30, "first remark"), scptest.Text(30, "second remark"), scptest.Text(31, "SEQ1"),
		scptest.Bytes(32, 0, 4, 7), scptest.Bytes(33, 2, 0), scptest.Bytes(34, append(le16(480, 0), 0)...), scptest.Text(35, "history"),
		scptest.Bytes(200, 1),
	}
}

func TestAllTags(t *testing.T) {
	rec := decode(t, &scptest.Record{Tags: manyTags(), Leads: waves(10, 1), Default: true})
	p := rec.Patient
	if p.Name != "García Núñez^Ana" || p.ID != "ZY-0042" || p.Sex != "F" || p.BirthDate != "1963-02-28" || p.Race != "Caucasian" {
		t.Errorf("patient %+v", p)
	}
	if p.Age.Unit != "a" || p.Age.Value.String() != "63" || p.HeightCM.String() != "165" || p.WeightKG.String() != "64.88" {
		t.Errorf("age %v, height %s, weight %s", p.Age, p.HeightCM, p.WeightKG)
	}
	if !slices.Equal(p.Medication, []string{"Digoxin", "drug 3.4 of table 0"}) {
		t.Errorf("medication %q", p.Medication)
	}
	if want := []string{"analysed by Reading centre", "first remark", "second remark", "medical history codes 4, 7 of table 0", "history"}; !slices.Equal(p.Remarks, want) {
		t.Errorf("remarks %q", p.Remarks)
	}
	if want := (ecg.Device{Maker: "Maker AG", Model: "SE-12", Serial: "SN77", Software: "SW2", Analysis: "HOST AN9.9"}); rec.Device != want {
		t.Errorf("device %+v", rec.Device)
	}
	if want := (ecg.Context{
		Institution: "Clinic", Department: "ICU", Location: "Room 5", Operator: "Tech", ReferringPhysician: "Dr R",
		Reason: "palpitations",
	}); rec.Context != want || rec.DocumentID != "SEQ1" {
		t.Errorf("context %+v, %q", rec.Context, rec.DocumentID)
	}
	if got := rec.Acquired.String(); got != "2026-03-04T23:59:58+08:00" {
		t.Errorf("acquired %s", got)
	}
	l := rec.Groups[0].Leads[0]
	if f := l.Filters; f.HighPassHz.String() != "0.05" || f.LowPassHz.String() != "150" || f.NotchHz.String() != "50" || f.Text != "50 Hz notch, artifact filter" {
		t.Errorf("filters %+v", f)
	}
	if l.Placement == "" {
		t.Error("no electrode configuration")
	}
	for _, want := range []struct{ name, raw string }{{"systolic blood pressure", "130"}, {"diastolic blood pressure", "85"}, {"stat code", "3"}} {
		if !slices.ContainsFunc(rec.Measurements, func(m ecg.Measurement) bool { return m.Name == want.name && m.Raw == want.raw && m.Valid }) {
			t.Errorf("no %s %s", want.name, want.raw)
		}
	}
	if len(rec.Warnings) != 1 || !hasWarning(rec, ecg.WarnUnsupportedPart, "tag 200") {
		t.Errorf("warnings %v", rec.Warnings)
	}
}

func TestBaselineFilterOfBurdick(t *testing.T) {
	rec := decode(t, &scptest.Record{Tags: []scptest.Tag{scptest.Bytes(27, le16(500)...)}, Leads: waves(10, 1)})
	if f := rec.Groups[0].Leads[0].Filters; f.HighPassHz.String() != "0.05" || !hasWarning(rec, ecg.WarnLayout, "tag 27") {
		t.Errorf("%+v", f)
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		want string
		warn bool
		tags []scptest.Tag
	}{
		{"2026-03-04", false, []scptest.Tag{scptest.Date(25, 2026, 3, 4)}},
		{"2026-03-04T01:02:03", false, []scptest.Tag{scptest.Date(25, 2026, 3, 4), scptest.Bytes(26, 1, 2, 3), scptest.Bytes(34, le16(0x7FFF, 0)...)}},
		{"2026-03-04T01:02:03-04:30", false, []scptest.Tag{scptest.Bytes(34, le16(-270, 0)...), scptest.Date(25, 2026, 3, 4), scptest.Bytes(26, 1, 2, 3)}},
		{"", true, []scptest.Tag{scptest.Date(25, 2026, 13, 4)}},
		{"", false, nil},
		{"", false, []scptest.Tag{scptest.Date(25, 0, 0, 0)}},
	} {
		rec := decode(t, &scptest.Record{Tags: c.tags, Leads: waves(10, 1)})
		if rec.Acquired.String() != c.want || hasWarning(rec, ecg.WarnTime, "") != c.warn {
			t.Errorf("%q, want %q; warnings %v", rec.Acquired, c.want, rec.Warnings)
		}
	}
}

func wide(s string) string {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func TestLanguages(t *testing.T) {
	for _, c := range []struct {
		name     string
		language byte
		raw      string
		want     string
		warn     ecg.WarningCode
	}{
		{"ASCII", 0x00, "Doe\x00", "Doe", ""},
		{"GBK", 0x27, "\xd5\xc5\xc8\xfd\xb7\xe1\x00", "张三丰", ""},
		{"GB18030 beyond GBK, called GB2312", 0x27, "\xc0\xee\x95\x34\xb2\x35\x00", "李𠮷", ecg.WarnTextRepaired},
		{"GBK called ASCII", 0x00, "\xc0\xe8\xc4\xb3\xc4\xb3\x00", "黎某某", ecg.WarnTextRepaired},
		{"GBK called Latin-1", 0x01, "\xc0\xe8\xc4\xb3\xc4\xb3\x00", "黎某某", ecg.WarnTextRepaired},
		{"UTF-8", 0x37, "黎某某\x00", "黎某某", ""},
		{"UTF-8 called ASCII", 0x00, "黎某某\x00", "黎某某", ecg.WarnTextRepaired},
		{"Latin-1", 0x01, "M\xfcller\x00", "Müller", ""},
		{"Latin-2", 0x03, "\xa3\xf3d\xbc\x00", "Łódź", ""},
		{"Cyrillic", 0x13, "\xb8\xd2\xd0\xdd\x00", "Иван", ""},
		{"Greek", 0x23, "\xcd\xdf\xea\xef\xf2\x00", "Νίκος", ""},
		{"JIS with escapes", 0x17, "\x1b$B;3ED\x1b(B\x00", "山田", ""},
		{"UTF-16", 0x07, wide("王Ab"), "王Ab", ""},
		{"Korean", 0x2F, "\xb1\xe8\x00", "김", ""},
		{"without NUL", 0x00, "Doe", "Doe", ""},
		{"stray bytes for a NUL", 0x00, "Doe\xff\xff\x03", "Doe", ecg.WarnLayout},
		{"bytes behind the NUL", 0x00, "Doe\x00\xffjunk", "Doe", ""},
		{"unknown language", 0x4F, "Doe\x00", "Doe", ecg.WarnCharset},
	} {
		rec := decode(t, &scptest.Record{
			Tags:  []scptest.Tag{scptest.Bytes(0, []byte(c.raw)...), scptest.Device(c.language, "M1", "a", "SER", "c", "d", "Maker")}, // the language comes last
			Leads: waves(10, 1),
		})
		if rec.Patient.Name != c.want {
			t.Errorf("%s: %q, want %q", c.name, rec.Patient.Name, c.want)
		}
		if c.warn == "" && len(rec.Warnings) > 0 || c.warn != "" && !hasWarning(rec, c.warn, "section 1") {
			t.Errorf("%s: warnings %v", c.name, rec.Warnings)
		}
		if rec.Device.Serial != "SER" || rec.Device.Maker != "Maker" || rec.Device.Model != "M1" {
			t.Errorf("%s: device %+v", c.name, rec.Device)
		}
	}
}

func TestMakerByCode(t *testing.T) {
	device := scptest.Device(0, "ELI250")
	device.Value[7] = 8
	rec := decode(t, &scptest.Record{Tags: []scptest.Tag{device}, Leads: waves(10, 1)})
	if rec.Device.Maker != "Mortara" || rec.Device.Model != "ELI250" {
		t.Errorf("%+v", rec.Device)
	}
	short := scptest.Tag{ID: 14, Value: device.Value[:12]} // ends inside the model
	if rec = decode(t, &scptest.Record{Tags: []scptest.Tag{short}, Leads: waves(10, 1)}); rec.Device.Model != "ELI2" {
		t.Errorf("%+v", rec.Device)
	}
}
