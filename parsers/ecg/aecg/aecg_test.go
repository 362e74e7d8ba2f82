package aecg

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestCorpus(t *testing.T) {
	ecgtest.Golden(t, "aecg", Decode, ecgtest.Options{
		Deviations: map[string]string{
			`aecg/mindray_beneheart_r12.xml: sex "", want "U"`: "UN beside \"interpretation without knowing the patient's sex\" is unknown",
		},
	})
}

// TestCorpusHeaders checks what the harness does not compare.
func TestCorpusHeaders(t *testing.T) {
	read := func(name string) *ecg.Recording {
		rec, err := Decode(ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "aecg", name)), ecg.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	for name, want := range map[string]string{
		"cn_noname_1.xml": "2024-07-02T14:34:57", "fda_minimum_aecg.xml": "2002-11-22T09:10:00", "fda_minimum_aecg_effectiveTime_high.xml": "2002-11-22T09:10:00",
		"mindray_beneheart_r12.xml": "2025-09-23T10:35:50", "hl7_Example_aECG.xml": "2002-11-22T09:10:00", "fda_empty.xml": "",
	} {
		if got := read(name).Acquired; got.String() != want || got.ZoneKnown {
			t.Errorf("%s: acquired %s, want %s", name, got, want)
		}
	}
	cn := read("cn_noname_1.xml")
	if !warned(cn, ecg.WarnRateRepaired) || !warned(cn, ecg.WarnHeaderDiffers) || cn.DocumentID == "" {
		t.Error(cn.Warnings)
	}
	if id := cn.Patient.IDs; len(id) != 1 || id[0].Issuer != "2.16.840.1.113883.3.400" {
		t.Errorf("%+v", id)
	}
	if m, ok := cn.Measurement(ecg.VentricularRate); !ok || m.Value.String() != "58" || m.Unit != "/min" {
		t.Errorf("%+v", m)
	}
	if s := cn.Statements; len(s) != 1 || s[0].Author != "" || s[0].Status != "" {
		t.Errorf("%+v", s)
	}
	mindray := read("mindray_beneheart_r12.xml")
	if m, ok := mindray.Measurement(ecg.QTcInterval); !ok || m.Valid {
		t.Errorf("QTc of 0 ms: %+v", m)
	}
	sum, err := mindray.Summarize(false)
	if err != nil || sum.Measurements["qtc-interval"].Value != "413" || sum.Measurements["qtc-interval"].Formula != ecg.Hodges {
		t.Errorf("%+v %v", sum.Measurements, err)
	}
	if p := mindray.Pacing; !p.Known || p.Paced || len(mindray.Statements) != 4 || mindray.Statements[0].Author != ecg.Machine {
		t.Errorf("%+v %+v", p, mindray.Statements)
	}
	if f := mindray.Groups[0].Leads[0].Filters; f.LowPassHz.String() != "35" || f.HighPassHz.String() != "0.56" || f.NotchHz.String() != "50" {
		t.Errorf("%+v", f)
	}
	lead := ecg.Measurement{}
	for _, m := range mindray.Measurements {
		if m.Name == "MINDRAY_R_AMP" {
			lead = m
		}
	}
	if lead.Lead != "I" || lead.Kind != ecg.RAmplitude || lead.Value.String() != "535" {
		t.Errorf("%+v", lead)
	}

	hl7 := read("hl7_Example_aECG.xml")
	kinds := map[ecg.AnnotationKind]int{}
	for _, a := range hl7.Annotations {
		kinds[a.Kind]++
		if a.Group < 0 || a.Group > 1 || a.Onset.Sign() < 0 || a.Onset.Cmp(ecg.Int(10_000)) > 0 {
			t.Errorf("%+v", a)
		}
	}
	// 12 beats with three waves each, three more in the median, four R waves and three QT intervals by a person.
	if kinds[ecg.Beat] != 12 || kinds[ecg.Wave] != 36+3+7 || kinds[ecg.RhythmNote] != 1 {
		t.Error(kinds)
	}
	b := hl7.Annotations[1]
	if b.Kind != ecg.Beat || b.Code != "MDC_ECG_BEAT_NORMAL" || b.Onset.String() != "122" || b.Duration.String() != "568" || b.Lead != "" {
		t.Errorf("%+v", b)
	}
	if w := hl7.Annotations[len(hl7.Annotations)-4-3+1-1]; w.Lead == "" || w.Kind != ecg.Wave {
		t.Errorf("%+v", w)
	}
	if m, ok := hl7.Measurement(ecg.PRInterval); !ok || m.Group != 1 || m.Value.String() != "148" {
		t.Errorf("%+v", m)
	}
	if hl7.Patient.Age.Value.String() != "46" || hl7.Context.Institution != "River City ECG Collection Service" || hl7.Context.Operator != "KAB" || hl7.Device.Analysis != "ELI250 5.3" {
		t.Errorf("%+v %+v %+v", hl7.Patient, hl7.Context, hl7.Device)
	}
}

func warned(rec *ecg.Recording, code ecg.WarningCode) bool {
	for _, w := range rec.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

// document is an aECG of our own making.
func document(edit ...string) string {
	text := `<?xml version="1.0" encoding="UTF-8"?>
<h:AnnotatedECG xmlns:h="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<id root="1.2.3" extension="77"/><effectiveTime><low value="20240101080000+0800"/><high value="20240101080010+0800"/></effectiveTime>
<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject><id root="2.16.1" extension="ZY001"/><id root="2.16.2" extension="MZ9"/>
<subjectDemographicPerson><name><family>黎</family><given>某某</given></name><administrativeGenderCode code="M"/><birthTime value="1970-10-07"/><Age>54岁</Age></subjectDemographicPerson>
</trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
<component><series><code code="RHYTHM"/><effectiveTime><low value="20240101080000+0800"/><high value="20240101080010+0800"/></effectiveTime>
<component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20240101080000.000+0800"/><increment value="0.002" unit="s"/></value></sequence></component>
<component><sequence><code code="MDC_ECG_LEAD_I"/><value xsi:type="SLIST_PQ"><origin value="1" unit="uV"/><scale value="2.5" unit="uV"/><digits>1 -2 3 4</digits></value></sequence></component>
<component><sequence><code code="NOM_ECG_LEAD_aVR"/><value xsi:type="SLIST_PQ"><origin value="0" unit="mV"/><scale value="0.005" unit="mv"/><digits>1,,3,4</digits></value></sequence></component>
</sequenceSet></component>
<component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20240101080002.500+0800"/><increment value="2" unit="ms"/></value></sequence></component>
<component><sequence><code code="MDC_ECG_LEAD_V1"/><value xsi:type="SLIST_PQ"><origin value="0" unit="nV"/><scale value="500" unit="nV"/><digits>7 8</digits></value></sequence></component>
</sequenceSet></component>
<subjectOf><annotationSet><author><assignedEntity><assignedAuthorType><assignedPerson><name>Wang Min</name></assignedPerson></assignedAuthorType></assignedEntity></author>
<component><annotation><code code="MDC_ECG_INTERPRETATION_STATEMENT"/><value xsi:type="ST">窦性心律</value></annotation></component>
<component><annotation><code code="X_MATRIX"/><component><annotation><code code="MDC_ECG_TIME_PD_QRS"/><value xsi:type="PQ" value="0.09" unit="s"/></annotation></component>
<support><supportingROI><component><boundary><code code="MDC_ECG_LEAD_V1"/></boundary></component></supportingROI></support></annotation></component>
<component><annotation><code code="MDC_ECG_BEAT"/><value xsi:type="CE" code="NOWHERE"/></annotation></component>
</annotationSet></subjectOf>
</series></component></h:AnnotatedECG>`
	return strings.NewReplacer(edit...).Replace(text)
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
	rec := decode(t, document())
	p := rec.Patient
	if p.ID != "ZY001" || len(p.IDs) != 2 || p.Name != "黎^某某" || p.Sex != "M" || p.BirthDate != "1970-10-07" || p.Age.Value.String() != "54" || rec.DocumentID != "1.2.3/77" {
		t.Errorf("%+v", p)
	}
	if rec.Acquired.String() != "2024-01-01T08:00:00+08:00" || !rec.Acquired.ZoneKnown {
		t.Error(rec.Acquired)
	}
	if len(rec.Groups) != 2 || rec.Groups[1].StartOffset.String() != "2500" || rec.Groups[1].Rate.String() != "500" {
		t.Fatalf("%+v", rec.Groups)
	}
	l := rec.Groups[0].Leads
	if l[0].Value(-2).String() != "-4" || l[1].Name != "aVR" || l[1].Scale.String() != "5" || l[1].Unit != ecg.Microvolt || rec.Groups[1].Leads[0].Scale.String() != "0.5" {
		t.Errorf("%+v", l)
	}
	counts, missing, err := rec.Groups[0].ReadAll(100)
	if err != nil || counts[1][2] != 3 || !missing[1][1] || missing[0] != nil {
		t.Error(counts, missing, err)
	}
	if len(rec.Statements) != 1 || rec.Statements[0].Author != ecg.OverRead || rec.Statements[0].Name != "Wang Min" || rec.Statements[0].Text != "窦性心律" {
		t.Errorf("%+v", rec.Statements)
	}
	if m := rec.Measurements; len(m) != 1 || m[0].Lead != "V1" || m[0].Value.String() != "90" || m[0].Unit != "ms" {
		t.Errorf("%+v", m)
	}
	if len(rec.Annotations) != 0 {
		t.Errorf("%+v", rec.Annotations)
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]string{
		`value="2" unit="s"`: "500", `value="0.002" unit="ms"`: "500", `value="1" unit="s"`: "1000", `value="2" unit="ms"`: "500", `value="2000" unit="us"`: "500",
		`value="0.04" unit="s"`: "25", `value="0.000125" unit="s"`: "8000", `value="4"`: "250", `value="0,002" unit="s"`: "500", `value="0" unit="s"`: "",
		`value="-0.002" unit="s"`: "", `value="1e9" unit="s"`: "", `value="x" unit="s"`: "",
	} {
		rec, err := Decode(ecgtest.Source("", []byte(document(`value="0.002" unit="s"`, text))), ecg.Limits{})
		if want == "" {
			if err == nil || reject.CodeOf(err) != reject.Malformed {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil || rec.Groups[0].Rate.String() != want {
			t.Errorf("%s: %v %v", text, rec, err)
		}
	}
}

func TestBlemishes(t *testing.T) {
	for name, c := range map[string]struct {
		edit []string
		want ecg.WarningCode
	}{
		"rate":      {[]string{`value="0.002" unit="s"`, `value="2" unit="s"`}, ecg.WarnRateRepaired},
		"lead":      {[]string{"MDC_ECG_LEAD_I\"", "MDC_ECG_LEAD_Q\""}, ecg.WarnLeadUnknown},
		"twice":     {[]string{"NOM_ECG_LEAD_aVR", "NOM_ECG_LEAD_I"}, ecg.WarnLeadDuplicate},
		"no scale":  {[]string{`<scale value="2.5" unit="uV"/>`, ""}, ecg.WarnScaleAbsent},
		"scale 0":   {[]string{`value="2.5"`, `value="0"`}, ecg.WarnScaleAbsent},
		"unit":      {[]string{`"2.5" unit="uV"`, `"2.5" unit="furlong"`}, ecg.WarnUnitUnknown},
		"missing":   {nil, ecg.WarnMissingSamples},
		"fractions": {[]string{"1 -2 3 4", "1.5 -2 3.25 4"}, ecg.WarnLayout},
		"birth":     {[]string{"1970-10-07", "7 Oct"}, ecg.WarnTime},
		"other day": {[]string{`<low value="20240101080000+0800"/>`, `<low value="20230101080000+0800"/>`}, ecg.WarnHeaderDiffers},
		"no leads":  {[]string{"<digits>", "<other>", "</digits>", "</other>"}, ecg.WarnNoWaveform},
	} {
		if rec := decode(t, document(c.edit...)); !warned(rec, c.want) {
			t.Errorf("%s: %v", name, rec.Warnings)
		}
	}
	rec := decode(t, document("1 -2 3 4", "1.5 -2 3.25 4"))
	counts, _, err := rec.Groups[0].ReadAll(100)
	if l := rec.Groups[0].Leads[0]; err != nil || counts[0][2] != 325 || l.Value(counts[0][2]).String() != "9.125" {
		t.Error(counts, err, l.Scale)
	}
}

// TestEncodings: the same document in what files are written in.
func TestEncodings(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(document("UTF-8", "GBK"))
	if err != nil {
		t.Fatal(err)
	}
	bare := gbk[strings.Index(gbk, "?>")+2:]
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(document("UTF-8", "UTF-16"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"GBK": gbk, "GBK without a word": bare, "GBK as UTF-8": strings.Replace(gbk, "GBK", "UTF-8", 1), "UTF-16": wide,
		"UTF-8 as UTF-16": document("UTF-8", "utf-16"), "instructions": document("<h:Ann", "<?xml-stylesheet href='http://127.0.0.1/'?><h:Ann", "<effectiveTime>", `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/><effectiveTime>`),
	} {
		rec := decode(t, text)
		if rec.Patient.Name != "黎^某某" || rec.Statements[0].Text != "窦性心律" || len(rec.Groups) != 2 {
			t.Errorf("%s: %+v", name, rec.Patient)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want reject.Code
	}{
		"other root":       {"<RestingECG/>", reject.UnsupportedFormat},
		"no rate":          {document("increment", "inc"), reject.Malformed},
		"letters":          {document("1 -2 3 4", "1 two"), reject.Malformed},
		"too many samples": {document("1 -2 3 4", strings.Repeat("1 ", 200_001)), reject.TooLarge},
		"300 leads": {document("<component><sequence><code code=\"MDC_ECG_LEAD_I\"/>", strings.Repeat(`<component><sequence><code code="MDC_ECG_LEAD_V2"/><value><digits>1</digits></value></sequence></component>`, 300)+
			`<component><sequence><code code="MDC_ECG_LEAD_I"/>`), reject.TooManyElements},
		"cut":             {document()[:1800], reject.Truncated},
		"deep":            {document("<component>", strings.Repeat("<component>", 200)), reject.TooDeep},
		"external entity": {`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><AnnotatedECG>&x;</AnnotatedECG>`, reject.Malformed},
		"SSRF":            {`<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><AnnotatedECG/>`, reject.Malformed},
		"laughs":          {`<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><AnnotatedECG>&b;</AnnotatedECG>`, reject.Malformed},
		"UTF-7":           {`<?xml version="1.0" encoding="UTF-7"?><AnnotatedECG/>`, reject.Malformed},
		"EBCDIC":          {"\x4c\x6f\xa7\x94\x93", reject.Malformed},
		"statements":      {document("<subjectOf>", "<subjectOf>"+strings.Repeat("<annotationSet><component><annotation><code code='MDC_ECG_INTERPRETATION'/><value>a</value></annotation></component></annotationSet>", 1100)), reject.TooManyElements},
	} {
		_, err := Decode(ecgtest.Source("", []byte(c.text)), ecg.Limits{Samples: 200_000})
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// TestManyAnnotations: more beats than are kept, nested as deep as they may be, cost what they take to read.
func TestManyAnnotations(t *testing.T) {
	beat := `<component><annotation><code code="MDC_ECG_BEAT"/><value code="N"/>%s</annotation></component>`
	wave := `<component><annotation><code code="MDC_ECG_WAVC"/><value code="P"/><support><supportingROI><component><boundary><code code="TIME_RELATIVE"/><value value="5" unit="ms"/></boundary></component></supportingROI></support></annotation></component>`
	rec, err := Decode(ecgtest.Source("", []byte(document("<annotationSet>", "<annotationSet>"+strings.Repeat(fmt.Sprintf(beat, wave), 1000)+strings.Repeat(fmt.Sprintf(beat, ""), 1000)))), ecg.Limits{Annotations: 1500})
	if err != nil || len(rec.Annotations) > 1500 || !warned(rec, ecg.WarnAnnotationsCut) {
		t.Error(err, len(rec.Annotations), rec.Warnings)
	}
}

func TestHostile(t *testing.T) { ecgtest.Check(t, Decode, []byte(document())) }

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document()))
	f.Add([]byte("<AnnotatedECG/>"))
	f.Add([]byte("<AnnotatedECG><component><series><component><sequenceSet/></component></series></component></AnnotatedECG>"))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}
