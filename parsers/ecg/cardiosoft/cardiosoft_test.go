package cardiosoft

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestCorpus(t *testing.T) {
	ecgtest.Golden(t, "cardiosoft", Decode, ecgtest.Options{})
}

func strip(name string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<%s><NumberOfLeads>2</NumberOfLeads><SampleRate units=\"Hz\">500</SampleRate><ChannelSampleCountTotal>%d</ChannelSampleCountTotal>\n<Resolution units=\"uVperLsb\">5</Resolution>", name, n)
	for k, lead := range []string{"I", "II"} {
		fmt.Fprintf(&b, "<WaveformData lead=%q>\n", lead)
		for i := range n {
			fmt.Fprintf(&b, "%d,", i*(k+1)-10)
			if i%20 == 19 {
				b.WriteString("\n\t")
			}
		}
		b.WriteString("</WaveformData>\n")
	}
	if name == "StripData" {
		b.WriteString(`<ArrhythmiaResults><Time units="ms">100</Time><BeatClass>dominant</BeatClass><Time units="ms">900</Time><BeatClass>PVC</BeatClass></ArrhythmiaResults>`)
	}
	return b.String() + "</" + name + ">"
}

func document(n int, edit ...string) string {
	return strings.NewReplacer(edit...).Replace(`<?xml version="1.0" encoding="ISO-8859-1" ?>
<CardiologyXML><ObservationDateTime><Hour>7</Hour><Minute>8</Minute><Second>9</Second><Day>5</Day><Month>4</Month><Year>2023</Year></ObservationDateTime>
<UID><DICOMStudyUID>1.2.840.113619.2.1</DICOMStudyUID></UID>
<ClinicalInfo><DeviceInfo><Desc>CardioSoft</Desc><SoftwareVer>V6.73</SoftwareVer></DeviceInfo></ClinicalInfo>
<PatientInfo><PID>7</PID><Name><FamilyName>Li</FamilyName><GivenName>Hua</GivenName></Name><Age units="MONTHS">18</Age>
<BirthDateTime><Day>1</Day><Month>10</Month><Year>2021</Year></BirthDateTime><Gender>FEMALE</Gender><Height units="INCHES">30</Height>
<Weight units="POUNDS">10</Weight><PaceMaker>yes</PaceMaker></PatientInfo>
<FilterSetting><Filter50Hz>No</Filter50Hz><Filter60Hz>Yes</Filter60Hz><LowPass units="Hz">40</LowPass><HighPass units="Hz">0.01</HighPass></FilterSetting>
<Interpretation><Diagnosis><DiagnosisText>Sinus rhythm</DiagnosisText><DiagnosisText>Normal  ECG</DiagnosisText></Diagnosis></Interpretation>
<RestingECGMeasurements><VentricularRate units="BPM">60</VentricularRate><QOnset units="ms">428</QOnset>
<MeasurementTable><LeadOrder>I, II</LeadOrder><RAmplitude units="uV">434, </RAmplitude><Bad>1</Bad></MeasurementTable>` +
		strip("MedianSamples", n) + "</RestingECGMeasurements>" + strip("StripData", n) + strip("FullDisclosure", 2*n) + "</CardiologyXML>")
}

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
	rec := decode(t, document(30))
	p := rec.Patient
	if p.ID != "7" || p.Name != "Li^Hua" || p.Sex != "F" || p.BirthDate != "2021-10-01" || p.Age.Unit != "mo" || p.HeightCM.String() != "76.2" || p.WeightKG.String() != "4.5359237" {
		t.Errorf("%+v", p)
	}
	if rec.Acquired.String() != "2023-04-05T07:08:09" || rec.Context.StudyInstanceUID != "1.2.840.113619.2.1" || !rec.Pacing.Paced {
		t.Errorf("%v %+v %+v", rec.Acquired, rec.Context, rec.Pacing)
	}
	if len(rec.Groups) != 3 || rec.Groups[0].Kind != ecg.Rhythm || rec.Groups[1].Kind != ecg.FullDisclosure || rec.Groups[2].Kind != ecg.Median || rec.Groups[1].Length != 60 {
		t.Fatalf("%+v", rec.Groups)
	}
	if f := rec.Groups[0].Leads[1].Filters; f.NotchHz.String() != "60" || f.HighPassHz.String() != "0.01" {
		t.Errorf("%+v", f)
	}
	if len(rec.Statements) != 2 || rec.Statements[1].Text != "Normal ECG" || rec.Statements[0].Author != ecg.Machine {
		t.Errorf("%+v", rec.Statements)
	}
	if m, ok := rec.Measurement(ecg.QRSOnset); !ok || m.Value.String() != "428" || m.Group != 2 {
		t.Errorf("%+v", m)
	}
	if m := rec.Measurements[len(rec.Measurements)-1]; m.Lead != "I" || m.Kind != ecg.RAmplitude || m.Value.String() != "434" {
		t.Errorf("%+v", m)
	}
	if a := rec.Annotations; len(a) != 2 || a[1].Code != "PVC" || a[1].Onset.String() != "900" || a[1].Group != 0 {
		t.Errorf("%+v", a)
	}
	counts, _, err := rec.Groups[0].ReadAll(1000)
	if err != nil || counts[1][29] != 48 {
		t.Error(counts, err)
	}
	if len(rec.Warnings) != 1 || rec.Warnings[0].Code != ecg.WarnLayout {
		t.Error(rec.Warnings)
	}
}

func TestBlemishes(t *testing.T) {
	for name, c := range map[string]struct {
		edit []string
		want ecg.WarningCode
	}{
		"length":       {[]string{"<ChannelSampleCountTotal>30", "<ChannelSampleCountTotal>31"}, ecg.WarnLengthDiffers},
		"scale":        {[]string{`"uVperLsb">5`, `"uVperLsb">`}, ecg.WarnScaleAbsent},
		"scale's unit": {[]string{`"uVperLsb"`, `"furlong"`}, ecg.WarnUnitUnknown},
		"leads":        {[]string{"<NumberOfLeads>2", "<NumberOfLeads>12"}, ecg.WarnHeaderDiffers},
		"label":        {[]string{`lead="I"`, `lead="Q"`}, ecg.WarnLeadUnknown},
		"twice":        {[]string{`lead="I"`, `lead="II"`}, ecg.WarnLeadDuplicate},
		"missing":      {[]string{"-9,", ","}, ecg.WarnMissingSamples},
		"date":         {[]string{"<Year>2023", "<Year>1"}, ecg.WarnTime},
		"UID":          {[]string{"1.2.840.113619.2.1", "1..2"}, ecg.WarnBadUID},
	} {
		found := false
		rec := decode(t, document(30, c.edit...))
		for _, w := range rec.Warnings {
			found = found || w.Code == c.want
		}
		if !found {
			t.Errorf("%s: %v", name, rec.Warnings)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want reject.Code
	}{
		"other root":       {"<RestingECG/>", reject.UnsupportedFormat},
		"rate":             {document(30, `"Hz">500`, `"Hz">0.5`), reject.Malformed},
		"letters":          {document(30, "-9,", "x,"), reject.Malformed},
		"beyond 32 bits":   {document(30, "-9,", "99999999999,"), reject.Malformed},
		"too many samples": {document(30_000), reject.TooLarge},
		"too many leads":   {document(3, "<WaveformData", strings.Repeat(`<WaveformData lead="V1">1</WaveformData>`, 300)+"<WaveformData"), reject.TooManyElements},
		"cut":              {document(30)[:1500], reject.Truncated},
	} {
		_, err := Decode(ecgtest.Source("", []byte(c.text)), ecg.Limits{Samples: 100_000})
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestHostile(t *testing.T) { ecgtest.Check(t, Decode, []byte(document(10))) }

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document(3)))
	f.Add([]byte("<CardiologyXML>" + strip("StripData", 2) + "</CardiologyXML>"))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}
