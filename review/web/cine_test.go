package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/tributary-dicom/tributary/review/render"
	"github.com/tributary-dicom/tributary/storage/index"
)

// TestCineScripts runs src/cine/tests by Node.js: times, memory, geometry and distances for themselves, pixels against
// what package render makes of the same frames.
func TestCineScripts(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("there is no Node.js")
	}
	dir := t.TempDir()
	sources, err := filepath.Glob("src/cine/tests/*.test.js")
	if err != nil || len(sources) == 0 {
		t.Fatal("no tests", err)
	}
	args := append([]string{
		"tool", "-modfile=../../tools/go.mod", "esbuild", "--bundle", "--platform=node", "--format=esm", "--log-level=warning",
		"--out-extension:.js=.mjs", "--outdir=" + dir,
	}, sources...)
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("bundle: %v\n%s", err, out)
	}
	cases, err := json.Marshal(cinePixels(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pixels.json")
	if err := os.WriteFile(file, cases, 0o600); err != nil {
		t.Fatal(err)
	}
	run := []string{"--test", "--test-reporter=spec"}
	made, err := filepath.Glob(filepath.Join(dir, "*.mjs"))
	if err != nil || len(made) != len(sources) {
		t.Fatal("bundles are missing", made, err)
	}
	cmd := exec.CommandContext(t.Context(), node, append(run, made...)...)
	cmd.Env = append(os.Environ(), "PIXELS="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		if _, failing, ok := bytes.Cut(out, []byte("failing tests:")); ok {
			out = failing
		}
		t.Fatalf("%v\n%s", err, out[:min(len(out), 20_000)])
	}
}

// cinePixel is a frame, and what render draws of it.
type cinePixel struct {
	Name   string         `json:"name"`
	Header map[string]any `json:"header"`
	Frame  int            `json:"frame"`
	Syntax string         `json:"syntax"`
	Data   []byte         `json:"data"`  // as frames are sent
	Error  bool           `json:"error"` // render refuses it
	Grey   []byte         `json:"grey,omitempty"`
	RGBA   []byte         `json:"rgba,omitempty"`
}

const (
	cineExplicit = "1.2.840.10008.1.2.1"
	cineRLE      = "1.2.840.10008.1.2.5"
)

// us, ds, cs and ob are attributes of DICOM JSON.
func us(v ...int) any     { return map[string]any{"vr": "US", "Value": v} }
func ds(v ...float64) any { return map[string]any{"vr": "DS", "Value": v} }
func cs(v ...string) any  { return map[string]any{"vr": "CS", "Value": v} }
func ow(b []byte) any {
	return map[string]any{"vr": "OW", "InlineBinary": base64.StdEncoding.EncodeToString(b)}
}
func sq(items ...map[string]any) any { return map[string]any{"vr": "SQ", "Value": items} }

const (
	cineColumns = 24
	cineRows    = 17
)

// cineHeader is an image of one sample or three; more are pairs of a tag and an attribute.
func cineHeader(samples int, photometric string, allocated, stored, high int, signed bool, more ...any) map[string]any {
	h := map[string]any{
		"00280002": us(samples), "00280004": cs(photometric), "00280010": us(cineRows), "00280011": us(cineColumns),
		"00280100": us(allocated), "00280101": us(stored), "00280102": us(high), "00280103": us(map[bool]int{true: 1}[signed]),
	}
	for i := 0; i+1 < len(more); i += 2 {
		h[more[i].(string)] = more[i+1]
	}
	return h
}

func words(v ...uint16) []byte {
	var b []byte
	for _, w := range v {
		b = binary.LittleEndian.AppendUint16(b, w)
	}
	return b
}

func cinePixels(t *testing.T) []cinePixel {
	r := rand.New(rand.NewPCG(7, 11))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	const n = cineColumns * cineRows
	ramp := func(count, top int) []byte { // a table that goes down
		v := make([]uint16, count)
		for i := range v {
			v[i] = uint16(top - i*top/count)
		}
		return words(v...)
	}
	var all []cinePixel
	add := func(name string, h map[string]any, data []byte) {
		all = append(all, cinePixel{Name: name, Header: h, Frame: 1, Syntax: cineExplicit, Data: data})
	}
	window := func(function string, center, width float64) []any {
		return []any{"00281050", ds(center, 9), "00281051", ds(width, 9), "00281056", cs(function)}
	}
	for _, photometric := range []string{"MONOCHROME1", "MONOCHROME2"} {
		for _, signed := range []bool{false, true} {
			for _, bits := range [][3]int{{8, 8, 7}, {8, 6, 5}, {16, 12, 11}, {16, 16, 15}, {16, 10, 13}, {1, 1, 0}} {
				for _, f := range []string{"", "LINEAR", "LINEAR_EXACT", "SIGMOID"} {
					if f != "" && bits[0] == 1 {
						continue
					}
					var more []any
					if f != "" {
						more = append(window(f, 100, float64(uint(1)<<bits[1]/3)), "00281053", ds(1.5), "00281052", ds(-7.25))
					}
					add(fmt.Sprint(photometric, signed, bits, f), cineHeader(1, photometric, bits[0], bits[1], bits[2], signed, more...), noise((n*bits[0]+7)/8))
				}
			}
		}
	}
	grey := func(name string, more ...any) {
		add(name, cineHeader(1, "MONOCHROME2", 16, 12, 11, false, more...), noise(2*n))
	}
	grey("padding", append(window("LINEAR", 2000, 3000), "00280120", us(100), "00280121", us(900))...)
	grey("padding without a window", "00280120", us(0), "00280121", us(3000))
	grey("modality table", append(window("LINEAR", 300, 500), "00283000", sq(map[string]any{"00283002": us(300, 900, 10), "00283006": ow(ramp(300, 1000))}))...)
	grey("VOI table", "00283010", sq(map[string]any{"00283002": us(1000, 500, 12), "00283006": ow(ramp(1000, 4095))}))
	grey("VOI table that is wider than it says", "00283010", sq(map[string]any{"00283002": us(1000, 500, 8), "00283006": ow(ramp(1000, 4095))}))
	grey("VOI table in values", "00283010", sq(map[string]any{"00283002": us(4, 1000, 8), "00283006": us(0, 80, 160, 255)}))
	grey("inverse", append(window("LINEAR", 2000, 3000), "20500020", cs("INVERSE"))...)
	grey("narrow window", window("LINEAR", 2000, 1)...)
	grey("functional groups", "52009229", sq(map[string]any{"00289145": sq(map[string]any{"00281052": ds(-1024), "00281053": ds(2)})}),
		"52009230", sq(map[string]any{}, map[string]any{"00289132": sq(map[string]any{"00281050": ds(3000), "00281051": ds(800)})}))
	all[len(all)-1].Frame = 2
	add("one value", cineHeader(1, "MONOCHROME2", 16, 12, 11, false), make([]byte, 2*n))
	add("too short", cineHeader(1, "MONOCHROME2", 16, 12, 11, false), make([]byte, 2*n-1))

	for _, photometric := range []string{"RGB", "YBR_FULL", "YBR_ICT", "YBR_RCT"} {
		for planar := range 2 {
			add(fmt.Sprint(photometric, planar), cineHeader(3, photometric, 8, 8, 7, false, "00280006", us(planar)), noise(3*n))
		}
	}
	add("RGB of 16 bits", cineHeader(3, "RGB", 16, 12, 13, false), noise(6*n))
	add("RGB of 5 bits", cineHeader(3, "RGB", 8, 5, 4, false), noise(3*n))
	for _, photometric := range []string{"YBR_FULL_422", "YBR_PARTIAL_422"} {
		add(photometric, cineHeader(3, photometric, 8, 8, 7, false), noise(2*n))
		add(photometric+" in full", cineHeader(3, photometric, 8, 8, 7, false), noise(3*n))
	}
	odd := cineHeader(3, "YBR_FULL_422", 8, 8, 7, false)
	odd["00280011"] = us(cineColumns - 1)
	add("4:2:2 of odd columns", odd, noise(cineRows*cineColumns*2))

	palette := func(bits int, entries func(i int) []byte, count, first int) []any {
		var out []any
		for i := range 3 {
			out = append(out, fmt.Sprintf("0028110%d", i+1), us(count, first, bits), fmt.Sprintf("0028120%d", i+1), ow(entries(i)))
		}
		return out
	}
	add("palette of 16 bits", cineHeader(1, "PALETTE COLOR", 8, 8, 7, false, palette(16, func(int) []byte { return noise(512) }, 256, 0)...), noise(n))
	add("palette of 8 bits", cineHeader(1, "PALETTE COLOR", 8, 8, 7, false, palette(8, func(int) []byte { return noise(100) }, 100, 30)...), noise(n))
	add("palette of 16 bits that are 8", cineHeader(1, "PALETTE COLOR", 8, 8, 7, false, palette(16, func(int) []byte {
		v := make([]uint16, 256)
		for i := range v {
			v[i] = uint16(r.Uint32() & 255)
		}
		return words(v...)
	}, 256, 0)...), noise(n))
	add("palette of 12-bit pixels", cineHeader(1, "PALETTE COLOR", 16, 12, 11, true, palette(16, func(int) []byte { return noise(1000) }, 500, 65336)...), noise(2*n))
	parts := words(0, 2, 100, 20000, 1, 50, 60000, 0, 1, 7, 2, 2, 0, 0, 1, 145, 3)
	add("segmented palette", cineHeader(1, "PALETTE COLOR", 8, 8, 7, false,
		"00281101", us(250, 0, 16), "00281221", ow(parts), "00281102", us(250, 0, 16), "00281222", ow(parts),
		"00281103", us(250, 0, 16), "00281223", ow(parts)), noise(n))

	for _, native := range all[:len(all):len(all)] { // all that is not subsampled as RLE too
		h := native.Header
		samples, allocated := h["00280002"].(map[string]any)["Value"].([]int)[0], h["00280100"].(map[string]any)["Value"].([]int)[0]
		if native.Name == "too short" || h["00280011"].(map[string]any)["Value"].([]int)[0] != cineColumns || len(native.Data)*8 < n*samples*allocated {
			continue
		}
		c := native
		c.Name, c.Syntax = "RLE "+c.Name, cineRLE
		planar, _ := h["00280006"].(map[string]any)
		c.Data = cineEncodeRLE(native.Data, n, samples, allocated, planar != nil && planar["Value"].([]int)[0] == 1)
		all = append(all, c)
	}
	for i := range all {
		if i%7 == 0 && all[i].Syntax == cineRLE { // and some that are damaged
			c := all[i]
			c.Name, c.Data = "damaged "+c.Name, bytes.Clone(c.Data)
			c.Data = c.Data[:len(c.Data)-len(c.Data)/5]
			all = append(all, c)
		}
	}
	for i := range all {
		cineDraw(t, &all[i])
	}
	return all
}

// cineDraw asks package render.
func cineDraw(t *testing.T, c *cinePixel) {
	header, err := json.Marshal(c.Header)
	if err != nil {
		t.Fatal(err)
	}
	m, err := render.ReadModule(header, c.Frame, func(string) ([]byte, error) { return nil, fmt.Errorf("%s: no bulk values", c.Name) })
	if err != nil {
		t.Fatal(c.Name, err)
	}
	picture, err := render.Draw(m, c.Syntax, c.Data, render.Options{})
	switch p := picture.(type) {
	case *image.Gray:
		c.Grey = p.Pix
	case *image.RGBA:
		c.RGBA = p.Pix
	default:
		c.Error = err != nil
		if err == nil {
			t.Fatalf("%s: a picture of type %T", c.Name, picture)
		}
	}
}

// cineEncodeRLE compresses a frame (PS3.5 Annex G): runs where there are any, the rest as it is.
func cineEncodeRLE(data []byte, pixels, samples, allocated int, planar bool) []byte {
	width := max(1, allocated/8)
	if allocated < 8 {
		pixels = (pixels + 7) / 8
	}
	step, next := samples*width, width
	if planar {
		step, next = width, pixels*width
	}
	head := make([]byte, 64)
	binary.LittleEndian.PutUint32(head, uint32(samples*width))
	var body []byte
	for s := range samples * width {
		binary.LittleEndian.PutUint32(head[4+4*s:], uint32(64+len(body)))
		sample, b := s/width, width-1-s%width
		plane := make([]byte, pixels)
		for i := range plane {
			plane[i] = data[i*step+sample*next+b]
		}
		for len(plane) > 0 {
			run := 1
			for run < len(plane) && run < 128 && plane[run] == plane[0] {
				run++
			}
			if run > 1 {
				body = append(body, byte(257-run), plane[0])
			} else {
				for run < len(plane) && run < 128 && plane[run] != plane[run-1] {
					run++
				}
				body = append(append(body, byte(run-1)), plane[:run]...)
			}
			plane = plane[run:]
		}
		if len(body)%2 == 1 {
			body = append(body, 0x80)
		}
	}
	return append(head, body...)
}

// TestCineKinds: what an object is follows from its header and Transfer Syntax, not from its SOP class.
func TestCineKinds(t *testing.T) {
	p := &pages{Config: Config{DICOMWeb: "/dicom-web", Viewer: "/ohif/"}}
	for _, c := range []struct {
		name, syntax, header string
		want                 viewed
	}{
		{"picture", cineExplicit, `{"00280010":{"vr":"US","Value":[4]},"7FE00010":{"vr":"OW","BulkDataURI":"bulkdata/7FE00010"}}`, viewed{Kind: kindPicture}},
		{"float", cineExplicit, `{"7FE00008":{"vr":"OF","BulkDataURI":"x"}}`, viewed{Kind: kindPicture}},
		{"JPEG", "1.2.840.10008.1.2.4.50", `{"7FE00010":{"vr":"OB"},"00080008":{"vr":"CS","Value":["DERIVED","PRIMARY"]}}`, viewed{Kind: kindPicture, Lossy: true, Derived: true}},
		{"lossy before", cineExplicit, `{"7FE00010":{"vr":"OB"},"00282110":{"vr":"CS","Value":["01"]},"00282112":{"vr":"DS","Value":[2,12.54]}}`, viewed{Kind: kindPicture, Lossy: true, Ratio: "12.5:1"}},
		{"video", "1.2.840.10008.1.2.4.102", `{"7FE00010":{"vr":"OB"}}`, viewed{Kind: kindVideo, Lossy: true}},
		{"PDF", cineExplicit, `{"00420011":{"vr":"OB"},"00420012":{"vr":"LO","Value":["application/pdf"]}}`, viewed{Kind: kindDocument, Document: "/dicom-web/studies/1/series/2/instances/3/rendered"}},
		{"CDA", cineExplicit, `{"00420011":{"vr":"OB"},"00420012":{"vr":"LO","Value":["text/XML"]}}`, viewed{Kind: kindOther}},
		{"ECG", cineExplicit, `{"54000100":{"vr":"SQ","Value":[{}]}}`, viewed{Kind: kindECG, ECG: "/pages/ecg/1/2/3"}},
		{"nothing", cineExplicit, ``, viewed{Kind: kindOther}},
		{"oddities", cineExplicit, `{"7FE00010":7,"00080008":{"Value":[null,[],{}]},"00282112":{"Value":["x"]}}`, viewed{Kind: kindPicture}},
	} {
		row := index.Row{Attributes: map[string]string{
			"StudyInstanceUID": "1", "SeriesInstanceUID": "2", "SOPInstanceUID": "3", "AvailableTransferSyntaxUID": c.syntax,
		}, Header: []byte(c.header)}
		v := p.viewedOf(English, row)
		got := viewed{Kind: v.Kind, Lossy: v.Lossy, Derived: v.Derived, Ratio: v.Ratio, Document: v.Document, ECG: v.ECG}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s is %+v, not %+v", c.name, got, c.want)
		}
		if v.OHIF != "/ohif/viewer?StudyInstanceUIDs=1" {
			t.Errorf("OHIF is at %s", v.OHIF)
		}
	}
}

// TestCinePatient: in a study of several patients an instance is that of its own.
func TestCinePatient(t *testing.T) {
	p := &pages{Config: Config{DICOMWeb: "/dicom-web"}}
	row := index.Row{SeveralPatients: true, Attributes: map[string]string{
		"StudyInstanceUID": "1", "PatientName": "Li^Wei=李^伟", "PatientID": "1", "PatientBirthDate": "19500101", "PatientSex": "M", "PatientAge": "070Y",
		"StudyDate": "20260301",
	}}
	row.Header = []byte(`{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Zhang^San","Ideographic":"张^三"}]},"00100020":{"vr":"LO","Value":["2"]},
		"00100030":{"vr":"DA","Value":["20000301"]},"00100040":{"vr":"CS","Value":["F"]}}`)
	v := p.viewedOf(English, row)
	if want := (personName{Ideographic: "张三", Alphabetic: "Zhang San"}); v.Name != want || v.ID != "2" || v.Birth != "2000-03-01" || v.Sex != "Female" || v.Age != "26 y" {
		t.Errorf("the patient is %+v", v)
	}
	row.Header = []byte(`{"00100020":{"vr":"LO","Value":[null]}}`)
	if v := p.viewedOf(English, row); v.Name != (personName{}) || v.ID+v.Birth+v.Sex+v.Age != "" {
		t.Errorf("without a patient of its own it is %+v", v)
	}
	row.Header = nil
	if v := p.viewedOf(English, row); v.ID != "1" {
		t.Errorf("without a header the patient is %+v", v)
	}
}

// cineSeries is an index whose series has so many instances.
type cineSeries int

func (n cineSeries) Search(_ context.Context, q index.Query) ([]index.Row, error) {
	var rows []index.Row
	for i := range min(int(n), q.Limit) {
		rows = append(rows, index.Row{Attributes: map[string]string{"SOPInstanceUID": fmt.Sprintf("1.%d", i+1)}})
	}
	return rows, nil
}

func (cineSeries) Recordings(context.Context, index.RecordingQuery) ([]index.RecordingRow, error) {
	return nil, nil
}

// TestCineNeighbours: of a series that is longer than what is looked through nobody says how long it is.
func TestCineNeighbours(t *testing.T) {
	for n, of := range map[cineSeries]int{1: 1, 7: 7, maxNeighbours - 1: maxNeighbours - 1, maxNeighbours: 0, 2 * maxNeighbours: 0} {
		p := &pages{Config: Config{Index: n}}
		v := viewed{Kind: kindPicture, Study: "1", Series: "1", Instance: "1.1"}
		if err := p.neighbours(t.Context(), DefaultTenant, &v); err != nil {
			t.Fatal(err)
		}
		if v.Of != of || (v.Place == 1) != (of > 0) || v.Before != "" || (v.After == "/pages/view/1/1/1.2") != (n > 1) {
			t.Errorf("of %d: %d of %d, after %q", n, v.Place, v.Of, v.After)
		}
	}
}

func FuzzCineKind(f *testing.F) {
	f.Add([]byte(`{"7FE00010":{"vr":"OB"},"00282112":{"vr":"DS","Value":[2,12.54]},"00420012":{"Value":["application/pdf"]}}`))
	f.Add([]byte(`{"00080008":{"Value":[null,1]}}`))
	f.Fuzz(func(t *testing.T, header []byte) {
		v := viewed{Root: "/r"}
		v.read(header, false)
		v.patient(English, header, "20260301")
		if v.Kind == "" {
			t.Error("an object of no kind")
		}
	})
}
