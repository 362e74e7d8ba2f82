package zoncare

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// known is our own sample i of lead k.
func known(k, i int) int32 { return int32((i*(2*k+3)*7919)%1201 - 600) }

// pack writes n samples of leads in turns, with an empty channel where last says so.
func pack(leads, n int, last bool) string {
	var raw []byte
	for i := range n {
		for k := range leads {
			raw = binary.LittleEndian.AppendUint16(raw, uint16(known(k, i)))
		}
		if last {
			raw = append(raw, 0, 0)
		}
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// document writes a zqecg file after the layout that the public reader expects: ours, not a cart's.
func document(data string, edit ...string) string {
	text := `<?xml version="1.0" encoding="UTF-8"?>
<zqecg version="1"><id>5</id><patient><id>ZY001</id><姓名>黎小明</姓名><性别>男</性别><item name="年龄" value="54岁"/><birthday>1970-01-02</birthday></patient>
<检查时间>2024年2月29日 23:59:58</检查时间><科室>心内科</科室><诊断>窦性心律</诊断>
<lead>12</lead><sample>500</sample><second>0.6</second><data>` + data + `</data></zqecg>`
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

func check(t *testing.T, rec *ecg.Recording, leads, n int) {
	t.Helper()
	g := rec.Groups[0]
	counts, _, err := g.ReadAll(1 << 20)
	if err != nil || len(counts) != leads || g.Length != int64(n) {
		t.Fatal(err, len(counts), g.Length)
	}
	for k := range counts {
		for i, v := range counts[k] {
			if v != known(k, i) {
				t.Fatalf("lead %d sample %d: %d", k, i, v)
			}
		}
		if k < 12 && leads >= 12 && g.Leads[k].Name != order[k] {
			t.Error(g.Leads[k].Name)
		}
	}
}

func TestDocument(t *testing.T) {
	data := pack(12, 300, true)
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(document(data, "UTF-8", "GBK"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"UTF-8": document(data), "GBK": gbk, "GBK without declaration": gbk[strings.Index(gbk, "?>")+2:], "GBK as UTF-8": strings.Replace(gbk, "GBK", "UTF-8", 1),
		"a style sheet": document(data, "<zqecg", `<?xml-stylesheet href="http://127.0.0.1/a.xsl"?><zqecg`),
	} {
		rec := decode(t, text)
		if p := rec.Patient; p.ID != "ZY001" || p.Name != "黎小明" || p.Sex != "M" || p.Age.Value.String() != "54" || p.BirthDate != "1970-01-02" {
			t.Errorf("%s: %+v", name, p)
		}
		if rec.Acquired.String() != "2024-02-29T23:59:58" || rec.Context.Department != "心内科" || len(rec.Statements) != 1 || rec.Statements[0].Text != "窦性心律" {
			t.Errorf("%s: %v %+v %+v", name, rec.Acquired, rec.Context, rec.Statements)
		}
		check(t, rec, 12, 300)
		if !warned(rec, ecg.WarnScaleAbsent) || warned(rec, ecg.WarnLayout) || warned(rec, ecg.WarnTruncated) {
			t.Error(rec.Warnings)
		}
	}
}

func TestVariants(t *testing.T) {
	rec := decode(t, document(pack(12, 300, false)))
	check(t, rec, 12, 300)
	rec = decode(t, document(pack(15, 300, true), "<lead>12", "<lead>15"))
	check(t, rec, 15, 300)
	if rec.Groups[0].Leads[14].Name != "channel 15" || !warned(rec, ecg.WarnLeadUnknown) {
		t.Errorf("%+v", rec.Groups[0].Leads[14])
	}
	for name, c := range map[string]struct {
		text string
		want ecg.WarningCode
	}{
		"short":    {document(pack(12, 299, true)), ecg.WarnTruncated},
		"long":     {document(pack(12, 301, true)), ecg.WarnLengthDiffers},
		"last":     {document(pack(13, 300, false)), ecg.WarnLayout},
		"trailing": {document(pack(12, 300, true) + "AAAA"), ecg.WarnTrailingBytes},
		"nothing":  {"<zqecg/>", ecg.WarnNoWaveform},
		"date":     {document(pack(12, 1, true), "2024年", "某年"), ecg.WarnTime},
	} {
		if rec := decode(t, c.text); !warned(rec, c.want) {
			t.Errorf("%s: %v", name, rec.Warnings)
		}
	}
}

func TestRefusals(t *testing.T) {
	data := pack(12, 300, true)
	for name, c := range map[string]struct {
		text string
		want reject.Code
	}{
		"other root":      {"<ECG/>", reject.UnsupportedFormat},
		"rate":            {document(data, "<sample>500", "<sample>0"), reject.Malformed},
		"leads":           {document(data, "<lead>12", "<lead>100000"), reject.Malformed},
		"no leads":        {document(data, "<lead>12", "<lead>-1"), reject.Malformed},
		"not base64":      {document("***"), reject.Malformed},
		"500 MB declared": {document(data, "<second>0.6", "<second>500000"), reject.Malformed},
		"samples":         {document(pack(12, 9000, true)), reject.TooLarge},
		"cut":             {document(data)[:900], reject.Truncated},
		"entities":        {`<!DOCTYPE a [<!ENTITY x "y">]>` + document(data)[38:], reject.Malformed},
		"DTD at a URL":    {`<!DOCTYPE a SYSTEM "http://127.0.0.1/a">` + document(data)[38:], reject.Malformed},
		"deep":            {"<zqecg>" + strings.Repeat("<a>", 1000), reject.TooDeep},
	} {
		_, err := Decode(ecgtest.Source("", []byte(c.text)), ecg.Limits{Samples: 100_000})
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestHostile(t *testing.T) { ecgtest.Check(t, Decode, []byte(document(pack(12, 5, true)))) }

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document(pack(12, 3, true))))
	f.Add([]byte("<zqecg><data/></zqecg>"))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}

func BenchmarkDecode(b *testing.B) {
	src := ecgtest.Source("", []byte(document(pack(12, 5000, true), "<second>0.6", "<second>10")))
	b.SetBytes(src.Size)
	for b.Loop() {
		if _, err := Decode(src, ecg.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
