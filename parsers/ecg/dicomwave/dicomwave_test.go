package dicomwave

import (
	"bytes"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/ecgtest"
	"github.com/tributary-dicom/tributary/parsers/reject"
)

func TestCorpus(t *testing.T) {
	ecgtest.Golden(t, "dicom", Decode, ecgtest.Options{})
}

// TestOtherObjects reads the waveform objects of the DICOM corpus.
func TestOtherObjects(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(ecgtest.Shared(t), "corpora", "dicom", "ecg", "*.dcm"))
	if err != nil || len(files) == 0 {
		t.Skip("no ECG objects in the DICOM corpus")
	}
	for _, path := range files {
		rec, err := Decode(ecgtest.Open(t, path), ecg.Limits{})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		if err := rec.Validate(ecg.Limits{}); err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
		for i, g := range rec.Groups {
			if g.Length == 0 {
				t.Errorf("%s: group %d is %s without samples", filepath.Base(path), i, g.Kind)
			}
			ecgtest.ReadGroup(t, i, g)
		}
		t.Log(filepath.Base(path), rec.FormatVersion, rec.Warnings)
	}
}

var (
	leadI  = channel{"2:1", "MDC", "Lead I", "1.25", "uV", "1", "0"}
	leadII = channel{"5.6.3-9-2", "SCPECG", "Lead II", "0.00122", "mV", "2", "0.5"}
	bare   = channel{"", "", "aVF", "5", "uV", "1", "0"}
	art    = channel{"2:18961", "MDC", "Arterial pressure", "0.125", "mmHg", "1", "0"}
)

func ramp(c, i int) int64 { return int64((c + 1) * (i - 5)) }

func decode(t *testing.T, data []byte) *ecg.Recording {
	t.Helper()
	rec, err := Decode(ecgtest.Source("", data), ecg.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Validate(ecg.Limits{}); err != nil {
		t.Fatal(err)
	}
	return rec
}

func readAll(t *testing.T, g *ecg.Group) ([][]int32, [][]bool) {
	t.Helper()
	counts, missing, err := g.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	return counts, missing
}

// TestSyntaxes reads the same object in every transfer syntax.
func TestSyntaxes(t *testing.T) {
	for _, syntax := range []string{"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", bigEndianSyntax, deflatedSyntax} {
		big := syntax == bigEndianSyntax
		const n = 6000
		w := wave{label: "RHYTHM", rate: "500", channels: []channel{leadI, leadII, bare}, samples: n, kind: "SS", bits: 16, vr: "OW", data: interleave(3, n, 2, big, ramp)}
		median := w
		median.label, median.samples, median.data = "MEDIAN BEAT", 600, interleave(3, 600, 2, big, func(c, i int) int64 { return -ramp(c, i) })
		rec := decode(t, object{syntax: syntax, waves: []wave{w, median}}.bytes(t))
		if len(rec.Groups) != 2 || rec.Groups[0].Kind != ecg.Rhythm || rec.Groups[1].Kind != ecg.Median || rec.Groups[1].StartOffset.String() != "10" {
			t.Fatalf("%s: %+v", syntax, rec.Groups)
		}
		counts, _ := readAll(t, rec.Groups[0])
		beat, _ := readAll(t, rec.Groups[1])
		again, _ := readAll(t, rec.Groups[0])
		for c := range 3 {
			for i := range n {
				if int64(counts[c][i]) != int64(int16(ramp(c, i))) || counts[c][i] != again[c][i] {
					t.Fatalf("%s: channel %d sample %d is %d", syntax, c, i, counts[c][i])
				}
			}
			if int64(beat[c][599]) != -ramp(c, 599) {
				t.Fatalf("%s: median", syntax)
			}
		}
		l := rec.Groups[0].Leads
		if l[0].Name != "I" || l[1].Name != "II" || l[2].Name != "aVF" || l[0].Scale.String() != "1.25" || l[1].Scale.String() != "2.44" || l[1].Baseline.String() != "500" {
			t.Errorf("%s: %+v", syntax, l)
		}
		if p := rec.Patient; p.Name != "Li^Hua=黎^华" || p.BirthDate != "1970-03-09" || p.Age.Unit != "a" || rec.Acquired.String() != "2024-02-29T10:11:12.5+08:00" || !rec.Acquired.ZoneKnown {
			t.Errorf("%s: %+v %s", syntax, p, rec.Acquired)
		}
	}
}

// TestSamples reads every kind of sample in both byte orders, three channels, so that words cross frames.
func TestSamples(t *testing.T) {
	for _, c := range []struct {
		kind     string
		bits     uint16
		size     int
		min, max int64
	}{{"SB", 8, 1, -128, 127}, {"UB", 8, 1, 0, 255}, {"SS", 16, 2, -32768, 32767}, {"US", 16, 2, 0, 65535}, {"SL", 32, 4, math.MinInt32, math.MaxInt32}, {"UL", 32, 4, 0, math.MaxUint32}} {
		for _, big := range []bool{false, true} {
			for _, vr := range []string{"OB", "OW"} {
				syntax := "1.2.840.10008.1.2.1"
				if big {
					syntax = bigEndianSyntax
				}
				if vr == "OB" && c.size > 1 {
					continue
				}
				const n = 5001
				value := func(ch, i int) int64 {
					switch (ch + i) % 3 {
					case 0:
						return c.min
					case 1:
						return c.max
					}
					return int64(i % 100)
				}
				ch := channel{"2:1", "MDC", "Lead I", "0.5", "uV", "1", "3"}
				data := interleave(3, n, c.size, big && vr == "OW", value)
				rec := decode(t, object{syntax: syntax, waves: []wave{{label: "R", rate: "250", channels: []channel{ch, leadII, bare}, samples: n, kind: c.kind, bits: c.bits, vr: vr, data: data}}}.bytes(t))
				g := rec.Groups[0]
				counts, _ := readAll(t, g)
				for k := range 3 {
					for i := range n {
						want := ecg.Int(value(k, i)).Mul(ecg.MustRat("0.5")).Add(ecg.Int(3))
						if k == 0 && !g.Leads[0].Value(counts[0][i]).Equal(want) {
							t.Fatalf("%s big %t %s: sample %d is %s, want %s", c.kind, big, vr, i, g.Leads[0].Value(counts[0][i]), want)
						}
					}
				}
			}
		}
	}
}

// TestPaddingOfZero: a padding value of 0 is written by programs that have none.
func TestPaddingOfZero(t *testing.T) {
	w := wave{label: "R", rate: "500", channels: []channel{leadI}, samples: 3, kind: "SS", bits: 16, vr: "OW", padding: []byte{0, 0}, data: make([]byte, 6)}
	rec := decode(t, object{syntax: "1.2.840.10008.1.2.1", waves: []wave{w}}.bytes(t))
	if _, missing := readAll(t, rec.Groups[0]); missing[0] != nil {
		t.Error("a flat line taken for a gap")
	}
}

func TestPaddingAndSkew(t *testing.T) {
	w := wave{label: "R", rate: "500", channels: []channel{leadI, leadII}, samples: 4, kind: "SS", bits: 16, vr: "OW", padding: []byte{0, 0x80}, skew: "0.0005"}
	w.data = interleave(2, 4, 2, false, func(c, i int) int64 {
		if i == 2 && c == 1 {
			return -32768
		}
		return int64(i)
	})
	rec := decode(t, object{syntax: "1.2.840.10008.1.2.1", waves: []wave{w}}.bytes(t))
	counts, missing := readAll(t, rec.Groups[0])
	if missing[0] != nil || !missing[1][2] || missing[1][1] || counts[1][2] != -32768 {
		t.Error(counts, missing)
	}
	if s := rec.Groups[0].Leads[1].Skew.String(); s != "0.5" {
		t.Errorf("skew %s ms", s)
	}
}

// TestPressuresAreApart: a hemodynamic object with an ECG group and a group of pressures.
func TestPressuresAreApart(t *testing.T) {
	heart := wave{label: "ECG", rate: "240", channels: []channel{leadI}, samples: 480, kind: "SS", bits: 16, vr: "OW", data: interleave(1, 480, 2, false, ramp)}
	press := wave{label: "ART", rate: "0.5", channels: []channel{art}, samples: 10, kind: "SS", bits: 16, vr: "OW", data: interleave(1, 10, 2, false, ramp)}
	rec := decode(t, object{syntax: "1.2.840.10008.1.2.1", class: "1.2.840.10008.5.1.4.1.1.9.2.1", waves: []wave{press, heart}}.bytes(t))
	if rec.Groups[0].Kind != ecg.OtherSignals || rec.Groups[1].Kind != ecg.Rhythm || rec.Rhythm() != rec.Groups[1] {
		t.Errorf("%s, %s", rec.Groups[0].Kind, rec.Groups[1].Kind)
	}
	if l := rec.Groups[0].Leads[0]; l.Unit != "mm[Hg]" || l.Scale.String() != "0.125" || l.Name != "Arterial pressure" {
		t.Errorf("%+v", l)
	}
	ep := decode(t, object{syntax: "1.2.840.10008.1.2.1", class: cardiacEP, waves: []wave{heart}}.bytes(t))
	if ep.Groups[0].Kind != ecg.OtherSignals {
		t.Error("electrophysiology taken for an ECG")
	}
}

// TestUnnamedLeads: the class says what channels are that name no lead, unless others do.
func TestUnnamedLeads(t *testing.T) {
	odd := channel{value: "1", scheme: "99X", meaning: "ECG 1", sensitivity: "5", unit: "uV"}
	slow := wave{label: "TREND", rate: "0.5", channels: []channel{odd}, samples: 10, kind: "SS", bits: 16, vr: "OW", data: interleave(1, 10, 2, false, ramp)}
	heart := wave{label: "A", rate: "240", channels: []channel{odd}, samples: 480, kind: "SS", bits: 16, vr: "OW", data: interleave(1, 480, 2, false, ramp)}
	named := heart
	named.channels = []channel{leadI}
	kinds := func(class string, waves ...wave) (out string) {
		for _, g := range decode(t, object{syntax: "1.2.840.10008.1.2.1", class: class, waves: waves}.bytes(t)).Groups {
			out += string(g.Kind) + " "
		}
		return out
	}
	const general, hemodynamic = "1.2.840.10008.5.1.4.1.1.9.1.2", "1.2.840.10008.5.1.4.1.1.9.2.1"
	for _, c := range []struct{ got, want string }{
		{kinds(general, heart, slow), "rhythm other "},
		{kinds(general, heart, named), "other rhythm "},
		{kinds(hemodynamic, heart), "other "},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestAnnotations(t *testing.T) {
	note := func(concept, unit, value, text string, more func(*builder)) func(*builder) {
		return func(i *builder) {
			if unit != "" {
				i.code(0x004008EA, unit, "UCUM", unit)
			}
			if concept != "" {
				i.code(0x0040A043, "1", "MDC", concept)
			}
			i.short(0x0040A0B0, 1, 0)
			if more != nil {
				more(i)
			}
			if value != "" {
				i.text(0x0040A30A, "DS", value)
			}
			if text != "" {
				i.text(0x00700006, "ST", text)
			}
		}
	}
	o := object{syntax: "1.2.840.10008.1.2.1", more: func(m *builder) {
		m.sequence(0x0040B020,
			note("PR Interval", "ms", "148", "", nil), note("QTc Interval (Fridericia)", "s", "0.41", "", nil), note("PP Interval", "ms", "0", "", nil),
			note("P Axis", "ms", "44", "", nil), note("", "", "", "窦性心律", nil),
			note("P Onset", "", "", "", func(i *builder) {
				i.text(0x0040A130, "CS", "POINT")
				i.long(0x0040A132, 26)
			}),
			note("Noise", "", "", "", func(i *builder) {
				i.text(0x0040A130, "CS", "SEGMENT")
				i.text(0x0040A138, "DS", `0.5\1.25`)
			}))
	}, waves: []wave{{label: "R", rate: "500", channels: []channel{leadI, leadII}, samples: 10, kind: "SS", bits: 16, vr: "OW", data: interleave(2, 10, 2, false, ramp)}}}
	rec := decode(t, o.bytes(t))
	if m, ok := rec.Measurement(ecg.PRInterval); !ok || m.Value.String() != "148" || m.Unit != "ms" || !m.Valid {
		t.Errorf("%+v", m)
	}
	if m, ok := rec.Measurement(ecg.QTcInterval); !ok || m.Value.String() != "410" || m.Formula != ecg.Fridericia {
		t.Errorf("%+v", m)
	}
	if m, ok := rec.Measurement(ecg.PPInterval); !ok || m.Valid {
		t.Errorf("%+v", m)
	}
	if m, ok := rec.Measurement(ecg.PAxis); !ok || m.Unit != "deg" {
		t.Errorf("%+v", m)
	}
	if len(rec.Statements) != 1 || rec.Statements[0].Text != "窦性心律" || rec.Statements[0].Status != ecg.Unconfirmed {
		t.Errorf("%+v", rec.Statements)
	}
	if a := rec.Annotations; len(a) != 2 || a[0].Kind != ecg.Wave || a[0].Onset.String() != "50" || a[1].Onset.String() != "500" || a[1].Duration.String() != "750" {
		t.Errorf("%+v", a)
	}
}

func TestLengths(t *testing.T) {
	base := wave{label: "R", rate: "500", channels: []channel{leadI, leadII}, samples: 10, kind: "SS", bits: 16, vr: "OW", data: interleave(2, 10, 2, false, ramp)}
	for stated, want := range map[int]struct {
		n    int64
		warn ecg.WarningCode
	}{12: {10, ecg.WarnTruncated}, math.MaxUint32: {10, ecg.WarnTruncated}, 7: {7, ecg.WarnLengthDiffers}, 10: {10, ""}} {
		w := base
		w.stated = stated
		rec := decode(t, object{syntax: "1.2.840.10008.1.2.1", waves: []wave{w}}.bytes(t))
		if rec.Groups[0].Length != want.n || want.warn == "" && len(rec.Warnings) > 0 || want.warn != "" && (len(rec.Warnings) == 0 || rec.Warnings[0].Code != want.warn) {
			t.Errorf("%d stated: %d samples, warnings %v", stated, rec.Groups[0].Length, rec.Warnings)
		}
	}
}

func TestRefusals(t *testing.T) {
	good := wave{label: "R", rate: "500", channels: []channel{leadI}, samples: 10, kind: "SS", bits: 16, vr: "OW", data: interleave(1, 10, 2, false, ramp)}
	with := func(edit func(*wave)) []byte {
		w := good
		edit(&w)
		return object{syntax: "1.2.840.10008.1.2.1", waves: []wave{w}}.bytes(t)
	}
	var many []wave
	for range 100 {
		many = append(many, good)
	}
	for name, c := range map[string]struct {
		data []byte
		want reject.Code
	}{
		"rate 0":         {with(func(w *wave) { w.rate = "0" }), reject.Malformed},
		"rate 1e9":       {with(func(w *wave) { w.rate = "1e9" }), reject.Malformed},
		"rate missing":   {with(func(w *wave) { w.rate = "" }), reject.Malformed},
		"ECG at 1 Hz":    {with(func(w *wave) { w.rate = "1" }), reject.Malformed},
		"mu-law":         {with(func(w *wave) { w.kind, w.bits = "MB", 8 }), reject.NotParsed},
		"bits differ":    {with(func(w *wave) { w.bits = 8 }), reject.Malformed},
		"no channel":     {with(func(w *wave) { w.channels = nil }), reject.Malformed},
		"300 channels":   {with(func(w *wave) { w.channels = make([]channel, 300) }), reject.Malformed},
		"100 groups":     {object{syntax: "1.2.840.10008.1.2.1", waves: many}.bytes(t), reject.TooManyElements},
		"cut in samples": {with(func(*wave) {})[:len(with(func(*wave) {}))-5], reject.Truncated},
		"sound":          {object{syntax: "1.2.840.10008.1.2.1", class: "1.2.840.10008.5.1.4.1.1.9.4.1", waves: []wave{good}}.bytes(t), reject.UnsupportedFormat},
		"no DICOM":       {[]byte("hello"), ""},
	} {
		_, err := Decode(ecgtest.Source("", c.data), ecg.Limits{})
		if err == nil || c.want != "" && reject.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestOddities(t *testing.T) {
	w := wave{label: "R", rate: "500", samples: 10, kind: "SS", bits: 16, vr: "OW"}
	for i := range 24 {
		w.channels = append(w.channels, channel{"2:" + strconv.Itoa(i%8+1) + "\x00", "MDC", "x", "", "", "", ""})
	}
	w.data = interleave(24, 10, 2, false, ramp)
	rec := decode(t, object{syntax: "1.2.840.10008.1.2.1", waves: []wave{w}}.bytes(t))
	codes := map[ecg.WarningCode]bool{}
	for _, x := range rec.Warnings {
		codes[x.Code] = true
	}
	if !codes[ecg.WarnLayout] || !codes[ecg.WarnScaleAbsent] || rec.Groups[0].Leads[1].Name != "II" {
		t.Error(rec.Warnings)
	}
	empty := w
	empty.data = nil
	if rec := decode(t, object{syntax: "1.2.840.10008.1.2.1", waves: []wave{empty}}.bytes(t)); rec.Groups[0].Length != 0 {
		t.Error("samples out of nothing")
	}
}

func TestSwapped(t *testing.T) {
	s := swapped{bytes.NewReader([]byte("xbadcfe")), 1, 6}
	for off := range int64(6) {
		for n := int64(1); off+n <= 6; n++ {
			p := make([]byte, n)
			if got, err := s.ReadAt(p, 1+off); int64(got) != n || err != nil || string(p) != "abcdef"[off:off+n] {
				t.Errorf("%d at %d: %q, %v", n, off, p[:got], err)
			}
		}
	}
	if n, err := s.ReadAt(make([]byte, 4), 5); n != 2 || err != io.EOF {
		t.Error(n, err)
	}
}

func small(t testing.TB, syntax string) []byte {
	w := wave{label: "R", rate: "500", channels: []channel{leadI, leadII}, samples: 6, kind: "SS", bits: 16, vr: "OW", data: interleave(2, 6, 2, syntax == bigEndianSyntax, ramp)}
	return object{syntax: syntax, waves: []wave{w}, more: func(m *builder) {
		m.sequence(0x0040B020, func(i *builder) { i.text(0x00700006, "ST", "SINUS") })
	}}.bytes(t)
}

func TestHostile(t *testing.T) {
	for _, syntax := range []string{"1.2.840.10008.1.2.1", bigEndianSyntax, deflatedSyntax} {
		ecgtest.Check(t, Decode, small(t, syntax))
	}
}

func FuzzDecode(f *testing.F) {
	for _, syntax := range []string{"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", bigEndianSyntax, deflatedSyntax} {
		f.Add(small(f, syntax))
	}
	f.Fuzz(func(t *testing.T, in []byte) { ecgtest.Survive(t, Decode, in) })
}
