package draw

import (
	"bytes"
	"compress/zlib"
	"image"
	"image/png"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
)

// Rows of 3x4+1 on A4 are 38 mm apart; the traces begin at 13.5 + 15 mm.
var rows3x4 = []float64{63, 101, 139, 177}

const tracesLeft = 28.5

func TestRPeaksOnPaper(t *testing.T) {
	for _, c := range []struct {
		name        string
		o           Options
		lead        string
		trace       int     // among the traces of this lead
		left, t0    float64 // mm, s of the first sample on paper
		y           float64 // of the baseline
		speed, gain float64
		from, to    float64 // s that are shown
	}{
		{"I", Options{}, "I", 0, 28.5, 0, rows3x4[0], 25, 10, 0, 2.5},
		{"aVR", Options{}, "aVR", 0, 91, 2.5, rows3x4[0], 25, 10, 2.5, 5},
		{"V2", Options{}, "V2", 0, 153.5, 5, rows3x4[1], 25, 10, 5, 7.5},
		{"V6", Options{}, "V6", 0, 216, 7.5, rows3x4[2], 25, 10, 7.5, 10},
		{"strip", Options{}, "II", 1, 28.5, 0, rows3x4[3], 25, 10, 0, 10},
		{"strip of V5", Options{RhythmLeads: []string{"V5"}}, "V5", 1, 28.5, 0, rows3x4[3], 25, 10, 0, 10},
		{"50 mm/s", Options{Speed: 50}, "II", 1, 28.5, 0, rows3x4[3], 50, 10, 0, 5},
		{"second page at 50 mm/s", Options{Speed: 50, Start: 5 * time.Second}, "II", 1, 28.5, 5, rows3x4[3], 50, 10, 5, 10},
		{"5 mm/mV", Options{Gain: 5}, "II", 1, 28.5, 0, rows3x4[3], 25, 5, 0, 10},
		{"20 mm/mV", Options{Gain: 20}, "II", 1, 28.5, 0, rows3x4[3], 25, 20, 0, 10},
		{"12.5 mm/s", Options{Speed: 12.5, Layout: L12x1}, "II", 0, 28.5, 0, 65, 12.5, 10, 0, 10},
		{"12x1", Options{Layout: L12x1}, "V6", 0, 28.5, 0, 185, 25, 10, 0, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, rate := range []int64{250, 500, 1000} {
				paths, _ := readSVG(t, svgOf(t, mustPlan(t, synth(rate, 10, standard...), c.o)))
				all := tracesOf(paths, c.lead)
				if len(all) <= c.trace {
					t.Fatalf("%d traces of %s", len(all), c.lead)
				}
				n := 0
				for _, at := range peaks {
					if at < c.from || at >= c.to {
						continue
					}
					n++
					x, y := c.left+(at-c.t0)*c.speed, c.y-float64(amplitudes[c.lead])/1000*c.gain
					if !has(all[c.trace], x, y) {
						t.Errorf("%d Hz: no point at %.3f %.3f for the peak at %v s: %v", rate, x, y, at, all[c.trace][0][:min(8, len(all[c.trace][0]))])
					}
				}
				if n == 0 {
					t.Fatal("no peak in this stretch")
				}
			}
		})
	}
}

func TestCalibrationPulse(t *testing.T) {
	for _, c := range []struct{ speed, gain, wide, high float64 }{{25, 10, 5, 10}, {50, 10, 10, 10}, {25, 5, 5, 5}, {25, 20, 5, 20}} {
		paths, _ := readSVG(t, svgOf(t, mustPlan(t, synth(500, 10, standard...), Options{Speed: c.speed, Gain: c.gain})))
		n := 0
		for _, p := range paths {
			if p.class != "pulse" {
				continue
			}
			l := p.lines[0]
			if w, h := l[3].x-l[2].x, l[1].y-l[2].y; w != c.wide || h-c.high > 0.001 || c.high-h > 0.001 || l[1].y != rows3x4[n] {
				t.Errorf("%v mm/s, %v mm/mV: pulse of %v × %v mm at %v", c.speed, c.gain, w, h, l[1].y)
			}
			n++
		}
		if n != 4 {
			t.Errorf("%d pulses in 4 rows", n)
		}
	}
}

func TestPNGPixel(t *testing.T) {
	s := mustPlan(t, synth(500, 10, standard...), Options{})
	var b bytes.Buffer
	if err := s.WritePNG(&b, 2970); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b.Bytes()[:64], []byte("pHYs\x00\x00\x27\x10\x00\x00\x27\x10\x01")) { // 10,000 a metre
		t.Error("the picture does not say its scale")
	}
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds() != image.Rect(0, 0, 2970, 2100) {
		t.Fatalf("%v", img.Bounds())
	}
	dark := func(x, y int) bool { r, g, b, _ := img.At(x, y).RGBA(); return r+g+b < 3*0x6000 }
	for _, at := range peaks {
		x := int((tracesLeft + at*25) * 10)
		y := int((rows3x4[3] - 12.5) * 10)
		if !dark(x, y) || dark(x, y-4) {
			t.Errorf("peak at %v s: dark at %d,%d: %v; 0.4 mm above: %v", at, x, y, dark(x, y), dark(x, y-4))
		}
	}
}

// inflate returns the streams of a PDF.
func inflate(t *testing.T, pdf []byte) (out []string) {
	t.Helper()
	for _, part := range bytes.Split(pdf, []byte("stream\n"))[1:] {
		z, err := zlib.NewReader(bytes.NewReader(part))
		if err != nil {
			continue // what follows an endstream
		}
		data, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(data))
	}
	return out
}

func TestPDF(t *testing.T) {
	s := mustPlan(t, synth(500, 10, standard...), Options{Language: Chinese})
	var b bytes.Buffer
	if err := WritePDF(&b, s, s); err != nil {
		t.Fatal(err)
	}
	pdf := b.String()
	if n := strings.Count(pdf, "/MediaBox [0 0 841.8898 595.2756]"); n != 2 { // 297 × 210 mm
		t.Errorf("%d pages of A4", n)
	}
	streams := inflate(t, b.Bytes())
	if !strings.HasPrefix(streams[0], "2.83464567 0 0 -2.83464567 0 595.2756 cm\n") {
		t.Errorf("page space: %.60q", streams[0])
	}
	for _, want := range []string{"\n58.5 164.5 l\n", "\n268.5 164.5 l\n"} { // peaks at 1.2 and 9.6 s of lead II
		if !strings.Contains(streams[0], want) {
			t.Errorf("no %q among the operators", want)
		}
	}
	all := strings.Join(streams, "")
	for _, r := range "黎某未确认" {
		if !strings.Contains(all, "> <"+utf16Hex(r)+">") {
			t.Errorf("%c cannot be searched", r)
		}
	}
	// The cross-reference table leads to each object.
	for i, m := range regexp.MustCompile(`(?m)^(\d{10}) 00000 n `).FindAllStringSubmatch(pdf, -1) {
		at := 0
		for _, c := range m[1] {
			at = at*10 + int(c-'0')
		}
		if !strings.HasPrefix(pdf[at:], itoa(i+1)+" 0 obj\n") {
			t.Errorf("object %d is not at %d", i+1, at)
		}
	}
}

func TestSameBytes(t *testing.T) {
	var last [3]string
	for i := range 2 {
		s := mustPlan(t, synth(500, 10, standard...), Options{Language: Chinese, Filters: Filters{HighPassHz: 0.5}})
		for k, write := range []func(io.Writer) error{s.WriteSVG, s.WritePDF, func(w io.Writer) error { return s.WritePNG(w, 800) }} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			if i > 0 && b.String() != last[k] {
				t.Errorf("output %d differs the second time", k)
			}
			last[k] = b.String()
		}
	}
}

func TestMissingLeadAndSamples(t *testing.T) {
	names := []string{"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V4", "V5", "V6"} // no V3
	rec := synth(500, 10, names...)
	g := rec.Groups[0]
	counts, _, err := g.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	missing := make([][]bool, len(names))
	missing[1] = make([]bool, 5000)
	for i := 1000; i < 1500; i++ { // II from 2 to 3 s
		missing[1][i] = true
		counts[1][i] = 0
	}
	g.Memory(counts, missing)
	paths, texts := readSVG(t, svgOf(t, mustPlan(t, rec, Options{})))
	if len(tracesOf(paths, "V3")) != 0 || !hasText(texts, "V3") || !hasText(texts, "not recorded") {
		t.Error("V3 was drawn, or is not labelled")
	}
	strip := tracesOf(paths, "II")[1]
	if len(strip) != 2 {
		t.Fatalf("%d lines: a gap breaks one into two", len(strip))
	}
	end, begin := strip[0][len(strip[0])-1].x, strip[1][0].x
	if want := tracesLeft + 1.998*25; end < want-0.01 || end > want+0.01 {
		t.Errorf("the gap begins at %v mm, want %v", end, want)
	}
	if want := tracesLeft + 3.0*25; begin < want-0.01 || begin > want+0.01 {
		t.Errorf("the gap ends at %v mm, want %v", begin, want)
	}
}

func TestCabrera(t *testing.T) {
	paths, texts := readSVG(t, svgOf(t, mustPlan(t, synth(500, 10, standard...), Options{Layout: LCabrera})))
	traces := tracesOf(paths, "-aVR")
	if len(traces) != 1 || len(tracesOf(paths, "aVR")) != 0 || !hasText(texts, "−aVR") {
		t.Fatal("no −aVR, or aVR beside it")
	}
	// Six rows of 24 mm: aVL, I, −aVR.
	if y := 41.0 + 19 + 2*24 - 9.25; !has(traces[0], tracesLeft+1.2*25, y) {
		t.Errorf("−aVR does not point up by 0.925 mV: %v", traces[0][0][:6])
	}
	var order []string
	for _, p := range paths {
		if p.class == "trace" {
			order = append(order, p.lead)
		}
	}
	if got := strings.Join(order, " "); got != "aVL V1 I V2 -aVR V3 II V4 aVF V5 III V6" {
		t.Errorf("order %s", got)
	}
}

// TestSequential: three leads at a time, 2.5 s each, as groups with offsets and as leads with starts.
func TestSequential(t *testing.T) {
	columns := [][]string{{"I", "II", "III"}, {"aVR", "aVL", "aVF"}, {"V1", "V2", "V3"}, {"V4", "V5", "V6"}}
	for _, apart := range []float64{2.5, 20} { // s from one group to the next
		rec := &ecg.Recording{}
		for i, names := range columns {
			one := synth(500, 2.5, names...)
			one.Groups[0].StartOffset = ecg.Int(int64(float64(i) * apart * 1000))
			rec.Groups = append(rec.Groups, one.Groups...)
		}
		paths, texts := readSVG(t, svgOf(t, mustPlan(t, rec, Options{Layout: L3x4})))
		for c, names := range columns {
			for _, name := range names {
				all := tracesOf(paths, name)
				if len(all) != 1 || !strings.Contains(strings.Join(texts, "|"), name) {
					t.Fatalf("%v s apart: %d traces of %s", apart, len(all), name)
				}
				x := tracesLeft + float64(c)*62.5 + 0.4*25
				if !hasX(all[0], x, amplitudes[name]) {
					t.Errorf("%v s apart: %s has no peak at %v mm", apart, name, x)
				}
			}
		}
		if apart == 20 && !hasText(texts, "+20.00 s") {
			t.Errorf("nothing says that columns are not of one time: %q", texts)
		}
	}
}

// hasX reports whether a trace's extreme is at x and amplitude µV from its level, at 10 mm/mV.
func hasX(lines [][]point, x float64, amplitude int32) bool {
	level := lines[0][0].y
	return has(lines, x, level-float64(amplitude)/100)
}

func TestFifteenLeads(t *testing.T) {
	rec := synth(500, 10, append(append([]string{}, standard...), "V7", "V8", "V9")...)
	s := mustPlan(t, rec, Options{})
	paths, _ := readSVG(t, svgOf(t, s))
	v9 := tracesOf(paths, "V9")
	if len(v9) != 1 || !has(v9[0], tracesLeft+200+(8.7-8)*25, rows3x4[2]-4.5) { // a fifth column, 50 mm wide
		t.Errorf("V9: %v", v9)
	}
	s = mustPlan(t, rec, Options{Layout: L3x4})
	if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "V7, V8, V9") {
		t.Errorf("notes %q do not tell the leads that are not drawn", s.Notes)
	}
}

func TestStatus(t *testing.T) {
	rec := synth(500, 10, standard...)
	for _, c := range []struct {
		statements []ecg.Statement
		en, zh     string
	}{
		{nil, "UNCONFIRMED", "未确认"},
		{[]ecg.Statement{{Text: "Sinus rhythm", Author: ecg.Machine}}, "UNCONFIRMED", "未确认"},
		{[]ecg.Statement{{Text: "Sinus rhythm", Author: ecg.OverRead}}, "UNCONFIRMED", "未确认"},
		{[]ecg.Statement{{Text: "窦性心律", Author: ecg.OverRead, Status: ecg.Confirmed, Name: "李^医生"}}, "Confirmed: 李医生", "已确认: 李医生"},
	} {
		rec.Statements = c.statements
		for lang, want := range map[Language]string{English: c.en, Chinese: c.zh} {
			_, texts := readSVG(t, svgOf(t, mustPlan(t, rec, Options{Language: lang})))
			if !hasText(texts, want) {
				t.Errorf("%v: no %q in %q", c.statements, want, texts)
			}
			for _, s := range c.statements {
				if !hasText(texts, s.Text) {
					t.Errorf("no %q", s.Text)
				}
			}
		}
	}
}

func TestLineOfTruth(t *testing.T) {
	rec := synth(500, 10, standard...)
	for want, o := range map[string]Options{
		"25 mm/s   10 mm/mV   display filters off":                                  {},
		"50 mm/s   5 mm/mV   display filters: low-pass 40 Hz":                       {Speed: 50, Gain: 5, Filters: Filters{LowPassHz: 40}},
		"25 mm/s   10 mm/mV   显示滤波: 高通 0.5 Hz, 低通 150 Hz, 陷波 50 Hz":                 {Language: Chinese, Filters: Filters{0.5, 150, 50}},
		"25 mm/s   10 mm/mV   display filters: high-pass 0.5 Hz":                    {NoBanner: true, Filters: Filters{HighPassHz: 0.5, LowPassHz: 300}},
		"25 mm/s   10 mm/mV   display filters: low-pass 40 Hz\x00thumbnail":         {Thumbnail: 360, Filters: Filters{LowPassHz: 40}},
		"low-pass 300 Hz without effect at this sampling frequency\x00no such band": {Filters: Filters{LowPassHz: 300}},
	} {
		want, _, _ = strings.Cut(want, "\x00")
		if _, texts := readSVG(t, svgOf(t, mustPlan(t, rec, o))); !hasText(texts, want) {
			t.Errorf("no %q in %q", want, texts)
		}
	}
}

func TestOffRow(t *testing.T) {
	rec := synth(500, 10, standard...)
	rec.Groups[0].Leads[1].Baseline = ecg.Int(-3240) // µV
	s := mustPlan(t, rec, Options{})
	paths, _ := readSVG(t, svgOf(t, s))
	if !has(tracesOf(paths, "II")[1], tracesLeft+1.2*25, rows3x4[3]+0.4-12.5) { // shifted by 32 mm, not by 32.4
		t.Error("the strip is not on its row")
	}
	if len(s.Notes) != 1 || s.Notes[0] != "Baseline shifted: II +3.2 mV, II +3.2 mV" {
		t.Errorf("%q", s.Notes)
	}
}

func TestBeyondThePaper(t *testing.T) {
	rec := synth(500, 10, standard...)
	rec.Groups[0].Leads[6].Scale = ecg.Int(50) // V1 reaches −40 mV
	s := mustPlan(t, rec, Options{})
	paths, _ := readSVG(t, svgOf(t, s))
	for _, p := range paths {
		for _, line := range p.lines {
			for _, q := range line {
				if p.class == "trace" && (q.y < 41 || q.y > 196) {
					t.Fatalf("%s leaves the grid at %v", p.lead, q)
				}
			}
		}
	}
	if len(s.Notes) != 1 || s.Notes[0] != "Reaches beyond the drawing: V1" {
		t.Errorf("%q", s.Notes)
	}
}

func TestMedianIsKeptApart(t *testing.T) {
	rec := synth(500, 10, standard...)
	median := synth(500, 1.2, standard...)
	median.Groups[0].Kind = ecg.Median
	rec.Groups = append([]*ecg.Group{median.Groups[0]}, rec.Groups...)
	rec.Measurements = []ecg.Measurement{{Kind: ecg.QRSOnset, Value: ecg.Int(360), Valid: true, Unit: "ms"}}
	if s := mustPlan(t, rec, Options{}); s.Layout != L3x4R1 || s.Length != 10*time.Second {
		t.Errorf("the rhythm is %v of %v", s.Length, s.Layout)
	}
	s := mustPlan(t, rec, Options{Layout: LMedian})
	paths, texts := readSVG(t, svgOf(t, s))
	v6 := tracesOf(paths, "V6")
	if len(v6) != 1 || !hasX(v6[0], tracesLeft+3*35+0.4*25, 900) { // beats of 30 mm, 5 mm apart
		t.Errorf("V6: %v", v6)
	}
	if !hasText(texts, "Median beats") {
		t.Error("nothing says that these are median beats")
	}
	marks := 0
	for _, p := range paths {
		if p.class == "fiducial" {
			marks = len(p.lines)
			if p.lines[0][0].x != tracesLeft+9 {
				t.Errorf("QRS onset at %v", p.lines[0][0])
			}
		}
	}
	if marks != 12 {
		t.Errorf("%d marks on 12 beats", marks)
	}
	if rec.Groups = rec.Groups[:1]; mustPlan(t, rec, Options{}).Layout != LMedian {
		t.Error("a recording of median beats alone is not drawn as such")
	}
}

func TestSpikes(t *testing.T) {
	rec := synth(500, 10, standard...)
	rec.Annotations = []ecg.Annotation{{Kind: ecg.Spike, Group: 0, Onset: ecg.Int(3000)}, {Kind: ecg.Beat, Group: 0, Onset: ecg.Int(1000)}}
	paths, _ := readSVG(t, svgOf(t, mustPlan(t, rec, Options{})))
	for _, p := range paths {
		if p.class != "spike" {
			continue
		}
		if len(p.lines) != 4 || p.lines[0][0].x != 91+0.5*25 || p.lines[3][0].x != tracesLeft+75 {
			t.Errorf("marks %v", p.lines)
		}
		return
	}
	t.Error("no marks")
}
