package schiller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

var fifteen = []string{"I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9"}

// known are our own samples of lead k.
func known(k, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32((i*(2*k+3)*7919)%1201 - 600)
	}
	return out
}

func list(samples []int32) string {
	words := make([]string, len(samples))
	for i, v := range samples {
		words[i] = strconv.Itoa(int(v))
	}
	return strings.Join(words, ",")
}

func wave(kind string, leads []string, n, shift int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<wavedata><type>%s</type><resolution><samplerate><value>1000</value><exponent>1</exponent></samplerate><yres><unitperbit>2.5</unitperbit><units>uv</units></yres></resolution>`, kind)
	for k, name := range leads {
		fmt.Fprintf(&b, `<channel><name>%s</name><datastype>COMMASEPARATE</datastype><data>%s</data></channel>`+"\n", name, list(known(k+shift, n)))
	}
	return b.String() + "</wavedata>"
}

// document writes a Schiller file after the layout that the public reader expects: ours, not a cart's.
func document(leads []string, n int, edit ...string) string {
	text := `<?xml version="1.0" encoding="UTF-8"?>
<exam><examdescript><id>77</id><date>2024-02-29</date><time>23:59:58</time><patdata><id>ZY001</id><lastname>黎</lastname><firstname>小明</firstname><birthdate>1970-01-02</birthdate><gender>male</gender><height>170</height></patdata>
<device><name>cart</name><model>AT-102</model><serialnumber>S9</serialnumber></device></examdescript>
<interpretation><diagnosis>窦性心律</diagnosis></interpretation>
<eventdata><event>` + wave("ECG_RHYTHMS", leads, n, 0) + wave("ECG_AVERAGES", leads, 5, 20) + wave("VECTOR_LOOPS", leads, 3, 30) + `</event></eventdata></exam>`
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
		if p := rec.Patient; p.ID != "ZY001" || p.Name != "黎^小明" || p.Sex != "M" || p.BirthDate != "1970-01-02" || p.HeightCM.String() != "170" {
			t.Errorf("%s: %+v", name, p)
		}
		if rec.Acquired.String() != "2024-02-29T23:59:58" || rec.Device.Serial != "S9" || len(rec.Statements) != 1 || rec.Statements[0].Text != "窦性心律" || rec.Statements[0].Author != "" {
			t.Errorf("%s: %v %+v %+v", name, rec.Acquired, rec.Device, rec.Statements)
		}
		if len(rec.Groups) != 2 || rec.Groups[1].Kind != ecg.Median || !warned(rec, ecg.WarnUnsupportedPart) {
			t.Fatalf("%s: %+v", name, rec.Groups)
		}
		for i, g := range rec.Groups {
			counts, _, err := g.ReadAll(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			for k := range counts {
				if l := g.Leads[k]; !slices.Equal(counts[k], known(k+20*i, len(counts[k]))) || !strings.EqualFold(l.Name, fifteen[k]) || l.Scale.String() != "2.5" {
					t.Errorf("%s: lead %s: %+v", name, fifteen[k], l)
				}
			}
		}
	}
	rec := decode(t, document(slices.Concat(fifteen[:2], fifteen[6:12]), 30, "<units>uv</units>", "<units>mv</units>", "<unitperbit>2.5", "<unitperbit>0.005"))
	if err := rec.Complete(); err != nil || len(rec.Groups[0].Leads) != 12 || rec.Groups[0].Leads[0].Scale.String() != "5" {
		t.Error(err, rec.Groups[0].Leads)
	}
}

func TestBlemishes(t *testing.T) {
	two := fifteen[:2]
	for name, c := range map[string]struct {
		edit []string
		want ecg.WarningCode
	}{
		"scale":   {[]string{"<unitperbit>2.5", "<unitperbit>"}, ecg.WarnScaleAbsent},
		"unit":    {[]string{"<units>uv", "<units>furlong"}, ecg.WarnUnitUnknown},
		"lead":    {[]string{"<name>II<", "<name>Q<"}, ecg.WarnLeadUnknown},
		"twice":   {[]string{"<name>II<", "<name>I<"}, ecg.WarnLeadDuplicate},
		"missing": {[]string{"<data>-600,", "<data>,"}, ecg.WarnMissingSamples},
		"length":  {[]string{"<name>II</name><datastype>COMMASEPARATE</datastype><data>", "<name>II</name><datastype>COMMASEPARATE</datastype><data>1,"}, ecg.WarnLengthDiffers},
		"date":    {[]string{"2024-02-29", "some day"}, ecg.WarnTime},
		"nothing": {[]string{"wavedata", "other"}, ecg.WarnNoWaveform},
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
		"other root":   {"<exam/>", reject.UnsupportedFormat},
		"rate":         {document(two, 3, "<value>1000", "<value>1e9"), reject.Malformed},
		"exponent":     {document(two, 3, "<exponent>1", "<exponent>3"), reject.Malformed},
		"letters":      {document(two, 3, "<data>-600", "<data>x"), reject.Malformed},
		"type":         {document(two, 3, "COMMASEPARATE", "HUFFMAN"), reject.Malformed},
		"samples":      {document(two, 60_000), reject.TooLarge},
		"leads":        {document(slices.Repeat(two, 200), 1), reject.TooManyElements},
		"cut":          {document(two, 30)[:900], reject.Truncated},
		"entities":     {`<!DOCTYPE a [<!ENTITY x "y">]>` + document(two, 3)[38:], reject.Malformed},
		"DTD at a URL": {`<!DOCTYPE a SYSTEM "http://127.0.0.1/a">` + document(two, 3)[38:], reject.Malformed},
		"deep":         {"<a><eventdata>" + strings.Repeat("<event>", 1000), reject.TooDeep},
	} {
		_, err := Decode(ecgtest.Source("", []byte(c.text)), ecg.Limits{Samples: 100_000})
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestHostile(t *testing.T) { ecgtest.Check(t, Decode, []byte(document(fifteen[:3], 10))) }

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document(fifteen[:2], 3)))
	f.Add([]byte("<a><eventdata/></a>"))
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
