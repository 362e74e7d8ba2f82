package sierra

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

// TestCorpus compares every stored sample: the reference has the calibration pulse in it.
func TestCorpus(t *testing.T) {
	const touch = "philips/ad4d3d80-d165_1-04_orig.xml: group 1 lead "
	deviations := map[string]string{}
	for _, name := range twelve {
		deviations[fmt.Sprintf("%s%s: 600 missing samples, want 0", touch, name)] = "7FFFH behind the beat is padding; 81.9 mV is no heart's"
	}
	ecgtest.Golden(t, "philips", func(src ecg.Source, lim ecg.Limits) (*ecg.Recording, error) { return decode(src, lim, true) }, ecgtest.Options{Deviations: deviations})
}

// TestPulse: what Decode leaves out of the corpus's files, and that it leaves the rest alone.
func TestPulse(t *testing.T) {
	for name, want := range map[string]int64{"129DYPRG.XML": 5264, "repbeats_example.xml": 5264, "ad4d3d80-d165_1-04_orig.xml": 5300} {
		src := ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "philips", name))
		whole, err := decode(src, ecg.Limits{}, true)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := Decode(src, ecg.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if g := rec.Groups[0]; g.Length != want || whole.Groups[0].Length != 5500 || !warned(rec, ecg.WarnCalibration) || warned(whole, ecg.WarnCalibration) {
			t.Fatalf("%s: %d samples, want %d (%v)", name, g.Length, want, rec.Warnings)
		}
		a, _, err := rec.Groups[0].ReadAll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := whole.Groups[0].ReadAll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a {
			if !slices.Equal(a[i], b[i][:want]) {
				t.Errorf("%s: lead %d differs", name, i)
			}
		}
	}
}

func TestCorpusHeaders(t *testing.T) {
	read := func(name string) *ecg.Recording {
		rec, err := Decode(ecgtest.Open(t, filepath.Join(ecgtest.Corpus(t), "philips", name)), ecg.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	touch := read("ad4d3d80-d165_1-04_orig.xml")
	if s := touch.Statements; len(s) != 3 || s[0].Author != ecg.OverRead || s[0].Status != ecg.Confirmed || s[0].Time.String() != "2008-12-24T07:15:13" || s[0].Code != "SB" || s[2].Text != "- OTHERWISE NORMAL ECG -" || s[2].Code != "ON" {
		t.Errorf("%+v", s)
	}
	if touch.Device.Station != "EKG16296" || touch.Context.Reason != "ELECTROLYTE IMBALANCE" || touch.FormatVersion != "1.04" || touch.Pacing.Known {
		t.Errorf("%+v %+v", touch.Device, touch.Context)
	}
	if m, ok := touch.Measurement(ecg.QRSOnset); !ok || m.Value.String() != "512" || m.Group != 1 {
		t.Errorf("%+v", m)
	}
	if m, ok := touch.Measurement(ecg.PDuration); !ok || m.Value.String() != "508" {
		t.Errorf("%+v", m)
	}
	spikes := 0
	for _, a := range touch.Annotations {
		if a.Kind == ecg.Spike && a.Lead == "V6" {
			spikes++
		}
	}
	if spikes != 6 {
		t.Error(spikes, "pace pulses in V6")
	}
	if f := touch.Groups[0].Leads[0].Filters; f.HighPassHz.String() != "0.05" || f.LowPassHz.String() != "150" || !f.NotchOff {
		t.Errorf("%+v", f)
	}
	heart := read("129DYPRG.XML")
	if s := heart.Statements; s[0].Author != ecg.Machine || s[0].Status != ecg.Unconfirmed || heart.Patient.Age.Value.String() != "50" || warned(heart, ecg.WarnLayout) {
		t.Errorf("%+v %v", s, heart.Warnings)
	}
	found := false
	for _, c := range heart.Criticals() {
		found = found || c.Finding == "acute-mi"
	}
	if !found {
		t.Error("an acute infarct is not critical")
	}
	for _, name := range []string{"invalid-doc-type.xml", "invalid-doc-version.xml"} {
		if rec := read(name); !warned(rec, ecg.WarnLayout) || len(rec.Groups) != 1 {
			t.Errorf("%s: %v", name, rec.Warnings)
		}
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

// compress writes a chunk as a cart does: residues, bytes apart, LZW.
func compress(samples []int32) []byte {
	n := len(samples)
	words := slices.Clone(samples)
	var residue int32 // of the third sample
	for i := n - 1; i >= 2; i-- {
		r := 2*samples[i-1] - samples[i-2] - samples[i]
		if i == 2 {
			residue = r
		} else {
			words[i-1] = r + 64
		}
	}
	if n > 2 {
		words[n-1] = 64
	}
	raw := make([]byte, 2*n)
	for i, w := range words {
		raw[i], raw[n+i] = byte(w>>8), byte(w)
	}
	table := map[string]int{}
	for i := range 256 {
		table[string([]byte{byte(i)})] = i
	}
	var codes []int
	word := ""
	for _, b := range raw {
		longer := word + string([]byte{b})
		if _, ok := table[longer]; ok {
			word = longer
			continue
		}
		codes = append(codes, table[word])
		if len(table) < 1023 {
			table[longer] = len(table)
		}
		word = string([]byte{b})
	}
	codes = append(codes, table[word], 1023)
	chunk := binary.LittleEndian.AppendUint32(nil, 0)
	chunk = append(chunk, 1, 0)
	chunk = binary.LittleEndian.AppendUint16(chunk, uint16(residue))
	bits, have := uint32(0), 0
	for _, c := range codes {
		for bits, have = bits<<10|uint32(c), have+10; have >= 8; have -= 8 {
			chunk = append(chunk, byte(bits>>(have-8)))
		}
	}
	chunk = append(chunk, byte(bits<<(8-have)))
	binary.LittleEndian.PutUint32(chunk, uint32(len(chunk)-8))
	return chunk
}

// known makes twelve leads of n samples, limb leads as a cart computes them and a count off here and there, with a
// pulse behind them.
func known(n, pulse int) [][]int32 {
	leads := make([][]int32, 12)
	for k := range leads {
		for i := range n {
			leads[k] = append(leads[k], int32((i*(k+3)*7919)%401-200))
		}
	}
	for i := range n {
		a, b := leads[0][i], leads[1][i]
		leads[2][i], leads[3][i] = b-a+int32(i%2), -(a+b)/2
		leads[4][i], leads[5][i] = (a-leads[2][i])/2, (b+leads[2][i])/2
	}
	for k := range leads {
		for i := range pulse {
			v := int32(0)
			if i >= pulse/4 && i < pulse*3/4 {
				v = 200
			}
			leads[k] = append(leads[k], v)
		}
	}
	return leads
}

// pack writes leads as parsedwaveforms' base64.
func pack(leads [][]int32) string {
	var raw []byte
	stored := make([][]int32, len(leads))
	for k := range leads {
		stored[k] = slices.Clone(leads[k])
	}
	if len(leads) >= 12 {
		for i := range stored[0] {
			a, b, c := leads[0][i], leads[1][i], leads[2][i]
			stored[2][i] = b - a - c
			stored[3][i] = -leads[3][i] - (a+b)>>1
			stored[4][i] = (a-c)>>1 - leads[4][i]
			stored[5][i] = (b+c)>>1 - leads[5][i]
		}
	}
	for _, s := range stored {
		raw = append(raw, compress(s)...)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func document(data string, edit ...string) string {
	text := `<?xml version="1.0" encoding="UTF-8"?>
<restingecgdata xmlns="http://www3.medical.philips.com" status="Unconfirmed" lang="en">
<documentinfo><documentname>a.xml</documentname><documenttype>PhilipsECG</documenttype><documentversion>1.04.02</documentversion></documentinfo>
<dataacquisition date="2024-02-29" time="23:59:58"><machine machineid="7" detaildescription="x">PageWriter TC70</machine>
<signalcharacteristics><samplingrate>500</samplingrate><resolution>5</resolution></signalcharacteristics></dataacquisition>
<patient><generalpatientdata><patientid>P-1</patientid><name><lastname>黎</lastname><firstname>小明</firstname></name><age><dateofbirth>1970-01-02</dateofbirth></age><sex>Male</sex><pacestatus>Paced</pacestatus>
<height><inch>70</inch></height><weight><kg>80,5</kg></weight></generalpatientdata></patient>
<interpretations><interpretation><globalmeasurements><qtcf>420</qtcf><heartrate>Failed</heartrate></globalmeasurements><statement><statementcode>NSR</statementcode><leftstatement>窦性心律</leftstatement><rightstatement></rightstatement></statement></interpretation></interpretations>
<waveforms><parsedwaveforms dataencoding="Base64" compression="XLI" numberofleads="12" leadlabels="I II III aVR aVL aVF V1 V2 V3 V4 V5 V6" durationperchannel="MS" samplespersecond="500" resolution="5" hipass="0.05" lowpass="150" notchfiltered="False">` +
		data + `</parsedwaveforms>
<repbeats dataencoding="Base64" samplespersec="1000" resolution="2.5"><repbeat leadname="I"><qonset>200</qonset><waveform duration="4">AQACAP9//38=</waveform></repbeat></repbeats></waveforms></restingecgdata>`
	return strings.NewReplacer(edit...).Replace(text)
}

func read(t *testing.T, text string) *ecg.Recording {
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
	leads := known(600, 200)
	text := document(pack(leads), "MS", "1600")
	wide, err := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String(strings.Replace(text, "UTF-8", "utf-16", 1))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"UTF-8": text, "UTF-16": wide, "UTF-8 as UTF-16": strings.Replace(text, "UTF-8", "utf-16", 1)} {
		rec := read(t, text)
		counts, _, err := rec.Groups[0].ReadAll(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for k := range leads {
			if !slices.Equal(counts[k], leads[k][:600]) {
				t.Errorf("%s: lead %s differs", name, twelve[k])
			}
		}
		p := rec.Patient
		if p.Name != "黎^小明" || p.Sex != "M" || p.HeightCM.String() != "177.8" || p.WeightKG.String() != "80.5" || !rec.Pacing.Paced || rec.Statements[0].Text != "窦性心律" {
			t.Errorf("%s: %+v", name, p)
		}
		if m, ok := rec.Measurement(ecg.QTcInterval); !ok || m.Formula != ecg.Fridericia {
			t.Errorf("%+v", m)
		}
		_, missing, err := rec.Groups[1].ReadAll(100)
		if err != nil || rec.Groups[1].Length != 4 || missing[0][1] || !missing[0][2] {
			t.Error(missing, err)
		}
		if len(rec.Warnings) != 2 { // the pulse and the padding
			t.Error(rec.Warnings)
		}
	}
}

// TestLayouts: leads that are not compressed, sixteen of them, eight, and without a pulse.
func TestLayouts(t *testing.T) {
	leads := known(300, 0)
	leads[2] = nil
	for i := range leads[0] {
		leads[2] = append(leads[2], leads[1][i]-leads[0][i])
	}
	var follow, turns []byte
	for _, l := range leads {
		for _, v := range l {
			follow = binary.LittleEndian.AppendUint16(follow, uint16(v))
		}
	}
	for i := range leads[0] {
		for _, l := range leads {
			turns = binary.LittleEndian.AppendUint16(turns, uint16(l[i]))
		}
	}
	for name, raw := range map[string][]byte{"one after the other": follow, "in turns": turns} {
		rec := read(t, document(base64.StdEncoding.EncodeToString(raw), ` compression="XLI"`, ` compression="Uncompressed"`, "MS", "600"))
		counts, _, err := rec.Groups[0].ReadAll(1 << 20)
		if err != nil || !slices.Equal(counts[7], leads[7]) || warned(rec, ecg.WarnCalibration) {
			t.Error(name, err, rec.Warnings)
		}
	}
	sixteen := append(known(300, 0), leads[8:12]...)
	rec := read(t, document(pack(sixteen), "V5 V6\"", "V5 V6 V3R V4R V7 C8\"", "MS", "600"))
	if g := rec.Groups[0]; len(g.Leads) != 16 || g.Leads[12].Name != "V3R" || g.Leads[15].Name != "V8" || g.Leads[15].Label != "C8" {
		t.Errorf("%+v", g.Leads)
	}
	rec = read(t, document(pack(leads[:2])[:0]+pack(append(slices.Clone(leads[:2]), leads[6:]...)), "MS", "600"))
	if g := rec.Groups[0]; len(g.Leads) != 8 || g.Leads[2].Name != "V1" || !warned(rec, ecg.WarnHeaderDiffers) {
		t.Errorf("%+v", g.Leads)
	}
	lead := `</repbeats><leadwaveforms dataencoding="Base64" samplespersecond="500" resolution="5"><leadwaveform leadname="aVF" starttime="2500" duration="4">AQACAA==</leadwaveform></leadwaveforms><unparsedwaveforms href="http://127.0.0.1/x"/>`
	rec = read(t, document(pack(leads), "MS", "600", "</repbeats>", lead))
	if g := rec.Groups[1]; g.Leads[0].Name != "aVF" || g.Leads[0].Start != 1250 || g.Length != 1252 || !warned(rec, ecg.WarnExternal) {
		t.Errorf("%+v %v", g, rec.Warnings)
	}
}

func TestRefusals(t *testing.T) {
	good := pack(known(50, 0))
	bomb := func(codes int) string { // each code is the one that comes next: entries grow to 767 bytes
		var bits uint64
		have := 0
		chunk := make([]byte, 8)
		for i := range codes {
			c := uint64(min(256+i-1, 1022))
			if i == 0 {
				c = 0
			}
			for bits, have = bits<<10|c, have+10; have >= 8; have -= 8 {
				chunk = append(chunk, byte(bits>>(have-8)))
			}
		}
		binary.LittleEndian.PutUint32(chunk, uint32(len(chunk)-8))
		return base64.StdEncoding.EncodeToString(chunk)
	}
	for name, c := range map[string]struct {
		text string
		want reject.Code
	}{
		"other root":       {"<ECG/>", reject.UnsupportedFormat},
		"rate":             {document(good, `samplespersecond="500"`, `samplespersecond="5e8"`), reject.Malformed},
		"500 MB declared":  {document(good, "MS", "500000000"), reject.Malformed},
		"not base64":       {document("***", "MS", "100"), reject.Malformed},
		"another method":   {document(good, `"XLI"`, `"Huffman"`, "MS", "100"), reject.Malformed},
		"chunk beyond":     {document(base64.StdEncoding.EncodeToString([]byte{255, 255, 255, 127, 1, 0, 0, 0, 1})), reject.Malformed},
		"negative chunk":   {document(base64.StdEncoding.EncodeToString([]byte{255, 255, 255, 255, 1, 0, 0, 0, 1})), reject.Malformed},
		"bomb":             {document(bomb(100_000), "MS", "100"), reject.TooLarge},
		"leads in no turn": {document(good, "I II III", "II I III", "MS", "100"), reject.Malformed},
		"cut":              {document(good)[:1500], reject.Truncated},
		"entities":         {`<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + document(good)[39:], reject.Malformed},
		"a URL's DTD":      {`<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">` + document(good)[39:], reject.Malformed},
	} {
		_, err := Decode(ecgtest.Source("", []byte(c.text)), ecg.Limits{Samples: 1 << 20})
		if err == nil || reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestHostile(t *testing.T) {
	ecgtest.Check(t, Decode, []byte(document(pack(known(40, 200)), "MS", "480")))
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document(pack(known(8, 0)), "MS", "16")))
	f.Add([]byte("<restingecgdata/>"))
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}

func FuzzXLI(f *testing.F) {
	f.Add(compress(known(20, 0)[0]))
	f.Fuzz(func(t *testing.T, in []byte) {
		leads, err := xli(in, 10_000, 20)
		total := 0
		for _, l := range leads {
			total += len(l)
		}
		if err == nil && total > 10_000 {
			t.Fatal(total)
		}
	})
}
