package fhir

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestCorpus(t *testing.T) {
	ecgtest.Golden(t, "fhir", Decode, ecgtest.Options{})
	rec, err := Decode(ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "fhir", "observation-example-sample-data.json")), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if rec.Acquired.String() != "2015-02-19T09:30:35+01:00" || rec.Patient.ID != "f001" || rec.Patient.Name != "P. van de Heuvel" || rec.Device.Model != "12 lead EKG Device Metric" {
		t.Errorf("%v %+v %+v", rec.Acquired, rec.Patient, rec.Device)
	}
	g := rec.Groups[0]
	if l := g.Leads[2]; l.Name != "III" || l.Unit != "" || l.Value(2041).String() != "5338.092" || g.Kind != ecg.Rhythm {
		t.Errorf("%+v", l)
	}
	if !warned(rec, ecg.WarnScaleSuspicious) || !warned(rec, ecg.WarnUnitUnknown) {
		t.Error(rec.Warnings)
	}
}

func warned(rec *ecg.Recording, code ecg.WarningCode) bool {
	return slices.ContainsFunc(rec.Warnings, func(w ecg.Warning) bool { return w.Code == code })
}

// observation is one of our own making.
func observation(edit ...string) string {
	text := `{"resourceType":"Observation","id":"o1","status":"final","code":{"coding":[{"system":"urn:oid:2.16.840.1.113883.6.24","code":"131328"}]},
"subject":{"reference":"Patient/p1","identifier":{"system":"urn:oid:1.2","value":"ZY001"},"display":"黎小明"},"effectiveDateTime":"2024-02-29T23:59:58.5+08:00",
"interpretation":{"coding":[{"code":"N","display":"Normal"}],"text":"窦性心律"},"note":[{"text":"resting"}],
"component":[
{"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"},{"system":"urn:oid:2.16.840.1.113883.6.24","code":"131329","display":"MDC_ECG_ELEC_POTL_I"}]},"valueSampledData":{"origin":{"value":1.5,"unit":"uV","code":"uV"},"period":2,"factor":2.5,"dimensions":1,"data":"1 -2 E 4 L 6.5 U"}},
{"code":{"text":"II"},"valueSampledData":{"origin":{"value":0,"unit":"mV"},"interval":2000,"intervalUnit":"us","factor":0.005,"dimensions":1,"data":"10 20 30 40 50 60 70"}},
{"code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}]},"valueQuantity":{"value":60,"unit":"/min","code":"/min"}},
{"code":{"text":"resp"},"valueSampledData":{"origin":{"value":0,"unit":"Ohm"},"period":40,"dimensions":2,"data":"1 2 3 4 5"}}
]}`
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

// check looks at what both forms of the observation must give.
func check(t *testing.T, name string, rec *ecg.Recording) {
	t.Helper()
	if p := rec.Patient; p.ID != "ZY001" || p.Name != "黎小明" || rec.Acquired.String() != "2024-02-29T23:59:58.5+08:00" || rec.Statements[0].Text != "窦性心律" || rec.Statements[0].Status != "" {
		t.Errorf("%s: %+v %v %+v", name, p, rec.Acquired, rec.Statements)
	}
	if len(rec.Groups) != 2 || rec.Groups[0].Rate.String() != "500" || len(rec.Groups[0].Leads) != 2 || rec.Groups[1].Kind != ecg.OtherSignals {
		t.Fatalf("%s: %+v", name, rec.Groups)
	}
	counts, missing, err := rec.Groups[0].ReadAll(100)
	if err != nil || !slices.Equal(missing[0], []bool{false, false, true, false, true, false, true}) || missing[1] != nil {
		t.Fatal(name, missing, err)
	}
	one, two := rec.Groups[0].Leads[0], rec.Groups[0].Leads[1]
	if one.Value(counts[0][5]).String() != "17.75" || one.Name != "I" || one.NativeCode != "131329" || two.Value(counts[1][0]).String() != "50" || two.Name != "II" || two.Unit != ecg.Microvolt {
		t.Errorf("%s: %+v %+v", name, one, two)
	}
	other, _, err := rec.Groups[1].ReadAll(100)
	if err != nil || !slices.Equal(other[0], []int32{1, 3}) || !slices.Equal(other[1], []int32{2, 4}) || !warned(rec, ecg.WarnLengthDiffers) {
		t.Error(name, other, err)
	}
	if m, ok := rec.Measurement(ecg.VentricularRate); !ok || m.Value.String() != "60" || !warned(rec, ecg.WarnMissingSamples) || !warned(rec, ecg.WarnClamped) || warned(rec, ecg.WarnScaleSuspicious) {
		t.Errorf("%s: %+v %v", name, m, rec.Warnings)
	}
}

const xmlForm = `<?xml version="1.0" encoding="UTF-8"?>
<Observation xmlns="http://hl7.org/fhir"><id value="o1"/><status value="final"/><code><coding><system value="urn:oid:2.16.840.1.113883.6.24"/><code value="131328"/></coding></code>
<subject><reference value="Patient/p1"/><identifier><system value="urn:oid:1.2"/><value value="ZY001"/></identifier><display value="黎小明"/></subject><effectiveDateTime value="2024-02-29T23:59:58.5+08:00"/>
<interpretation><coding><code value="N"/></coding><text value="窦性心律"/></interpretation>
<component><code><coding><system value="urn:oid:2.16.840.1.113883.6.24"/><code value="131329"/><display value="MDC_ECG_ELEC_POTL_I"/></coding></code><valueSampledData><origin><value value="1.5"/><code value="uV"/></origin><period value="2"/><factor value="2.5"/><dimensions value="1"/><data value="1 -2 E 4 L 6.5 U"/></valueSampledData></component>
<component><code><text value="II"/></code><valueSampledData><origin><value value="0"/><unit value="mV"/></origin><interval value="2000"/><intervalUnit value="us"/><factor value="0.005"/><dimensions value="1"/><data value="10 20 30 40 50 60 70"/></valueSampledData></component>
<component><code><coding><system value="http://loinc.org"/><code value="8867-4"/></coding></code><valueQuantity><value value="60"/><unit value="/min"/></valueQuantity></component>
<component><code><text value="resp"/></code><valueSampledData><origin><value value="0"/><unit value="Ohm"/></origin><period value="40"/><dimensions value="2"/><data value="1 2 3 4 5"/></valueSampledData></component>
</Observation>`

func TestForms(t *testing.T) {
	check(t, "JSON", decode(t, observation()))
	check(t, "JSON with mark", decode(t, "\xEF\xBB\xBF \n"+observation()))
	check(t, "XML", decode(t, xmlForm))
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(observation())
	if err != nil {
		t.Fatal(err)
	}
	check(t, "JSON in GBK", decode(t, gbk))
}

func TestBundle(t *testing.T) {
	bundle := func(entries ...string) string {
		return `{"resourceType":"Bundle","type":"collection","entry":[{"resource":` + strings.Join(entries, `},{"resource":`) + `}]}`
	}
	patient := `{"resourceType":"Patient","identifier":[{"use":"official","system":"urn:h","value":"MZ7"}],"name":[{"family":"黎","given":["小明","二"]}],"gender":"male","birthDate":"1970-01-02"}`
	device := `{"resourceType":"Device","manufacturer":"Maker","serialNumber":"S1","deviceName":[{"name":"Patch","type":"user-friendly-name"}]}`
	rec := decode(t, bundle(patient, device, `{"resourceType":"Observation","valueQuantity":{"value":1}}`, observation()))
	if p := rec.Patient; p.ID != "MZ7" || p.Name != "黎^小明^二" || p.Sex != "M" || p.BirthDate != "1970-01-02" || len(p.IDs) != 2 {
		t.Errorf("%+v", p)
	}
	if d := rec.Device; d.Maker != "Maker" || d.Model != "Patch" || d.Serial != "S1" {
		t.Errorf("%+v", d)
	}
	_, inner, _ := strings.Cut(xmlForm, "?>")
	rec = decode(t, `<Bundle xmlns="http://hl7.org/fhir"><entry><resource><Patient><identifier><value value="MZ8"/></identifier><name><text value="黎某某"/></name><gender value="female"/></Patient></resource></entry><entry><resource>`+inner+`</resource></entry></Bundle>`)
	if p := rec.Patient; p.ID != "MZ8" || p.Name != "黎某某" || p.Sex != "F" || len(rec.Groups) != 2 {
		t.Errorf("%+v", p)
	}
	for name, text := range map[string]string{"two": bundle(observation(), observation()), "none": bundle(patient), "a patient": patient, "empty": `{"resourceType":"Bundle"}`} {
		if _, err := Decode(ecgtest.Source("", []byte(text)), ecg.Limits{}); err == nil || reject.CodeOf(err) != reject.NotParsed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBlemishes(t *testing.T) {
	for name, c := range map[string]struct {
		edit []string
		want ecg.WarningCode
	}{
		"around the origin": {[]string{`{"value":0,"unit":"mV"}`, `{"value":2048,"unit":"mV"}`, "10 20 30 40", "2040 2050 2060 2041", "50 60 70", "2050 2060 2070"}, ecg.WarnScaleSuspicious},
		"beyond the limit":  {[]string{`"factor":2.5`, `"factor":2.5,"upperLimit":10`}, ecg.WarnScaleSuspicious},
		"unit":              {[]string{`"unit":"uV","code":"uV"`, `"unit":"furlong"`}, ecg.WarnUnitUnknown},
		"lead":              {[]string{`{"text":"II"}`, `{"text":"??"}`}, ecg.WarnLeadUnknown},
		"twice":             {[]string{`{"text":"II"}`, `{"text":"I"}`}, ecg.WarnLeadDuplicate},
		"time":              {[]string{"2024-02-29T", "yesterday"}, ecg.WarnTime},
		"form":              {[]string{`"display":"黎小明"`, `"display":7`}, ecg.WarnLayout},
		"offsets":           {[]string{`"factor":2.5`, `"offsets":"1 2"`}, ecg.WarnUnsupportedPart},
		"nothing":           {[]string{"valueSampledData", "valueOther"}, ecg.WarnNoWaveform},
		"factor":            {[]string{`"factor":2.5`, `"factor":0`}, ecg.WarnScaleAbsent},
	} {
		if rec := decode(t, observation(c.edit...)); !warned(rec, c.want) {
			t.Errorf("%s: %v", name, rec.Warnings)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want reject.Code
	}{
		"no resource":  {`{"a":1}`, reject.Malformed},
		"not JSON":     {`{"resourceType":}`, reject.Malformed},
		"period 0":     {observation(`"period":2,`, `"period":0,`), reject.Malformed},
		"period":       {observation(`"period":2,`, ``), reject.Malformed},
		"negative":     {observation(`"period":2,`, `"period":-2,`), reject.Malformed},
		"unit of time": {observation(`"us"`, `"cm"`), reject.Malformed},
		"rate":         {observation(`"period":2,`, `"period":1e-9,`), reject.Malformed},
		"dimensions":   {observation(`"dimensions":2`, `"dimensions":100000`), reject.Malformed},
		"letters":      {observation("1 -2 E", "1 -2 F"), reject.Malformed},
		"places":       {observation("6.5", "6.5000000001"), reject.Malformed},
		"samples":      {observation("10 20 30 40 50", strings.Repeat("1 ", 200_001)), reject.TooLarge},
		"leads":        {observation(`{"code":{"text":"II"}`, strings.Repeat(`{"code":{"text":"II"},"valueSampledData":{"period":2,"data":"1"}},`, 300)+`{"code":{"text":"II"}`), reject.TooManyElements},
		"cut":          {observation()[:400], reject.Truncated},
		"deep":         {`{"a":` + strings.Repeat("[", 1_000_000), reject.TooDeep},
		"one text":     {`{"resourceType":"` + strings.Repeat("a", 9<<20) + `"}`, reject.TooLarge},
		"large":        {`{"a":"` + strings.Repeat(" ", 33<<20) + `"}`, reject.TooLarge},
		"values":       {`{"component":[` + strings.Repeat("{},", 60_000) + `{}]}`, reject.TooManyElements},
		"entities":     {`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Observation xmlns="http://hl7.org/fhir"/>`, reject.Malformed},
		"DTD at a URL": {`<!DOCTYPE a SYSTEM "http://127.0.0.1/a"><Observation xmlns="http://hl7.org/fhir"/>`, reject.Malformed},
		"deep XML":     {strings.Repeat("<Observation>", 1000), reject.TooDeep},
	} {
		_, err := Decode(ecgtest.Source("", []byte(c.text)), ecg.Limits{Samples: 200_000})
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestHostile(t *testing.T) {
	ecgtest.Check(t, Decode, []byte(observation()))
	ecgtest.Check(t, Decode, []byte(xmlForm))
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(observation()))
	f.Add([]byte(xmlForm))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","valueSampledData":{"period":1,"data":"1"}}}]}`))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}
