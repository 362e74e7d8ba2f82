package ecg

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/sniff"
	"pgregory.net/rapid"
)

func TestRatText(t *testing.T) {
	for in, want := range map[string]string{
		"2.5": "2.5", "4.88": "4.88", "0.00122": "0.00122", "1e-3": "0.001", "+1,25": "1.25", "-0": "0", "5": "5", "2.50": "2.5",
		"1E3": "1000", ".5": "0.5", "0.095": "0.095",
	} {
		r, err := ParseRat(in)
		if err != nil || r.String() != want {
			t.Errorf("%q: %s, %v; want %s", in, r, err, want)
		}
	}
	for _, in := range []string{"", " ", "1e999999999", "NaN", "inf", "0x10", "1/3", "1.2.3", "--1", "1e", "e5", strings.Repeat("9", 65), "1_000", "５"} {
		if r, err := ParseRat(in); err == nil {
			t.Errorf("%q: %s, want an error", in, r)
		}
	}
	if s := Frac(1, 3).String(); s != "1/3" {
		t.Error(s)
	}
	if _, ok := Int(1).Quo(Rat{}); ok {
		t.Error("division by zero")
	}
	if !(Rat{}).Equal(Int(0)) || (Rat{}).String() != "0" {
		t.Error("the zero value is not 0")
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), 1e200, 1e-200} {
		if _, err := FromFloat(f); err == nil {
			t.Errorf("%v is no scale", f)
		}
	}
}

func TestRatTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Frac(rapid.Int64().Draw(t, "num"), rapid.Int64Range(1, math.MaxInt64).Draw(t, "den"))
		var b Rat
		if err := b.UnmarshalText([]byte(a.String())); err != nil || !a.Equal(b) {
			t.Fatalf("%s: %s, %v", a, b, err)
		}
	})
}

// TestRounding compares the fast way with exact arithmetic, halves above all.
func TestRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := Frac(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "num"), rapid.SampledFrom([]int64{1, 2, 3, 4, 8, 10, 100, 1000, 65535, 1 << 40}).Draw(t, "den"))
		base := Frac(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "base"), rapid.SampledFrom([]int64{1, 2, 7, 1000}).Draw(t, "base den"))
		count := rapid.Int32().Draw(t, "count")
		exact := new(big.Rat).Add(new(big.Rat).Mul(big.NewRat(int64(count), 1), scale.big()), base.big())
		twice := new(big.Rat).Mul(exact, big.NewRat(2, 1))
		got, ok := NewScaler(scale, base).Round(count)
		if !ok {
			if limit := big.NewRat(math.MaxInt32, 1); new(big.Rat).Abs(exact).Cmp(limit) < 0 {
				t.Fatalf("%s is within int32", exact)
			}
			return
		}
		diff := new(big.Rat).Sub(big.NewRat(2*int64(got), 1), twice)
		switch diff.Abs(diff).Cmp(big.NewRat(1, 1)) {
		case 1:
			t.Fatalf("%s rounds to %d", exact, got)
		case 0:
			if got%2 != 0 {
				t.Fatalf("%s is a tie and rounds to odd %d", exact, got)
			}
		}
	})
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		"20021122091000.000":            "2002-11-22T09:10:00",
		"20021122":                      "2002-11-22",
		"2024-07-02T14:34:57":           "2024-07-02T14:34:57",
		"2024-07-02 14:34":              "2024-07-02T14:34:00",
		"20240702143457.25+0800":        "2024-07-02T14:34:57.25+08:00",
		"2024-07-02T14:34:57Z":          "2024-07-02T14:34:57Z",
		"1937-10-07":                    "1937-10-07",
		"20240230":                      "",
		"20241332":                      "",
		"1-1-1T1:1:1":                   "",
		"today":                         "",
		"20240702143457+9900":           "",
		"20240702143457 and more":       "",
		"2024-07-02T14:34:57.123456789": "2024-07-02T14:34:57.123456789",
	} {
		got := ParseTime(in)
		if got.String() != want || got.Raw != in {
			t.Errorf("%q: %q (raw %q), want %q", in, got, got.Raw, want)
		}
		if got.ZoneKnown != strings.ContainsAny(want, "Z+") {
			t.Errorf("%q: zone known %t", in, got.ZoneKnown)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("20021122091000.000+0800", "2.5")
	f.Add("2024-07-02T14:34:57Z", "1e-3")
	f.Fuzz(func(t *testing.T, clock, number string) {
		if got := ParseTime(clock); got.Raw != clock {
			t.Fatal("raw text lost")
		}
		if r, err := ParseRat(number); err == nil {
			var b Rat
			if err := b.UnmarshalText([]byte(r.String())); err != nil || !b.Equal(r) {
				t.Fatalf("%q: %s", number, r)
			}
		}
		LeadByName(clock)
		LeadByCode("MDC", number)
	})
}

func TestLeads(t *testing.T) {
	for label, want := range map[string]string{
		"I": "I", "Lead I (Einthoven)": "I", "LEAD II": "II", "aVR": "aVR", "AVR": "aVR", "avl": "aVL", "MDC_ECG_LEAD_AVF": "aVF",
		"NOM_ECG_LEAD_V1": "V1", "ECG I": "I", "EKG V6": "V6", "V3R": "V3R", "ECG C3": "V3", "lead A1": "A1", "V1导联": "V1", "-aVR": "-aVR", "Lead -aVR": "-aVR", "ECG-II": "II", "MDC_ECG_LEAD_aVRneg": "-aVR", "MLII": "II", "X": "X", "ES": "ES",
		"MCL1": "MCL1", "Lead III": "III", "II\x00\x00": "II", "V5-REF": "V5",
	} {
		id, _, ok := LeadByName(label)
		if !ok || id.Name() != want {
			t.Errorf("%q: %q, want %q", label, id.Name(), want)
		}
	}
	for _, label := range []string{"", "C3", "A1", "V", "EEG C3", "Resp", "ABP", "EEG Fpz", "0", strings.Repeat("V", 100)} {
		if id, _, ok := LeadByName(label); ok {
			t.Errorf("%q is %s", label, id.Name())
		}
	}
	for _, c := range []struct{ scheme, value, want string }{
		{"MDC", "2:1", "I"},
		{"MDC", "2:64", "aVF"},
		{"MDC", "2-3", "V1"},
		{"SCPECG", "5.6.3-9-63", "aVL"},
		{"SCPECG", "5.6.3-9-1\x00", "I"},
		{"MDC", "131073", "I"},
		{"MDC", "131329", "I"},
		{"MDC", "131330", "II"},
		{"MDC", "131389", "III"},
		{"scp", "66", "V8"},
		{"MDC", "MDC_ECG_LEAD_III", "III"},
	} {
		id, ok := LeadByCode(c.scheme, c.value)
		if !ok || id.Name() != c.want {
			t.Errorf("%s %s: %q, want %s", c.scheme, c.value, id.Name(), c.want)
		}
	}
	for _, c := range []struct{ scheme, value string }{{"MDC", "2:0"}, {"MDC", "2:250"}, {"SRT", "2:1"}, {"scp", "-1"}, {"scp", "300"}, {"MDC", "I"}} {
		if id, ok := LeadByCode(c.scheme, c.value); ok {
			t.Errorf("%s %s is %s", c.scheme, c.value, id.Name())
		}
	}
	if id, _, _ := LeadByName("V1"); id.MDC() != "MDC_ECG_LEAD_V1" || id.MDCValue() != "2:3" {
		t.Error(id.MDC(), id.MDCValue())
	}
}

// limb is a recording of two leads at 2.5 µV, of which the second misses a sample.
func limb(one, two []int32) *Recording {
	g := &Group{Kind: Rhythm, Rate: Int(500)}
	for _, name := range []string{"I", "II"} {
		l := Lead{Unit: Microvolt, Scale: MustRat("2.5")}
		l.SetLabel(name)
		g.Leads = append(g.Leads, l)
	}
	g.Memory([][]int32{one, two}, [][]bool{nil, {false, false, true}})
	return &Recording{Format: sniff.MUSE, Groups: []*Group{g}}
}

func TestDerivedLimbLeads(t *testing.T) {
	r := limb([]int32{1, -4, 7}, []int32{2, 3, 9})
	if err := r.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(Limits{}); err != nil {
		t.Fatal(err)
	}
	g := r.Groups[0]
	counts, missing, err := g.ReadAll(1000)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{ // µV of the first two samples
		"III": {"2.5", "17.5"}, "aVR": {"-3.75", "1.25"}, "aVL": {"0", "-13.75"}, "aVF": {"3.75", "12.5"},
	} {
		l, i := g.Lead(name)
		if l == nil {
			t.Fatalf("no %s", name)
		}
		if a, b := l.Value(counts[i][0]).String(), l.Value(counts[i][1]).String(); a != want[0] || b != want[1] || !l.Derived || !missing[i][2] {
			t.Errorf("%s: %s, %s, want %v; derived %t", name, a, b, want, l.Derived)
		}
	}
	if err := r.Complete(); err != nil || len(g.Leads) != 6 {
		t.Errorf("a second Complete made %d leads, %v", len(g.Leads), err)
	}
}

func TestEinthovenFromAnyPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, two := rapid.Int32Range(-30000, 30000).Draw(t, "I"), rapid.Int32Range(-30000, 30000).Draw(t, "II")
		s, u := rapid.SampledFrom([]string{"2.5", "5", "4.88", "1.25"}).Draw(t, "scale"), rapid.SampledFrom([]string{"2.5", "5", "4.88", "1.25"}).Draw(t, "other scale")
		full := map[string]Rat{}
		g := &Group{Kind: Rhythm, Rate: Int(500), Leads: []Lead{
			{Name: "I", Unit: Microvolt, Scale: MustRat(s), Baseline: Int(3)}, {Name: "II", Unit: Microvolt, Scale: MustRat(u)},
		}}
		g.Memory([][]int32{{one}, {two}}, nil)
		if !g.deriveLimbLeads() {
			t.Fatalf("%s and %s have a common measure", s, u)
		}
		counts, _, err := g.ReadAll(100)
		if err != nil {
			t.Fatal(err)
		}
		for i := range g.Leads {
			full[g.Leads[i].Name] = g.Leads[i].Value(counts[i][0])
		}
		half := Frac(1, 2)
		if !full["III"].Equal(full["II"].Sub(full["I"])) || !full["aVR"].Equal(full["I"].Add(full["II"]).Mul(half).Neg()) ||
			!full["aVL"].Equal(full["I"].Sub(full["II"].Mul(half))) || !full["aVF"].Equal(full["II"].Sub(full["I"].Mul(half))) {
			t.Fatalf("%v", full)
		}
		for _, pair := range limbPairs[1:] {
			first, second := Lead{Name: pair.first, Unit: Microvolt, Scale: Frac(1, 1000)}, Lead{Name: pair.second, Unit: Microvolt, Scale: Frac(1, 1000)}
			for _, c := range pair.leads {
				d, ok := combine(&first, &second, c)
				if !ok {
					t.Fatal("same scale")
				}
				got := full[pair.first].Mul(Int(d.mul)).Add(full[pair.second].Mul(Int(d.mul2))).Mul(d.lead.Scale).Mul(Int(1000))
				if !got.Equal(full[c.name]) {
					t.Fatalf("%s from %s and %s: %s, want %s", c.name, pair.first, pair.second, got, full[c.name])
				}
			}
		}
	})
}

func TestInconsistentLimbLeads(t *testing.T) {
	for three, warned := range map[int32]bool{1: false, 100: true} {
		r := limb([]int32{1, 1, 1}, []int32{2, 2, 2})
		g := r.Groups[0]
		g.Leads = append(g.Leads, Lead{Name: "III", Unit: Microvolt, Scale: MustRat("2.5")})
		g.Memory([][]int32{{1, 1, 1}, {2, 2, 2}, {three, three, three}}, nil)
		if err := r.Complete(); err != nil {
			t.Fatal(err)
		}
		if got := len(r.Warnings) > 0; got != warned {
			t.Errorf("III = %d: warnings %v", three, r.Warnings)
		}
	}
}

// TestRaggedLeads reads leads that start and end at different times.
func TestRaggedLeads(t *testing.T) {
	g := &Group{Kind: Rhythm, Rate: Int(500), Leads: []Lead{
		{Name: "I", Unit: Microvolt, Scale: Int(1)}, {Name: "V1", Unit: Microvolt, Scale: Int(1), Start: BlockSamples + 10},
	}}
	g.Memory([][]int32{make([]int32, 100), {1, 2, 3}}, nil)
	if g.Length != BlockSamples+13 {
		t.Fatal(g.Length)
	}
	counts, missing, err := g.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if !missing[0][100] || missing[0][99] || !missing[1][BlockSamples+9] || missing[1][BlockSamples+10] || counts[1][BlockSamples+12] != 3 {
		t.Error("extents are not kept")
	}
}

// TestStream reads 16-bit frames of two leads and compares with the hash of what was written.
func TestStream(t *testing.T) {
	const n = 3*BlockSamples + 5
	var file bytes.Buffer
	file.WriteString("head")
	want := [2][]byte{}
	for i := range n {
		for lead := range 2 {
			v := int16(i * (lead + 1))
			file.Write(binary.LittleEndian.AppendUint16(nil, uint16(v)))
			want[lead] = binary.LittleEndian.AppendUint32(want[lead], uint32(int32(v)))
		}
	}
	for _, perFrame := range []int{1, 5, BlockSamples + 1} {
		count := int64(n / perFrame)
		g := &Group{Kind: FullDisclosure, Rate: Int(1000), Leads: []Lead{
			{Name: "I", Unit: Microvolt, Scale: Int(5)}, {Name: "II", Unit: Microvolt, Scale: Int(5)},
		}}
		f := Frames{
			At: bytes.NewReader(file.Bytes()), Offset: 4, FrameBytes: int64(4 * perFrame), Samples: perFrame, Count: count,
			Decode: func(frame []byte, b *Block, at int) {
				for i := range perFrame {
					for lead := range 2 {
						b.Counts[lead][at+i] = int32(int16(binary.LittleEndian.Uint16(frame[4*i+2*lead:])))
					}
				}
			},
		}
		if err := f.Check(int64(file.Len())); err != nil {
			t.Fatal(err)
		}
		if err := f.Check(int64(file.Len()) - 4*int64(perFrame)); err == nil {
			t.Error("frames beyond the file passed")
		}
		g.Stream(f)
		r := &Recording{Format: sniff.ISHNE, Groups: []*Group{g}}
		s, err := r.Summarize(true)
		if err != nil {
			t.Fatal(err)
		}
		for lead := range 2 {
			sum := sha256.Sum256(want[lead][:count*int64(perFrame)*4])
			if got := s.Groups[0].Leads[lead]; got.CountsSHA256 != hex.EncodeToString(sum[:]) || got.Samples != count*int64(perFrame) {
				t.Errorf("%d samples a frame, lead %d: %+v", perFrame, lead, got)
			}
		}
	}
	short := &Group{Kind: Rhythm, Rate: Int(500), Leads: []Lead{{Name: "I"}}}
	short.Stream(Frames{At: strings.NewReader("ab"), FrameBytes: 2, Samples: 1, Count: 5, Decode: func([]byte, *Block, int) {}})
	rd, err := short.Samples()
	if err != nil {
		t.Fatal(err)
	}
	if err := rd.Next(&Block{}); err == nil || err == io.EOF {
		t.Errorf("a file that shrank: %v", err)
	}
}

func TestSummary(t *testing.T) {
	r := limb([]int32{1, 3, -1}, []int32{1, 1, 1})
	r.Acquired = ParseTime("20021122091000")
	r.Patient = Patient{ID: "SBJ-123", Name: "黎^某某", Sex: "M"}
	r.Measurements = []Measurement{{Kind: QTcInterval, Raw: "443", Value: Int(443), Valid: true, Unit: "ms", Formula: Bazett}, {Kind: PAxis, Raw: "-"}}
	s, err := r.Summarize(true)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	// 2.5, 7.5 and −2.5 µV are ties: 2, 8 and −2.
	var micro []byte
	for _, v := range []int32{2, 8, -2} {
		micro = binary.LittleEndian.AppendUint32(micro, uint32(v))
	}
	sum := sha256.Sum256(micro)
	lead := s.Groups[0].Leads
	if lead[0].MicroSHA256 != hex.EncodeToString(sum[:]) || lead[1].MicroSHA256 != "" || lead[1].Missing != 1 {
		t.Errorf("%+v", lead)
	}
	for _, part := range []string{
		`"acquired_at":"2002-11-22T09:10:00"`, `"zone_known":false`, `"sampling_frequency_hz":500`, `"lsb_uv":"2.5"`, `"name":"黎^某某"`,
		`"measurements":{"qtc-interval":{"value":443,"unit":"ms","formula":"bazett"}}`, `"statements":[]`, `"warnings":[]`, `"code":"MDC_ECG_LEAD_II"`,
	} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, spoil := range map[string]func(g *Group){
		"rate 0":           func(g *Group) { g.Rate = Rat{} },
		"0.5 Hz":           func(g *Group) { g.Rate = MustRat("0.5") },
		"1 MHz":            func(g *Group) { g.Rate = Int(1_000_000) },
		"lead too long":    func(g *Group) { g.Leads[0].Length = 1 << 60 },
		"negative start":   func(g *Group) { g.Leads[0].Start = -1 },
		"start overflow":   func(g *Group) { g.Leads[0].Start = math.MaxInt64 },
		"no scale":         func(g *Group) { g.Leads[0].Scale = Rat{} },
		"steps of a volt":  func(g *Group) { g.Leads[0].Scale = Int(2_000_000) },
		"too many leads":   func(g *Group) { g.Leads = make([]Lead, 300) },
		"negative samples": func(g *Group) { g.Length = -1 },
	} {
		r := limb([]int32{1}, []int32{1, 2, 3})
		spoil(r.Groups[0])
		if r.Validate(Limits{}) == nil {
			t.Errorf("%s passed", name)
		}
	}
	if err := limb([]int32{1}, []int32{1}).Validate(Limits{}); err != nil {
		t.Error(err)
	}
}

func TestPart(t *testing.T) {
	s := Source{Parts: []File{{Name: "a.DAT"}, {Name: "b.dat"}}}
	if f, ok := s.Part("a.dat"); !ok || f.Name != "a.DAT" {
		t.Error(f, ok)
	}
	for _, name := range []string{"", "../a.DAT", `..\b.dat`, "/b.dat", "c.dat"} {
		if f, ok := s.Part(name); ok {
			t.Errorf("%q gave %q", name, f.Name)
		}
	}
	f := File{At: strings.NewReader("abc"), Size: 3}
	if _, err := f.Bytes(1, 3); err == nil {
		t.Error("bytes beyond the file")
	}
	if _, err := f.Bytes(math.MaxInt64, 1); err == nil {
		t.Error("offset beyond the file")
	}
	if b, err := f.Head(10); err != nil || string(b) != "abc" {
		t.Error(string(b), err)
	}
}
