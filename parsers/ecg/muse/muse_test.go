package muse

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestCorpus(t *testing.T) { ecgtest.Golden(t, "muse", Decode, ecgtest.Options{}) }

// document is a MUSE export of our own making with the given leads of n samples.
func document(leads []string, n int, edit ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE RestingECG SYSTEM "restecg.dtd">
<RestingECG><MuseInfo><MuseVersion>9.0.7</MuseVersion></MuseInfo>
<PatientDemographics><PatientID>MU-1</PatientID><PatientAge>54</PatientAge><AgeUnits>YEARS</AgeUnits><DateofBirth>03-09-1970</DateofBirth>
<Gender>FEMALE</Gender><PatientLastName>Li</PatientLastName><PatientFirstName>Hua</PatientFirstName></PatientDemographics>
<TestDemographics><Status>CONFIRMED</Status><SiteName>Clinic</SiteName><AcquisitionDevice>MAC55</AcquisitionDevice>
<AcquisitionTime>10:11:12</AcquisitionTime><AcquisitionDate>12-31-2023</AcquisitionDate>
<EditTime>08:00:01</EditTime><EditDate>01-02-2024</EditDate><OverreaderLastName>Wang</OverreaderLastName><OverreaderFirstName>Min</OverreaderFirstName></TestDemographics>
<RestingECGMeasurements><VentricularRate>60</VentricularRate><QTCorrected>410</QTCorrected><QOnset>216</QOnset><ECGSampleBase>500</ECGSampleBase><ECGSampleExponent>0</ECGSampleExponent></RestingECGMeasurements>
<OriginalRestingECGMeasurements><VentricularRate>60</VentricularRate><QTCorrected>430</QTCorrected></OriginalRestingECGMeasurements>
<Diagnosis><DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>Normal ECG</StmtText></DiagnosisStatement></Diagnosis>
<OriginalDiagnosis><DiagnosisStatement><StmtText>Sinus</StmtText></DiagnosisStatement>
<DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>rhythm</StmtText></DiagnosisStatement>
<DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>Borderline</StmtText></DiagnosisStatement></OriginalDiagnosis>
<QRSTimesTypes><QRS><Number>1</Number><Type>0</Type><Time>614</Time></QRS></QRSTimesTypes>
<Waveform><WaveformType>Rhythm</WaveformType><NumberofLeads>`)
	fmt.Fprintf(&b, "%d</NumberofLeads><SampleBase>500</SampleBase><SampleExponent>0</SampleExponent><HighPassFilter>5</HighPassFilter><LowPassFilter>150</LowPassFilter><ACFilter>NONE</ACFilter>\n", len(leads))
	for k, lead := range leads {
		var raw []byte
		for i := range n {
			raw = binary.LittleEndian.AppendUint16(raw, uint16(int16(i*(k+1)-100)))
		}
		fmt.Fprintf(&b, `<LeadData><LeadByteCountTotal>%d</LeadByteCountTotal><LeadTimeOffset>0</LeadTimeOffset><LeadSampleCountTotal>%d</LeadSampleCountTotal>
<LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>%s</LeadID>
<LeadSampleSize>2</LeadSampleSize><LeadDataCRC32>%d</LeadDataCRC32><WaveFormData>%s</WaveFormData></LeadData>`+"\n",
			len(raw), n, lead, crc32.ChecksumIEEE(raw), base64.StdEncoding.EncodeToString(raw))
	}
	b.WriteString("</Waveform></RestingECG>")
	return strings.NewReplacer(edit...).Replace(b.String())
}

var eight = []string{"I", "II", "V1", "V2", "V3", "V4", "V5", "V6"}

func decode(t *testing.T, text string) *ecg.Recording {
	t.Helper()
	rec, err := Decode(ecgtest.Source("", []byte(text)), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Validate(ecg.Limits{}); err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestDocument(t *testing.T) {
	rec := decode(t, document(eight, 20))
	if p := rec.Patient; p.ID != "MU-1" || p.Name != "Li^Hua" || p.Sex != "F" || p.BirthDate != "1970-03-09" || p.Age.Value.String() != "54" {
		t.Errorf("%+v", p)
	}
	if rec.Acquired.String() != "2023-12-31T10:11:12" || rec.Acquired.ZoneKnown || len(rec.Warnings) != 0 {
		t.Error(rec.Acquired, rec.Warnings)
	}
	f := rec.Groups[0].Leads[0].Filters
	if f.HighPassHz.String() != "0.05" || f.LowPassHz.String() != "150" || !f.NotchOff {
		t.Errorf("%+v", f)
	}
	if m, ok := rec.Measurement(ecg.QRSOnset); !ok || m.Value.String() != "432" || m.Raw != "216" {
		t.Errorf("%+v", m)
	}
	if m, ok := rec.Measurement(ecg.QTcInterval); !ok || m.Value.String() != "410" || m.Formula != ecg.Bazett {
		t.Errorf("%+v", m)
	}
	want := []ecg.Statement{
		{Text: "Normal ECG", Author: ecg.OverRead, Status: ecg.Confirmed, Name: "Wang^Min"},
		{Text: "Sinus rhythm", Author: ecg.Machine, Status: ecg.Unconfirmed},
		{Text: "Borderline", Author: ecg.Machine, Status: ecg.Unconfirmed},
	}
	for i, w := range want {
		got := rec.Statements[i]
		if i == 0 && got.Time.String() != "2024-01-02T08:00:01" {
			t.Error(got.Time)
		}
		got.Time = ecg.Time{}
		if got != w {
			t.Errorf("%+v, want %+v", got, w)
		}
	}
	if err := rec.Complete(); err != nil || len(rec.Groups[0].Leads) != 12 || len(rec.Annotations) != 1 {
		t.Error(err, len(rec.Groups[0].Leads), rec.Annotations)
	}
}

func TestFifteenLeads(t *testing.T) {
	rec := decode(t, document(append(append([]string{}, eight...), "V3R", "V4R", "V7"), 20))
	g := rec.Groups[0]
	if err := rec.Complete(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"V3R", "V4R", "V7", "aVF"} {
		if l, _ := g.Lead(name); l == nil || l.Code == "" {
			t.Errorf("no %s", name)
		}
	}
	if len(g.Leads) != 15 {
		t.Error(len(g.Leads))
	}
}

func TestBlemishes(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("窦性心律，黎某某")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		edit []string
		want ecg.WarningCode
	}{
		"checksum":     {[]string{"<LeadDataCRC32>", "<LeadDataCRC32>1"}, ecg.WarnChecksum},
		"no checksum":  {[]string{"LeadDataCRC32", "Other"}, ecg.WarnChecksumAbsent},
		"short":        {[]string{"<LeadSampleCountTotal>20", "<LeadSampleCountTotal>25"}, ecg.WarnTruncated},
		"long":         {[]string{"<LeadSampleCountTotal>20", "<LeadSampleCountTotal>15"}, ecg.WarnLengthDiffers},
		"leads":        {[]string{"<NumberofLeads>8", "<NumberofLeads>12"}, ecg.WarnHeaderDiffers},
		"no scale":     {[]string{"<LeadAmplitudeUnitsPerBit>4.88", "<LeadAmplitudeUnitsPerBit>"}, ecg.WarnScaleAbsent},
		"unknown lead": {[]string{"<LeadID>V1", "<LeadID>Q1"}, ecg.WarnLeadUnknown},
		"twice":        {[]string{"<LeadID>V2", "<LeadID>V1"}, ecg.WarnLeadDuplicate},
		"date":         {[]string{"12-31-2023", "31-31-2023"}, ecg.WarnTime},
		"GBK":          {[]string{"Normal ECG", gbk}, ecg.WarnTextRepaired},
	} {
		found := false
		rec := decode(t, document(eight, 20, c.edit...))
		for _, w := range rec.Warnings {
			found = found || w.Code == c.want
		}
		if !found {
			t.Errorf("%s: %v", name, rec.Warnings)
		}
		if name == "GBK" && rec.Statements[0].Text != "窦性心律，黎某某" {
			t.Errorf("%q", rec.Statements[0].Text)
		}
	}
	if rec := decode(t, "<RestingECG/>"); len(rec.Warnings) != 1 || rec.Warnings[0].Code != ecg.WarnNoWaveform {
		t.Error(rec.Warnings)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want reject.Code
	}{
		"other root":       {"<ECG/>", reject.UnsupportedFormat},
		"rate 1e9":         {document(eight, 20, "<SampleBase>500", "<SampleBase>1e9"), reject.Malformed},
		"rate 0":           {document(eight, 20, "<SampleBase>500", "<SampleBase>0"), reject.Malformed},
		"no rate":          {document(eight, 20, "<SampleBase>500", "<SampleBase>"), reject.Malformed},
		"rate exponent":    {document(eight, 20, "<SampleExponent>0", "<SampleExponent>999999999"), reject.Malformed},
		"500 MB declared":  {document(eight, 20, "<LeadByteCountTotal>40", "<LeadByteCountTotal>500000000"), reject.Malformed},
		"negative length":  {document(eight, 20, "<LeadByteCountTotal>40", "<LeadByteCountTotal>-40"), reject.Malformed},
		"not base64":       {document(eight, 20, "<WaveFormData>", "<WaveFormData>***"), reject.Malformed},
		"cut":              {document(eight, 20)[:3000], reject.Truncated},
		"300 leads":        {document(append(make([]string, 300), "I"), 1), reject.TooManyElements},
		"too many samples": {document(eight, 200_000), reject.TooLarge},
		"entities":         {document(eight, 2, `SYSTEM "restecg.dtd"`, `[<!ENTITY x SYSTEM "file:///etc/passwd">]`), reject.Malformed},
		"DTD at a URL":     {document(eight, 2, `restecg.dtd`, `http://127.0.0.1/x.dtd`), reject.Malformed},
		"size 3":           {document(eight, 2, "<LeadSampleSize>2", "<LeadSampleSize>3"), reject.Malformed},
	} {
		_, err := Decode(ecgtest.Source("", []byte(c.text)), ecg.Limits{Samples: 1 << 20})
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestHostile(t *testing.T) { ecgtest.Check(t, Decode, []byte(document(eight, 20))) }

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document(eight[:2], 4)))
	f.Add([]byte(document(nil, 0)))
	f.Add([]byte("<RestingECG><Waveform><SampleBase>500</SampleBase></Waveform></RestingECG>"))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}
