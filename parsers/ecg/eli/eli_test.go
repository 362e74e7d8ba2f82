package eli

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

var fifteen = []string{"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6", "V3R", "V4R", "V7"}

// known are our own samples of lead k.
func known(k, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32((i*(2*k+3)*7919)%1201 - 600)
	}
	return out
}

func pack(samples []int32) string {
	var raw []byte
	for _, v := range samples {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// document writes an ELI file after the layout that public readers expect: ours, not a cart's.
func document(leads []string, n int, edit ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<ECG ACQUISITION_TIME="20240229235958" NUM_QRS="12" VENT_RATE="72" VERSION="1.0">
<SOURCE TYPE="RESTING" MANUFACTURER="Mortara Instrument" MODEL="ELI250" ACQUIRING_DEVICE_SERIAL_NUMBER="S7" LOW_PASS_FILTER="150" HIGH_PASS_FILTER="0.05" NOTCH_FILTER="50"/>
<DEMOGRAPHIC_FIELDS><DEMOGRAPHIC_FIELD LABEL="Name:" VALUE="黎"/><DEMOGRAPHIC_FIELD LABEL="First:" VALUE="小明"/><DEMOGRAPHIC_FIELD LABEL="ID:" VALUE="ZY001"/>
<DEMOGRAPHIC_FIELD LABEL="DOB:" VALUE="03/04/1970"/><DEMOGRAPHIC_FIELD LABEL="Sex:" VALUE="Male"/><DEMOGRAPHIC_FIELD LABEL="Age:" VALUE="53"/></DEMOGRAPHIC_FIELDS>
<AUTOMATIC_INTERPRETATION><STATEMENT TEXT="窦性心律"/><STATEMENT TEXT="Normal ECG"/></AUTOMATIC_INTERPRETATION>
`)
	for k, name := range leads {
		fmt.Fprintf(&b, `<CHANNEL NAME="%s" OFFSET="2" BITS="16" FORMAT="SIGNED" UNITS_PER_MV="400" DURATION="%d" SAMPLE_FREQ="1000" ENCODING="BASE64" DATA="%s"/>`+"\n", name, n, pack(known(k, n)))
	}
	b.WriteString(`<TYPICAL_CYCLE BITS="16" FORMAT="SIGNED" UNITS_PER_MV="200" DURATION="5" SAMPLE_FREQ="500" ENCODING="BASE64" QRS_DURATION="90" P_ONSET="12">`)
	for k, name := range leads {
		fmt.Fprintf(&b, `<TYPICAL_CYCLE_CHANNEL NAME="%s" DATA="%s"/>`, name, pack(known(k+20, 5)))
	}
	b.WriteString("</TYPICAL_CYCLE></ECG>")
	return strings.NewReplacer(edit...).Replace(b.String())
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

func warned(rec *ecg.Recording, code ecg.WarningCode) bool {
	return slices.ContainsFunc(rec.Warnings, func(w ecg.Warning) bool { return w.Code == code })
}

func TestDocument(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(document(fifteen, 300, "UTF-8", "GBK"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"UTF-8": document(fifteen, 300), "GBK": gbk, "GBK without declaration": gbk[strings.Index(gbk, "?>")+2:],
	} {
		rec := decode(t, text)
		p := rec.Patient
		if p.ID != "ZY001" || p.Name != "黎^小明" || p.Sex != "M" || p.BirthDate != "1970-03-04" || p.Age.Value.String() != "53" {
			t.Errorf("%s: %+v", name, p)
		}
		if rec.Acquired.String() != "2024-02-29T23:59:58" || rec.Device.Serial != "S7" || len(rec.Statements) != 2 || rec.Statements[0].Text != "窦性心律" || rec.Statements[0].Author != ecg.Machine {
			t.Errorf("%s: %v %+v %+v", name, rec.Acquired, rec.Device, rec.Statements)
		}
		if len(rec.Groups) != 2 || len(rec.Groups[0].Leads) != 15 || rec.Groups[1].Kind != ecg.Median || rec.Groups[1].Rate.String() != "500" {
			t.Fatalf("%s: %+v", name, rec.Groups)
		}
		counts, _, err := rec.Groups[0].ReadAll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for k := range counts {
			l := rec.Groups[0].Leads[k]
			if !slices.Equal(counts[k], known(k, 300)) || l.Name != fifteen[k] || l.Value(10).String() != "30" || l.Code == "" {
				t.Errorf("%s: lead %s: %+v", name, fifteen[k], l)
			}
		}
		beat, _, err := rec.Groups[1].ReadAll(1 << 20)
		if l := rec.Groups[1].Leads[14]; err != nil || !slices.Equal(beat[14], known(34, 5)) || l.Scale.String() != "5" || !l.Baseline.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
		if m, ok := rec.Measurement(ecg.QRSDuration); !ok || m.Value.String() != "90" || len(rec.Measurements) != 4 {
			t.Errorf("%+v", rec.Measurements)
		}
		if f := rec.Groups[0].Leads[0].Filters; f.NotchHz.String() != "50" || f.HighPassHz.String() != "0.05" {
			t.Errorf("%+v", f)
		}
	}
}

func TestVariants(t *testing.T) {
	two := fifteen[:2]
	rec := decode(t, document(two, 10, `UNITS_PER_MV="400" `, ""))
	if l := rec.Groups[0].Leads[1]; l.Value(10).String() != "60" || warned(rec, ecg.WarnScaleAbsent) {
		t.Errorf("the typical cycle's scale: %+v", l)
	}
	rec = decode(t, document(two, 10, `UNITS_PER_MV="400" `, "", `UNITS_PER_MV="200" `, ""))
	if l := rec.Groups[0].Leads[1]; l.Unit != "" || !warned(rec, ecg.WarnScaleAbsent) {
		t.Errorf("%+v", l)
	}
	for raw, want := range map[string]string{"20240229": "2024-02-29", "02/29/2024": "2024-02-29", "02/29/2024 10:11:12": "2024-02-29T10:11:12", "0/0/0": "", "never": ""} {
		if rec := decode(t, document(two, 3, "20240229235958", raw)); rec.Acquired.String() != want || warned(rec, ecg.WarnTime) != (raw == "never") {
			t.Errorf("%s: %v %v", raw, rec.Acquired, rec.Warnings)
		}
	}
	rec = decode(t, document(two, 3, `"II" OFFSET="2" BITS="16" FORMAT="SIGNED" UNITS_PER_MV="400" DURATION="3" SAMPLE_FREQ="1000"`, `"II" OFFSET="2" BITS="16" FORMAT="UNSIGNED" UNITS_PER_MV="400" DURATION="3" SAMPLE_FREQ="500"`))
	if len(rec.Groups) != 3 || rec.Groups[1].Rate.String() != "500" || rec.Groups[1].Kind != ecg.Rhythm {
		t.Errorf("%+v", rec.Groups)
	}
	for name, c := range map[string]struct {
		edit []string
		want ecg.WarningCode
	}{
		"short": {[]string{`DURATION="10"`, `DURATION="12"`}, ecg.WarnTruncated},
		"long":  {[]string{`DURATION="10"`, `DURATION="8"`}, ecg.WarnLengthDiffers},
		"lead":  {[]string{`NAME="II"`, `NAME="Q"`}, ecg.WarnLeadUnknown},
		"twice": {[]string{`NAME="II"`, `NAME="I"`}, ecg.WarnLeadDuplicate},
		"birth": {[]string{"03/04/1970", "a while ago"}, ecg.WarnTime},
		"none":  {[]string{"<CHANNEL", "<OTHER", "<TYPICAL_CYCLE_CHANNEL", "<OTHER"}, ecg.WarnNoWaveform},
	} {
		if rec := decode(t, document(two, 10, c.edit...)); !warned(rec, c.want) {
			t.Errorf("%s: %v", name, rec.Warnings)
		}
	}
}

func TestRefusals(t *testing.T) {
	two := fifteen[:2]
	for name, c := range map[string]struct {
		text string
		want reject.Code
	}{
		"other root":      {"<zqecg/>", reject.UnsupportedFormat},
		"rate":            {document(two, 3, `"1000"`, `"1e9"`), reject.Malformed},
		"bits":            {document(two, 3, `BITS="16"`, `BITS="12"`), reject.Malformed},
		"encoding":        {document(two, 3, "BASE64", "HUFFMAN"), reject.Malformed},
		"not base64":      {document(two, 3, `DATA="`, `DATA="*`), reject.Malformed},
		"500 MB declared": {document(two, 3, `DURATION="3"`, `DURATION="250000000"`), reject.Malformed},
		"samples":         {document(two, 60_000), reject.TooLarge},
		"leads":           {document(slices.Repeat(two, 200), 1), reject.TooManyElements},
		"cut":             {document(two, 30)[:900], reject.Truncated},
		"entities":        {`<!DOCTYPE a [<!ENTITY x "y">]>` + document(two, 3)[38:], reject.Malformed},
		"DTD at a URL":    {`<!DOCTYPE a SYSTEM "http://127.0.0.1/a">` + document(two, 3)[38:], reject.Malformed},
		"deep":            {"<ECG>" + strings.Repeat("<DIAGNOSIS>", 1000), reject.TooDeep},
	} {
		_, err := Decode(ecgtest.Source("", []byte(c.text)), ecg.Limits{Samples: 100_000})
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestHostile(t *testing.T) { ecgtest.Check(t, Decode, []byte(document(fifteen[:8], 10))) }

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document(fifteen[:2], 3)))
	f.Add([]byte("<ECG><CHANNEL/></ECG>"))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}

func BenchmarkDecode(b *testing.B) {
	src := ecgtest.Source("", []byte(document(fifteen, 10_000)))
	b.SetBytes(src.Size)
	for b.Loop() {
		if _, err := Decode(src, ecg.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
