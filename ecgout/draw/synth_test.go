package draw

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// peaks are where synthetic recordings have their R peaks, s.
var peaks = []float64{0.4, 1.2, 2.1, 2.9, 3.7, 4.6, 5.4, 6.2, 7.1, 7.9, 8.7, 9.6}

// amplitudes of the R peaks, µV.
var amplitudes = map[string]int32{
	"I": 600, "II": 1250, "III": 650, "aVR": -925, "aVL": 400, "aVF": 950,
	"V1": -800, "V2": -1400, "V3": 500, "V4": 1500, "V5": 1300, "V6": 900, "V7": 700, "V8": 550, "V9": 450,
}

// synth is a recording of one group whose leads are level but for one sample of 1 µV steps at each peak.
func synth(rate int64, secs float64, names ...string) *ecg.Recording {
	g := &ecg.Group{Kind: ecg.Rhythm, Rate: ecg.Int(rate)}
	var counts [][]int32
	for _, name := range names {
		l := ecg.Lead{Unit: ecg.Microvolt, Scale: ecg.Int(1)}
		l.SetLabel(name)
		g.Leads = append(g.Leads, l)
		c := make([]int32, int(secs*float64(rate)))
		for _, at := range peaks {
			if i := int(math.Round(at * float64(rate))); i < len(c) {
				c[i] = amplitudes[name]
			}
		}
		counts = append(counts, c)
	}
	g.Memory(counts, nil)
	return &ecg.Recording{
		Format: sniff.SCPECG, Groups: []*ecg.Group{g},
		Patient:  ecg.Patient{ID: "A-17", Name: "黎^某某", Sex: "F", BirthDate: "1956-03-04"},
		Acquired: ecg.ParseTime("20240702143457"),
	}
}

func mustPlan(t *testing.T, rec *ecg.Recording, o Options) *Sheet {
	t.Helper()
	s, err := Plan(rec, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func svgOf(t *testing.T, s *Sheet) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// point is a place in mm, as an SVG says it.
type point struct{ x, y float64 }

type svgPath struct {
	class, lead string
	lines       [][]point
}

// readSVG parses a drawing strictly and returns its paths and texts. Steps of paths are added up in mm.
func readSVG(t *testing.T, svg string) (paths []svgPath, texts []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	inText := false
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return paths, texts
		}
		if err != nil {
			t.Fatalf("the SVG is no XML: %v", err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			inText = e.Name.Local == "text"
			if e.Name.Local == "path" {
				p := svgPath{}
				for _, a := range e.Attr {
					switch a.Name.Local {
					case "class":
						p.class = a.Value
					case "data-lead":
						p.lead = a.Value
					case "d":
						p.lines = readPath(t, a.Value)
					}
				}
				paths = append(paths, p)
			}
		case xml.CharData:
			if inText {
				texts = append(texts, string(e))
			}
		case xml.EndElement:
			inText = false
		}
	}
}

func readPath(t *testing.T, d string) (lines [][]point) {
	t.Helper()
	for sub := range strings.SplitSeq(d, "M") {
		if sub == "" {
			continue
		}
		fields := strings.Fields(strings.NewReplacer("l", " ", "h0", "").Replace(sub))
		var line []point
		for i := 0; i+1 < len(fields); i += 2 {
			x, err1 := strconv.ParseFloat(fields[i], 64)
			y, err2 := strconv.ParseFloat(fields[i+1], 64)
			if err1 != nil || err2 != nil {
				t.Fatalf("path %q", sub)
			}
			if len(line) > 0 {
				x, y = x+line[len(line)-1].x, y+line[len(line)-1].y
			}
			line = append(line, point{x, y})
		}
		lines = append(lines, line)
	}
	return lines
}

// tracesOf returns the traces of a lead, in the order of the drawing.
func tracesOf(paths []svgPath, lead string) (out [][][]point) {
	for _, p := range paths {
		if p.class == "trace" && p.lead == lead {
			out = append(out, p.lines)
		}
	}
	return out
}

// has reports whether a line goes through a point, to a hundredth of a millimetre.
func has(lines [][]point, x, y float64) bool {
	for _, line := range lines {
		for _, p := range line {
			if math.Abs(p.x-x) <= 0.0101 && math.Abs(p.y-y) <= 0.0101 {
				return true
			}
		}
	}
	return false
}

func hasText(texts []string, want string) bool {
	for _, s := range texts {
		if strings.Contains(s, want) {
			return true
		}
	}
	return false
}
