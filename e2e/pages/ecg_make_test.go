package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"testing"

	"github.com/tributary-dicom/tributary/ecgout/dicomecg"
	"github.com/tributary-dicom/tributary/internal/testbrowser"
	"github.com/tributary-dicom/tributary/parsers/ecg"
	"github.com/tributary-dicom/tributary/parsers/sniff"
)

// The synthetic recordings: level but for QRS complexes that are triangles of 40 ms, whose tips lie at known samples.
const (
	beatHz    = 500
	firstBeat = 250 // sample of the first tip
	nextBeat  = 400 // samples from tip to tip: 800 ms, 75 a minute
)

// tips are the heights of the triangles, mV.
var tips = map[string]float64{
	"I": 0.6, "II": 1.25, "III": 0.65, "aVR": -0.925, "aVL": -0.025, "aVF": 0.95, "V1": -0.8, "V2": -1.4, "V3": 0.5, "V4": 1.5, "V5": 1.3, "V6": 0.9,
}

var beatLeads = []string{"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"}

// beats makes a group of them; 2.5 µV a count.
func beats(kind ecg.Kind, seconds float64, names ...string) *ecg.Group {
	g := &ecg.Group{Kind: kind, Rate: ecg.Int(beatHz)}
	var counts [][]int32
	for _, name := range names {
		l := ecg.Lead{
			Unit: ecg.Microvolt, Scale: ecg.MustRat("2.5"), Bits: 16,
			Filters: ecg.Filters{HighPassHz: ecg.MustRat("0.05"), LowPassHz: ecg.Int(150)},
		}
		l.SetLabel(name)
		g.Leads = append(g.Leads, l)
		c := make([]int32, int(seconds*beatHz))
		for tip := firstBeat; tip < len(c)+10; tip += nextBeat {
			for d := -10; d <= 10; d++ {
				if i := tip + d; i >= 0 && i < len(c) {
					c[i] = int32(math.Round(tips[name] * 400 * (1 - math.Abs(float64(d))/10)))
				}
			}
		}
		counts = append(counts, c)
	}
	g.Memory(counts, nil)
	return g
}

// recordingOf is a recording of somebody.
func recordingOf(id string, groups ...*ecg.Group) *ecg.Recording {
	return &ecg.Recording{
		Format: sniff.SCPECG, Groups: groups, Acquired: ecg.ParseTime("20260302101530+0800"),
		Patient: ecg.Patient{ID: id, Name: "Zhao^Min=赵^敏", Sex: "F", BirthDate: "1958-04-01"},
		Device:  ecg.Device{Maker: "Example", Model: "Cart 12", Analysis: "Glimmer 4.1"},
		Measurements: []ecg.Measurement{
			{Kind: ecg.VentricularRate, Name: "HR", Raw: "75", Value: ecg.Int(75), Valid: true, Unit: "/min", Group: -1},
			{Kind: ecg.QRSDuration, Name: "QRS", Raw: "40", Value: ecg.Int(40), Valid: true, Unit: "ms", Group: -1},
			{Kind: ecg.QTcInterval, Name: "QTc", Raw: "421", Value: ecg.Int(421), Valid: true, Unit: "ms", Formula: ecg.Fridericia, Group: -1},
		},
		Statements: []ecg.Statement{{Text: "窦性心律", Author: ecg.Machine}},
	}
}

// sendRecording stores a recording as DICOM and returns the path of its page.
func sendRecording(t testing.TB, rec *ecg.Recording) string {
	t.Helper()
	sum := sha256.Sum256([]byte(t.Name() + rec.Patient.ID))
	plan, err := dicomecg.NewPlan(rec, dicomecg.Options{Tenant: "default", SourceSHA256: hex.EncodeToString(sum[:])})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := plan.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	if err := theWorld(t).send(&file); err != nil {
		t.Fatal(err)
	}
	return "/pages/ecg/" + plan.StudyInstanceUID + "/" + plan.SeriesInstanceUID + "/" + plan.SOPInstanceUID
}

// beatsPage is the page of the recording that most tests look at: twelve leads of ten seconds, and median beats.
func beatsPage(t testing.TB) string {
	t.Helper()
	beatsOnce.Lock()
	defer beatsOnce.Unlock()
	if beatsOnce.path == "" {
		median := beats(ecg.Median, 1, beatLeads...)
		median.Label = "MEDIAN BEAT"
		beatsOnce.path = sendRecording(t, recordingOf("ECG-1", beats(ecg.Rhythm, 10, beatLeads...), median))
	}
	return beatsOnce.path
}

var beatsOnce struct {
	sync.Mutex
	path string
}

// openECG opens a page and waits for its picture.
func openECG(t testing.TB, path, query string, v testbrowser.Viewport) *testbrowser.Tab {
	t.Helper()
	tab := page(t, path+"?"+query, v)
	drawnECG(tab)
	return tab
}

// drawnECG waits until nothing is being drawn.
func drawnECG(tab *testbrowser.Tab) {
	tab.Wait(`document.querySelector("#ecg").getAttribute("aria-busy") === "false" && document.querySelector("#ecg-paper").dataset.scale`)
}

// setECG chooses from a list and waits for the picture.
func setECG(tab *testbrowser.Tab, id, value string) {
	testbrowser.Eval[bool](tab, fmt.Sprintf(`(() => {
		const s = document.getElementById(%q);
		if (s.type === "checkbox") s.checked = %q === "true"; else s.value = %q;
		s.dispatchEvent(new Event("change", {bubbles: true}));
		return true;
	})()`, id, value, value))
	drawnECG(tab)
}

// ecgCell is a lead's stretch of the paper, mm.
type ecgCell struct {
	Name     string
	X, Y, W  float64
	T0, Dur  float64
	Recorded bool
}

func ecgCells(tab *testbrowser.Tab) []ecgCell {
	var cells []ecgCell
	if err := json.Unmarshal([]byte(testbrowser.Eval[string](tab, `document.querySelector("#ecg-paper").dataset.cells`)), &cells); err != nil {
		panic(err)
	}
	return cells
}

type ecgScale struct {
	Px, Density, Width, Height float64
	Layout                     string
}

func scaleOfECG(tab *testbrowser.Tab) ecgScale {
	var s ecgScale
	if err := json.Unmarshal([]byte(testbrowser.Eval[string](tab, `document.querySelector("#ecg-paper").dataset.scale`)), &s); err != nil {
		panic(err)
	}
	return s
}

// ink returns the dark pixels of a part of the paper that are farthest up and down, mm; both at their own x.
type ink struct{ Top, TopX, Low, LowX float64 }

func inkOf(tab *testbrowser.Tab, x0, x1, y0, y1 float64) ink {
	return testbrowser.Eval[ink](tab, fmt.Sprintf(`(() => {
		const c = document.querySelector("#ecg-paper"), s = JSON.parse(c.dataset.scale), px = s.px * s.density;
		const left = Math.max(0, Math.round(%f * px)), top = Math.max(0, Math.round(%f * px));
		const w = Math.round(%f * px) - left, h = Math.min(c.height, Math.round(%f * px)) - top;
		const d = c.getContext("2d").getImageData(left, top, w, h).data;
		const out = {Top: 1e9, TopX: 0, Low: -1e9, LowX: 0};
		let tops = [], lows = [];
		for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
			const i = 4 * (y * w + x);
			if (Math.max(d[i], d[i + 1], d[i + 2]) > 110) continue;
			if (y < out.Top) { out.Top = y; tops = []; }
			if (y === out.Top) tops.push(x);
			if (y > out.Low) { out.Low = y; lows = []; }
			if (y === out.Low) lows.push(x);
		}
		const middle = (l) => (l.length ? l.reduce((a, b) => a + b) / l.length : 0);
		return {Top: (top + out.Top + .5) / px, TopX: (left + middle(tops) + .5) / px, Low: (top + out.Low + .5) / px, LowX: (left + middle(lows) + .5) / px};
	})()`, x0, y0, x1, y1))
}
