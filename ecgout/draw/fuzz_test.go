package draw

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/ecg/formats"
)

// counter counts bytes.
type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

// dice makes choices of the bytes of a fuzz input.
type dice struct{ in []byte }

func (d *dice) byte() int {
	if len(d.in) == 0 {
		return 0
	}
	b := d.in[0]
	d.in = d.in[1:]
	return int(b)
}

func (d *dice) of(n int) int { return d.byte() % n }

func (d *dice) number() int64 {
	var b [8]byte
	n := copy(b[:], d.in)
	d.in = d.in[n:]
	return int64(binary.LittleEndian.Uint64(b[:]))
}

func (d *dice) text() string {
	n := min(d.of(40), len(d.in))
	s := string(d.in[:n])
	d.in = d.in[n:]
	return s
}

// recording makes one that passes Validate, as all do that come from decoders.
func (d *dice) recording() *ecg.Recording {
	rec := &ecg.Recording{Format: "fuzz", Patient: ecg.Patient{Name: d.text(), ID: d.text(), Sex: d.text(), BirthDate: d.text()}}
	rec.Acquired = ecg.ParseTime(d.text())
	rec.Statements = []ecg.Statement{{Text: d.text(), Author: ecg.Author(d.text())}, {Text: d.text(), Author: ecg.Machine, Status: ecg.Status(d.text()), Name: d.text()}}
	rec.Measurements = []ecg.Measurement{
		{Kind: ecg.QTcInterval, Value: ecg.Int(d.number()), Valid: true, Unit: d.text(), Formula: d.text()},
		{Kind: ecg.POnset, Value: ecg.Int(d.number()), Valid: true, Unit: "ms"},
	}
	for range 1 + d.of(3) {
		g := &ecg.Group{
			Kind: []ecg.Kind{ecg.Rhythm, ecg.Rhythm, ecg.Median, ecg.FullDisclosure, ecg.OtherSignals}[d.of(5)],
			Rate: ecg.Int(int64([]int{10, 100, 250, 500, 1000, 40000}[d.of(6)])), StartOffset: ecg.Int(d.number() % 1e6),
		}
		var counts [][]int32
		var missing [][]bool
		for range d.of(20) {
			l := ecg.Lead{Unit: []string{ecg.Microvolt, ecg.Microvolt, "mm[Hg]"}[d.of(3)], Scale: ecg.Frac(d.number()%1e6, 1000), Baseline: ecg.Int(d.number()), Start: int64(d.byte()), Skew: ecg.Int(int64(d.byte()))}
			if l.Scale.IsZero() {
				l.Scale = ecg.Int(1)
			}
			l.SetLabel([]string{"I", "II", "aVR", "V1", "V7", "X", d.text()}[d.of(7)])
			g.Leads = append(g.Leads, l)
			c := make([]int32, d.byte()*d.byte()%5000)
			m := make([]bool, len(c))
			r := rand.New(rand.NewPCG(uint64(d.byte()), 1))
			for i := range c {
				c[i], m[i] = int32(r.Uint32())>>d.of(24), r.IntN(50) == 0
			}
			counts, missing = append(counts, c), append(missing, m)
		}
		g.Memory(counts, missing)
		rec.Groups = append(rec.Groups, g)
	}
	for range d.of(5) {
		rec.Annotations = append(rec.Annotations, ecg.Annotation{Kind: ecg.Spike, Group: d.of(5) - 1, Onset: ecg.Int(d.number()), Lead: d.text()})
	}
	return rec
}

func (d *dice) options() Options {
	o := Options{
		Layout: append(Layouts, Auto)[d.of(len(Layouts)+1)], Cabrera: d.of(2) == 1, Speed: Speeds[d.of(len(Speeds))], Gain: Gains[d.of(len(Gains))],
		Start: time.Duration(d.byte()) * 20 * time.Millisecond, Length: time.Duration(d.byte()*d.byte()) * time.Millisecond,
		Language: []Language{English, Chinese}[d.of(2)], Content: d.of(2) == 1, NoBanner: d.of(2) == 1, RhythmLeads: []string{d.text()},
	}
	if d.of(4) == 0 {
		o.Thumbnail = 64 + d.byte()
	}
	if d.of(2) == 0 {
		o.Filters = Filters{[]float64{0, 0.5}[d.of(2)], []float64{0, 40, 150}[d.of(3)], []float64{0, 50, 60}[d.of(3)]}
	}
	if d.of(2) == 0 {
		o.Start, o.Length = 0, 0
	}
	return o
}

// drawAny draws any recording with any options: nothing panics, coordinates are on the paper, and what is
// written is bounded. It reports whether there was something to draw.
func drawAny(t *testing.T, in []byte) bool {
	d := &dice{in}
	o := d.options()
	s, err := Plan(d.recording(), o)
	if err != nil {
		return false
	}
	if s.Width > maxWidthMM*mm || s.Height > 2000*mm || s.Width <= 0 || s.Height <= 0 {
		t.Fatalf("paper of %v × %v mm", s.WidthMM(), s.HeightMM())
	}
	for _, it := range s.items {
		for _, line := range it.lines {
			for _, p := range line {
				if p.X < 0 || p.X > s.Width || p.Y < 0 || p.Y > s.Height {
					t.Fatalf("%s %s at %v is beyond %d × %d", it.class, it.lead, p, s.Width, s.Height)
				}
			}
		}
	}
	var out bytes.Buffer
	switch len(in) % 3 {
	case 0:
		err = s.WriteSVG(&out)
		readSVG(t, out.String())
	case 1:
		err = s.WritePDF(&out)
	default:
		err = s.WritePNG(&out, 200)
	}
	if err != nil || out.Len() > 64<<20 {
		t.Fatalf("%d bytes: %v", out.Len(), err)
	}
	return true
}

func someBytes(r *rand.Rand) []byte {
	in := make([]byte, 300+r.IntN(3000))
	for i := range in {
		in[i] = byte(r.Uint32() >> r.IntN(12))
	}
	return in
}

func TestAnything(t *testing.T) {
	drawn := 0
	for seed := range uint64(150) {
		if drawAny(t, someBytes(rand.New(rand.NewPCG(seed, 9)))) {
			drawn++
		}
	}
	if drawn < 50 {
		t.Errorf("%d of 150 were drawn: the dice are bad", drawn)
	}
}

func FuzzPlan(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(someBytes(rand.New(rand.NewPCG(seed, 7))))
	}
	f.Fuzz(func(t *testing.T, in []byte) { drawAny(t, in) })
}

// FuzzFont reads fonts that are none.
func FuzzFont(f *testing.F) {
	fonts, err := builtIn()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fonts[0].data[:4000])
	f.Fuzz(func(t *testing.T, in []byte) {
		if tables, err := tablesOf(in); err == nil {
			_, _ = tables.subset([]glyph{{}, {index: 1}, {index: 40}, {index: 60000}})
		}
		if font, err := ParseFont(in); err == nil {
			font.advance(font.index('A'))
		}
	})
}

// TestBrokenFont: a font that is damaged anywhere makes another picture, never a panic.
func TestBrokenFont(t *testing.T) {
	fonts, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 3))
	used := []glyph{{}}
	for _, c := range "AÄ½é" {
		used = append(used, glyph{r: c, index: fonts[0].index(c)})
	}
	for range 2000 {
		data := bytes.Clone(fonts[0].data)
		for range 1 + r.IntN(200) {
			data[r.IntN(len(data))] = byte(r.Uint32())
		}
		if tables, err := tablesOf(data[:len(data)-r.IntN(2)*r.IntN(len(data))]); err == nil {
			_, _ = tables.subset(used)
		}
	}
}

func corpus(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("TRIBUTARY_SHARED"); dir != "" {
		return filepath.Join(dir, "corpora", "ecg")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if found := filepath.Join(dir, "shared", "corpora", "ecg"); exists(found) {
			return found
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("no shared/corpora above this folder; TRIBUTARY_SHARED names it")
		}
		dir = up
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// TestCorpus draws every real recording there is, in some of the layouts and as every kind of file.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t), "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	for n, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // a folder
		}
		src := ecg.Source{File: ecg.File{Name: filepath.Base(path), At: bytes.NewReader(data), Size: int64(len(data))}}
		rec, err := formats.Decode(src, ecg.Limits{})
		if err != nil {
			continue
		}
		for i, layout := range []Layout{Auto, Layouts[n%len(Layouts)]} {
			s, err := Plan(rec, Options{Layout: layout, Language: []Language{English, Chinese}[i%2]})
			if err != nil {
				continue
			}
			drawn++
			readSVG(t, svgOf(t, s))
			if i > 0 {
				continue
			}
			var pdf, png counter
			if err := s.WritePDF(&pdf); err != nil || pdf.n < 3000 {
				t.Errorf("%s %s: PDF of %d bytes: %v", filepath.Base(path), layout, pdf.n, err)
			}
			if err := s.WritePNG(&png, 600); err != nil || png.n < 5000 {
				t.Errorf("%s: PNG of %d bytes: %v", filepath.Base(path), png.n, err)
			}
		}
		if strings.HasSuffix(path, "pydicom_waveform_ecg.dcm") {
			reference(t, rec)
		}
	}
	if drawn < 20 {
		t.Errorf("%d drawings of %d files", drawn, len(files))
	}
}

// reference compares a drawing with what another program made of the same file (pdf/anonymous_ecg_3x4_1.pdf):
// leads in the same places, and R peaks of the strip at the same times: 13 to 14 mm high and 25 to 26 mm apart.
func reference(t *testing.T, rec *ecg.Recording) {
	t.Helper()
	paths, texts := readSVG(t, svgOf(t, mustPlan(t, rec, Options{})))
	var order []string
	for _, p := range paths {
		if p.class == "trace" {
			order = append(order, p.lead)
		}
	}
	if got := strings.Join(order, " "); got != "I aVR V1 V4 II aVL V2 V5 III aVF V3 V6 II" {
		t.Errorf("order %s", got)
	}
	var xs []float64
	line := tracesOf(paths, "II")[1][0]
	for i := 1; i+1 < len(line); i++ {
		if p := line[i]; p.y < rows3x4[3]-8 && p.y <= line[i-1].y && p.y < line[i+1].y && (len(xs) == 0 || p.x > xs[len(xs)-1]+5) {
			xs = append(xs, p.x)
		}
	}
	if len(xs) != 10 || xs[0]-tracesLeft < 12.5 || xs[0]-tracesLeft > 14 {
		t.Fatalf("R peaks at %v mm", xs)
	}
	for i := 1; i < len(xs); i++ {
		if d := xs[i] - xs[i-1]; d < 23.5 || d > 26 {
			t.Errorf("%v mm from peak to peak", d)
		}
	}
	for _, want := range []string{"Anonymous", "642341", "1971-01-23", "61 /min", "161 ms", "75 ms", "368 / 370 ms", "74 / 52 / 57°"} {
		if !hasText(texts, want) {
			t.Errorf("no %q", want)
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	rec := synth(500, 10, standard...)
	for b.Loop() {
		if _, err := Plan(rec, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	s, err := Plan(synth(500, 10, standard...), Options{})
	if err != nil {
		b.Fatal(err)
	}
	thumb, err := Plan(synth(500, 10, standard...), Options{Thumbnail: 360})
	if err != nil {
		b.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"svg": s.WriteSVG, "pdf": s.WritePDF,
		"png-1400":      func(w io.Writer) error { return s.WritePNG(w, 1400) },
		"png-2970":      func(w io.Writer) error { return s.WritePNG(w, 2970) },
		"thumbnail-png": func(w io.Writer) error { return thumb.WritePNG(w, 360) },
		"thumbnail-jpg": func(w io.Writer) error { return thumb.WriteJPEG(w, 360, 80) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := write(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
