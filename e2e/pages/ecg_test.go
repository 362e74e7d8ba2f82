package pages

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp/kb"

	"github.com/tributary-dicom/tributary/ecgout/dicomecg"
	"github.com/tributary-dicom/tributary/fixtures"
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

// TestECGScale reads the canvas back: tips of QRS complexes lie where sample ÷ rate × mm/s and mV × mm/mV say.
func TestECGScale(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	for _, c := range []struct{ speed, gain float64 }{{25, 10}, {50, 20}, {12.5, 5}, {100, 10}} {
		setECG(tab, "ecg-speed", fmt.Sprint(c.speed))
		setECG(tab, "ecg-gain", fmt.Sprint(c.gain))
		scale := scaleOfECG(tab)
		if math.Abs(scale.Px-96/25.4) > 1e-6 {
			t.Fatalf("%v CSS pixels a millimetre", scale.Px)
		}
		checked := 0
		for _, cell := range ecgCells(tab) {
			for tip := firstBeat; tip < 10*beatHz; tip += nextBeat {
				x := cell.X + (float64(tip)/beatHz-cell.T0)*c.speed
				if x < cell.X+9 || x > cell.X+cell.W-1 || math.Abs(tips[cell.Name]) < 0.5 {
					continue // the label stands before it
				}
				want := cell.Y - tips[cell.Name]*c.gain
				if crowded := strings.HasPrefix(cell.Name, "V") && c.gain > 10; crowded || want < 1 || want > scale.Height-1 {
					continue // rows of chest leads cross, as on paper; what is beyond the paper is named
				}
				up, low := min(want, cell.Y)-1.5, max(want, cell.Y)+1.5
				got := inkOf(tab, x-1.2, x+1.2, up, low)
				gotX, gotY := got.TopX, got.Top
				if tips[cell.Name] < 0 {
					gotX, gotY = got.LowX, got.Low
				}
				// A pixel is 0.26 mm, a stroke as wide.
				if math.Abs(gotX-x) > 0.3 || math.Abs(gotY-want) > 0.75 && c.speed < 25 || math.Abs(gotY-want) > 0.45 && c.speed >= 25 {
					t.Errorf("%v mm/s %v mm/mV lead %s tip %d: at %.2f, %.2f mm, want %.2f, %.2f", c.speed, c.gain, cell.Name, tip, gotX, gotY, x, want)
				}
				checked++
			}
		}
		if checked < 8 {
			t.Errorf("%v mm/s: %d tips were looked at", c.speed, checked)
		}
		// The calibration pulse: 1 mV for 200 ms.
		first := ecgCells(tab)[0]
		if c.gain == 10 {
			if p := inkOf(tab, 7.5-0.05*c.speed, 7.5+0.05*c.speed, 0, first.Y-2); c.speed <= 50 && math.Abs(p.Top-(first.Y-10)) > 0.3 {
				t.Errorf("%v mm/s: the pulse reaches to %.2f mm, want %.2f", c.speed, p.Top, first.Y-10)
			}
		}
	}
}

// TestECGLayouts: each layout places its leads, and a lead that was not recorded is named.
func TestECGLayouts(t *testing.T) {
	names := append(append([]string{}, beatLeads[:8]...), beatLeads[9:]...) // no V3
	tab := openECG(t, sendRecording(t, recordingOf("ECG-2", beats(ecg.Rhythm, 10, names...))), "lang=en", testbrowser.Desktop)
	for layout, want := range map[string]int{"auto": 13, "3x4+1": 13, "3x4+3": 15, "3x4": 12, "6x2": 12, "12x1": 12, "strips": 1} {
		setECG(tab, "ecg-layout", layout)
		cells := ecgCells(tab)
		if len(cells) != want {
			t.Errorf("%s: %d cells, want %d", layout, len(cells), want)
		}
		caption := tab.Text("#ecg-caption")
		for _, c := range cells {
			if c.Recorded != (c.Name != "V3") {
				t.Errorf("%s: %s recorded: %t", layout, c.Name, c.Recorded)
			}
			if !c.Recorded {
				contains(t, caption, "Not recorded: V3")
				// Empty paper: no line where nothing was recorded, but the words.
				// Between beats: those of other rows reach into this one.
				from := math.Ceil((c.T0+0.2)/0.8)*0.8 + 0.6
				x := c.X + (from-c.T0)*25
				if p := inkOf(tab, x, x+13, c.Y-3, c.Y+3); p.Top < 1e8 {
					t.Errorf("%s: ink where V3 was not recorded: %+v", layout, p)
				}
			}
		}
	}
	setECG(tab, "ecg-layout", "6x2")
	setECG(tab, "ecg-cabrera", "true")
	if c := ecgCells(tab); c[0].Name != "aVL" || c[4].Name != "-aVR" {
		t.Errorf("Cabrera begins %s, third %s", c[0].Name, c[4].Name)
	}
	contains(t, testbrowser.Eval[string](tab, `document.querySelector("#ecg-pdf").href`), "layout=cabrera", "lang=en", "application%2Fpdf")
	setECG(tab, "ecg-layout", "3x4+1")
	setECG(tab, "ecg-rhythm", "V1")
	if c := ecgCells(tab); c[12].Name != "V1" {
		t.Errorf("the strip is %s", c[12].Name)
	}
}

// TestECGGaps: samples that are missing are a gap, not a level line, and a caliper does not snap into it.
func TestECGGaps(t *testing.T) {
	g := beats(ecg.Rhythm, 10, beatLeads...)
	counts, _, err := g.ReadAll(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	missing := make([][]bool, len(counts))
	for i := range missing {
		missing[i] = make([]bool, len(counts[i]))
		for j := 3000; j < 4000; j++ { // 6 to 8 s
			missing[i][j] = true
		}
	}
	g.Memory(counts, missing)
	tab := openECG(t, sendRecording(t, recordingOf("ECG-5", g)), "lang=en", testbrowser.Desktop)
	strip := stripII(tab)
	x := func(seconds float64) float64 { return strip.X + seconds*25 }
	if p := inkOf(tab, x(6)+0.5, x(8)-0.5, strip.Y-13, strip.Y+3); p.Top < 1e8 {
		t.Errorf("ink where samples are missing: %+v", p)
	}
	for _, at := range []float64{5.5, 8.3} {
		if p := inkOf(tab, x(at), x(at)+2, strip.Y-1, strip.Y+1); math.Abs(p.Top-strip.Y) > 0.4 {
			t.Errorf("no line at %v s: %+v", at, p)
		}
	}
	tab.Screenshot("ecg-gap")
}

// TestECGGroups: leads that were recorded one after another are one drawing, and each group can be looked at alone.
func TestECGGroups(t *testing.T) {
	var groups []*ecg.Group
	for i := range 4 {
		g := beats(ecg.Rhythm, 2.5, beatLeads[3*i:3*i+3]...)
		g.StartOffset = ecg.Int(int64(2500 * i))
		groups = append(groups, g)
	}
	tab := openECG(t, sendRecording(t, recordingOf("ECG-6", groups...)), "lang=en", testbrowser.Desktop)
	setECG(tab, "ecg-layout", "3x4")
	for _, c := range ecgCells(tab) {
		column := math.Round((c.X - 15) / 62.5)
		if !c.Recorded || math.Abs(c.T0-2.5*column) > 1e-6 {
			t.Errorf("%+v", c)
			continue
		}
		// Each column shows its own group: a tip half a second after its beginning.
		if tip := tips[c.Name]; tip > 0.3 {
			if p := inkOf(tab, c.X+12.5-1.2, c.X+12.5+1.2, c.Y-10*tip-1.5, c.Y); math.Abs(p.Top-(c.Y-10*tip)) > 0.45 {
				t.Errorf("%s: the tip is at %.2f mm, want %.2f", c.Name, p.Top, c.Y-10*tip)
			}
		}
	}
	if options := testbrowser.Eval[int](tab, `document.querySelector("#ecg-view").options.length`); options != 5 {
		t.Fatalf("%d groups to choose from, want all and each", options)
	}
	setECG(tab, "ecg-layout", "auto")
	setECG(tab, "ecg-view", "rhythm-2")
	if c := ecgCells(tab); len(c) != 3 || c[0].Name != "V1" || math.Abs(c[0].T0-5) > 1e-6 {
		t.Errorf("the third group: %+v", c)
	}
	tab.Axe()
}

// TestECGLinks: everything that the page points to is there, and the server's paper is drawn as the page is.
func TestECGLinks(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	for id, value := range map[string]string{"ecg-layout": "6x2", "ecg-speed": "50", "ecg-gain": "20", "ecg-hp": "0.05", "ecg-notch": "60"} {
		setECG(tab, id, value)
	}
	for _, link := range testbrowser.Eval[[]string](tab, `[...document.querySelectorAll(".ecg-links a")].map((a) => a.getAttribute("href"))`) {
		status, body := theWorld(t).node.Get(t, link)
		if status != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %d %.200s", link, status, body)
		}
		switch {
		case strings.Contains(link, "application%2Fpdf") && !bytes.HasPrefix(body, []byte("%PDF-")),
			strings.Contains(link, "image%2Fpng") && !bytes.HasPrefix(body, []byte("\x89PNG")),
			strings.Contains(link, "application%2Fdicom") && (len(body) < 132 || string(body[128:132]) != "DICM"):
			t.Errorf("%s is something else: %q", link, body[:min(len(body), 16)])
		}
	}
}

// ecgMouse moves the pointer over the page.
func ecgMouse(tab *testbrowser.Tab, kind input.DispatchMouseEventType, x, y float64) {
	p := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Button: "left", ClickCount: 1}
	if kind != "mouseReleased" {
		p.Buttons = 1
	}
	testbrowser.Call(tab, input.DispatchMouseEvent, p)
}

// onPaper returns the place in the tab of a place on the paper, mm.
func onPaper(tab *testbrowser.Tab, x, y float64) (float64, float64) {
	p := testbrowser.Eval[[]float64](tab, fmt.Sprintf(`(() => {
		const c = document.querySelector("#ecg-paper");
		c.scrollIntoView({block: "center", inline: "nearest"});
		const s = JSON.parse(c.dataset.scale), b = c.getBoundingClientRect();
		return [b.left + %f * s.px, b.top + %f * s.px];
	})()`, x, y))
	return p[0], p[1]
}

// dragOnPaper drags from one place of the paper to another, mm.
func dragOnPaper(tab *testbrowser.Tab, x0, y0, x1, y1 float64) {
	ax, ay := onPaper(tab, x0, y0)
	bx, by := ax+(x1-x0)*96/25.4, ay+(y1-y0)*96/25.4
	ecgMouse(tab, "mousePressed", ax, ay)
	ecgMouse(tab, "mouseMoved", (ax+bx)/2, (ay+by)/2)
	ecgMouse(tab, "mouseMoved", bx, by)
	ecgMouse(tab, "mouseReleased", bx, by)
}

// stripII is the rhythm strip.
func stripII(tab *testbrowser.Tab) ecgCell {
	c := ecgCells(tab)
	return c[len(c)-1]
}

// TestECGCalipers measures the distance of two R peaks and the height of one, by mouse and by keys.
func TestECGCalipers(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	tab.Click("#ecg-measure")
	strip := stripII(tab)
	x := func(sample float64) float64 { return strip.X + (sample/beatHz-strip.T0)*25 }
	reading := func(n int) string {
		tab.Wait(fmt.Sprintf(`document.querySelectorAll("#ecg-readings .ecg-reads").length >= %d`, n))
		return testbrowser.Eval[string](tab, fmt.Sprintf(`document.querySelectorAll("#ecg-readings .ecg-reads")[%d].textContent`, n-1))
	}
	// Without snapping: as exact as a pixel, 10.6 ms.
	dragOnPaper(tab, x(firstBeat), strip.Y-12.5, x(firstBeat+nextBeat), strip.Y-12.5)
	var n int
	var lead string
	var ms float64
	if _, err := fmt.Sscanf(strings.NewReplacer("(", "", "):", "").Replace(reading(1)), "Caliper %d %s %f ms", &n, &lead, &ms); err != nil || lead != "II" || math.Abs(ms-800) > 11 {
		t.Errorf("%q: %v", reading(1), err)
	}
	tab.Click("#ecg-clear") // its handles lie where the next drag begins
	// With snapping: to the sample.
	tab.Click("#ecg-snap")
	dragOnPaper(tab, x(firstBeat)+0.7, strip.Y-11, x(firstBeat+nextBeat)-0.6, strip.Y-9)
	contains(t, reading(1), "II", "800 ms", "75.0 bpm", "0 µV")
	// From the tip to the level behind it.
	third := float64(firstBeat + 2*nextBeat)
	dragOnPaper(tab, x(third)-0.5, strip.Y-10, x(third+nextBeat/2), strip.Y-5)
	contains(t, reading(2), "400 ms", "−1.25 mV")
	// The handle of the second cursor has the focus: a sample is 2 ms.
	tab.Wait(`document.activeElement.dataset.cursor === "b" && document.activeElement.dataset.caliper === "3"`) // the third that was made
	tab.Key(kb.ArrowRight)
	contains(t, reading(2), "402 ms")
	if got := testbrowser.Eval[string](tab, `document.activeElement.ariaValueText`); !strings.Contains(got, "402 ms") {
		t.Errorf("the slider says %q", got)
	}
	tab.Wait(`document.querySelector("#ecg-live").textContent.includes("402 ms")`)
	// Marching out: ten seconds have tips at 0.5, 1.3, … s, and the strip's cursors stand at two of them.
	if n := testbrowser.Eval[int](tab, `document.querySelectorAll("#ecg-lines .step").length`); n != 0 {
		t.Errorf("%d lines of a march nobody asked for", n)
	}
	tab.Click(`#ecg-readings li:nth-child(1) [data-cursor="march"]`)
	if n := testbrowser.Eval[int](tab, `document.querySelectorAll("#ecg-lines .step").length`); n != 10 {
		t.Errorf("%d lines of a march of 800 ms from 0.5 s through 10 s, want 10", n)
	}
	tab.Screenshot("ecg-calipers")
	tab.Axe()
	tab.Click(`#ecg-readings li:nth-child(1) [data-cursor="remove"]`)
	if n := testbrowser.Eval[int](tab, `document.querySelectorAll("#ecg-readings li").length`); n != 1 {
		t.Errorf("%d calipers are left", n)
	}
	tab.Click("#ecg-clear")
	tab.Key("c") // by keys alone
	tab.Wait(`document.activeElement.getAttribute("role") === "slider"`)
	tab.Key("m")
	tab.Wait(`document.querySelectorAll("#ecg-lines .step").length > 0`)
	tab.Wait(`document.querySelectorAll("#ecg-readings li").length === 1`)
}

// TestECGTouch drags a caliper by finger.
func TestECGTouch(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Phone)
	tab.Click("#ecg-measure")
	tab.Click("#ecg-snap")
	first := ecgCells(tab)[0] // lead I: its tip at 0.5 s is 12.5 mm from the left
	touch := func(kind input.DispatchTouchEventType, points ...*input.TouchPoint) {
		testbrowser.Call(tab, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: points})
	}
	x0, y0 := onPaper(tab, first.X+12.5, first.Y-5)
	x1 := x0 + 0.8*25*96/25.4
	touch("touchStart", &input.TouchPoint{X: x0, Y: y0})
	touch("touchMove", &input.TouchPoint{X: (x0 + x1) / 2, Y: y0})
	touch("touchMove", &input.TouchPoint{X: x1, Y: y0})
	touch("touchEnd")
	tab.Wait(`document.querySelector("#ecg-readings .ecg-reads")?.textContent.includes("800 ms")`)
	tab.Screenshot("ecg-touch")
}

// TestECGFilters: off and said to be off; on, stated on the picture, and the R peak is lower.
func TestECGFilters(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	strip := stripII(tab)
	at := strip.X + float64(firstBeat)/beatHz*25
	top := func() float64 { return inkOf(tab, at-1.2, at+1.2, strip.Y-14, strip.Y+3).Top }
	before := top()
	if got := testbrowser.Eval[bool](tab, `document.querySelector("#ecg-filtered").hidden`); !got {
		t.Error("filters are stated that nobody asked for")
	}
	contains(t, tab.Text("#ecg-caption"), "display filters off", "recorded by the device with 0.05–150 Hz")
	setECG(tab, "ecg-lp", "40")
	setECG(tab, "ecg-notch", "50")
	contains(t, tab.Text("#ecg-filtered"), "low pass 40 Hz", "notch 50 Hz", "not as recorded")
	contains(t, tab.Text("#ecg-caption"), "low pass 40 Hz", "not as recorded")
	contains(t, testbrowser.Eval[string](tab, `document.querySelector("#ecg-paper").ariaLabel`), "low pass 40 Hz")
	contains(t, testbrowser.Eval[string](tab, `document.querySelector("#ecg-png").href`), "filter=lp40%2Cnotch50")
	if after := top(); after < before+0.3 {
		t.Errorf("the tip at %.2f mm, without the filter at %.2f", after, before)
	}
	tab.Screenshot("ecg-filtered")
	setECG(tab, "ecg-lp", "0")
	setECG(tab, "ecg-notch", "0")
	if after := top(); math.Abs(after-before) > 1e-9 {
		t.Errorf("after the filters the tip is at %.2f mm, before at %.2f", after, before)
	}
}

// TestECGMedian: median beats stand on a paper of their own and are nowhere among the rhythm.
func TestECGMedian(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Desktop)
	if testbrowser.Eval[bool](tab, `document.querySelector("#ecg-median").hidden`) {
		t.Fatal("no median beats")
	}
	contains(t, tab.Text("#ecg-median"), "Averaged by the device")
	if !testbrowser.Eval[bool](tab, `document.querySelector("#ecg-view-field").hidden`) {
		t.Error("there is more than the rhythm to choose")
	}
	for _, c := range ecgCells(tab) {
		if c.T0+c.Dur > 10+1e-6 {
			t.Errorf("%s reaches to %v s", c.Name, c.T0+c.Dur)
		}
	}
}

// TestECGLong scrolls an hour of three leads, by button, key, slider and time.
func TestECGLong(t *testing.T) {
	rec := recordingOf("ECG-3", beats(ecg.FullDisclosure, 3600, "I", "II", "V1"))
	tab := openECG(t, sendRecording(t, rec), "lang=en", testbrowser.Desktop)
	tab.Wait(`!document.querySelector("#ecg-overview").hidden`)
	tab.Axe()
	tab.Screenshot("ecg-long")
	start := func() float64 { return ecgCells(tab)[0].T0 }
	page := ecgCells(tab)[0].Dur
	tab.Click("#ecg-forward")
	drawnECG(tab)
	if math.Abs(start()-page) > 1e-6 {
		t.Errorf("one page on: %v s, want %v", start(), page)
	}
	tab.Click("#ecg-last")
	drawnECG(tab)
	if math.Abs(start()+page-3600) > 1e-6 {
		t.Errorf("the last page ends at %v s", start()+page)
	}
	// The last tip but one, an hour from the beginning, lies where it must.
	cell := ecgCells(tab)[0]
	tip := firstBeat + (3600*beatHz-firstBeat-1)/nextBeat*nextBeat - 3*nextBeat
	x := cell.X + (float64(tip)/beatHz-cell.T0)*25
	if got := inkOf(tab, x-1.2, x+1.2, cell.Y-8, cell.Y); math.Abs(got.TopX-x) > 0.3 || math.Abs(got.Top-(cell.Y-6)) > 0.45 {
		t.Errorf("the tip is at %+v, want %.2f, %.2f mm", got, x, cell.Y-6)
	}
	testbrowser.Eval[bool](tab, `(() => { const i = document.querySelector("#ecg-at"); i.value = "0:30:00"; i.dispatchEvent(new Event("change")); return true; })()`)
	tab.Wait(`JSON.parse(document.querySelector("#ecg-paper").dataset.cells)[0].t0 === 1800`)
	testbrowser.Eval[bool](tab, `document.querySelector("#ecg-scroll").focus() ?? true`)
	tab.Key(kb.ArrowRight)
	tab.Wait(`JSON.parse(document.querySelector("#ecg-paper").dataset.cells)[0].t0 > 1800`)
	contains(t, tab.Text("#ecg-caption"), "of 1:00:00", "2026-03-02 10:45")
}

// TestECGPage: banner, links and accessibility, in both languages at both sizes.
func TestECGPage(t *testing.T) {
	path := beatsPage(t)
	each(t, func(t *testing.T, query string, v testbrowser.Viewport) {
		tab := openECG(t, path, query, v)
		banner := tab.Text(".ecg-banner")
		contains(t, banner, "赵敏", "Zhao Min", "ECG-1", "75 /min", "40 ms", "421 ms (Fridericia)", "窦性心律", "2026-03-02 10:15:30 +08:00", "Example Cart 12")
		if strings.Contains(query, "en") {
			contains(t, banner, "Unconfirmed", "67 y", "Female")
		} else {
			contains(t, banner, "未确认", "67 岁", "女")
		}
		if at := strings.Index(banner, "赵敏"); at > strings.Index(banner, "Zhao Min") {
			t.Error("the name in letters stands before that in hanzi")
		}
		tab.Axe()
		tab.Screenshot("ecg-" + query[5:])
	})
}

// TestECGCritical: STAT stands beside the name, with the statement that says so.
func TestECGCritical(t *testing.T) {
	rec := recordingOf("ECG-4", beats(ecg.Rhythm, 10, beatLeads...))
	rec.Statements = []ecg.Statement{{Text: "急性前壁心肌梗死", Author: ecg.Machine}}
	for i := range 12 { // a pacemaker 20 ms before each beat
		rec.Annotations = append(rec.Annotations, ecg.Annotation{Kind: ecg.Spike, Group: 0, Onset: ecg.Int(int64(480 + 800*i))})
	}
	tab := openECG(t, sendRecording(t, rec), "lang=zh-CN", testbrowser.Desktop)
	contains(t, tab.Text("#ecg-stat"), "STAT")
	contains(t, tab.Text(".ecg-critical"), "急性前壁心肌梗死")
	contains(t, tab.Text("#ecg-caption"), "起搏脉冲")
	tab.Axe()
	tab.Screenshot("ecg-stat")
}

// TestECGPrint: what is printed has the printer's millimetres, and is made before the printer looks.
func TestECGPrint(t *testing.T) {
	tab := openECG(t, beatsPage(t), "lang=en", testbrowser.Phone)
	width := testbrowser.Eval[float64](tab, `(async () => {
		dispatchEvent(new Event("beforeprint"));
		for (let i = 0; i < 300; i++) await null; // no more than a browser waits for
		return document.querySelector("#ecg-paper").width;
	})()`)
	if want := math.Floor(270 * 96 / 25.4 * 3.2); width != want {
		t.Errorf("%v pixels for 270 mm, want %v", width, want)
	}
	testbrowser.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	if got := testbrowser.Eval[float64](tab, `document.querySelector("#ecg-paper").getBoundingClientRect().width`); math.Abs(got-270*96/25.4) > 0.1 {
		t.Errorf("%v CSS pixels for 270 mm, want %v", got, 270*96/25.4)
	}
	if testbrowser.Eval[string](tab, `getComputedStyle(document.querySelector("#ecg-tools")).display`) != "none" {
		t.Error("controls are printed")
	}
	// On paper: A4, and on it 270 mm.
	yes := true
	pdf := testbrowser.Call(tab, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PreferCSSPageSize: &yes, PrintBackground: &yes})
	if !bytes.HasPrefix(pdf.Data, []byte("%PDF-")) {
		t.Fatal("no PDF")
	}
	box := regexp.MustCompile(`/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]`).FindSubmatch(pdf.Data)
	if box == nil {
		t.Fatal("no MediaBox")
	}
	var w, h float64
	if _, err := fmt.Sscan(string(box[1])+" "+string(box[2]), &w, &h); err != nil || math.Abs(w-842) > 1.5 || math.Abs(h-595) > 1.5 {
		t.Errorf("a page of %v × %v points, want A4 landscape (%v)", w, h, err)
	}
	if got := printedWidth(t, pdf.Data, width); math.Abs(got-270) > 0.3 {
		t.Errorf("the paper is printed %.2f mm wide, want 270", got)
	}
	if dir := os.Getenv("TRIBUTARY_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "ecg-print.pdf"), pdf.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// printedWidth finds how wide a canvas of so many pixels is on the page of a PDF, mm: Chromium prints what was drawn on it
// as paths, scaled by the matrices of the page and of the canvas.
func printedWidth(t *testing.T, pdf []byte, pixels float64) float64 {
	t.Helper()
	canvas := regexp.MustCompile(fmt.Sprintf(`([0-9.]+) 0 0 [0-9.]+ [0-9.-]+ [0-9.-]+ cm\n[^Q]{0,200}?0 0 %.0f [0-9]+ re`, pixels))
	base := regexp.MustCompile(`^([0-9.]+) 0 0 -[0-9.]+ 0 [0-9.]+ cm`)
	for part := range bytes.SplitSeq(pdf, []byte("stream")) {
		z, err := zlib.NewReader(bytes.NewReader(bytes.TrimLeft(part, "\r\n")))
		if err != nil {
			continue
		}
		content, _ := io.ReadAll(z) // what follows the stream is none of it
		one, two := base.FindSubmatch(content), canvas.FindSubmatch(content)
		if one == nil || two == nil {
			continue
		}
		var a, b float64
		if _, err := fmt.Sscan(string(one[1])+" "+string(two[1]), &a, &b); err != nil {
			t.Fatal(err)
		}
		return a * b * pixels / 72 * 25.4
	}
	t.Fatal("the PDF has no such canvas")
	return 0
}

// TestECGCalibrate: a person who holds a card against the screen changes the size of the paper, not what calipers read.
func TestECGCalibrate(t *testing.T) {
	path := beatsPage(t)
	tab := openECG(t, path, "lang=en", testbrowser.Desktop)
	contains(t, tab.Text("#ecg-screen"), "not calibrated")
	tab.Click("#ecg-calibrate summary")
	testbrowser.Eval[bool](tab, `(() => { const r = document.querySelector("#ecg-card-width"); r.value = 428; r.dispatchEvent(new Event("input")); return true; })()`)
	tab.Click("#ecg-card-keep")
	tab.Wait(`Math.abs(JSON.parse(document.querySelector("#ecg-paper").dataset.scale).px - 5) < 1e-6`)
	contains(t, tab.Text("#ecg-screen"), "Calibrated", "5.00")
	tab.Go(theWorld(t).node.URL + path)
	drawnECG(tab)
	if s := scaleOfECG(tab); math.Abs(s.Px-5) > 1e-6 {
		t.Errorf("after a reload %v pixels a millimetre", s.Px)
	}
	tab.Click("#ecg-calibrate summary")
	tab.Click("#ecg-card-forget")
	tab.Wait(`Math.abs(JSON.parse(document.querySelector("#ecg-paper").dataset.scale).px - 96 / 25.4) < 1e-6`)
}

// TestECGNoScript: without scripts the server's drawing is there.
func TestECGNoScript(t *testing.T) {
	w := theWorld(t)
	tab := testbrowser.Open(t, testbrowser.Desktop)
	testbrowser.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	tab.Go(w.node.URL + beatsPage(t) + "?lang=en")
	tab.Wait(`document.querySelector(".ecg-drawing")?.naturalWidth > 200`)
	if !testbrowser.Eval[bool](tab, `document.querySelector("#ecg-tools").hidden`) {
		t.Error("controls that do nothing are shown")
	}
}

// TestECGOthers: what is no ECG has no page here, and says so.
func TestECGOthers(t *testing.T) {
	w := theWorld(t)
	at := func(i fixtures.Instance) string {
		return "/pages/ecg/" + i.StudyInstanceUID + "/" + i.SeriesInstanceUID + "/" + i.SOPInstanceUID
	}
	for path, want := range map[string]int{
		at(w.still): http.StatusUnsupportedMediaType, at(w.pdf): http.StatusUnsupportedMediaType, at(w.ecg): http.StatusOK,
		"/pages/ecg/1.2/3.4/5.6": http.StatusNotFound, "/pages/ecg/1.2/3.4/x": http.StatusNotFound,
		at(w.ecg) + "/recording": http.StatusOK, at(w.still) + "/samples": http.StatusUnsupportedMediaType,
		at(w.ecg) + "/samples?group=1": http.StatusNotFound, at(w.ecg) + "/samples?from=-1": http.StatusBadRequest,
	} {
		if status, _ := w.node.Get(t, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	tab := openECG(t, at(w.ecg), "lang=zh-CN", testbrowser.Desktop)
	contains(t, tab.Text(".ecg-banner"), "张晓东")
	tab.Screenshot("ecg-fixture")
}

// TestECGDerived: a file of another format can be looked at once a DICOM object was made of it, and the file be fetched.
func TestECGDerived(t *testing.T) {
	for _, pattern := range []string{"ecg/scp/*.scp", "ecg/aecg/hl7_Example_aECG.xml", "ecg/philips/129DYPRG.XML"} {
		t.Run(filepath.Base(filepath.Dir(pattern)), func(t *testing.T) {
			w := theWorld(t)
			file := corpus(t, pattern)[0]
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.send(bytes.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(body)
			path, original := derivedPage(t, hex.EncodeToString(sum[:]))
			tab := openECG(t, path, "lang=en", testbrowser.Desktop)
			link := testbrowser.Eval[string](tab, `[...document.querySelectorAll(".ecg-links a")].map((a) => a.getAttribute("href")).find((h) => h.startsWith("/originals/")) ?? ""`)
			if link != original {
				t.Errorf("the original is linked as %q, want %q", link, original)
			}
			if status, got := w.node.Get(t, link); status != http.StatusOK || !bytes.Equal(got, body) {
				t.Errorf("the original: %d, %d bytes", status, len(got))
			}
			banner := tab.Text(".ecg-banner")
			if strings.Contains(banner, "Unconfirmed machine reading") {
				t.Errorf("the object's words stand for the file's: %s", banner)
			}
			if strings.Contains(pattern, "philips") {
				contains(t, banner, "STAT", "Inferior infarct, acute", "Sinus bradycardia", "50 y", "41 /min")
			}
			tab.Screenshot("ecg-derived-" + filepath.Base(filepath.Dir(pattern)))
		})
	}
}

// derivedPage waits until an object was made of a file, and returns the path of its page and of the file.
func derivedPage(t *testing.T, sha string) (path, original string) {
	t.Helper()
	w := theWorld(t)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		status, body := w.node.Get(t, "/ecgs?limit=200")
		if status != http.StatusOK {
			t.Fatalf("/ecgs: %d", status)
		}
		var answer struct {
			ECGs []struct {
				Links struct{ Original, Instance string }
			}
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		for _, r := range answer.ECGs {
			if r.Links.Original == "" || r.Links.Instance == "" {
				continue
			}
			_, about := w.node.Get(t, r.Links.Original+"/about")
			var file struct{ SHA256, Study, Series, Instance string }
			if json.Unmarshal(about, &file) == nil && file.SHA256 == sha && file.Instance != "" {
				return "/pages/ecg/" + file.Study + "/" + file.Series + "/" + file.Instance, r.Links.Original
			}
		}
	}
	t.Fatal("no object was made of the file")
	return "", ""
}
